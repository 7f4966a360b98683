"""The look of a retina: colours per pixel from an anatomy, before any camera.

Colours are display values (red, green, blue, 0-1) chosen by eye beside real photographs; nothing is measured from them.
Everything smooth is computed on a coarser grid and enlarged. Left eyes are painted, right ones are their mirror image.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.phantom.anatomy import Anatomy, EyeParameters
from retsam.phantom.disc import window
from retsam.phantom.finding import Layer
from retsam.phantom.population import Parameter, Table, sample
from retsam.phantom.raster import Grid, Strokes, resample, signed_distance
from retsam.phantom.texture import Texture
from retsam.phantom.vessels import Kind

Image = NDArray[np.float32]
Colour = tuple[float, float, float]

_EYE = "by eye"
LOOK: Table = (
    Parameter("lightness", "", "normal", 0.0, 0.09, "of the background, added to what pigment makes of it", _EYE),
    Parameter("hue", "", "normal", 0.0, 0.07, "yellow (above 0) to red, added to green over red", _EYE),
    Parameter("blue", "", "normal", 0.42, 0.13, "blue over green of the background", _EYE, 0.08, 0.75),
    Parameter("mottle", "", "lognormal", 1.0, 0.35, "factor on all unevenness of the background", _EYE),
    Parameter("contrast", "", "lognormal", 0.88, 0.2, "factor on the darkness of vessels", _EYE, 0.6, 1.3),
    Parameter("artery_light", "", "lognormal", 0.68, 0.10, "darkness of arteries over that of veins", _EYE, 0.5, 0.9),
    Parameter("reflex", "", "lognormal", 0.28, 0.4, "strength of the arteries' central light reflex", _EYE, 0.0, 0.6),
    Parameter("disc_light", "", "normal", 1.0, 0.07, "factor on the disc's brightness", _EYE, 0.8, 1.2),
    Parameter("disc_pink", "", "uniform", 0.0, 1.0, "rim from yellow to pink", _EYE),
    Parameter("cup_pallor", "", "uniform", 0.5, 1.0, "opacity of the cup's pale floor", _EYE),
    Parameter("margin", "degree", "lognormal", 0.13, 0.3, "softness of the disc's temporal margin", _EYE, 0.06, 0.28),
    Parameter("nasal_blur", "", "uniform", 1.0, 2.4, "softness of the nasal over the temporal margin", _EYE),
    Parameter("glow", "", "lognormal", 0.08, 0.5, "brightness around the disc", _EYE, 0.0, 0.2),
    Parameter("macula_width", "degree", "lognormal", 3.3, 0.28, "of the darker macula, standard deviation", _EYE),
    Parameter("foveal_reflex", "", "normal", -0.25, 0.5, "strength of the foveal and macular reflex", _EYE, 0.0, 1.0),
)
"""How pictures of the same anatomy differ."""

GRAINS: Mapping[str, float] = MappingProxyType(
    {"wide": 11.0, "broad": 6.0, "tint": 8.0, "patchy": 2.6, "cloudy": 1.1, "fine": 0.5, "grain": 0.16, "flow": 2.0}
)
"""Textures and their cells, degrees."""
FIBRES = 220
"""Nerve-fibre striations around the disc."""
RED_LIGHT = np.array([0.36, 0.82, 0.78], np.float32)
"""How much of red, green and blue a wide vein takes away."""
FINE_SCALE = 6.0
"""Pixels per degree that suffice for what is smooth over a degree."""


@dataclass(frozen=True)
class Look:
    """All chance in the painting of one eye, drawn before any pixel.

    Attributes
    ----------
    tone : mapping of str to float
        Rows of :data:`LOOK`.
    textures : mapping of str to Texture
        Keys of :data:`GRAINS`.
    fibres : (FIBRES,) float32
        Brightness of the nerve-fibre striations around the disc, standard normal.
    base : tuple of float
        Mean colour of the background.
    """

    tone: Mapping[str, float]
    textures: Mapping[str, Texture]
    fibres: NDArray[np.float32]
    base: Colour

    @classmethod
    def draw(cls, rng: np.random.Generator, p: EyeParameters) -> Self:
        """Draw the look of an eye whose pigment decides the colour of its background."""
        tone = sample(rng, LOOK)
        textures = {name: Texture.draw(rng, cell) for name, cell in GRAINS.items()}
        red = min(0.96, max(0.36, 0.95 - 0.36 * p.pigment + tone["lightness"]))
        green = red * min(0.78, max(0.34, 0.62 - 0.13 * p.pigment + tone["hue"]))
        return cls(tone, textures, rng.standard_normal(FIBRES, np.float32), (red, green, green * tone["blue"]))


def paint(look: Look, anatomy: Anatomy, p: EyeParameters, grid: Grid, distance: Mapping[str, Image]) -> Image:
    """Paint a retina.

    Parameters
    ----------
    look : Look
    anatomy : Anatomy
        Its findings are painted in the order of their layers.
    p : EyeParameters
    grid : Grid
    distance : mapping of str to (height, width) float32
        Signed distance of ``artery`` and ``vein``, pixels, positive inside.

    Returns
    -------
    (height, width, 3) float32
    """
    if grid.sign < 0:
        mirrored = replace(grid, x0=grid.width - 1 - grid.x0, sign=1)
        turned = {kind: np.ascontiguousarray(distance[kind][:, ::-1]) for kind in ("artery", "vein")}
        return np.ascontiguousarray(paint(look, anatomy, p, mirrored, turned)[:, ::-1])
    out = _background(look, p, grid)
    _findings(out, anatomy, grid, Layer.CHOROID)
    _macula(out, look, anatomy, p, grid)
    _findings(out, anatomy, grid, Layer.DEEP)
    _disc(out, look, anatomy, grid)
    _vessels(out, look, anatomy, grid, distance)
    _fibres(out, look, anatomy, p, grid)
    _findings(out, anatomy, grid, Layer.SUPERFICIAL)
    _foveal_reflex(out, look, anatomy, grid)
    _findings(out, anatomy, grid, Layer.PRERETINAL)
    return out


def blend(out: Image, colour: Colour, alpha: Image) -> None:
    """Cover a picture (H, W, 3) in place with a colour, display values, at opacity ``alpha`` (H, W), 0-1."""
    out += alpha[..., None] * (np.array(colour, np.float32) - out)


def step(distance: Image, softness: float) -> Image:
    """Rise from 0 to 1 around distance 0, within about ``softness`` on both sides."""
    return (0.5 + 0.5 * np.tanh(distance / np.float32(softness))).astype(np.float32, copy=False)


def coarser(grid: Grid, finest: float = FINE_SCALE) -> tuple[Grid, int]:
    """Return a grid of whole multiples of the pixels with at least ``finest`` pixels per degree, and the multiple."""
    k = max(1, int(grid.scale / finest))
    middle = (k - 1) / 2
    small = replace(
        grid,
        width=-(-grid.width // k),
        height=-(-grid.height // k),
        x0=(grid.x0 - middle) / k,
        y0=(grid.y0 - middle) / k,
        scale=grid.scale / k,
    )
    return small, k


def enlarge(picture: Image, grid: Grid, k: int) -> Image:
    """Bring a picture on the grid of :func:`coarser` back to the pixels of ``grid``."""
    if k == 1 or not picture.size:
        return picture[: grid.height, : grid.width]
    size = (picture.shape[1] * k, picture.shape[0] * k)
    full = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)[: grid.height, : grid.width]
    return np.ascontiguousarray(full, dtype=np.float32)


def _findings(out: Image, anatomy: Anatomy, grid: Grid, layer: Layer) -> None:
    for finding in anatomy.findings:
        if finding.layer == layer:
            finding.paint(out, grid, finding.distance(grid))


def scale_colours(part: Image, change: Image, weight: Sequence[float]) -> None:
    """Multiply a picture (H, W, 3) in place by ``1 + change * weight``; ``change`` (H, W), one weight per channel."""
    for channel, w in enumerate(weight):
        part[..., channel] *= 1.0 + np.float32(w) * change


def _background(look: Look, p: EyeParameters, grid: Grid) -> Image:
    """Pigment epithelium over choroid: one colour, uneven in brightness and hue on several scales."""
    small, k = coarser(grid)
    noise = {name: look.textures[name].on(small) for name in ("wide", "broad", "tint", "patchy", "cloudy")}
    much = np.float32(look.tone["mottle"])
    value = (
        1.0 + 0.05 * noise["wide"] + much * (0.030 * noise["broad"] + 0.012 * noise["patchy"] + 0.010 * noise["cloudy"])
    )
    yellow = 0.035 * noise["tint"] + much * (0.012 * noise["patchy"] + 0.010 * noise["cloudy"])
    smooth = np.empty((*value.shape, 3), np.float32)
    for channel, (base, weight) in enumerate(zip(look.base, (0.0, 1.0, 1.4), strict=True)):
        smooth[..., channel] = base * value * (1.0 + weight * yellow)
    out = enlarge(smooth, grid, k)
    rough = much * np.float32(0.8 + 0.5 * p.pigment)
    speckle = rough * (np.float32(0.014) * look.textures["fine"].on(grid) + 0.012 * look.textures["grain"].on(grid))
    scale_colours(out, speckle, (0.7, 1.3, 1.3))
    return out


def _macula(out: Image, look: Look, anatomy: Anatomy, p: EyeParameters, grid: Grid) -> None:
    """Darker, with yellow pigment that absorbs blue and green."""
    width = look.tone["macula_width"]
    place, part = window(grid, anatomy.fovea, 3.0 * width)
    u, v = part.coordinates()
    du, dv = u - np.float32(anatomy.fovea[0]), v - np.float32(anatomy.fovea[1])
    squared = du**2 + dv**2
    wide, deep = np.exp(squared * np.float32(-1.0 / width**2)), np.exp(squared * np.float32(-1.0 / 1.2**2))
    shade = np.float32(-p.macular_pigment) * (np.float32(0.75) * wide + np.float32(0.25) * deep)
    scale_colours(out[place], shade.astype(np.float32, copy=False), (0.34, 0.54, 0.56))


def _disc(out: Image, look: Look, anatomy: Anatomy, grid: Grid) -> None:
    """Rim and cup: blurred nasally, redder there and paler temporally, with a faint glow around."""
    tone, disc = look.tone, anatomy.disc
    place, grid = window(grid, disc.centre, 1.6 * anatomy.disc_diameter)
    part = out[place]
    u, v = grid.coordinates()
    radius = np.float32(0.5 * anatomy.disc_diameter)
    level = disc.level(u, v)
    glow = tone["glow"] * np.exp(-(((level - np.float32(0.9)) / np.float32(0.8)) ** 2))
    scale_colours(part, glow.astype(np.float32, copy=False), (0.9, 1.3, 1.2))
    side = np.clip(u / radius, -1.0, 1.0)  # -1 nasal, 1 temporal
    soft = tone["margin"] * (1.0 + (tone["nasal_blur"] - 1.0) * 0.5 * (1.0 - side))
    rim = (0.5 + 0.5 * np.tanh((1.0 - level) * radius / soft)).astype(np.float32)
    light = tone["disc_light"] * (0.55 + 0.45 * look.base[0] / 0.75)
    pink = np.array([1.06, 0.66, 0.46]) * tone["disc_pink"] + np.array([1.04, 0.75, 0.40]) * (1 - tone["disc_pink"])
    grain = 1.0 + 0.03 * look.textures["cloudy"].on(grid) + 0.03 * look.textures["fine"].on(grid)
    around = (1.0 + 1.2 * tone["glow"]) * np.array(look.base)
    pink = np.maximum(light * pink, np.array([0.95, 1.3, 1.3]) * around)  # paler than the retina in fair eyes too
    colour = pink.astype(np.float32) * grain[..., None]
    scale_colours(colour, side, (0.05, 0.15, 0.18))
    part += (0.92 * rim)[..., None] * (colour - part)
    cup = anatomy.cup.signed_distance(grid, lowest=-1.2 * grid.scale)
    floor = tone["cup_pallor"] * step(cup, 0.3 * grid.scale) * (0.9 + 0.1 * side)
    blend(part, tuple(np.maximum(light * np.array([1.16, 1.06, 0.80]), 1.2 * pink)), floor.astype(np.float32))


def _vessels(out: Image, look: Look, anatomy: Anatomy, grid: Grid, distance: Mapping[str, Image]) -> None:
    """Blood takes away more light the longer the way through it; arteries lie over veins and carry a light reflex."""
    small, k = coarser(grid)
    flow = enlarge(1.0 + np.float32(0.10) * look.textures["flow"].on(small), grid, k)
    on_disc = step(anatomy.disc.signed_distance(grid, lowest=-grid.scale), 0.35 * grid.scale)
    kept: dict[Kind, Image] = {}
    place: dict[Kind, NDArray[np.intp]] = {}
    darkness: dict[Kind, float] = {"vein": 1.0, "artery": look.tone["artery_light"]}
    for kind in darkness:
        inside = distance[kind].ravel()
        place[kind] = np.flatnonzero(inside > -0.5)
        depth = inside[place[kind]]
        cover = np.minimum(depth + np.float32(0.5), 1.0)
        thick = np.float32(0.38) + np.float32(0.62) * np.clip(depth / np.float32(0.17 * grid.scale), 0.0, 1.0)
        amount = cover * thick * flow.ravel()[place[kind]] * np.float32(darkness[kind] * look.tone["contrast"])
        white = on_disc.ravel()[place[kind]]
        amount *= 1.0 - np.float32(0.25) * white
        weight = RED_LIGHT * (np.array([0.62, 1.0, 1.0], np.float32) if kind == "artery" else np.float32(1.0))
        kept[kind] = np.clip(1.0 - amount[:, None] * weight, 0.1, 1.0)
        kept[kind][:, 0] **= 1.0 - np.float32(0.4) * white  # blood is redder before white
        kept[kind] *= (1.0 + _reflex(look, anatomy, grid, kind).ravel()[place[kind]] * cover)[:, None]
    over = np.clip(distance["artery"].ravel()[place["vein"]] + 0.5, 0.0, 1.0)
    flat = out.reshape(-1, 3)
    flat[place["vein"]] *= kept["vein"] ** (1.0 - np.float32(0.7) * over)[:, None]
    flat[place["artery"]] *= kept["artery"]


def _reflex(look: Look, anatomy: Anatomy, grid: Grid, kind: Kind) -> Image:
    """Relative brightness (height, width) of the light reflex on the middle third of wide vessels."""
    strength, widest = (look.tone["reflex"], 0.09) if kind == "artery" else (0.35 * look.tone["reflex"], 0.15)
    strokes = resample([s for s in anatomy.tree(kind) if s.radius.max() > widest], grid)
    wide = strokes.radius > widest * grid.scale
    core = Strokes(strokes.middle[wide], strokes.half[wide], 0.26 * strokes.radius[wide])
    return np.float32(strength) * np.clip(signed_distance(core, (grid.height, grid.width)) + 0.6, 0.0, 1.0)


def _fibres(out: Image, look: Look, anatomy: Anatomy, p: EyeParameters, grid: Grid) -> None:
    """Nerve-fibre layer: fine bright lines that leave the disc above and below and arch around the macula."""
    radius, reach = 0.5 * anatomy.disc_diameter, 13.0
    place, grid = window(grid, anatomy.disc.centre, reach)
    small, k = coarser(grid, 11.0)
    u, v = small.coordinates()
    beyond = np.maximum(np.hypot(u, v) - np.float32(radius), 0.0)
    theta = np.arctan2(v, u)
    # Bundles bend towards temporal: farther out, the same fibre is found at a smaller angle.
    origin = theta * (1.0 + beyond / 9.0 * (1.0 - (theta / math.pi) ** 2))
    turn = np.clip(origin / (2.0 * math.pi), -0.5, 0.5) * FIBRES
    below = np.floor(turn).astype(int)
    weight = turn - below
    lines = (1.0 - weight) * look.fibres[below % FIBRES] + weight * look.fibres[(below + 1) % FIBRES]
    arch = np.sin(np.clip(np.abs(origin), 0.0, math.pi)) ** 2
    near = np.exp(-beyond / 4.5) * np.clip(beyond / 0.8, 0.0, 1.0) * np.clip((reach - beyond - radius) / 3.0, 0.0, 1.0)
    strength = p.sheen * (0.6 + 0.8 * p.pigment)
    sheen = np.float32(strength) * near * (0.15 + 0.85 * arch) * (0.13 + 0.10 * lines)
    scale_colours(out[place], enlarge(sheen.astype(np.float32), grid, k), (0.55, 1.0, 1.25))


def _foveal_reflex(out: Image, look: Look, anatomy: Anatomy, grid: Grid) -> None:
    """A bright point in the foveal pit, and a faint ring around the macula."""
    strength = np.float32(look.tone["foveal_reflex"])
    if strength <= 0:
        return
    place, grid = window(grid, anatomy.fovea, 4.5)
    u, v = grid.coordinates()
    du, dv = u - np.float32(anatomy.fovea[0]), v - np.float32(anatomy.fovea[1])
    away = np.hypot(du, dv)
    ring = np.exp(-(((away - 2.6) / 0.45) ** 2)) * (1.0 + 0.6 * np.sin(0.8 + np.arctan2(dv, du)))
    glint = np.float32(0.5) * np.exp(-((away / 0.22) ** 2)) + np.float32(0.08) * ring
    blend(out[place], (0.95, 0.85, 0.70), (strength * glint).astype(np.float32))
