"""The field of view: the circle that the camera sees, and the part of it that the photograph shows.

The work is done on a thumbnail. Points where the picture ends are taken along rays from its middle, at several
thresholds above the border's level, and the circle that most of them share wins. What cuts the circle (the photograph's
edges, straight masks) is taken off the disc; nothing else is, so that dark vessels, bleedings and a dark rim stay
inside. Every step treats left and right alike: the field of a mirrored photograph is the mirrored field.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from retsam.geometry import Frame
from retsam.io.images import MIN_SIDE, ImageError
from retsam.status import Status

THUMBNAIL = 512
"""Longer side of the thumbnail, pixels."""

RAYS = 360
DARK = 40  # a corner brighter than this is no black border
EVEN = 8  # levels within which the four corners of a white or grey border agree
STEPS = (5, 8, 12, 18, 27, 40)  # thresholds above the border's level
TOLERANCE = 0.006  # how far an edge point may lie from the circle, in radii
MIN_SHARE = 0.3  # part of the arc inside the photograph on which an edge has to be found
MIN_POINTS = 12  # rays that such an edge has to meet

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
    inside : (RAYS,) bool
        The picture ends here, not the photograph.
    origin : (2,) float
        Where the rays start.
    pixel : float
        Photograph pixels per thumbnail pixel.
    """

    points: Floats
    inside: Mask
    origin: Floats
    pixel: float


@dataclass(frozen=True)
class _Circle:
    """A fitted circle and the rays whose points lie on it."""

    x: float
    y: float
    radius: float
    on: Mask


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
        middle: the limit of a circle of which only the photograph's corners are missing.

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
    fits = [(circle, o) for o in outlines if (circle := _fit(o, width, height)) is not None]
    if not fits:
        return _outlined(outlines[0].points, width, height)
    enough = 0.97 * max(int(circle.on.sum()) for circle, _ in fits)
    circle, outline = next(
        fit for fit in reversed(fits) if fit[0].on.sum() >= enough
    )  # nearest to the middle of the edge
    return _cut_disc(circle, outline, width, height)


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
    if frame_size <= 0 or frame_size % 64:
        raise ValueError(f"frame_size must be a positive multiple of 64, not {frame_size}")
    side = int(np.ceil(2 * field.radius)) + 1
    side += (side - width) % 2
    middle = _nearest(field.x - (width - 1) / 2)  # from the photograph's middle, whole since the parities agree
    crop_x = middle + (width - side) // 2
    crop_y = _nearest(field.y - (side - 1) / 2)
    return Frame(width, height, frame_size, crop_x, crop_y, side, field.x, field.y, field.radius)


def _nearest(value: float) -> int:
    """Round, ties to even: the same for a value and its negative."""
    return int(np.rint(value))


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1 else image


