"""Image quality measured on the canonical frame, always at one size.

Every number is computed at :data:`SIDE` x :data:`SIDE` pixels whatever the size of the photograph, so that a score
means the same for a 0.3-megapixel and a 20-megapixel camera: quality scores that are computed at the photograph's own
size reject or accept whole cameras. All lengths in pixels below are pixels of that frame.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIDE: Final = 512
"""Side of the frame in pixels on which every feature is computed."""


@dataclass(frozen=True)
class Feature:
    """What a quality column means.

    Attributes
    ----------
    unit : str
    definition : str
    reference : str
        Where the definition comes from.
    """

    unit: str
    definition: str
    reference: str


_CATALOGUE = "conventional image statistic, computed inside the field of view"
_RIDGE = "Hessian line filter: Frangi 1998, MICCAI, doi:10.1007/BFb0056195"

FEATURES: Final[dict[str, Feature]] = {
    "fov_fraction": Feature(
        "ratio", "visible part of the field-of-view circle: its pixels over pi r^2, r half the frame side", _CATALOGUE
    ),
    "brightness": Feature("grey levels 0-255", "mean luminance (ITU-R BT.601)", _CATALOGUE),
    "saturated_fraction": Feature("ratio", "pixels with luminance >= 250", _CATALOGUE),
    "dark_fraction": Feature("ratio", "pixels with luminance <= 5", _CATALOGUE),
    "illumination_cv": Feature(
        "ratio",
        "coefficient of variation of low-pass luminance over 17 sectors (a centre, two rings of 8)",
        _CATALOGUE,
    ),
    "contrast": Feature(
        "ratio",
        "RMS of the green channel relative to its local mean (Gaussian of 0.04 frame sides)",
        "Peli 1990, JOSA A 7:2032",
    ),
    "noise": Feature(
        "ratio",
        "standard deviation of white noise in the relative green channel (median of its finest diagonal Haar details)",
        "Donoho & Johnstone 1994, Biometrika 81:425",
    ),
    "sharpness": Feature(
        "ratio",
        "amplitude of the relative green channel between 1 and 2 px over that between 4 and 8 px, noise removed",
        "ratio of band energies; cf. variance of the Laplacian, Pertuz 2013, Pattern Recognit 46:1415",
    ),
    "vessel_sharpness": Feature(
        "ratio",
        "line strength at 1.5 px over that at 4 px, averaged over the vessel-like lines; falls with defocus",
        _RIDGE,
    ),
    "vessel_visibility": Feature(
        "ratio",
        "part of the field-of-view circle within 0.06 frame sides of a vessel-like line; falls where anything hides it",
        _RIDGE,
    ),
    "vessel_line_density": Feature("ratio", "part of the field of view covered by vessel-like lines", _RIDGE),
    "vessel_contrast": Feature(
        "ratio", "mean depth of the vessel-like lines relative to their surroundings (Weber contrast)", _RIDGE
    ),
    "vessel_cnr": Feature(
        "ratio",
        "vessel_contrast over the robust standard deviation of the relative green channel between the lines",
        "contrast-to-noise ratio",
    ),
    "coarse_gradient": Feature(
        "1/frame half side",
        "90th percentile of the gradient of log low-pass luminance, over the field of view or over its central part, "
        "whichever is less; a retina is smooth, the front of an eye or a room is not",
        _CATALOGUE,
    ),
    "bright_spot": Feature(
        "ratio",
        "highest disc-sized mean of green over the mean around it, minus 1; high where the optic disc is visible",
        _CATALOGUE,
    ),
    "colour_redness": Feature(
        "ratio", "mean red over the sum of mean red, green and blue; 1/3 in a grey picture", _CATALOGUE
    ),
    "colour_blue_red": Feature("ratio", "mean blue over mean red; a retina in colour stays below 1", _CATALOGUE),
}
"""Columns of the quality table that describe the photograph, with their meaning; all are finite for every frame."""

_LINE_SCALES = (1.5, 2.5, 4.0)  # vessels are 2 to 12 px wide in the frame
_DEPTH_OF_RESPONSE = (
    0.385  # largest scale-normalised response to a Gaussian valley of depth 1: at sigma = sqrt(2) widths
)
_NOISE_RESPONSE = 0.63  # standard deviation of that response to white noise of standard deviation 1, times sigma
_CIRCLE = np.pi * (SIDE / 2) ** 2  # pixels of a field of view of which nothing is cut off
_EDGE = 10  # px from the border of the field of view that are left out


def measure(image: Image, fov: Mask) -> dict[str, float]:
    """Compute every feature of one framed photograph.

    Parameters
    ----------
    image : (size, size, 3) uint8 RGB
        In the canonical frame, black outside the field of view. Any size; features are computed at ``SIDE``.
    fov : (size, size) bool

    Returns
    -------
    dict of float
        One finite value for each name of ``FEATURES``, in that order.
    """
    image, fov = _to_side(image, fov)
    red, green, blue = (np.ascontiguousarray(image[..., i], np.float32) for i in range(3))
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    depth = _depth(fov)
    inner = depth > _EDGE
    if np.count_nonzero(inner) < 0.01 * SIDE**2:
        inner = fov
    relative = _relative(green, fov, depth > 2)
    values = {
        "fov_fraction": min(float(np.count_nonzero(fov) / _CIRCLE), 1.0),
        **_exposure(luminance, fov, inner),
        "contrast": _rms(relative[inner]),
        "noise": _noise(relative, inner),
        "sharpness": 0.0,
        **_vessels(relative, fov, inner),
        "coarse_gradient": _coarse_gradient(luminance, fov, depth),
        "bright_spot": _bright_spot(green, fov, depth),
        **_colour(red[inner], green[inner], blue[inner]),
    }
    values["sharpness"] = _band_ratio(relative, depth > 2 * _EDGE, values["noise"])
    return {name: float(values[name]) for name in FEATURES}


def _to_side(image: Image, fov: Mask) -> tuple[Image, Mask]:
    """Bring a frame of any size to ``SIDE``."""
    if image.shape[0] == SIDE:
        return image, fov
    shrinks = image.shape[0] > SIDE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    share = cv2.resize(
        fov.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return cv2.resize(image, (SIDE, SIDE), interpolation=how).astype(np.uint8, copy=False), share >= 0.5


def _depth(fov: Mask) -> Plane:
    """Distance in pixels of each pixel from the outside of the field of view; the frame's border counts as outside."""
    padded = np.pad(fov.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)


