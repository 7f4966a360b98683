"""Outlines of compact regions: the largest piece, its edge along rays, its extent to a fraction of a pixel."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

RAYS = 360  # one degree apart
ANGLES: Floats = np.radians(np.arange(RAYS, dtype=np.float64))
"""Directions of the rays, radians: 0 along x, growing towards y (clockwise on the screen)."""

HARMONICS = 6  # of an outline: finer than 60 degrees is mostly the pixel grid
STEP = 0.5  # px along a ray
CAP_ROWS = 7  # fewest rows that tell where a region ends


def around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the part of a mask that is not empty, and `margin` px about it as far as there are."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin)


def outer(mask: Mask) -> NDArray[np.int32]:
    """Outer border of the largest component of a mask that is not empty, 8-connected: pixels (n, 1, 2), x and y."""
    rows, columns = around(mask, 0)
    part, corner = mask[rows, columns].view(np.uint8), (columns.start, rows.start)
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=corner)
    areas = [cv2.contourArea(c) + len(c) / 2 + 1 for c in contours]  # Pick's theorem: pixels, border included
    return np.asarray(contours[int(np.argmax(areas))], np.int32)


def largest(mask: Mask) -> Mask:
    """Largest component of a mask, 8-connected, holes filled; empty if the mask is."""
    out = np.zeros(mask.shape, np.uint8)
    if mask.any():
        cv2.drawContours(out, [outer(mask)], 0, 1, cv2.FILLED)
    return out.view(np.bool_)


def radii(mask: Mask, centre: tuple[float, float]) -> Floats:
    """Distance from a centre to the outermost edge along each ray.

    Parameters
    ----------
    mask : (size, size) bool
    centre : (float, float)
        X and y, px.

    Returns
    -------
    (RAYS,) float
        Px, where the bilinear mask falls through one half for the last time; 0 on a ray that does not meet it.
    """
    box = cv2.boundingRect(mask.view(np.uint8))
    if not box[2]:
        return np.zeros(RAYS)
    corners = np.array([[box[0] + i * box[2], box[1] + j * box[3]] for i in (0, 1) for j in (0, 1)])
    reach = float(np.hypot(*(corners - np.asarray(centre)).T).max()) + 2
    along = np.arange(0, reach + STEP, STEP)
    x = (centre[0] - box[0] + np.outer(np.cos(ANGLES), along)).astype(np.float32)
    y = (centre[1] - box[1] + np.outer(np.sin(ANGLES), along)).astype(np.float32)
    part = mask[box[1] : box[1] + box[3], box[0] : box[0] + box[2]].astype(np.float32)
    values = cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    inside = values >= 0.5
    last = along.size - 1 - inside[:, ::-1].argmax(axis=1)
    last = np.minimum(last, along.size - 2)
    rays = np.arange(RAYS)
    before, after = values[rays, last].astype(float), values[rays, last + 1].astype(float)
    fall = np.where(before > after, before - after, 1.0)
    return np.where(inside.any(axis=1), along[last] + STEP * (before - 0.5) / fall, 0.0)


def beyond(mask: Mask, centre: tuple[float, float], edge: Floats, reach: float) -> Floats:
    """Length of a mask along each ray, from an edge on.

    Parameters
    ----------
    mask : (size, size) bool
    centre : (float, float)
        X and y, px.
    edge : (RAYS,) float
        Where on each ray to begin, px from the centre.
    reach : float
        How far to go on, px.

    Returns
    -------
    (RAYS,) float
        Px, to :data:`STEP`; gaps do not count.
    """
    if not mask.any():
        return np.zeros(RAYS)
    along = edge[:, None] + np.arange(STEP / 2, reach, STEP)
    x = (centre[0] + np.cos(ANGLES)[:, None] * along).astype(np.float32)
    y = (centre[1] + np.sin(ANGLES)[:, None] * along).astype(np.float32)
    box = around(mask, 0)
    x, y = x - np.float32(box[1].start), y - np.float32(box[0].start)
    values = cv2.remap(mask[box].astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(np.count_nonzero(values >= 0.5, axis=1) * STEP, np.float64)


def smooth(radius: Floats) -> Floats:
    """Free an outline (RAYS,) of the pixel grid by its first ``HARMONICS`` Fourier terms."""
    spectrum = np.fft.rfft(radius)
    spectrum[HARMONICS + 1 :] = 0
    return np.asarray(np.fft.irfft(spectrum, RAYS), float)


def widths(radius: Floats) -> Floats:
    """Extents of an outline (RAYS,) along the first half of :data:`ANGLES`, px, freed of the pixel grid."""
    points = smooth(radius)[:, None] * np.column_stack([np.cos(ANGLES), np.sin(ANGLES)])
    half = ANGLES[: RAYS // 2]
    return np.asarray(np.ptp(points @ np.stack([np.cos(half), np.sin(half)]), axis=0), float)


def extent(mask: Mask) -> tuple[float, float]:
    """Extent of a region along x and along y.

    Rows and columns are whole, so that counting them is off by up to a pixel. Here half of the region is taken for part
    of an ellipse, whose squared chords are a parabola of the height: all its chords tell where the top is. For ellipses
    of 60 px and more the error has a standard deviation of 0.06 px or less; that of counting is 0.4 px.

    Parameters
    ----------
    mask : (size, size) bool
        One component without holes.

    Returns
    -------
    across, down : float
        Px; at most 1 px off the number of columns and rows.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    part = mask[y : y + height, x : x + width]
    across, down = (np.count_nonzero(part, axis=axis) for axis in (0, 1))
    return _span(across), _span(down)


def _span(chord: NDArray[np.int64]) -> float:
    return float(chord.size - 1 + _beyond(chord) + _beyond(chord[::-1]))


def _beyond(chord: NDArray[np.int64]) -> float:
    """How far (0-1 px) the end lies beyond the middle of the first row, from the pixels in each row."""
    rows = min(chord.size, max(CAP_ROWS, chord.size // 2))
    if rows < 4:
        return 0.5
    width = chord[:rows].astype(float)
    roots = np.roots(np.polyfit(np.arange(rows), width**2, 2, w=1 / width))  # a chord is off by the same at any length
    ends = -roots[np.isreal(roots)].real
    return float(np.clip(ends[np.argmin(np.abs(ends - 0.5))], 0, 1)) if ends.size else 0.5


def pixels_in(corners: NDArray[Any]) -> float:
    """Number of pixels in a convex polygon (n, 2) int32 of pixels, its border included: Pick's theorem."""
    sides = np.abs(np.diff(corners, axis=0, append=corners[:1]))
    return cv2.contourArea(corners) + float(np.gcd(sides[:, 0], sides[:, 1]).sum()) / 2 + 1
