"""Optic disc: where brightness and converging vessels agree, then the ellipse with the strongest edge.

Brightness alone mistakes exudates, reflexes and scars for the disc; vessels alone only point to it. Their sum finds it.
The vote of vessels along their own direction follows the idea of Hoover & Goldbaum, IEEE TMI 2003;22:951-958 (fuzzy
convergence). Weights and the confidence were fitted on the even-numbered photographs of IDRiD's localisation part.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import hessian_matrix

from retsam.segmentation.classical.illumination import extend_outwards, robust_spread, shrink_frame
from retsam.segmentation.classical.vessels import vessel_pieces

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

EVIDENCE_VISIBLE, EVIDENCE_SCALE = 1.75, 0.3
"""Confidence is a logistic function of the evidence: 0.5 at the first, which over 99 % of the true discs exceed."""


@dataclass(frozen=True)
class Disc:
    """An optic disc as an upright ellipse, in units of the frame side (0-1 from the frame's left and upper edge).

    Attributes
    ----------
    x, y : float
        Centre.
    width, height : float
        Axes.
    confidence : float
        0-1.
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


def find_disc(image: NDArray[np.uint8], fov: NDArray[np.bool_], response: NDArray[np.float32]) -> Disc | None:
    """Locate and outline the disc.

    Parameters
    ----------
    image : (S, S, 3) uint8
    fov : (S, S) bool
    response : (N, N) float32
        From :func:`retsam.segmentation.classical.vessels.vessel_response`.

    Returns
    -------
    Disc or None
        None if the confidence is below 0.5: no place has both a bright spot of the right size and vessels running to it.
    """
    small, inside = shrink_frame(image, fov, LOCATE_SIZE)
    if not inside.any():
        return None
    spots = [spot_contrast(corrected_level(small[..., channel], inside)) for channel in (0, 1)]
    vessels = CONVERGENCE_WEIGHT * convergence(response)
    reach = 2 * round(RIM * LOCATE_SIZE) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    candidates = cv2.erode(inside.astype(np.uint8), brush, borderValue=0).astype(bool)
    if not candidates.any():
        return None
    score = np.where(candidates, sum(spots) + vessels, -np.inf)
    rows, cols = np.nonzero(score >= score.max())  # the mean of equal maxima: no direction is preferred
    # How far the spot stands out from the other spots of the image, whatever the shading left over
    ranked = [spot[rows, cols].mean() / max(robust_spread(spot, inside), 0.1) for spot in spots]
    evidence = 0.24 * sum(ranked) + vessels[rows, cols].mean()
    confidence = float(1 / (1 + np.exp((EVIDENCE_VISIBLE - evidence) / EVIDENCE_SCALE)))
    if confidence < 0.5:
        return None
    x, y = (cols.mean() + 0.5) / LOCATE_SIZE, (rows.mean() + 0.5) / LOCATE_SIZE
    return _outline(image, fov, x, y, confidence)


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
        centre = cv2.GaussianBlur(level, (0, 0), 0.23 * diameter * level.shape[0])
        contrast += centre - cv2.GaussianBlur(level, (0, 0), 0.59 * diameter * level.shape[0])
    return contrast / np.float32(len(SPOT_DIAMETERS))


def corrected_level(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A channel without vessels and shading, in robust standard deviations, cut to -4...6."""
    size = values.shape[0]
    extended = extend_outwards(values, inside, 0.04 * size)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(0.02 * size) + 1,) * 2)
    filled = cv2.morphologyEx(extended, cv2.MORPH_CLOSE, brush)
    background = cv2.GaussianBlur(filled, (0, 0), 0.18 * size)
    contrast = (filled - background) / np.maximum(background, 8)
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
    strength = cv2.resize(np.minimum(response, 12) * trunks, (LOCATE_SIZE, LOCATE_SIZE), interpolation=cv2.INTER_AREA)
    strength = np.maximum(strength - 2, 0)
    rr, rc, cc = hessian_matrix(strength, sigma=1.2, order="rc", use_gaussian_derivatives=True)
    along = 0.5 * np.arctan2(2 * rc, cc - rr) + np.pi / 2  # across a bright ridge the second derivative is lowest
    votes = np.zeros_like(strength)
    step = np.pi / DIRECTIONS
    for index in range(DIRECTIONS):
        apart = np.abs((along - index * step + np.pi / 2) % np.pi - np.pi / 2)
        share = strength * np.maximum(0, 1 - apart / step).astype(np.float32)
        votes += cv2.filter2D(share, -1, _beam(index * step, round(DIAMETER * LOCATE_SIZE)))
    return np.maximum(votes, 0)


def _beam(angle: float, reach: int) -> NDArray[np.float32]:
    """Kernel that spreads a vote both ways along `angle`, widening with distance; sums to 1."""
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    ahead, aside = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    beam = np.exp(-(aside**2) / (2 * (1.5 + 0.12 * np.abs(ahead)) ** 2)) * (x**2 + y**2 <= reach**2)
    return (beam / beam.sum()).astype(np.float32)


def _outline(image: NDArray[np.uint8], fov: NDArray[np.bool_], x: float, y: float, confidence: float) -> Disc:
    """Fit the ellipse near (x, y) across whose outline the brightness drops most."""
    small, inside = shrink_frame(image, fov, OUTLINE_SIZE)
    level = 0.75 * corrected_level(small[..., 0], inside) + 0.25 * corrected_level(small[..., 1], inside)
    level = cv2.GaussianBlur(level, (0, 0), 1.0)
    best = (x, y, 0.5 * DIAMETER, 1.05)
    for reach, count in ((0.3 * DIAMETER, 9), (0.06 * DIAMETER, 5)):
        best = _search(level, best[:2], reach, count)
    centre_x, centre_y, radius, aspect = best
    return Disc(centre_x, centre_y, 2 * radius / np.sqrt(aspect), 2 * radius * np.sqrt(aspect), confidence)


RADII = np.linspace(0.28, 0.95, 48) * DIAMETER
ASPECTS = (0.92, 1.0, 1.08, 1.16)
ANGLES = np.arange(48) * (2 * np.pi / 48)


def _search(
    level: NDArray[np.float32], centre: tuple[float, float], reach: float, count: int
) -> tuple[float, float, float, float]:
    """Best (x, y, radius, height over width) on a grid of centres; frame sides."""
    offsets = np.linspace(-reach, reach, count)
    grid = np.stack(np.meshgrid(offsets, offsets, indexing="xy"), -1).reshape(-1, 2)
    found = [(*_best_radius(level, grid + centre, aspect), aspect) for aspect in ASPECTS]
    scores = np.stack([f[0] for f in found])  # (aspects, centres)
    ties = np.argwhere(scores >= scores.max())
    picks = np.array([[*(grid[c] + centre), found[a][1][c], ASPECTS[a]] for a, c in ties])
    return tuple(picks.mean(axis=0).tolist())


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
    profile = cv2.remap(level, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    profile = profile.reshape(len(centres), len(ANGLES), len(RADII))
    half = 4
    sums = np.cumsum(np.pad(profile, ((0, 0), (0, 0), (1, 0))), axis=2, dtype=np.float64)
    means = (sums[..., half:] - sums[..., :-half]) / half
    drop = means[..., :-half] - means[..., half:]  # inside minus outside of each radius
    strength = np.clip(drop, -1.0, 2.5).mean(axis=1)
    radii = RADII[half : -half + 1] - 0.5 * (RADII[1] - RADII[0])
    strength -= 0.15 * (np.log(radii / (0.6 * DIAMETER)) / 0.25) ** 2
    index = strength.argmax(axis=1)
    return strength.max(axis=1), radii[index]
