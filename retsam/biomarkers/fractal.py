"""Box-counting dimensions, multifractal spectrum and lacunarity of a binary image."""

from functools import cache
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SMALLEST, LARGEST = 1 / 128, 1 / 4  # box side as a fraction of the image's
ORDER = 10.0  # the spectrum reaches from -ORDER to ORDER
SANDBOXES = tuple(2.0**-k for k in np.arange(4, 0.75, -0.5))  # of boxes about points; in smaller ones vessels are lines


def box_sizes(size: int) -> list[int]:
    """Box sides in pixels, even, half an octave apart, from 1/128 (at least 2 px) to 1/4 of the image's side."""
    octaves = np.arange(np.log2(max(SMALLEST * size, 2)), np.log2(LARGEST * size) + 0.25, 0.5)
    return sorted({2 * int(half) for half in np.rint(2**octaves / 2)})


def dimensions(mask: NDArray[np.bool_], orders: tuple[int, ...] = (0,)) -> dict[int, float]:
    """Generalised (Renyi) dimensions by box counting.

    For each box side s the image is covered by five grids: one from each corner and one with a box in the middle, so
    that a picture mirrored or turned by 90 degrees has the same dimensions. D0 is the slope of log N(s) on log 1/s, N
    the smallest number of occupied boxes among the grids; D1 that of the information -sum p log p and D2 that of
    -log sum p^2, averaged over the grids, p being a box's share of the pixels. In one grid these fall with the order,
    as they must. The slopes need not: in small boxes every vessel is a line and all boxes hold alike, in large ones
    they do not, so that D1 and D2 of vessels come out above D0 (as Stosic found), though not those of exact fractals.

    Parameters
    ----------
    mask : (size, size) bool
    orders : tuple of int
        Any of 0, 1, 2.

    Returns
    -------
    dict of int to float
        NaN for an empty mask.

    References
    ----------
    Mainster MA. The fractal properties of retinal vessels. Eye 1990;4:235-241.
    Stosic T, Stosic BD. Multifractal analysis of human retinal vessels. IEEE Trans Med Imaging 2006;25:1101-1107.
    """
    total = np.asarray(cv2.integral(_bytes(mask)), np.int32)
    if not total[-1, -1]:
        return dict.fromkeys(orders, float("nan"))
    sizes = box_sizes(mask.shape[0])
    entropy = {order: np.empty(len(sizes)) for order in orders}
    for i, side in enumerate(sizes):
        shares = [_shares(total, *lines) for lines in _grids(mask.shape[0], side)]
        for order in orders:
            values = [_entropy(p, order) for p in shares]
            entropy[order][i] = min(values) if order == 0 else np.mean(values)
    scale = -np.log(sizes)
    return {order: float(np.polyfit(scale, values, 1)[0]) for order, values in entropy.items()}


