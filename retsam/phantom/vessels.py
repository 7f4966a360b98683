"""Artery and vein trees grown from the optic disc.

Everything here is in degrees of visual angle in the *axis frame* of an eye: origin at the disc centre, first axis
towards the fovea (temporal), second axis inferior. Laterality and the photograph come later (``raster.Grid``).

A tree grows tip by tip, widest first. Trunks pursue a target course (four arcades), side branches steer by the region
they leave into. Calibres obey Murray's law with exponent 3 at every branching, ``r0^3 = r1^3 + r2^3`` (Murray, PNAS
1926;12:207), and branching angles are the ones that minimise the same work,
``cos t1 = (r0^4 + r1^4 - r2^4) / (2 r0^2 r1^2)`` (Murray, J Gen Physiol 1926;9:835). Vessels of one tree never cross.
"""

import heapq
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["artery", "vein"]

STEP = 0.2
"""Growth step, degrees."""
CELL = 0.3
"""Side of an occupancy cell, degrees; vessels of one tree keep about this far apart."""
REACH = 36.0
"""Half side of the square that trees grow in, degrees from the disc centre; wider than any field of view shows."""
TAPER = 0.008
"""Relative loss of radius per degree between branchings."""
_SIDE = int(2 * REACH / CELL) + 3


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
        Amplitude of the heading wave, radians; arc/chord - 1 of a long vessel is about ``tortuosity**2 / 4``.
    fovea_distance, disc_radius : float
        Degrees.
    arcade_height : tuple of float
        Distance of the superior and inferior arcade from the disc-fovea axis at the fovea, degrees.
    split : tuple of float
        Added to the arcade heights, degrees; opposite signs keep artery and vein of an arcade apart from the disc on.
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
        Index of the parent in the tree, -1 for a root.
    """

    kind: Kind
    points: NDArray[np.float64]
    radius: NDArray[np.float64]
    parent: int

    @property
    def arc(self) -> float:
        """Length along the centreline, degrees."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    @property
    def chord(self) -> float:
        """Distance between the ends, degrees."""
        return float(np.hypot(*(self.points[-1] - self.points[0])))


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
    course: tuple[tuple[float, float], ...] = ()


def murray_children(radius: float, ratio: float) -> tuple[float, float]:
    """Radii of two children with ``r2 / r1 = ratio`` (0-1) under Murray's law with exponent 3."""
    large = radius * (1.0 + ratio**3) ** (-1.0 / 3.0)
    return large, ratio * large


def murray_angles(radius: float, large: float, small: float) -> tuple[float, float]:
    """Angles (radians) by which the larger and the smaller child turn from the parent's direction."""

    def angle(own: float, other: float) -> float:
        cosine = (radius**4 + own**4 - other**4) / (2.0 * radius**2 * own**2)
        return math.acos(max(-1.0, min(1.0, cosine)))

    return angle(large, small), angle(small, large)


def grow_tree(rng: np.random.Generator, kind: Kind, parameters: TreeParameters) -> list[Segment]:
    """Grow one tree.

    Parameters
    ----------
    rng : Generator
    kind : "artery" or "vein"
    parameters : TreeParameters

    Returns
    -------
    list of Segment
        Parents before children.
    """
    return _Grower(rng, kind, parameters).run()


