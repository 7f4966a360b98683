"""Lesions as findings: outlines that belong together, a colour each, borders hard or soft."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retsam.phantom.finding import Layer, Spots
from retsam.phantom.paint import blend, step
from retsam.phantom.places import GAP, Permission, Points, Proposal, spread_out
from retsam.phantom.raster import FAR, Grid
from retsam.phantom.shapes import Blobs
from retsam.phantom.texture import Texture

Floats = NDArray[np.float64]
PIGMENT = (0.20, 0.14, 0.13)
"""Clumped pigment of the epithelium, by eye."""
THIN = 0.11
"""Least half-width of a strand, degrees: thinner ones fall apart into pixels."""
FINE = 120
"""Pixels across a lesion of several outlines when its area is measured; the error is below 0.5 %."""


@dataclass(frozen=True)
class Lesions:
    """Lesions of one or several overlapping outlines each.

    Attributes
    ----------
    blobs : Blobs
        All outlines (m); built about their lesion's own origin until :meth:`put` moves them to the retina.
    owner : (m,) int
        Number 0 to n - 1 of the lesion that an outline belongs to, ascending.
    origin : (n, 2) float64
        Point that a lesion was built about, degrees: (0, 0) until :meth:`put` moves it.
    """

    blobs: Blobs
    owner: NDArray[np.intp]
    origin: Points

    @classmethod
    def single(
        cls,
        rng: np.random.Generator,
        radius: Floats,
        *,
        aspect: ArrayLike = 1.0,
        angle: ArrayLike = 0.0,
        rough: float = 0.1,
        order: int = 6,
    ) -> Self:
        """One outline each; parameters as in ``Blobs.draw``."""
        origin = np.zeros((len(radius), 2))
        blobs = Blobs.draw(rng, origin, radius, aspect=aspect, angle=angle, rough=rough, order=order)
        return cls(blobs, np.arange(len(radius)), origin)

    @classmethod
    def lobed(
        cls, rng: np.random.Generator, radius: Floats, lobes: tuple[int, int], *, rough: float = 0.12, long: float = 0.0
    ) -> Self:
        """Draw a body with smaller lobes that grow from it and from each other.

        Parameters
        ----------
        rng : Generator
        radius : (n,) float
            About half the width of a lesion, degrees.
        lobes : tuple of int
            Least and greatest number of outlines.
        rough : float
            As in ``Blobs.draw``.
        long : float
            0 lets the lobes grow to any side, 1 along the first axis only.
        """
        number = rng.integers(lobes[0], lobes[1] + 1, len(radius))
        first, owner = np.cumsum(number) - number, np.repeat(np.arange(len(radius)), number)
        m = len(owner)
        size = radius[owner] * rng.uniform(0.35, 0.65, m)
        size[first] = 0.8 * radius
        angle, luck = rng.uniform(0.0, 2.0 * math.pi, m), rng.random(m)
        centre = np.zeros((m, 2))
        for k in np.setdiff1d(np.arange(m), first).tolist():  # each lobe grows from one of those before it
            low = int(first[owner[k]])
            root = low + int(luck[k] * (k - low))
            away = 0.55 * (size[root] + size[k])
            centre[k] = centre[root] + away * np.array([math.cos(angle[k]), (1.0 - long) * math.sin(angle[k])])
        shape = Blobs.draw(rng, centre, size, aspect=rng.uniform(1.0, 1.4, m), angle=angle * (1.0 - long), rough=rough)
        return cls(shape, owner, np.zeros((len(radius), 2)))

    @classmethod
    def strands(
        cls, rng: np.random.Generator, length: Floats, width: Floats, number: tuple[int, int], *, rough: float = 0.1
    ) -> Self:
        """Draw bundles along the first axis whose strands end unevenly.

        Parameters
        ----------
        rng : Generator
        length, width : (n,) float
            Of a bundle, degrees.
        number : tuple of int
            Least and greatest number of strands.
        rough : float
            As in ``Blobs.draw``.
        """
        count = 1 + rng.integers(number[0], number[1] + 1, len(length))
        owner = np.repeat(np.arange(len(length)), count)
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        body = rank == 0  # holds the strands together
        long, wide, share = length[owner], width[owner], 1.0 / (count[owner] - 1)
        side = np.where(body, 0.0, 2.0 * (rank - 0.5) * share - 1.0)
        half = 0.5 * long * np.where(body, 0.5, rng.uniform(0.5, 1.0, len(owner)) * (1.0 - 0.35 * side**2))
        thick = wide * np.where(body, 0.45, 0.68 * share * rng.uniform(0.9, 1.3, len(owner)))
        thick = np.maximum(thick, np.maximum(THIN, half / 9.0))
        centre = np.stack([rng.uniform(-0.35, 0.35, len(owner)) * half * ~body, 0.5 * side * wide], axis=1)
        blobs = Blobs.draw(rng, centre, np.sqrt(half * thick), aspect=np.maximum(half / thick, 1.0), rough=rough)
        return cls(blobs, owner, np.zeros((len(length), 2)))

    def and_also(self, other: Self) -> Self:
        """Return these lesions followed by others."""
        return type(self)(
            _both(self.blobs, other.blobs),
            np.concatenate([self.owner, other.owner + len(self)]),
            np.concatenate([self.origin, other.origin]),
        )

    @classmethod
    def joined(cls, bodies: Sequence[Blobs]) -> Self:
        """One lesion per set of outlines; one that is nearer than ``places.GAP`` to an earlier one is left out."""
        kept: list[Blobs] = []
        for body in bodies:
            apart = [
                np.hypot(*(body.centres[:, None] - other.centres[None]).transpose(2, 0, 1))
                - body.reach[:, None]
                - other.reach[None]
                for other in kept
            ]
            if all(distance.min() > GAP for distance in apart):
                kept.append(body)
        blobs = reduce(_both, kept)
        owner = np.repeat(np.arange(len(kept)), [len(body) for body in kept])
        return cls(blobs, owner, np.array([body.centres.mean(axis=0) for body in kept]))

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def reach(self) -> Floats:
        """Radius (n,) about each origin that holds all of the lesion, degrees."""
        out = np.zeros(len(self))
        away = np.hypot(*(self.blobs.centres - self.origin[self.owner]).T)
        np.maximum.at(out, self.owner, away + self.blobs.reach)
        return out

    def keep(self, chosen: NDArray[np.intp]) -> Self:
        """Return some of the lesions, numbered anew; ``chosen`` ascends."""
        stays = np.isin(self.owner, chosen)
        return type(self)(self.blobs.keep(stays), np.searchsorted(chosen, self.owner[stays]), self.origin[chosen])

    def put(self, centres: Points, angle: ArrayLike = 0.0) -> Self:
        """Turn lesions as built by an angle each, radians, and move their origins to centres (n, 2)."""
        turn = np.broadcast_to(np.asarray(angle, float), len(self))[self.owner]
        u, v = self.blobs.centres.T
        c, s = np.cos(turn), np.sin(turn)
        moved = np.stack([c * u - s * v, s * u + c * v], axis=1) + centres[self.owner]
        return type(self)(replace(self.blobs, centres=moved, angle=self.blobs.angle + turn), self.owner, centres)

    def placed(
        self,
        rng: np.random.Generator,
        propose: Proposal,
        allowed: Permission,
        *,
        turn: Callable[[Points], Floats] | None = None,
        taken: tuple[Points, Floats] | None = None,
        gap: float = GAP,
    ) -> tuple[Self, NDArray[np.intp]]:
        """Place what finds room (see ``places.spread_out``), turned to ``turn`` of its place; and which that is."""
        centres, chosen = spread_out(rng, self.reach, propose, allowed, taken, gap)
        return self.keep(chosen).put(centres, 0.0 if turn is None or not len(centres) else turn(centres)), chosen

    def each(self) -> Iterator[Blobs]:
        """Outlines of one lesion after the other."""
        first = np.searchsorted(self.owner, np.arange(len(self) + 1))
        for low, high in pairwise(first.tolist()):
            yield self.blobs.keep(np.arange(low, high))

    def spots(self) -> Spots:
        """Centres and areas: closed form for one outline, measured on a fine grid for several."""
        centres, areas = np.zeros((len(self), 2)), np.zeros(len(self))
        for i, blobs in enumerate(self.each()):
            if len(blobs) == 1:
                centres[i], areas[i] = blobs.centres[0], blobs.area[0]
            else:
                low = (blobs.centres - blobs.reach[:, None]).min(axis=0)
                high = (blobs.centres + blobs.reach[:, None]).max(axis=0)
                scale = FINE / float((high - low).max())
                x0, y0 = (-low * scale).tolist()
                grid = Grid(FINE + 1, FINE + 1, x0, y0, scale, 1)
                y, x = np.nonzero(blobs.signed_distance(grid) >= 0)
                centres[i] = np.array([x.mean(), y.mean()]) / scale + low
                areas[i] = len(x) / scale**2
        return Spots(centres, areas)


def _both(one: Blobs, other: Blobs) -> Blobs:
    """Outlines of both, which have as many waves."""
    names = ("centres", "radius", "aspect", "angle", "waves")
    return Blobs(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in names))


def shade(rng: np.random.Generator, n: int, first: ArrayLike, second: ArrayLike, jitter: float = 0.03) -> Floats:
    """Colours (n, 3) between two: one mixture per eye, a little jitter per lesion."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    mixed = a + rng.uniform() * (b - a)
    return mixed * (1.0 + jitter * rng.standard_normal((n, 1)) + 0.4 * jitter * rng.standard_normal((n, 3)))


