"""Uneven illumination taken out, inside the field of view only, so that its rim leaves no trace.

All filters treat left and right alike: a mirrored frame gives the mirrored result.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

DARK = 8.0
"""Grey levels (of 255) below which a background is not divided by: there is only noise."""


def shrink_frame(
    image: NDArray[np.uint8], fov: NDArray[np.bool_], size: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bring a frame to a working size.

    Parameters
    ----------
    image : (S, S, 3) uint8
    fov : (S, S) bool
    size : int
        Side to work at, pixels; may exceed S.

    Returns
    -------
    image : (size, size, 3) float32
        0-255.
    inside : (size, size) bool
        Field of view without pixels that mix with the black around it.
    """
    interpolation = cv2.INTER_AREA if size < image.shape[0] else cv2.INTER_CUBIC
    small = cv2.resize(image.astype(np.float32), (size, size), interpolation=interpolation)
    cover = cv2.resize(fov.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.clip(small, 0, 255), cover > 0.99


def blur(values: NDArray[np.floating], sigma: float) -> NDArray[np.float32]:
    """Gaussian mean; `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(np.asarray(values, np.float32), (0, 0), sigma), np.float32)


def resize(values: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Resize a square map, averaging when shrinking and linearly when enlarging."""
    interpolation = cv2.INTER_AREA if size < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (size, size), interpolation=interpolation), np.float32)


def extend_outwards(values: NDArray[np.float32], inside: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    """Continue an image beyond the field of view by its own local mean, so that filters see no step at the rim.

    Parameters
    ----------
    values : (N, N) float32
    inside : (N, N) bool
        With at least one true pixel.
    reach : float
        Standard deviation of the local mean, pixels; pixels too far out get the mean over the field of view.
    """
    weight = inside.astype(np.float32)
    known = np.where(inside, values, np.float32(0))
    mean = np.float32(values[inside].mean(dtype=np.float64))
    local = np.full_like(values, mean)
    for sigma in (4 * reach, reach):  # the finer mean wins where it has something to go by
        cover = blur(weight, sigma)
        sums = blur(known, sigma)
        local = (sums + 0.02 * local) / (cover + 0.02)
    return np.where(inside, values, local).astype(np.float32)


def away_from_rim(inside: NDArray[np.bool_], margin: float) -> NDArray[np.bool_]:
    """The part of the field of view that is at least `margin` (in units of the side) from its rim."""
    across = 2 * round(margin * inside.shape[0]) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
    return cv2.erode(inside.astype(np.uint8), brush, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)


def relative_contrast(
    values: NDArray[np.float32], inside: NDArray[np.bool_], sigma: float, ceiling: float = np.inf
) -> NDArray[np.float32]:
    """Contrast to the local background, as a fraction of it (but at least of half the median background).

    Parameters
    ----------
    values : (N, N) float32
        A channel, 0-255.
    inside : (N, N) bool
    sigma : float
        Standard deviation of the background's local mean, pixels.
    ceiling : float
        In robust standard deviations: brighter structures (disc, exudates) are cut to it, both in the background that
        the contrast refers to and in the result, so that the valley beside a bright thing looks less like a vessel.

    Returns
    -------
    (N, N) float32
        About 0 outside the field of view.
    """
    extended = extend_outwards(values, inside, sigma)
    background = blur(extended, sigma)
    least = max(DARK, 0.5 * float(np.median(background[inside])))  # darker corners hold noise more than vessels
    contrast = (extended - background) / np.maximum(background, least)
    if np.isfinite(ceiling):
        spread = robust_spread(contrast, inside)
        cut = background + np.maximum(background, least) * np.clip(contrast, -3 * spread, ceiling * spread)
        background = blur(cut, sigma)
        contrast = (extended - background) / np.maximum(background, least)
        contrast = np.minimum(contrast, np.float32(ceiling * robust_spread(contrast, inside)))
    return contrast.astype(np.float32)


def centre_of_maximum(score: NDArray[np.floating]) -> tuple[float, float]:
    """x, y in units of N where a (N, N) map is highest: the mean of equal maxima, which prefers no direction."""
    rows, cols = np.nonzero(score >= score.max())
    return (float(cols.mean()) + 0.5) / score.shape[1], (float(rows.mean()) + 0.5) / score.shape[0]


def logistic(value: float, middle: float, scale: float) -> float:
    """Confidence 0-1 of a score: 0.5 at `middle`."""
    return float(1 / (1 + np.exp(np.clip((middle - value) / scale, -50, 50))))


def robust_spread(values: NDArray[np.floating], inside: NDArray[np.bool_]) -> float:
    """Median absolute deviation from zero inside, scaled to a standard deviation (Gaussian)."""
    return 1.4826 * float(np.median(np.abs(values[inside])))
