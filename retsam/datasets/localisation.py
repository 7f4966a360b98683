"""Sets with the places of optic disc and fovea, but no masks."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pandas as pd

from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural
from retsam.datasets.lesions import IDRID_PARTS
from retsam.errors import UserError


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
        {part: ("C. Localization", "1. Original Images", folder) for part, folder in IDRID_PARTS.items()}
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
        word = IDRID_PARTS[part].split(" ")[1]  # Training, Testing
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
