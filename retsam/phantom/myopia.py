"""Findings of the long eye: tessellation, peripapillary atrophy, and diffuse, patchy and choroidal atrophy.

Each function draws one finding from a generator, the healthy eye, its parameters and a severity (0-1). A mask ends
where the finding is half as visible as inside it. Definitions: META-PM (Ohno-Matsui et al., Am J Ophthalmol
2015;159:877).
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.phantom.anatomy import Anatomy, EyeParameters
from retsam.phantom.disc import ANGLES, Ellipse, Outline
from retsam.phantom.finding import Layer, Spots
from retsam.phantom.paint import blend, coarser, enlarge, scale_colours, step
from retsam.phantom.raster import FAR, Grid, Strokes, resample, signed_distance
from retsam.phantom.shapes import Blobs
from retsam.phantom.texture import Texture
from retsam.phantom.vessels import Segment

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Colour = tuple[float, float, float]

PIGMENT: Colour = (0.20, 0.13, 0.10)
_VESSEL: Colour = (0.76, 0.37, 0.20)
SPREAD = 30.0
"""How far from the posterior pole choroidal vessels are drawn, degrees."""
STEP = 0.3
"""Of their courses, degrees."""
RESOLVED = 1.5
"""Pixels per radius at which they are drawn; a finer grid gets its distances by interpolation."""
SMOOTH_SCALE = 7.0
"""Pixels per degree at which borders that are soft over a degree are drawn."""


@dataclass(frozen=True)
class ChoroidalVessels:
    """Broad vessels that run from the posterior pole to the periphery, join and part.

    Attributes
    ----------
    points : (n, m, 2) float64
        Courses, degrees.
    radius : (n, m) float64
        Degrees; 0 where a vessel is hidden.
    width : float
        Median radius, degrees.
    """

    points: Floats
    radius: Floats
    width: float

    @classmethod
    def draw(cls, rng: np.random.Generator, anatomy: Anatomy, *, number: int = 330, width: float = 0.23) -> Self:
        """Draw a net over the whole posterior pole; ``width`` is the median radius in degrees."""
        middle = 0.7 * np.array(anatomy.fovea)
        slow, quick = Texture.draw(rng, 5.0), Texture.draw(rng, 1.7)
        angle, away = rng.uniform(0.0, 2.0 * math.pi, number), SPREAD * np.sqrt(rng.uniform(0.0, 1.0, number))
        seeds = middle + away[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        across = np.where(rng.random(number) < 0.3, rng.choice([-1.0, 1.0], number) * rng.uniform(0.5, 1.1, number), 0)
        half = 18
        arms = []
        for sense in (-1.0, 1.0):
            place, arm = seeds, []
            for _ in range(half):
                u, v = (place - middle).T
                # Flatter than radial: towards the four vortex veins, and along the horizontal in the macula.
                course = np.arctan2(0.8 * v, u) + across + 0.6 * slow.at(place) + 0.65 * quick.at(place)
                place = place + sense * STEP * np.stack([np.cos(course), np.sin(course)], axis=1)
                arm.append(place)
            arms.append(np.stack(arm, axis=1))
        points = np.concatenate([arms[0][:, ::-1], seeds[:, None], arms[1]], axis=1)
        along = np.abs(np.linspace(-1.0, 1.0, points.shape[1])) / rng.uniform(0.5, 1.0, number)[:, None]
        thick = width * np.exp(0.4 * rng.standard_normal(number))
        return cls(points, thick[:, None] * np.sqrt(np.clip(1.15 - along**3, 0.0, 1.0)), width)

    def shown(self, where: Floats) -> Self:
        """Return them where ``where`` (n, m) is above 0, thinner where it is below 0.5."""
        return replace(self, radius=self.radius * np.sqrt(np.clip(2.0 * where, 0.0, 1.0)))

    def strokes(self, grid: Grid) -> Strokes:
        """Strokes of what shows, pixels."""
        return resample(list(self._pieces()), grid)

    def _pieces(self) -> list[Segment]:
        """Uninterrupted stretches of two points and more."""
        out = []
        for points, radius in zip(self.points, self.radius, strict=True):
            visible = radius > 0.3 * self.width
            edges = np.flatnonzero(np.diff(np.concatenate([[0], visible.astype(int), [0]])))
            out += [
                Segment("vein", points[a:b], radius[a:b], -1)
                for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
                if b - a >= 3
            ]
        return out

    def distance(self, grid: Grid) -> Image:
        """Signed distance (height, width) to the nearest wall, pixels of ``grid``."""
        if grid.sign < 0:
            turned = replace(grid, x0=grid.width - 1 - grid.x0, sign=1)
            return np.ascontiguousarray(self.distance(turned)[:, ::-1])
        small, k = coarser(grid, RESOLVED / self.width)
        return np.float32(k) * enlarge(signed_distance(self.strokes(small), (small.height, small.width)), grid, k)


@dataclass(frozen=True)
class Tessellation:
    """Choroidal vessels that shine through a thin or pale pigment epithelium.

    Attributes
    ----------
    vessels : ChoroidalVessels
    strength : float
        Contrast, 0-1.
    pigment : float
        Of the choroid, 0-1: in dark eyes the vessels are the brighter part, in fair ones the darker.
    """

    vessels: ChoroidalVessels
    strength: float
    pigment: float
    target: str = "tessellation"
    layer: Layer = Layer.CHOROID

    def distance(self, grid: Grid) -> Image:
        """Signed distance (height, width) to the border of the visible vessels, pixels."""
        return self.vessels.distance(grid)

    def paint(self, out: Image, grid: Grid, distance: Image) -> None:
        """Vessels of one tone, the spaces between them of the opposite one."""
        degrees = distance / np.float32(grid.scale)
        inside = step(degrees, 0.2)
        between = _blurred(inside, 0.6 * grid.scale) * (1.0 - inside)
        dark = min(1.0, max(0.0, 2.2 * self.pigment - 0.3))
        light, shade = np.array([0.20, 0.20, 0.06]), np.array([-0.24, -0.34, -0.28])
        red, pale = np.array([-0.02, -0.22, -0.26]), np.array([0.08, 0.20, 0.30])
        vessel, space = (dark * a + (1.0 - dark) * b for a, b in ((light, red), (shade, pale)))
        scale_colours(out, inside, tuple(self.strength * vessel))
        scale_colours(out, between, tuple(self.strength * space))

    def spots(self) -> Spots | None:
        """Return None: a net cannot be counted."""
        return None


def tessellation(rng: np.random.Generator, anatomy: Anatomy, p: EyeParameters, severity: float) -> Tessellation:
    """Tessellated fundus: the choroidal vessels show in patches, least at the macula.

    ``p.tessellation`` decides how much of them shows in health, often nothing; ``severity`` adds to it.
    """
    net = ChoroidalVessels.draw(rng, anatomy)
    patches = Texture.draw(rng, 6.0)
    odds = math.log(p.tessellation / (1.0 - p.tessellation)) + 3.5 * severity
    strength = 1.0 / (1.0 + math.exp(-odds))
    flat = net.points.reshape(-1, 2)
    from_fovea, from_disc = (np.hypot(*(flat - place).T) for place in (np.array(anatomy.fovea), anatomy.disc.centre))
    field = patches.at(flat) - 2.0 * np.exp(-((from_fovea / 4.5) ** 2)) + 0.8 * np.exp(-((from_disc / 9.0) ** 2))
    threshold = 2.9 - 5.8 * strength
    off_disc = from_disc > 0.6 * anatomy.disc_diameter
    shown = net.shown(np.where(off_disc, field - threshold, -1.0).reshape(net.radius.shape))
    return Tessellation(shown, 0.5 + 0.4 * strength, p.pigment)


@dataclass(frozen=True)
class PeripapillaryAtrophy:
    """A crescent or ring at the disc: a pale beta zone, and pigment of the alpha zone at its outer border.

    Attributes
    ----------
    disc : Ellipse
    border : Outline
        Outer border about the disc's centre; where it lies on the disc's margin there is no atrophy.
    vessels : ChoroidalVessels
        Seen in the beta zone.
    mottle : Texture
    colour : tuple of float
        Of the beta zone.
    opacity, pigment : float
        Of the beta and of the alpha zone, 0-1.
    """

    disc: Ellipse
    border: Outline
    vessels: ChoroidalVessels
    mottle: Texture
    colour: Colour
    opacity: float
    pigment: float
    target: str = "peripapillary_atrophy"
    layer: Layer = Layer.DEEP

    @property
    def area(self) -> float:
        """Square degrees."""
        return self.border.area - self.disc.area

    def distance(self, grid: Grid) -> Image:
        """Signed distance (height, width) to the border, pixels, positive between the disc's margin and the border."""
        return np.minimum(self.border.signed_distance(grid), -self.disc.signed_distance(grid))

    def paint(self, out: Image, grid: Grid, distance: Image) -> None:
        """Sclera and choroidal vessels shine through; the disc is painted over it later."""
        outer = self.border.signed_distance(grid)
        place, near = _extent(outer > FAR, grid)
        part, depth = out[place], outer[place] / np.float32(grid.scale)
        wide = depth - self.disc.signed_distance(grid, lowest=-grid.scale)[place] / np.float32(grid.scale)
        here = np.clip(wide / 0.15, 0.0, 1.0).astype(np.float32)  # no rim of colour around a disc without atrophy
        alpha = step(depth, 0.07) * here
        blend(part, self.colour, np.float32(self.opacity) * alpha)
        mottle = self.mottle.on(near)
        scale_colours(part, alpha * mottle, (0.02, 0.05, 0.07))
        vessels = step(self.vessels.distance(near) / np.float32(grid.scale), 0.06) * alpha
        blend(part, _VESSEL, np.float32(0.45 * self.opacity) * vessels)
        rim = np.exp(-(((depth - 0.16) / 0.26) ** 2)) * np.clip(0.6 * mottle + 0.6, 0.0, 1.0) * here
        blend(part, PIGMENT, (self.pigment * rim).astype(np.float32))

    def spots(self) -> Spots | None:
        """Return None: it is one region."""
        return None


