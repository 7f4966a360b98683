"""Closed outlines in degrees, drawn as signed distances in pixels."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retsam.phantom.raster import FAR, Grid


@dataclass(frozen=True)
class Blobs:
    """Many roundish outlines ``r(t) = 1 + sum_k (a_k cos k t + b_k sin k t)``, k = 2, 3 ..., stretched and turned.

    Attributes
    ----------
    centres : (n, 2) float64
        Temporal and inferior, degrees from the disc centre.
    radius : (n,) float64
        Square root of the product of the semi-axes, degrees.
    aspect : (n,) float64
        Longer over shorter semi-axis, >= 1.
    angle : (n,) float64
        Direction of the longer axis, radians from temporal to inferior.
    waves : (n, k, 2) float64
        ``a_k`` and ``b_k``; their absolute sum stays below 1.
    """

    centres: NDArray[np.float64]
    radius: NDArray[np.float64]
    aspect: NDArray[np.float64]
    angle: NDArray[np.float64]
    waves: NDArray[np.float64]

    @classmethod
    def discs(cls, centres: ArrayLike, radius: ArrayLike) -> Self:
        """Circles: centres (n, 2) and radii (n,) in degrees."""
        middle = np.asarray(centres, float).reshape(-1, 2)
        n = len(middle)
        return cls(middle, np.broadcast_to(np.asarray(radius, float), n), np.ones(n), np.zeros(n), np.zeros((n, 0, 2)))

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        centres: ArrayLike,
        radius: ArrayLike,
        *,
        aspect: ArrayLike = 1.0,
        angle: ArrayLike = 0.0,
        rough: float = 0.1,
        order: int = 6,
    ) -> Self:
        """Draw irregular outlines.

        Parameters
        ----------
        rng : Generator
        centres : (n, 2) array-like
        radius, aspect, angle : (n,) array-like or float
        rough : float
            Standard deviation of the outline relative to its radius, falling with the wave number.
        order : int
            Highest wave number, at least 2.
        """
        middle = np.asarray(centres, float).reshape(-1, 2)
        n = len(middle)
        k = np.arange(2, order + 1)
        share = (1.0 / k) / math.sqrt(float((1.0 / k**2).sum()))
        waves = rough * share[:, None] * rng.standard_normal((n, len(k), 2))
        total = np.abs(waves).sum(axis=(1, 2), keepdims=True)
        waves = waves * np.minimum(1.0, 0.8 / np.maximum(total, 1e-9))
        size, long, turn = (np.broadcast_to(np.asarray(x, float), n) for x in (radius, aspect, angle))
        return cls(middle, size, long, turn, waves)

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def area(self) -> NDArray[np.float64]:
        """Area (n,) of each outline by itself, square degrees: ``pi r^2 (1 + sum (a_k^2 + b_k^2) / 2)``."""
        return np.pi * self.radius**2 * (1.0 + 0.5 * (self.waves**2).sum(axis=(1, 2)))

    @property
    def reach(self) -> NDArray[np.float64]:
        """Radius (n,) about the centre that holds the whole outline, degrees."""
        return self.radius * np.sqrt(self.aspect) * (1.0 + np.abs(self.waves).sum(axis=(1, 2)))

    def keep(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return some of the outlines."""
        return type(self)(*(x[chosen] for x in (self.centres, self.radius, self.aspect, self.angle, self.waves)))

    def signed_distance(self, grid: Grid, lowest: float = FAR) -> NDArray[np.float32]:
        """Largest signed distance (height, width) to any outline in pixels, positive inside.

        First-order: the level set over the length of its gradient, so right at the border and for circles everywhere.
        Never below ``lowest``, which soft borders need further out than masks do.
        """
        out = np.full((grid.height, grid.width), lowest, np.float32)
        middle = grid.to_px(self.centres)
        reach = self.reach * grid.scale - lowest
        low = np.maximum(np.ceil(middle - reach[:, None]).astype(int), 0)
        high = np.minimum(np.floor(middle + reach[:, None]).astype(int) + 1, [grid.width, grid.height])
        for i in np.flatnonzero((high > low).all(axis=1)).tolist():
            x = np.arange(low[i, 0], high[i, 0], dtype=np.float32)[None, :] - np.float32(middle[i, 0])
            y = np.arange(low[i, 1], high[i, 1], dtype=np.float32)[:, None] - np.float32(middle[i, 1])
            patch = out[low[i, 1] : high[i, 1], low[i, 0] : high[i, 0]]
            np.maximum(patch, self._inside(i, x * np.float32(grid.sign), y, grid.scale), out=patch)
        return out

    def _inside(self, i: int, x: NDArray[np.float32], y: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        """Signed distance to outline ``i`` of pixels at offsets x, y (temporal, inferior) from its centre."""
        c, s = math.cos(self.angle[i]), math.sin(self.angle[i])
        stretch = math.sqrt(self.aspect[i])
        long, short = self.radius[i] * scale * stretch, self.radius[i] * scale / stretch
        p = (np.float32(c) * x + np.float32(s) * y) / np.float32(long)
        q = (np.float32(c) * y - np.float32(s) * x) / np.float32(short)
        rho = np.maximum(np.hypot(p, q), np.float32(1e-3))
        border: NDArray[np.float32] | float = 1.0
        if self.waves.shape[1] and np.any(self.waves[i]):
            c1, s1 = p / rho, q / rho  # of the angle; those of its multiples by the addition theorem
            ck, sk, border = c1, s1, np.ones_like(rho)
            for a, b in self.waves[i]:
                ck, sk = ck * c1 - sk * s1, sk * c1 + ck * s1
                border += np.float32(a) * ck + np.float32(b) * sk
        slope = np.maximum(np.hypot(p / np.float32(long), q / np.float32(short)) / rho, np.float32(1.0 / long))
        return ((border - rho) / slope).astype(np.float32)
