"""Where on a retina lesions may lie: distances to fovea, disc and vessels, the course of nerve fibres, and spacing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from retsam.phantom.anatomy import Anatomy

Points = NDArray[np.float64]
"""Retinal points (n, 2): temporal and inferior, degrees from the disc centre."""

Proposal = Callable[[np.random.Generator, int], Points]
"""Draws that many random places."""
Permission = Callable[[Points, NDArray[np.float64]], NDArray[np.bool_]]
"""Of places (n, 2) and reaches (n,) in degrees: which may be used."""

MM_PER_DEGREE = 0.29
GAP = 0.15
"""Least distance between lesions of one target, degrees: more than a pixel's diagonal in frames of 512 and up."""
LARGE = 0.1
"""Radius of the vessels that are called large, degrees: an arcade's, not its twigs'."""


@dataclass(frozen=True)
class Site:
    """An eye as lesions see it.

    Attributes
    ----------
    anatomy : Anatomy
        The healthy eye.
    """

    anatomy: Anatomy
    _large: Points = field(init=False, repr=False)
    _tree: cKDTree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the large vessels."""
        points = np.concatenate([np.zeros((0, 2)), *(s.points[s.radius > LARGE] for s in self.anatomy.vessels)])
        object.__setattr__(self, "_large", points)
        object.__setattr__(self, "_tree", cKDTree(points) if len(points) else None)

    @property
    def fovea(self) -> Points:
        """Foveal centre (2,)."""
        return np.array(self.anatomy.fovea)

    @property
    def disc_radius(self) -> float:
        """Radius of the circle with the disc's area, degrees."""
        return 0.5 * self.anatomy.disc_diameter

    @property
    def arcade(self) -> float:
        """Distance at which the arcades pass the fovea: the median of what large vessels keep from it, degrees."""
        near = self._large[np.abs(self._large[:, 0] - self.fovea[0]) < 4.0]
        return float(np.median(np.hypot(*(near - self.fovea).T))) if len(near) else 10.0

    def from_fovea(self, uv: Points) -> NDArray[np.float64]:
        """Distance (n,) to the foveal centre, degrees."""
        return np.hypot(*(uv - self.fovea).T)

    def from_disc(self, uv: Points) -> NDArray[np.float64]:
        """Distance (n,) to the disc's margin, degrees, negative inside; first-order for an ellipse."""
        u, v = (np.asarray(x, np.float32) for x in uv.T)
        return (self.anatomy.disc.level(u, v).astype(float) - 1.0) * self.disc_radius

    def from_vessels(self, uv: Points) -> NDArray[np.float64]:
        """Distance (n,) to the nearest centreline of a large vessel, degrees."""
        return self._tree.query(uv)[0] if self._tree is not None else np.full(len(uv), math.inf)

    def along_vessels(self, rng: np.random.Generator, n: int, spread: float) -> Points:
        """Points (n, 2) about large vessels, off them by a standard deviation of ``spread`` degrees."""
        if not len(self._large):
            return self.about(rng, n, self.fovea, 8.0)
        return self._large[rng.integers(0, len(self._large), n)] + spread * rng.standard_normal((n, 2))

    def about(self, rng: np.random.Generator, n: int, centre: ArrayLike, spread: float) -> Points:
        """Points (n, 2), normal about a centre with a standard deviation of ``spread`` degrees."""
        return np.asarray(centre, float) + spread * rng.standard_normal((n, 2))

    def ring(self, rng: np.random.Generator, n: int, centre: ArrayLike, inner: float, outer: float) -> Points:
        """Points (n, 2) even over the ring between two radii, degrees."""
        radius = np.sqrt(rng.uniform(inner**2, outer**2, n))
        angle = rng.uniform(0.0, 2.0 * math.pi, n)
        return np.asarray(centre, float) + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def fibres(self, uv: Points) -> NDArray[np.float64]:
        """Direction (n,) of the nerve fibres away from the disc, radians from temporal to inferior.

        Streamlines from a source at the disc to sinks along the raphe, from the fovea outwards: nasal fibres run
        straight, papillomacular ones to the fovea, the others arch above and below it. Made for its form; not fitted
        to measured fibres (those are in Jansonius et al., Vision Res 2009;49:2157).
        """
        out = self.fovea / np.hypot(*self.fovea)
        flow = uv / np.maximum((uv**2).sum(axis=1, keepdims=True), 1e-6)
        for reach in (0.0, 3.0, 6.0, 10.0, 15.0, 21.0):
            delta = uv - (self.fovea + reach * out)
            flow = flow - 0.15 * delta / np.maximum((delta**2).sum(axis=1, keepdims=True), 1.0)
        return np.arctan2(flow[:, 1], flow[:, 0])


def spread_out(
    rng: np.random.Generator,
    reach: NDArray[np.float64],
    propose: Proposal,
    allowed: Permission,
    taken: tuple[Points, NDArray[np.float64]] | None = None,
    gap: float = GAP,
) -> tuple[Points, NDArray[np.intp]]:
    """Place round things one after the other so that they keep apart.

    Parameters
    ----------
    rng : Generator
    reach : (n,) float
        Radius about the centre that holds each thing, degrees.
    propose : Proposal
    allowed : Permission
    taken : tuple of (k, 2) and (k,) arrays, optional
        Centres and reaches of what is there already.
    gap : float
        Kept between any two, degrees.

    Returns
    -------
    centres : (m, 2) float64
    chosen : (m,) int
        Which things found a place within 12 attempts each, in their order.
    """
    attempts = 12
    n = len(reach)
    if not n:
        return np.zeros((0, 2)), np.zeros(0, np.intp)
    places = propose(rng, attempts * n)
    able = allowed(places, np.tile(reach, attempts)).reshape(attempts, n)
    places = places.reshape(attempts, n, 2)
    old, size = (np.zeros((0, 2)), np.zeros(0)) if taken is None else taken
    centres, reaches, chosen = [*old], [*size], []
    for i in range(n):
        for place in places[able[:, i], i]:
            if not centres or (np.hypot(*(np.array(centres) - place).T) > np.array(reaches) + reach[i] + gap).all():
                centres.append(place)
                reaches.append(reach[i])
                chosen.append(i)
                break
    return np.array(centres[len(old) :]).reshape(-1, 2), np.array(chosen, np.intp)