def strength(rng: np.random.Generator, n: int, low: float, high: float, jitter: float = 0.25) -> Floats:
    """Opacities (n,): one level per eye between two limits, lognormal jitter per lesion, 0.08-1."""
    level = rng.uniform(low, high)
    return np.clip(level * np.exp(jitter * rng.standard_normal(n)), 0.08, 1.0)


@dataclass(frozen=True)
class Rim:
    """A band along the border.

    Attributes
    ----------
    colour : (n, 3) float
    opacity : (n,) float
    offset, width : (n,) float
        Of its middle from the border, positive inside, and its half-width; degrees.
    """

    colour: Floats
    opacity: Floats
    offset: Floats
    width: Floats


@dataclass(frozen=True)
class Streaks:
    """Noise drawn out along rays from a pole; a far pole gives parallel streaks.

    Attributes
    ----------
    texture : Texture
    depth : float
        How much the opacity varies.
    stretch : float
        Length over width of a streak.
    pole : (n, 2) float
        One per lesion, degrees.
    """

    texture: Texture
    depth: float
    stretch: float
    pole: Points

    def at(self, uv: Points, lesion: int, centre: Points) -> NDArray[np.float32]:
        """Factors (k,) on the opacity of a lesion about ``centre`` (2,) at places (k, 2)."""
        axis = centre - self.pole[lesion]
        length = float(np.hypot(*axis))
        far = max(length, 1.0)
        c, s = axis / max(length, 1e-9)
        along, across = (uv - self.pole[lesion]).T
        p, q = c * along + s * across, c * across - s * along
        places = np.stack([(np.hypot(p, q) - far) / self.stretch, np.arctan2(q, p) * far], axis=1)
        noise = self.texture.at(places + centre)
        return np.clip(1.0 + np.float32(self.depth) * noise, 0.0, 1.7).astype(np.float32)


