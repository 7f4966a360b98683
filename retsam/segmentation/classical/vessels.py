"""Blood vessels: a multi-scale ridge filter on the green channel, and hysteresis.

Ridges: Sato et al., Med Image Anal 1998;2:143-168 (``skimage.filters.sato``). The mean over scales is taken instead of
the maximum: noise is strong at one scale only, a vessel at several. Thresholds are in units of the response's median,
which is mostly background, so that they carry over to other cameras and compressions.
Parameters were chosen on DRIVE training and HRF (``benchmarks/classical_accuracy.py``).
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.filters import apply_hysteresis_threshold, sato

from retsam.segmentation.classical.illumination import (
    away_from_rim,
    blur,
    extend_outwards,
    relative_contrast,
    resize,
    shrink_frame,
)

WORK_SIZE = 576
"""Side at which ridges are sought, pixels."""

SIGMAS = (0.00175, 0.0023, 0.0031, 0.0044, 0.0062)
"""Ridge scales (standard deviations), in frame sides: 1 to 3.6 pixels at the working size. None below 1 pixel, where
scikit-image takes filters of 100 standard deviations and ten times as long."""

BACKGROUND = 1 / 50
"""Scale of the background's local mean, in frame sides."""

CEILING = 2.0
"""Bright structures are cut at so many robust standard deviations."""

RIM = 0.015
"""Width of the rim (frame sides) in which dark pixels may belong to the border."""

NOISE_FLOOR = 0.003
"""Smallest unit of the response (relative contrast): below it an image is flat, not noisy."""

NOISE_BLOCKS = 24
"""The field is divided into so many squares along each side to see where noise is stronger."""

HIGH, LOW = 5.5, 3.2
"""Hysteresis thresholds in units of the response's median."""

MIN_EXTENT = 0.05
"""Components that span less than this (diagonal of the bounding box, in frame sides) are noise or lesions."""


def vessel_response(image: NDArray[np.uint8], fov: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Ridge response in noise units.

    Parameters
    ----------
    image : (S, S, 3) uint8
        Canonical frame, RGB.
    fov : (S, S) bool

    Returns
    -------
    (WORK_SIZE, WORK_SIZE) float32
        >= 0; the median inside is 1 or a little less; 0 outside the field of view and on its outermost pixels.
    """
    small, inside = shrink_frame(image, fov, WORK_SIZE)
    response = np.zeros((WORK_SIZE, WORK_SIZE), np.float32)
    inside = away_from_rim(inside & ~_dark_rim(small[..., 1], inside), 2 / WORK_SIZE)
    if not inside.any():
        return response
    contrast = relative_contrast(small[..., 1], inside, BACKGROUND * WORK_SIZE, CEILING)
    half = resize(contrast, WORK_SIZE // 2)
    for sigma in SIGMAS:
        if sigma * WORK_SIZE < 2.5:
            response += sato(contrast, sigmas=[sigma * WORK_SIZE]) / len(SIGMAS)
        else:  # coarse ridges lose nothing at half the size, and cost a quarter
            response += resize(sato(half, sigmas=[sigma * WORK_SIZE / 2]), WORK_SIZE) / len(SIGMAS)
    return np.where(inside, response / _noise(response, inside), np.float32(0))


def _dark_rim(green: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels at the rim that are less than half as bright as what lies further in: the border, a few rows too early."""
    core = away_from_rim(inside, RIM)
    if not core.any():
        return np.zeros_like(inside)
    return inside & ~core & (green < 0.5 * extend_outwards(green, core, RIM * WORK_SIZE))


def _noise(response: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Unit of the response at each place: its median over the field of view, or nearby where that is more.

    Dark corners are noisier than the rest, in photographs that were brightened or compressed.
    """
    overall = np.float32(max(float(np.median(response[inside])), NOISE_FLOOR))
    side = response.shape[0] // NOISE_BLOCKS
    blocks = np.where(inside, response, overall).reshape(NOISE_BLOCKS, side, NOISE_BLOCKS, side)
    local = np.median(blocks.transpose(0, 2, 1, 3).reshape(NOISE_BLOCKS, NOISE_BLOCKS, -1), axis=2)
    local = blur(np.asarray(cv2.medianBlur(local.astype(np.float32), 3)), 1.0)
    return np.maximum(overall, resize(local, response.shape[0]))


def segment_vessels(
    response: NDArray[np.float32], fov: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probability map and mask of the vessels.

    Parameters
    ----------
    response : (N, N) float32
        From :func:`vessel_response`.
    fov : (S, S) bool

    Returns
    -------
    probability : (S, S) float32
        0-1, monotone in the response, 0.5 at `LOW`, 0 outside the field of view.
    mask : (S, S) bool
        Probability over 0.5, connected to a strong response, long enough.
    """
    size = fov.shape[0]
    keep = vessel_pieces(response, MIN_EXTENT)
    near = cv2.dilate(keep.astype(np.uint8), np.ones((3, 3), np.uint8))
    full = resize(response, size)
    near_full = resize(near.astype(np.float32), size) >= 0.5
    odds = np.square(full / np.float32(LOW))
    probability = np.where(fov, odds / (1 + odds), np.float32(0)).astype(np.float32)
    return probability, (full > LOW) & near_full & fov


def vessel_pieces(response: NDArray[np.float32], extent: float) -> NDArray[np.bool_]:
    """Connected pieces over the hysteresis thresholds that are long enough.

    Parameters
    ----------
    response : (N, N) float32
        From :func:`vessel_response`.
    extent : float
        Least diagonal of the bounding box, in units of N.

    Returns
    -------
    (N, N) bool
    """
    mask = apply_hysteresis_threshold(response, LOW, HIGH)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    long = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= extent * mask.shape[0]
    long[0] = False
    return long[labels]


def vessel_strength(response: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Amount of vessel per place at a smaller size: faint responses dropped, strong ones cut.

    Returns
    -------
    (size, size) float32
        >= 0, in units of the response.
    """
    return np.maximum(resize(np.minimum(response, 12), size) - 2, 0)
