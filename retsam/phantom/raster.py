"""From degrees to pixels: grids, and vessels drawn as exact signed distances.

A vessel is a chain of short round-ended strokes; each pixel keeps the largest ``radius - distance``. No polygon fill is
involved, so calibres are exact to a few hundredths of a pixel, independent of direction, and a mirrored eye gives the
mirrored picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retsam.geometry import Frame
from retsam.phantom.vessels import Segment

STROKE = 1.0
"""Longest stroke that a centreline is cut into, pixels."""
FAR = -4.0
"""Signed distance of pixels that no vessel comes near, pixels."""


@dataclass(frozen=True)
class Strokes:
    """Straight round-ended strokes, pixels: middles (n, 2), vectors from middle to end (n, 2), radii (n,)."""

    middle: NDArray[np.float64]
    half: NDArray[np.float64]
    radius: NDArray[np.float64]


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


def resample(segments: Sequence[Segment], grid: Grid) -> Strokes:
    """Cut centrelines into straight strokes of at most :data:`STROKE` pixels."""
    if not segments:
        return Strokes(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    sizes = np.array([len(s.points) for s in segments])
    xy = grid.to_px(np.concatenate([s.points for s in segments]))
    radius = np.concatenate([s.radius for s in segments]) * grid.scale
    steps = np.hypot(*np.diff(xy, axis=0).T)
    last = np.cumsum(sizes) - 1
    steps[last[:-1]] = 1.0  # a gap between segments on the one axis that all of them are interpolated along
    along = np.concatenate([[0.0], np.cumsum(steps)])
    first, lengths = along[last - sizes + 1], along[last] - along[last - sizes + 1]
    counts = (lengths / STROKE).astype(int) + 1
    owner = np.repeat(np.arange(len(segments)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = (lengths / counts)[owner]
    starts = first[owner] + number * step
    ends = [
        np.stack([np.interp(at, along, xy[:, 0]), np.interp(at, along, xy[:, 1])], 1) for at in (starts, starts + step)
    ]
    return Strokes((ends[1] + ends[0]) / 2, (ends[1] - ends[0]) / 2, np.interp(starts + step / 2, along, radius))


def signed_distance(strokes: Strokes, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Largest ``radius - distance`` over strokes, in pixels.

    Parameters
    ----------
    strokes : Strokes
        Any of them may lie outside.
    shape : tuple of int
        Height and width.

    Returns
    -------
    shape float32
        Positive inside, exact down to about -1 pixel outside, never below :data:`FAR`.
    """
    height, width = shape
    reach = np.ceil(strokes.radius + np.hypot(*strokes.half.T) + 1.5).astype(int)
    margin = 2 * int(reach.max(initial=1)) + 1  # a stroke centred outside may still reach in
    stride = width + 2 * margin
    out = np.full((height + 2 * margin) * stride, FAR, np.float32)
    nearest = np.rint(strokes.middle).astype(int)
    beyond = np.array([width, height]) + reach[:, None]
    inside = ((nearest >= -reach[:, None]) & (nearest < beyond)).all(axis=1)
    for size in np.unique(reach[inside]):
        chosen = np.flatnonzero(inside & (reach == size))
        offset = np.arange(-size, size + 1)
        start = (nearest[chosen, 1] + margin) * stride + nearest[chosen, 0] + margin
        index = start[:, None, None] + (offset[:, None] * stride + offset[None, :])[None]
        np.maximum.at(out, index.ravel(), _inside_stroke(strokes, chosen, nearest[chosen], offset).ravel())
    return out.reshape(height + 2 * margin, stride)[margin : margin + height, margin : margin + width]


def _inside_stroke(
    strokes: Strokes, chosen: NDArray[np.intp], nearest: NDArray[np.int_], offset: NDArray[np.int_]
) -> NDArray[np.float32]:
    """Radius minus distance (n, k, k) of the pixels around each chosen stroke to its line from end to end."""
    delta = (nearest - strokes.middle[chosen]).astype(np.float32)
    dx = delta[:, 0, None, None] + offset.astype(np.float32)[None, None, :]
    dy = delta[:, 1, None, None] + offset.astype(np.float32)[None, :, None]
    half = strokes.half[chosen].astype(np.float32)[:, :, None, None]
    squared = np.maximum((half**2).sum(axis=1), np.float32(1e-12))
    along = np.clip((dx * half[:, 0] + dy * half[:, 1]) / squared, -1.0, 1.0)
    distance = np.hypot(dx - along * half[:, 0], dy - along * half[:, 1])
    return strokes.radius[chosen].astype(np.float32)[:, None, None] - distance
