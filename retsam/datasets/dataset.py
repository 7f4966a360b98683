"""What every adapter is, and what it lists."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from retsam.datasets.annotation import MaskFile
from retsam.datasets.files import Finder
from retsam.errors import UserError
from retsam.geometry import Frame
from retsam.io.frames import FramedImage, frame_pixels
from retsam.status import Status

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test", "all")
_WORDS = {"train": "training", "val": "validation", "test": "test"}
_NOTHING: Mapping = MappingProxyType({})


@dataclass(frozen=True)
class Case:
    """One photograph of a data set with its annotations.

    Attributes
    ----------
    image_id : str
        Stem of the photograph.
    split : str
        Official part: ``train``, ``val``, ``test``, or ``all`` for a set without parts.
    photograph : Path
    fov : MaskFile or None
        The set's own field-of-view mask.
    masks : mapping of str to MaskFile
        Truth by target.
    points : mapping of str to (x, y)
        Truth by point target, pixels of the photograph.
    gradable : bool or None
        Label of image quality.
    labels : mapping of str to bool
        Diseases of the whole photograph, as in a manifest: dr, amd, glaucoma, myopia; what is unknown is left out.
    absent : frozenset of str
        Targets that the label of the whole photograph rules out, without anyone having outlined them.
    participant : str or None
        The person, where the set says whose eyes belong together.
    observers : mapping of str to (mapping of str to MaskFile)
        Further human annotations by observer and target, which can stand in for a model.
    """

    image_id: str
    split: str
    photograph: Path
    fov: MaskFile | None = None
    masks: Mapping[str, MaskFile] = field(default_factory=lambda: _NOTHING)
    points: Mapping[str, tuple[float, float]] = field(default_factory=lambda: _NOTHING)
    gradable: bool | None = None
    labels: Mapping[str, bool] = field(default_factory=lambda: _NOTHING)
    absent: frozenset[str] = frozenset()
    participant: str | None = None
    observers: Mapping[str, Mapping[str, MaskFile]] = field(default_factory=lambda: _NOTHING)


class Dataset(ABC):
    """Adapter of one data set.

    Attributes
    ----------
    name : str
        As given to ``retsam evaluate``.
    title : str
        Full name and reference.
    photographs : mapping of str to tuple of str
        Folder of the photographs of each official part; a set without parts has the one part ``all``.
    size : mapping of str to int
        Official number of photographs by part; another number is a warning, since figures would not be comparable.
    marks : tuple of str
        Other folders or files that have to be there, where the folder of the photographs has a name that many sets use.
    targets : tuple of str
        What the set annotates, as masks or points, optional folders included.
    rules_out : frozenset of str
        Targets that its labels of whole photographs can say to be absent; see :attr:`Case.absent`.
    licence : str
        As stated by its publishers, with the word "verify" where nobody here has read it.
    disc_diameter : float or None
        Disc diameter as a fraction of the photograph's width, for sets that give points without a disc mask.
    field_diameter : float or None
        For sets of crops that show no edge of the field of view: the diameter, in widths of the crop, of the field that
        they are put into; see :meth:`frame`.
    validation_only : bool
        Whether the licence or the annotation keeps the set out of training.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    photographs: ClassVar[Mapping[str, tuple[str, ...]]]
    size: ClassVar[Mapping[str, int]]
    marks: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[tuple[str, ...]] = ()
    rules_out: ClassVar[frozenset[str]] = frozenset()
    licence: ClassVar[str] = "verify"
    disc_diameter: ClassVar[float | None] = None
    field_diameter: ClassVar[float | None] = None
    validation_only: ClassVar[bool] = False

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of one part's photographs; a set whose releases differ in it overrides this."""
        return self.photographs[part]

    @abstractmethod
    def read(self, files: Finder, part: str) -> list[Case]:
        """List the photographs of one part; what is missing is left to ``files`` to record."""

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change a photograph (H, W, 3) before it is evaluated; the same for all, whatever their label."""
        return pixels

    def frame(self, pixels: NDArray[np.uint8], frame_size: int, image_id: str) -> FramedImage:
        """Bring a photograph into the canonical frame.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            After :meth:`prepare`.
        frame_size : int
            Pixels, a multiple of 64.
        image_id : str

        Returns
        -------
        FramedImage
            Framed by its field-of-view circle like any photograph. A set of crops around the disc has none: its crops
            lie, black around them, in the middle of a frame that is ``field_diameter`` crop widths wide, so that the
            disc is about as large as in a whole photograph; its field of view is the whole crop. That width is one
            number for the set, so no crop's own truth is used.
        """
        if self.field_diameter is None:
            return frame_pixels(pixels, frame_size, image_id=image_id)
        height, width = pixels.shape[:2]
        side = 2 * round(self.field_diameter * width / 2) + width % 2
        centre = ((width - 1) / 2, (height - 1) / 2)
        frame = Frame(width, height, frame_size, (width - side) // 2, (height - side) // 2, side, *centre, side / 2)
        fov = frame.warp(np.ones((height, width), bool))
        return FramedImage(image_id, Status.OK, "", frame=frame, image=frame.warp(pixels), fov=fov)

    def is_present(self, files: Finder, part: str) -> bool:
        """Whether the photographs of a part are there, and what else makes the set known."""
        return files.has(*self.folder(files, part)) and all(files.exists(mark) for mark in self.marks)

    def cases(self, root: str | Path, split: str | None = None) -> list[Case]:
        """List the photographs to evaluate, in natural order.

        Parameters
        ----------
        root : path-like
            Folder of the data set in its official layout, or the folder around it.
        split : {'train', 'val', 'test', 'all'}, optional
            Default: the official test part if it is there, otherwise everything that is there. A set without official
            parts is one test set: ``test`` and ``all`` give all of it.

        Raises
        ------
        UserError
            If the folder, the part or any file is missing; one message lists up to ten files.
        """
        files = self._files(Path(root))
        parts = self._parts(files, split)
        cases = [case for part in parts for case in self.read(files, part)]
        files.check()
        for part in parts:
            count = sum(case.split == part for case in cases)
            if count != self.size[part]:
                text = "%s %s: %d photographs, officially %d; compare figures with care"
                log.warning(text, self.name, part, count, self.size[part])
        return cases

    def _files(self, root: Path) -> Finder:
        """Files of the root, or of the one folder up to two below it that has the official layout.

        Many archives unpack into a folder in a folder.
        """
        if not root.is_dir():
            raise UserError(f"{self.name}: no folder {root}; give the folder of the data set.")
        level = [root]
        for _ in range(3):
            fitting = [files for path in level if self._present(files := Finder(self.name, path))]
            if fitting:
                return fitting[0] if len(fitting) == 1 else Finder(self.name, root)
            level = [p for path in level for p in sorted(path.iterdir()) if p.is_dir() and p.name[0] != "."]
        return Finder(self.name, root)

    def _present(self, files: Finder) -> list[str]:
        return [part for part in self.photographs if self.is_present(files, part)]

    def _parts(self, files: Finder, split: str | None) -> list[str]:
        """Official parts that a split stands for."""
        if split is not None and split not in SPLITS:
            raise UserError(f"--split {split!r} is not one of {', '.join(SPLITS)}.")
        present = self._present(files)
        if not present:
            wanted = " or ".join("/".join(folder) for folder in self.photographs.values())
            wanted = " and ".join((wanted, *self.marks))
            raise UserError(f"{self.name}: no {wanted} in {files.root.name}; give the folder in its official layout.")
        whole = "all" in self.photographs
        if split in (None, "all") or (whole and split == "test"):
            return ["test"] if split is None and "test" in present else present
        if split in present:
            return [split]
        hint = "use --split all" if whole else f"present: {', '.join(present)} - use --split {present[0]}"
        if split not in self.photographs:
            raise UserError(f"{self.name} has no official {_WORDS[split]} part; {hint}.")
        folder = "/".join(self.photographs[split])
        raise UserError(f"{self.name}: the {split} part is not there (no {folder}); {hint}.")
