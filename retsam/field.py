"""The field of view: the circle that the camera sees, and the part of it that the photograph shows.

The work is done on a thumbnail. Points where the picture ends are taken along rays from its middle, at several
thresholds above the border's level, and the circle that most of them share wins. What cuts the circle (the photograph's
edges, straight masks) is taken off the disc; nothing else is, so that dark vessels, bleedings and a dark rim stay
inside. Every step treats left and right alike: the field of a mirrored photograph is the mirrored field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.geometry import Frame
from retsam.io.images import MIN_SIDE, ImageError
from retsam.status import Status

THUMBNAIL = 512
"""Longer side of the thumbnail, pixels."""

RAYS = 360
DARK = 40  # a corner brighter than this is no black border
EVEN = 8  # levels within which the four corners of a white or grey border agree
GREY = 12  # levels within which the channels of a border agree; those of a retina are 20 and more apart
DRAWS = 300
STEPS = (5, 8, 12, 18, 27, 40)  # thresholds above the border's level
TOLERANCE = 0.006  # how far an edge point may lie from the circle, in radii
MIN_SHARE = 0.3  # part of the arc inside the photograph on which an edge has to be found
MIN_POINTS = 12  # rays that such an edge has to meet
SIDE = 1.5  # thumbnail pixels within which points are on one straight side
MAX_ASPECT = 1.7  # of an ellipse
MAX_DROP = 50.0  # levels; more does not make an edge more of an edge

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Field:
    """Field of view of a photograph, in its pixels (centres at integers).

    Attributes
    ----------
    mask : (height, width) bool
        The visible retina: the disc without what the photograph's edges or straight masks cut off.
    x, y : float
        Centre of the circle.
    radius : float
        Of the whole circle, which may reach outside the photograph.
    """

    mask: Mask
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class _Outline:
    """Where the picture ends, one point a ray.

    Attributes
    ----------
    points : (RAYS, 2) float
        In photograph pixels.
    free : (RAYS,) bool
        The picture ends here by itself, not at the photograph's edge or a straight mask.
    low, high : (2,) float
        Where photograph or straight masks end, x and y.
    width, height : int
        Photograph.
    pixel : float
        Photograph pixels per thumbnail pixel.
    """

    points: Floats
    free: Mask
    low: Floats
    high: Floats
    width: int
    height: int
    pixel: float


@dataclass(frozen=True)
class _Ring:
    """A circle, or the upright ellipse that a squashed photograph makes of it, in photograph pixels.

    Attributes
    ----------
    x, y : float
        Centre.
    across, down : float
        Semi-axes.
    """

    x: float
    y: float
    across: float
    down: float

    @property
    def radius(self) -> float:
        return max(self.across, self.down)

    def off(self, points: Floats) -> Floats:
        """How far points (..., 2) lie outside, in radii; exact for a circle, to first order for an ellipse."""
        return np.hypot((points[..., 0] - self.x) / self.across, (points[..., 1] - self.y) / self.down) - 1

    def at(self, part: float = 1.0) -> Floats:
        """Points (RAYS, 2) on the ring, or on one shrunk or grown about its centre."""
        return np.array([self.x, self.y]) + part * np.array([self.across, self.down]) * _directions()

    def on(self, outline: "_Outline") -> Mask:
        """Rays whose point lies on the ring."""
        return outline.free & (np.abs(self.off(outline.points)) < max(TOLERANCE, outline.pixel / self.radius))


def find_field(image: NDArray[np.uint8]) -> Field:
    """Find the field of view.

    Parameters
    ----------
    image : (height, width, 3) uint8
        RGB photograph; its border may be black, near-black, white or grey, or missing.

    Returns
    -------
    Field
        Where no edge is circular (a full-frame photograph, a crop), the visible part is the convex outline of the
        picture and the circle is the smallest one around it. For a full frame that is half the diagonal about the
        middle: the limit of a circle of which only the photograph's corners are missing. A photograph that was squashed
        shows an ellipse: the mask follows it, the radius is its longer semi-axis.

    Raises
    ------
    ImageError
        ``no_fundus`` if nothing stands out from the border or all is one colour; ``too_small`` if the circle is less
        than 64 pixels across.
    """
    height, width = image.shape[:2]
    signal = _signal(_thumbnail(image))
    if signal is None:
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], float)
        return _outlined(corners, width, height)
    outlines = [o for step in STEPS if (o := _outline(signal, step, width, height)) is not None]
    if not outlines:
        fix = "use a fundus photograph"
        raise ImageError(Status.NO_FUNDUS, f"no field of view stands out from a dark or even picture; {fix}")
    candidates = [(_merit(ring, signal, o), ring, o) for o in outlines for ring in _rings(o)]
    if not candidates:
        return _outlined(outlines[0].points, width, height)
    enough = 0.9 * max(merit for merit, _, _ in candidates)
    _, ring, outline = next(c for c in reversed(candidates) if c[0] >= enough)  # nearest to the middle of the edge
    return _disc(ring, outline)


def make_frame(width: int, height: int, field: Field, frame_size: int) -> Frame:
    """Make the canonical frame: the smallest whole-pixel square around the circle.

    The side has the parity of the width, so that the square has a mirror image on the pixel grid: the frame of a
    mirrored photograph is the mirrored frame.

    Parameters
    ----------
    width, height : int
        Photograph, pixels.
    field : Field
    frame_size : int
        Side of the frame, pixels; a multiple of 64.

    Raises
    ------
    ValueError
        If ``frame_size`` is no positive multiple of 64.
    """
    check_frame_size(frame_size)
    side = int(np.ceil(2 * field.radius)) + 1
    side += (side - width) % 2
    # From the photograph's middle, which is a whole number as the parities agree; ties to even, alike left and right
    crop_x = int(np.rint(field.x - (width - 1) / 2)) + (width - side) // 2
    crop_y = int(np.floor(field.y - (side - 1) / 2 + 0.5))
    return Frame(width, height, frame_size, crop_x, crop_y, side, field.x, field.y, field.radius)


def check_frame_size(frame_size: int) -> None:
    """Raise ValueError if ``frame_size`` is no positive multiple of 64."""
    if frame_size <= 0 or frame_size % 64:
        raise ValueError(f"frame_size must be a positive multiple of 64, not {frame_size}")


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1 else image


def _signal(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Distance from the border's colour, greatest of the three channels; None for a picture without a border.

    The corners tell. A border is grey, as no retina is: black where a corner is dark, else of one level in all four
    corners. A picture of one colour counts as a border without anything in it; a light margin around a black border is
    blanked.
    """
    corners = _corners(thumbnail)
    brightest = thumbnail.max(axis=2)
    colours = np.array([np.median(corner, axis=0) for corner in corners])
    level = np.where(np.ptp(colours, axis=1) <= GREY, colours.max(axis=1), np.inf)
    if level.min() < DARK:
        return np.maximum(brightest, np.uint8(level.min())) - np.uint8(level.min())
    if float(thumbnail.std(axis=(0, 1)).max()) < EVEN / 2:
        return np.zeros_like(brightest)
    even = max(float(corner.std(axis=0).max()) for corner in corners) < EVEN / 2
    if not even or not np.isfinite(level).all() or np.ptp(level) > EVEN:
        return None
    border = np.median(colours, axis=0).astype(np.int16)
    signal = np.abs(thumbnail.astype(np.int16) - border).max(axis=2).astype(np.uint8)
    return _within_light_margin(signal, brightest)


