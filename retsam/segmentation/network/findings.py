"""Probability maps to findings: the little that is done after the network.

- Vessels are all that is vessel, artery or vein.
- The optic disc is one part above its threshold, its holes filled: of several the one that is sure, round and crossed
  by vessels, which a reflex at the edge of the field is not. The cup is what lies inside the disc.
- The fovea is the highest place of its smoothed map, refined to the centroid around it; its mask is a circle of one
  disc diameter there. Where the disc is seen, places at a fovea's usual distance and angle from it come first, and
  faint ones count there.
- Everything else is what lies above its threshold.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.segmentation.engine import Prediction
from retsam.status import Status
from retsam.taxonomy import TARGETS, TREES

SMOOTHING = 0.004
"""Standard deviation of the fovea's smoothing, frame sides: a third of the heat map's, so that its height stays."""

REACH = 0.024
"""Half side of the window around the highest place, frame sides: two standard deviations of the heat map."""

DISTANCE, DISTANCE_SPREAD = 2.5, 0.35
ANGLE, ANGLE_SPREAD = 8.0, 8.0
"""Of the fovea from the middle of the disc: disc diameters, and degrees below the horizontal; standard deviations.

Jonas 2015, doi 10.1371/journal.pone.0141771: the angle is 7.8 +- 3.6 degrees; training frames of IDRiD have 2.45 +-
0.24 diameters and 8.3 +- 4.0 degrees. The spreads are wider, for discs that are large, small or tilted and for cameras
held at a slant.
"""
OFF_CENTRE = 0.25
"""Of the field's radius: a disc farther to a side has the fovea on the side of the middle."""

ANYWHERE = 0.05
"""Weight of all other places: alone above the threshold, a fovea is taken wherever it is."""

USUAL = 0.1
"""Weight of a place from which it is a usual one."""

FAINT = 1e-6
"""Probability from which a usual place counts: every eye has a fovea, and a map of one hard to see is nearly empty."""

SERIOUS, BARE = 0.1, 0.05
"""Parts of a disc's mask: share of the largest one's area from which one counts; weight of one without any vessel."""

DEFAULT_DIAMETER = 0.15
"""Disc diameter in frame sides where none is seen: 7 of a field of 45 degrees."""

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


def find(
    maps: Mapping[str, Map],
    thresholds: Mapping[str, float],
    fov: Mask,
    reaches: Callable[[str, float], bool] = lambda name, threshold: True,
) -> Prediction:
    """Turn the maps of one frame into findings.

    Parameters
    ----------
    maps : mapping of str to (S, S) float32
        Probability of each declared target, 0-1, 0 outside the field of view.
    thresholds : mapping of str to float
        Of the same targets.
    fov : (S, S) bool
    reaches : callable
        Whether a target's map may exceed a threshold anywhere; where it cannot, the map is not asked for.

    Returns
    -------
    Prediction
        Anatomy of which nothing is found is ``not_visible``: every eye has it. A finding of which there is nothing is
        ``ok`` with an empty mask.
    """
    nothing = np.zeros_like(fov)
    possible = {name for name in maps if reaches(name, thresholds[name])}
    masks = {name: (maps[name] > thresholds[name]) & fov if name in possible else nothing for name in maps}
    points: dict[str, tuple[float, float]] = {}
    if "vessel" in masks:
        masks["vessel"] = reduce(np.logical_or, [masks[name] for name in TREES if name in masks])
    if "optic_disc" in masks:
        heat = maps["optic_disc"] if "optic_disc" in possible else np.zeros(fov.shape, np.float32)
        masks["optic_disc"] = disc_part(masks["optic_disc"], heat, masks.get("vessel")) & fov
        if masks["optic_disc"].any():
            points["optic_disc"] = _centroid(masks["optic_disc"])
        if "optic_cup" in masks:
            masks["optic_cup"] = masks["optic_cup"] & masks["optic_disc"]
    if "fovea" in maps:
        likely = fovea_places(masks.get("optic_disc"), fov)
        least = thresholds["fovea"] if likely is None else min(thresholds["fovea"], FAINT)
        place = peak(maps["fovea"], thresholds["fovea"], fov, likely) if reaches("fovea", least) else None
        diameter = _diameter(masks.get("optic_disc"), len(fov))
        masks["fovea"] = nothing if place is None else circle(place, diameter, fov)
        if place is not None:
            points["fovea"] = place
    return _prediction(maps, masks, points)


def _prediction(
    maps: Mapping[str, Map], masks: Mapping[str, Mask], points: dict[str, tuple[float, float]]
) -> Prediction:
    missing = {name for name in maps if TARGETS[name].group == "anatomy" and not masks[name].any()}
    return Prediction(
        status={name: Status.NOT_VISIBLE if name in missing else Status.OK for name in maps},
        masks={name: masks[name] for name in maps if name not in missing},
        probability=_Part(maps, [name for name in maps if name not in missing or name in TREES]),
        points=points,
    )


class _Part(Mapping[str, Map]):
    """Some entries of a mapping, not looked up before they are asked for: a map may be made only then."""

    def __init__(self, values: Mapping[str, Map], names: Sequence[str]) -> None:
        self._values, self._names = values, names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Map:
        if name not in self._names:
            raise KeyError(name)
        return self._values[name]


