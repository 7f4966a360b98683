"""Findings that are local changes of vessels: nicking, beading, sheathing and winding.

All four are made the same way, ``change(rng, segments, crossings, middle, count)``, and return the vessels as they are
afterwards together with the finding, or the vessels untouched and None where no place suits. ``crossings`` belong to
the given segments, ``middle`` is the point half way between disc and fovea, around which a camera sees most, and
``count`` is the number of places wanted. Make winding first, for it moves crossings, and sheathing last, for its mask
follows the vessel's final width.

Proportions are chosen by eye beside photographs.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from retsam.phantom.finding import Layer, Spots
from retsam.phantom.paint import blend
from retsam.phantom.raster import Grid, resample, signed_distance
from retsam.phantom.vessels import Crossing, Place, Segment, crosses_itself
from retsam.phantom.vessels import crossings as find_crossings

SEEN = 15.0
"""Changes lie within this distance of the middle between disc and fovea, degrees."""
OFF_DISC = 3.8
"""And this far from the disc centre."""
FINE = 0.08
"""Step of centrelines that change, degrees."""
SHEATH = 0.11
"""Width of a sheath outside each wall, degrees."""
SHEATH_COLOUR = (0.95, 0.86, 0.66)


@dataclass(frozen=True)
class VesselFinding:
    """A change of vessels; they look it themselves, so that nothing more is painted.

    Attributes
    ----------
    target : str
        Name in ``taxonomy.TARGETS``.
    stretches : tuple of Segment
        What the mask covers: centreline and half width.
    countable : bool
        Whether the stretches are discs to be counted.
    """

    target: str
    stretches: tuple[Segment, ...]
    countable: bool = False

    @property
    def layer(self) -> Layer:
        """Vessels lie in the nerve-fibre layer."""
        return Layer.SUPERFICIAL

    def distance(self, grid: Grid) -> NDArray[np.float32]:
        """Signed distance (height, width) to the border of all stretches, pixels, positive inside."""
        return signed_distance(resample(self.stretches, grid), (grid.height, grid.width))

    def paint(self, out: NDArray[np.float32], grid: Grid, distance: NDArray[np.float32]) -> None:
        """Nothing to paint."""

    def spots(self) -> Spots | None:
        """Return the discs of a countable finding."""
        if not self.countable:
            return None
        radius = np.array([s.radius[0] for s in self.stretches])
        return Spots(np.array([s.points[0] for s in self.stretches]), math.pi * radius**2)


@dataclass(frozen=True)
class Sheathing(VesselFinding):
    """White lines along both walls; the stretches are :data:`SHEATH` wider than the vessel on each side."""

    def paint(self, out: NDArray[np.float32], grid: Grid, distance: NDArray[np.float32]) -> None:
        """Blend the lines in; they fade towards the ends of a stretch."""
        width = np.float32(SHEATH * grid.scale)
        rows, columns = np.nonzero(distance > -1.0)
        d = distance[rows, columns]
        alpha = 0.8 * np.exp(-(((d - 0.8 * width) / (0.6 * width)) ** 2)) * np.clip(d + 0.5, 0.0, 1.0)
        u, v = grid.coordinates()
        places = np.stack([u[0, columns], v[rows, 0]], axis=1)
        ends = np.concatenate([s.points[[0, -1]] for s in self.stretches])
        from_end = cKDTree(ends).query(places)[0]
        alpha *= np.clip(from_end / 0.8, 0.0, 1.0).astype(np.float32)
        part = out[rows, columns][None]
        blend(part, SHEATH_COLOUR, alpha[None].astype(np.float32))
        out[rows, columns] = part[0]


Change = tuple[tuple[Segment, ...], VesselFinding | None]


def av_nicking(
    rng: np.random.Generator, segments: Sequence[Segment], crossings: Sequence[Crossing], middle: Place, count: int
) -> Change:
    """Narrow veins on both sides of arteries that cross them; the mask is a disc over each narrowed part.

    Parameters
    ----------
    rng : Generator
    segments : sequence of Segment
    crossings : sequence of Crossing
        Of ``segments``.
    middle : tuple of float
        Half way between disc and fovea, degrees.
    count : int
        Places wanted; fewer where fewer suit.

    Returns
    -------
    tuple of Segment, VesselFinding or None
    """
    changed = list(segments)
    discs: list[Segment] = []
    for k in rng.permutation(len(crossings)).tolist():
        c = crossings[k]
        artery, vein = segments[c.artery], segments[c.vein]
        wide = float(np.interp(c.artery_at, artery.along, artery.radius))
        narrow = float(np.interp(c.vein_at, vein.along, vein.radius))
        half = wide / math.sin(c.angle) + rng.uniform(0.45, 0.7)
        depth = rng.uniform(0.5, 0.7)
        fits = half < c.vein_at < vein.arc - half and _in_view(np.array([c.place]), middle)
        apart = all(math.dist(c.place, d.points[0]) > 1.2 * (half + d.radius[0]) for d in discs)
        if len(discs) < count and fits and apart and wide >= 0.08 and narrow >= 0.09:
            fine = _refined(changed[c.vein])
            away = np.clip(np.abs(fine.along - c.vein_at) / half, 0.0, 1.0)
            near = 0.5 + 0.5 * np.cos(math.pi * away)
            changed[c.vein] = replace(fine, radius=fine.radius * (1.0 - depth * near))
            discs.append(Segment("vein", np.array([c.place, c.place]), np.full(2, half), -1))
    return tuple(changed), VesselFinding("av_nicking", tuple(discs), countable=True) if discs else None


def venous_beading(
    rng: np.random.Generator, segments: Sequence[Segment], crossings: Sequence[Crossing], middle: Place, count: int
) -> Change:
    """Let stretches of wide veins swell and narrow like a string of sausages, their mean width unchanged.

    Parameters and result as in :func:`av_nicking`.
    """
    changed = list(segments)
    stretches: list[Segment] = []
    for chain in _chains(rng, segments, middle, least=0.12, length=(3.0, 6.0), kinds=("vein",))[:count]:
        fine = [_refined(segments[k]) for k in chain]
        starts = np.cumsum([0.0] + [s.arc for s in fine])
        calibre = float(np.mean(np.concatenate([s.radius for s in fine])))
        wave, phase, depth = calibre * rng.uniform(4.5, 6.0), rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.28, 0.4)
        for k, s, start in zip(chain, fine, starts[:-1], strict=True):
            along = start + s.along
            swing = depth * _window(along, starts[-1], 0.8) * np.sin(2.0 * math.pi * along / wave + phase)
            changed[k] = replace(s, radius=s.radius * (1.0 + swing))
        stretches += [changed[k] for k in chain]
    return tuple(changed), VesselFinding("venous_beading", tuple(stretches)) if stretches else None


def vascular_sheathing(
    rng: np.random.Generator, segments: Sequence[Segment], crossings: Sequence[Crossing], middle: Place, count: int
) -> Change:
    """White sheaths along stretches of vessels, which stay as they are; the mask is vessel and sheath.

    Parameters and result as in :func:`av_nicking`.
    """
    chains = _chains(rng, segments, middle, least=0.09, length=(2.5, 6.0), kinds=("artery", "vein"))[:count]
    chosen = [segments[k] for chain in chains for k in chain]
    stretches = tuple(replace(s, radius=s.radius + SHEATH) for s in chosen)
    return tuple(segments), Sheathing("vascular_sheathing", stretches) if stretches else None


def venous_tortuosity(
    rng: np.random.Generator, segments: Sequence[Segment], crossings: Sequence[Crossing], middle: Place, count: int
) -> Change:
    """Add a wave of large amplitude to stretches of veins; their branches move along.

    A wave that would make vessels of one tree cross, or an artery and a vein touch where they do not cross, is made
    smaller, and left out where it would be too small to see. Parameters and result as in :func:`av_nicking`.
    """
    now = tuple(segments)
    wound: list[int] = []
    chains = _chains(rng, segments, middle, least=0.09, length=(5.0, 10.0), kinds=("vein",))
    done = 0
    for chain in chains[: 4 * count]:
        if done == count:
            break
        wave, phase = rng.uniform(1.5, 2.3), rng.uniform(0.0, 2.0 * math.pi)
        for amplitude in rng.uniform(0.36, 0.5) * wave / 2.0 * np.array([1.0, 0.8, 0.6]):
            bent = _wind(now, chain, float(amplitude), wave, phase)
            if _sound(bent):
                now, done = bent, done + 1
                wound += chain
                break
    return now, VesselFinding("venous_tortuosity", tuple(now[k] for k in wound)) if wound else None


def _wind(
    segments: Sequence[Segment], chain: list[int], amplitude: float, wave: float, phase: float
) -> tuple[Segment, ...]:
    """Add a sine wave across a chain of segments; side branches follow and come to rest over 1.5 degrees."""
    out = list(segments)
    fine = [_refined(segments[k]) for k in chain]
    line = np.concatenate([s.points[(n > 0) :] for n, s in enumerate(fine)])  # joints once
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    shift = amplitude * _window(along, along[-1], 1.2) * np.sin(2.0 * math.pi * along / wave + phase)
    bent = line + shift[:, None] * _normals(line)
    moved: dict[int, NDArray[np.float64]] = {}
    first = 0
    for k, s in zip(chain, fine, strict=True):
        last = first + len(s.points) - 1
        out[k] = replace(s, points=bent[first : last + 1])
        moved[k] = bent[last] - line[last]
        first = last
    _follow(out, moved, set(chain), 1.5)
    return tuple(out)


def _follow(out: list[Segment], moved: dict[int, NDArray[np.float64]], fixed: set[int], reach: float) -> None:
    """Move the children of moved segments in place, less and less along ``reach`` degrees."""
    veins = [k for k, s in enumerate(out) if s.kind == "vein"]
    left = dict.fromkeys(moved, reach)
    for k in veins:  # parents come before children
        parent = veins[out[k].parent] if out[k].parent >= 0 else -1
        if parent not in moved or k in fixed:
            continue
        s, rest = out[k], left[parent]
        share = 0.5 + 0.5 * np.cos(math.pi * np.clip((reach - rest + s.along) / reach, 0.0, 1.0))
        start = 0.5 + 0.5 * math.cos(math.pi * (reach - rest) / reach)
        shift = moved[parent] * (share / start)[:, None]
        out[k] = replace(s, points=s.points + shift)
        if rest > s.arc:
            moved[k], left[k] = shift[-1], rest - s.arc


def _sound(segments: Sequence[Segment]) -> bool:
    """Whether no tree crosses itself and arteries and veins overlap at clear crossings only."""
    if any(crosses_itself(segments, kind) for kind in ("artery", "vein")):
        return False
    found = find_crossings(segments)
    if not found or min(c.angle for c in found) < math.radians(40.0):
        return not found
    arteries, veins = (_samples([s for s in segments if s.kind == kind]) for kind in ("artery", "vein"))
    trees = [cKDTree(each[:, :2]) for each in (arteries, veins)]
    reach = arteries[:, 2].max() + veins[:, 2].max()
    pairs = trees[0].sparse_distance_matrix(trees[1], reach, output_type="ndarray")
    i, j = pairs["i"], pairs["j"]
    touching = pairs["v"] < arteries[i, 2] + veins[j, 2]
    i, j = i[touching], j[touching]
    places = np.array([c.place for c in found])
    from_crossing, k = cKDTree(places).query(0.5 * (arteries[i, :2] + veins[j, :2]))
    sine = np.sin([c.angle for c in found])[k]
    return bool((from_crossing <= (arteries[i, 2] + veins[j, 2]) / sine + 0.05).all())


def _samples(segments: Iterable[Segment]) -> NDArray[np.float64]:
    """u, v and radius (n, 3) along segments."""
    fine = [_refined(s, 0.15) for s in segments]
    return np.concatenate([np.column_stack([s.points, s.radius]) for s in fine])


def _chains(
    rng: np.random.Generator,
    segments: Sequence[Segment],
    middle: Place,
    *,
    least: float,
    length: tuple[float, float],
    kinds: Sequence[str],
) -> list[list[int]]:
    """Disjoint stretches in random order: segments, each the wider child of the one before.

    Their vessels have at least the radius ``least`` and lie in view; a stretch is at least ``length[0]`` long and ends
    with the segment that makes it as long as a number drawn from ``length``.
    """
    first = {kind: next((k for k, s in enumerate(segments) if s.kind == kind), 0) for kind in kinds}
    suits = {
        k for k, s in enumerate(segments) if s.kind in kinds and s.radius.min() >= least and _in_view(s.points, middle)
    }
    wider: dict[int, int] = {}
    for k in suits:
        parent = segments[k].parent + first[segments[k].kind]
        rival = wider.get(parent, k)
        if segments[k].parent >= 0:
            wider[parent] = max(k, rival, key=lambda one: (float(segments[one].radius[0]), -one))
    chains: list[list[int]] = []
    for k in rng.permutation(sorted(suits)).tolist():
        wanted = rng.uniform(*length)
        chain: list[int] = []
        while k in suits and sum(segments[one].arc for one in chain) < wanted:
            chain.append(k)
            suits.discard(k)
            k = wider.get(k, -1)
        if sum(segments[one].arc for one in chain) >= length[0]:
            chains.append(chain)
    return chains


def _in_view(points: NDArray[np.float64], middle: Place) -> bool:
    """Whether points (n, 2) are near the middle of most photographs and off the disc."""
    return bool((np.hypot(*(points - np.array(middle)).T) < SEEN).all() and (np.hypot(*points.T) > OFF_DISC).all())


def _refined(segment: Segment, step: float = FINE) -> Segment:
    """Return the same vessel with points at most ``step`` apart."""
    along = segment.along
    wanted = np.unique(np.concatenate([along, np.linspace(0.0, along[-1], math.ceil(along[-1] / step) + 1)]))
    points = np.stack([np.interp(wanted, along, x) for x in segment.points.T], axis=1)
    return replace(segment, points=points, radius=np.interp(wanted, along, segment.radius))


def _window(along: NDArray[np.float64], length: float, rise: float) -> NDArray[np.float64]:
    """Rise from 0 to 1 at the beginning and fall back at the end of a length, within ``rise`` degrees."""
    return 0.5 - 0.5 * np.cos(math.pi * np.clip(np.minimum(along, length - along) / rise, 0.0, 1.0))


def _normals(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (n, 2) across a centreline, smoothed over about a degree so that they do not follow its wave."""
    across = np.gradient(points, axis=0)[:, ::-1] * [-1.0, 1.0]
    kernel = np.ones(2 * min(6, (len(points) - 1) // 2) + 1)
    padded = np.pad(across, ((len(kernel) // 2, len(kernel) // 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(x, kernel, mode="valid") for x in padded.T], axis=1)
    return smooth / np.hypot(*smooth.T)[:, None]