@cache
def _grids(size: int, side: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Lines of the grids in y and in x, the image's border included."""
    first = np.arange(0, size + 2 * side, side)
    last, middle = size - first[::-1], first - (side - (size - side) // 2 % side) % side
    first, last, middle = (np.unique(np.clip(lines, 0, size)) for lines in (first, last, middle))
    ends = [first] if size % side == 0 else [first, last]
    return [*product(ends, ends), (middle, middle)]


def _shares(total: NDArray[np.int32], y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the pixels in each occupied box between lines; `total` is the image's integral."""
    counts = np.diff(np.diff(total[y[:, None], x], axis=0), axis=1)
    return counts[counts > 0] / total[-1, -1]


def _entropy(p: NDArray[np.float64], order: int) -> float:
    """Renyi entropy of order 0, 1 or 2."""
    if order == 0:
        return float(np.log(p.size))
    return float(-(p * np.log(p)).sum()) if order == 1 else float(-np.log((p**2).sum()))


def singularity_length(measure: NDArray[Any]) -> float:
    """Width of the multifractal spectrum: alpha(-10) - alpha(10), by boxes about the points of the set.

    With M_i(s) the mass in a box of side s about point i, the mean of M^(q - 1) over the points goes with s^tau(q), and
    alpha is the derivative of tau: the slope on log s of the mean of log M_i(s), weighted by M_i(s)^(q - 1). A box
    about a point is never nearly empty, which boxes of a grid are where they touch a set with a corner, and those
    decide alpha at negative q. Box sides are half an octave apart, from 1/16 to 1/2 of the image's.
    On cascades of known masses it is within 0.05 of the truth; a picture of such masses, whose sparse parts hold few
    pixels, has a narrower spectrum.

    Parameters
    ----------
    measure : (size, size) bool or float
        A set, or masses.

    Returns
    -------
    float
        0 for a set of one dimension; NaN for an empty one.

    References
    ----------
    Tel T, Fulop A, Vicsek T. Determination of fractal dimensions for geometrical multifractals. Physica A
    1989;159:155-166.
    Stosic T, Stosic BD. Multifractal analysis of human retinal vessels. IEEE Trans Med Imaging 2006;25:1101-1107.
    """
    size = measure.shape[0]
    at = np.flatnonzero(measure)
    if not at.size:
        return float("nan")
    y, x = np.divmod(at, size)
    share = measure.take(at).astype(np.float64)
    total = cv2.integral(measure.astype(np.uint8 if measure.dtype == bool else np.float64))
    halves = [round(side * size / 2) for side in SANDBOXES]
    means = np.empty((len(halves), 2))
    for i, half in enumerate(halves):
        (top, bottom), (left, right) = ((np.maximum(c - half, 0), np.minimum(c + half + 1, size)) for c in (y, x))
        top, bottom = top * (size + 1), bottom * (size + 1)
        mass = total.take(bottom + right) - total.take(top + right) - total.take(bottom + left) + total.take(top + left)
        means[i] = _alphas(mass, share)
    sparse, dense = np.polyfit(np.log(2 * np.array(halves) + 1), means, 1)[0]
    return float(sparse - dense)


def _alphas(mass: NDArray[Any], share: NDArray[np.float64]) -> list[float]:
    """Mean (2,) of the log masses (n,) of boxes, weighted by their power of -ORDER - 1 and of ORDER - 1."""
    # Numbers of pixels are looked up: logarithms and powers of as many numbers as there are points take longer.
    counted = mass.dtype.kind == "i"
    log_mass = np.log(np.arange(1, mass.max() + 1) if counted else mass)
    lowest, highest = (log_mass[mass.min() - 1], log_mass[-1]) if counted else (log_mass.min(), log_mass.max())
    powers = [np.exp((q - 1) * log_mass - (q - 1) * extreme) for q, extreme in ((-ORDER, lowest), (ORDER, highest))]
    if counted:
        log_mass, *powers = (values.take(mass - 1) for values in (log_mass, *powers))
    return [float(np.average(log_mass, weights=share * power)) for power in powers]


def whole_boxes(field: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Centres (size, size) of all boxes of a side, px, that lie inside the field."""
    return np.asarray(_masses(field, side) == side**2)


def _masses(mask: NDArray[np.bool_], side: int) -> NDArray[Any]:
    """Pixels (size, size) in the box about each pixel; nothing is set outside the frame."""
    depth = cv2.CV_16U if side < 256 else cv2.CV_32S  # what a full box holds
    box = side, side
    return np.asarray(cv2.boxFilter(_bytes(mask), depth, box, normalize=False, borderType=cv2.BORDER_CONSTANT))


def lacunarity(mask: NDArray[np.bool_], centres: NDArray[np.bool_], side: int) -> float:
    """Gliding-box lacunarity: variance over squared mean of the pixels in all boxes that lie inside the field.

    Parameters
    ----------
    mask : (size, size) bool
    centres : (size, size) bool
        Of those boxes; see :func:`whole_boxes`.
    side : int
        Of the box, px.

    Returns
    -------
    float
        0 for a uniform texture; NaN where no box fits or none holds a pixel.

    References
    ----------
    Allain C, Cloitre M. Characterizing the lacunarity of random and deterministic fractal sets.
    Phys Rev A 1991;44:3552-3558 (their index is this one plus 1).
    """
    mean, deviation = (float(v[0, 0]) for v in cv2.meanStdDev(_masses(mask, side), mask=_bytes(centres)))
    return (deviation / mean) ** 2 if mean > 0 else float("nan")


def _bytes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The same memory as OpenCV takes it."""
    return mask.view(np.uint8)
