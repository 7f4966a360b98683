"""Centrelines of a vessel mask: skeleton graph, ordered segments, sub-pixel edges, curvature, nodes.

Everything works on arrays over all skeleton pixels at once; loops run over window sizes only. Lengths that decide
something (smoothing window, shortest segment) are fractions of the frame's side, given at a side of 1024 px, so that a
biomarker does not depend on the frame size that was chosen.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, depth_first_order

from retsam.biomarkers.thinning import thin

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Radius = NDArray[np.float32]  # distance of each pixel to the background

TANGENT_HALF_WINDOW = 4  # points either side, for normals to the vessel
CURVE_HALF_WINDOW = 20  # px of arc either side, for arc length and curvature; a segment needs one whole window
CALIBRE_POINTS = 10  # fewest points with both edges for a segment to have a calibre
SPECK_POINTS = 10  # an isolated piece shorter than this is no vessel
RING = 5.0  # a segment with more than this arc per chord runs round a hole of the mask
FOLD_NEAR, FOLD_FAR = 4.0, 12.0  # vessel radii either side of a fold, where two vessels meet end to end
FOLD_POINTS = 12  # and no fewer points than this, near by
FOLD_ANGLE = 60.0  # degrees by which a fold turns, near by and far off
BRANCH_REACH = 20.0  # px along a branch over which its direction and its width are taken
BRANCH_CLEAR = 2.0  # radii of a node: from there on its branches have walls of their own
CROSSING_REACH = 20  # points of a branch on either side of a crossing that may tell its width
CROSSING_POINTS = 11  # of these, as many nearest to the crossing are used
TOUCH = 3.0  # px by which a vessel has to leave a circle for its return to be another crossing
STRAIGHT = 1.5  # over the squared half window, 1/px: weaker curvature has no sign (a step of the pixel grid makes 1.4)
PROFILE_SAMPLES = 24  # per side of a profile
NEAR_SAMPLES = 15  # of these, within which nearly all edges lie: 1.6 radii + 2 px are all


@dataclass(frozen=True)
class Curves:
    """Smooth centrelines of the segments long enough for a curvature.

    Attributes
    ----------
    curvature : (N,) float
        Signed, 1/px, at the points of all segments.
    ds : (N,) float
        Arc length that each point stands for, px; sums to the arcs.
    arc, chord : (M,) float
        Px.
    inflections : (M,) int
        Sign changes of the curvature, stretches straighter than ``STRAIGHT`` skipped.
    twist : (M,) float
        Sum over the pieces between inflections of arc/chord - 1.
    """

    curvature: Floats
    ds: Floats
    arc: Floats
    chord: Floats
    inflections: Ints
    twist: Floats


@dataclass(frozen=True)
class Graph:
    """Segments of the path as branches between nodes.

    Segment i has two ends, number 2 i at its first point and 2 i + 1 at its last.

    Attributes
    ----------
    first, size : (P,) int
        Points of each segment on the path.
    outer : (P,) bool
        Not swallowed by a node that was found in two parts.
    clear : (N,) bool
        Points of the path outside the vessels of their segment's nodes.
    length : (P,) float
        Along the segment without its nodes, px.
    node : (2 P,) int
        Node at each end; -1 where it is free or in a closed ring.
    gap : (2 P,) float
        Distance of each end to the centre of its node, px; 0 at a free end.
    direction : (2 P, 2) float
        Unit vector away from the node over ``BRANCH_REACH`` px; NaN where less than half of it is left.
    width : (2 P,) float
        Median over the points with both edges within ``BRANCH_REACH`` px, from ``BRANCH_CLEAR`` radii of the node on;
        NaN where fewer than half of the points that a calibre needs.
    node_xy : (K, 2) float
        Frame px.
    """

    first: Ints
    size: Ints
    outer: NDArray[np.bool_]
    clear: NDArray[np.bool_]
    length: Floats
    node: Ints
    gap: Floats
    direction: Floats
    width: Floats
    node_xy: Floats

    @property
    def at_node(self) -> Ints:
        """Ends that are branches of a node."""
        return np.flatnonzero((self.node >= 0) & np.repeat(self.outer, 2))

    @property
    def degree(self) -> Ints:
        """Branches (K,) of each node; 0 for the names of nodes that went into another."""
        return np.bincount(self.node[self.at_node], minlength=len(self.node_xy))

    def branches(self, degree: int) -> Ints:
        """Ends (B, degree) at the nodes with so many branches, node by node."""
        at = self.at_node
        at = at[(self.degree == degree)[self.node[at]]]
        return at[np.argsort(self.node[at], kind="stable")].reshape(-1, degree)

    def walk(self, joins: Ints) -> tuple[Ints, Ints]:
        """Line up the segments that joined ends make one vessel of.

        Parameters
        ----------
        joins : (J, 2) int
            Pairs of ends; no end is in two of them.

        Returns
        -------
        entered : (S,) int
            The end at which each outer segment is entered, vessel by vessel.
        vessel : (S,) int
        """
        inside = np.arange(2 * self.size.size).reshape(-1, 2)[self.outer]
        # Joints come first: the first pair of a closed vessel is where it is cut open.
        order, _, ends = _order(np.concatenate([joins, inside]), np.repeat(self.outer, 2))
        return order[::2], np.repeat(np.arange(ends.size), ends // 2)


@dataclass(frozen=True)
class Centreline:
    """Centreline of one vessel mask.

    Attributes
    ----------
    skeleton : (size, size) bool
        One pixel wide, spurs not yet removed.
    length : float
        Total length of the pruned centreline, px; freed of the staircase.
    xy : (N, 2) float
        Points with both vessel edges, midway between them, segment by segment, frame px.
    width : (N,) float
        Edge to edge at those points, px.
    segment : (N,) int
        Segment of each of those points.
    calibre_points : int
        Fewest such points for a segment to have a calibre.
    curves : Curves
    bifurcations : (B, 2) float
        Nodes where exactly three branches meet, px.
    ends : (E, 2) float
        Free ends, px.
    angles : (A,) float
        Smallest of the three angles of each bifurcation with three usable branches, degrees.
    path : (P, 2) float
        All points of the pruned centreline, segment by segment and from node to node, frame px.
    path_segment : (P,) int
        Segment of each of those points.
    on_path : (N,) int
        Where on the path the points of ``xy`` are, ascending.
    graph : Graph
        Segments of the path and the nodes between them.
    """

    skeleton: NDArray[np.bool_]
    length: float
    xy: Floats
    width: Floats
    segment: Ints
    calibre_points: int
    curves: Curves
    bifurcations: Floats
    ends: Floats
    angles: Floats
    path: Floats
    path_segment: Ints
    on_path: Ints
    graph: Graph

    def calibres(self, within: NDArray[np.bool_] | None = None) -> tuple[Floats, Floats]:
        """Median width and length of each segment.

        Parameters
        ----------
        within : (N,) bool, optional
            Points to use; all by default.

        Returns
        -------
        width, length : (P,) float
            Of the segments with at least ``calibre_points`` points, px.
        """
        keep = slice(None) if within is None else within
        xy, segment = self.xy[keep], self.segment[keep]
        count = np.bincount(segment)
        enough = np.flatnonzero(count >= self.calibre_points)
        order = self._by_width if within is None else self._by_width[within[self._by_width]]
        ordered = np.append(self.width[order], np.nan)
        low = (np.cumsum(count) - count)[enough]
        median = (ordered[low + (count[enough] - 1) // 2] + ordered[low + count[enough] // 2]) / 2
        step = np.hypot(*np.diff(xy, axis=0).T) * (np.diff(segment) == 0)
        length = np.bincount(segment[1:], step, count.size).astype(float)[enough]
        return median, length

    @cached_property
    def _by_width(self) -> Ints:
        """Points in the order of their width, segment by segment."""
        return np.lexsort((self.width, self.segment))

    def crossings(self, centre: tuple[float, float], radius: float) -> tuple[Floats, Floats]:
        """Places and widths of the vessels where they cross a circle.

        A segment counts once for every time that it crosses; two crossings are one if in between it strays from the
        circle by less than ``TOUCH``, so that a vessel along the circle does not count over and over. A segment reaches
        from node to node, but its width is not known inside a node: it is the median over the ``CROSSING_POINTS``
        points nearest to the crossing that have both edges, none farther than ``CROSSING_REACH`` (at a frame of 1024
        px).

        Parameters
        ----------
        centre : (float, float)
            Frame px.
        radius : float
            Px.

        Returns
        -------
        xy : (C, 2) float
            Frame px, within a pixel of the circle.
        width : (C,) float
            Edge to edge on the normal to the vessel, px; crossings with fewer than half of ``calibre_points`` such
            points are left out.
        """
        unit = self.skeleton.shape[0] / 1024
        at = self.leaves(np.hypot(*(self.path - np.asarray(centre)).T) - radius)
        if not at.size or not self.on_path.size:
            return np.empty((0, 2)), np.empty(0)
        near = np.searchsorted(self.on_path, at)[:, None] + np.arange(-CROSSING_POINTS, CROSSING_POINTS)
        exists = (near >= 0) & (near < self.on_path.size)
        near = np.where(exists, near, 0)
        far = np.abs(self.on_path[near] - (at[:, None] + 0.5))
        usable = (
            exists
            & (far <= max(self.calibre_points, CROSSING_REACH * unit))
            & (self.segment[near] == self.path_segment[at][:, None])
        )
        nearest = np.argsort(np.where(usable, far, np.inf), axis=1, kind="stable")[:, :CROSSING_POINTS]
        width = np.take_along_axis(np.where(usable, self.width[near], np.nan), nearest, axis=1)
        enough = np.isfinite(width).sum(axis=1) >= self.calibre_points / 2
        return self.path[at[enough]], row_medians(width[enough])

    def leaves(self, off: Floats) -> Ints:
        """Points of the path after which it crosses a closed line, without the returns of a vessel along that line.

        Parameters
        ----------
        off : (P,) float
            Distance of each point of the path from the line, px, positive outside.

        Returns
        -------
        (C,) int
        """
        at = np.flatnonzero(((off[1:] > 0) != (off[:-1] > 0)) & (np.diff(self.path_segment) == 0))
        if at.size < 2:
            return at
        strays = np.maximum.reduceat(np.abs(off), at + 1)[:-1]
        touch = TOUCH * self.skeleton.shape[0] / 1024
        return np.delete(at, np.flatnonzero((strays < touch) & (np.diff(self.path_segment[at]) == 0)) + 1)

    def curves_of(self, points: Ints, size: Ints) -> Curves:
        """Smooth curves through other runs of points than the segments.

        Parameters
        ----------
        points : (N,) int
            Indices into the path, run by run, each run in the order in which it is walked.
        size : (M,) int
            Points of each run, at least one.
        """
        first, none = np.cumsum(size) - size, np.full(size.size, -1)
        runs = _Chains(np.rint(self.path[points]).astype(np.int64), first, size, none, none, np.empty((0, 2)), 0)
        return _curves(runs, self.path[points], _curve_window(self.skeleton.shape[0] / 1024))


@dataclass(frozen=True)
class _Chains:
    """Ordered chains of skeleton pixels between nodes; -1 marks a free end, -2 a closed ring."""

    xy: Ints  # (N, 2) pixels of all chains, chain by chain
    first: Ints  # (M,)
    size: Ints  # (M,)
    start: Ints  # (M,) node at the first pixel
    stop: Ints  # (M,) node at the last pixel
    node_xy: Floats  # (K, 2)
    node_pixels: int

    @property
    def of_point(self) -> Ints:
        return np.repeat(np.arange(self.size.size), self.size)

    @property
    def position(self) -> Ints:
        return np.arange(self.xy.shape[0]) - np.repeat(self.first, self.size)


def trace(mask: NDArray[np.bool_]) -> Centreline:
    """Trace the centrelines of a vessel mask.

    Parameters
    ----------
    mask : (size, size) bool

    Returns
    -------
    Centreline
        Empty arrays and length 0 for an empty mask.
    """
    unit = mask.shape[0] / 1024
    tangent = max(2, round(TANGENT_HALF_WINDOW * unit))
    skeleton = thin(mask)
    radius: Radius = np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    np.minimum(radius, mask.shape[0], out=radius)  # a mask without background: infinite
    chains = _pruned_chains(skeleton, radius, unit)
    node, inner = _merge_nodes(chains, radius)
    kept, source = _trim(chains, radius, inner)
    xy, width = _edges(mask, radius, kept, tangent)
    measured = np.isfinite(width)
    path = chains.xy.astype(float)
    path[source] = xy
    advance = _advance(chains)
    graph = _graph(chains, node, inner, advance, source)
    reach, points = max(5.0, BRANCH_REACH * unit), max(4, round(CALIBRE_POINTS * unit))
    graph.direction[:] = _directions(kept, xy, reach)
    graph.width[:] = _end_widths(chains, radius, source[measured], width[measured], round(reach), points / 2)
    return Centreline(
        skeleton=skeleton,
        length=float(advance.sum()) + chains.node_pixels,
        xy=xy[measured],
        width=width[measured],
        segment=kept.of_point[measured],
        calibre_points=points,
        curves=_curves(kept, xy, _curve_window(unit)),
        bifurcations=graph.node_xy[graph.degree == 3],
        ends=_free_ends(chains),
        angles=_angles(graph),
        path=path,
        path_segment=chains.of_point,
        on_path=source[measured],
        graph=graph,
    )


def row_medians(values: Floats) -> Floats:
    """Median (n,) of each row of values (n, k), NaN left out; NaN for a row of nothing else."""
    count = np.isfinite(values).sum(axis=1)
    ordered, rows = np.sort(values, axis=1), np.arange(len(values))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    return np.where(count > 0, (ordered[rows, low] + ordered[rows, high]) / 2, np.nan)


def _curve_window(unit: float) -> int:
    """Half window for arc length and curvature, px."""
    return max(4, round(CURVE_HALF_WINDOW * unit))


def _neighbours(xy: Ints, shape: tuple[int, ...]) -> Ints:
    """Pairs (E, 2) of adjacent pixels; a diagonal counts only where no orthogonal neighbour joins the two.

    The pixels are in reading order. This mixed adjacency keeps the corners of a staircase from looking like junctions.
    """
    wide = shape[1] + 2  # a margin at both sides, so that no row touches the next
    flat = np.append(xy[:, 1] * wide + xy[:, 0] + 1, np.iinfo(np.int64).max)
    own, n = flat[:-1], xy.shape[0]
    beside = np.diff(flat) == 1
    right, left = beside, np.append(False, beside)[:n]
    below = np.searchsorted(flat, own + wide - 1)
    down_left = flat[below] == own + wide - 1
    straight = below + down_left
    down = flat[straight] == own + wide
    after = straight + down
    down_right = flat[after] == own + wide + 1
    to = np.arange(1, n + 1), straight, after, below
    which = right, down, down_right & ~right & ~down, down_left & ~left & ~down
    return np.concatenate([np.column_stack([np.flatnonzero(w), t[w]]) for w, t in zip(which, to, strict=True)])


def _components(pairs: Ints, n: int) -> tuple[int, Ints]:
    """Label connected components of n pixels; returns their number and each pixel's label."""
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, labels = connected_components(graph, directed=False)
    return int(count), labels.astype(np.int64)