def peripapillary_atrophy(
    rng: np.random.Generator, anatomy: Anatomy, p: EyeParameters, severity: float
) -> PeripapillaryAtrophy:
    """Temporal crescent that with severity grows in width and around the disc, up to a full ring."""
    direction = math.radians(p.fovea_angle) + 0.35 * rng.standard_normal()
    half = math.radians(50.0 + 150.0 * severity**1.2) * math.exp(0.12 * rng.standard_normal())
    width = (0.7 + 3.6 * severity**1.3) * math.exp(0.2 * rng.standard_normal())
    away = np.abs((ANGLES - direction + math.pi) % (2.0 * math.pi) - math.pi) / half
    profile = np.clip(1.0 - away**2, 0.0, None) ** 0.8
    k = np.arange(2, 10)
    waves = 0.22 * rng.standard_normal((2, len(k))) / k
    rough = 1.0 + waves[0] @ np.cos(np.outer(k, ANGLES)) + waves[1] @ np.sin(np.outer(k, ANGLES))
    ring = max(0.0, severity - 0.75) * 2.0
    border = Outline(
        anatomy.disc.centre, anatomy.disc.radius_at(ANGLES) + (width * profile + ring) * np.clip(rough, 0.3, None)
    )
    net = ChoroidalVessels.draw(rng, anatomy, number=450, width=0.09)
    shown = net.shown(border.radius.max() + 0.5 - np.hypot(*(net.points - border.centre).transpose(2, 0, 1)))
    opacity, pigment = 0.4 + 0.35 * severity + rng.uniform(-0.1, 0.1), rng.uniform(0.2, 0.9) * (0.5 + 0.5 * p.pigment)
    colour = _tone((0.98, 0.83, 0.58), p)
    return PeripapillaryAtrophy(anatomy.disc, border, shown, Texture.draw(rng, 0.55), colour, opacity, pigment)


