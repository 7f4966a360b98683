"""Sets with labels of whole photographs."""

from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder
from retsam.errors import UserError
from retsam.quality import without_stamp
from retsam.taxonomy import RULED_OUT


class Drimdb(Dataset):
    """DRIMDB: quality labels by folder, ``Good`` against ``Bad`` and ``Outlier`` (no fundus at all)."""

    name = "drimdb"
    licence = "research use (verify)"
    title = "DRIMDB, Diabetic Retinopathy Image Database (Sevik et al., J Biomed Opt 2014)"
    photographs = MappingProxyType({"all": ("Good",)})
    marks = ("Bad",)
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


class Odir(Dataset):
    """ODIR-5K: diagnoses of each eye; no masks, so that there is nothing for ``retsam evaluate`` to score.

    Layout: ``manifest.csv`` (columns image_id, path, and dr, amd, glaucoma, myopia as 0, 1 or empty; participant_id may
    be absent) beside ``images``: the set after it was brought into a manifest. The spreadsheet of the challenge, which
    has one row for both eyes of a person, is not read.

    An eye with all four diseases 0 and the ``keywords`` "normal fundus", nothing else, has no findings that these rule
    out. Without the keywords nothing is said to be absent: eyes with other diseases have four zeros too.
    """

    name = "odir"
    title = "ODIR-5K, Ocular Disease Intelligent Recognition (Peking University challenge, 2019)"
    licence = "challenge data, research use, do not redistribute (verify)"
    photographs = MappingProxyType({"all": ("images",)})
    marks = ("manifest.csv",)
    size = MappingProxyType({"all": 7000})
    rules_out = frozenset().union(*RULED_OUT.values())
    diseases: ClassVar[tuple[str, ...]] = ("dr", "amd", "glaucoma", "myopia")
    normal: ClassVar[str] = "normal fundus"

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        path = files.file((), "manifest.csv")
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
        absent = [name for name in ("image_id", "path", *self.diseases) if name not in table]
        if absent:
            raise UserError(f"{path.name} has no column {absent[0]}; it needs image_id, path and the diseases.")
        cases = []
        for row in table.to_dict("records"):
            labels = {name: row[name] == "1" for name in self.diseases if row[name] in ("0", "1")}
            photograph = files.file(tuple(row["path"].split("/")[:-1]), row["path"].split("/")[-1])
            person = row.get("participant_id")
            well = [labels.get(name) for name in self.diseases] == [False] * len(self.diseases)
            well &= str(row.get("keywords", "")).strip() == self.normal
            cases.append(
                Case(
                    row["image_id"],
                    part,
                    photograph,
                    labels=labels,
                    absent=self.rules_out if well else frozenset(),
                    participant=person if isinstance(person, str) else None,
                )
            )
        return cases
