"""The camera: what part of the retina is on the picture, and what light, lens, sensor and haste do to it.

Camera coordinates are in radii of the field of view from its centre: x towards temporal, y down, so that a left eye's
photograph is the mirror image of the right one's but for sensor noise.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.field import Field
from retsam.phantom.anatomy import Anatomy
from retsam.phantom.artifacts import Artifact
from retsam.phantom.population import AIM, EXPOSURE, FAULTS, sample
from retsam.phantom.raster import Grid

Image = NDArray[np.float32]

GRADABLE_FROM = 0.4
"""A phantom is gradable, by definition, where its quality dial is at least this: where the gradability model that the
package ships is in two minds (0.41 by logistic regression of its verdict on the dial, 240 phantoms of all presets)."""

REFERENCE = 512.0
"""Noise is stated for a field of view this wide, pixels; a finer sensor has proportionally more in each pixel."""

WORST: Mapping[str, float] = MappingProxyType(
    {"defocus": 0.0147, "motion": 0.10, "darkness": 3.9, "glare": 2.6, "haze": 3.0, "veil": 0.65, "noise": 7.4}
)
"""What the faults amount to at 1: standard deviation of the defocus and length of the motion in diameters, natural
logarithms of light lost and gained, optical depth of the haze and how far its own colour veils the picture, and by how
many times the noise grows. Set so that every fault alone makes a picture ungradable at about the same dial."""

BLACK = 0.008
"""What the sensor shows where no light falls."""

VEIL, GLOW = (0.66, 0.58, 0.42), (0.70, 0.78, 0.66)
"""Colours of haze and of stray light at the rim, display values 0-1, by eye beside real photographs."""


@dataclass(frozen=True)
class Camera:
    """A camera preset.

    Attributes
    ----------
    field_degrees : float
        Diameter of the field of view.
    diameter : float
        Of the field of view, as a fraction of the size asked for.
    width, height : float
        Of the photograph, in diameters; one below 1 cuts the circle at its edges.
    shift : float
        Of the circle from the photograph's middle towards temporal, in diameters.
    half_width, half_height : float
        Where straight masks inside the photograph cut the circle, in radii from its centre; 1 for none.
    tab : tuple of float
        x, y and radius, in radii, of a small half-disc on the rim that some cameras mark; a negative radius cuts it out
        of the picture, 0 is none.
    gain : tuple of float
        Colour cast, red green blue.
    vignette : float
        Loss of light at the border, 0-1.
    blur : float
        Standard deviation of the point spread, in diameters.
    noise : float
        Standard deviation of the sensor noise, 0-1, at a medium grey and ``REFERENCE`` pixels.
    halo : float
        Overshoot that the camera's own sharpening adds, as a fraction of the fine detail.
    jpeg : int
        Quality of its files, 1-100.
    """

    field_degrees: float = 45.0
    diameter: float = 1.0
    width: float = 1.04
    height: float = 1.04
    shift: float = 0.0
    half_width: float = 1.0
    half_height: float = 1.0
    tab: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vignette: float = 0.3
    blur: float = 0.0021
    noise: float = 0.003
    halo: float = 0.0
    jpeg: int = 92

    def inside(self, x: Image, y: Image) -> Image:
        """Signed distance to the border of the visible part, in radii, positive inside; any broadcastable shapes."""
        out = np.minimum(1.0 - np.sqrt(x * x + y * y), self.half_width - np.abs(x))
        out = np.minimum(out, self.half_height - np.abs(y))
        at_x, at_y, radius = self.tab
        if radius:
            mark = np.float32(abs(radius)) - np.hypot(x - np.float32(at_x), y - np.float32(at_y))
            out = np.maximum(out, mark) if radius > 0 else np.minimum(out, -mark)
        return out.astype(np.float32, copy=False)


CAMERAS: Mapping[str, Camera] = MappingProxyType(
    {
        "round45": Camera(vignette=0.32, noise=0.0025, jpeg=94),
        "wide45": Camera(
            diameter=1.12,
            width=1.34,
            height=1.03,
            shift=0.02,
            gain=(1.02, 0.92, 0.76),
            vignette=0.22,
            blur=0.0018,
            noise=0.002,
            halo=0.5,
            jpeg=95,
        ),
        "cut50": Camera(
            field_degrees=50.0,
            diameter=0.94,
            width=1.22,
            height=0.86,
            gain=(0.84, 0.84, 0.82),
            vignette=0.42,
            blur=0.0025,
            noise=0.005,
            jpeg=88,
        ),
        "tab50": Camera(
            field_degrees=50.0,
            width=1.06,
            height=1.02,
            half_height=0.93,
            tab=(0.0, -0.93, 0.028),
            gain=(0.98, 0.86, 0.62),
            vignette=0.2,
            halo=0.3,
            jpeg=92,
        ),
        "cut45_green": Camera(
            diameter=0.96,
            width=1.3,
            height=1.05,
            half_width=0.985,
            half_height=0.8,
            gain=(0.74, 0.94, 0.66),
            vignette=0.45,
            blur=0.0027,
            noise=0.0055,
            jpeg=85,
        ),
        "notch45_violet": Camera(
            diameter=1.05,
            width=1.02,
            height=1.02,
            tab=(0.785, -0.62, -0.024),
            gain=(0.86, 0.94, 1.3),
            vignette=0.28,
            blur=0.002,
            halo=0.25,
            jpeg=90,
        ),
        "narrow30": Camera(
            field_degrees=30.0, width=1.3, height=1.06, gain=(1.04, 0.98, 0.86), vignette=0.3, blur=0.0026, jpeg=92
        ),
        "wide60": Camera(
            field_degrees=60.0,
            diameter=1.06,
            width=1.08,
            height=1.04,
            gain=(0.95, 0.95, 0.9),
            vignette=0.5,
            blur=0.0018,
            noise=0.0045,
            halo=0.4,
            jpeg=93,
        ),
    }
)
"""Made-up cameras: shapes of the field, fields of 30 to 60 degrees, and colours as photographs of many makes have them.
``round45`` is square."""


@dataclass(frozen=True)
class View:
    """A photograph's geometry: the grid over the retina, and the field of view in its pixels."""

    camera: Camera
    grid: Grid
    field: Field


