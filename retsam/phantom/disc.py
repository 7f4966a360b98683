"""Optic disc and cup: outlines in degrees whose extents, areas and rim widths are known.

The cup is a star-shaped outline about the disc's centre, sampled every half degree of angle. It is drawn from an
ellipse that is moved up and to the temporal side, so that on average the rim follows the ISNT rule (inferior widest,
then superior, nasal, temporal; Jonas et al., Invest Ophthalmol Vis Sci 1988;29:1151), made slightly irregular, and
kept off the disc's margin.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retsam.phantom.raster import FAR, Grid

Angles = NDArray[np.float64]
Image = NDArray[np.float32]

RAYS = 720
ANGLES: Angles = np.linspace(0.0, 2.0 * math.pi, RAYS, endpoint=False)
"""Directions at which outlines are sampled, radians from temporal towards inferior."""

LEAST_RIM = 0.05
"""Least rim width, as a fraction of the disc's radius in that direction."""
_SOFT = 0.02  # of the same unit: the cup flattens smoothly towards the least rim


class _Outline:
    """What closed outlines about a centre share; ``radius_at`` and ``slope_at`` say which one it is."""

    centre: tuple[float, float]

    def radius_at(self, angle: ArrayLike) -> Angles:
        """Distance from the centre to the border in given directions (radians), degrees."""
        raise NotImplementedError

    @property
    def points(self) -> NDArray[np.float64]:
        """Border (RAYS, 2), degrees."""
        radius = self.radius_at(ANGLES)
        return np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * radius[:, None] + self.centre

    @property
    def area(self) -> float:
        """Square degrees."""
        return float(0.5 * (self.radius_at(ANGLES) ** 2).mean() * 2.0 * math.pi)

    @property
    def centroid(self) -> NDArray[np.float64]:
        """Centre of its area (2,), degrees."""
        radius = self.radius_at(ANGLES)
        way = np.stack([np.cos(ANGLES), np.sin(ANGLES)])
        return (way * radius**3).mean(axis=1) / (radius**2).mean() * (2.0 / 3.0) + self.centre

    @property
    def extents(self) -> tuple[float, float]:
        """Horizontal and vertical extent, degrees."""
        across, down = np.ptp(self.points, axis=0)
        return float(across), float(down)

    def level(self, u: Image, v: Image) -> Image:
        """Distance from the centre relative to the border: 1 on it, below 1 inside."""
        du, dv = np.broadcast_arrays(u - np.float32(self.centre[0]), v - np.float32(self.centre[1]))
        table = np.append(self.radius_at(ANGLES), self.radius_at(0.0)).astype(np.float32)
        return np.hypot(du, dv) / _look_up(table, np.arctan2(dv, du))

    def signed_distance(self, grid: Grid, lowest: float = FAR) -> Image:
        """Signed distance (height, width) to the border, pixels, positive inside, never below ``lowest``.

        First order: the level set over the length of its gradient.
        """
        out = np.full((grid.height, grid.width), lowest, np.float32)
        radius = self.radius_at(ANGLES)
        place, part = window(grid, self.centre, float(radius.max()) - 1.1 * lowest / grid.scale)
        u, v = part.coordinates()
        du, dv = u - np.float32(self.centre[0]), v - np.float32(self.centre[1])
        if du.size and dv.size:
            rho, theta = np.hypot(du, dv), np.arctan2(dv, du)
            slope = np.gradient(np.concatenate([radius[-1:], radius, radius[:1]]))[1:-1] * RAYS / (2.0 * math.pi)
            tables = [np.append(x, x[0]).astype(np.float32) for x in (radius, 1.0 / np.hypot(1.0, slope / radius))]
            border, cosine = (_look_up(table, theta) for table in tables)
            out[place] = np.maximum((border - rho) * cosine * np.float32(grid.scale), np.float32(lowest))
        return out


