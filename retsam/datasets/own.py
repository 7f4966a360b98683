"""A user's own annotated photographs: a folder of photographs, and one folder of masks for each target."""

import difflib
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from retsam.datasets.annotation import MaskFile
from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder
from retsam.errors import UserError
from retsam.io.images import ImageError, read_image
from retsam.taxonomy import TARGETS

POINTS = ("fovea",)
"""Targets that are a place: the middle of their mask."""

Mask = NDArray[np.bool_]


class OwnSet(Dataset):
    """Photographs that their owner has annotated.

    Layout: ``images/NAME.*`` and ``masks/TARGET/NAME.png``, in the photograph's own pixels, bright where the target is,
    with TARGET a name of the taxonomy. A photograph whose mask of a target is empty is known to show none of it; one
    without a mask of the target is not annotated for it. Of the fovea any mark will do whose middle it is.
    """

    name = "own"
    title = "The user's own photographs"
    photographs = MappingProxyType({"all": ("images",)})
    size = MappingProxyType({"all": 0})
    marks = ("masks",)
    targets = tuple(TARGETS)
    licence = "the user's own"

    def cases(self, root: str | Path, split: str | None = None) -> list[Case]:
        """List the photographs.

        Parameters
        ----------
        root : path-like
            Folder with ``images`` and ``masks``.
        split : str, optional
            Such a set has no official parts; all of it is listed.

        Raises
        ------
        UserError
            If a folder is missing, a mask has no photograph or a photograph no mask, or a folder is named after no
            target.
        """
        root = Path(root)
        for name in ("images", "masks"):
            if not (root / name).is_dir():
                raise UserError(f"no folder {root / name}; lay the set out as images/NAME.* and masks/TARGET/NAME.png.")
        return self.read(Finder(self.name, root), "all")

    def read(self, files: Finder, part: str) -> list[Case]:
        """List the photographs with their masks."""
        stems = files.stems("images")
        if not stems:
            raise UserError(f"no photographs in {files.root / 'images'}; put them there.")
        targets = files.folders("masks")
        for target in targets:
            _check_folder(files, target, stems)
        cases = [_case(files, stem, targets) for stem in stems]
        if bare := [case.image_id for case in cases if not case.masks and not case.points]:
            raise UserError(
                f"no mask of photograph {bare[0]!r} in {files.root / 'masks'}; add one (an empty one where nothing is "
                f"to be seen) or take the photograph out{_more(bare)}."
            )
        return cases


def _check_folder(files: Finder, target: str, stems: list[str]) -> None:
    folder = files.root / "masks" / target
    if target not in TARGETS:
        near = difflib.get_close_matches(target, TARGETS, n=1)
        hint = f"rename it to {near[0]!r}" if near else f"the targets are {', '.join(TARGETS)}"
        raise UserError(f"{folder} is named after no target; {hint}.")
    known = {stem.casefold() for stem in stems}
    if alone := [stem for stem in files.stems("masks", target) if stem.casefold() not in known]:
        raise UserError(
            f"no photograph {alone[0]!r} in {files.root / 'images'} for the mask in {folder}; "
            f"give both the same name{_more(alone)}."
        )


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _case(files: Finder, stem: str, targets: list[str]) -> Case:
    found = {t: p for t in targets if (p := files.optional(("masks", t), stem)) is not None}
    points = {t: place for t in POINTS if t in found and (place := _middle(found[t])) is not None}
    masks = {t: MaskFile(path, marked) for t, path in found.items() if t not in POINTS}
    return Case(stem, "all", files.find(("images",), stem), masks=masks, points=points)


def marked(path: Path, shape: tuple[int, int]) -> tuple[Mask, Mask]:
    """What reaches half of the brightest value that such a file can have, 1 or 255; every pixel counts."""
    values = _values(path)
    if values.shape != tuple(shape):
        height, width = values.shape
        raise UserError(
            f"mask {path.parent.name}/{path.name} is {width}x{height}, its photograph {shape[1]}x{shape[0]}; "
            "save masks in the photograph's own pixels."
        )
    return values >= (128 if values.max() > 1 else 1), np.ones(shape, bool)


def _values(path: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(read_image(path).max(axis=2))
    except ImageError as error:
        raise UserError(f"mask {path.parent.name}/{str(error).removesuffix('.')}; save it again as PNG.") from error


def _middle(path: Path) -> tuple[float, float] | None:
    """Centre (x, y) of what is marked; None where nothing is."""
    values = _values(path)
    rows, columns = np.nonzero(marked(path, (values.shape[0], values.shape[1]))[0])
    return (float(columns.mean()), float(rows.mean())) if len(rows) else None