def aim(
    rng: np.random.Generator, camera: Camera, anatomy: Anatomy, sign: int, size: int, gaze: float | None = None
) -> View:
    """Point the camera at the macula, at the disc or between them.

    From 45 degrees on, the whole disc is in view; a narrower field is centred on the disc or on the macula and may lose
    the other.

    Parameters
    ----------
    rng : Generator
    camera : Camera
    anatomy : Anatomy
    sign : int
        See ``Grid.sign``.
    size : int
        The field of view is ``camera.diameter * size`` pixels wide.
    gaze : float, optional
        Where to look on the line from the disc (0) to the fovea (1); drawn from ``population.AIM`` by default.

    Returns
    -------
    View
    """
    drawn = sample(rng, AIM)
    diameter = camera.diameter * size
    width, height = round(camera.width * diameter), round(camera.height * diameter)
    x, y = (width - 1) / 2 + sign * camera.shift * diameter, (height - 1) / 2
    field_degrees = camera.field_degrees / drawn["magnification"]
    line = np.array(anatomy.fovea)
    normal = np.array([-line[1], line[0]]) / float(np.hypot(*line))
    part = _gaze(drawn["gaze"], camera) if gaze is None else gaze
    target = (part + drawn["along"]) * line + drawn["across"] * normal
    if camera.field_degrees >= 45.0:
        target = target * _within(camera, field_degrees, target, max(anatomy.disc.semi_u, anatomy.disc.semi_v))
    scale = diameter / field_degrees
    grid = Grid(width, height, x - sign * scale * float(target[0]), y - scale * float(target[1]), scale, sign)
    across = (np.arange(width) - x)[None, :] / (sign * diameter / 2)
    down = (np.arange(height) - y)[:, None] / (diameter / 2)
    return View(camera, grid, Field(camera.inside(across, down) >= 0, x, y, diameter / 2))


def _gaze(draw: float, camera: Camera) -> float:
    """Turn a uniform draw into where to look, 0 the disc and 1 the fovea; see ``population.AIM``."""
    if camera.field_degrees < 45.0:
        return 1.0 if draw < 0.5 else 0.0
    if draw < 0.5:
        return 0.92
    return 0.45 + 0.4 * (draw - 0.5) / 0.35 if draw < 0.85 else 0.1


def _within(camera: Camera, field_degrees: float, target: NDArray[np.float64], disc: float) -> float:
    """Largest factor up to 1 on the way from the disc to the target that keeps the disc in the picture."""
    room = 0.48 * field_degrees
    limits = [
        (float(np.hypot(*target)), room),
        (abs(float(target[0])), room * min(camera.half_width, camera.width - 2.0 * abs(camera.shift))),
        (abs(float(target[1])), room * min(camera.half_height, camera.height)),
    ]
    return min([1.0, *(max(edge - disc, 0.0) / way for way, edge in limits if way > 0)])