def _blur(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _masked_mean(plane: Plane, mask: Mask, sigma: float, shrink: int = 4) -> Plane:
    """Gaussian mean over the masked pixels only; computed at ``SIDE / shrink`` because it is smooth."""
    n = SIDE // shrink
    weight = cv2.resize(mask.astype(np.float32), (n, n), interpolation=cv2.INTER_AREA)
    total = cv2.resize(plane * mask, (n, n), interpolation=cv2.INTER_AREA)
    total = cv2.GaussianBlur(total, (0, 0), sigma / shrink, borderType=cv2.BORDER_CONSTANT)
    weight = cv2.GaussianBlur(weight, (0, 0), sigma / shrink, borderType=cv2.BORDER_CONSTANT)
    mean = cv2.resize(total / np.maximum(weight, 1e-3), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(mean, np.float32)


def _relative(green: Plane, fov: Mask, inside: Mask) -> Plane:
    """Green channel as a fraction of its local mean, -1 to 1; 0 outside. Vessels are darkest in green."""
    mean = _masked_mean(green, fov, 0.04 * SIDE)
    # The 8 grey levels keep the quantisation steps of a nearly black picture from looking like structure.
    relative = np.clip((green - mean) / (mean + 8), -1, 1)
    return np.where(inside, relative, 0).astype(np.float32)


def _rms(values: Plane) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


def _noise(relative: Plane, inner: Mask) -> float:
    a, b, c, d = relative[:-1:2, :-1:2], relative[1::2, :-1:2], relative[:-1:2, 1::2], relative[1::2, 1::2]
    detail = np.abs(a - b - c + d)[inner[:-1:2, :-1:2]] / 2
    return float(np.median(detail)) / 0.6745 if detail.size else 0.0


@cache
def _sectors() -> NDArray[np.intp]:
    """Sector of each pixel: 0 the centre, 1-8 a ring to 0.7 of the radius, 9-16 the ring outside it."""
    row, column = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(row, column) / (SIDE / 2)
    octant = np.clip(np.floor((np.arctan2(row, column) + np.pi) * (4 / np.pi)), 0, 7).astype(np.intp)
    return np.where(radius < 0.35, 0, np.where(radius < 0.7, 1 + octant, 9 + octant))


def _exposure(luminance: Plane, fov: Mask, inner: Mask) -> dict[str, float]:
    values = luminance[inner]
    sector = _sectors()[inner]
    count = np.bincount(sector, minlength=17)
    total = np.bincount(sector, _masked_mean(luminance, fov, SIDE / 32)[inner], minlength=17)
    seen = count > 0.001 * SIDE**2
    means = total[seen] / count[seen]
    return {
        "brightness": float(values.mean()),
        "saturated_fraction": float(np.mean(values >= 250)),
        "dark_fraction": float(np.mean(values <= 5)),
        "illumination_cv": float(means.std() / max(means.mean(), 1.0)) if means.size else 0.0,
    }


def _band_ratio(relative: Plane, deep: Mask, noise: float) -> float:
    """Fine over coarse band energy as amplitudes; the white-noise part of the fine band is taken out."""
    if not deep.any():
        return 0.0
    fine = _rms((_blur(relative, 1) - _blur(relative, 2))[deep])
    coarse = _rms((_blur(relative, 4) - _blur(relative, 8))[deep])
    # Variance of white noise after a difference of Gaussians 1 and 2: (1/s1^2 + 1/s2^2 - 4/(s1^2 + s2^2)) / (4 pi)
    fine_noise = noise * float(np.sqrt((1 + 1 / 4 - 4 / 5) / (4 * np.pi)))
    return float(np.sqrt(max(fine**2 - fine_noise**2, 0)) / (coarse + 0.003))


def _lines(relative: Plane, noise: float) -> tuple[list[Plane], Plane, Plane]:
    """Depth of dark lines at each scale (1 = to black), the deepest, and how far neighbours agree on direction (0-1).

    The response that white noise would give by itself is subtracted, so noise hides lines instead of making them.
    """
    depths: list[Plane] = []
    best, cosine, sine = (np.zeros_like(relative) for _ in range(3))
    for scale in _LINE_SCALES:
        smooth = _blur(relative, scale)
        xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3) / 4
        yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3) / 4
        xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3) / 4
        spread = np.hypot(xx - yy, 2 * xy)
        # Largest curvature minus the size of the other one: positive on valleys, nothing on blobs and plains.
        depth = np.maximum((xx + yy + spread) / 2 - np.abs(xx + yy - spread) / 2, 0) * (scale**2 / _DEPTH_OF_RESPONSE)
        depth = np.maximum(depth - 1.5 * noise * _NOISE_RESPONSE / scale, 0)
        deeper = depth > best
        best = np.where(deeper, depth, best)
        spread = np.maximum(spread, 1e-9)
        cosine = np.where(deeper, (xx - yy) / spread, cosine)
        sine = np.where(deeper, 2 * xy / spread, sine)
        depths.append(np.asarray(depth, np.float32))
    agreement = np.hypot(_blur(best * cosine, 5), _blur(best * sine, 5)) / (_blur(best, 5) + 0.002)
    return depths, best, agreement.astype(np.float32, copy=False)