@dataclass(frozen=True)
class _Pieces:
    """Skeleton pixels (n,) between junctions, not yet in order.

    Attributes
    ----------
    inside : (E, 2) int
        Neighbours that are no junction.
    label : (n,) int
        Piece of each pixel; a junction pixel is one by itself.
    junction : (n,) bool
    end, touched : (C,) int
        Pixels beside a junction, and the node that they touch.
    node_xy : (K, 2) float
    """

    inside: Ints
    label: Ints
    junction: NDArray[np.bool_]
    end: Ints
    touched: Ints
    node_xy: Floats


def _pieces(xy: Ints, pairs: Ints, cut: NDArray[np.bool_] | None = None) -> _Pieces:
    """Split skeleton pixels at junctions, and at those marked in `cut` (n,)."""
    n = xy.shape[0]
    junction = np.bincount(pairs.ravel(), minlength=n) >= 3
    if cut is not None:
        junction |= cut
    is_node = junction[pairs]
    inside = pairs[~is_node.any(axis=1)]
    nodes, node_of = _label_nodes(pairs[is_node.all(axis=1)], junction)
    own = node_of[junction]
    weight = np.maximum(np.bincount(own, minlength=nodes), 1)[:, None]
    sums = [np.bincount(own, xy[junction, axis], nodes) for axis in (0, 1)]
    mixed = is_node[:, 0] != is_node[:, 1]
    (a, b), first = pairs[mixed].T, is_node[mixed, 0]
    return _Pieces(
        inside=inside,
        label=_components(inside, n)[1],
        junction=junction,
        end=np.where(first, b, a),
        touched=node_of[np.where(first, a, b)],
        node_xy=np.column_stack(sums) / weight,
    )