@dataclass(frozen=True)
class Faults:
    """How far each fault has gone, 0 (none) to 1 (nothing is left of the picture)."""

    defocus: float
    motion: float
    darkness: float
    glare: float
    haze: float
    uneven: float

    @classmethod
    def at(cls, quality: float, drawn: Mapping[str, float]) -> "Faults":
        """All faults grow as the dial falls; one of them, drawn, grows most."""
        kinds = ("defocus", "motion", "darkness", "glare", "haze", "uneven")
        dominant = kinds[min(int(drawn["dominant"] * len(kinds)), len(kinds) - 1)]
        share = {kind: 1.0 if kind == dominant else drawn.get(kind, 0.0) for kind in kinds}
        if dominant == "glare":
            share["darkness"] = 0.0
        if dominant == "motion":  # motion alone leaves the vessels along its direction
            share["defocus"] = 0.75
        return cls(**{kind: part * (1.0 - quality) for kind, part in share.items()})


def expose(
    rng: np.random.Generator, retina: Image, view: View, quality: float, artifacts: Iterable[Artifact] = ()
) -> NDArray[np.uint8]:
    """Photograph a painted retina.

    Parameters
    ----------
    rng : Generator
    retina : (H, W, 3) float32
        Red, green, blue, 0-1; left as it is.
    view : View
    quality : float
        Dial from 0 (nothing can be graded) to 1; see ``population.FAULTS``.
    artifacts : iterable of Artifact
        Painted in this order between lens and sensor.

    Returns
    -------
    (H, W, 3) uint8
        Nearly black outside the field of view.
    """
    camera, rows, cols = view.camera, *_box(view.field)
    field = replace(
        view.field, mask=view.field.mask[rows, cols], x=view.field.x - cols.start, y=view.field.y - rows.start
    )
    look, fate = sample(rng, EXPOSURE), sample(rng, FAULTS)
    faults = Faults.at(quality, fate)
    height, width = field.mask.shape
    across = ((np.arange(width) - field.x) * (view.grid.sign / field.radius)).astype(np.float32)[None, :]
    down = ((np.arange(height) - field.y) / field.radius).astype(np.float32)[:, None]
    tint = np.array(camera.gain) * [look["tint_red"], 1.0, look["tint_blue"]]
    picture = _spread(retina[rows, cols], tint.astype(np.float32), look["scatter"], faults.haze, field.radius)
    picture = defocus(picture, (camera.blur * look["focus"] + _grown("defocus", faults.defocus)) * 2.0 * field.radius)
    picture = move(picture, _grown("motion", faults.motion) * 2.0 * field.radius, fate["motion_angle"], view.grid.sign)
    _light(picture, across, down, camera, look, fate, faults.uneven)
    for artifact in artifacts:
        artifact.paint(picture, field, artifact.distance(field, (height, width)))
    level = look["exposure"] * math.exp(_grown("glare", faults.glare) - _grown("darkness", faults.darkness))
    cover = np.clip(camera.inside(across, down) * np.float32(field.radius) + np.float32(0.5), 0.0, 1.0)
    grain = look["grain"] * (1.0 + _grown("noise", 1.0 - quality))
    out = np.full(retina.shape, round(255 * BLACK), np.uint8)
    out[rows, cols] = _develop(rng, picture, cover * np.float32(level), camera, grain, field.radius)
    return out


def _box(field: Field) -> tuple[slice, slice]:
    """Rows and columns that show the field of view, with two pixels around it."""
    rows, cols = np.flatnonzero(field.mask.any(axis=1)), np.flatnonzero(field.mask.any(axis=0))
    return slice(max(rows[0] - 2, 0), rows[-1] + 3), slice(max(cols[0] - 2, 0), cols[-1] + 3)


def _grown(name: str, fault: float) -> float:
    """Amount of a fault; slow at first, because a good photograph's small faults do not show."""
    return float(WORST[name] * fault**1.45)


