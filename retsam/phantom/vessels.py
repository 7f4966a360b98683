"""Artery and vein trees grown from the optic disc.

Everything here is in degrees of visual angle in the *axis frame* of an eye: origin at the disc centre, first axis
towards the fovea (temporal), second axis inferior. Laterality and the photograph come later (``raster.Grid``).

A tree grows tip by tip, widest first. Trunks pursue a target course (four arcades), side branches steer by the region
they leave into. Calibres obey Murray's law at every branching, ``r0^x = r1^x + r2^x`` with exponent x = 3 (Murray,
PNAS 1926;12:207) unless the parameters say otherwise, and branching angles are the ones that need the least blood
volume, ``cos t1 = (r0^4 + r1^4 - r2^4) / (2 r0^2 r1^2)`` (Murray, J Gen Physiol 1926;9:835). Between branchings a
vessel tapers by ``exp(-TAPER * s)`` along its length s; a free end thins to 55 % of that over its last 1.5 degrees.

Vessels of one tree never cross. The veins grow first and the arteries know them: an artery that comes near a vein
either turns along it, a gap apart, or crosses it straight at a clear angle, or ends. So the two trees overlap at true
crossings only.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Kind = Literal["artery", "vein"]
Place = tuple[float, float]
Wall = tuple[float, float, float]

STEP = 0.2
"""Growth step, degrees."""
CELL = 0.15
"""Side of a cell of the maps that know where vessels are, degrees."""
REACH = 36.0
"""Half side of the square that trees grow in, degrees from the disc centre; wider than any field of view shows."""
TAPER = 0.008
"""Relative loss of radius per degree between branchings."""
GAP = 0.15
"""Least distance between the walls of an artery and a vein that do not cross, degrees."""
SPACE = 0.25
"""Least distance between the walls of two vessels of one tree, degrees."""
SIGHT = 1.0
"""Distance from a vein's wall at which an artery begins to turn, degrees."""
LEAST_ANGLE = math.radians(45.0)
"""Arteries cross veins at this angle or a wider one, radians."""
_SIDE = int(2 * REACH / CELL) + 1


@dataclass(frozen=True)
class TreeParameters:
    """What decides the form of one tree.

    Attributes
    ----------
    root_radius : float
        Radius of a temporal trunk at the disc, degrees.
    smallest_radius : float
        Vessels end below it, degrees.
    spacing : float
        Median distance between branchings, degrees.
    survival : float
        Probability that a side branch exists, 0-1; the continuation is as thin as if it did.
    tortuosity : float
        Root mean square of the heading wave, radians; arc/chord - 1 of a long vessel is about ``tortuosity**2 / 2``.
    fovea_distance, disc_radius : float
        Degrees.
    arcade_height : tuple of float
        Distance of the superior and inferior arcade from the disc-fovea axis at the fovea, degrees.
    split : tuple of float
        Added to the arcade heights, degrees; opposite signs keep artery and vein of an arcade apart from the disc on.
    exponent : float
        Of Murray's law, above 2: 3 for the least work; 2 would keep the area of the cross-section.
    """

    root_radius: float
    smallest_radius: float
    spacing: float
    survival: float
    tortuosity: float
    fovea_distance: float
    disc_radius: float
    arcade_height: tuple[float, float]
    split: tuple[float, float] = (0.0, 0.0)
    exponent: float = 3.0


