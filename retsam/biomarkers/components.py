"""The separate components of a mask: area, place and shape of each, from one labelling.

Shapes are read from pixels without following outlines: the perimeter from the changes between a pixel and its eight
neighbours (Crofton's formula in four directions), the axes from second moments with the variance of a pixel, the convex
hull as the number of pixels that it holds. Of drawn discs and ellipses of 28 to 800 px, shifted at random, circularity
is 0.00 to 0.02 too high in the mean; a disc's axis ratio is 1.06 (28 px), 1.03 (113 px), 1.01 (314 px) instead of 1.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.outline import pixels_in

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Components 1 to n of a mask.

    Attributes
    ----------
    labels : (h, w) int32
        Component of each pixel in a part of the frame, 0 for none.
    corner : (int, int)
        X and y of that part's first pixel, frame px.
    area : (n,) int64
        Px^2.
    xy : (n, 2) float64
        Centroids, frame px.
    """

    labels: NDArray[np.int32]
    corner: tuple[int, int]
    area: NDArray[np.int64]
    xy: Floats

    def __len__(self) -> int:
        return self.area.size

    @cached_property
    def _places(self) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Pixels as places (P,) in the flattened, padded labels, and those labels (flat)."""
        padded = np.pad(self.labels, 1).ravel()
        return np.flatnonzero(padded), padded

    @cached_property
    def pixels(self) -> Floats:
        """All their pixels (P, 2), frame px."""
        places, _ = self._places
        row, column = np.divmod(places, self.labels.shape[1] + 2)
        return np.column_stack([column, row]) + (np.array(self.corner, float) - 1)

    @cached_property
    def of_pixel(self) -> NDArray[np.int64]:
        """Component (P,) of each of :attr:`pixels`, from 0."""
        places, padded = self._places
        return padded[places].astype(np.int64) - 1

    @cached_property
    def _changes(self) -> Floats:
        """Share (P,) of each pixel in the perimeter: neighbours across a side, or at a corner, that are outside."""
        places, padded = self._places
        row = self.labels.shape[1] + 2
        sides, corners = (
            sum((padded[places + step] == 0).astype(np.float64) for step in steps)
            for steps in ((1, -1, row, -row), (row + 1, row - 1, 1 - row, -row - 1))
        )
        return np.asarray(np.pi / 8 * (sides + corners / np.sqrt(2)), np.float64)

    @cached_property
    def perimeter(self) -> Floats:
        """Length (n,) of the border, that of holes too, px."""
        return np.bincount(self.of_pixel, self._changes, len(self)).astype(np.float64)

    @cached_property
    def axes(self) -> tuple[Floats, Floats]:
        """Long and short axis (n,) of the ellipse of equal second moments, px."""
        x, y = (self.pixels - self.xy[self.of_pixel]).T
        xx, yy, xy = (np.bincount(self.of_pixel, m, len(self)) / self.area for m in (x * x, y * y, x * y))
        xx, yy = xx + 1 / 12, yy + 1 / 12  # a pixel is a square of side 1
        spread = np.hypot(xx - yy, 2 * xy)
        return np.sqrt(8 * (xx + yy + spread)), np.sqrt(8 * (xx + yy - spread))

    def hull(self, chosen: NDArray[np.intp]) -> Floats:
        """Number of pixels in the convex hull of each of the chosen components (m,), counted from 0."""
        border = self._changes > 0
        order = np.argsort(self.of_pixel[border], kind="stable")
        points = self.pixels[border][order].astype(np.int32)
        last = np.cumsum(np.bincount(self.of_pixel[border], minlength=len(self)))
        first = np.append(0, last[:-1])
        hulls = (cv2.convexHull(points[first[k] : last[k]])[:, 0] for k in chosen.tolist())
        return np.fromiter((pixels_in(corners) for corners in hulls), np.float64, chosen.size)


NONE = Components(np.zeros((0, 0), np.int32), (0, 0), np.zeros(0, np.int64), np.zeros((0, 2)))
"""No component at all."""


def components(mask: NDArray[np.bool_], smallest: float, *, mirrored: bool = False) -> Components:
    """Find the components of a mask, 8-connected.

    Parameters
    ----------
    mask : (size, size) bool
    smallest : float
        Area below which a component is left out, px^2.
    mirrored : bool
        Turn the mask left to right first; only the part that is not empty is copied.

    Returns
    -------
    Components
    """
    seen = mask.view(np.uint8)
    x, y, width, height = cv2.boundingRect(seen)
    if not width:
        return NONE
    part = seen[y : y + height, x : x + width]
    if mirrored:
        part, x = np.ascontiguousarray(part[:, ::-1]), mask.shape[1] - x - width
    _, labels, stats, centroids = cv2.connectedComponentsWithStats(part, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    kept = area >= smallest
    kept[0] = False
    number = (np.cumsum(kept) * kept).astype(np.int32)
    numbered = np.asarray(labels, np.int32) if kept[1:].all() else number[labels]
    return Components(numbered, (x, y), area[kept], centroids[kept] + [x, y])
