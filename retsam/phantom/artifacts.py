"""What lies between retina and sensor: lashes, dust, reflexes and smears.

Places are in camera coordinates: radii of the field of view from its centre, x to the right and y down on the
photograph, so that an artifact can be drawn on any grid that shows the field.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retsam.field import Field
from retsam.phantom.population import ARTIFACTS, sample
from retsam.phantom.raster import FAR, Strokes, signed_distance

Image = NDArray[np.float32]
Box = tuple[slice, slice]
Colour = tuple[float, float, float]

VISIBLE = 0.1
"""The mask ends this far into the soft border, as a fraction of its width: what lies outside is hardly seen."""


class Artifact(Protocol):
    """Anything that the camera adds to the picture and that hides the retina."""

    def distance(self, field: Field, shape: tuple[int, int]) -> Image:
        """Signed distance to the border of what is visible, pixels, positive inside.

        Parameters
        ----------
        field : Field
            Field of view on the grid that is drawn on; only its centre and radius are used.
        shape : tuple of int
            Height and width of that grid.

        Returns
        -------
        (H, W) float32
            Exact near the border, ``raster.FAR`` or less far outside.
        """
        ...

    def paint(self, out: Image, field: Field, distance: Image) -> None:
        """Paint onto a picture (H, W, 3) float32 in place, given ``distance`` on its grid."""
        ...


@dataclass(frozen=True)
class _Soft:
    """Something of one colour with a soft border.

    Attributes
    ----------
    colour : tuple of float
        Red, green, blue, 0-1.
    opacity : float
        0-1, where it is thickest.
    softness : float
        Width of its border, radii.
    """

    colour: Colour
    opacity: float
    softness: float

    def paint(self, out: Image, field: Field, distance: Image) -> None:
        """Blend the colour over a picture; opacity rises smoothly across the border."""
        soft = np.float32(max(self.softness * field.radius, 1.0))
        rows, cols = _box(distance > -VISIBLE * soft)
        t = np.clip(distance[rows, cols] / soft + np.float32(VISIBLE), 0.0, 1.0)
        alpha = (t * t * (3.0 - 2.0 * t) * np.float32(self.opacity))[..., None]
        out[rows, cols] += alpha * (np.array(self.colour, np.float32) - out[rows, cols])

    def _shrink(self, field: Field) -> np.float32:
        """How far the visible border lies inside the outer end of the soft one, pixels."""
        return np.float32(VISIBLE * max(self.softness * field.radius, 1.0))


@dataclass(frozen=True)
class Lash(_Soft):
    """An eyelash out of focus: a curved stroke.

    Attributes
    ----------
    points : (n, 2) float
        Along its middle.
    radius : (n,) float
        Half its width; it thins towards the tip.
    """

    points: NDArray[np.float64]
    radius: NDArray[np.float64]

    def distance(self, field: Field, shape: tuple[int, int]) -> Image:
        """See :class:`Artifact`."""
        xy = self.points * field.radius + [field.x, field.y]
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        radius = self.radius * field.radius
        wanted = np.linspace(0.0, along[-1], int(along[-1] / max(float(radius.mean()) / 2.0, 1.0)) + 2)
        ends = np.stack([np.interp(wanted, along, xy[:, 0]), np.interp(wanted, along, xy[:, 1])], axis=1)
        middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
        strokes = Strokes(middle, half, np.interp((wanted[1:] + wanted[:-1]) / 2, along, radius))
        return signed_distance(strokes, shape) - self._shrink(field)


@dataclass(frozen=True)
class Spot(_Soft):
    """Dust or a ghost of it: a round spot, or a ring where ``hole`` (radii, below ``radius``) is above 0."""

    centre: tuple[float, float]
    radius: float
    hole: float = 0.0

    def distance(self, field: Field, shape: tuple[int, int]) -> Image:
        """See :class:`Artifact`."""
        out = np.full(shape, FAR, np.float32)
        box = _window(field, shape, self.centre, self.radius)
        away = _away(field, shape, self.centre, box)
        near = np.float32(self.radius * field.radius) - away
        if self.hole > 0.0:
            near = np.minimum(near, away - np.float32(self.hole * field.radius))
        out[box] = near - self._shrink(field)
        return out


@dataclass(frozen=True)
class Crescent(_Soft):
    """A reflex or flare at the rim: what lies beyond a circle through the field.

    Attributes
    ----------
    centre : tuple of float
        Of that circle, opposite to the crescent.
    radius : float
        Of that circle.
    """

    centre: tuple[float, float]
    radius: float

    def distance(self, field: Field, shape: tuple[int, int]) -> Image:
        """See :class:`Artifact`."""
        everywhere = (slice(0, shape[0]), slice(0, shape[1]))
        outside = _away(field, shape, self.centre, everywhere) - np.float32(self.radius * field.radius)
        return np.asarray(outside - self._shrink(field), np.float32)


@dataclass(frozen=True)
class Smear(_Soft):
    """A smudge on the lens: an ellipse with semi-axes ``semi`` (long, short), turned by ``angle`` radians."""

    centre: tuple[float, float]
    semi: tuple[float, float]
    angle: float

    def distance(self, field: Field, shape: tuple[int, int]) -> Image:
        """See :class:`Artifact`; level over gradient, which is exact to first order at the border."""
        out = np.full(shape, FAR, np.float32)
        box = _window(field, shape, self.centre, self.semi[0])
        x, y = _offset(field, shape, self.centre, box)
        c, s = np.float32(math.cos(self.angle)), np.float32(math.sin(self.angle))
        long, short = (np.float32(axis * field.radius) for axis in self.semi)
        p, q = (c * x + s * y) / long, (c * y - s * x) / short
        level = np.hypot(p, q)
        slope = np.hypot(p / long, q / short) / np.maximum(level, np.float32(1e-6))
        out[box] = (1.0 - level) / np.maximum(slope, 1.0 / long) - self._shrink(field)
        return out


def artifact_mask(artifacts: Sequence[Artifact], field: Field, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Union (H, W) of everything that the artifacts hide, not cut to the field of view."""
    out = np.zeros(shape, bool)
    for artifact in artifacts:
        out |= artifact.distance(field, shape) >= 0
    return out


