"""What a finding is: anything on an eye that has a truth mask besides vessels, disc, cup, fovea and field of view."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retsam.phantom.raster import Grid


class Layer(IntEnum):
    """Depth of a finding, in the order of painting.

    The background comes first, then ``CHOROID``, the macular pigment, ``DEEP`` (outer retina and below it), the optic
    disc, the vessels, ``SUPERFICIAL`` (nerve-fibre layer) and ``PRERETINAL`` (on or before the retina).
    """

    CHOROID = 0
    DEEP = 1
    SUPERFICIAL = 2
    PRERETINAL = 3


@dataclass(frozen=True)
class Spots:
    """The single lesions of a countable finding.

    Attributes
    ----------
    centres : (n, 2) float64
        Temporal and inferior, degrees from the disc centre.
    area : (n,) float64
        Square degrees, each lesion by itself.
    """

    centres: NDArray[np.float64]
    area: NDArray[np.float64]


@runtime_checkable
class Finding(Protocol):
    """One finding of an eye, in degrees; it can be drawn on any grid.

    All randomness is drawn when a finding is made, so that the photograph and the canonical frame show the same thing.
    """

    @property
    def target(self) -> str:
        """Name in ``taxonomy.TARGETS``."""
        ...

    @property
    def layer(self) -> Layer:
        """Where in the order of painting it belongs."""
        ...

    def distance(self, grid: Grid) -> NDArray[np.float32]:
        """Signed distance (height, width) to the border, pixels, positive inside; right near the border at least."""
        ...

    def paint(self, out: NDArray[np.float32], grid: Grid, distance: NDArray[np.float32]) -> None:
        """Paint on a picture (height, width, 3) in place, given its distance on this grid."""
        ...

    def spots(self) -> Spots | None:
        """Return the single lesions where counting them has a meaning, else None."""
        ...