@dataclass(frozen=True)
class Segment:
    """One vessel between two branchings.

    Attributes
    ----------
    kind : "artery" or "vein"
    points : (n, 2) float
        Centreline, degrees; n >= 2. A child's first point is its parent's last.
    radius : (n,) float
        Degrees.
    parent : int
        Index of the parent among the segments of its kind, -1 for a root.
    """

    kind: Kind
    points: NDArray[np.float64]
    radius: NDArray[np.float64]
    parent: int

    @cached_property
    def along(self) -> NDArray[np.float64]:
        """Length (n,) along the centreline from its first point, degrees."""
        return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.points, axis=0).T))])

    @property
    def arc(self) -> float:
        """Length along the centreline, degrees."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    @property
    def chord(self) -> float:
        """Distance between the ends, degrees."""
        return float(np.hypot(*(self.points[-1] - self.points[0])))


@dataclass(frozen=True)
class Crossing:
    """Where the centrelines of an artery and a vein cross.

    Attributes
    ----------
    place : tuple of float
        u, v, degrees.
    artery, vein : int
        Indices into the segments that were asked about.
    artery_at, vein_at : float
        Length along the artery and the vein from their first points, degrees.
    angle : float
        Between the two, radians, 0 to pi/2.
    """

    place: Place
    artery: int
    vein: int
    artery_at: float
    vein_at: float
    angle: float


def crossings(segments: Sequence[Segment]) -> tuple[Crossing, ...]:
    """All crossings of arteries with veins.

    Parameters
    ----------
    segments : sequence of Segment
        Both kinds, any order.

    Returns
    -------
    tuple of Crossing
        Ordered by artery and the place along it.
    """
    arteries, veins = (_Edges.of(segments, kind) for kind in ("artery", "vein"))
    if len(arteries.start) == 0 or len(veins.start) == 0:
        return ()
    i, j = arteries.near(veins)
    s, t = _meeting(arteries.start[i], arteries.step[i], veins.start[j], veins.step[j])
    hit = (s >= 0) & (s < 1) & (t >= 0) & (t < 1)
    i, j, s, t = i[hit], j[hit], s[hit], t[hit]
    place = arteries.start[i] + s[:, None] * arteries.step[i]
    turn = np.abs(arteries.angle[i] - veins.angle[j]) % math.pi
    found = zip(
        map(tuple, place.tolist()),
        arteries.number[i].tolist(),
        veins.number[j].tolist(),
        (arteries.along[i] + s * arteries.length[i]).tolist(),
        (veins.along[j] + t * veins.length[j]).tolist(),
        np.minimum(turn, math.pi - turn).tolist(),
        strict=True,
    )
    return tuple(sorted((Crossing(*one) for one in found), key=lambda c: (c.artery, c.artery_at)))


def crosses_itself(segments: Sequence[Segment], kind: Kind) -> bool:
    """Whether any two vessels of one tree, or a vessel and itself, cross."""
    edges = _Edges.of(segments, kind)
    i, j = edges.near(edges)
    i, j = i[i < j], j[i < j]
    s, t = _meeting(edges.start[i], edges.step[i], edges.start[j], edges.step[j])
    inner = 1e-9  # edges that follow each other share an end
    return bool(((s > inner) & (s < 1 - inner) & (t > inner) & (t < 1 - inner)).any())


@dataclass(frozen=True)
class _Edges:
    """Straight pieces of centrelines: start (n, 2), step to the end (n, 2), segment (n,), length before it (n,)."""

    start: NDArray[np.float64]
    step: NDArray[np.float64]
    number: NDArray[np.intp]
    along: NDArray[np.float64]
    length: NDArray[np.float64] = field(init=False)
    angle: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", np.hypot(*self.step.T))
        object.__setattr__(self, "angle", np.arctan2(self.step[:, 1], self.step[:, 0]))

    @classmethod
    def of(cls, segments: Sequence[Segment], kind: Kind) -> "_Edges":
        chosen = [k for k, s in enumerate(segments) if s.kind == kind]
        if not chosen:
            return cls(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.intp), np.zeros(0))
        sizes = [len(segments[k].points) - 1 for k in chosen]
        return cls(
            np.concatenate([segments[k].points[:-1] for k in chosen]),
            np.concatenate([np.diff(segments[k].points, axis=0) for k in chosen]),
            np.repeat(chosen, sizes),
            np.concatenate([segments[k].along[:-1] for k in chosen]),
        )

    def near(self, other: "_Edges") -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of the pairs of edges (self, other) whose middles are near enough for the edges to meet."""
        reach = 0.5 * float(self.length.max() + other.length.max()) + 1e-9
        trees = [cKDTree(edges.start + 0.5 * edges.step) for edges in (self, other)]
        pairs = trees[0].sparse_distance_matrix(trees[1], reach, output_type="ndarray")
        return pairs["i"], pairs["j"]