@dataclass(frozen=True)
class Ellipse(_Outline):
    """A filled ellipse: centre (u, v), semi-axes, and rotation of the vertical one, degrees throughout.

    A positive ``tilt`` turns the upper end of the vertical axis to the temporal side.
    """

    centre: tuple[float, float]
    semi_u: float
    semi_v: float
    tilt: float = 0.0

    def radius_at(self, angle: ArrayLike) -> Angles:
        """Distance from the centre to the border in given directions (radians), degrees."""
        turned = np.asarray(angle, float) - math.radians(self.tilt)
        return 1.0 / np.hypot(np.cos(turned) / self.semi_u, np.sin(turned) / self.semi_v)

    @property
    def area(self) -> float:
        """Square degrees."""
        return math.pi * self.semi_u * self.semi_v

    @property
    def extents(self) -> tuple[float, float]:
        """Horizontal and vertical extent, degrees."""
        c, s = math.cos(math.radians(self.tilt)), math.sin(math.radians(self.tilt))
        return (
            2.0 * math.hypot(self.semi_u * c, self.semi_v * s),
            2.0 * math.hypot(self.semi_u * s, self.semi_v * c),
        )

    def level(self, u: Image, v: Image) -> Image:
        """Relative distance from the centre: 1 on the border, below 1 inside."""
        c, s = math.cos(math.radians(self.tilt)), math.sin(math.radians(self.tilt))
        du, dv = u - np.float32(self.centre[0]), v - np.float32(self.centre[1])
        along, across = np.float32(c) * du + np.float32(s) * dv, np.float32(c) * dv - np.float32(s) * du
        return np.hypot(along / np.float32(self.semi_u), across / np.float32(self.semi_v))


@dataclass(frozen=True)
class Outline(_Outline):
    """A star-shaped outline.

    Attributes
    ----------
    centre : tuple of float
        u, v, degrees.
    radius : (RAYS,) float64
        Distance from the centre to the border in the directions :data:`ANGLES`, degrees; linear between them.
    """

    centre: tuple[float, float]
    radius: NDArray[np.float64]

    def radius_at(self, angle: ArrayLike) -> Angles:
        """Distance from the centre to the border in given directions (radians), degrees."""
        place = np.mod(np.asarray(angle, float), 2.0 * math.pi) * (RAYS / (2.0 * math.pi))
        return np.interp(place, np.arange(RAYS + 1), np.append(self.radius, self.radius[0]))


def _look_up(table: NDArray[np.float32], theta: Image) -> Image:
    """Values at angles (radians) of a function sampled at :data:`ANGLES` and, once more, at a full turn."""
    place = theta * np.float32(RAYS / (2.0 * math.pi))
    place = np.where(place < 0, place + np.float32(RAYS), place)
    below = np.minimum(place.astype(np.intp), RAYS - 1)
    return table[below] + (place - below.astype(np.float32)) * (table[below + 1] - table[below])


def window(grid: Grid, centre: tuple[float, float], reach: float) -> tuple[tuple[slice, slice], Grid]:
    """Rows and columns of the pixels within ``reach`` degrees of a place, and the grid of these pixels alone."""
    x, y = grid.to_px(centre)
    half = reach * grid.scale
    top, left = (max(math.ceil(at - half), 0) for at in (y, x))
    bottom = max(min(math.floor(y + half) + 1, grid.height), top)
    right = max(min(math.floor(x + half) + 1, grid.width), left)
    part = replace(grid, width=right - left, height=bottom - top, x0=grid.x0 - left, y0=grid.y0 - top)
    return (slice(top, bottom), slice(left, right)), part


