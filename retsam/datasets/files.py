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