def _chains(xy: Ints, pieces: _Pieces) -> _Chains:
    """Order the pixels of each piece."""
    n, end = xy.shape[0], pieces.end
    order, first, size = _along(pieces.inside, ~pieces.junction, pieces.label)
    # A chain's end pixel touches at most one junction, a chain of one pixel at most two.
    one, other = np.full(n, -1), np.full(n, -1)
    one[end] = pieces.touched
    back = slice(None, None, -1)
    other[end[back]] = pieces.touched[back]  # the first of two survives here, the last above
    head, tail = order[first], order[first + size - 1]
    twice = np.bincount(end, minlength=n)[head] == 2
    stop = np.where(size > 1, one[tail], np.where(twice, other[head], -1))
    ring = np.bincount(pieces.inside.ravel(), minlength=n)[head] == 2
    start, stop = np.where(ring, -2, one[head]), np.where(ring, -2, stop)
    return _Chains(xy[order], first, size, start, stop, pieces.node_xy, int(pieces.junction.sum()))


def _order(pairs: Ints, member: NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """Order the pixels of simple paths and rings; returns pixel indices, first position and size of each chain."""
    return _along(pairs, member, _components(pairs, member.size)[1])


def _along(pairs: Ints, member: NDArray[np.bool_], label: Ints) -> tuple[Ints, Ints, Ints]:
    """:func:`_order` where the path or ring of each pixel is known.

    Rings are cut, each chain's last pixel is joined to the next chain's first, and one depth-first walk runs along all.
    """
    n = member.size
    pairs = _cut_rings(pairs, label, member)
    ends = np.flatnonzero(member & (np.bincount(pairs.ravel(), minlength=n) < 2))
    if not ends.size:
        return (np.empty(0, np.int64),) * 3
    ends = ends[np.argsort(label[ends], kind="stable")]
    head = np.diff(label[ends], prepend=-1) != 0
    tail = np.append(head[1:], True)
    joints = np.column_stack([ends[tail][:-1], ends[head][1:]])
    road = np.concatenate([pairs, joints])
    graph = coo_array((np.ones(len(road), np.int8), (road[:, 0], road[:, 1])), shape=(n, n)).tocsr()
    walk = depth_first_order(graph, ends[0], directed=False, return_predecessors=False).astype(np.int64)
    first = np.flatnonzero(np.diff(label[walk], prepend=-1))
    return walk, first, np.diff(first, append=walk.size)


def _cut_rings(pairs: Ints, label: Ints, member: NDArray[np.bool_]) -> Ints:
    """Drop one pair of each component that has no end."""
    degree = np.bincount(pairs.ravel(), minlength=member.size)
    open_ended = np.bincount(label[member & (degree < 2)], minlength=member.size) > 0
    of_ring = np.flatnonzero(~open_ended[label[pairs[:, 0]]])
    _, once = np.unique(label[pairs[of_ring, 0]], return_index=True)
    return np.delete(pairs, of_ring[once], axis=0)


def _label_nodes(pairs: Ints, junction: NDArray[np.bool_]) -> tuple[int, Ints]:
    """Number the clusters of touching junction pixels; -1 elsewhere."""
    node = np.full(junction.size, -1)
    n = int(np.count_nonzero(junction))
    node[junction] = np.arange(n)
    count, node[junction] = _components(node[pairs], n)
    return count, node


def _radius_at(radius: Radius, xy: Floats) -> Floats:
    """Vessel radius at nodes (K, 2), px."""
    x, y = np.rint(xy).astype(int).T
    return np.asarray(radius[y, x], float)


def _at_node(values: NDArray[Any], node: Ints) -> NDArray[Any]:
    """Values of nodes (K,) looked up by node index; 0 where there is no node."""
    return np.append(values, 0)[np.where(node < 0, values.size, node)]


def _pruned_chains(skeleton: NDArray[np.bool_], radius: Radius, unit: float) -> _Chains:
    """Chains without specks and spurs (dead ends that barely leave the vessel they start in: 1.5 radii + 1 px).

    They end at folds too. `unit` is the frame's side over 1024 px.
    """
    xy = np.column_stack(np.divmod(np.flatnonzero(skeleton), skeleton.shape[1])[::-1])
    for _ in range(3):  # a removed spur can leave a stub of its junction behind
        pairs = _neighbours(xy, skeleton.shape)
        pieces = _pieces(xy, pairs)
        useless = _useless(pieces, radius, SPECK_POINTS * unit)
        if not useless.any():
            break
        xy = xy[~useless]
    else:
        pairs = _neighbours(xy, skeleton.shape)
        pieces = _pieces(xy, pairs)
    chains = _chains(xy, pieces)
    folds = _folds(chains, radius, FOLD_POINTS * unit)
    if not folds.size:
        return chains
    cut = np.zeros(skeleton.shape, bool)
    cut[folds[:, 1], folds[:, 0]] = True
    return _chains(xy, _pieces(xy, pairs, cut[xy[:, 1], xy[:, 0]]))


def _useless(pieces: _Pieces, radius: Radius, least: float) -> NDArray[np.bool_]:
    """Which pixels (n,) belong to a spur, or to a piece by itself of fewer than `least` pixels."""
    size = np.bincount(pieces.label[~pieces.junction], minlength=pieces.label.max(initial=-1) + 1)
    label = pieces.label[pieces.end]
    contacts = np.bincount(label, minlength=size.size)
    limit = np.zeros(size.size)
    limit[label] = (1.5 * _radius_at(radius, pieces.node_xy) + 1)[pieces.touched]  # a spur touches one node
    gone = ((contacts == 1) & (size <= limit)) | ((contacts == 0) & (size < least))
    return gone[pieces.label] & ~pieces.junction


def _folds(chains: _Chains, radius: Radius, least: float) -> Ints:
    """Pixels (F, 2) where a chain turns back for good: two vessels meet end to end, as trunks do in the disc.

    Uncut they would be one segment of two to three times its chord, the most tortuous of the eye. A vessel that winds,
    however sharply, goes on in its old direction a few widths later, and one that bends once does so more widely.
    """
    x, y = chains.xy.T
    room = np.minimum(chains.position, np.repeat(chains.size, chains.size) - 1 - chains.position)
    near = np.ceil(np.maximum(FOLD_NEAR * radius[y, x], least)).astype(np.int64)
    at = np.flatnonzero(room >= 2 * near)
    far = np.minimum(room[at], np.ceil(FOLD_FAR / FOLD_NEAR * near[at]).astype(np.int64))
    sharp, lasting = _onward(chains.xy, at, near[at]), _onward(chains.xy, at, far)
    limit = np.cos(np.radians(FOLD_ANGLE))
    back = (sharp < limit) & (lasting < limit)
    at, sharp = at[back], sharp[back]
    run = np.cumsum(np.diff(at, prepend=-2) > 1)
    order = np.lexsort((sharp, run))
    return chains.xy[at[order[np.flatnonzero(np.diff(run[order], prepend=0))]]]


def _onward(xy: Ints, at: Ints, reach: Ints) -> Floats:
    """Cosine (n,) of the angle by which a chain turns at points, between `reach` points before and after each."""
    before, after = xy[at] - xy[at - reach], xy[at + reach] - xy[at]
    return (before * after).sum(axis=1) / np.maximum(np.hypot(*before.T) * np.hypot(*after.T), 1)


def _merge_nodes(chains: _Chains, radius: Radius) -> tuple[Ints, NDArray[np.bool_]]:
    """Join nodes that lie within each other's vessel, as the two halves of one crossing do.

    Returns
    -------
    node : (K,) int
        New name of each node.
    inner : (M,) bool
        Chains swallowed by a joint.
    """
    reach = _radius_at(radius, chains.node_xy)
    both = (chains.start >= 0) & (chains.stop >= 0)
    inner = both & (chains.size <= _at_node(reach, chains.start) + _at_node(reach, chains.stop))
    pairs = np.column_stack([chains.start, chains.stop])[inner]
    return _components(pairs, reach.size)[1], inner


def _trim(chains: _Chains, radius: Radius, inner: NDArray[np.bool_]) -> tuple[_Chains, Ints]:
    """Cut off what lies inside the vessel at a node: thinning bends the skeleton there; also which points are left."""
    cut = np.ceil(_radius_at(radius, chains.node_xy)).astype(np.int64)
    head, tail = _at_node(cut, chains.start), _at_node(cut, chains.stop)
    size = np.where(inner, 0, np.maximum(chains.size - head - tail, 0))
    position = chains.position
    keep = (position >= np.repeat(head, chains.size)) & (position < np.repeat(head + size, chains.size))
    first = np.cumsum(size) - size
    left = _Chains(chains.xy[keep], first, size, chains.start, chains.stop, chains.node_xy, 0)
    return left, np.flatnonzero(keep)


def _advance(chains: _Chains) -> Floats:
    """Length (N,) that each pixel of a chain stands for, px.

    Counting pixels makes a diagonal 30 % too short and counting steps makes a slant 8 % too long; here each pixel
    counts with the mean advance per step over up to nine pixels of its chain.
    """
    if not chains.size.size:
        return np.empty(0)
    at = np.arange(chains.xy.shape[0])
    first = np.repeat(chains.first, chains.size)
    last = first + np.repeat(chains.size, chains.size) - 1
    low, high = np.maximum(at - 4, first), np.minimum(at + 4, last)
    span = np.hypot(*(chains.xy[high] - chains.xy[low]).T)
    return np.where(high > low, span / np.maximum(high - low, 1), 1.0)


def _quadratic(values: Floats, first: Ints, size: Ints, half: int) -> tuple[Floats, Floats, Floats]:
    """Least-squares parabola in a sliding window along each chain (Savitzky and Golay 1964).

    Parameters
    ----------
    values : (N, 2) float
        Chain by chain.
    first, size : (N,) int
        Start and number of points of each point's chain; every size is at least ``2 * half + 1``.
    half : int

    Returns
    -------
    position, derivative, second : (N, 2) float
        Of the parabola at each point; near the ends that of the outermost whole window.
    """
    at = np.arange(values.shape[0])
    centre = np.clip(at, first + half, first + size - 1 - half)
    t = np.arange(-half, half + 1)
    fit = np.linalg.pinv(np.vander(t, 3, increasing=True))
    a, b, c = (correlate1d(values, weights, axis=0, mode="nearest") for weights in fit)
    near_end = np.flatnonzero(at != centre)
    step, whole = (near_end - centre[near_end])[:, None], centre[near_end]
    p, q, r = a[whole], b[whole], c[whole]
    a[near_end], b[near_end], c[near_end] = p + q * step + r * step**2, q + 2 * r * step, r
    return a, b, 2 * c


def _select(chains: _Chains, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Ints, Ints]:
    """Points of the wanted chains, and per remaining chain its new first point and its size."""
    size = chains.size[wanted]
    return wanted[chains.of_point], np.cumsum(size) - size, size


def _edges(mask: NDArray[np.bool_], radius: Radius, chains: _Chains, half: int) -> tuple[Floats, Floats]:
    """Find both vessel edges on the normal through each skeleton pixel.

    Returns
    -------
    xy : (N, 2) float
        Mid-point between the edges, the pixel itself where an edge was not found; smoothed over the same window.
    width : (N,) float
        Distance between the edges, px; NaN where not found (beyond 1.6 radii + 2 px) and in a chain too short for a
        normal.
    """
    xy, width = chains.xy.astype(float), np.full(chains.xy.shape[0], np.nan)
    points, first, size = _select(chains, chains.size > 2 * half)
    if not points.any():
        return xy, width
    of_point = np.repeat(np.arange(size.size), size)
    _, tangent, _ = _quadratic(xy[points], first[of_point], size[of_point], half)
    speed = np.hypot(*tangent.T)
    straight = speed > 0.2  # a chain that folds back within the window has no normal
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.maximum(speed, 0.2)[:, None]
    pixels = chains.xy[points]
    step = (1.6 * radius[pixels[:, 1], pixels[:, 0]] + 2) / PROFILE_SAMPLES
    image = mask.astype(np.float32)
    left = _first_edge(image, pixels, -normal * step[:, None]) * step
    right = _first_edge(image, pixels, normal * step[:, None]) * step
    found = np.isfinite(left) & np.isfinite(right) & straight
    middle = pixels + normal * (np.where(found, right - left, 0) / 2)[:, None]
    xy[points], _, _ = _quadratic(middle, first[of_point], size[of_point], half)
    width[points] = np.where(found, left + right, np.nan)
    return xy, width


def _first_edge(image: NDArray[np.float32], pixels: Ints, step: Floats) -> Floats:
    """Number of steps from each pixel to where the bilinear mask falls through one half; NaN if it does not."""
    start = pixels.astype(float)
    edge = _fall(image, start, step, 0, NEAR_SAMPLES)
    rest = np.flatnonzero(np.isnan(edge))
    edge[rest] = _fall(image, start[rest], step[rest], NEAR_SAMPLES, PROFILE_SAMPLES)
    return edge


def _fall(image: NDArray[np.float32], pixels: Floats, step: Floats, first: int, last: int) -> Floats:
    """Number of steps, from `first` on to `last`, to where the mask falls through one half."""
    t = np.arange(first, last + 1.0)
    x, y = ((pixels[:, i, None] + step[:, i, None] * t).astype(np.float32) for i in (0, 1))
    values = np.empty(x.shape, np.float32)
    for low in range(0, len(x), 16384):  # OpenCV limits the side of a map to 32767
        part = slice(low, low + 16384)
        values[part] = cv2.remap(image, x[part], y[part], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    outside = values < 0.5
    at = outside.argmax(axis=1)
    rows = np.arange(len(x))
    before, after = values[rows, np.maximum(at - 1, 0)], values[rows, at]
    drop = np.where(before > after, before - after, 1)
    return np.where(outside.any(axis=1) & (at > 0), first + at - 1 + (before - 0.5) / drop, np.nan)


def _curves(chains: _Chains, xy: Floats, half: int) -> Curves:
    """Smooth the centrelines and take arc, chord, curvature and inflections of the segments with one whole window."""
    rough, size = _resampled(chains, xy, half)
    keep = np.repeat(size > 2 * half, size)
    size = size[size > 2 * half]
    if not size.size:
        nothing = np.empty(0)
        return Curves(nothing, nothing, nothing, nothing, np.empty(0, np.int64), nothing)
    first, of_point = np.cumsum(size) - size, np.repeat(np.arange(size.size), size)
    smooth, d1, d2 = _quadratic(rough[keep], first[of_point], size[of_point], half)
    curvature = (d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]) / np.maximum(np.hypot(*d1.T), 0.2) ** 3
    step = np.hypot(*np.diff(smooth, axis=0).T) * (np.diff(of_point) == 0)
    ds = (np.append(step, 0) + np.append(0, step)) / 2
    along = np.append(0, np.cumsum(step))
    last = first + size - 1
    inflections, twist = _twists(smooth, along, curvature, of_point, first, last, STRAIGHT / half**2)
    return Curves(
        curvature=curvature,
        ds=ds,
        arc=along[last] - along[first],
        chord=np.hypot(*(smooth[last] - smooth[first]).T),
        inflections=inflections,
        twist=twist,
    )


def _resampled(chains: _Chains, xy: Floats, least: int) -> tuple[Floats, Ints]:
    """Points one pixel of arc apart along each chain that is long enough and no ring, and their number per chain.

    Pixels are 1 px apart along an axis and 1.4 px along a diagonal; a window of pixels would see more of one vessel
    than of another, and bend where the direction changes.
    """
    points, first, size = _select(chains, (chains.size > least) & ~_rings(chains))
    if not points.any():
        return np.empty((0, 2)), np.empty(0, np.int64)
    of_point, rough = np.repeat(np.arange(size.size), size), xy[points]
    # One long road with a pixel between chains, so that a single interpolation serves all of them.
    same = np.diff(of_point) == 0
    along = np.append(0, np.cumsum(np.where(same, np.hypot(*np.diff(rough, axis=0).T), 1.0)))
    start, length = along[first], along[first + size - 1] - along[first]
    count = np.floor(length).astype(np.int64) + 1
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    at = np.repeat(start, count) + place * np.repeat(length / np.maximum(count - 1, 1), count)
    return np.column_stack([np.interp(at, along, rough[:, axis]) for axis in (0, 1)]), count


def _rings(chains: _Chains) -> NDArray[np.bool_]:
    """Which chains run round a hole of the mask rather than along a vessel."""
    last = max(len(chains.xy) - 1, 0)
    head, tail = np.clip(chains.first, 0, last), np.clip(chains.first + chains.size - 1, 0, last)
    chord = np.hypot(*(chains.xy[tail] - chains.xy[head]).T) if len(chains.xy) else np.zeros(chains.size.size)
    return (chains.start == -2) | (chains.size > RING * chord)


def _twists(
    xy: Floats, along: Floats, curvature: Floats, of_point: Ints, first: Ints, last: Ints, straight: float
) -> tuple[Ints, Floats]:
    """Inflections of each segment, and the sum of arc/chord - 1 of the pieces between them."""
    bent = np.flatnonzero(np.abs(curvature) > straight)
    turn = (np.diff(np.sign(curvature[bent])) != 0) & (np.diff(of_point[bent]) == 0)
    at = (bent[:-1][turn] + bent[1:][turn] + 1) // 2
    low, high = np.sort(np.concatenate([first, at])), np.sort(np.concatenate([at, last]))
    arc, chord = along[high] - along[low], np.hypot(*(xy[high] - xy[low]).T)
    excess = np.where(chord > 0, arc / np.where(chord > 0, chord, 1) - 1, 0)
    inflections = np.bincount(of_point[at], minlength=first.size).astype(np.int64)
    return inflections, np.bincount(of_point[low], excess, first.size).astype(float)


def _graph(chains: _Chains, node: Ints, inner: NDArray[np.bool_], advance: Floats, source: Ints) -> Graph:
    """Chains and nodes as a graph; directions and widths at the ends are yet to come."""
    names = node.max(initial=-1) + 1
    weight = np.maximum(np.bincount(node, minlength=names), 1)
    centre = np.column_stack([np.bincount(node, chains.node_xy[:, axis], names) / weight for axis in (0, 1)])
    end_node = np.column_stack([chains.start, chains.stop]).ravel()
    owner = np.append(node, -1)[np.where(end_node < 0, node.size, end_node)]
    ends = np.column_stack([chains.first, chains.first + chains.size - 1]).ravel()
    gap = np.zeros(owner.size)
    gap[owner >= 0] = np.hypot(*(chains.xy[ends][owner >= 0] - centre[owner[owner >= 0]]).T)
    clear = np.zeros(len(chains.xy), bool)
    clear[source] = True
    return Graph(
        first=chains.first,
        size=chains.size,
        outer=~inner,
        clear=clear,
        length=np.bincount(chains.of_point, advance, chains.size.size).astype(float),
        node=owner,
        gap=gap,
        direction=np.full((owner.size, 2), np.nan),
        width=np.full(owner.size, np.nan),
        node_xy=centre,
    )


def _free_ends(chains: _Chains) -> Floats:
    """Ends (E, 2) of chains without a node, px; a single pixel has one."""
    free_tail = (chains.stop == -1) & ((chains.start >= 0) | (chains.size > 1))
    ends = np.concatenate([chains.first[chains.start == -1], (chains.first + chains.size - 1)[free_tail]])
    return chains.xy[ends].astype(float)


def _angles(graph: Graph) -> Floats:
    """Smallest of the three angles (A,) at each bifurcation whose branches all have a direction, degrees."""
    triple = graph.direction[graph.branches(3)]
    triple = triple[np.isfinite(triple).all(axis=(1, 2))]
    cosine = np.einsum("nad,nad->na", triple, np.roll(triple, 1, axis=1))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))).min(axis=1, initial=180), float)


