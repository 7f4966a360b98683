"""Sets with lesions."""

from collections.abc import Mapping
from pathlib import Path
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
    targets = ("microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot", "optic_disc")
    licence = "CC BY 4.0 (verify)"
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


LESIONS = ("microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot")


class Ddr(Dataset):
    """DDR: lesions of 757 photographs with diabetic retinopathy.

    Layout: ``lesion_segmentation/{train,valid,test}/image/007-2846-100.jpg`` with masks of the same names in
    ``label/{MA,HE,EX,SE}``, which the official archive calls ``segmentation label`` in the ``valid`` part. Each
    photograph has all four files; a lesion that is absent has an empty one.
    """

    name = "ddr"
    title = "DDR (Li et al., Inf Sci 2019)"
    targets = LESIONS
    photographs = MappingProxyType(
        {part: ("lesion_segmentation", part.replace("val", "valid"), "image") for part in ("train", "val", "test")}
    )
    size = MappingProxyType({"train": 383, "val": 149, "test": 225})
    codes: ClassVar[Mapping[str, str]] = MappingProxyType(dict(zip(LESIONS, ("MA", "HE", "EX", "SE"), strict=True)))

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of the photographs; the root may be ``lesion_segmentation`` itself."""
        return files.first(self.photographs[part], self.photographs[part][1:])

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        images = self.folder(files, part)
        labels = files.first((*images[:-1], "label"), (*images[:-1], "segmentation label"))
        stems = set(files.stems(*images))
        for code in self.codes.values():
            stems |= set(files.stems(*labels, code))
        cases = []
        for stem in sorted(stems, key=natural):
            masks = {target: MaskFile(files.find((*labels, code), stem)) for target, code in self.codes.items()}
            cases.append(Case(stem, part, files.find(images, stem), None, masks))
        return cases


class EOphtha(Dataset):
    """e-ophtha: hard exudates (82 photographs) and microaneurysms (381), each annotated on its own photographs.

    Layout: ``e_optha_EX/EX/E0019457/C0001273.jpg`` with ``e_optha_EX/Annotation_EX/E0019457/C0001273_EX.png``, and
    ``e_optha_EX/healthy/...`` without any; ``e_optha_MA`` likewise, with masks named like their photographs or with
    ``_MA`` behind. Either folder may be missing. A photograph of both folders gives two cases, each with its own
    target: what the other annotators would have marked on it is not known. ``healthy`` photographs have none of their
    folder's lesion.
    """

    name = "e_ophtha"
    title = "e-ophtha (Decenciere et al., IRBM 2013)"
    targets = ("hard_exudate", "microaneurysm")
    photographs = MappingProxyType({"all": ("e_optha_EX",)})
    size = MappingProxyType({"all": 463})
    codes: ClassVar[Mapping[str, str]] = MappingProxyType({"EX": "hard_exudate", "MA": "microaneurysm"})

    def is_present(self, files: Finder, part: str) -> bool:
        """Whether one of the two folders is there."""
        return any(files.has(f"e_optha_{code}", code) for code in self.codes)

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        cases = []
        for code, target in self.codes.items():
            for folder, exam, stem, path in self._photographs(files, code):
                photograph = files.find((*folder, *exam), stem)
                key = "_".join((code, *exam, stem))
                cases.append(Case(key, part, photograph, None, {target: MaskFile(path)}))
        return cases

    def _photographs(self, files: Finder, code: str) -> list[tuple[tuple[str, str], tuple[str, ...], str, Path | None]]:
        """Folder, subfolders, stem and mask of each photograph that was looked through for one lesion."""
        base, truth = f"e_optha_{code}", f"Annotation_{code}"
        marked = dict.fromkeys(files.exams(base, code))
        marked |= dict.fromkeys((exam, stem.removesuffix(f"_{code}")) for exam, stem in files.exams(base, truth))
        masks = [files.find((base, truth, *exam), f"{stem}_{code}", stem) for exam, stem in marked]
        found = [((base, code), exam, stem, mask) for (exam, stem), mask in zip(marked, masks, strict=True)]
        return [*found, *(((base, "healthy"), exam, stem, None) for exam, stem in files.exams(base, "healthy"))]


class Fgadr(Dataset):
    """FGADR Seg-set: lesions of 1,842 photographs; no parts.

    Layout: ``Original_Images/0000_1.png`` with masks of the same names in ``Microaneurysms_Masks``,
    ``Hemohedge_Masks`` (sic), ``HardExudate_Masks`` and ``SoftExudate_Masks``; the edges are smoothed, and half of the
    brightest value counts. Abnormal vessels and new vessels (``IRMA_Masks``, ``Neovascularization_Masks``) are no
    targets here.
    """

    name = "fgadr"
    title = "FGADR Seg-set (Zhou et al., IEEE TMI 2021)"
    targets = LESIONS
    photographs = MappingProxyType({"all": ("Original_Images",)})
    size = MappingProxyType({"all": 1842})
    folders: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "microaneurysm": "Microaneurysms_Masks",
            "hemorrhage": "Hemohedge_Masks",
            "hard_exudate": "HardExudate_Masks",
            "cotton_wool_spot": "SoftExudate_Masks",
        }
    )

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        stems = {stem for folder in ("Original_Images", *self.folders.values()) for stem in files.stems(folder)}
        return [
            Case(
                stem,
                part,
                files.find(("Original_Images",), stem),
                None,
                {target: MaskFile(files.find((folder,), stem)) for target, folder in self.folders.items()},
            )
            for stem in sorted(stems, key=natural)
        ]


class HeiMed(Dataset):
    """HEI-MED: hard exudates; for validation only.

    Layout: ``images/NAME.jpg`` and PNG masks of the same names in ``hard_exudate`` and ``other_bright_lesion``; no file
    means that none was marked. These masks are drawn from the region files of the set, whose own layout (``.GND`` and
    ``.map`` files) is not read. A few regions are outlines only. Other bright lesions (drusen, cotton wool, fluid,
    scars, not told apart) are no target: they count as "no hard exudate". The label ``bright_lesion`` says whether
    anything was marked.
    """

    name = "hei_med"
    title = "HEI-MED, Hamilton Eye Institute Macular Edema Dataset (Giancardo et al., Med Image Anal 2012)"
    targets = ("hard_exudate",)
    licence = "non-commercial research (verify)"
    photographs = MappingProxyType({"all": ("images",)})
    marks = ("hard_exudate",)
    size = MappingProxyType({"all": 169})
    validation_only = True

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        stems = {s for folder in ("images", "hard_exudate", "other_bright_lesion") for s in files.stems(folder)}
        cases = []
        for stem in sorted(stems, key=natural):
            path = files.optional(("hard_exudate",), stem)
            marked = bool(path or files.optional(("other_bright_lesion",), stem))
            masks = {"hard_exudate": MaskFile(path)}
            photograph = files.find(("images",), stem)
            cases.append(Case(stem, part, photograph, None, masks, labels={"bright_lesion": marked}))
        return cases