def _meeting(
    p: NDArray[np.float64], a: NDArray[np.float64], q: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fractions s, t (...) with ``p + s a = q + t b``; infinite or not a number for parallel lines."""
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    u, v = q[..., 0] - p[..., 0], q[..., 1] - p[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (u * b[..., 1] - v * b[..., 0]) / cross, (u * a[..., 1] - v * a[..., 0]) / cross


@dataclass(frozen=True)
class _Wave:
    """Winding of a heading: two sine waves with wavelengths (degrees) and phases, unit root mean square."""

    slow: float
    fast: float
    phases: Place

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Wave":
        slow, fast = rng.uniform(3.6, 6.5), rng.uniform(1.6, 2.6)
        first, second = rng.uniform(0.0, 2.0 * math.pi, size=2).tolist()
        return cls(slow, fast, (first, second))

    def at(self, travelled: float) -> float:
        turn = 2.0 * math.pi * travelled
        return 1.13 * math.sin(turn / self.slow + self.phases[0]) + 0.85 * math.sin(turn / self.fast + self.phases[1])


@dataclass(frozen=True)
class _Tip:
    """A growing end. ``course`` is the target polyline of a trunk; ``family`` are tips it may touch at first."""

    number: int
    u: float
    v: float
    heading: float
    radius: float
    role: str
    parent: int
    family: frozenset[int]
    side: int
    wave: _Wave
    travelled: float = 0.0
    course: tuple[Place, ...] = ()


def murray_children(radius: float, ratio: float, exponent: float = 3.0) -> tuple[float, float]:
    """Radii of two children with ``r2 / r1 = ratio`` (0-1) under Murray's law."""
    large = radius * (1.0 + ratio**exponent) ** (-1.0 / exponent)
    return large, ratio * large


def murray_angles(radius: float, large: float, small: float) -> tuple[float, float]:
    """Angles (radians) by which the larger and the smaller child turn from the parent's direction."""

    def angle(own: float, other: float) -> float:
        cosine = (radius**4 + own**4 - other**4) / (2.0 * radius**2 * own**2)
        return math.acos(max(-1.0, min(1.0, cosine)))

    return angle(large, small), angle(small, large)


def grow_trees(rng: np.random.Generator, artery: TreeParameters, vein: TreeParameters) -> list[Segment]:
    """Grow the veins, then the arteries that overlap them at crossings only.

    Parameters
    ----------
    rng : Generator
    artery, vein : TreeParameters

    Returns
    -------
    list of Segment
        Veins, then arteries; parents before children. ``Segment.parent`` counts within the kind.
    """
    veins = _Grower(rng, "vein", vein, None).run()
    return veins + _Grower(rng, "artery", artery, _Neighbours(veins)).run()


class _Neighbours:
    """The tree that was there first: for every cell its nearest centreline sample."""

    def __init__(self, segments: Sequence[Segment]):
        self.segments = segments
        edges = _Edges.of(segments, segments[0].kind)
        part = np.arange(2) / 2  # of a growth step: finer than a cell
        middle = (edges.start[..., None] + edges.step[..., None] * part).swapaxes(0, 1).reshape(2, -1)
        radius = np.concatenate([s.radius[:-1, None] + np.diff(s.radius)[:, None] * part for s in segments]).ravel()
        normal = np.stack([-edges.step[:, 1], edges.step[:, 0]]) / edges.length
        wall = radius * np.repeat(normal, 2, axis=1)
        owner = np.full((_SIDE, _SIDE), -1, np.int32)
        for offset in (0.0, -1.0, 1.0):  # the walls too, for the nearest vessel is the one with the nearest wall
            cell = np.rint((middle + offset * wall + REACH) / CELL).astype(int)
            owner[cell[1], cell[0]] = np.arange(middle.shape[1])
        _, label = cv2.distanceTransformWithLabels(
            (owner < 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        sample = np.zeros(int(label.max()) + 1, np.int32)
        sample[label[owner >= 0]] = owner[owner >= 0]
        self.nearest = np.ascontiguousarray(sample[label]).data
        self.middle, self.reach, self.owner = middle, radius, np.repeat(edges.number, 2)
        self.u, self.v = middle.tolist()
        self.radius: list[float] = self.reach.tolist()
        self.widest = float(radius.max())

    def meet(self, u: float, v: float) -> Wall:
        """Distance to the nearest wall (negative inside) and the unit vector away from it."""
        k = self.nearest[round((v + REACH) / CELL), round((u + REACH) / CELL)]
        du, dv = u - self.u[k], v - self.v[k]
        distance = math.hypot(du, dv)
        away = max(distance, 1e-9)
        return distance - self.radius[k], du / away, dv / away

    def crossed(self, start: Place, end: Place, radius: float) -> bool:
        """Whether a straight vessel from start to end clearly crosses, once each, all vessels that it touches."""
        way = np.subtract(end, start)
        length = float(np.hypot(*way))
        box = 0.5 * length + radius + self.widest + 0.05
        local = np.flatnonzero(np.abs(self.middle[0] - start[0] - 0.5 * way[0]) < box)
        local = local[np.abs(self.middle[1, local] - start[1] - 0.5 * way[1]) < box]
        reach, owner = self.reach[local], self.owner[local]
        to_start = self.middle[:, local] - np.array(start)[:, None]
        along = np.clip((way @ to_start) / length, 0.0, length)
        distance = np.hypot(*(to_start - along * (way / length)[:, None])) - reach
        near = distance < radius + 0.05
        for number in set(owner[near].tolist()):
            at, sine = self._crossed_at(start, way, number)
            here = near & (owner == number)
            far = np.abs(along[here] - at * length) - (reach[here] + radius) / sine
            if not far.max() < 0.05:  # touched again away from the crossing, or never crossed
                return False
        return bool(near.any())

    def _crossed_at(self, start: Place, way: NDArray[np.float64], number: int) -> Place:
        """Fraction of a straight way at which it crosses a vessel, and the sine of the angle.

        Not a number unless it crosses once, at a clear angle.
        """
        points = self.segments[number].points
        step = np.diff(points, axis=0)
        s, t = _meeting(np.array(start), way, points[:-1], step)
        hit = np.flatnonzero((s >= 0) & (s < 1) & (t >= 0) & (t < 1))
        if len(hit) != 1:
            return math.nan, math.nan
        over = step[hit[0]]
        sine = abs(way[0] * over[1] - way[1] * over[0]) / float(np.hypot(*way) * np.hypot(*over))
        return (float(s[hit[0]]), sine) if sine >= math.sin(LEAST_ANGLE) else (math.nan, math.nan)


class _Grower:
    """State of one growing tree: the queue of tips, the finished segments and the cells that they occupy."""

    def __init__(self, rng: np.random.Generator, kind: Kind, parameters: TreeParameters, other: _Neighbours | None):
        self.rng = rng
        self.kind: Kind = kind
        self.p = parameters
        self.other = other
        self.segments: list[Segment] = []
        self.of_tip: dict[int, int] = {}
        self.occupied = np.full((_SIDE, _SIDE), -1, np.int32)
        self.cells = self.occupied.data
        self.queue: list[tuple[float, int, _Tip]] = []
        self.tips = 0

    def run(self) -> list[Segment]:
        """Grow until no tip is left."""
        roots = _roots(self.rng, self.p)
        self.tips = len(roots)
        for tip in roots:
            placed = self._make_room(tip)
            if placed is not None:
                self._push(placed)
        while self.queue:
            self._grow(heapq.heappop(self.queue)[2])
        return self.segments

    def _push(self, tip: _Tip) -> None:
        heapq.heappush(self.queue, (-tip.radius, tip.number, tip))

    def _make_room(self, tip: _Tip) -> _Tip | None:
        """Shift a root off the vessels that were there first; none where they leave no room."""
        if self.other is None:
            return tip
        for _ in range(8):
            clear, away_u, away_v = self.other.meet(tip.u, tip.v)
            lacking = GAP + tip.radius - clear
            if lacking < 0.01:
                return tip
            tip = replace(tip, u=tip.u + (lacking + 0.02) * away_u, v=tip.v + (lacking + 0.02) * away_v)
        return None

    def _grow(self, tip: _Tip) -> None:
        """Advance a tip to its next branching or its end, and queue its children."""
        length = self.p.spacing * math.exp(0.35 * self.rng.standard_normal())
        if not tip.role.startswith("trunk"):
            length *= 1.3
        elif tip.parent < 0:
            length = self.p.disc_radius * self.rng.uniform(0.9, 1.5)
        walk = self._walk(tip, length)
        path = self._apart(tip, walk.path)
        alive = walk.alive and len(path) == len(walk.path)
        if len(path) < 4:  # stopped at once: not worth a stump
            return
        points = np.array(path)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        radius = tip.radius * np.exp(-TAPER * along)
        end = float(radius[-1])
        alive = alive and end > 1.3 * self.p.smallest_radius
        if not alive:  # thin out towards a free end
            radius *= np.clip((along[-1] - along) / min(1.5, along[-1]), 0.0, 1.0) * 0.45 + 0.55
        self.of_tip[tip.number] = len(self.segments)
        self.segments.append(Segment(self.kind, points, radius, tip.parent))
        self._occupy(tip, points)
        if alive:
            self._branch(tip, walk, end)

    def _walk(self, tip: _Tip, length: float) -> "_Walk":
        """Walk, and once more with another wave where a wide vessel met an obstacle; the longest walk counts."""
        best = None
        for _ in range(8 if tip.role.startswith("trunk") else 2):
            walk = _Walk(self, tip)
            walk.go(length)
            if best is None or len(walk.path) > len(best.path):
                best = walk
            if walk.alive or tip.radius < 2.0 * self.p.smallest_radius:
                break
            tip = replace(tip, wave=_Wave.draw(self.rng))
        assert best is not None
        return best

    def _occupy(self, tip: _Tip, points: NDArray[np.float64]) -> None:
        fine = np.rint((points + REACH) * (16 / CELL)).astype(np.int32)  # cv2 takes sixteenths of a cell
        width = max(1, round(2.0 * (tip.radius + SPACE) / CELL))
        cv2.polylines(self.occupied, [fine], False, tip.number, width, cv2.LINE_8, 4)

    def _apart(self, tip: _Tip, path: list[Place]) -> list[Place]:
        """Cut a path where it would cross its parent or a sibling, which it may touch at first."""
        indices = [self.of_tip[number] for number in tip.family & self.of_tip.keys()]
        kin = [self.segments[k].points[-8 if k == tip.parent else 0 :] for k in indices]
        if not kin or len(path) < 4:
            return path
        points = np.array(path[:17])
        start, step = np.concatenate([k[:-1] for k in kin]), np.concatenate([k[1:] - k[:-1] for k in kin])
        near = np.abs(start - points[0]).max(axis=1) < 16 * STEP
        s, t = _meeting(points[:-1, None], np.diff(points, axis=0)[:, None], start[near], step[near])
        s[0] = np.where(s[0] < 1e-6, np.nan, s[0])  # the branching itself
        hit = ((s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)).any(axis=1)
        if hit.any():
            path = path[: max(int(hit.argmax()) - 1, 1)]
            while self.other is not None and len(path) > 1 and self.other.meet(*path[-1])[0] - tip.radius < GAP / 2:
                path = path[:-1]  # no end inside a vein
        return path

    def blocked(self, tip: _Tip, u: float, v: float, direction: float, travelled: float) -> bool:
        """Whether the point is out of reach, avascular, over the raphe, or too near another vessel of this tree."""
        if math.hypot(u, v) > REACH - 1.5:
            return True
        if math.hypot(u - self.p.fovea_distance, v) < 1.7:
            return True
        if u > self.p.disc_radius and tip.side * v < 0.15:
            return True
        across_u, across_v = -tip.radius * math.sin(direction), tip.radius * math.cos(direction)
        grace = 2.0 if tip.parent >= 0 else 3.0  # parent and sibling are near at first
        for flank in (0.0,) if tip.radius < CELL else (0.0, -1.0, 1.0):
            other = self.taken(u + flank * across_u, v + flank * across_v)
            if other < 0:
                continue
            if other not in tip.family or travelled > (1.0 if self.of_tip.get(other) == tip.parent else grace):
                return True
        return False

    def taken(self, u: float, v: float) -> int:
        """Number of the tip of this tree that occupies a place, -1 where none."""
        return self.cells[int((v + REACH) / CELL + 0.5), int((u + REACH) / CELL + 0.5)]

    def steer(self, tip: _Tip, u: float, v: float, heading: float, course: tuple[Place, ...]) -> float:
        """Turning rate in radians per degree towards where this kind of branch wants to go."""
        f = self.p.fovea_distance
        if tip.role.startswith("trunk"):
            if len(course) == 1:
                return 0.0
            goal, gain = math.atan2(course[0][1] - v, course[0][0] - u), 0.9
        elif tip.role == "macular":
            goal, gain = math.atan2(-v, f - u), 0.07
        elif tip.role == "outer":
            goal, gain = math.atan2(v, u - 0.55 * f), 0.06
        else:
            goal, gain = math.atan2(v, u), 0.06
        turn = math.remainder(goal - heading, 2.0 * math.pi)
        return gain * max(-1.2, min(1.2, turn))

    def _branch(self, tip: _Tip, walk: "_Walk", radius: float) -> None:
        """Queue the continuation and the side branch at the end of a segment."""
        u, v = walk.path[-1]
        heading = walk.heading
        lowest = min(1.0, 1.05 * self.p.smallest_radius / radius)
        trunk = tip.role.startswith("trunk")
        ratio = max(lowest, self.rng.uniform(0.42, 0.85) if trunk else self.rng.uniform(0.45, 0.9))
        large, small = murray_children(radius, ratio, self.p.exponent)
        turn_large, turn_small = murray_angles(radius, large, small)
        flip = 1 if self.rng.random() < 0.5 else -1
        role = self._side_role(tip.role, u, v, heading, flip) if trunk else tip.role
        parent, first = len(self.segments) - 1, self.tips
        self.tips += 2
        family = frozenset({tip.number, first, first + 1})
        onwards, aside = heading - flip * turn_large, heading + flip * turn_small
        self._push(
            replace(
                walk.tip,
                number=first,
                u=u,
                v=v,
                heading=onwards,
                radius=large,
                parent=parent,
                family=family,
                travelled=walk.travelled,
                course=walk.course,
            )
        )
        lives = self.rng.random() < self.p.survival or tip.parent < 0
        wave = _Wave.draw(self.rng)
        if lives:
            self._push(_Tip(first + 1, u, v, aside, small, role, parent, family, tip.side, wave))

    def _side_role(self, role: str, u: float, v: float, heading: float, flip: int) -> str:
        """Region that a trunk's side branch leaves into."""
        if role == "trunk_nasal":
            return "nasal"
        towards = math.cos(heading) * -v - math.sin(heading) * (self.p.fovea_distance - u)
        return "macular" if towards * flip > 0 else "outer"


class _Walk:
    """A tip on its way to the next branching.

    Attributes
    ----------
    path : list of tuple of float
        Centreline so far, degrees.
    heading : float
        Direction without the wave, radians.
    travelled : float
        Since the wave began, degrees.
    course : tuple of tuple of float
        What is left of a trunk's course.
    alive : bool
        Whether it may go on.
    """

    def __init__(self, grower: _Grower, tip: _Tip):
        self.grower = grower
        self.tip = tip
        self.path: list[Place] = [(tip.u, tip.v)]
        self.heading = tip.heading
        self.travelled = tip.travelled
        self.course = tip.course
        self.alive = True
        self.drift = 0.03 * grower.rng.standard_normal()

    @property
    def winding(self) -> float:
        """Direction minus heading, radians; a new vessel winds fully from 1.2 degrees on."""
        return self.grower.p.tortuosity * self.tip.wave.at(self.travelled) * min(1.0, self.travelled / 1.2)

    def go(self, length: float) -> None:
        """Walk to ``length`` or an obstacle; a crossing on the way is completed first."""
        end = self.tip.travelled + max(length, 4.0 * STEP)
        other = self.grower.other
        while self.travelled < end - 1e-9 or self.grower.taken(*self.path[-1]) >= 0:  # no branching on a sibling
            u, v = self.path[-1]
            while len(self.course) > 1 and math.hypot(self.course[0][0] - u, self.course[0][1] - v) < 1.6:
                self.course = self.course[1:]
            self.heading += self.grower.steer(self.tip, u, v, self.heading, self.course) * STEP + self.drift * STEP
            self.heading += self._give_way(u, v)
            self.travelled += STEP
            direction = self.heading + self.winding
            if other is not None:
                bent, bridge = self._meet(other, u, v, direction)
                if bridge:
                    self.path += bridge
                    self.travelled += STEP * (len(bridge) - 1)
                    end = max(end, self.travelled + 0.5)  # no branching beside a crossing
                self.heading = bent - self.winding
                if bridge:
                    continue
                direction = bent
            u += STEP * math.cos(direction)
            v += STEP * math.sin(direction)
            if self._stops(u, v, direction) or self._strays(u, v):
                self.alive = False
                return
            self.path.append((u, v))

    def _stops(self, u: float, v: float, direction: float) -> bool:
        tip, other = self.tip, self.grower.other
        if self.grower.blocked(tip, u, v, direction, self.travelled - tip.travelled):
            return True
        if other is None:
            return False
        clear, away_u, away_v = other.meet(u, v)
        leaving = math.cos(direction) * away_u + math.sin(direction) * away_v > 0
        return clear - tip.radius < (0.5 * GAP if leaving else 0.9 * GAP)

    def _strays(self, u: float, v: float) -> bool:
        """Whether it has turned round, or, for a trunk, off its course by more than 80 degrees."""
        if abs(math.remainder(self.heading - self.tip.heading, 2.0 * math.pi)) > 1.9:
            return True
        return len(self.course) > 1 and abs(math.remainder(self._goal(u, v) - self.heading, 2.0 * math.pi)) > 1.4

    def _give_way(self, u: float, v: float) -> float:
        """Turn, radians, away from a vessel of the own tree ahead on one side."""
        if self.travelled - self.tip.travelled < 1.2 or len(self.path) % 2:
            return 0.0
        ahead = 0.8 + self.tip.radius
        left, right = (
            self.grower.taken(u + ahead * math.cos(self.heading + a), v + ahead * math.sin(self.heading + a)) >= 0
            for a in (-0.5, 0.5)
        )
        return 0.2 * (int(left) - int(right))

    def _meet(self, other: _Neighbours, u: float, v: float, direction: float) -> tuple[float, list[Place]]:
        """Direction beside a vessel of the other tree, and the way across it where this is the place to cross."""
        radius = self.tip.radius
        clear, away_u, away_v = other.meet(u + STEP * math.cos(direction), v + STEP * math.sin(direction))
        clear -= radius
        if clear > SIGHT:
            return direction, []
        wall = math.atan2(-away_v, -away_u)  # direction that meets the wall at a right angle
        off = math.remainder(direction - wall, 2.0 * math.pi)
        if abs(off) >= 0.5 * math.pi:
            return direction, []
        goal = self._goal(u, v)
        flat = abs(math.remainder(goal - wall, 2.0 * math.pi)) > math.radians(55.0)
        if clear > GAP:
            nearer = 1.0 - (clear - GAP) / (SIGHT - GAP)
            turn = 0.3 * nearer if flat else -0.10 * nearer
            return wall + math.copysign(max(abs(off) + turn, 0.0), off), []
        beside = wall + math.copysign(0.5 * math.pi + 0.1, off)
        astray = abs(math.remainder(beside - goal, 2.0 * math.pi)) > math.radians(80.0)
        room = not astray and not self._stops(u + STEP * math.cos(beside), v + STEP * math.sin(beside), beside)
        if flat and room:
            return beside, []
        for aim in (abs(off), 0.8, 0.4, 0.0):
            way = wall + math.copysign(min(max(aim, abs(off) - 0.9), abs(off)), off)
            bridge = self._bridge(other, u, v, way)
            if bridge:
                return way, bridge
        return beside if room else direction, []

    def _goal(self, u: float, v: float) -> float:
        """Direction in the long run, radians: of a trunk to its course some degrees ahead, else the heading."""
        if len(self.course) < 2:
            return self.heading
        ahead = self.course[min(5, len(self.course) - 1)]
        return math.atan2(ahead[1] - v, ahead[0] - u)

    def _bridge(self, other: _Neighbours, u: float, v: float, direction: float) -> list[Place]:
        """Straight way across the other tree, empty where it would touch a vessel that it does not clearly cross."""
        tip, start = self.tip, (u, v)
        du, dv = STEP * math.cos(direction), STEP * math.sin(direction)
        way: list[Place] = []
        inside = False
        for k in range(1, 16):
            u, v = u + du, v + dv
            if self.grower.blocked(tip, u, v, direction, self.travelled - tip.travelled + k * STEP):
                return []
            clear, away_u, away_v = other.meet(u, v)
            way.append((u, v))
            if clear - tip.radius < 0.5 * GAP:
                inside = True
            elif inside and away_u * du + away_v * dv > 0 and clear - tip.radius >= GAP:
                return way if other.crossed(start, (u, v), tip.radius) else []
        return []


def _roots(rng: np.random.Generator, p: TreeParameters) -> list[_Tip]:
    """The four trunks of a tree and a few thin vessels from the rim of the disc.

    From temporal to nasal, the inner tree's temporal trunk, both trunks of the outer tree and the inner tree's nasal
    trunk leave the disc side by side, so that none lies on another.
    """
    tips: list[_Tip] = []

    def add(place: Place, heading: float, radius: float, role: str, side: int, course: tuple[Place, ...] = ()) -> None:
        wave = _Wave.draw(rng)
        tips.append(_Tip(len(tips), *place, heading, radius, role, -1, frozenset(), side, wave, 0.0, course))

    for side, arcade, split in zip((-1, 1), p.arcade_height, p.split, strict=True):  # superior, inferior
        outer = split >= 0
        for role in ("trunk_temporal", "trunk_nasal"):
            temporal = role == "trunk_temporal"
            degrees = (65.0 if outer else 42.0) if temporal else (120.0 if outer else 142.0)
            angle, far = math.radians(degrees + rng.uniform(-4.0, 4.0)), (0.14 if outer else 0.34) * p.disc_radius
            start = (far * math.cos(angle) - 0.05 * p.disc_radius, side * far * math.sin(angle))
            course = (
                _temporal_course(rng, side, arcade + split, start[0], outer, p)
                if temporal
                else _nasal_course(rng, side, start[0], outer, p)
            )
            radius = p.root_radius * (1.0 if temporal else 0.72) * math.exp(0.03 * rng.standard_normal())
            heading = math.atan2(course[0][1] - start[1], course[0][0] - start[0])
            add(start, heading, radius, role, side, course)
        angle = side * rng.uniform(0.15, 0.5)
        thin = p.root_radius * rng.uniform(0.38, 0.5)
        place = (0.55 * p.disc_radius * math.cos(angle), 0.55 * p.disc_radius * math.sin(angle))
        add(place, 0.8 * angle, thin, "macular", side)
    angle = math.pi + rng.uniform(-0.35, 0.35)
    place = (0.5 * p.disc_radius * math.cos(angle), 0.5 * p.disc_radius * math.sin(angle))
    add(place, angle, p.root_radius * rng.uniform(0.38, 0.5), "nasal", 1)
    return [replace(tip, family=frozenset(t.number for t in tips if t.side == tip.side)) for tip in tips]


def _temporal_course(
    rng: np.random.Generator, side: int, height: float, start: float, outer: bool, p: TreeParameters
) -> tuple[Place, ...]:
    """Leaves the disc steeply at ``start``, passes the fovea at ``height`` and bends back beyond it."""
    t = np.linspace(0.0, 2.4, 60)
    v = t ** (0.36 if outer else 0.48) * (1.0 - 0.5 * np.clip(t - 0.85, 0.0, None) ** 1.2)
    bulge = 1.0 + 0.05 * rng.standard_normal() * np.sin(math.pi * np.clip(t, 0.0, 1.0))
    u = start + t * (p.fovea_distance - start)
    return tuple(zip(u.tolist(), (side * height * v * bulge).tolist(), strict=True))[1:]


def _nasal_course(
    rng: np.random.Generator, side: int, start: float, outer: bool, p: TreeParameters
) -> tuple[Place, ...]:
    """A quadratic Bezier curve that leaves the disc steeply and bends to the nasal periphery."""
    t = np.linspace(0.08, 1.0, 50)[:, None]
    high = 0.8 if outer else 0.2  # the one that leaves less nasally stays farther from the axis
    high += rng.uniform(-0.15, 0.15)
    first = np.array([start, 0.3 * p.disc_radius])
    corner = np.array([start - rng.uniform(2.0, 4.0), 5.0 + 3.5 * high])
    last = np.array([-rng.uniform(24.0, 28.0), 7.0 + 17.0 * high])
    curve = (1 - t) ** 2 * first + 2 * t * (1 - t) * corner + t**2 * last
    return tuple((float(u), float(side * v)) for u, v in curve)
