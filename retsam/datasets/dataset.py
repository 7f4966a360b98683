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

log = logging.getLogger(__name__)

_NOTHING: Mapping = MappingProxyType({})


@dataclass(frozen=True)
class Case:
    """One photograph of a data set with its annotations.

    Attributes
    ----------
    image_id : str
        Stem of the photograph.
    split : str
        Official part: ``train``, ``test``, or ``all`` for a set without parts.
    photograph : Path
    fov : MaskFile or None
        The set's own field-of-view mask.
    masks : mapping of str to MaskFile
        Truth by target.
    points : mapping of str to (x, y)
        Truth by point target, pixels of the photograph.
    gradable : bool or None
        Label of image quality.
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
    disc_diameter : float or None
        Disc diameter as a fraction of the photograph's width, for sets that give points without a disc mask.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    photographs: ClassVar[Mapping[str, tuple[str, ...]]]
    size: ClassVar[Mapping[str, int]]
    disc_diameter: ClassVar[float | None] = None

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of one part's photographs; a set whose releases differ in it overrides this."""
        return self.photographs[part]

    @abstractmethod
    def read(self, files: Finder, part: str) -> list[Case]:
        """List the photographs of one part; what is missing is left to ``files`` to record."""

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change a photograph (H, W, 3) before it is evaluated; the same for all, whatever their label."""
        return pixels

    def cases(self, root: str | Path, split: str | None = None) -> list[Case]:
        """List the photographs to evaluate, in natural order.

        Parameters
        ----------
        root : path-like
            Folder of the data set in its official layout.
        split : {'train', 'test', 'all'}, optional
            Default: the official test part if it is there, otherwise everything that is there. A set without official
            parts is one test set: ``test`` and ``all`` give all of it.

        Raises
        ------
        UserError
            If the folder, the part or any file is missing; one message lists up to ten files.
        """
        files = Finder(self.name, Path(root))
        parts = self._parts(files, split)
        cases = [case for part in parts for case in self.read(files, part)]
        files.check()
        for part in parts:
            count = sum(case.split == part for case in cases)
            if count != self.size[part]:
                text = "%s %s: %d photographs, officially %d; compare figures with care"
                log.warning(text, self.name, part, count, self.size[part])
        return cases

    def _parts(self, files: Finder, split: str | None) -> list[str]:
        """Official parts that a split stands for."""
        if split not in (None, "train", "test", "all"):
            raise UserError(f"--split {split!r} is not one of train, test, all.")
        if not files.root.is_dir():
            raise UserError(f"{self.name}: no folder {files.root}; give the folder of the data set.")
        present = [part for part in self.photographs if files.has(*self.folder(files, part))]
        if not present:
            wanted = " or ".join("/".join(folder) for folder in self.photographs.values())
            raise UserError(f"{self.name}: no {wanted} in {files.root.name}; give the folder in its official layout.")
        if split in (None, "all") or "all" in self.photographs:
            if split == "train" and "all" in self.photographs:
                raise UserError(f"{self.name} has no official training part; use --split all.")
            return ["test"] if split is None and "test" in present else present
        if split not in present:
            folder = "/".join(self.photographs[str(split)])
            hint = f"present: {', '.join(present)} - use --split {present[0]}"
            raise UserError(f"{self.name}: the {split} part is not there (no {folder}); {hint}.")
        return [str(split)]
