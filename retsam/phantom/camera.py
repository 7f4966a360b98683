"""The camera: what part of the retina is on the picture, and what light, lens, sensor and haste do to it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.field import Field
from retsam.phantom.anatomy import Anatomy
from retsam.phantom.raster import Grid

GRADABLE_FROM = 0.35
"""A phantom is gradable, by definition, where its quality dial is at least this."""


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
        Of the photograph, in diameters; a height below 1 cuts the circle at top and bottom.
    shift : float
        Of the circle from the photograph's middle towards temporal, in diameters.
    gain : tuple of float
        Colour cast, red green blue.
    vignette : float
        Loss of light at the border, 0-1.
    blur : float
        Standard deviation of the point spread, in diameters.
    noise : float
        Standard deviation of the sensor noise, 0-1.
    """

    field_degrees: float
    diameter: float
    width: float
    height: float
    shift: float
    gain: tuple[float, float, float]
    vignette: float
    blur: float
    noise: float


CAMERAS: Mapping[str, Camera] = MappingProxyType(
    {
        "round45": Camera(45.0, 1.0, 1.04, 1.04, 0.0, (1.0, 1.0, 1.0), 0.32, 0.0009, 0.010),
        "wide45": Camera(45.0, 1.12, 1.34, 1.03, 0.02, (1.1, 0.92, 0.78), 0.22, 0.0007, 0.008),
        "cut50": Camera(50.0, 0.94, 1.22, 0.86, 0.0, (0.88, 0.86, 0.82), 0.42, 0.0012, 0.014),
    }
)
"""Three made-up cameras: a square picture, a wide one, and one cut at top and bottom, dimmer and noisier."""


@dataclass(frozen=True)
class View:
    """A photograph's geometry: the grid over the retina, and the field of view in its pixels."""

    camera: Camera
    grid: Grid
    field: Field


def aim(rng: np.random.Generator, camera: Camera, anatomy: Anatomy, sign: int, size: int) -> View:
    """Point the camera: between disc and macula, mostly at the macula, with the whole disc in view.

    Parameters
    ----------
    rng : Generator
    camera : Camera
    anatomy : Anatomy
    sign : int
        See ``Grid.sign``.
    size : int
        The field of view is ``camera.diameter * size`` pixels wide.
    """
    diameter = camera.diameter * size
    width, height = round(camera.width * diameter), round(camera.height * diameter)
    x, y = (width - 1) / 2 + sign * camera.shift * diameter, (height - 1) / 2
    gaze = rng.uniform(0.65, 0.95) * np.array(anatomy.fovea) + rng.uniform(-1.0, 1.0, size=2)
    furthest = 0.48 * camera.field_degrees - max(anatomy.disc.semi_u, anatomy.disc.semi_v)
    gaze = gaze * min(1.0, furthest / float(np.hypot(*gaze)))
    scale = diameter / camera.field_degrees * math.exp(0.02 * rng.uniform(-1.0, 1.0))
    grid = Grid(width, height, x - sign * scale * float(gaze[0]), y - scale * float(gaze[1]), scale, sign)
    across, down = np.arange(width) - x, np.arange(height) - y
    mask = np.hypot(across[None, :], down[:, None]) <= diameter / 2
    return View(camera, grid, Field(mask, x, y, diameter / 2))


def expose(rng: np.random.Generator, retina: NDArray[np.float32], view: View, quality: float) -> NDArray[np.uint8]:
    """Photograph a painted retina.

    Parameters
    ----------
    rng : Generator
    retina : (H, W, 3) float32
        Red, green, blue, 0-1.
    view : View
    quality : float
        Dial from 0 (nothing can be graded) to 1: defocus, darkness, haze and noise grow as it falls.

    Returns
    -------
    (H, W, 3) uint8
        Black outside the field of view but for sensor noise.
    """
    camera, field = view.camera, view.field
    fault = (1.0 - quality) ** 1.7
    blur, dark, haze = (fault * rng.uniform(0.7, 1.0, size=3) * np.array([0.016, 0.72, 0.6])).tolist()
    across = ((np.arange(view.grid.width) - field.x) / field.radius).astype(np.float32)[None, :]
    down = ((np.arange(view.grid.height) - field.y) / field.radius).astype(np.float32)[:, None]
    distance = np.hypot(across, down)
    angle, tilt = float(rng.uniform(0.0, 2.0 * math.pi)), float(rng.uniform(0.02, 0.14))
    light = 1.0 - camera.vignette * distance**3 + tilt * (math.cos(angle) * across + math.sin(angle) * down)
    light *= (1.0 - dark) * math.exp(0.08 * rng.standard_normal())
    veil = np.array([0.62, 0.56, 0.44], np.float32)
    picture = retina * np.array(camera.gain, np.float32) * np.float32(1.0 - haze) + veil * np.float32(haze)
    sigma = (camera.blur + blur) * 2.0 * field.radius
    picture = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    edge = np.clip((1.0 - distance) * np.float32(field.radius) + 0.5, 0.0, 1.0)
    picture = picture * (light * edge)[..., None]
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    picture += grain * (camera.noise + 0.02 * fault) * (0.15 + 0.85 * edge)[..., None] + 0.008
    # A soft shoulder keeps highlights of the disc below saturation, as cameras do.
    picture = np.where(picture > 0.8, 1.0 - 0.2 * np.exp(4.0 - 5.0 * picture), picture)
    return np.clip(np.rint(picture * 255.0), 0, 255).astype(np.uint8)