def _directions(kept: _Chains, xy: Floats, reach: float) -> Floats:
    """Unit vectors (2 P, 2) away from the node over `reach` px at each end; NaN where less than half of it is left."""
    points = np.repeat(np.minimum(kept.size - 1, round(reach)), 2)
    usable = points >= reach / 2
    near = np.column_stack([kept.first, kept.first + kept.size - 1]).ravel()
    near = np.clip(near, 0, max(len(xy) - 1, 0))
    far = np.where(usable, near + np.tile([1, -1], kept.size.size) * points, near)
    vector = xy[far] - xy[near] if len(xy) else np.zeros((near.size, 2))
    length = np.hypot(*vector.T)
    usable &= length > 0
    return np.where(usable[:, None], vector / np.where(usable, length, 1)[:, None], np.nan)


def _end_widths(chains: _Chains, radius: Radius, on_path: Ints, width: Floats, reach: int, least: float) -> Floats:
    """Width (2 P,) at each end: median over the measured points within `reach` of where the walls are its own."""
    if not on_path.size:
        return np.full(2 * chains.size.size, np.nan)
    clear = np.ceil(BRANCH_CLEAR * _radius_at(radius, chains.node_xy)).astype(np.int64)
    head = chains.first + _at_node(clear, chains.start)
    tail = chains.first + chains.size - 1 - _at_node(clear, chains.stop)
    low, high = np.searchsorted(on_path, head), np.searchsorted(on_path, tail, side="right") - 1
    step = np.arange(reach + 1)
    near = np.stack([low[:, None] + step, high[:, None] - step], axis=1)
    exists = (near >= 0) & (near < on_path.size)
    at = on_path[np.where(exists, near, 0)]
    usable = exists & (at >= chains.first[:, None, None]) & (at < (chains.first + chains.size)[:, None, None])
    usable[:, 0] &= at[:, 0] <= head[:, None] + reach
    usable[:, 1] &= at[:, 1] >= tail[:, None] - reach
    values = np.where(usable, width[np.where(exists, near, 0)], np.nan).reshape(-1, reach + 1)
    enough = usable.sum(axis=2).ravel() >= least
    out = np.full(enough.size, np.nan)
    out[enough] = row_medians(values[enough])
    return out
