"""Vessel trees: a centreline read from the optic disc outwards, with its bifurcations and its vessels.

A tree is rooted where its centreline meets the disc; a piece that does not reach the disc, at its point nearest to the
disc. Distances run along the centreline, and two vessels that cross are no way from one to the other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra

from retsam.biomarkers.centreline import Centreline, Curves, Graph

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ACROSS = 60.0  # degrees: neither of two vessels that cross at a node turns by more there
WIDER = 1.5  # a daughter so many times as wide as the other carries the vessel on, whatever its direction

_PAIRINGS = np.array([[[0, 1], [2, 3]], [[0, 2], [1, 3]], [[0, 3], [1, 2]]])


@dataclass(frozen=True)
class Tree:
    """One vessel tree.

    Attributes
    ----------
    widths : (B, 3) float
        Of the parent, the wider and the narrower daughter of each bifurcation outside the disc, px; see
        ``Graph.width``. Bifurcations with a branch without a width are left out.
    parent_length : (B,) float
        From the node before to this one, px; NaN where the parent comes from the disc or has no node before.
    departures : int
        Places where the centreline leaves the disc.
    vessels : Curves
        Vessels outside the disc, each followed through bifurcations and crossings.
    """

    widths: Floats
    parent_length: Floats
    departures: int
    vessels: Curves


def grow(line: Centreline, outside: Callable[[Floats], Floats]) -> Tree:
    """Root a centreline at the optic disc.

    Parameters
    ----------
    line : Centreline
    outside : callable
        Points (n, 2) to their distance (n,) from the outline of the disc, px, negative inside.
    """
    graph, off, node_off = line.graph, outside(line.path), outside(line.graph.node_xy)
    heading = _headings(line)
    crossed = _crossed(graph, heading)
    distance = _distances(line, off, crossed)
    triple = graph.branches(3)
    triple = np.take_along_axis(triple, np.argsort(distance[triple], axis=1, kind="stable"), axis=1)
    widths = graph.width[triple]
    lengths = _between_nodes(graph, triple[:, 0], node_off)
    four = _uncrossed(graph, crossed)
    four = np.take_along_axis(four, np.argsort(distance[four], axis=1, kind="stable"), axis=1)
    forks = [_carried_on(ends, graph.width[ends], heading) for ends in (triple, four)]
    joins = np.concatenate([*forks, crossed.reshape(-1, 2)])
    known = np.isfinite(widths).all(axis=1) & (node_off[graph.node[triple[:, 0]]] > 0)
    widths[:, 1:] = -np.sort(-widths[:, 1:], axis=1)
    return Tree(
        widths=widths[known],
        parent_length=lengths[known],
        departures=_departures(line, off, node_off),
        vessels=_vessels(line, joins, off),
    )


def _headings(line: Centreline) -> Floats:
    """Direction (2 P, 2) of each end away from its node; of a short branch that to its other end."""
    graph = line.graph
    at = graph.at_node
    short = at[np.isnan(graph.direction[at, 0])]
    far = line.path[_points(graph)[short ^ 1]] - graph.node_xy[graph.node[short]]
    heading = graph.direction.copy()
    heading[short] = far / np.maximum(np.hypot(*far.T), 1e-9)[:, None]
    return heading


def _points(graph: Graph) -> Ints:
    """Point of the path (2 P,) at each end."""
    return np.column_stack([graph.first, graph.first + graph.size - 1]).ravel()


def _crossed(graph: Graph, heading: Floats) -> Ints:
    """Ends (C, 2, 2) at the nodes where two vessels cross, in the pairs that are one vessel."""
    four = graph.branches(4)
    pairs = four[:, _PAIRINGS]  # (C, pairing, vessel, end)
    turned_back = (heading[pairs[..., 0]] * heading[pairs[..., 1]]).sum(axis=-1)
    onward = -turned_back.max(axis=-1)  # of the vessel that turns more
    best, node = onward.argmax(axis=1), np.arange(len(four))
    straight = onward[node, best] >= np.cos(np.radians(ACROSS))
    return pairs[node, best][straight]


def _uncrossed(graph: Graph, crossed: Ints) -> Ints:
    """Ends (n, 4) at the nodes of four where no two vessels cross: a vessel that divides twice in one place."""
    four = graph.branches(4)
    return four[~np.isin(graph.node[four[:, 0]], graph.node[crossed[:, 0, 0]])]


def _distances(line: Centreline, off: Floats, crossed: Ints) -> Floats:
    """Distance (2 P,) of each end from the root of its piece along the centreline, px."""
    graph = line.graph
    if not graph.size.size:
        return np.empty(0)
    ends, nodes = graph.node.size, len(graph.node_xy)
    hub = ends + graph.node  # a crossing has two, one for each vessel
    hub[crossed[:, 1]] += nodes
    at, outer = graph.at_node, np.flatnonzero(graph.outer)
    a, b = np.append(2 * outer, at), np.append(2 * outer + 1, hub[at])
    way = np.append(graph.length[outer], np.maximum(graph.gap[at], 1e-3))
    root = ends + 2 * nodes
    _, piece = connected_components(_sparse(a, b, way, root), directed=False)
    begins, reach = _roots(line, off, piece[:ends:2].astype(np.int64))
    road = _sparse(np.append(a, begins), np.append(b, np.full(begins.size, root)), np.append(way, reach), root + 1)
    return np.asarray(dijkstra(road, directed=False, indices=root)[:ends], float)


def _sparse(a: Ints, b: Ints, way: Floats, n: int) -> coo_array:
    return coo_array((way, (a, b)), shape=(n, n)).tocsr()


def _roots(line: Centreline, off: Floats, piece: Ints) -> tuple[Ints, Floats]:
    """Ends of the segments that hold a root, and their distance from it, px (and 1, for a way has a length).

    Parameters
    ----------
    off : (N,) float
        Distance of each point of the path from the outline of the disc.
    piece : (P,) int
        Piece of the centreline that each segment belongs to.
    """
    graph, segment = line.graph, line.path_segment
    point = np.arange(segment.size)
    order = np.lexsort((off, piece[segment]))
    nearest = order[np.flatnonzero(np.diff(piece[segment][order], prepend=-1))]
    is_root = off <= 0
    is_root[nearest] = True
    head = np.minimum.reduceat(np.where(is_root, point, segment.size), graph.first)
    tail = np.maximum.reduceat(np.where(is_root, point, -1), graph.first)
    holds = np.flatnonzero(tail >= 0)
    ends = np.append(2 * holds, 2 * holds + 1)
    last = graph.first + graph.size - 1
    return ends, np.append(head[holds] - graph.first[holds], last[holds] - tail[holds]) + 1.0


def _between_nodes(graph: Graph, end: Ints, node_off: Floats) -> Floats:
    """Length (n,) of the segments of ends from centre to centre of their nodes; NaN without two nodes off the disc."""
    other = end ^ 1
    both = (graph.node[end] >= 0) & (graph.node[other] >= 0) & (np.append(node_off, 0.0)[graph.node[other]] > 0)
    return np.where(both, graph.length[end // 2] + graph.gap[end] + graph.gap[other], np.nan)


def _carried_on(ends: Ints, widths: Floats, heading: Floats) -> Ints:
    """Ends (B, 2) of the parent, the first of each row (B, k), and of the daughter that carries it on.

    That is the daughter that turns least from the parent's direction, but a daughter ``WIDER`` times as wide as each
    other whatever its direction.
    """
    turned_back = (heading[ends[:, :1]] * heading[ends[:, 1:]]).sum(axis=-1)
    others = WIDER * widths[:, None, 1:]
    wider = (widths[:, 1:, None] >= others) | np.eye(ends.shape[1] - 1, dtype=bool)
    wide = np.asarray(wider.all(axis=2), bool)
    daughter = np.where(wide.any(axis=1), wide.argmax(axis=1), turned_back.argmin(axis=1))
    return np.column_stack([ends[:, 0], ends[np.arange(len(ends)), 1 + daughter]])


def _departures(line: Centreline, off: Floats, node_off: Floats) -> int:
    """Places where the centreline crosses the outline of the disc, along a segment or at a node."""
    graph = line.graph
    at = graph.at_node
    at_nodes = (off[_points(graph)[at]] > 0) != (node_off[graph.node[at]] > 0)
    return line.leaves(off).size + int(np.count_nonzero(at_nodes))


def _vessels(line: Centreline, joins: Ints, off: Floats) -> Curves:
    """Curves of the vessels outside the disc; what lies inside a node is bridged."""
    graph = line.graph
    entered, vessel = graph.walk(joins)
    size = graph.size[entered // 2]
    step = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    points = np.repeat(_points(graph)[entered], size) + step * np.repeat(1 - 2 * (entered % 2), size)
    owner = np.repeat(vessel, size)
    inside = off[points] <= 0
    run = np.cumsum((np.diff(owner, prepend=-1) != 0) | (np.diff(inside, prepend=False) != 0))
    kept = ~inside & graph.clear[points]
    count = np.bincount(run[kept])
    return line.curves_of(points[kept], count[count > 0])