def draw_artifacts(rng: np.random.Generator, quality: float, sign: int = 1) -> tuple[Artifact, ...]:
    """Draw what spoils a photograph.

    Parameters
    ----------
    rng : Generator
        As many numbers are taken whatever the dial says, so that with one seed a lower dial only adds to a higher one.
    quality : float
        Dial from 0 to 1: the lower, the more often, the more and the stronger.
    sign : int
        See ``Grid.sign``; the other eye's artifacts are the mirror image.

    Returns
    -------
    tuple of Artifact
        In the order of painting; empty for many a good photograph.
    """
    drawn = sample(rng, ARTIFACTS)
    out: list[Artifact] = []
    for make in (_smear, _dust, _ghost, _flare, _lashes):
        out += make(rng, 1.0 - quality, sign, drawn)
    return tuple(out)


def _count(chance: float, amount: float, base: float, steep: float, most: int) -> int:
    """How many there are: none below a threshold in ``chance``, more the further above and the greater the amount."""
    return int(np.clip(round((chance - base + steep * amount) * most), 0, most))


def _lashes(rng: np.random.Generator, amount: float, sign: int, drawn: dict[str, float]) -> list[Artifact]:
    """Side by side from the lower or upper rim, leaning alike."""
    most = 10
    place, lean, length, bend = rng.standard_normal((4, most))
    below = 1.0 if drawn["lash_side"] < 0.75 else -1.0
    number = _count(drawn["lashes"], amount, 0.93, 0.45, most)
    out: list[Artifact] = []
    for k in range(number):
        start = math.pi / 2 + 0.32 * place[k]
        heading = start + math.pi + 0.35 * drawn["lash_lean"] + 0.18 * lean[k]
        reach = 0.26 * math.exp(0.25 * length[k]) * (0.8 + 0.5 * amount)
        t = np.linspace(0.0, 1.0, 24)
        turn = heading + 0.5 * bend[k] * t
        step = reach / 23
        x = 1.03 * math.cos(start) + np.concatenate([[0.0], np.cumsum(step * np.cos(turn[:-1]))])
        y = 1.03 * math.sin(start) + np.concatenate([[0.0], np.cumsum(step * np.sin(turn[:-1]))])
        width = drawn["lash_width"] * (1.0 - 0.5 * t)
        points = np.stack([sign * x, below * y], axis=1)
        out.append(Lash((0.05, 0.025, 0.015), drawn["lash_opacity"], 1.2 * drawn["lash_width"], points, width))
    return out