def disc_part(mask: Mask, heat: Map, vessels: Mask | None) -> Mask:
    """Choose the connected part of a mask that is most like an optic disc, and fill its holes.

    Parameters
    ----------
    mask : (S, S) bool
        Diagonal neighbours are connected.
    heat : (S, S) float32
        Probability of the disc.
    vessels : (S, S) bool or None
        None where the network has no vessels.

    Returns
    -------
    (S, S) bool
        Of the parts that have at least ``SERIOUS`` of the largest one's area, the one with the highest product of mean
        probability, roundness (share of the circle around its longer side) and share of vessels plus ``BARE``.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    areas = stats[1:, cv2.CC_STAT_AREA]
    serious = [int(i) + 1 for i in np.flatnonzero(areas >= SERIOUS * areas.max())]

    def likeness(label: int) -> float:
        left, top, width, height, area = (int(value) for value in stats[label])
        box = slice(top, top + height), slice(left, left + width)
        inside = labels[box] == label
        crossed = BARE + (float(vessels[box][inside].mean()) if vessels is not None else 0.0)
        return float(heat[box][inside].mean()) * area / (0.25 * math.pi * max(width, height) ** 2) * crossed

    return _filled(labels, max(serious, key=likeness) if len(serious) > 1 else serious[0], stats)


def _filled(labels: NDArray[Any], label: int, stats: NDArray[Any]) -> Mask:
    """One connected part with its holes filled."""
    left, top, width, height, _ = (int(value) for value in stats[label])
    box = slice(top, top + height), slice(left, left + width)
    # A hole is background that does not hang together with the outside of the box around the part.
    around = np.pad(labels[box] != label, 1, constant_values=True).astype(np.uint8)
    _, outside = cv2.connectedComponents(around, connectivity=4)
    whole = np.zeros(labels.shape, bool)
    whole[box] = outside[1:-1, 1:-1] != outside[0, 0]
    return whole


def fovea_places(disc: Mask | None, fov: Mask) -> Map | None:
    """How usual each place of a frame is for the fovea, (S, S) float32 of 0-1; None without a disc.

    The frame does not say whether the eye is left or right. A disc in the middle of the field may have its fovea on
    either side, one at a side has it towards the middle.
    """
    if disc is None or not disc.any():
        return None
    size = len(fov)
    (x, y), (middle, _) = _centroid(disc), _centroid(fov)
    diameter = _diameter(disc, size)
    step = max(size // 256, 1)  # smooth: a coarse grid will do
    at = np.arange(step / 2 - 0.5, size, step)
    across, down = (at[None, :] - x) / diameter, (at[:, None] - y) / diameter
    if abs(middle - x) > OFF_CENTRE * _diameter(fov, size) / 2:
        across = across * np.sign(middle - x)
    else:
        across = np.abs(across)
    distance = (np.hypot(across, down) - DISTANCE) / DISTANCE_SPREAD
    angle = (np.degrees(np.arctan2(down, across)) - ANGLE) / ANGLE_SPREAD
    usual = np.exp(-0.5 * (distance**2 + angle**2)).astype(np.float32)
    return np.asarray(cv2.resize(usual, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def peak(heat: Map, threshold: float, fov: Mask, likely: Map | None = None) -> tuple[float, float] | None:
    """Find the fovea in its heat map.

    Parameters
    ----------
    heat : (S, S) float32
    threshold : float
        That it has to exceed there; at usual places, where the most usual one is in view, :data:`FAINT` instead.
    fov : (S, S) bool
    likely : (S, S) float32, optional
        How usual a place is, 0-1: weighs in the choice between places.

    Returns
    -------
    (x, y) or None
        To parts of a pixel; None if no place counts.
    """
    size = heat.shape[0]
    blurred = cv2.GaussianBlur(heat, (0, 0), SMOOTHING * size, borderType=cv2.BORDER_CONSTANT)
    smooth = np.where(fov, blurred, 0).astype(np.float32)
    counts, candidates = smooth > threshold, smooth
    if likely is not None:
        if fov[np.unravel_index(int(likely.argmax()), likely.shape)]:
            counts |= (likely > USUAL) & (smooth > FAINT)
        candidates = smooth * (ANYWHERE + (1.0 - ANYWHERE) * likely)
    candidates = np.where(counts, candidates, 0.0)
    row, col = divmod(int(candidates.argmax()), size)
    if not counts[row, col]:
        return None
    return _refined(smooth, fov, row, col)


def _refined(smooth: Map, fov: Mask, row: int, col: int) -> tuple[float, float]:
    """Centroid around a place of what is above half of its height, which does not reach the window's edge."""
    reach = max(round(REACH * smooth.shape[0]), 1)
    top, left = max(row - reach, 0), max(col - reach, 0)
    window = smooth[top : row + reach + 1, left : col + reach + 1].astype(np.float64)
    weight = np.clip(window - 0.5 * float(smooth[row, col]), 0.0, None)
    rows, cols = np.mgrid[: window.shape[0], : window.shape[1]]
    x, y = (float((weight * at).sum() / weight.sum()) for at in (cols + left, rows + top))
    return (x, y) if fov[round(y), round(x)] else (float(col), float(row))


def circle(place: tuple[float, float], diameter: float, fov: Mask) -> Mask:
    """Pixels of the field of view within half a diameter, pixels, of a place x, y; at least those next to it."""
    radius = max(0.5 * diameter, 1.0)
    across, down = (
        np.arange(max(math.floor(at - radius), 0), min(math.ceil(at + radius) + 1, side))
        for at, side in zip(place, fov.shape[::-1], strict=True)
    )
    box = np.ix_(down, across)
    mask = np.zeros_like(fov)
    mask[box] = (np.hypot((across - place[0])[None, :], (down - place[1])[:, None]) <= radius) & fov[box]
    return mask


def _diameter(disc: Mask | None, size: int) -> float:
    """Diameter in pixels of the circle with the disc's area, or the default."""
    if disc is None or not disc.any():
        return DEFAULT_DIAMETER * size
    return 2.0 * math.sqrt(int(disc.sum()) / math.pi)


def _centroid(mask: Mask) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    return float(cols.mean()), float(rows.mean())
