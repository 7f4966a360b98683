"""Sets with the places of optic disc and fovea, but no masks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pandas as pd

from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural
from retsam.datasets.lesions import IDRID_PARTS
from retsam.datasets.points import read_centres
from retsam.errors import UserError
from retsam.taxonomy import RULED_OUT

IMAGE, GRADE = "Image name", "Retinopathy grade"
GRADES = ("0", "1", "2", "3", "4")


class IdridLocalization(Dataset):
    """IDRiD C: centres of the optic disc and the fovea.

    The photographs are those of ``C. Localization/1. Original Images``, or of ``B. Disease Grading``, which are the
    same, with the same names. Where ``B. Disease Grading/2. Groundtruths`` has the grades too (columns ``Image name``,
    ``Retinopathy grade`` 0-4), they become the label dr, and grade 0 has no lesions of retinopathy.

    Distances are in disc diameters. Part C has no disc masks, so one diameter serves for all: the mean of
    ``2 sqrt(area / pi) / width`` over the 54 disc masks of part A's training set, which come from the same camera with
    the same framing: 0.1232 (standard deviation 0.0110; the field of view spans 0.797 of the width, so that this is
    0.154 of its diameter). The photograph's width is the yardstick because it depends on nothing that is evaluated.
    """

    name = "idrid_localization"
    title = "IDRiD, C. Localization (Porwal et al., Data 2018)"
    targets = ("optic_disc", "fovea")
    rules_out = RULED_OUT["dr"]
    licence = "CC BY 4.0 (verify)"
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
            target: read_centres(files.table(("C. Localization", "2. Groundtruths", folder), word))
            for target, folder in self.tables.items()
        }
        stems = sorted(set().union(*centres.values()), key=natural)
        images, grades = self.folder(files, part), _grades(files, word)
        cases = []
        for stem in stems:
            points = {target: xy[stem] for target, xy in centres.items() if stem in xy}
            labels = {"dr": grades[stem] > 0} if stem in grades else {}
            absent = self.rules_out if labels.get("dr") is False else frozenset()
            photograph = files.find(images, stem)
            cases.append(Case(stem, part, photograph, points=points, labels=labels, absent=absent))
        return cases


def _grades(files: Finder, word: str) -> dict[str, int]:
    """Grade of retinopathy, 0-4, by photograph; none where the table is not there.

    Raises
    ------
    UserError
        If the table has other columns or grades.
    """
    path = files.optional_table(("B. Disease Grading", "2. Groundtruths"), word)
    if path is None:
        return {}
    table = pd.read_csv(path, dtype=str, encoding="utf-8-sig").rename(columns=str.strip)
    if absent := [name for name in (IMAGE, GRADE) if name not in table]:
        raise UserError(f"{path.name} has no column {absent[0]!r}; restore the official table.")
    table = table.dropna(subset=[IMAGE])
    if wrong := [row for row in table.to_dict("records") if row[GRADE] not in GRADES]:
        raise UserError(
            f"{path.name}: the grade of {wrong[0][IMAGE]!r} is not one of 0 to 4; restore the official table."
        )
    return dict(zip(table[IMAGE].str.strip(), table[GRADE].astype(int), strict=True))
