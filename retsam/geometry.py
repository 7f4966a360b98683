"""The canonical frame and its exact inverse.

One geometry chain for everything: the square around the field-of-view circle is cropped (padded with black where it
leaves the photograph) and resized isotropically to ``frame_size``. Masks, points and biomarkers live in that frame; the
three integers of the crop bring them back to the photograph's own pixels. Pixel centres have integer coordinates.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Frame:
    """Canonical frame of one photograph.

    Attributes
    ----------
    width, height : int
        Photograph, pixels (after EXIF orientation).
    frame_size : int
        Side of the frame, pixels; a multiple of 64.
    crop_x, crop_y, crop_side : int
        Square cut from the photograph, in its pixels; may reach outside (negative or beyond the border).
    fov_x, fov_y, fov_radius : float
        Field-of-view circle in photograph pixels.
    """

    width: int
    height: int
    frame_size: int
    crop_x: int
    crop_y: int
    crop_side: int
    fov_x: float
    fov_y: float
    fov_radius: float

    @property
    def scale(self) -> float:
        """Frame pixels per photograph pixel."""
        return self.frame_size / self.crop_side

    def to_frame(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Map photograph points (..., 2) as x, y in pixels to the frame."""
        offset = np.array([self.crop_x, self.crop_y], float)
        return (np.asarray(xy, float) - offset + 0.5) * self.scale - 0.5

    def to_photo(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Map frame points (..., 2) back to photograph pixels; inverse of :meth:`to_frame`."""
        offset = np.array([self.crop_x, self.crop_y], float)
        return (np.asarray(xy, float) + 0.5) / self.scale - 0.5 + offset

    def _overlap(self) -> tuple[slice, slice, slice, slice]:
        """Slices (photo rows, photo columns, crop rows, crop columns) of the part that both have."""
        x0, y0 = max(self.crop_x, 0), max(self.crop_y, 0)
        x1 = max(min(self.crop_x + self.crop_side, self.width), x0)
        y1 = max(min(self.crop_y + self.crop_side, self.height), y0)
        return (
            slice(y0, y1),
            slice(x0, x1),
            slice(y0 - self.crop_y, y1 - self.crop_y),
            slice(x0 - self.crop_x, x1 - self.crop_x),
        )

    def warp(self, image: NDArray[Any]) -> NDArray[Any]:
        """Bring a photograph into the frame.

        Parameters
        ----------
        image : (height, width) or (height, width, 3) uint8 or float32
            A boolean mask is returned as boolean.

        Returns
        -------
        (frame_size, frame_size[, 3]) array of the same dtype
            Area averaging when shrinking, cubic (linear for masks) when enlarging; black outside the photograph.
        """
        if image.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"image is {image.shape[1]}x{image.shape[0]}, the frame was made for {self.width}x{self.height}"
            )
        is_mask = image.dtype == bool
        source = image.astype(np.float32) if is_mask else image
        crop = np.zeros((self.crop_side, self.crop_side, *image.shape[2:]), source.dtype)
        rows, cols, crop_rows, crop_cols = self._overlap()
        crop[crop_rows, crop_cols] = source[rows, cols]
        enlarge = cv2.INTER_LINEAR if is_mask else cv2.INTER_CUBIC
        interpolation = cv2.INTER_AREA if self.scale < 1 else enlarge
        out = cv2.resize(crop, (self.frame_size, self.frame_size), interpolation=interpolation)
        return out >= 0.5 if is_mask else out

    def unwarp(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring frame values (a probability map) back to the photograph.

        Parameters
        ----------
        values : (frame_size, frame_size) float32

        Returns
        -------
        (height, width) float32
            Linear when enlarging, area averaging when shrinking; 0 where the frame does not reach.
        """
        interpolation = cv2.INTER_LINEAR if self.scale < 1 else cv2.INTER_AREA
        crop = cv2.resize(values, (self.crop_side, self.crop_side), interpolation=interpolation)
        out = np.zeros((self.height, self.width), np.float32)
        rows, cols, crop_rows, crop_cols = self._overlap()
        out[rows, cols] = crop[crop_rows, crop_cols]
        return out

    def unwarp_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring a frame mask (frame_size, frame_size) bool back to the photograph (height, width) bool."""
        return self.unwarp(mask.astype(np.float32)) >= 0.5

    def as_row(self) -> dict[str, Any]:
        """Columns of ``tables.FRAME_COLUMNS``."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """Rebuild from a mapping or Series with the columns of ``tables.FRAME_COLUMNS``."""
        ints = ("width", "height", "frame_size", "crop_x", "crop_y", "crop_side")
        floats = ("fov_x", "fov_y", "fov_radius")
        return cls(**{k: int(row[k]) for k in ints}, **{k: float(row[k]) for k in floats})
