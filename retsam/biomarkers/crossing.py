"""Where arteries cross veins, and how wide the vein is on both sides of the artery.

A crossing is where the two centrelines meet inside the overlap of the two masks. In one overlap the centrelines of the
same two vessels may meet several times, by chance of the pixels; an odd number is one crossing, an even number a touch.
Everything works on arrays over all steps of the centrelines or over all crossings at once.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from retsam.biomarkers.centreline import Centreline, row_medians

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEAR = 1.0  # vein widths beyond the artery's edge that are beside the crossing
FAR = (2.0, 5.0)  # and between these the vein is away from it
NEAR_POINTS, FAR_POINTS = 3, 6  # fewest points with both edges on each side
WINDOW = 80  # points of the vein on either side of a crossing that may tell its width
LEAST_WIDTH = 5.0  # px; half a pixel of a thinner vein is more than a tenth
_STEP = 3.0  # px; steps that meet have their middles closer than this


@dataclass(frozen=True)
class Crossings:
    """Places (C, 2) of crossings in frame px, and the vein's width beside the artery over that away from it (C,).

    The ratio is the mean of the two sides'; NaN where a side is too short or the vein too thin.
    """

    xy: Floats
    narrowing: Floats


def crossings(artery: Centreline, vein: Centreline, artery_mask: Bools, vein_mask: Bools) -> Crossings:
    """Find the crossings of two trees.

    Parameters
    ----------
    artery, vein : Centreline
        Of the two masks.
    artery_mask, vein_mask : (size, size) bool
        They overlap where the vessels cross; a mask that is broken there shows no crossing.

    Returns
    -------
    Crossings
    """
    overlap = cv2.dilate((artery_mask & vein_mask).astype(np.uint8), np.ones((3, 3), np.uint8))
    label = np.asarray(cv2.connectedComponents(overlap, connectivity=8)[1], np.int32)
    xy, of_artery, of_vein = _meetings(artery, vein, label)
    if not len(xy):
        return Crossings(np.empty((0, 2)), np.empty(0))
    piece = _at(label, xy)
    key = np.column_stack([piece, artery.path_segment[of_artery], vein.path_segment[of_vein]])
    _, first, group, count = np.unique(key, axis=0, return_index=True, return_inverse=True, return_counts=True)
    group = group.ravel()
    odd = count % 2 == 1
    place = np.column_stack([np.bincount(group, xy[:, axis]) / count for axis in (0, 1)])[odd]
    middle = np.rint(np.bincount(group, of_vein) / count).astype(np.int64)[odd]
    return Crossings(place, _narrowing(vein, place, middle, piece[first][odd], label, artery_mask))


def _meetings(artery: Centreline, vein: Centreline, label: NDArray[np.int32]) -> tuple[Floats, Ints, Ints]:
    """Points (M, 2) where steps of the two centrelines meet in an overlap, and the first point of each step."""
    a, b = _steps(artery, label), _steps(vein, label)
    if not (a.size and b.size):
        return np.empty((0, 2)), a, b
    trees = [cKDTree((line.path[s] + line.path[s + 1]) / 2) for line, s in ((artery, a), (vein, b))]
    pairs = trees[0].sparse_distance_matrix(trees[1], _STEP, output_type="ndarray")
    a, b = a[pairs["i"]], b[pairs["j"]]
    start, way = artery.path[a], artery.path[a + 1] - artery.path[a]
    gap, other = vein.path[b] - start, vein.path[b + 1] - vein.path[b]
    turn = _cross(way, other)
    level = turn == 0  # parallel steps do not cross
    turn = np.where(level, 1, turn)
    s, t = _cross(gap, other) / turn, _cross(gap, way) / turn
    hit = ~level & (s >= 0) & (s < 1) & (t >= 0) & (t < 1)
    return start[hit] + s[hit, None] * way[hit], a[hit], b[hit]


def _steps(line: Centreline, label: NDArray[np.int32]) -> Ints:
    """First points (n,) of the steps along a segment whose middle lies in an overlap."""
    at = np.flatnonzero(np.diff(line.path_segment) == 0)
    return at[_at(label, (line.path[at] + line.path[at + 1]) / 2) > 0]


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], float)


def _at(image: NDArray[np.int32] | Bools, xy: Floats) -> Ints:
    """Values (n,) of an image at the pixels of frame points (n, 2)."""
    x, y = np.clip(np.rint(xy), 0, image.shape[0] - 1).astype(np.int64).T
    return image[y, x].astype(np.int64)


def _narrowing(
    vein: Centreline, place: Floats, at: Ints, piece: Ints, label: NDArray[np.int32], artery: Bools
) -> Floats:
    """Width of the vein beside each crossing (C, 2) over its width farther away, mean of both sides.

    ``at`` is the point of the vein's path at the crossing and ``piece`` the label of its overlap.
    """
    unit = label.shape[0] / 1024
    if not vein.on_path.size:
        return np.full(len(place), np.nan)
    reach = round(WINDOW * unit)
    index = np.searchsorted(vein.on_path, at)[:, None] + np.arange(-reach, reach)
    exists = (index >= 0) & (index < vein.on_path.size)
    index = np.where(exists, index, 0)
    xy = vein.xy[index]
    own = exists & (vein.segment[index] == vein.path_segment[at][:, None])
    away = np.hypot(*(xy - place[:, None]).transpose(2, 0, 1))
    width = np.where(own, vein.width[index], np.nan)
    inside = own & (_at(label, xy.reshape(-1, 2)).reshape(index.shape) == piece[:, None])
    free = own & (_at(artery, xy.reshape(-1, 2)).reshape(index.shape) == 0) & ~inside
    scale = row_medians(width)
    ratio = []
    for side in (vein.on_path[index] <= at[:, None], vein.on_path[index] > at[:, None]):
        beyond = away - np.max(np.where(inside & side, away, 0), axis=1)[:, None]
        near = free & side & (beyond > 0) & (beyond <= NEAR * scale[:, None])
        far = free & side & (beyond > FAR[0] * scale[:, None]) & (beyond <= FAR[1] * scale[:, None])
        enough = (near.sum(axis=1) >= NEAR_POINTS * unit) & (far.sum(axis=1) >= FAR_POINTS * unit)
        enough &= near.any(axis=1) & far.any(axis=1)
        sides = (row_medians(np.where(chosen, width, np.nan)) for chosen in (near, far))
        ratio.append(np.where(enough, np.divide(*sides), np.nan))
    return np.where(scale >= LEAST_WIDTH * unit, (ratio[0] + ratio[1]) / 2, np.nan)