@dataclass(frozen=True)
class AtrophicAreas:
    """Regions where the choroid is thin or gone.

    Attributes
    ----------
    target : str
    areas : Blobs
    layer : Layer
    colour : tuple of float
    opacity : float
    softness : float
        Of the border, degrees.
    mottle : Texture
        Unevenness of the inside.
    vessels : ChoroidalVessels or None
        Seen inside.
    clumps : Blobs or None
        Pigment inside and at the border.
    disc : Ellipse
        Kept free.
    """

    target: str
    areas: Blobs
    layer: Layer
    colour: Colour
    opacity: float
    softness: float
    mottle: Texture
    vessels: ChoroidalVessels | None
    clumps: Blobs | None
    disc: Ellipse

    def distance(self, grid: Grid) -> Image:
        """Signed distance (height, width) to the nearest border, pixels, positive inside."""
        if grid.sign < 0:
            turned = replace(grid, x0=grid.width - 1 - grid.x0, sign=1)
            return np.ascontiguousarray(self.distance(turned)[:, ::-1])
        lowest = min(FAR, -3.0 * self.softness * grid.scale)
        # Borders that are soft over a degree need no fine grid.
        small, k = coarser(grid, SMOOTH_SCALE) if self.softness > 0.3 else (grid, 1)
        far = np.float32(k) * enlarge(self.areas.signed_distance(small, lowest / k), grid, k)
        return np.minimum(far, -self.disc.signed_distance(grid, lowest))

    def paint(self, out: Image, grid: Grid, distance: Image) -> None:
        """Pale ground, vessels on it, pigment on top."""
        place, near = _extent(distance > -2.5 * self.softness * grid.scale - 1.0, grid)
        part, alpha = out[place], step(distance[place] / np.float32(grid.scale), self.softness)
        mottle = self.mottle.on(near)
        uneven = 1.0 + np.float32(0.14) * mottle
        blend(part, self.colour, np.clip(np.float32(self.opacity) * alpha * uneven, 0.0, 1.0))
        if self.vessels is not None:
            vessels = step(self.vessels.distance(near) / np.float32(grid.scale), 0.08) * alpha
            blend(part, _VESSEL, np.float32(0.6 * self.opacity) * vessels)
        if self.clumps is not None:
            clumps = step(self.clumps.signed_distance(near) / np.float32(grid.scale), 0.06)
            clumps *= np.clip(0.7 + 0.4 * mottle, 0.0, 1.0)
            blend(part, PIGMENT, np.float32(0.75) * clumps)

    def spots(self) -> Spots | None:
        """Return the areas where each is one outline off the disc; None where they may touch."""
        if len(self.areas) != 1 or np.hypot(*self.areas.centres[0]) < self.areas.reach[0] + self.disc.semi_v:
            return None
        return Spots(self.areas.centres, self.areas.area)


