"""Fovea: a small dark spot, about 2.5 disc diameters from the disc and a little below it, on either side.

The disc-fovea distance and angle are means of every second photograph of IDRiD's localisation part: 2.5 disc diameters,
7 degrees below the horizontal. The side follows from the image: the place with the best sum of darkness, absence of
vessels and geometry wins, so that no table has to say which eye it is.
"""

import numpy as np
from numpy.typing import NDArray

from retsam.segmentation.classical.illumination import (
    DARK,
    away_from_rim,
    blur,
    centre_of_maximum,
    extend_outwards,
    logistic,
    shrink_frame,
)
from retsam.segmentation.classical.optic_disc import DIAMETER, LOCATE_SIZE, Ellipse
from retsam.segmentation.classical.vessels import vessel_strength

DISTANCE, DISTANCE_SD = 2.5, 0.3
"""Disc diameters; the spread covers eyes and errors of the measured diameter."""

ANGLE, ANGLE_SD = 7.0, 6.0
"""Degrees below the horizontal."""

RIM = 0.03
"""The fovea is at least this far (frame sides) from the rim."""

SCORE_VISIBLE, SCORE_SCALE = 0.0, 1.0
"""Confidence is a logistic function of the score: 0.5 at the first, that of an even place at the expected point."""


def find_fovea(
    image: NDArray[np.uint8], fov: NDArray[np.bool_], response: NDArray[np.float32], disc: Ellipse
) -> Ellipse | None:
    """Locate the fovea.

    Parameters
    ----------
    image : (S, S, 3) uint8
    fov : (S, S) bool
    response : (N, N) float32
        From :func:`retsam.segmentation.classical.vessels.vessel_response`.
    disc : Ellipse
        From :func:`retsam.segmentation.classical.optic_disc.find_disc`.

    Returns
    -------
    Ellipse or None
        The circle of one disc diameter about the fovea; None if the confidence is below 0.5: where it should be, there
        is no dark spot, or the field of view ends.
    """
    score = fovea_score(image, fov, response, disc)
    confidence = logistic(float(score.max()), SCORE_VISIBLE, SCORE_SCALE)
    if confidence < 0.5:
        return None
    return Ellipse(*centre_of_maximum(score), disc.diameter, disc.diameter, confidence)


def fovea_score(
    image: NDArray[np.uint8], fov: NDArray[np.bool_], response: NDArray[np.float32], disc: Ellipse
) -> NDArray[np.float32]:
    """How much each place looks like the fovea: darkness against vessels and distance from the expected points.

    Returns
    -------
    (LOCATE_SIZE, LOCATE_SIZE) float32
        Minus infinity outside the field of view and at its rim.
    """
    size = LOCATE_SIZE
    small, inside = shrink_frame(image, fov, size)
    darkness = spot_darkness(small[..., 1], inside)
    vessels = blur(vessel_strength(response, size), 0.06 * size)
    diameter = np.sqrt(disc.diameter * DIAMETER)  # half-way to the usual one: outlines can go wrong
    rows, cols = np.mgrid[:size, :size]
    across = np.abs((cols + 0.5) / size - disc.x)
    below = (rows + 0.5) / size - disc.y
    distance = np.hypot(across, below) / diameter
    angle = np.degrees(np.arctan2(below, across))
    misfit = ((distance - DISTANCE) / DISTANCE_SD) ** 2 + ((angle - ANGLE) / ANGLE_SD) ** 2
    score = 2.0 * darkness - 0.5 * vessels - 0.5 * misfit
    return np.where(away_from_rim(inside, RIM), score, -np.inf).astype(np.float32)


def spot_darkness(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Darkness of a spot of half a disc diameter against the ring around it, in tenths of the background."""
    size = values.shape[0]
    extended = extend_outwards(values, inside, 0.04 * size)
    ring = blur(extended, 0.4 * DIAMETER * size)
    centre = blur(extended, 0.14 * DIAMETER * size)
    return np.asarray(10 * (ring - centre) / np.maximum(ring, DARK), np.float32)
