"""Fovea: a small dark spot, about 2.5 disc diameters from the disc and a little below it, on either side.

The disc-fovea distance and angle are those of adult eyes (means of IDRiD's even-numbered photographs: 2.5 disc diameters,
7 degrees below the horizontal; published angles are 6 to 8 degrees). The side follows from the image: the place with the
best sum of darkness, absence of vessels and geometry wins, so that no table has to say which eye it is.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.segmentation.classical.illumination import extend_outwards, shrink_frame
from retsam.segmentation.classical.optic_disc import DIAMETER, LOCATE_SIZE, Disc

DISTANCE, DISTANCE_SD = 2.5, 0.3
"""Disc diameters; the spread covers eyes and errors of the measured diameter."""

ANGLE, ANGLE_SD = 7.0, 6.0
"""Degrees below the horizontal."""

SCORE_VISIBLE, SCORE_SCALE = 0.0, 1.0


def find_fovea(
    image: NDArray[np.uint8], fov: NDArray[np.bool_], response: NDArray[np.float32], disc: Disc
) -> tuple[float, float, float] | None:
    """Locate the fovea.

    Returns
    -------
    (x, y, confidence) or None
        x, y in frame sides; None if the confidence is below 0.5.
    """
    score = fovea_score(image, fov, response, disc)
    peak = float(score.max())
    confidence = float(1 / (1 + np.exp((SCORE_VISIBLE - peak) / SCORE_SCALE))) if np.isfinite(peak) else 0.0
    if confidence < 0.5:
        return None
    rows, cols = np.nonzero(score >= peak)
    return (cols.mean() + 0.5) / LOCATE_SIZE, (rows.mean() + 0.5) / LOCATE_SIZE, confidence


def fovea_score(
    image: NDArray[np.uint8], fov: NDArray[np.bool_], response: NDArray[np.float32], disc: Disc
) -> NDArray[np.float32]:
    """How much each place looks like the fovea; minus infinity outside the field of view.

    Returns
    -------
    (LOCATE_SIZE, LOCATE_SIZE) float32
    """
    size = LOCATE_SIZE
    small, inside = shrink_frame(image, fov, size)
    darkness = spot_darkness(small[..., 1], inside)
    vessels = cv2.resize(np.minimum(response, 12), (size, size), interpolation=cv2.INTER_AREA)
    vessels = cv2.GaussianBlur(np.maximum(vessels - 2, 0), (0, 0), 0.06 * size)
    diameter = np.clip(disc.diameter, 0.8 * DIAMETER, 1.3 * DIAMETER)
    rows, cols = np.mgrid[:size, :size]
    across = np.abs((cols + 0.5) / size - disc.x)
    below = (rows + 0.5) / size - disc.y
    distance = np.hypot(across, below) / diameter
    angle = np.degrees(np.arctan2(below, across))
    prior = ((distance - DISTANCE) / DISTANCE_SD) ** 2 + ((angle - ANGLE) / ANGLE_SD) ** 2
    score = 2.0 * darkness - 0.5 * vessels - 0.5 * prior
    return np.where(inside, score, -np.inf).astype(np.float32)


def spot_darkness(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Darkness of a spot of half a disc diameter against the ring around it, in tenths of the background."""
    size = values.shape[0]
    extended = extend_outwards(values, inside, 0.04 * size)
    ring = cv2.GaussianBlur(extended, (0, 0), 0.4 * DIAMETER * size)
    centre = cv2.GaussianBlur(extended, (0, 0), 0.14 * DIAMETER * size)
    return 10 * (ring - centre) / np.maximum(ring, 8)
