"""Sets with vessels, arteries and veins."""

from types import MappingProxyType

from retsam.datasets.annotation import MaskFile
from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural


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
