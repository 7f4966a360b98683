"""A phantom: one photograph with everything that is true about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retsam.field import Field, make_frame
from retsam.geometry import Frame
from retsam.phantom.anatomy import PHENOTYPES, Anatomy, EyeParameters, build_anatomy
from retsam.phantom.camera import CAMERAS, GRADABLE_FROM, View, aim, expose
from retsam.phantom.paint import paint
from retsam.phantom.raster import Grid, Strokes, resample, signed_distance

Eye = Literal["OD", "OS"]

LESIONS = ("hemorrhage", "hard_exudate", "drusen")
"""Lesion targets that a phantom can have; without the disease their masks are empty."""


@dataclass(frozen=True)
class Phantom:
    """A synthetic fundus photograph with truth; pixels are those of the photograph.

    Attributes
    ----------
    image : (H, W, 3) uint8
        Red, green, blue.
    masks : dict of str to (H, W) bool
        ``fov``, ``vessel``, ``artery``, ``vein``, ``optic_disc``, ``optic_cup``, ``fovea`` (a disc of one disc
        diameter) and the targets of :data:`LESIONS`; all inside the field of view.
    eye : "OD" or "OS"
    disc, fovea : tuple of float
        Centres x, y, pixels.
    camera : str
        Key of ``camera.CAMERAS``.
    quality : float
        Dial, 0-1.
    parameters : EyeParameters
    anatomy : Anatomy
        In degrees.
    view : View
        Where the retina lies on the photograph.
    """

    image: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]]
    eye: Eye
    disc: tuple[float, float]
    fovea: tuple[float, float]
    camera: str
    quality: float
    parameters: EyeParameters
    anatomy: Anatomy
    view: View

    @property
    def gradable(self) -> bool:
        """Whether the quality dial is at least ``camera.GRADABLE_FROM``."""
        return self.quality >= GRADABLE_FROM

    @property
    def field(self) -> Field:
        """True field of view, photograph pixels."""
        return self.view.field

    def frame(self, frame_size: int) -> Frame:
        """Canonical frame from the true field of view."""
        return make_frame(self.view.grid.width, self.view.grid.height, self.field, frame_size)

    def truth(self, frame_size: int) -> dict[str, NDArray[np.bool_]]:
        """Masks drawn in the canonical frame, (frame_size, frame_size) bool each; names as in ``masks``.

        Structures are drawn anew at the frame's resolution, so that no resampling error enters the truth.
        """
        frame = self.frame(frame_size)
        grid = self.view.grid.in_frame(frame)
        return draw_masks(self.anatomy, grid, frame.warp(self.field.mask), distances(self.anatomy, grid))


def render(
    seed: int | np.random.Generator,
    size: int = 512,
    *,
    eye: Eye | None = None,
    camera: str | None = None,
    quality: float | None = None,
    diseases: Iterable[str] = (),
    phenotypes: Mapping[str, float] | None = None,
    **parameters: Any,
) -> Phantom:
    """Render one phantom.

    Parameters
    ----------
    seed : int or Generator
        The same seed gives the same bytes. What is left open is drawn from it; fixing one thing leaves the rest as is,
        so ``eye="OD"`` and ``eye="OS"`` with one seed are mirror images but for sensor noise.
    size : int
        Diameter of the field of view in pixels, times the camera's own factor (0.94-1.12).
    eye : "OD" or "OS", optional
    camera : str, optional
        Key of ``camera.CAMERAS``; ``round45`` is square and has exactly ``size``.
    quality : float, optional
        0 (ungradable) to 1; 0.75-1 is drawn by default.
    diseases : iterable of str
        ``dr`` and ``amd`` add lesions.
    phenotypes : mapping of str to float, optional
        Standard scores (see ``anatomy.PHENOTYPES``); drawn from the population by default.
    **parameters
        Fields of ``EyeParameters`` to set outright, for example ``cup_ratio=0.5``.

    Returns
    -------
    Phantom

    Raises
    ------
    ValueError
        For an eye, camera or phenotype that does not exist, or a quality outside 0-1.
    TypeError
        For an unknown parameter.
    """
    rng = np.random.default_rng(seed)
    drawn = dict(zip(PHENOTYPES, rng.standard_normal(len(PHENOTYPES)).tolist(), strict=True))
    picked_eye: Eye = "OD" if rng.random() < 0.5 else "OS"
    eye = picked_eye if eye is None else eye
    picked_camera = str(rng.choice(list(CAMERAS)))
    camera = picked_camera if camera is None else camera
    picked_quality = float(rng.uniform(0.75, 1.0))
    quality = picked_quality if quality is None else quality
    if eye not in ("OD", "OS"):
        raise ValueError(f"eye is {eye!r}; give OD or OS")
    if camera not in CAMERAS:
        raise ValueError(f"camera is {camera!r}; known are {list(CAMERAS)}")
    if not 0.0 <= quality <= 1.0:
        raise ValueError(f"quality is {quality}; give a number from 0 to 1")
    p = replace(EyeParameters.sample(rng, drawn if phenotypes is None else phenotypes), **parameters)
    anatomy = build_anatomy(rng, p, frozenset(diseases))
    view = aim(rng, CAMERAS[camera], anatomy, -1 if eye == "OD" else 1, size)
    distance = distances(anatomy, view.grid)
    image = expose(rng, paint(rng, anatomy, p, view.grid, distance), view, quality)
    masks = draw_masks(anatomy, view.grid, view.field.mask, distance)
    disc, fovea = (tuple(view.grid.to_px(place).tolist()) for place in (anatomy.disc.centre, anatomy.fovea))
    return Phantom(image, masks, eye, disc, fovea, camera, quality, p, anatomy, view)


def distances(anatomy: Anatomy, grid: Grid) -> dict[str, NDArray[np.float32]]:
    """Signed distances (height, width) in pixels, positive inside, of everything that is drawn by stamping."""
    shape = (grid.height, grid.width)
    out = {kind: signed_distance(resample(anatomy.tree(kind), grid), shape) for kind in ("artery", "vein")}
    for lesions in anatomy.lesions:
        out[lesions.target] = signed_distance(
            Strokes.dots(grid.to_px(lesions.centres), lesions.radius * grid.scale), shape
        )
    return out


def draw_masks(
    anatomy: Anatomy, grid: Grid, fov: NDArray[np.bool_], distance: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.bool_]]:
    """Masks (height, width) bool of all targets on a grid, cut to the field of view."""
    u, v = grid.coordinates()
    artery, vein = distance["artery"] >= 0, distance["vein"] >= 0
    radius = 0.5 * anatomy.disc_diameter
    masks = {
        "vessel": artery | vein,
        "artery": artery,
        "vein": vein,
        "optic_disc": anatomy.disc.level(u, v) <= 1,
        "optic_cup": anatomy.cup.level(u, v) <= 1,
        "fovea": np.hypot(u - np.float32(anatomy.fovea[0]), v - np.float32(anatomy.fovea[1])) <= radius,
        **{target: distance[target] >= 0 for target in LESIONS},
    }
    return {"fov": fov, **{name: mask & fov for name, mask in masks.items()}}