def _vessels(relative: Plane, fov: Mask, inner: Mask) -> dict[str, float]:
    """Find long, coherent dark lines and describe them (eyelashes and text pass too: see ``coarse_gradient``)."""
    depths, best, agreement = _lines(relative, _noise(relative, inner))
    candidate = inner & (best > 0.03) & (agreement > 0.55)
    count, label, stats, _ = cv2.connectedComponentsWithStats(candidate.astype(np.uint8), connectivity=8)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, label[candidate].astype(np.intp), best[candidate])
    length = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    keep = (length >= 0.08 * SIDE) & (deepest > 0.06)
    keep[0] = False
    line = keep[label]
    names = ("vessel_sharpness", "vessel_visibility", "vessel_line_density", "vessel_contrast", "vessel_cnr")
    if not line.any():
        return dict.fromkeys(names, 0.0)
    contrast = float(best[line].mean())
    between = float(np.median(np.abs(relative[inner & ~line]))) / 0.6745 if (inner & ~line).any() else 0.0
    near = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 3) < 0.06 * SIDE
    values = (
        float(depths[0][line].mean()) / max(float(depths[-1][line].mean()), 1e-3),
        min(float(np.count_nonzero(near & fov) / _CIRCLE), 1.0),
        float(line.sum() / inner.sum()),
        contrast,
        contrast / (between + 0.005),
    )
    return dict(zip(names, values, strict=True))


def _coarse_gradient(luminance: Plane, fov: Mask, depth: Plane) -> float:
    """Take the lesser of two regions: an eyelid's shadow is steep at the rim only, a big disc only in the middle."""
    log = np.log(_masked_mean(luminance, fov, 6, shrink=2) + 8)
    gradient = np.hypot(cv2.Sobel(log, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(log, cv2.CV_32F, 0, 1, ksize=3)) / 8
    regions = [depth > part * SIDE for part in (0.05, 0.175)]
    return min((float(np.percentile(gradient[r], 90)) * SIDE / 2 for r in regions if r.any()), default=0.0)


def _bright_spot(green: Plane, fov: Mask, depth: Plane) -> float:
    spot, around = _masked_mean(green, fov, 0.03 * SIDE), _masked_mean(green, fov, 0.12 * SIDE)
    deep = depth > 2 * _EDGE
    return float(np.max((spot / (around + 8))[deep]) - 1) if deep.any() else 0.0


def _colour(red: Plane, green: Plane, blue: Plane) -> dict[str, float]:
    means: list[Any] = [max(float(channel.mean()), 1.0) for channel in (red, green, blue)]
    return {"colour_redness": means[0] / sum(means), "colour_blue_red": means[2] / means[0]}
