"""Bifurcations of a tree and the whole vessels that run through them, as the catalogue means them.

The generator knows which branch is the parent: every branch runs away from the optic disc. Lengths are in degrees.
"""

from dataclasses import dataclass

import numpy as np

from retsam.phantom.branches import Bools, Branches, Floats, Ints

CLEAR = 2.0
"""Radii of a node from which on the width of its branches is taken."""
REACH = 20
"""Over so many px of a branch, at a frame of 1024 px."""
LEAST = 5
"""And no fewer px than this."""
WIDER = 1.5
"""A daughter so many times as wide as the other carries the vessel on."""


@dataclass(frozen=True)
class Forks:
    """Nodes of a parent and two daughters.

    Attributes
    ----------
    node : (B,) int
    branch : (B, 3) int
        Parent and daughters.
    width : (B, 3) float
        Of these at the node; NaN where one is too short.
    carries_on : (B,) int
        The daughter that carries the parent on.
    """

    node: Ints
    branch: Ints
    width: Floats
    carries_on: Ints


def forks(tree: Branches, px: float) -> Forks:
    """Bifurcations of one tree.

    Parameters
    ----------
    tree : Branches
        Of one kind.
    px : float
        A pixel of a frame of 1024 px, degrees.
    """
    node, branch, sign = tree.node_ends
    names = node.max(initial=-1) + 1
    three = np.bincount(node, minlength=names) == 3
    three &= np.bincount(node[sign < 0], minlength=names) == 1
    ends = np.flatnonzero(three[node]) if names else np.zeros(0, np.int64)
    chosen = ends[np.lexsort((sign[ends], node[ends]))].reshape(-1, 3)  # a stop, the parent's, before starts
    width, heading = (x[chosen] for x in _at_nodes(tree, branch, sign, px))
    daughters = branch[chosen[:, 1:]]
    onward = -(heading[:, :1] * heading[:, 1:]).sum(axis=-1)
    second = onward[:, 1] > onward[:, 0]
    second &= ~(width[:, 1] >= WIDER * width[:, 2])
    second |= width[:, 2] >= WIDER * width[:, 1]
    return Forks(
        node=tree.stop[branch[chosen[:, 0]]],
        branch=branch[chosen],
        width=width,
        carries_on=np.where(second, daughters[:, 1], daughters[:, 0]),
    )


def _at_nodes(tree: Branches, branch: Ints, sign: Ints, px: float) -> tuple[Floats, Floats]:
    """Width (E,) and direction (E, 2) of ends of branches at their nodes."""
    head, tail = (reach[branch] for reach in tree.reach)
    own, other = np.where(sign > 0, head, tail), np.where(sign > 0, tail, head)
    room = tree.along[tree.last[branch]] - other
    distance = CLEAR * own[:, None] + np.arange(REACH + 1) * px
    there = distance <= room[:, None]
    samples = tree.sample_at(branch[:, None], sign[:, None], distance)
    width, enough = np.full(branch.size, np.nan), there.sum(axis=1) >= LEAST
    width[enough] = np.nanmedian(np.where(there, 2.0 * tree.radius[samples], np.nan)[enough], axis=1)
    near, far = (
        tree.uv[tree.sample_at(branch, sign, at)] for at in (own, np.maximum(np.minimum(own + REACH * px, room), own))
    )
    heading = far - near
    return width, heading / np.maximum(np.hypot(*heading.T), 1e-12)[:, None]


def vessels(tree: Branches, found: Forks, outside: Bools) -> tuple[Floats, Ints, Ints]:
    """Whole vessels, each followed through its bifurcations.

    Parameters
    ----------
    tree : Branches
    found : Forks
        Of this tree.
    outside : (N,) bool
        Samples outside the optic disc.

    Returns
    -------
    uv : (n, 2) float
        Samples outside the disc and the vessels of the nodes, vessel by vessel.
    first, last : (M,) int
    """
    follower = np.full(tree.first.size, -1)
    follower[found.branch[:, 0]] = found.carries_on
    node, branch, sign = tree.node_ends
    lone = np.bincount(node, minlength=node.max(initial=-1) + 1) == 2  # the other daughter is out of view
    for own in np.flatnonzero(lone):
        ends = branch[node == own][np.argsort(sign[node == own])]
        if sign[node == own].sum() == 0:
            follower[ends[0]] = ends[1]
    starts = np.flatnonzero(~tree.inner & ~np.isin(np.arange(tree.first.size), follower))
    samples, vessel = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number, at in enumerate(starts.tolist()):
        while at >= 0:
            samples.append(np.arange(tree.first[at], tree.last[at] + 1))
            vessel.append(np.full(samples[-1].size, number))
            at = int(follower[at])
    order, owner = np.concatenate(samples), np.concatenate(vessel)
    run = np.cumsum((np.diff(owner, prepend=-1) != 0) | (np.diff(outside[order], prepend=True) != 0))
    kept = outside[order] & tree.measurable[order]
    uv, run = tree.uv[order[kept]], run[kept]
    return uv, np.flatnonzero(np.diff(run, prepend=-1)), np.flatnonzero(np.diff(run, append=-1))