def _within_light_margin(signal: NDArray[np.uint8], brightest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn to the black border where the light one only surrounds it, else keep the signal."""
    _, labels = cv2.connectedComponents((signal <= STEPS[-1]).astype(np.uint8), connectivity=4)
    margin = np.isin(labels, labels[[0, 0, -1, -1], [0, -1, 0, -1]]).astype(np.uint8)
    near, far = (cv2.dilate(margin, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) for size in (5, 11))
    between = brightest[(far > near)]
    if len(between) and (between < DARK).mean() > 0.25:  # the picture may also touch the light margin
        return np.where(near > 0, 0, brightest).astype(np.uint8)
    return signal


def _corners(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Pixels (n, 3) of the four corners."""
    side = max(min(picture.shape[:2]) // 50, 2)
    ends = (slice(0, side), slice(-side, None))
    return [picture[rows, cols].reshape(-1, 3) for rows in ends for cols in ends]


def _outline(signal: NDArray[np.uint8], step: int, width: int, height: int) -> _Outline | None:
    """Follow the edge of the largest part above a threshold; None if there is none to speak of."""
    rows, cols = signal.shape
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    above = cv2.morphologyEx((signal > step).astype(np.uint8), cv2.MORPH_OPEN, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    left, top, across, down, area = (int(v) for v in stats[largest])
    if area < 0.01 * rows * cols:
        return None
    part = cv2.dilate((labels == largest).astype(np.uint8), kernel)
    origin = np.array([left + (across - 1) / 2, top + (down - 1) / 2])
    length = int(np.hypot(across, down) / 2) + 4
    end, reached = _ray_ends((signal * part).astype(np.float32), step, origin, length)
    low, high, on_side = _straight_sides(end, reached, max(across, down) / 2)
    zoom = np.array([width / cols, height / rows])
    points, low, high = ((xy + 0.5) * zoom - 0.5 for xy in (end, low, high))
    low, high = np.maximum(low, 0), np.minimum(high, [width - 1, height - 1])
    return _Outline(points, reached & ~on_side, low, high, width, height, float(zoom.max()))


def _straight_sides(ends: Floats, reached: Mask, radius: float) -> tuple[Floats, Floats, Mask]:
    """Find where straight masks cut the picture, as at the photograph's edges but inside it.

    Returns
    -------
    low, high : (2,) float
        Their x and y; infinite where there is none.
    on_side : (RAYS,) bool
        Rays that end at one.
    """
    low, high, on_side = np.full(2, -np.inf), np.full(2, np.inf), np.zeros(RAYS, bool)
    chord = 2 * np.sqrt(2 * radius * SIDE)  # of a circle of this radius, at this depth
    for axis, sign, limit in ((0, -1, low), (0, 1, high), (1, -1, low), (1, 1, high)):
        along, beside = sign * ends[:, axis], ends[:, 1 - axis]
        if not reached.any():
            break
        near = reached & (along > along[reached].max() - SIDE)
        between = (along > np.median(along)) & (beside >= beside[near].min()) & (beside <= beside[near].max())
        if np.ptp(beside[near]) > 1.5 * chord and near.sum() > 0.7 * between.sum():
            limit[axis] = sign * np.median(along[near])
            on_side |= near
    return low, high, on_side


@cache
def _directions() -> Floats:
    """Unit vectors of the rays (RAYS, 2), half a step off the axes, so that left-right mirroring permutes them."""
    angle = (np.arange(RAYS) + 0.5) * (2 * np.pi / RAYS)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _ray_ends(signal: NDArray[np.float32], step: int, origin: Floats, length: int) -> tuple[Floats, Mask]:
    """Outermost crossing of the threshold on each ray.

    Returns
    -------
    ends : (RAYS, 2) float
        In thumbnail pixels; where the ray leaves the picture still above the threshold, the last point inside.
    reached : (RAYS,) bool
        Whether the end lies clear of the photograph's own edge.
    """
    rows, cols = signal.shape
    steps = np.arange(length, dtype=np.float32)
    across, down = _directions().astype(np.float32).T
    x, y = (np.float32(origin[0]) + across[:, None] * steps, np.float32(origin[1]) + down[:, None] * steps)
    profile = cv2.remap(signal, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    above = profile > step
    last = length - 1 - above[:, ::-1].argmax(axis=1)
    last = np.where(above.any(axis=1), np.minimum(last, length - 2), 0)
    rays = np.arange(RAYS)
    inner, outer = profile[rays, last].astype(float), profile[rays, last + 1].astype(float)
    beyond = np.clip((inner - step) / np.maximum(inner - outer, 1e-6), 0, 1)
    ends = origin + (last + beyond)[:, None] * _directions()
    limit = np.array([cols - 1, rows - 1], float)
    reached = above.any(axis=1) & (ends >= 1.5).all(axis=1) & (ends <= limit - 1.5).all(axis=1)
    return np.clip(ends, 0, limit), reached


@cache
def _draws(n: int) -> Floats:
    """Sets of n places (DRAWS, n) along a list, 0 to 1: random, spread over its length, closed under reversing it."""
    rng = np.random.default_rng(0)
    places = (np.arange(n) + rng.random((DRAWS // 2, n)) + rng.random((DRAWS // 2, 1)) * n) / n % 1
    return np.concatenate([places, 1 - places])


def _rings(outline: _Outline) -> list[_Ring]:
    """Fit a circle to the points that share one, and an ellipse where that leaves much of the edge unexplained."""
    circle = _best(_circles, 3, outline)
    if circle is not None and circle.on(outline).sum() > 0.8 * outline.free.sum():
        return [circle]
    ellipse = _best(_ellipses, 4, outline)
    if ellipse is None or (circle is not None and ellipse.on(outline).sum() < 1.25 * circle.on(outline).sum()):
        return [circle] if circle is not None else []
    return [ellipse]


def _best(through: Callable[[Floats], Floats], n: int, outline: _Outline) -> _Ring | None:
    """Ring of one kind that most points share: sampled (RANSAC), then fitted to all its points; None if too few do."""
    points = np.roll(outline.points, -RAYS // 4, axis=0)[np.roll(outline.free, -RAYS // 4)]  # mirroring reverses these
    if len(points) < MIN_POINTS:
        return None
    rings = through(points[np.minimum((_draws(n) * len(points)).astype(int), len(points) - 1)])
    size = np.array([outline.width, outline.height])
    aspect = rings[:, 2] / rings[:, 3]
    possible = (
        (np.abs(rings[:, :2] - (size - 1) / 2) < size / 2).all(axis=1)
        & (rings[:, 2:].max(axis=1) < np.hypot(*size))
        & (rings[:, 2:].min(axis=1) > MIN_POINTS * outline.pixel)
        & (np.maximum(aspect, 1 / aspect) < MAX_ASPECT)
    )
    rings = rings[possible]
    if not len(rings):
        return None
    px, py = points.T.astype(np.float32)
    x, y, across, down = (v[:, None] for v in rings.T.astype(np.float32))
    off = np.abs(np.sqrt(((px - x) / across) ** 2 + ((py - y) / down) ** 2) - 1)
    votes = np.count_nonzero(off < np.maximum(TOLERANCE, outline.pixel / np.maximum(across, down)), axis=1)
    ring = _Ring(*(float(v) for v in rings[int(votes.argmax())]))
    for _ in range(20):
        on = ring.on(outline)
        fitted = through(outline.points[on][None])
        if on.sum() < MIN_POINTS or not len(fitted):
            return None
        ring = _Ring(*(float(v) for v in fitted[0]))
        if np.array_equal(ring.on(outline), on):
            break
    return ring if _is_convincing(ring, outline) else None


def _circles(points: Floats) -> Floats:
    """Circles through or nearest to sets of points (sets, n, 2), algebraic least squares (Kasa).

    Returns
    -------
    (m, 4) float
        x, y and twice the radius; sets in line are left out.
    """
    middle, scale, u, v = _centred(points)
    solution, whole = _solve(np.stack([u, v, np.ones_like(u)], axis=2), u**2 + v**2)
    x, y = solution[:, 0] / 2, solution[:, 1] / 2
    radius = np.sqrt(np.maximum(solution[:, 2] + x**2 + y**2, 0))
    rings = np.stack([x, y, radius, radius], axis=1) * scale[whole, None]
    rings[:, :2] += middle[whole]
    return rings[rings[:, 2] > 0]


def _ellipses(points: Floats) -> Floats:
    """Like :func:`_circles` for upright ellipses; (m, 4) as x, y and the two semi-axes."""
    middle, scale, u, v = _centred(points)
    solution, whole = _solve(np.stack([v**2, u, v, np.ones_like(u)], axis=2), -(u**2))
    b, c, d, e = solution.T  # u2 + b v2 + c u + d v + e = 0
    b = np.where(b > 0, b, np.nan)  # no ellipse
    square = np.sqrt(np.maximum(c**2 / 4 + d**2 / (4 * b) - e, 0))
    rings = np.stack([-c / 2, -d / (2 * b), square, square / np.sqrt(b)], axis=1) * scale[whole, None]
    rings[:, :2] += middle[whole]
    return rings[rings[:, 2] > 0]


def _centred(points: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Middle and size of each set of points, and its points relative to them."""
    middle = points.mean(axis=1)
    relative = points - middle[:, None]
    scale = np.maximum(np.abs(relative).max(axis=(1, 2)), 1e-9)
    u, v = (relative / scale[:, None, None]).transpose(2, 0, 1)
    return middle, scale, u, v


def _solve(matrix: Floats, target: Floats) -> tuple[Floats, Mask]:
    """Least squares of many small systems by their normal equations; which of them have one solution."""
    transposed = matrix.transpose(0, 2, 1)
    normal = transposed @ matrix
    whole = np.abs(np.linalg.det(normal)) > 1e-12
    return np.linalg.solve(normal[whole], transposed[whole] @ target[whole][:, :, None])[:, :, 0], whole


def _seen(ring: _Ring, outline: _Outline) -> Mask:
    """Rays (from the ring's centre) on which the ring lies inside the photograph and its straight masks."""
    clear = 2 * outline.pixel
    arc = ring.at()
    return np.asarray(((arc > outline.low + clear) & (arc < outline.high - clear)).all(axis=1))


def _is_convincing(ring: _Ring, outline: _Outline) -> bool:
    """Whether the edge is found on enough of the arc inside the photograph, and the picture lies inside the ring."""
    found = int(ring.on(outline).sum())
    outside = float((ring.off(outline.points) > 0.05).mean())
    return found >= MIN_POINTS and found >= MIN_SHARE * _seen(ring, outline).sum() and outside < 0.1


def _merit(ring: _Ring, signal: NDArray[np.uint8], outline: _Outline) -> float:
    """Mean fall of the signal across the ring's arc inside the photograph, times the share of the outline it explains.

    The fall tells the edge of the field from the soft contours of a dark retina and from the rim of a halo around the
    field; the share tells it from a circle along one side of an ellipse.
    """
    seen = _seen(ring, outline)
    if not seen.any():
        return 0.0
    zoom = np.array([signal.shape[1] / outline.width, signal.shape[0] / outline.height])
    levels = []
    for part in (0.98, 1.02):
        x, y = ((ring.at(part)[seen] + 0.5) * zoom - 0.5).T.astype(np.float32)
        levels.append(cv2.remap(signal.astype(np.float32), x, y, cv2.INTER_LINEAR))
    inner, outer = levels
    return float(np.clip(inner - outer, 0, MAX_DROP).mean() * ring.on(outline).sum() / outline.free.sum())


def _disc(ring: _Ring, outline: _Outline) -> Field:
    """Field of a ring: the pixels whose centres lie in it, without what straight masks cut off."""
    if 2 * ring.radius < MIN_SIDE:
        raise _too_small(ring.radius)
    x, y = np.arange(outline.width), np.arange(outline.height)
    rest = 1 - ((y - ring.y) / ring.down) ** 2
    reach = np.where(rest >= 0, ring.across * np.sqrt(np.maximum(rest, 0)), -1.0)
    mask = np.abs(x[None, :] - ring.x) <= reach[:, None]
    mask &= ((x >= outline.low[0]) & (x <= outline.high[0]))[None, :]
    mask &= ((y >= outline.low[1]) & (y <= outline.high[1]))[:, None]
    return Field(mask, ring.x, ring.y, ring.radius)


def _outlined(points: Floats, width: int, height: int) -> Field:
    """Field of a picture without a circular edge: its convex outline, and the smallest circle around that."""
    hull = cv2.convexHull(points.astype(np.float32))
    (x, y), radius = cv2.minEnclosingCircle(hull)
    radius += 0.5  # to the outer sides of the pixels
    if 2 * radius < MIN_SIDE:
        raise _too_small(radius)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1)
    return Field(mask.astype(bool), float(x), float(y), float(radius))


def _too_small(radius: float) -> ImageError:
    fix = "use the original photograph"
    message = f"the field of view is {2 * radius:.0f} pixels across, less than {MIN_SIDE}; {fix}"
    return ImageError(Status.TOO_SMALL, message)