def diffuse_atrophy(rng: np.random.Generator, anatomy: Anatomy, p: EyeParameters, severity: float) -> AtrophicAreas:
    """Ill-defined yellowish area of the posterior pole, around the macula and towards the disc."""
    n = int(rng.integers(2, 5))
    middle = np.array(anatomy.fovea) * rng.uniform(0.45, 1.0)
    centres = middle + (1.0 + 2.0 * severity) * rng.standard_normal((n, 2)) * np.array([1.4, 1.0])
    radius = (3.0 + 5.0 * severity) * np.exp(0.2 * rng.standard_normal(n)) / math.sqrt(0.5 * n)
    areas = Blobs.draw(rng, centres, radius, aspect=1.0 + 0.5 * rng.random(n), angle=rng.normal(0, 0.5, n), rough=0.12)
    opacity = 0.28 + 0.30 * severity
    return AtrophicAreas(
        "diffuse_atrophy",
        areas,
        Layer.CHOROID,
        _tone((0.97, 0.76, 0.36), p),
        opacity * (0.85 + 0.3 * (1.0 - p.pigment)),
        0.8,
        Texture.draw(rng, 1.0),
        None,
        None,
        anatomy.disc,
    )


def patchy_atrophy(rng: np.random.Generator, anatomy: Anatomy, p: EyeParameters, severity: float) -> AtrophicAreas:
    """Well-defined grey-white patches with clumps of pigment, in the macula and along the arcades, off the disc."""
    n = 1 + int(rng.binomial(6, 0.15 + 0.5 * severity))
    centres, radius = _apart(rng, anatomy, n, (0.6 + 0.6 * severity, 1.2 + 2.4 * severity), 4.5)
    areas = Blobs.draw(rng, centres, radius, aspect=rng.uniform(1.0, 1.6, len(radius)), angle=rng.uniform(0, 3, 1)[0])
    return AtrophicAreas(
        "patchy_atrophy",
        areas,
        Layer.DEEP,
        _tone((0.93, 0.86, 0.68), p),
        float(rng.uniform(0.7, 0.9)),
        0.07,
        Texture.draw(rng, 0.4),
        _within(ChoroidalVessels.draw(rng, anatomy, number=450, width=0.07), areas),
        _clumps(rng, areas, 0.3 + 0.7 * p.pigment),
        anatomy.disc,
    )


