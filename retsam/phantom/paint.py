"""The look of a retina: colours per pixel from an anatomy, before any camera.

Colours are display values (red, green, blue, 0-1) chosen by eye beside real photographs; nothing is measured from them.
"""

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.phantom.anatomy import Anatomy, EyeParameters
from retsam.phantom.raster import Grid, Strokes, resample, signed_distance
from retsam.phantom.vessels import Kind

Image = NDArray[np.float32]

PALE, DARK = (0.92, 0.47, 0.24), (0.70, 0.29, 0.12)
RIM, CUP = (1.10, 0.80, 0.46), (1.16, 1.06, 0.78)
ABSORPTION: Mapping[Kind, tuple[float, float, float]] = {"vein": (0.36, 0.60, 0.50), "artery": (0.20, 0.50, 0.42)}
LESION_LOOK = {
    "hemorrhage": ((0.38, 0.07, 0.05), 0.8, 0.05),
    "hard_exudate": ((1.00, 0.90, 0.52), 0.9, 0.04),
    "drusen": ((0.97, 0.74, 0.42), 0.6, 0.10),
}
"""Colour, opacity and softness of the border in degrees."""


def paint(
    rng: np.random.Generator,
    anatomy: Anatomy,
    p: EyeParameters,
    grid: Grid,
    distance: Mapping[str, Image],
) -> Image:
    """Paint a retina.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
    p : EyeParameters
    grid : Grid
    distance : mapping of str to (height, width) float32
        Signed distance of ``artery``, ``vein`` and each lesion target, pixels, positive inside.

    Returns
    -------
    (height, width, 3) float32
    """
    u, v = grid.coordinates()
    out = _choroid(rng, p, grid)
    from_fovea = np.hypot(u - np.float32(anatomy.fovea[0]), v - np.float32(anatomy.fovea[1]))
    _tessellate(rng, out, p, grid, from_fovea)
    _macula(out, p, from_fovea)
    _lesions(out, distance, grid, ("drusen",))
    _disc(rng, out, anatomy, grid, u, v)
    for kind in ("vein", "artery"):
        _vessels(out, anatomy, grid, kind, distance[kind])
    _lesions(out, distance, grid, ("hemorrhage", "hard_exudate"))
    return out