class _Grower:
    """State of one growing tree: the queue of tips, the finished segments and which cells they occupy."""

    def __init__(self, rng: np.random.Generator, kind: Kind, parameters: TreeParameters):
        self.rng = rng
        self.kind: Kind = kind
        self.p = parameters
        self.segments: list[Segment] = []
        self.occupied = [-1] * (_SIDE * _SIDE)
        self.queue: list[tuple[float, int, _Tip]] = []
        self.tips = 0

    def run(self) -> list[Segment]:
        roots = _roots(self.rng, self.kind, self.p)
        self.tips = len(roots)
        for tip in roots:
            self._push(tip)
        while self.queue:
            self._grow(heapq.heappop(self.queue)[2])
        return self.segments

    def _push(self, tip: _Tip) -> None:
        heapq.heappush(self.queue, (-tip.radius, tip.number, tip))

    def _grow(self, tip: _Tip) -> None:
        """Advance a tip to its next branching or its end, and queue its children."""
        length = self.p.spacing * math.exp(0.35 * self.rng.standard_normal())
        if tip.parent < 0:
            length += 1.5 * self.p.disc_radius
        path, heading, alive, course = self._walk(tip, length)
        if len(path) < 4:  # stopped at once: not worth a stump
            return
        points = np.array(path)
        along = STEP * np.arange(len(path))
        radius = tip.radius * np.exp(-TAPER * along)
        end = float(radius[-1])
        alive = alive and end > 1.3 * self.p.smallest_radius
        if not alive:  # thin out towards a free end
            radius *= np.clip((along[-1] - along) / 1.5, 0.0, 1.0) * 0.45 + 0.55
        self.segments.append(Segment(self.kind, points, radius, tip.parent))
        if alive:
            self._branch(tip, path[-1], heading, end, course)

    def _walk(
        self, tip: _Tip, length: float
    ) -> tuple[list[tuple[float, float]], float, bool, tuple[tuple[float, float], ...]]:
        """Centreline up to ``length`` or an obstacle; its last heading without the wave; whether it may go on."""
        u, v, heading, course = tip.u, tip.v, tip.heading, tip.course
        slow, fast = self.rng.uniform(3.6, 6.5), self.rng.uniform(1.5, 2.6)  # wavelengths, degrees
        phases = self.rng.uniform(0.0, 2.0 * math.pi, size=2).tolist()
        drift = 0.03 * self.rng.standard_normal()
        path = [(u, v)]
        for step in range(1, max(int(length / STEP), 4) + 1):
            travelled = step * STEP
            while len(course) > 1 and math.hypot(course[0][0] - u, course[0][1] - v) < 1.6:
                course = course[1:]
            heading += self._steer(tip, u, v, heading, course) * STEP + drift * STEP
            turn = 2.0 * math.pi * travelled
            wave = 0.8 * math.sin(turn / slow + phases[0]) + 0.6 * math.sin(turn / fast + phases[1])
            direction = heading + self.p.tortuosity * wave * min(1.0, travelled / 1.2)
            u += STEP * math.cos(direction)
            v += STEP * math.sin(direction)
            if self._blocked(tip, u, v, travelled):
                return path, heading, False, course
            path.append((u, v))
            self.occupied[_cell(u, v)] = tip.number
        return path, heading, True, course

    def _steer(self, tip: _Tip, u: float, v: float, heading: float, course: tuple[tuple[float, float], ...]) -> float:
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

    def _blocked(self, tip: _Tip, u: float, v: float, travelled: float) -> bool:
        """Whether the point is out of reach, avascular, over the raphe, or too near another vessel of this tree."""
        if math.hypot(u, v) > REACH - 1.0:
            return True
        f = self.p.fovea_distance
        if math.hypot(u - f, v) < 1.7:
            return True
        beyond_disc = math.hypot(u, v) - 1.2 * self.p.disc_radius
        if beyond_disc < 0.0:
            return False
        if u > self.p.disc_radius and tip.side * v < 0.15:
            return True
        centre = _cell(u, v)
        for cell in (centre, centre - 1, centre + 1, centre - _SIDE, centre + _SIDE):
            other = self.occupied[cell]
            if other < 0 or other == tip.number:
                continue
            grace = 0.5 if cell == centre else 2.0  # parent and sibling are near at first
            if other not in tip.family or travelled > grace:
                return True
        return False

    def _branch(
        self,
        tip: _Tip,
        end: tuple[float, float],
        heading: float,
        radius: float,
        course: tuple[tuple[float, float], ...],
    ) -> None:
        """Queue the continuation and the side branch at the end of a segment."""
        u, v = end
        lowest = min(1.0, 1.05 * self.p.smallest_radius / radius)
        trunk = tip.role.startswith("trunk")
        ratio = max(lowest, self.rng.uniform(0.42, 0.85) if trunk else self.rng.uniform(0.55, 0.95))
        large, small = murray_children(radius, ratio)
        turn_large, turn_small = murray_angles(radius, large, small)
        flip = 1 if self.rng.random() < 0.5 else -1
        role = self._side_role(tip.role, u, v, heading, flip) if trunk else tip.role
        parent, first = len(self.segments) - 1, self.tips
        self.tips += 2
        family = frozenset({tip.number, first, first + 1})
        onwards, aside = heading - flip * turn_large, heading + flip * turn_small
        self._push(_Tip(first, u, v, onwards, large, tip.role, parent, family, tip.side, course))
        if self.rng.random() < self.p.survival:
            self._push(_Tip(first + 1, u, v, aside, small, role, parent, family, tip.side))

    def _side_role(self, role: str, u: float, v: float, heading: float, flip: int) -> str:
        """Region that a trunk's side branch leaves into."""
        if role == "trunk_nasal":
            return "nasal"
        towards = math.cos(heading) * -v - math.sin(heading) * (self.p.fovea_distance - u)
        return "macular" if towards * flip > 0 else "outer"


