"""Public benchmark data sets, read in their own official folder layouts.

An adapter is a small class: where the photographs of each official part lie, and which file annotates which photograph.
To add a set, subclass :class:`Dataset`, give ``name``, ``title``, ``photographs`` and ``size``, write
:meth:`Dataset.read`, and put an instance into :data:`DATASETS`.

Files are found by their stem in any raster format and any case of extension (``01_manual1.gif``, ``01_manual1.png``).
What is missing is collected and reported at once, in one error. An annotation folder that is documented as optional may
be absent as a whole; once it is there, it has to be complete.
"""

import difflib
import logging
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam.errors import UserError
from retsam.io.images import ImageError, read_image
from retsam.quality import without_stamp

log = logging.getLogger(__name__)

RASTER = (".png", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".jpg", ".jpeg", ".jpe", ".webp")
"""Extensions of images, each also with ``.gz``; where a stem has several files the first of these wins."""

_NOTHING: Mapping = MappingProxyType({})


@dataclass(frozen=True)
class MaskFile:
    """The annotation of one target on one photograph.

    Attributes
    ----------
    path : Path or None
        None: the annotators looked and marked nothing (an empty mask).
    colour : str or None
        None for a binary mask. ``red`` (artery) or ``blue`` (vein) for an artery/vein colour map, where every other
        colour (green or white: crossing or uncertain) is vessel without a class and is left out of the comparison.
    """

    path: Path | None
    colour: str | None = None

    def read(self, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the mask.

        A binary mask is what reaches half of the file's brightest value in any channel, so that 0/1, 0/255 and coloured
        palettes all read alike.

        Parameters
        ----------
        shape : (height, width)
            Of the photograph.

        Returns
        -------
        truth : (height, width) bool
        counted : (height, width) bool
            False where the annotation is uncertain.

        Raises
        ------
        UserError
            If the file cannot be read or is not of the photograph's size.
        """
        if self.path is None:
            return np.zeros(shape, bool), np.ones(shape, bool)
        try:
            pixels = read_image(self.path)
        except ImageError as error:
            raise UserError(f"annotation {error}") from error
        if pixels.shape[:2] != shape:
            sizes = f"{pixels.shape[1]}x{pixels.shape[0]}, its photograph {shape[1]}x{shape[0]}"
            raise UserError(f"annotation {self.path.name} is {sizes}; take both from one release of the data set.")
        if self.colour is None:
            brightest = int(pixels.max())
            return pixels.max(axis=2) >= max(brightest / 2, 1), np.ones(shape, bool)
        high = pixels >= 128
        red = high[..., 0] & ~high[..., 1] & ~high[..., 2]
        blue = high[..., 2] & ~high[..., 0] & ~high[..., 1]
        unclear = high.any(axis=2) & ~red & ~blue
        return {"red": red, "blue": blue}[self.colour], ~unclear


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


class Finder:
    """Files of a data set by folder and stem, remembering what was looked for in vain.

    Parameters
    ----------
    name : str
        Of the data set, for messages.
    root : Path
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self._listings: dict[Path, dict[str, Path]] = {}
        self._missing: list[str] = []

    def has(self, *folder: str) -> bool:
        """Whether a folder is there."""
        return self.root.joinpath(*folder).is_dir()

    def stems(self, *folder: str) -> list[str]:
        """Stems of the images in a folder, in natural order; a missing folder is recorded and gives none."""
        if not self.has(*folder):
            self._missing.append("/".join(folder) + "/")
            return []
        return sorted((str(_stem(path)) for path in self._listing(folder).values()), key=natural)

    def find(self, folder: Iterable[str], stem: str) -> Path:
        """Path of the image with this stem; if there is none, that is recorded and some path is returned."""
        path = self.optional(folder, stem)
        if path is None:
            self._missing.append("/".join((*folder, f"{stem}.*")))
        return path or self.root / stem

    def optional(self, folder: Iterable[str], stem: str) -> Path | None:
        """Path of the image with this stem, or None."""
        return self._listing(tuple(folder)).get(stem.casefold())

    def table(self, folder: Iterable[str], word: str) -> Path:
        """Path of the CSV table whose name holds a word; recorded if missing."""
        base = self.root.joinpath(*folder)
        for path in sorted(base.iterdir()) if base.is_dir() else []:
            if path.suffix.lower() == ".csv" and word.casefold() in path.name.casefold() and path.name[0] != ".":
                return path
        self._missing.append("/".join((*folder, f"*{word}*.csv")))
        return base

    def check(self) -> None:
        """Raise one error that names what is missing, if anything is.

        Raises
        ------
        UserError
        """
        missing = list(dict.fromkeys(self._missing))
        if missing:
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            files = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
            where = self.root.name or str(self.root)
            raise UserError(f"{self.name}: {files} missing under {where}: {', '.join(missing[:10])}{more}.")

    def _listing(self, folder: tuple[str, ...]) -> dict[str, Path]:
        path = self.root.joinpath(*folder)
        if path not in self._listings:
            found: dict[str, Path] = {}
            files = [p for p in path.iterdir() if _stem(p)] if path.is_dir() else []
            for file in sorted(files, key=lambda p: (_rank(p), p.name)):
                found.setdefault(str(_stem(file)).casefold(), file)
            self._listings[path] = found
        return self._listings[path]


def natural(text: str) -> list[tuple[float, str]]:
    """Sort key that puts ``img (2)`` before ``img (10)``, and numbers before letters."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if part.isdigit() else (math.inf, part) for part in parts if part]


def _extension(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return name[name.rfind(".") :] if "." in name else ""


def _rank(path: Path) -> int:
    return RASTER.index(_extension(path))


def _stem(path: Path) -> str | None:
    """File name without its raster extension; None for other and for hidden files."""
    if path.name.startswith(".") or _extension(path) not in RASTER:
        return None
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return name[: name.rfind(".")]


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


class Drive(Dataset):
    """DRIVE: vessels, two observers on the test part, field-of-view masks.

    Optional folders beside the official ones: ``av`` (RITE's artery/vein colour maps) and ``disc``, named like the
    photographs.
    """

    name = "drive"
    title = "DRIVE (Staal et al., IEEE TMI 2004); artery/vein maps: RITE (Hu et al., MICCAI 2013)"
    photographs = MappingProxyType({"train": ("training", "images"), "test": ("test", "images")})
    size = MappingProxyType({"train": 20, "test": 20})

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        folder, suffix = self.photographs[part][0], {"train": "training", "test": "test"}[part]
        numbers = {s.split("_")[0] for s in files.stems(folder, "images")}
        numbers |= {s.split("_")[0] for s in files.stems(folder, "1st_manual")}
        second = files.has(folder, "2nd_manual")
        cases = []
        for number in sorted(numbers, key=natural):
            stem = f"{number}_{suffix}"
            masks = {"vessel": MaskFile(files.find((folder, "1st_manual"), f"{number}_manual1"))}
            masks |= _artery_vein(files, (folder, "av"), stem)
            if files.has(folder, "disc"):
                masks["optic_disc"] = MaskFile(files.find((folder, "disc"), stem))
            observers = {}
            if second:
                observers["observer2"] = {"vessel": MaskFile(files.find((folder, "2nd_manual"), f"{number}_manual2"))}
            fov = MaskFile(files.find((folder, "mask"), f"{stem}_mask"))
            photograph = files.find((folder, "images"), stem)
            cases.append(Case(stem, part, photograph, fov, masks, observers=observers))
        return cases


class Hrf(Dataset):
    """HRF: vessels and field-of-view masks; no official parts. Optional folder: ``av``, files ``NAME_AVmanual``."""

    name = "hrf"
    title = "HRF, High-Resolution Fundus (Budai et al., Int J Biomed Imaging 2013)"
    photographs = MappingProxyType({"all": ("images",)})
    size = MappingProxyType({"all": 45})

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        stems = {s.casefold(): s for s in [*files.stems("manual1"), *files.stems("images")]}
        cases = []
        for stem in sorted(stems.values(), key=natural):
            masks = {"vessel": MaskFile(files.find(("manual1",), stem))}
            masks |= _artery_vein(files, ("av",), f"{stem}_AVmanual")
            fov = MaskFile(files.find(("mask",), f"{stem}_mask"))
            cases.append(Case(stem, part, files.find(("images",), stem), fov, masks))
        return cases


def _artery_vein(files: Finder, folder: tuple[str, ...], stem: str) -> dict[str, MaskFile]:
    """Artery and vein of a colour map, nothing where the set has no such folder."""
    if not files.has(*folder):
        return {}
    path = files.find(folder, stem)
    return {"artery": MaskFile(path, "red"), "vein": MaskFile(path, "blue")}


_IDRID_PARTS = {"train": "a. Training Set", "test": "b. Testing Set"}


class Idrid(Dataset):
    """IDRiD A: lesions and optic disc, no field-of-view masks. No file of a lesion means that the image has none."""

    name = "idrid"
    title = "IDRiD, Indian Diabetic Retinopathy Image Dataset, A. Segmentation (Porwal et al., Data 2018)"
    photographs = MappingProxyType(
        {part: ("A. Segmentation", "1. Original Images", folder) for part, folder in _IDRID_PARTS.items()}
    )
    size = MappingProxyType({"train": 54, "test": 27})
    classes: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType(
        {
            "microaneurysm": ("1. Microaneurysms", "MA"),
            "hemorrhage": ("2. Haemorrhages", "HE"),
            "hard_exudate": ("3. Hard Exudates", "EX"),
            "cotton_wool_spot": ("4. Soft Exudates", "SE"),
            "optic_disc": ("5. Optic Disc", "OD"),
        }
    )

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        base = ("A. Segmentation", "2. All Segmentation Groundtruths", _IDRID_PARTS[part])
        stems = set(files.stems(*self.photographs[part]))
        for folder, code in self.classes.values():
            stems |= {s.removesuffix(f"_{code}") for s in files.stems(*base, folder)}
        cases = []
        for stem in sorted(stems, key=natural):
            masks = {
                target: MaskFile(files.optional((*base, folder), f"{stem}_{code}"))
                for target, (folder, code) in self.classes.items()
                if target != "optic_disc"
            }
            folder, code = self.classes["optic_disc"]
            masks["optic_disc"] = MaskFile(files.find((*base, folder), f"{stem}_{code}"))
            cases.append(Case(stem, part, files.find(self.photographs[part], stem), None, masks))
        return cases


class IdridLocalization(Dataset):
    """IDRiD C: centres of the optic disc and the fovea.

    The photographs are those of ``C. Localization/1. Original Images``, or of ``B. Disease Grading``, which are the
    same.

    Distances are in disc diameters. Part C has no disc masks, so one diameter serves for all: the mean of
    ``2 sqrt(area / pi) / width`` over the 54 disc masks of part A's training set, which come from the same camera with
    the same framing: 0.1232 (standard deviation 0.0110; the field of view spans 0.797 of the width, so that this is
    0.154 of its diameter). The photograph's width is the yardstick because it depends on nothing that is evaluated.
    """

    name = "idrid_localization"
    title = "IDRiD, C. Localization (Porwal et al., Data 2018)"
    photographs = MappingProxyType(
        {part: ("C. Localization", "1. Original Images", folder) for part, folder in _IDRID_PARTS.items()}
    )
    size = MappingProxyType({"train": 413, "test": 103})
    disc_diameter = 0.1232
    tables: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"optic_disc": "1. Optic Disc Center Location", "fovea": "2. Fovea Center Location"}
    )

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of the photographs: part C's own, or part B's."""
        own = self.photographs[part]
        return own if files.has(*own) else ("B. Disease Grading", *own[1:])

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        word = _IDRID_PARTS[part].split(" ")[1]  # Training, Testing
        centres = {
            target: _read_centres(files.table(("C. Localization", "2. Groundtruths", folder), word))
            for target, folder in self.tables.items()
        }
        stems = sorted(set().union(*centres.values()), key=natural)
        images = self.folder(files, part)
        return [
            Case(stem, part, files.find(images, stem), points={t: xy[stem] for t, xy in centres.items() if stem in xy})
            for stem in stems
        ]


def _read_centres(path: Path) -> dict[str, tuple[float, float]]:
    """Rows image, x, y of a markup table; the official files end in hundreds of empty rows and columns."""
    if not path.is_file():  # already recorded as missing
        return {}
    table = pd.read_csv(path, dtype=str).iloc[:, :3].dropna(how="any")
    numbers = table.iloc[:, 1:].apply(pd.to_numeric, errors="coerce")
    for row in table.index[numbers.isna().any(axis=1)]:
        raise UserError(f"{path.name}, row {row + 2}: the coordinates of {table.iloc[:, 0][row]!r} are not numbers.")
    return {
        name.strip(): (float(x), float(y))
        for name, x, y in zip(table.iloc[:, 0], numbers.iloc[:, 0], numbers.iloc[:, 1], strict=True)
    }


class Drimdb(Dataset):
    """DRIMDB: quality labels by folder, ``Good`` against ``Bad`` and ``Outlier`` (no fundus at all)."""

    name = "drimdb"
    title = "DRIMDB, Diabetic Retinopathy Image Database (Sevik et al., J Biomed Opt 2014)"
    photographs = MappingProxyType({"all": ("Good",)})
    size = MappingProxyType({"all": 216})

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        return [
            Case(stem, part, files.find((folder,), stem), gradable=folder == "Good")
            for folder in ("Good", "Bad", "Outlier")
            for stem in files.stems(folder)
        ]

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint over the burnt-in date: not every picture has one, so that it could give the label away."""
        return without_stamp(pixels)


DATASETS: dict[str, Dataset] = {d.name: d for d in (Drive(), Hrf(), Idrid(), IdridLocalization(), Drimdb())}
"""Adapters by name."""


def get_dataset(name: str) -> Dataset:
    """Look an adapter up.

    Raises
    ------
    UserError
        If the name is not known; the message lists the known names.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name.lower(), DATASETS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"unknown data set {name!r}: {hint}known are {', '.join(sorted(DATASETS))}.")
    return DATASETS[name]