def noise(rng: np.random.Generator, grid: Grid, cell: float) -> Image:
    """Smooth noise (height, width) of unit variance at its nodes, ``cell`` degrees apart."""
    pixels = cell * grid.scale
    nodes = rng.standard_normal((math.ceil(grid.height / pixels) + 4, math.ceil(grid.width / pixels) + 4))
    zoom = np.array([[pixels, 0.0, -1.5 * pixels], [0.0, pixels, -1.5 * pixels]])
    size = (grid.width, grid.height)
    out = cv2.warpAffine(nodes.astype(np.float32), zoom, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return (out if grid.sign < 0 else out[:, ::-1]).astype(np.float32, copy=False)


def blend(out: Image, colour: tuple[float, float, float], alpha: Image) -> None:
    """Cover a picture (H, W, 3) in place with a colour, display values, at opacity ``alpha`` (H, W), 0-1."""
    out += alpha[..., None] * (np.array(colour, np.float32) - out)


def _choroid(rng: np.random.Generator, p: EyeParameters, grid: Grid) -> Image:
    """Background: pigment decides the colour, noise of several sizes the mottling."""
    base = np.array(PALE) + p.pigment * (np.array(DARK) - np.array(PALE))
    base *= 1.0 + np.array([0.03, 0.06, 0.12]) * rng.uniform(-1.0, 1.0, size=3)
    broad, patchy = noise(rng, grid, 9.0), noise(rng, grid, 3.0)
    fine, grainy = noise(rng, grid, 0.9), noise(rng, grid, 0.35)
    value = 1.0 + 0.04 * broad + 0.014 * patchy + 0.018 * fine + 0.014 * grainy
    out = value[..., None] * base.astype(np.float32)
    out[..., 1:] *= (1.0 + 0.03 * patchy + 0.02 * fine)[..., None]
    return out.astype(np.float32)


def _tessellate(rng: np.random.Generator, out: Image, p: EyeParameters, grid: Grid, from_fovea: Image) -> None:
    """Choroidal vessels shine through as pale-orange streaks, least at the macula."""
    level = noise(rng, grid, 1.5) + 0.6 * noise(rng, grid, 3.2)
    streak = np.exp(-((level / 0.45) ** 2)) - 0.45
    away = 1.0 - 0.85 * np.exp(-((from_fovea / 6.0) ** 2))
    strength = (p.tessellation * (1.0 + 0.4 * noise(rng, grid, 8.0)) * away * streak)[..., None]
    out *= 1.0 + strength * np.array([0.14, 0.26, 0.36], np.float32)


def _macula(out: Image, p: EyeParameters, from_fovea: Image) -> None:
    """Darker, with yellow pigment that absorbs blue and green."""
    wide, deep = np.exp(-((from_fovea / 3.4) ** 2)), np.exp(-((from_fovea / 1.1) ** 2))
    shade = p.macular_pigment * (0.7 * wide + 0.3 * deep)
    out *= 1.0 - shade[..., None] * np.array([0.30, 0.52, 0.55], np.float32)


def _disc(rng: np.random.Generator, out: Image, anatomy: Anatomy, grid: Grid, u: Image, v: Image) -> None:
    """Rim and cup with soft borders, paler temporally, with a faint glow around."""
    level, cup = anatomy.disc.level(u, v), anatomy.cup.level(u, v)
    radius = np.float32(0.5 * anatomy.disc_diameter)
    out *= 1.0 + (0.12 * np.exp(-(((level - 0.9) / 0.7) ** 2)))[..., None]
    texture = 1.0 + 0.03 * noise(rng, grid, 0.8)
    pallor = np.clip(u / radius, -1.0, 1.0) * 0.05
    tone = rng.uniform(0.9, 1.05)
    rim = step((1.0 - level) * radius, 0.12)
    blend(out, RIM, rim)
    out *= 1.0 + rim[..., None] * (pallor[..., None] * np.array([0.0, 0.9, 1.2], np.float32) + np.float32(tone - 1.0))
    inner = step(anatomy.cup.signed_distance(grid) / np.float32(grid.scale), 0.18)
    blend(out, CUP, 0.85 * inner)
    out *= 1.0 + rim[..., None] * (texture - 1.0)[..., None]


def step(distance: Image, softness: float) -> Image:
    """Rise from 0 to 1 around distance 0, within about ``softness`` on both sides."""
    return (0.5 + 0.5 * np.tanh(distance / np.float32(softness))).astype(np.float32)


def _vessels(out: Image, anatomy: Anatomy, grid: Grid, kind: Kind, distance: Image) -> None:
    """Blood absorbs more the longer the way through it; wide arteries carry a light reflex."""
    cover = np.clip(distance + 0.5, 0.0, 1.0)
    depth = 0.5 + 0.5 * np.clip(distance / np.float32(0.16 * grid.scale), 0.0, 1.0)
    out *= 1.0 - (cover * depth)[..., None] * np.array(ABSORPTION[kind], np.float32)
    strokes = resample(anatomy.tree(kind), grid)
    wide = strokes.radius > 0.1 * grid.scale
    core = Strokes(strokes.middle[wide], strokes.half[wide], 0.25 * strokes.radius[wide])
    reflex = signed_distance(core, (grid.height, grid.width))
    strength = 0.30 if kind == "artery" else 0.10
    out *= 1.0 + (strength * np.clip(reflex + 0.5, 0.0, 1.0))[..., None] * np.array([0.5, 1.0, 0.8], np.float32)


def _lesions(out: Image, distance: Mapping[str, Image], grid: Grid, targets: tuple[str, ...]) -> None:
    for target in targets:
        colour, opacity, softness = LESION_LOOK[target]
        if distance[target].max() > 0:
            blend(out, colour, opacity * step(distance[target], softness * grid.scale))