def _dust(rng: np.random.Generator, amount: float, sign: int, drawn: dict[str, float]) -> list[Artifact]:
    """Small spots anywhere, dark or bright."""
    most = 12
    radius, angle, size, look = rng.random((4, most))
    out: list[Artifact] = []
    for k in range(_count(drawn["dust"], amount, 0.70, 0.35, most)):
        away, turn = 0.95 * math.sqrt(radius[k]), 2.0 * math.pi * angle[k]
        centre = (sign * away * math.cos(turn), away * math.sin(turn))
        spot = 0.012 * math.exp(0.9 * size[k])
        dark = look[k] < 0.6
        colour = (0.12, 0.07, 0.05) if dark else (0.86, 0.84, 0.74)
        out.append(Spot(colour, (0.55 if dark else 0.4) * (0.7 + 0.5 * size[k]), 0.7 * spot, centre, spot))
    return out


def _ghost(rng: np.random.Generator, amount: float, sign: int, drawn: dict[str, float]) -> list[Artifact]:
    """Reflex of the lens near the middle: a small ring, or a bright spot."""
    x, y, size, ring = rng.random(4)
    if drawn["ghost"] < 0.8 - 0.4 * amount:
        return []
    radius = 0.035 + 0.05 * size
    centre = (sign * 0.16 * (x - 0.5), 0.16 * (y - 0.5))
    hole = 0.55 * radius if ring < 0.6 else 0.0
    opacity = min(0.25 + 0.45 * amount, 0.8)
    return [Spot((0.82, 0.84, 0.92), opacity, 0.3 * radius if hole else 0.7 * radius, centre, radius, hole)]


def _flare(rng: np.random.Generator, amount: float, sign: int, drawn: dict[str, float]) -> list[Artifact]:
    """Bright crescents at the rim, where light comes past the iris."""
    tone = rng.random()
    if drawn["flare"] < 0.90 - 0.45 * amount:
        return []
    turn = math.radians(drawn["flare_side"])
    depth = drawn["flare_depth"] * (0.75 + 0.9 * amount)
    behind = 0.5
    centre = (-sign * behind * math.cos(turn), -behind * math.sin(turn))
    colour = ((1.0, 0.96, 0.86), (0.80, 0.94, 0.90), (1.0, 0.80, 0.55))[min(int(3 * tone), 2)]
    return [Crescent(colour, min(0.4 + 0.6 * amount, 0.95), depth, centre, 1.0 + behind - depth)]


def _smear(rng: np.random.Generator, amount: float, sign: int, drawn: dict[str, float]) -> list[Artifact]:
    """A pale smudge, anywhere."""
    radius, angle, turn, tone = rng.random(4)
    if drawn["smear"] < 0.95 - 0.4 * amount:
        return []
    away, around = 0.8 * math.sqrt(radius), 2.0 * math.pi * angle
    long = drawn["smear_size"]
    centre = (sign * away * math.cos(around), away * math.sin(around))
    colour = (0.70, 0.66, 0.60) if tone < 0.7 else (0.30, 0.22, 0.16)
    semi = (long, 0.6 * long)
    return [Smear(colour, 0.2 + 0.35 * amount, 0.6 * long, centre, semi, sign * math.pi * turn)]


def _window(field: Field, shape: tuple[int, int], centre: tuple[float, float], reach: float) -> Box:
    """Rows and columns within ``reach`` radii (and a little more) of a place in camera coordinates."""
    out = []
    for at, part, length in ((field.y, centre[1], shape[0]), (field.x, centre[0], shape[1])):
        middle, half = at + part * field.radius, reach * field.radius - FAR
        low, high = (int(np.clip(edge, 0, length)) for edge in (middle - half, middle + half + 1))
        out.append(slice(low, max(low, high)))
    return out[0], out[1]


def _offset(field: Field, shape: tuple[int, int], centre: tuple[float, float], box: Box) -> tuple[Image, Image]:
    """Pixels (1, w) and (h, 1) from a place in camera coordinates, in a box."""
    x = np.arange(shape[1])[box[1]] - (field.x + centre[0] * field.radius)
    y = np.arange(shape[0])[box[0]] - (field.y + centre[1] * field.radius)
    return x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]


def _away(field: Field, shape: tuple[int, int], centre: tuple[float, float], box: Box) -> Image:
    """Pixels (h, w) from a place in camera coordinates, in a box."""
    x, y = _offset(field, shape, centre, box)
    return np.asarray(np.sqrt(x * x + y * y), np.float32)


def _box(mask: NDArray[np.bool_]) -> Box:
    """Rows and columns that hold a mask."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