def _cell(u: float, v: float) -> int:
    return (int((v + REACH) / CELL) + 1) * _SIDE + int((u + REACH) / CELL) + 1


def _roots(rng: np.random.Generator, kind: Kind, p: TreeParameters) -> list[_Tip]:
    """The four trunks of a tree and a few thin vessels from the temporal disc rim to the macula."""
    tips: list[_Tip] = []
    for side, arcade, split in zip((-1, 1), p.arcade_height, p.split, strict=True):  # superior, inferior
        lean = -0.16 * math.copysign(p.disc_radius, split)  # the outer vessel leaves on the nasal side
        for role in ("trunk_temporal", "trunk_nasal"):
            temporal = role == "trunk_temporal"
            start = (lean if temporal else -0.35 * p.disc_radius - lean, side * 0.08 * p.disc_radius)
            course = (
                _temporal_course(rng, side, arcade + split, start[0], p)
                if temporal
                else _nasal_course(rng, side, start[0], p)
            )
            radius = p.root_radius * (1.0 if temporal else 0.72) * math.exp(0.03 * rng.standard_normal())
            heading = math.atan2(course[0][1] - start[1], course[0][0] - start[0])
            tips.append(_Tip(len(tips), *start, heading, radius, role, -1, frozenset(), side, course))
        angle = side * rng.uniform(0.25, 0.9)
        thin = p.root_radius * rng.uniform(0.38, 0.5)
        place = (0.55 * p.disc_radius * math.cos(angle), 0.55 * p.disc_radius * math.sin(angle))
        tips.append(_Tip(len(tips), *place, 0.8 * angle, thin, "macular", -1, frozenset(), side))
    return tips


def _temporal_course(
    rng: np.random.Generator, side: int, height: float, start: float, p: TreeParameters
) -> tuple[tuple[float, float], ...]:
    """Leaves the disc steeply at ``start``, passes the fovea at ``height`` and bends back beyond it."""
    t = np.linspace(0.0, 2.4, 60)
    v = t**0.4 * (1.0 - 0.3 * np.clip(t - 0.85, 0.0, None) ** 1.2)
    bulge = 1.0 + 0.05 * rng.standard_normal() * np.sin(math.pi * np.clip(t, 0.0, 1.0))
    u = start + t * (p.fovea_distance - start)
    return tuple(zip(u.tolist(), (side * height * v * bulge).tolist(), strict=True))[1:]


def _nasal_course(
    rng: np.random.Generator, side: int, start: float, p: TreeParameters
) -> tuple[tuple[float, float], ...]:
    """A quadratic Bezier curve that leaves the disc steeply and bends to the nasal periphery."""
    t = np.linspace(0.08, 1.0, 50)[:, None]
    high = 0.8 if start > -0.35 * p.disc_radius else 0.2  # the one that leaves less nasally stays farther from the axis
    high += rng.uniform(-0.15, 0.15)
    first = np.array([start, 0.3 * p.disc_radius])
    corner = np.array([start - rng.uniform(2.0, 4.0), 5.0 + 3.5 * high])
    last = np.array([-rng.uniform(24.0, 28.0), 7.0 + 17.0 * high])
    curve = (1 - t) ** 2 * first + 2 * t * (1 - t) * corner + t**2 * last
    return tuple((float(u), float(side * v)) for u, v in curve)
