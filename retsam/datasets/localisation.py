"""Sets with the places of optic disc and fovea, but no masks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural
from retsam.datasets.lesions import IDRID_PARTS
from retsam.datasets.points import read_centres


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
    targets = ("optic_disc", "fovea")
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
        images = self.folder(files, part)
        return [
            Case(stem, part, files.find(images, stem), points={t: xy[stem] for t, xy in centres.items() if stem in xy})
            for stem in stems
        ]
