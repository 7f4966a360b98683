"""Optic disc: where brightness and converging vessels agree, then the ellipse with the strongest edge.

Brightness alone mistakes exudates, reflexes and scars for the disc; vessels alone only point to it. Their sum finds it.
The vote of vessels along their own direction follows the idea of Hoover & Goldbaum, IEEE TMI 2003;22:951-958 (fuzzy
convergence). Constants were chosen on every second photograph of IDRiD (localisation, segmentation) and DRISHTI-GS1 and
on DRIVE training.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import hessian_matrix

from retsam.segmentation.classical.illumination import (
    DARK,
    away_from_rim,
    blur,
    centre_of_maximum,
    extend_outwards,
    logistic,
    robust_spread,
    shrink_frame,
)
from retsam.segmentation.classical.vessels import vessel_pieces, vessel_strength

DIAMETER = 0.155
"""Typical diameter in frame sides (a field of view of 45 to 50 degrees; DRIVE and IDRiD masks)."""

LOCATE_SIZE = 160
"""Side at which the disc is sought, pixels."""

OUTLINE_SIZE = 256
"""Side at which its outline is sought, pixels."""

DIRECTIONS = 12
"""Of vessels, over half a turn; even, so that mirrored directions are directions too."""

SPOT_DIAMETERS = (DIAMETER, 1.22 * DIAMETER)
"""Sizes of the bright spot that is looked for."""

CONVERGENCE_WEIGHT = 0.6
"""Of converging vessels (response units) against brightness (robust standard deviations, red plus green)."""

TRUNK = 0.2
"""Only vessels that span this much (frame sides) vote: the texture of exudates is made of short pieces."""

RIM = 0.04
"""The disc's centre is at least this far (frame sides) from the rim, where flare looks like one."""

EVIDENCE_VISIBLE, EVIDENCE_SCALE = 1.65, 0.3
"""Confidence is a logistic function of the evidence: 0.5 at the first, which over 99 % of the true discs exceed."""

ALONE = 0.7
"""A spot that no vessel runs to needs this much more evidence: reflexes, scars and haze look like that."""

RADII = np.linspace(0.28, 0.95, 48) * DIAMETER
ASPECTS = (0.92, 1.0, 1.08, 1.16)
ANGLES = np.arange(48) * (2 * np.pi / 48)
"""Ellipses that are tried: geometric mean radius in frame sides, height over width; points on each."""

USUAL_RADIUS = 0.55 * DIAMETER
"""Mild preference (a logarithmic penalty); above half the usual diameter because inner edges, of the cup and of
vessels, pull the outline inwards."""


@dataclass(frozen=True)
class Ellipse:
    """An upright ellipse in units of the frame side: 0-1 from the frame's left and upper edge.

    Attributes
    ----------
    x, y : float
        Centre.
    width, height : float
        Full axes.
    confidence : float
        0-1, that the structure is there.
    """

    x: float
    y: float
    width: float
    height: float
    confidence: float

    @property
    def diameter(self) -> float:
        """Of the circle of equal area, in frame sides."""
        return float(np.sqrt(self.width * self.height))


def find_disc(image: NDArray[np.uint8], fov: NDArray[np.bool_], response: NDArray[np.float32]) -> Ellipse | None:
    """Locate and outline the disc.

    Parameters
    ----------
    image : (S, S, 3) uint8
    fov : (S, S) bool
    response : (N, N) float32
        From :func:`retsam.segmentation.classical.vessels.vessel_response`.

    Returns
    -------
    Ellipse or None
        None if the confidence is below 0.5: no spot of the right size is bright enough among the other spots of the
        image, counting the vessels that run to it.
    """
    x, y, confidence = _locate(image, fov, response)
    return None if confidence < 0.5 else _outline(image, fov, x, y, confidence)


def _locate(
    image: NDArray[np.uint8], fov: NDArray[np.bool_], response: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Best place for the disc's centre (x, y in frame sides) and the confidence that there is one."""
    small, inside = shrink_frame(image, fov, LOCATE_SIZE)
    candidates = away_from_rim(inside, RIM)
    if not candidates.any():
        return 0.5, 0.5, 0.0
    spots = [spot_contrast(corrected_level(small[..., channel], inside)) for channel in (0, 1)]
    vessels = CONVERGENCE_WEIGHT * convergence(response)
    score = np.where(candidates, spots[0] + spots[1] + vessels, -np.inf)
    best = score >= score.max()
    # Against the image's other spots: the score itself is in units of the shading that is left over
    ranks = [float(spot[best].mean()) / max(robust_spread(spot, inside), 0.1) for spot in spots]
    evidence = 0.24 * sum(ranks) + float(vessels[best].mean())
    x, y = centre_of_maximum(score)
    rows, cols = (np.mgrid[:LOCATE_SIZE, :LOCATE_SIZE] + 0.5) / LOCATE_SIZE
    alone = vessels[np.hypot(cols - x, rows - y) <= 0.5 * DIAMETER].max() < 0.05
    return x, y, logistic(evidence - ALONE * alone, EVIDENCE_VISIBLE, EVIDENCE_SCALE)


def spot_contrast(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness of a spot of a disc's size against its surroundings.

    Parameters
    ----------
    level : (N, N) float32
        From :func:`corrected_level`.

    Returns
    -------
    (N, N) float32
        In robust standard deviations of the image; mean over `SPOT_DIAMETERS`.
    """
    contrast = np.zeros_like(level)
    for diameter in SPOT_DIAMETERS:
        centre = blur(level, 0.23 * diameter * level.shape[0])
        contrast += centre - blur(level, 0.59 * diameter * level.shape[0])
    return contrast / np.float32(len(SPOT_DIAMETERS))


def corrected_level(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A channel without vessels and shading, in robust standard deviations, cut to -4...6."""
    size = values.shape[0]
    extended = extend_outwards(values, inside, 0.04 * size)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(0.02 * size) + 1,) * 2)
    filled = cv2.morphologyEx(extended, cv2.MORPH_CLOSE, brush)
    background = blur(np.asarray(filled, np.float32), 0.18 * size)
    contrast = (filled - background) / np.maximum(background, DARK)
    contrast -= np.float32(np.median(contrast[inside]))
    return np.clip(contrast / np.float32(robust_spread(contrast, inside) + 0.01), -4, 6)


