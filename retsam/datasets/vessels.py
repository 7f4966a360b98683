"""Sets with vessels, arteries and veins."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from retsam.datasets.annotation import MaskFile, artery, hole, vein
from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural
from retsam.taxonomy import RULED_OUT


class Drive(Dataset):
    """DRIVE: vessels, two observers on the test part, field-of-view masks.

    Optional folders beside the official ones: ``av`` (RITE's artery/vein colour maps) and ``disc``, named like the
    photographs.
    """

    name = "drive"
    title = "DRIVE (Staal et al., IEEE TMI 2004); artery/vein maps: RITE (Hu et al., MICCAI 2013)"
    targets = ("vessel", "artery", "vein", "optic_disc")
    licence = "research use (verify)"
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
    """HRF: vessels and field-of-view masks; no official parts. Optional folder: ``av``, files ``NAME_AVmanual``.

    Names end in the group of the patient: ``_h`` healthy, ``_dr`` diabetic retinopathy, ``_g`` glaucoma. By the
    description of the set the first and the last have no retinopathy.
    """

    name = "hrf"
    title = "HRF, High-Resolution Fundus (Budai et al., Int J Biomed Imaging 2013)"
    targets = ("vessel", "artery", "vein")
    rules_out = RULED_OUT["dr"]
    licence = "CC BY 4.0 (verify)"
    photographs = MappingProxyType({"all": ("images",)})
    marks = ("manual1",)
    size = MappingProxyType({"all": 45})
    groups: ClassVar[Mapping[str, Mapping[str, bool]]] = MappingProxyType(
        {
            "h": {"dr": False, "glaucoma": False},
            "dr": {"dr": True},
            "g": {"dr": False, "glaucoma": True},
        }
    )

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        stems = {s.casefold(): s for s in [*files.stems("manual1"), *files.stems("images")]}
        cases = []
        for stem in sorted(stems.values(), key=natural):
            masks = {"vessel": MaskFile(files.find(("manual1",), stem))}
            masks |= _artery_vein(files, ("av",), f"{stem}_AVmanual")
            fov = MaskFile(files.find(("mask",), f"{stem}_mask"))
            labels = self.groups.get(stem.casefold().split("_")[-1], {})
            absent = self.rules_out if labels.get("dr") is False else frozenset()
            photograph = files.find(("images",), stem)
            cases.append(Case(stem, part, photograph, fov, masks, labels=labels, absent=absent))
        return cases


class Stare(Dataset):
    """STARE: vessels of 20 photographs by two observers; no parts, no field-of-view masks.

    Layout: ``stare-images/im0001.ppm.gz``, ``labels-ah/im0001.ah.ppm.gz`` (Adam Hoover: the truth) and
    ``labels-vk/im0001.vk.ppm.gz`` (Valentina Kouznetsova: ``observer2``, optional), as in the three archives of the
    vessel-probing page. Photographs without labels are left out, so that the folder of all 397 serves too.
    """

    name = "stare"
    title = "STARE, vessel probing (Hoover et al., IEEE TMI 2000)"
    targets = ("vessel",)
    photographs = MappingProxyType({"all": ("stare-images",)})
    marks = ("labels-ah",)
    size = MappingProxyType({"all": 20})

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of the photographs; repackaged copies call it ``images``."""
        return files.first(self.photographs[part], ("images",))

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        second = files.has("labels-vk")
        names = {stem.removesuffix(".ah") for stem in files.stems("labels-ah")}
        names |= {stem.removesuffix(".vk") for stem in files.stems("labels-vk")} if second else set()
        cases = []
        for name in sorted(names, key=natural):
            masks = {"vessel": MaskFile(files.find(("labels-ah",), f"{name}.ah"))}
            photograph = files.find(self.folder(files, part), name)
            observers = {}
            if second:
                observers["observer2"] = {"vessel": MaskFile(files.find(("labels-vk",), f"{name}.vk"))}
            cases.append(Case(name, part, photograph, None, masks, observers=observers))
        return cases


class ChaseDb1(Dataset):
    """CHASE_DB1: vessels of 28 photographs of children by two observers; no parts, no field-of-view masks.

    Layout: one flat folder with ``Image_01L.jpg``, ``Image_01L_1stHO.png`` (the truth) and ``Image_01L_2ndHO.png``
    (``observer2``). Papers often train on the first 20; the set itself has no such part.
    """

    name = "chase_db1"
    title = "CHASE_DB1 (Fraz et al., IEEE TBME 2012)"
    targets = ("vessel",)
    photographs = MappingProxyType({"all": ("Image_01L.jpg",)})
    size = MappingProxyType({"all": 28})

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of the photographs: the root itself, or ``Images``."""
        return files.first(("Images",), ())

    def is_present(self, files: Finder, part: str) -> bool:
        """Whether any file of the first observer is there."""
        return any(stem.casefold().endswith("_1stho") for stem in files.stems(*self.folder(files, part)))

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        folder = self.folder(files, part)
        names = {re.sub("_(1st|2nd)HO$", "", stem, flags=re.IGNORECASE) for stem in files.stems(*folder)}
        return [
            Case(
                name,
                part,
                files.find(folder, name),
                None,
                {"vessel": MaskFile(files.find(folder, f"{name}_1stHO"))},
                observers={"observer2": {"vessel": MaskFile(files.find(folder, f"{name}_2ndHO"))}},
            )
            for name in sorted(names, key=natural)
        ]


class LesAv(Dataset):
    """LES-AV: vessels, arteries, veins and field-of-view masks of 22 photographs; no parts.

    Layout: ``images/NAME.png``, ``vessel-segmentations/NAME.png``, ``arteries-and-veins/NAME.png`` and
    ``masks/NAME_mask.gif``. Arteries are red, veins blue, crossings green and uncertain vessels white.
    """

    name = "les_av"
    title = "LES-AV (Orlando et al., MICCAI 2018)"
    targets = ("vessel", "artery", "vein")
    licence = "scientific use, no commercial use (its README; verify)"
    photographs = MappingProxyType({"all": ("images",)})
    marks = ("vessel-segmentations",)
    size = MappingProxyType({"all": 22})

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        cases = []
        for stem in sorted({*files.stems("images"), *files.stems("vessel-segmentations")}, key=natural):
            masks = {"vessel": MaskFile(files.find(("vessel-segmentations",), stem))}
            masks |= _artery_vein(files, ("arteries-and-veins",), stem)
            fov = MaskFile(files.find(("masks",), f"{stem}_mask", stem))
            cases.append(Case(stem, part, files.find(("images",), stem), fov, masks))
        return cases


class Fives(Dataset):
    """FIVES: vessels of 800 photographs, half of them with a disease; no field-of-view masks.

    Layout: ``train/Original/1_A.png`` and ``train/Ground truth/1_A.png``; ``test`` likewise. The letter is the
    photograph's class: A macular degeneration, D diabetic retinopathy, G glaucoma, N normal (from memory; they become
    labels).
    """

    name = "fives"
    title = "FIVES, Fundus Image Vessel Segmentation (Jin et al., Sci Data 2022)"
    targets = ("vessel",)
    photographs = MappingProxyType({"train": ("train", "Original"), "test": ("test", "Original")})
    size = MappingProxyType({"train": 600, "test": 200})

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        truth = (part, "Ground truth")
        cases = []
        for stem in sorted({*files.stems(*self.photographs[part]), *files.stems(*truth)}, key=natural):
            masks = {"vessel": MaskFile(files.find(truth, stem))}
            letter = stem[-1].upper()
            diseases = {"amd": "A", "dr": "D", "glaucoma": "G"}
            labels = {name: letter == code for name, code in diseases.items()} if letter in "ADGN" else {}
            cases.append(Case(stem, part, files.find(self.photographs[part], stem), None, masks, labels=labels))
        return cases


class Iostar(Dataset):
    """IOSTAR: vessels and optic disc in 30 scanning-laser pictures, with field-of-view masks; no parts.

    Layout: ``image/star01_OSC.jpg``, ``GT/star01_OSC_GT.tif``, ``mask/star01_OSC_Mask.tif``, and optional
    ``mask_OD/star01_OSC_ODMask.tif``, where the disc is the dark hole in a white field, and
    ``AV_GT/star01_OSC_AV.tif``, arteries red and veins blue. These are no colour photographs: a model trained on those
    meets another kind of picture here.
    """

    name = "iostar"
    title = "IOSTAR (Zhang et al., IEEE TMI 2016)"
    targets = ("vessel", "artery", "vein", "optic_disc")
    photographs = MappingProxyType({"all": ("image",)})
    marks = ("GT",)
    size = MappingProxyType({"all": 30})

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        stems = {*files.stems("image"), *(stem.removesuffix("_GT") for stem in files.stems("GT"))}
        cases = []
        for stem in sorted(stems, key=natural):
            masks = {"vessel": MaskFile(files.find(("GT",), f"{stem}_GT", stem))}
            masks |= _artery_vein(files, ("AV_GT",), f"{stem}_AV", stem)
            if files.has("mask_OD"):
                masks["optic_disc"] = MaskFile(files.find(("mask_OD",), f"{stem}_ODMask", stem), hole)
            fov = MaskFile(files.find(("mask",), f"{stem}_Mask", stem))
            cases.append(Case(stem, part, files.find(("image",), stem), fov, masks))
        return cases


def _artery_vein(files: Finder, folder: tuple[str, ...], *stems: str) -> dict[str, MaskFile]:
    """Artery and vein of a colour map, nothing where the set has no such folder."""
    if not files.has(*folder):
        return {}
    path = files.find(folder, *stems)
    return {"artery": MaskFile(path, artery), "vein": MaskFile(path, vein)}
