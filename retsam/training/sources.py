"""Labelled frames from phantoms, of which everything is known, and from the cases of an annotated data set."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retsam.datasets import Case, Dataset
from retsam.errors import UserError
from retsam.io.frames import FramedImage
from retsam.io.images import ImageError, read_image
from retsam.phantom import Phantom, render
from retsam.status import Status
from retsam.taxonomy import FOV, TARGETS
from retsam.training.frames import POINTS, LabelledFrame, pack

PHANTOM = "phantom"
"""Source of synthetic frames."""

Mask = NDArray[np.bool_]


def phantom_frame(seed: int, frame_size: int, size: int | None = None, **choices: object) -> LabelledFrame:
    """Render a phantom and frame it; every target is known.

    Parameters
    ----------
    seed : int
        The same seed gives the same bytes.
    frame_size : int
        Pixels, a multiple of 64.
    size : int, optional
        Diameter of the photograph's field of view, pixels; the frame's side by default.
    **choices
        What else ``retsam.phantom.render`` takes.
    """
    phantom = render(seed, frame_size if size is None else size, **choices)  # type: ignore[arg-type]
    return from_phantom(phantom, frame_size, f"{PHANTOM}-{seed:06d}")


def from_phantom(phantom: Phantom, frame_size: int, name: str) -> LabelledFrame:
    """Frame a phantom by its true field of view; masks are drawn anew at the frame's resolution."""
    frame, masks = phantom.frame(frame_size), phantom.truth(frame_size)
    x, y = frame.to_frame(phantom.fovea)
    areas = {target: masks[target] for target in TARGETS if target not in POINTS}
    return pack(name, PHANTOM, frame.warp(phantom.image), masks[FOV], areas, {"fovea": (x, y)})


def case_frame(dataset: Dataset, case: Case, frame_size: int, *, absent: bool = False) -> LabelledFrame:
    """Read one photograph of a data set with its annotations and bring both into the canonical frame.

    Parameters
    ----------
    dataset : Dataset
    case : Case
    frame_size : int
        Pixels, a multiple of 64.
    absent : bool
        Whether targets that the label of the whole photograph rules out are known too, with nothing marked.

    Returns
    -------
    LabelledFrame
        Named after data set and photograph. Vessels that nobody annotated are known where arteries and veins are.

    Raises
    ------
    UserError
        For a file that cannot be read, or a photograph without a field of view.
    """
    name = f"{dataset.name}-{case.image_id}"
    try:
        pixels = dataset.prepare(read_image(case.photograph))
    except ImageError as error:
        raise UserError(f"{name}: {error}") from error
    framed = dataset.frame(pixels, frame_size, name)
    if framed.status is not Status.OK or framed.frame is None or framed.image is None or framed.fov is None:
        raise UserError(f"{name}: {framed.message}")
    masks, uncertain = _framed_masks(case, framed, pixels.shape[:2])
    points = {t: tuple(framed.frame.to_frame(xy).tolist()) for t, xy in case.points.items() if t in POINTS}
    if absent:
        masks = {**{target: np.zeros_like(framed.fov) for target in sorted(case.absent)}, **masks}
    frame = pack(name, dataset.name, framed.image, framed.fov, masks, points, uncertain)
    return replace(frame, person=case.participant)


def _framed_masks(case: Case, framed: FramedImage, shape: tuple[int, ...]) -> tuple[Mapping[str, Mask], Mask | None]:
    """Truth of a case in the frame, and what its annotators left open about arteries and veins."""
    frame = framed.frame
    assert frame is not None
    masks: dict[str, Mask] = {}
    left_open = np.zeros(shape[:2], bool)
    for target, file in case.masks.items():
        if target in POINTS:
            continue
        truth, counted = file.read((shape[0], shape[1]))
        masks[target] = frame.warp(truth)
        if target in ("artery", "vein"):
            left_open |= ~counted
    if "artery" in masks and "vein" in masks and "vessel" not in masks:
        masks["vessel"] = masks["artery"] | masks["vein"] | frame.warp(left_open)
    return masks, frame.warp(left_open) if left_open.any() else None
