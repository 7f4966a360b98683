"""The vessels of an eye as branches: what lies between two nodes, inside the field of view.

Nodes are branchings and, where both trees are taken together, the crossings of an artery with a vein. A vessel whose
side branch does not exist runs on through the place where it would have been. Everything comes from the centrelines and
radii of :class:`retsam.phantom.vessels.Segment`; no pixel is drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from retsam.phantom.camera import View
from retsam.phantom.vessels import Crossing, Segment

SAMPLE = 0.05
"""Distance of neighbouring samples of a centreline, degrees (about 1 px in a frame of 1024 px)."""
GRAZE = 0.2
"""Sine of the least angle at a crossing; vessels that graze each other leave no smaller one on a picture."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Branches:
    """Branches inside the field of view, as one long list of samples.

    Attributes
    ----------
    uv : (N, 2) float
        Centreline, degrees, branch by branch.
    radius : (N,) float
        Degrees.
    ds : (N,) float
        Length that each sample stands for, degrees.
    along : (N,) float
        Arc length from the branch's first sample, degrees.
    steps : (N,) float
        The same, counted as a chain of pixels is: a diagonal step counts 1, not 1.4; degrees.
    first, last : (M,) int
        Samples at the ends of each branch.
    start, stop : (M,) int
        Node at either end; -1 at a free end and at the border of the field of view.
    node_uv : (K, 2) float
    node_radius : (K,) float
        Of the largest circle about the node inside the vessels, degrees.
    shared : (K,) float
        Area that two vessels share at the node (crossings only), square degrees.
    """

    uv: Floats
    radius: Floats
    ds: Floats
    along: Floats
    steps: Floats
    first: Ints
    last: Ints
    start: Ints
    stop: Ints
    node_uv: Floats
    node_radius: Floats
    shared: Floats

    @cached_property
    def of_sample(self) -> Ints:
        """Branch (N,) of each sample."""
        return np.repeat(np.arange(self.first.size), self.last - self.first + 1)

    @cached_property
    def reach(self) -> tuple[Floats, Floats]:
        """Radius (M,) of the node at the start and at the stop of each branch; 0 without one."""
        padded = np.append(self.node_radius, 0.0)
        return padded[self.start], padded[self.stop]

    @cached_property
    def inner(self) -> Bools:
        """Branches (M,) that lie wholly inside the vessels of their two nodes: those two are one node in a picture."""
        head, tail = self.reach
        return (self.start >= 0) & (self.stop >= 0) & (self.steps[self.last] <= head + tail)

    @cached_property
    def measurable(self) -> Bools:
        """Samples (N,) outside the vessels of the nodes, where a branch has a width and a direction of its own."""
        head, tail = (np.where(self.inner, np.inf, reach)[self.of_sample] for reach in self.reach)
        return (self.steps >= head) & (self.steps[self.last][self.of_sample] - self.steps >= tail)

    @cached_property
    def node_names(self) -> Ints:
        """Name (K,) of each node, alike for nodes that an inner branch joins."""
        k = len(self.node_uv)
        pairs = (self.start[self.inner], self.stop[self.inner])
        graph = coo_array((np.ones(pairs[0].size, np.int8), pairs), shape=(k, k))
        return connected_components(graph, directed=False)[1].astype(np.int64)

    @cached_property
    def node_ends(self) -> tuple[Ints, Ints, Ints]:
        """Ends (E,) of branches at nodes, joined nodes as one: node, branch, and 1 for a start and -1 for a stop."""
        outer = np.flatnonzero(~self.inner)
        starts, stops = outer[self.start[outer] >= 0], outer[self.stop[outer] >= 0]
        node = self.node_names[np.concatenate([self.start[starts], self.stop[stops]])]
        return node, np.concatenate([starts, stops]), np.repeat([1, -1], [starts.size, stops.size])

    def sample_at(self, branch: Ints, sign: Ints, distance: Floats) -> Ints:
        """Samples nearest to a distance along branches from their start (sign 1) or stop (-1)."""
        whole = self.along[self.last[branch]]
        along = np.clip(np.where(sign > 0, distance, whole - distance), 0.0, whole)
        spacing = whole / np.maximum(self.last[branch] - self.first[branch], 1)
        return self.first[branch] + np.rint(along / np.maximum(spacing, 1e-12)).astype(np.int64)

    @property
    def length(self) -> float:
        """Of all branches, degrees."""
        return float(self.ds.sum())

    @property
    def ends(self) -> Floats:
        """Free ends (E, 2), degrees; those at the border of the field of view included."""
        return np.concatenate([self.uv[self.first[self.start < 0]], self.uv[self.last[self.stop < 0]]])


