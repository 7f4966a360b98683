"""Probability maps to findings: the little that is done after the network.

- Vessels are all that is vessel, artery or vein.
- The optic disc is the largest part above its threshold, its holes filled; the cup is what lies inside the disc.
- The fovea is the highest place of its smoothed map, refined to the centroid around it; its mask is a circle of one
  disc diameter there.
- Everything else is what lies above its threshold.
"""

import math
from collections.abc import Mapping

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

DEFAULT_DIAMETER = 0.15
"""Disc diameter in frame sides where none is seen: 7 of a field of 45 degrees."""

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


def find(maps: Mapping[str, Map], thresholds: Mapping[str, float], fov: Mask) -> Prediction:
    """Turn the maps of one frame into findings.

    Parameters
    ----------
    maps : mapping of str to (S, S) float32
        Probability of each declared target, 0-1, 0 outside the field of view.
    thresholds : mapping of str to float
        Of the same targets.
    fov : (S, S) bool

    Returns
    -------
    Prediction
        Anatomy of which nothing is found is ``not_visible``: every eye has it. A finding of which there is nothing is
        ``ok`` with an empty mask.
    """
    masks = {name: (values > thresholds[name]) & fov for name, values in maps.items() if name != "fovea"}
    points: dict[str, tuple[float, float]] = {}
    if "vessel" in masks:
        masks["vessel"] = np.logical_or.reduce([masks[name] for name in TREES if name in masks])
    if "optic_disc" in masks:
        masks["optic_disc"] = whole_part(masks["optic_disc"]) & fov
        if masks["optic_disc"].any():
            points["optic_disc"] = _centroid(masks["optic_disc"])
        if "optic_cup" in masks:
            masks["optic_cup"] &= masks["optic_disc"]
    if "fovea" in maps:
        place = peak(maps["fovea"], thresholds["fovea"], fov)
        masks["fovea"] = (
            np.zeros_like(fov) if place is None else circle(place, _diameter(masks.get("optic_disc"), len(fov)), fov)
        )
        if place is not None:
            points["fovea"] = place
    return _prediction(maps, masks, points)


def _prediction(
    maps: Mapping[str, Map], masks: Mapping[str, Mask], points: dict[str, tuple[float, float]]
) -> Prediction:
    found = Prediction({}, points=points)
    for name in maps:
        missing = TARGETS[name].group == "anatomy" and not masks[name].any()
        found.status[name] = Status.NOT_VISIBLE if missing else Status.OK
        if not missing:
            found.masks[name] = masks[name]
        if not missing or name in TREES:
            found.probability[name] = maps[name]
    return found


def whole_part(mask: Mask) -> Mask:
    """Return the largest connected part of a mask (S, S), diagonal neighbours counted, with its holes filled."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    part = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    # A hole is background that does not hang together with the outside of the frame.
    around = np.pad(~part, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(around, connectivity=4)
    return np.asarray(labels[1:-1, 1:-1] != labels[0, 0])


def peak(heat: Map, threshold: float, fov: Mask) -> tuple[float, float] | None:
    """Return the highest place of a heat map (S, S) with sub-pixel x, y; None if it does not reach the threshold."""
    size = heat.shape[0]
    smooth = cv2.GaussianBlur(heat, (0, 0), SMOOTHING * size, borderType=cv2.BORDER_CONSTANT) * fov
    row, col = divmod(int(smooth.argmax()), smooth.shape[1])
    height = float(smooth[row, col])
    if not height > threshold:
        return None
    reach = max(round(REACH * size), 1)
    top, left = max(row - reach, 0), max(col - reach, 0)
    window = smooth[top : row + reach + 1, left : col + reach + 1].astype(np.float64)
    weight = np.clip(
        window - 0.5 * height, 0.0, None
    )  # above half its height a heat map does not reach the window's edge
    rows, cols = np.mgrid[: window.shape[0], : window.shape[1]]
    x, y = (float((weight * at).sum() / weight.sum()) for at in (cols + left, rows + top))
    return (x, y) if fov[round(y), round(x)] else (float(col), float(row))


def circle(place: tuple[float, float], diameter: float, fov: Mask) -> Mask:
    """Pixels of the field of view within half a diameter, pixels, of a place x, y; at least those next to it."""
    x, y = (np.arange(side) for side in fov.shape[::-1])
    distance = np.hypot((x - place[0])[None, :], (y - place[1])[:, None])
    return np.asarray((distance <= max(0.5 * diameter, 1.0)) & fov)


def _diameter(disc: Mask | None, size: int) -> float:
    """Diameter in pixels of the circle with the disc's area, or the default."""
    if disc is None or not disc.any():
        return DEFAULT_DIAMETER * size
    return 2.0 * math.sqrt(int(disc.sum()) / math.pi)


def _centroid(mask: Mask) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    return float(cols.mean()), float(rows.mean())