def _signal(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Distance from the border's colour, greatest of the three channels; None for a picture without a border.

    The corners tell: the darkest is black where there is a black border; a border of another colour is the same in all
    four. One colour all over counts as a border without a picture.
    """
    height, width = thumbnail.shape[:2]
    side = max(min(height, width) // 50, 2)
    edges = (slice(0, side), slice(-side, None))
    corners = np.array([np.median(thumbnail[r, c].reshape(-1, 3), axis=0) for r in edges for c in edges])
    level = corners.max(axis=1)
    if level.min() < DARK:
        brightest = thumbnail.max(axis=2)
        black = np.uint8(level.min())
        return np.maximum(brightest, black) - black
    colour = np.median(corners, axis=0)
    even = max(float(thumbnail[r, c].reshape(-1, 3).std(axis=0).max()) for r in edges for c in edges) < EVEN / 2
    if even and np.abs(corners - colour).max() < EVEN:
        return np.abs(thumbnail.astype(np.int16) - colour.astype(np.int16)).max(axis=2).astype(np.uint8)
    return None


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
    zoom = np.array([width / cols, height / rows])
    points = (end + 0.5) * zoom - 0.5
    return _Outline(points, reached, (origin + 0.5) * zoom - 0.5, float(zoom.max()))


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
def _triples() -> NDArray[np.intp]:
    """Triples of rays (n, 3) to try circles on: random, far apart, and closed under left-right mirroring."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, RAYS, (6000, 3))
    gaps = np.abs(drawn - np.roll(drawn, 1, axis=1))
    drawn = drawn[np.minimum(gaps, RAYS - gaps).min(axis=1) >= RAYS // 24]
    return np.concatenate([drawn, (RAYS // 2 - 1 - drawn) % RAYS])


def _fit(outline: _Outline, width: int, height: int) -> _Circle | None:
    """Fit a circle to the points that share one; None if too few do."""
    triples = _triples()
    triples = triples[outline.inside[triples].all(axis=1)][:300]
    if not len(triples):
        return None
    xyr = _circles_through(outline.points[triples])
    xyr = xyr[np.isfinite(xyr).all(axis=1)]
    diagonal = float(np.hypot(width, height))
    centred = (np.abs(xyr[:, :2] - [(width - 1) / 2, (height - 1) / 2]) < np.array([width, height]) / 2).all(axis=1)
    xyr = xyr[centred & (xyr[:, 2] < diagonal) & (xyr[:, 2] > MIN_POINTS * outline.pixel)]
    if not len(xyr):
        return None
    px, py = outline.points[outline.inside].T.astype(np.float32)
    cx, cy, cr = (v[:, None] for v in xyr.T.astype(np.float32))
    off = np.abs(np.sqrt((px - cx) ** 2 + (py - cy) ** 2) - cr)
    votes = np.count_nonzero(off < _tolerance(cr, outline), axis=1)
    x, y, radius = _refine(xyr[int(votes.argmax())], outline)
    circle = _Circle(x, y, radius, _on(x, y, radius, outline))
    return circle if _is_convincing(circle, outline, width, height) else None


def _tolerance(radius: ArrayLike, outline: _Outline) -> NDArray[Any]:
    return np.maximum(TOLERANCE * np.asarray(radius), outline.pixel)


def _circles_through(corners: Floats) -> Floats:
    """Circumscribed circles (n, 3) as x, y, radius of triangles (n, 3, 2); not finite where the corners are in line."""
    a = corners[:, 0]
    b, c = corners[:, 1] - a, corners[:, 2] - a
    with np.errstate(divide="ignore", invalid="ignore"):
        d = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
        bb, cc = (b**2).sum(axis=1), (c**2).sum(axis=1)
        x = (c[:, 1] * bb - b[:, 1] * cc) / d
        y = (b[:, 0] * cc - c[:, 0] * bb) / d
        return np.stack([a[:, 0] + x, a[:, 1] + y, np.hypot(x, y)], axis=1)


def _on(x: float, y: float, radius: float, outline: _Outline) -> Mask:
    """Rays whose point lies on the circle."""
    off = np.abs(np.hypot(outline.points[:, 0] - x, outline.points[:, 1] - y) - radius)
    return outline.inside & (off < _tolerance(radius, outline))


def _refine(start: Floats, outline: _Outline) -> tuple[float, float, float]:
    """Least squares of the distances to the circle, over the points on it, until they stay the same (Gauss-Newton)."""
    x, y, radius = (float(v) for v in start)
    for _ in range(20):
        points = outline.points[_on(x, y, radius, outline)]
        if len(points) < 3:
            break
        away = points - [x, y]
        distance = np.hypot(away[:, 0], away[:, 1])
        slope = np.column_stack([away / distance[:, None], np.ones(len(points))])
        change = np.linalg.lstsq(slope, distance - radius, rcond=None)[0]
        x, y, radius = x + float(change[0]), y + float(change[1]), radius + float(change[2])
        if np.abs(change).max() < 1e-9:
            break
    return x, y, radius


def _is_convincing(circle: _Circle, outline: _Outline, width: int, height: int) -> bool:
    """Whether the edge is seen on enough of the arc inside the photograph, and the picture lies inside the circle."""
    arc = np.array([circle.x, circle.y]) + circle.radius * _directions()
    clear = 2 * outline.pixel
    seen = ((arc > clear) & (arc < np.array([width - 1, height - 1]) - clear)).all(axis=1)
    away = np.hypot(outline.points[:, 0] - circle.x, outline.points[:, 1] - circle.y)
    outside = (away > 1.05 * circle.radius).mean()
    found = int(circle.on.sum())
    return found >= MIN_POINTS and found >= MIN_SHARE * seen.sum() and outside < 0.1


def _cut_disc(circle: _Circle, outline: _Outline, width: int, height: int) -> Field:
    """Disc without what straight masks cut off its four sides."""
    if 2 * circle.radius < MIN_SIDE:
        raise _too_small(circle.radius)
    low, high = np.array([-np.inf, -np.inf]), np.array([np.inf, np.inf])
    for axis in (0, 1):
        low[axis] = _cut(circle, outline, axis, -1)
        high[axis] = _cut(circle, outline, axis, 1)
    return Field(_disc(circle, low, high, width, height), circle.x, circle.y, circle.radius)


def _cut(circle: _Circle, outline: _Outline, axis: int, sign: int) -> float:
    """Position of a straight edge across one side of the circle; infinite if there is none.

    It is there if most rays that would meet the circle beyond it end on one line instead.
    """
    centre = (circle.x, circle.y)[axis]
    along = sign * (outline.points[:, axis] - centre)  # towards that side
    arc = sign * (circle.radius * _directions()[:, axis])
    depth = circle.radius - np.hypot(outline.points[:, 0] - circle.x, outline.points[:, 1] - circle.y)
    short = outline.inside & (depth > _tolerance(circle.radius, outline)) & (along > 0.3 * circle.radius)
    if short.sum() < MIN_POINTS:
        return sign * np.inf
    line = float(np.median(along[short]))
    on_line = short & (np.abs(along - line) < 1.5 * outline.pixel)
    return centre + sign * line if on_line.sum() > 0.6 * (arc > line).sum() else sign * np.inf


def _disc(circle: _Circle, low: Floats, high: Floats, width: int, height: int) -> Mask:
    """Pixels whose centres lie in the circle and between the limits."""
    x, y = np.arange(width), np.arange(height)
    half = np.sqrt(np.maximum(circle.radius**2 - (y - circle.y) ** 2, -0.0))
    reach = np.where(np.abs(y - circle.y) <= circle.radius, half, -1.0)
    mask = np.abs(x[None, :] - circle.x) <= reach[:, None]
    mask &= ((x >= low[0]) & (x <= high[0]))[None, :]
    mask &= ((y >= low[1]) & (y <= high[1]))[:, None]
    return mask


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