@dataclass(frozen=True)
class Lines:
    """Whole centrelines between branchings, sampled; see :func:`sample`.

    ``table`` (N, 3) holds u, v and radius, ``line`` (N,) the line of each sample; ``start`` and ``stop``
    (L,) are the nodes of the lines, ``spacing`` (L,) the distances of their samples; ``place`` (S, 2) the line of each
    segment and its beginning along it, degrees; ``kind`` (L,) is artery or vein.
    """

    table: Floats
    line: Ints
    start: Ints
    stop: Ints
    spacing: Floats
    place: Floats
    kind: NDArray[np.str_]
    node_uv: Floats
    node_radius: Floats

    def of(self, kind: str) -> Self:
        """Lines of one tree; they keep their numbers."""
        own = (self.kind == kind)[self.line]
        return replace(self, table=self.table[own], line=self.line[own])


def branches(lines: Lines, view: View, crossings: Sequence[Crossing] = ()) -> Branches:
    """Cut vessels into the branches that a picture shows.

    Parameters
    ----------
    lines : Lines
        Of one tree, or both.
    view : View
        Only what is inside its field of view is kept; a sample is inside if its nearest photograph pixel is.
    crossings : sequence of Crossing
        Of the segments that the lines were made from; branches end there. None for a single tree.
    """
    cut, uv, radius, shared = _crossings(crossings, lines)
    return _split(lines, within(view, lines.table[:, :2]), cut, uv, radius, shared * within(view, uv))


def within(view: View, uv: Floats) -> Bools:
    """Which retinal points (n, 2) in degrees lie in the field of view."""
    x, y = np.rint(view.grid.to_px(uv)).astype(int).T
    height, width = view.field.mask.shape
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seen[seen] = view.field.mask[y[seen], x[seen]]
    return seen


def sample(segments: Sequence[Segment]) -> Lines:
    """Join segments (of both kinds) without a side branch between them, and sample them :data:`SAMPLE` apart."""
    children, parents = _family(segments)
    forks = [i for i, own in enumerate(children) if len(own) > 1]
    node = {fork: number for number, fork in enumerate(forks)}
    rows: list[Floats] = []
    start: list[int] = []
    stop: list[int] = []
    kind: list[str] = []
    place = np.zeros((len(segments), 2))
    for head in (i for i, parent in enumerate(parents) if parent < 0 or parent in node):
        members = [head]
        while len(children[members[-1]]) == 1:
            members.append(children[members[-1]][0])
        place[members, 0] = len(rows)
        place[members, 1] = np.cumsum([0.0, *(segments[i].arc for i in members[:-1])])
        points = np.concatenate([segments[head].points[:1], *(segments[i].points[1:] for i in members)])
        radius = np.concatenate([segments[head].radius[:1], *(segments[i].radius[1:] for i in members)])
        rows.append(np.column_stack([points, radius]))
        start.append(node.get(parents[head], -1))
        stop.append(node.get(members[-1], -1))
        kind.append(segments[head].kind)
    table, line, spacing = _resample(rows)
    return Lines(
        table,
        line,
        np.array(start, np.int64),
        np.array(stop, np.int64),
        spacing,
        place,
        np.array(kind, dtype=str),
        np.array([segments[i].points[-1] for i in forks]).reshape(-1, 2),
        np.array([segments[i].radius[-1] for i in forks], float),
    )


def _family(segments: Sequence[Segment]) -> tuple[list[list[int]], list[int]]:
    """Children and parent of each segment as indices into ``segments``; -1 for a root."""
    of_kind: dict[str, list[int]] = {}
    for i, segment in enumerate(segments):
        of_kind.setdefault(segment.kind, []).append(i)
    parents = [of_kind[s.kind][s.parent] if s.parent >= 0 else -1 for s in segments]
    children: list[list[int]] = [[] for _ in segments]
    for i, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(i)
    return children, parents


def _resample(rows: list[Floats]) -> tuple[Floats, Ints, Floats]:
    """Samples (N, 3) along polylines (n, 3) of u, v, radius; the polyline of each sample, and their distances."""
    if not rows:
        return np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0)
    table = np.concatenate(rows)
    size = np.array([len(row) for row in rows])
    first, of_point = np.cumsum(size) - size, np.repeat(np.arange(size.size), size)
    delta = np.diff(table[:, :2], axis=0)
    same = np.diff(of_point) == 0
    step = np.where(same, np.hypot(*delta.T), 1.0)  # one long road with gaps, so that one interpolation serves all
    road = np.append(0.0, np.cumsum(step))
    length = road[first + size - 1] - road[first]
    count = np.ceil(length / SAMPLE).astype(np.int64) + 1
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    spacing = length / np.maximum(count - 1, 1)
    at = np.repeat(road[first], count) + place * np.repeat(spacing, count)
    samples = np.column_stack([np.interp(at, road, column) for column in table.T])
    return samples, np.repeat(np.arange(size.size), count), spacing