def draw_cup(
    rng: np.random.Generator, disc: Ellipse, vertical: float, wide: float, shift: tuple[float, float]
) -> Outline:
    """Draw a cup inside a disc.

    Parameters
    ----------
    rng : Generator
    disc : Ellipse
    vertical : float
        Vertical cup-disc ratio, 0-1; exact unless the cup comes near the disc's margin.
    wide : float
        Horizontal over vertical cup-disc ratio, before the irregularity.
    shift : tuple of float
        Of the cup's middle to the temporal and to the superior side, as fractions of the mean rim width.

    Returns
    -------
    Outline
        About the disc's centre.
    """
    border = disc.radius_at(ANGLES)
    moved = np.clip(np.array([shift[0], -shift[1]]) * (1.0 - vertical), -0.6 * vertical, 0.6 * vertical)
    k = np.arange(2, 6)
    waves = 0.025 * rng.standard_normal((2, len(k))) * 2.0 / k
    rough = 1.0 + waves[0] @ np.cos(np.outer(k, ANGLES)) + waves[1] @ np.sin(np.outer(k, ANGLES))
    # In units where the disc is the unit circle: a shifted, widened circle, seen from the disc's centre.
    radius = _seen_from_origin(
        vertical * rough * np.cos(ANGLES) * wide + moved[0], vertical * rough * np.sin(ANGLES) + moved[1]
    )
    for _ in range(3):  # the vertical extent is what was asked for, whatever the waves and the margin did
        kept = _keep_rim(radius)
        got = Outline(disc.centre, kept * border).extents[1] / disc.extents[1]
        radius *= vertical / got
    return Outline(disc.centre, _keep_rim(radius) * border)


def _seen_from_origin(x: Angles, y: Angles) -> Angles:
    """Radius at :data:`ANGLES` of a closed curve (n,) around the origin."""
    angle = np.unwrap(np.arctan2(y, x))
    return np.interp(ANGLES, angle, np.hypot(x, y), period=2.0 * math.pi)


def _keep_rim(radius: Angles) -> Angles:
    """Relative radii, bent smoothly below ``1 - LEAST_RIM``."""
    most = 1.0 - LEAST_RIM
    return most - _SOFT * np.logaddexp(0.0, (most - radius) / _SOFT)


def rim_width(disc: Ellipse, cup: Outline, angle: ArrayLike = ANGLES) -> Angles:
    """Disc radius minus cup radius along rays from the disc's centre.

    Parameters
    ----------
    disc : Ellipse
    cup : Outline
        About the disc's centre.
    angle : array-like
        Radians from temporal towards inferior.

    Returns
    -------
    ndarray
        Degrees.
    """
    return disc.radius_at(angle) - cup.radius_at(angle)


def sector_rim_width(disc: Ellipse, cup: Outline, middle: float, width: float = math.pi / 2) -> float:
    """Mean rim width (degrees) over a sector about the disc's centre; ``middle`` and ``width`` in radians."""
    angle = middle + width * (np.arange(RAYS) + 0.5 - RAYS / 2) / RAYS
    return float(rim_width(disc, cup, angle).mean())


def cup_disc_ratios(disc: Ellipse, cup: Outline) -> tuple[float, float, float]:
    """Vertical, horizontal and area cup-disc ratio, 0-1; extents along the image's axes."""
    (cup_u, cup_v), (disc_u, disc_v) = cup.extents, disc.extents
    return cup_v / disc_v, cup_u / disc_u, cup.area / disc.area


def least_rim_ratio(disc: Ellipse, cup: Outline) -> float:
    """Narrowest rim as a fraction of the disc's radius in that direction, 0-1 (disc damage likelihood scale)."""
    return float((rim_width(disc, cup) / disc.radius_at(ANGLES)).min())


def longest_axis_ratio(disc: Ellipse, cup: Outline) -> float:
    """Extent of the cup over that of the disc in the direction in which the disc is longest."""
    lie = math.radians(disc.tilt) + (math.pi / 2 if disc.semi_v >= disc.semi_u else 0.0)
    along = cup.points @ [math.cos(lie), math.sin(lie)]
    return float(np.ptp(along)) / (2.0 * max(disc.semi_u, disc.semi_v))