def convergence(response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vessels that run towards each place, from within one disc diameter.

    Returns
    -------
    (LOCATE_SIZE, LOCATE_SIZE) float32
        >= 0, in units of the response.
    """
    trunks = cv2.dilate(vessel_pieces(response, TRUNK).astype(np.uint8), np.ones((3, 3), np.uint8))
    strength = vessel_strength(np.where(trunks > 0, response, np.float32(0)), LOCATE_SIZE)
    rr, rc, cc = hessian_matrix(strength, sigma=1.2, order="rc", use_gaussian_derivatives=True)
    along = 0.5 * np.arctan2(2 * rc, cc - rr) + np.pi / 2  # across a bright ridge the second derivative is lowest
    votes = np.zeros_like(strength)
    step = np.pi / DIRECTIONS
    for index in range(DIRECTIONS):
        apart = np.abs((along - index * step + np.pi / 2) % np.pi - np.pi / 2)
        share = strength * np.maximum(0, 1 - apart / step).astype(np.float32)
        votes += np.asarray(cv2.filter2D(share, -1, _beam(index * step, round(DIAMETER * LOCATE_SIZE))), np.float32)
    return np.maximum(votes, 0)


def _beam(angle: float, reach: int) -> NDArray[np.float32]:
    """Kernel that spreads a vote both ways along `angle`, widening with distance; sums to 1."""
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    ahead, aside = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    beam = np.exp(-(aside**2) / (2 * (1.5 + 0.12 * np.abs(ahead)) ** 2)) * (x**2 + y**2 <= reach**2)
    return (beam / beam.sum()).astype(np.float32)


def _outline(image: NDArray[np.uint8], fov: NDArray[np.bool_], x: float, y: float, confidence: float) -> Ellipse:
    """Fit the ellipse near (x, y) across whose outline the brightness drops most.

    Red counts most: it shows the rim of the disc, green also the cup and the atrophy around the disc.
    """
    small, inside = shrink_frame(image, fov, OUTLINE_SIZE)
    red, green = (corrected_level(small[..., channel], inside) for channel in (0, 1))
    level = blur(0.75 * red + 0.25 * green, 1.0)
    x, y, _, _ = _search(level, x, y, 0.3 * DIAMETER, 9)
    x, y, radius, aspect = _search(level, x, y, 0.06 * DIAMETER, 5)
    return Ellipse(x, y, 2 * radius / np.sqrt(aspect), 2 * radius * np.sqrt(aspect), confidence)


def _search(
    level: NDArray[np.float32], x: float, y: float, reach: float, count: int
) -> tuple[float, float, float, float]:
    """Best (x, y, radius, height over width) on a grid of `count` by `count` centres about (x, y); frame sides."""
    offsets = np.linspace(-reach, reach, count)
    centres = np.array([(x + dx, y + dy) for dy in offsets for dx in offsets])
    strength, radius = map(np.stack, zip(*(_best_radius(level, centres, aspect) for aspect in ASPECTS), strict=True))
    shape, place = np.nonzero(strength >= strength.max())
    best_x, best_y = centres[place].mean(axis=0).tolist()
    return best_x, best_y, float(radius[shape, place].mean()), float(np.take(ASPECTS, shape).mean())


def _best_radius(
    level: NDArray[np.float32], centres: NDArray[np.float64], aspect: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strongest edge among ellipses of one shape about each centre.

    Returns
    -------
    strength, radius : (C,) float64
    """
    size = level.shape[0]
    unit = np.stack([np.cos(ANGLES) / np.sqrt(aspect), np.sin(ANGLES) * np.sqrt(aspect)], -1)
    points = centres[:, None, None] + RADII[None, None, :, None] * unit[None, :, None]
    pixels = (points * size - 0.5).astype(np.float32)
    flat = pixels.reshape(len(centres) * len(ANGLES), len(RADII), 2)
    samples = cv2.remap(level, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    profile = samples.reshape(len(centres), len(ANGLES), len(RADII))
    half = 4  # samples averaged on either side of the outline
    sums = np.cumsum(np.pad(profile, ((0, 0), (0, 0), (1, 0))), axis=2, dtype=np.float64)
    means = (sums[..., half:] - sums[..., :-half]) / half
    drop = means[..., :-half] - means[..., half:]  # inside minus outside of each radius
    strength = np.clip(drop, -1.0, 2.5).mean(axis=1)
    radii = RADII[half : -half + 1] - 0.5 * (RADII[1] - RADII[0])
    strength -= 0.08 * (np.log(radii / USUAL_RADIUS) / 0.25) ** 2
    index = strength.argmax(axis=1)
    return strength.max(axis=1), radii[index]