def defocus(picture: Image, sigma: float) -> Image:
    """Return a picture (H, W, 3) blurred by a Gaussian of standard deviation ``sigma``, pixels.

    A wide one is computed on a coarser grid, which changes nothing that is left to see.
    """
    if sigma < 0.2:
        return picture
    step = 2 ** max(int(math.log2(max(sigma, 1.0) / 2.5)), 0)
    if step == 1:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
    height, width = picture.shape[:2]
    small = (max(width // step, 1), max(height // step, 1))
    coarse = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), sigma * small[0] / width, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _spread(retina: Image, tint: NDArray[np.float32], scatter: float, haze: float, radius: float) -> Image:
    """Colour cast, and light that the media of the eye spread widely: some in any eye, most of it in a hazy one."""
    wide = defocus(retina, 0.12 * radius)
    part = 1.0 - (1.0 - scatter) * math.exp(-_grown("haze", haze))
    veil = min(0.25 + _grown("veil", haze), 0.7)
    picture = cv2.addWeighted(retina, 1.0 - part, wide, part * (1.0 - veil), 0.0)
    return np.asarray((picture + np.array(VEIL, np.float32) * np.float32(part * veil)) * tint, np.float32)


def move(picture: Image, length: float, angle: float, sign: int) -> Image:
    """Return a picture (H, W, 3) blurred by motion: its mean along a straight line.

    Parameters
    ----------
    picture : (H, W, 3) float32
    length : float
        Of the line, pixels; a long one is computed on a coarser grid.
    angle : float
        Degrees from temporal to inferior.
    sign : int
        See ``Grid.sign``.
    """
    if length < 1.0:
        return picture
    height, width = picture.shape[:2]
    step = 2 if length > 24 else 1
    coarse = picture if step == 1 else cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    half = length / step / 2.0
    reach = math.ceil(half) + 1
    place = np.arange(-reach, reach + 1, dtype=np.float32)
    cosine, sine = sign * math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along = place[None, :] * cosine + place[:, None] * sine
    beside = place[:, None] * cosine - place[None, :] * sine
    kernel = np.clip(half + 0.5 - np.abs(along), 0.0, 1.0) * np.clip(1.0 - np.abs(beside), 0.0, 1.0)
    moved = cv2.filter2D(coarse, -1, (kernel / kernel.sum()).astype(np.float32), borderType=cv2.BORDER_REFLECT)
    return np.asarray(moved if step == 1 else cv2.resize(moved, (width, height), interpolation=cv2.INTER_LINEAR))


def _light(
    picture: Image,
    across: Image,
    down: Image,
    camera: Camera,
    look: Mapping[str, float],
    fate: Mapping[str, float],
    uneven: float,
) -> None:
    """Multiply the light's spread over the field, and add what strays in at the rim; ``uneven`` is a fault, 0-1."""
    off = (across - np.float32(look["light_x"])) ** 2 + (down - np.float32(look["light_y"])) ** 2
    light = 1.0 - np.float32(0.8 * min(camera.vignette * look["vignette"], 0.8)) * off
    np.clip(light, 0.05, None, out=light)
    lost = _side(across, down, fate["dark_side"], 1.1 - 3.0 * uneven**1.2, 1.2)
    lost *= np.float32(min(3.0 * uneven, 0.96))
    light *= 1.0 - lost
    picture *= light[..., None]
    pale = _side(across, down, look["glow_side"], 0.45, 0.9) * np.float32(look["glow"])
    if fate["flare"] > 0.5:
        pale += lost
    picture += pale[..., None] * np.array(GLOW, np.float32)


def _side(across: Image, down: Image, angle: float, start: float, width: float) -> Image:
    """Smooth rise (H, W) from 0 to 1 towards a direction, from ``start`` radii on over ``width`` radii."""
    cosine, sine = np.float32(math.cos(math.radians(angle))), np.float32(math.sin(math.radians(angle)))
    t = np.clip((across * cosine + down * sine - np.float32(start)) / np.float32(width), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def _develop(
    rng: np.random.Generator, picture: Image, level: Image, camera: Camera, grain: float, radius: float
) -> NDArray[np.uint8]:
    """Exposure (0 outside the field of view), sensor noise (shot and read), sharpening, tone and 8 bits."""
    picture *= level[..., None]
    sigma = np.float32(camera.noise * grain * 2.0 * radius / REFERENCE)
    shot = np.sqrt(np.clip(picture, 0.0, 1.0) * np.float32(2.0) + np.float32(0.1))
    shot *= rng.standard_normal(picture.shape, dtype=np.float32)
    shot *= sigma
    picture += shot
    if camera.halo > 0.0:
        soft = defocus(picture, max(0.004 * 2.0 * radius, 0.5))
        picture += np.float32(camera.halo) * (picture - soft)
    picture += np.float32(BLACK)
    # A soft shoulder keeps highlights of the disc below saturation, as cameras do.
    high = picture > 0.8
    picture[high] = 1.0 - 0.2 * np.exp(4.0 - 5.0 * picture[high])
    return np.clip(np.rint(picture * np.float32(255.0)), 0, 255).astype(np.uint8)