def _crossings(found: Sequence[Crossing], lines: Lines) -> tuple[Ints, Floats, Floats, Floats]:
    """Put crossings of artery and vein on the lines.

    Returns
    -------
    cut : (N,) int
        Node just before each sample of the lines, -1 if none; the first crossing comes after the last branching.
    uv : (C, 2) float
    radius, shared : (C,) float
        See :class:`Branches`.
    """
    cut = np.full(len(lines.line), -1, np.int64)
    size = np.bincount(lines.line, minlength=lines.start.size)
    first = np.cumsum(size) - size
    uv, radius, shared = np.zeros((len(found), 2)), np.zeros(len(found)), np.zeros(len(found))
    for number, one in enumerate(found):
        widths = []
        for index, at in ((one.artery, one.artery_at), (one.vein, one.vein_at)):
            line, begin = int(lines.place[index, 0]), lines.place[index, 1]
            ahead = first[line] + min(int((begin + at) / lines.spacing[line]) + 1, size[line] - 1)
            cut[ahead] = len(lines.node_uv) + number
            widths.append(lines.table[ahead, 2])
        wide, thin = widths
        sine = max(math.sin(one.angle), GRAZE)
        uv[number] = one.place
        radius[number] = math.sqrt(wide**2 + thin**2 - 2 * wide * thin * math.sqrt(1 - sine**2)) / sine
        shared[number] = 4 * wide * thin / sine
    return cut, uv, radius, shared


def _split(lines: Lines, inside: Bools, cut: Ints, node_uv: Floats, node_radius: Floats, shared: Floats) -> Branches:
    """Cut lines at crossings and at the border of the field, and keep what is inside."""
    new_line = np.diff(lines.line, prepend=-1) != 0
    ds = _lengths(lines, inside)
    begins = np.flatnonzero(new_line | (cut >= 0) | (np.diff(inside, prepend=True) != 0))
    ends = np.append(begins[1:], len(lines.line)) - 1
    kept = inside[begins] & (ends > begins) if begins.size else np.zeros(0, bool)
    begins, ends = begins[kept], ends[: kept.size][kept]
    line_ends, next_cut = np.append(new_line[1:], True), np.append(cut[1:], -1)
    start = np.where(cut[begins] >= 0, cut[begins], np.where(new_line[begins], lines.start[lines.line[begins]], -1))
    stop = np.where(line_ends[ends], lines.stop[lines.line[ends]], next_cut[ends])
    size = ends - begins + 1
    first, of_sample = np.cumsum(size) - size, np.repeat(np.arange(size.size), size)
    take = np.repeat(begins - first, size) + np.arange(size.sum())
    table = lines.table[take]
    delta = np.abs(np.diff(table[:, :2], axis=0)) * (np.diff(of_sample) == 0)[:, None]
    return Branches(
        uv=table[:, :2],
        radius=table[:, 2],
        ds=ds[take],
        along=_from_first(np.hypot(*delta.T), first, of_sample),
        steps=_from_first(delta.max(axis=1, initial=0), first, of_sample),
        first=first,
        last=first + size - 1,
        start=start,
        stop=stop,
        node_uv=np.concatenate([lines.node_uv, node_uv]),
        node_radius=np.concatenate([lines.node_radius, node_radius]),
        shared=np.concatenate([np.zeros(len(lines.node_uv)), shared]),
    )


def _lengths(lines: Lines, inside: Bools) -> Floats:
    """Length (N,) that each sample of the lines stands for: half of the way to either neighbour in view."""
    together = (np.diff(lines.line) == 0) & inside[1:] & inside[:-1]
    half = np.hypot(*np.diff(lines.table[:, :2], axis=0).T) * together / 2
    ds = np.zeros(len(inside))
    ds[1:] += half
    ds[:-1] += half
    return ds


def _from_first(step: Floats, first: Ints, of_sample: Ints) -> Floats:
    """Sums of the steps between samples, counted from the first sample of each branch."""
    if not of_sample.size:
        return np.zeros(0)
    total = np.append(0.0, np.cumsum(step))
    return total - total[first][of_sample]
