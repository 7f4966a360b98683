"""Files of a data set, found by their stem in any raster format and any case of extension."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

from retsam.errors import UserError

RASTER = (".png", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".jpg", ".jpeg", ".jpe", ".webp")
"""Extensions of images, each also with ``.gz``; where a stem has several files the first of these wins."""


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
        self._listings: dict[tuple[Path, bool], dict[str, Path]] = {}
        self._contents: dict[Path, list[Path]] = {}
        self._missing: list[str] = []

    def has(self, *folder: str) -> bool:
        """Whether a folder is there."""
        return self._folder(folder).is_dir()

    def exists(self, name: str) -> bool:
        """Whether a folder or file is there, by its path from the root."""
        *folder, last = name.split("/")
        return self.has(*folder, last) or self.optional_file(folder, last) is not None

    def first(self, *folders: tuple[str, ...]) -> tuple[str, ...]:
        """The first of some folders that is there, for releases that name them differently; else the first named."""
        return next((folder for folder in folders if self.has(*folder)), folders[0])

    def stems(self, *folder: str, deep: bool = False) -> list[str]:
        """Stems of the images in a folder, in natural order; a missing folder is recorded and gives none.

        With ``deep`` also those in its subfolders.
        """
        if not self.has(*folder):
            self._missing.append("/".join(folder) + "/")
            return []
        return sorted((str(_stem(path)) for path in self._listing(folder, deep).values()), key=natural)

    def names(self, folder: Iterable[str], extension: str) -> list[str]:
        """Stems of the files with an extension such as ``.txt`` in a folder; none if there is no such folder."""
        entries = self._entries(self._folder(folder))
        return [path.stem for path in entries if path.suffix.lower() == extension and path.name[0] != "."]

    def folders(self, *folder: str) -> list[str]:
        """Names of the subfolders of a folder; none if there is no such folder."""
        return [p.name for p in self._entries(self._folder(folder)) if p.is_dir() and p.name[0] != "."]

    def exams(self, *folder: str) -> list[tuple[tuple[str, ...], str]]:
        """Images of a folder and its subfolders: names of the subfolders and stem, in natural order."""
        base = self._folder(folder)
        images = [path for path in base.rglob("*") if _stem(path)] if base.is_dir() else []
        found = {(path.parent.relative_to(base).parts, str(_stem(path))) for path in images}
        return sorted(found, key=lambda entry: natural("/".join((*entry[0], entry[1]))))

    def find(self, folder: Iterable[str], *stems: str, deep: bool = False) -> Path:
        """Path of the image with this stem, or the first of several that is there.

        If there is none, that is recorded under the first stem, and some path is returned.
        """
        folder = tuple(folder)
        path = self.optional(folder, *stems, deep=deep)
        if path is None:
            self._missing.append("/".join((*folder, f"{stems[0]}.*")))
        return path or self.root / stems[0]

    def optional(self, folder: Iterable[str], *stems: str, deep: bool = False) -> Path | None:
        """Path of the image with this stem, or the first of several that is there, or None."""
        listing = self._listing(tuple(folder), deep)
        return next((listing[stem.casefold()] for stem in stems if stem.casefold() in listing), None)

    def file(self, folder: Iterable[str], name: str) -> Path:
        """Path of a file that is no image, by its whole name in any case; recorded if missing."""
        path = self.optional_file(folder, name)
        if path is None:
            self._missing.append("/".join((*folder, name)))
        return path or self.root / name

    def optional_file(self, folder: Iterable[str], name: str) -> Path | None:
        """Path of a file that is no image, by its whole name in any case, or None."""
        path = self._folder(folder) / name
        if path.is_file():
            return path
        return next((p for p in self._entries(path.parent) if p.name.casefold() == name.casefold()), None)

    def table(self, folder: Iterable[str], word: str) -> Path:
        """Path of the CSV table whose name holds a word; recorded if missing."""
        folder = tuple(folder)
        path = self.optional_table(folder, word)
        if path is None:
            self._missing.append("/".join((*folder, f"*{word}*.csv")))
        return path or self._folder(folder)

    def optional_table(self, folder: Iterable[str], word: str, extension: str = ".csv") -> Path | None:
        """Path of the table whose name holds a word, or None."""
        for path in self._entries(self._folder(folder)):
            if path.suffix.lower() == extension and word.casefold() in path.name.casefold() and path.name[0] != ".":
                return path
        return None

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

    def _folder(self, folder: Iterable[str]) -> Path:
        """Path of a folder, in any case of its name where the exact one is not there."""
        path = self.root
        for name in folder:
            exact = path / name
            if not exact.is_dir():
                same = [p for p in self._entries(path) if p.name.casefold() == name.casefold() and p.is_dir()]
                exact = same[0] if same else exact
            path = exact
        return path

    def _entries(self, path: Path) -> list[Path]:
        if path not in self._contents:
            self._contents[path] = sorted(path.iterdir()) if path.is_dir() else []
        return self._contents[path]

    def _listing(self, folder: tuple[str, ...], deep: bool = False) -> dict[str, Path]:
        """Images by stem in lower case."""
        path = self._folder(folder)
        if (path, deep) not in self._listings:
            found: dict[str, Path] = {}
            files = [p for p in (path.rglob("*") if deep else self._entries(path)) if _stem(p)]
            for file in sorted(files, key=lambda p: (_rank(p), p.as_posix())):
                found.setdefault(str(_stem(file)).casefold(), file)
            self._listings[path, deep] = found
        return self._listings[path, deep]


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
