"""A phantom: one photograph with everything that is true about it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from retsam.field import Field, make_frame
from retsam.geometry import Frame
from retsam.phantom.anatomy import PHENOTYPES, Anatomy, EyeParameters, build_anatomy
from retsam.phantom.artifacts import Artifact, artifact_mask, draw_artifacts
from retsam.phantom.camera import CAMERAS, GRADABLE_FROM, View, aim, expose
from retsam.phantom.paint import Look, paint
from retsam.phantom.pathology import afflict
from retsam.phantom.raster import Grid, resample, signed_distance
from retsam.phantom.shapes import Blobs
from retsam.taxonomy import FOV, TARGETS

Eye = Literal["OD", "OS"]
Masks = dict[str, NDArray[np.bool_]]

ARTIFACT = "artifact"
"""The one target that belongs to the picture, not to the eye."""
EVEN_SEVERITY = 0.5
"""Severity of a disease that is named without one."""


@dataclass(frozen=True)
class Streams:
    """Independent random streams of one phantom: what one of them draws never changes what another one does."""

    choice: np.random.Generator
    look: np.random.Generator
    anatomy: np.random.Generator
    findings: np.random.Generator
    camera: np.random.Generator

    @classmethod
    def of(cls, seed: int | np.random.Generator, shot: int = 0) -> Self:
        """Streams of an eye; another ``shot`` of the same eye differs in ``camera`` alone."""
        choice, look, anatomy, findings, camera = np.random.default_rng(seed).spawn(5)
        return cls(choice, look, anatomy, findings, camera.spawn(shot + 1)[shot])


@dataclass(frozen=True)
class Sitter:
    """A healthy eye before the camera: all that decides its true measurements but its findings.

    Attributes
    ----------
    eye : "OD" or "OS"
    camera : str
        Key of ``camera.CAMERAS``.
    quality : float
        Dial, 0-1.
    parameters : EyeParameters
    anatomy : Anatomy
        Without findings.
    view : View
        Where the retina lies on the photograph.
    streams : Streams
    """

    eye: Eye
    camera: str
    quality: float
    parameters: EyeParameters
    anatomy: Anatomy
    view: View
    streams: Streams


@dataclass(frozen=True)
class Phantom:
    """A synthetic fundus photograph with truth; pixels are those of the photograph.

    Attributes
    ----------
    image : (H, W, 3) uint8
        Red, green, blue.
    eye : "OD" or "OS"
    disc, fovea : tuple of float
        Centres x, y, pixels.
    camera : str
        Key of ``camera.CAMERAS``.
    quality : float
        Dial, 0-1.
    parameters : EyeParameters
    anatomy : Anatomy
        In degrees, with its findings.
    view : View
        Where the retina lies on the photograph.
    artifacts : tuple of Artifact
        What the camera added.
    """

    image: NDArray[np.uint8]
    eye: Eye
    disc: tuple[float, float]
    fovea: tuple[float, float]
    camera: str
    quality: float
    parameters: EyeParameters
    anatomy: Anatomy
    view: View
    artifacts: tuple[Artifact, ...]

    @cached_property
    def masks(self) -> Masks:
        """Masks (H, W) bool on the photograph.

        ``fov`` and every target of ``taxonomy.TARGETS`` (``fovea`` is a disc of one disc diameter), all inside the
        field of view; a target that this eye does not have is empty.
        """
        return draw_masks(self.anatomy, self.view, self.artifacts)

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

    def truth(self, frame_size: int) -> Masks:
        """Masks drawn in the canonical frame, (frame_size, frame_size) bool each; names as in ``masks``.

        Structures are drawn anew at the frame's resolution, so that no resampling error enters the truth.
        """
        return draw_masks(self.anatomy, in_frame(self.view, self.frame(frame_size)), self.artifacts)


def sit(
    streams: Streams,
    size: int,
    *,
    eye: Eye | None = None,
    camera: str | None = None,
    quality: float | None = None,
    phenotypes: Mapping[str, float] | None = None,
    **parameters: Any,
) -> Sitter:
    """Grow a healthy eye and aim a camera at it; nothing is drawn yet. Parameters and errors as in :func:`render`."""
    rng = streams.choice
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
    p = replace(EyeParameters.sample(streams.look, drawn if phenotypes is None else phenotypes), **parameters)
    anatomy = build_anatomy(streams.anatomy, p)
    view = aim(streams.camera, CAMERAS[camera], anatomy, -1 if eye == "OD" else 1, size)
    return Sitter(eye, camera, quality, p, anatomy, view, streams)


def photograph(sitter: Sitter, diseases: Mapping[str, float] | None = None, findings: Collection[str] = ()) -> Phantom:
    """Give an eye its findings, paint it and take the picture. Parameters as in :func:`render`."""
    streams, view, p = sitter.streams, sitter.view, sitter.parameters
    anatomy = afflict(streams.findings, sitter.anatomy, p, diseases, findings)
    distance = distances(anatomy, view.grid)
    picture = paint(Look.draw(streams.look, p), anatomy, p, view.grid, distance)
    artifacts = draw_artifacts(streams.camera, sitter.quality, view.grid.sign)
    image = expose(streams.camera, picture, view, sitter.quality, artifacts)
    disc, fovea = (tuple(view.grid.to_px(place).tolist()) for place in (anatomy.disc.centre, anatomy.fovea))
    return Phantom(image, sitter.eye, disc, fovea, sitter.camera, sitter.quality, p, anatomy, view, artifacts)


def render(
    seed: int | np.random.Generator,
    size: int = 512,
    *,
    eye: Eye | None = None,
    camera: str | None = None,
    quality: float | None = None,
    diseases: Mapping[str, float] | Iterable[str] | None = None,
    findings: Collection[str] = (),
    phenotypes: Mapping[str, float] | None = None,
    shot: int = 0,
    **parameters: Any,
) -> Phantom:
    """Render one phantom.

    Parameters
    ----------
    seed : int or Generator
        The same seed gives the same bytes. What is left open is drawn from it; fixing one thing leaves the rest as is,
        so ``eye="OD"`` and ``eye="OS"`` with one seed are mirror images but for the camera's doing.
    size : int
        Diameter of the field of view in pixels, times the camera's own factor.
    eye : "OD" or "OS", optional
    camera : str, optional
        Key of ``camera.CAMERAS``; ``round45`` is square and has exactly ``size``.
    quality : float, optional
        0 (ungradable) to 1; 0.75-1 is drawn by default.
    diseases : mapping of str to float, or iterable of str, optional
        Disease to severity, 0-1; a disease without severity has 0.5. None draws findings of every kind by the table of
        prevalences; an empty one is a healthy eye.
    findings : collection of str
        Targets that the eye has for sure.
    phenotypes : mapping of str to float, optional
        Standard scores (see ``anatomy.PHENOTYPES``); drawn from the population by default.
    shot : int
        Number of the photograph of this eye: another one is aimed and lit anew.
    **parameters
        Fields of ``EyeParameters`` to set outright, for example ``cup_ratio=0.5``.

    Returns
    -------
    Phantom

    Raises
    ------
    ValueError
        For an eye, camera, phenotype, disease or finding that does not exist, or a quality or severity outside 0-1.
    TypeError
        For an unknown parameter.
    """
    sitter = sit(
        Streams.of(seed, shot),
        size,
        eye=eye,
        camera=camera,
        quality=quality,
        phenotypes=phenotypes,
        **parameters,
    )
    if diseases is not None and not isinstance(diseases, Mapping):
        diseases = dict.fromkeys(diseases, EVEN_SEVERITY)
    return photograph(sitter, diseases, findings)


def in_frame(view: View, frame: Frame) -> View:
    """Return a view on the pixels of the canonical frame."""
    x, y = frame.to_frame([view.field.x, view.field.y])
    field = Field(frame.warp(view.field.mask), float(x), float(y), view.field.radius * frame.scale)
    return replace(view, grid=view.grid.in_frame(frame), field=field)


def distances(anatomy: Anatomy, grid: Grid) -> dict[str, NDArray[np.float32]]:
    """Signed distances (height, width) in pixels, positive inside, of ``artery`` and ``vein``."""
    shape = (grid.height, grid.width)
    return {kind: signed_distance(resample(anatomy.tree(kind), grid), shape) for kind in ("artery", "vein")}


def draw_masks(anatomy: Anatomy, view: View, artifacts: Sequence[Artifact]) -> Masks:
    """Masks (height, width) bool of all targets on the grid of a view, cut to the field of view; shared where empty."""
    grid, fov = view.grid, view.field.mask
    drawn = {name: distance >= 0 for name, distance in distances(anatomy, grid).items()}
    drawn["vessel"] = drawn["artery"] | drawn["vein"]
    drawn["optic_disc"] = anatomy.disc.signed_distance(grid) >= 0
    drawn["optic_cup"] = (anatomy.cup.signed_distance(grid) >= 0) & drawn["optic_disc"]
    drawn["fovea"] = Blobs.discs([anatomy.fovea], 0.5 * anatomy.disc_diameter).signed_distance(grid) >= 0
    for finding in anatomy.findings:
        mask = finding.distance(grid) >= 0
        drawn[finding.target] = drawn[finding.target] | mask if finding.target in drawn else mask
    if artifacts:
        drawn[ARTIFACT] = artifact_mask(artifacts, view.field, fov.shape)
    nothing = np.zeros(fov.shape, bool)
    nothing.flags.writeable = False
    return {FOV: fov, **{name: drawn[name] & fov if name in drawn else nothing for name in TARGETS}}