@dataclass(frozen=True)
class Patches:
    """A finding of coloured lesions; at half opacity each ends where its mask does.

    Attributes
    ----------
    target : str
    layer : Layer
    lesions : Lesions
        On the retina, n of them.
    colour : (n, 3) float
        To blend in, display values; with ``absorbs`` the share of light taken from each channel.
    opacity : (n,) float
        In the middle, 0-1.
    softness : (n,) float
        Half-width of the border, degrees.
    absorbs : bool
        Blood and pigment let the ground shine through.
    rim : Rim, optional
    mottle : Texture, optional
        Makes the opacity uneven by ``unevenness``.
    unevenness : float
    streaks : Streaks, optional
    clumps : Texture, optional
        Pigment lies in the lesion where this noise is above ``threshold``.
    threshold : float
    compact : bool
        Whether counting them, and taking them for roundish, has a meaning.
    """

    target: str
    layer: Layer
    lesions: Lesions
    colour: Floats
    opacity: Floats
    softness: Floats
    absorbs: bool = False
    rim: Rim | None = None
    mottle: Texture | None = None
    unevenness: float = 0.3
    streaks: Streaks | None = None
    clumps: Texture | None = None
    threshold: float = 1.0
    compact: bool = True

    def distance(self, grid: Grid) -> NDArray[np.float32]:
        """Signed distance (height, width) to the nearest border, pixels."""
        return self.lesions.blobs.signed_distance(grid)

    def paint(self, out: NDArray[np.float32], grid: Grid, distance: NDArray[np.float32]) -> None:
        """Paint each lesion on its own window; ``distance`` ends too near for soft borders and is not used."""
        for i, blobs in enumerate(self.lesions.each()):
            soft = max(float(self.softness[i]) * grid.scale, 0.6)
            lowest = min(-3.2 * soft, FAR)
            if self.rim is not None:
                lowest = min(lowest, float(self.rim.offset[i] - 2.0 * self.rim.width[i]) * grid.scale)
            found = _window(blobs, grid, -lowest)
            if found is not None:
                window, part = found
                self._paint_one(out[window], part, i, blobs.signed_distance(part, lowest), soft)

    def _paint_one(
        self, out: NDArray[np.float32], grid: Grid, i: int, distance: NDArray[np.float32], soft: float
    ) -> None:
        alpha = np.float32(self.opacity[i]) * step(distance, soft)
        if self.mottle is not None:
            alpha = alpha * np.clip(1.0 + np.float32(self.unevenness) * self.mottle.on(grid), 0.0, 1.7)
        if self.streaks is not None:
            rows, columns = np.nonzero(alpha > 0.003)
            u, v = grid.coordinates()
            places = np.stack([u[0, columns], v[rows, 0]], axis=1).astype(float)
            alpha[rows, columns] *= self.streaks.at(places, i, self.lesions.origin[i])
        alpha = np.minimum(alpha, np.float32(1.0))
        if self.absorbs:
            out *= 1.0 - alpha[..., None] * self.colour[i].astype(np.float32)
        else:
            blend(out, tuple(self.colour[i]), alpha)
        if self.clumps is not None:
            blend(
                out, PIGMENT, np.float32(0.85) * step(distance, soft) * step(self.clumps.on(grid) - self.threshold, 0.2)
            )
        if self.rim is not None:
            place = (distance / np.float32(grid.scale) - self.rim.offset[i]) / self.rim.width[i]
            blend(out, tuple(self.rim.colour[i]), (self.rim.opacity[i] * np.exp(-(place**2))).astype(np.float32))

    def spots(self) -> Spots | None:
        """Return the single lesions where they are compact."""
        return self.lesions.spots() if self.compact else None


def _window(blobs: Blobs, grid: Grid, margin: float) -> tuple[tuple[slice, slice], Grid] | None:
    """Rows and columns of a grid that hold all outlines and a margin in pixels, and the grid there."""
    middle, reach = grid.to_px(blobs.centres), blobs.reach[:, None] * grid.scale + margin
    left, top = (int(x) for x in np.maximum(np.floor((middle - reach).min(axis=0)), 0))
    right, bottom = (int(x) + 1 for x in np.minimum((middle + reach).max(axis=0), [grid.width - 1, grid.height - 1]))
    if right <= left or bottom <= top:
        return None
    part = replace(grid, width=right - left, height=bottom - top, x0=grid.x0 - left, y0=grid.y0 - top)
    return (slice(top, bottom), slice(left, right)), part
