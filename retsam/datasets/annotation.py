"""How an annotation file becomes a mask of its photograph."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retsam.errors import UserError
from retsam.io.images import ImageError, read_image


@dataclass(frozen=True)
class MaskFile:
    """The annotation of one target on one photograph.

    Attributes
    ----------
    path : Path or None
        None: the annotators looked and marked nothing (an empty mask).
    colour : str or None
        None for a binary mask. ``red`` (artery) or ``blue`` (vein) for an artery/vein colour map, where every other
        colour (green or white: crossing or uncertain) is vessel without a class and is left out of the comparison.
    """

    path: Path | None
    colour: str | None = None

    def read(self, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the mask.

        A binary mask is what reaches half of the file's brightest value in any channel, so that 0/1, 0/255 and coloured
        palettes all read alike.

        Parameters
        ----------
        shape : (height, width)
            Of the photograph.

        Returns
        -------
        truth : (height, width) bool
        counted : (height, width) bool
            False where the annotation is uncertain.

        Raises
        ------
        UserError
            If the file cannot be read or is not of the photograph's size.
        """
        if self.path is None:
            return np.zeros(shape, bool), np.ones(shape, bool)
        try:
            pixels = read_image(self.path)
        except ImageError as error:
            raise UserError(f"annotation {error}") from error
        if pixels.shape[:2] != shape:
            sizes = f"{pixels.shape[1]}x{pixels.shape[0]}, its photograph {shape[1]}x{shape[0]}"
            raise UserError(f"annotation {self.path.name} is {sizes}; take both from one release of the data set.")
        if self.colour is None:
            brightest = int(pixels.max())
            return pixels.max(axis=2) >= max(brightest / 2, 1), np.ones(shape, bool)
        high = pixels >= 128
        red = high[..., 0] & ~high[..., 1] & ~high[..., 2]
        blue = high[..., 2] & ~high[..., 0] & ~high[..., 1]
        unclear = high.any(axis=2) & ~red & ~blue
        return {"red": red, "blue": blue}[self.colour], ~unclear
