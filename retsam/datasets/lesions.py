"""Sets with lesions."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from retsam.datasets.annotation import MaskFile
from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural

IDRID_PARTS = {"train": "a. Training Set", "test": "b. Testing Set"}


class Idrid(Dataset):
    """IDRiD A: lesions and optic disc, no field-of-view masks. No file of a lesion means that the image has none."""

    name = "idrid"
    title = "IDRiD, Indian Diabetic Retinopathy Image Dataset, A. Segmentation (Porwal et al., Data 2018)"
    photographs = MappingProxyType(
        {part: ("A. Segmentation", "1. Original Images", folder) for part, folder in IDRID_PARTS.items()}
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
        base = ("A. Segmentation", "2. All Segmentation Groundtruths", IDRID_PARTS[part])
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
