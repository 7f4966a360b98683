"""Smooth noise over the whole retina, the same on any grid."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retsam.phantom.raster import Grid

REACH = 40.0
"""Half side of the square that textures cover, degrees from the disc centre."""


@dataclass(frozen=True)
class Texture:
    """White noise on a lattice, joined by cubic (Catmull-Rom) interpolation.

    Attributes
    ----------
    nodes : (n, n) float32
        Standard normal values, rows inferior, columns temporal, the middle at the disc centre.
    cell : float
        Distance of neighbouring nodes, degrees: the grain of the noise.
    """

    nodes: NDArray[np.float32]
    cell: float

    @classmethod
    def draw(cls, rng: np.random.Generator, cell: float) -> Self:
        """Draw a texture whose grain is ``cell`` degrees."""
        n = 2 * math.ceil(REACH / cell) + 5
        return cls(rng.standard_normal((n, n), dtype=np.float32), cell)

    def on(self, grid: Grid) -> NDArray[np.float32]:
        """Values (height, width) on a grid; unit variance at the nodes, a little less between them."""
        u, v = grid.coordinates()
        column, across = self._taps(u[0])
        row, down = self._taps(v[:, 0])
        rows = down[:, 0, None] * self.nodes[row]
        for tap in range(1, 4):
            rows += down[:, tap, None] * self.nodes[row + tap]
        out = across[:, 0] * rows[:, column]
        for tap in range(1, 4):
            out += across[:, tap] * rows[:, column + tap]
        return out

    def at(self, uv: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values (n,) at retinal points (n, 2) in degrees."""
        column, across = self._taps(uv[:, 0].astype(np.float32))
        row, down = self._taps(uv[:, 1].astype(np.float32))
        tap = np.arange(4)
        patch = self.nodes[row[:, None, None] + tap[:, None], column[:, None, None] + tap]
        return np.einsum("ni,nj,nij->n", down, across, patch)

    def _taps(self, degrees: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """First of the four nodes around each position (n,), and their weights (n, 4); beyond the lattice its edge."""
        n = len(self.nodes)
        place = np.clip(degrees / np.float32(self.cell) + np.float32((n - 1) / 2), 1.0, n - 2.001)
        base = np.floor(place).astype(np.intp)
        t = (place - base).astype(np.float32)
        weights = [
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        ]
        return base - 1, np.stack(weights, axis=1)
