"""From degrees to pixels: grids, and vessels drawn as exact signed distances.

A capsule chain is drawn by stamping discs along the centreline and keeping, per pixel, the largest
``radius - distance``. No polygon fill is involved, so calibres are exact to a few hundredths of a pixel, independent of
direction, and a mirrored eye gives the mirrored picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retsam.geometry import Frame
from retsam.phantom.vessels import Segment

SPACING = 0.5
"""Distance of stamped discs along a centreline, pixels."""
FAR = -4.0
"""Signed distance of pixels that no vessel comes near, pixels."""


@dataclass(frozen=True)
class Grid:
    """A pixel grid laid over the retina: ``x = x0 + sign * scale * u``, ``y = y0 + scale * v``.

    Attributes
    ----------
    width, height : int
        Pixels.
    x0, y0 : float
        Disc centre, pixels; pixel centres have integer coordinates.
    scale : float
        Pixels per degree.
    sign : int
        Direction of temporal in the picture: -1 (left) for OD, +1 for OS.
    """

    width: int
    height: int
    x0: float
    y0: float
    scale: float
    sign: int

    def to_px(self, uv: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) as x, y of retinal points (..., 2) in degrees (temporal, inferior)."""
        return np.asarray(uv, float) * self.scale * [self.sign, 1] + [self.x0, self.y0]

    def to_degrees(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Inverse of :meth:`to_px`."""
        return (np.asarray(xy, float) - [self.x0, self.y0]) / (self.scale * np.array([self.sign, 1]))

    def coordinates(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Degrees temporal (1, width) and inferior (height, 1) of the pixel centres."""
        u = (np.arange(self.width) - self.x0) / (self.scale * self.sign)
        v = (np.arange(self.height) - self.y0) / self.scale
        return u.astype(np.float32)[None, :], v.astype(np.float32)[:, None]

    def in_frame(self, frame: Frame) -> Self:
        """Return the same retina on the pixels of the canonical frame of a photograph with this grid."""
        x0, y0 = frame.to_frame([self.x0, self.y0])
        size = frame.frame_size
        return replace(self, width=size, height=size, x0=float(x0), y0=float(y0), scale=self.scale * frame.scale)


def resample(segments: Sequence[Segment], grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centrelines at :data:`SPACING` pixels: positions (n, 2) and radii (n,), pixels."""
    places, radii = [np.zeros((0, 2))], [np.zeros(0)]
    for segment in segments:
        xy = grid.to_px(segment.points)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        wanted = np.linspace(0.0, along[-1], int(along[-1] / SPACING) + 2)
        places.append(np.stack([np.interp(wanted, along, xy[:, 0]), np.interp(wanted, along, xy[:, 1])], axis=1))
        radii.append(np.interp(wanted, along, segment.radius * grid.scale))
    return np.concatenate(places), np.concatenate(radii)


def signed_distance(
    xy: NDArray[np.float64], radius: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Largest ``radius - distance`` over discs, in pixels.

    Parameters
    ----------
    xy : (n, 2) float
        Disc centres, pixels.
    radius : (n,) float
        Pixels.
    shape : tuple of int
        Height and width.

    Returns
    -------
    shape float32
        Positive inside, exact down to about -1 pixel outside, never below :data:`FAR`.
    """
    height, width = shape
    reach = np.ceil(radius + 1.5).astype(int)
    margin = 2 * int(reach.max(initial=1)) + 1  # a disc centred outside may still reach in
    stride = width + 2 * margin
    out = np.full((height + 2 * margin) * stride, FAR, np.float32)
    nearest = np.rint(xy).astype(int)
    inside = (nearest >= -reach[:, None]).all(axis=1) & (nearest < np.array([width, height]) + reach[:, None]).all(
        axis=1
    )
    for size in np.unique(reach[inside]):
        chosen = inside & (reach == size)
        offset = np.arange(-size, size + 1)
        delta = (nearest[chosen] - xy[chosen]).astype(np.float32)
        dx = delta[:, 0, None, None] + offset.astype(np.float32)[None, None, :]
        dy = delta[:, 1, None, None] + offset.astype(np.float32)[None, :, None]
        value = radius[chosen].astype(np.float32)[:, None, None] - np.sqrt(dx * dx + dy * dy)
        start = (nearest[chosen, 1] + margin) * stride + nearest[chosen, 0] + margin
        index = start[:, None, None] + (offset[:, None] * stride + offset[None, :])[None]
        np.maximum.at(out, index.ravel(), value.ravel())
    return out.reshape(height + 2 * margin, stride)[margin : margin + height, margin : margin + width]