def choroidal_atrophy(rng: np.random.Generator, anatomy: Anatomy, p: EyeParameters, severity: float) -> AtrophicAreas:
    """One large well-defined area in which the large choroidal vessels lie bare."""
    centres, radius = _apart(rng, anatomy, 1, (2.8 + severity, 3.6 + 3.0 * severity), 3.0)
    areas = Blobs.draw(rng, centres, radius, aspect=1.0 + 0.4 * rng.random(), angle=rng.uniform(0, 3), rough=0.12)
    return AtrophicAreas(
        "choroidal_atrophy",
        areas,
        Layer.DEEP,
        _tone((0.95, 0.74, 0.45), p),
        float(rng.uniform(0.55, 0.8)),
        0.09,
        Texture.draw(rng, 0.6),
        _within(ChoroidalVessels.draw(rng, anatomy, width=0.2), areas),
        None,
        anatomy.disc,
    )


def _tone(colour: Colour, p: EyeParameters) -> Colour:
    """Darker in dark eyes, whose pictures are."""
    light = 1.08 - 0.38 * p.pigment
    return (light * colour[0], light * colour[1], light * colour[2])


def _extent(mask: NDArray[np.bool_], grid: Grid) -> tuple[tuple[slice, slice], Grid]:
    """Rows and columns that hold a mask, and the grid of these pixels alone."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return (slice(0, 0), slice(0, 0)), replace(grid, width=0, height=0)
    top, bottom, left, right = (int(x) for x in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    part = replace(grid, width=right - left, height=bottom - top, x0=grid.x0 - left, y0=grid.y0 - top)
    return (slice(top, bottom), slice(left, right)), part


def _blurred(picture: Image, sigma: float) -> Image:
    """Gaussian blur, computed at the coarsest size that shows it."""
    height, width = picture.shape
    k = max(1, int(sigma / 2.0))
    small = cv2.resize(picture, (-(-width // k), -(-height // k)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / k, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def _apart(
    rng: np.random.Generator, anatomy: Anatomy, n: int, sizes: tuple[float, float], spread: float
) -> tuple[Floats, Floats]:
    """Up to ``n`` and at least one centre and radius around the macula that overlap neither the disc nor each other."""
    taken = [(0.0, 0.0, 0.55 * anatomy.disc_diameter)]
    low, high = sizes
    for tries in range(60 * n):
        u, v = np.array(anatomy.fovea) + spread * rng.standard_normal(2) * (1.0 + tries / (40.0 * n))
        r = rng.uniform(low, high) * 0.98 ** (tries / n)
        if all(math.hypot(u - a, v - b) > 1.35 * (r + c) for a, b, c in taken):
            taken.append((float(u), float(v), float(r)))
            if len(taken) > n:
                break
    found = np.array(taken[1:])
    return found[:, :2], found[:, 2]


def _clumps(rng: np.random.Generator, areas: Blobs, much: float) -> Blobs:
    """Small dark outlines inside areas, most of them near a border."""
    number = rng.poisson(7.0 * much * areas.radius)
    owner = np.repeat(np.arange(len(areas)), number)
    angle = rng.uniform(0.0, 2.0 * math.pi, len(owner))
    away = areas.radius[owner] * np.sqrt(rng.uniform(0.2, 0.9, len(owner)))
    centres = areas.centres[owner] + away[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    radius = rng.uniform(0.05, 0.22, len(owner)) * np.minimum(areas.radius[owner], 1.0)
    return Blobs.draw(rng, centres, radius, aspect=rng.uniform(1.0, 2.2, len(owner)), angle=angle, rough=0.3)


def _within(vessels: ChoroidalVessels, areas: Blobs) -> ChoroidalVessels:
    """Vessels near enough to any of the areas to be seen in them."""
    away = np.full(vessels.radius.shape, np.inf)
    for centre, reach in zip(areas.centres, areas.reach, strict=True):
        away = np.minimum(away, np.hypot(*(vessels.points - centre).transpose(2, 0, 1)) - reach)
    return vessels.shown(1.0 - away)
