"""Sets with optic disc and cup."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from retsam.datasets.annotation import (
    MaskFile,
    contour,
    cup_by_rank,
    cup_of_shapes,
    cup_of_three,
    disc_by_rank,
    disc_of_shapes,
    disc_of_three,
    labels_of_shapes,
    majority,
)
from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural
from retsam.datasets.points import read_foveas

DISC_CUP = ("optic_disc", "optic_cup")


def _three_levels(path: Path) -> dict[str, MaskFile]:
    return {"optic_disc": MaskFile(path, disc_of_three), "optic_cup": MaskFile(path, cup_of_three)}


def _point(points: Mapping[str, tuple[float, float]], stem: str) -> dict[str, tuple[float, float]]:
    return {"fovea": points[stem.casefold()]} if stem.casefold() in points else {}


class Refuge(Dataset):
    """REFUGE: disc and cup of 1,200 photographs, 400 in each part, from two cameras.

    Layout: photographs in ``Training400/{Glaucoma,Non-Glaucoma}/g0001.jpg``, ``REFUGE-Validation400/V0001.jpg`` and
    ``Test400/T0001.jpg``; masks in ``Annotation-Training400/Disc_Cup_Masks``, ``REFUGE-Validation400-GT/
    Disc_Cup_Masks`` and ``REFUGE-Test-GT/Disc_Cup_Masks``, with or without subfolders by diagnosis: 0 cup, 128 rim, 255
    background. The same names with ``REFUGE-`` before them, or nested once more as some archives unpack, are found too.
    Foveas come as ``.xlsx`` beside the masks; they are read from a CSV export, if there is one. The diagnosis is known
    here for the training part only (names with g or n).
    """

    name = "refuge"
    title = "REFUGE, Retinal Fundus Glaucoma Challenge (Orlando et al., Med Image Anal 2020)"
    targets = (*DISC_CUP, "fovea")
    photographs = MappingProxyType({"train": ("Training400",), "val": ("REFUGE-Validation400",), "test": ("Test400",)})
    size = MappingProxyType({"train": 400, "val": 400, "test": 400})
    names: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {
            "train": ("Training400", "REFUGE-Training400"),
            "val": ("REFUGE-Validation400", "Validation400"),
            "test": ("Test400", "REFUGE-Test400"),
        }
    )
    truth: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {
            "train": ("Annotation-Training400", "Training400-GT"),
            "val": ("REFUGE-Validation400-GT", "Validation400-GT"),
            "test": ("REFUGE-Test-GT", "REFUGE-Test400-GT", "Test400-GT"),
        }
    )

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of the photographs, by any of its names."""
        return files.first(*((name,) for name in self.names[part]))

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        tables = files.first(*((name, name) for name in self.truth[part]), *((name,) for name in self.truth[part]))
        tables = tables if files.has(*tables) else (self.truth[part][0],)
        masks = (*tables, "Disc_Cup_Masks")
        foveas = read_foveas(files, tables)
        images = self.folder(files, part)
        cases = []
        for stem in sorted({*files.stems(*images, deep=True), *files.stems(*masks, deep=True)}, key=natural):
            path = files.find(masks, stem, deep=True)
            labels = {"glaucoma": stem[0].lower() == "g"} if part == "train" and stem[0].lower() in "gn" else {}
            photograph = files.find(images, stem, deep=True)
            cases.append(
                Case(stem, part, photograph, None, _three_levels(path), points=_point(foveas, stem), labels=labels)
            )
        return cases


class DrishtiGs(Dataset):
    """DRISHTI-GS1: disc and cup by four experts; the truth is what more than half of them marked.

    Layout: ``Training/Images/drishtiGS_002.png`` with ``Training/GT/drishtiGS_002/SoftMap/drishtiGS_002_ODsegSoftmap``
    and ``..._cupsegSoftmap``; ``Test/Images`` with ``Test/Test_GT`` in the same way; all in ``Drishti-GS1_files``.
    """

    name = "drishti_gs"
    title = "DRISHTI-GS1 (Sivaswamy et al., ISBI 2014)"
    targets = DISC_CUP
    licence = "research use (verify)"
    photographs = MappingProxyType({"train": ("Training", "Images"), "test": ("Test", "Images")})
    size = MappingProxyType({"train": 50, "test": 51})
    truth: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType(
        {"train": ("Training", "GT"), "test": ("Test", "Test_GT")}
    )

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        images = self.photographs[part]
        cases = []
        for stem in sorted({*files.stems(*images, deep=True), *files.folders(*self.truth[part])}, key=natural):
            folder = (*self.truth[part], stem, "SoftMap")
            masks = {
                "optic_disc": MaskFile(files.find(folder, f"{stem}_ODsegSoftmap"), majority),
                "optic_cup": MaskFile(files.find(folder, f"{stem}_cupsegSoftmap"), majority),
            }
            cases.append(Case(stem, part, files.find(images, stem, deep=True), None, masks))
        return cases


class RimOne(Dataset):
    """RIM-ONE DL: disc and cup in 485 crops around the disc, one expert; the official random split.

    Layout: ``RIM-ONE_DL_images/partitioned_randomly/{training_set,test_set}/{glaucoma,normal}/r1_Im117.png`` and
    ``RIM-ONE_DL_reference_segmentations/{glaucoma,normal}/r1_Im117-1-Disc-T.png``, ``...-1-Cup-T.png``.

    The pictures are crops without a field-of-view circle. They are framed as if they were the middle of a photograph
    (:meth:`Dataset.frame`): discs span 0.718 of the crop's width (mean over the training part, standard deviation 0.05)
    and 0.154 of the field of view in IDRiD, so that a field is 4.66 crops wide. Figures on them say how well the edge
    of a disc is drawn where its place is given, not how well discs are found.
    """

    name = "rim_one"
    title = "RIM-ONE DL (Fumero et al., Image Anal Stereol 2020)"
    targets = DISC_CUP
    licence = "research and education (verify)"
    photographs = MappingProxyType(
        {
            part: ("RIM-ONE_DL_images", "partitioned_randomly", folder)
            for part, folder in {"train": "training_set", "test": "test_set"}.items()
        }
    )
    size = MappingProxyType({"train": 339, "test": 146})
    field_diameter = 4.66
    truth: ClassVar[tuple[str, ...]] = ("RIM-ONE_DL_reference_segmentations",)

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        cases = []
        for stem in files.stems(*self.photographs[part], deep=True):
            photograph = files.find(self.photographs[part], stem, deep=True)
            masks = {
                "optic_disc": MaskFile(files.find(self.truth, f"{stem}-1-Disc-T", deep=True)),
                "optic_cup": MaskFile(files.find(self.truth, f"{stem}-1-Cup-T", deep=True)),
            }
            diagnosis = photograph.parent.name.casefold()
            labels = {"glaucoma": diagnosis == "glaucoma"} if diagnosis in ("glaucoma", "normal") else {}
            cases.append(Case(stem, part, photograph, None, masks, labels=labels))
        return cases


class Origa(Dataset):
    """ORIGA-light: disc and cup of 650 photographs; no parts.

    Layout: ``Images/001.jpg`` with ``Semi-automatic-annotations/001.mat`` (variable ``mask``: 0 background, 1 rim,
    2 cup) or, where that folder is missing, ``Masks/001.png`` with the same three classes in any three grey levels.
    Folder names and classes are those of the copies in circulation; the archive of the authors could not be looked at.
    The sets A and B of ``OrigaList.csv`` are not applied.
    """

    name = "origa"
    title = "ORIGA-light (Zhang et al., EMBC 2010)"
    targets = DISC_CUP
    photographs = MappingProxyType({"all": ("Images",)})
    size = MappingProxyType({"all": 650})
    truth: ClassVar[tuple[tuple[str, ...], ...]] = (("Semi-automatic-annotations",), ("Masks",))

    def is_present(self, files: Finder, part: str) -> bool:
        """Whether photographs and one kind of masks are there; G1020 has a folder ``Images`` too."""
        first = next(iter(files.stems("Images")), "") if files.has("Images") else ""
        return bool(first) and not first.casefold().startswith("image_")

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        folder = files.first(*self.truth)
        matlab = folder == self.truth[0]
        truth = files.names(folder, ".mat") if matlab else files.stems(*folder)
        cases = []
        for stem in sorted({*files.stems("Images"), *truth}, key=natural):
            path = files.file(folder, f"{stem}.mat") if matlab else files.find(folder, stem)
            masks = {"optic_disc": MaskFile(path, disc_by_rank), "optic_cup": MaskFile(path, cup_by_rank)}
            cases.append(Case(stem, part, files.find(("Images",), stem), None, masks))
        return cases


class G1020(Dataset):
    """G1020: disc and cup of 1,020 photographs as polygons; no parts.

    Layout: ``Images/image_0.jpg`` with ``image_0.json`` (labelme; shapes ``disc`` and ``cup``) beside it or in
    ``json``; or, where there is no JSON file, ``Masks/image_0.png`` with background < rim < cup. That the PNG masks
    have these classes is from memory. A photograph without a cup polygon is not scored for the cup: its experts saw
    none, or could not outline it.
    """

    name = "g1020"
    title = "G1020 (Bajwa et al., IJCNN 2020)"
    targets = DISC_CUP
    photographs = MappingProxyType({"all": ("Images",)})
    size = MappingProxyType({"all": 1020})

    def is_present(self, files: Finder, part: str) -> bool:
        """Whether photographs with this set's names are there; ORIGA has a folder ``Images`` too."""
        first = next(iter(files.stems("Images")), "") if files.has("Images") else ""
        return first.casefold().startswith("image_")

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        return [
            Case(stem, part, files.find(("Images",), stem), None, self._masks(files, stem))
            for stem in sorted({*files.stems("Images"), *files.names(("Images",), ".json")}, key=natural)
        ]

    def _masks(self, files: Finder, stem: str) -> dict[str, MaskFile]:
        name = f"{stem}.json"
        shapes = files.optional_file(("Images",), name) or files.optional_file(("json",), name)
        if shapes is None and files.has("Masks"):
            path = files.find(("Masks",), stem)
            return {"optic_disc": MaskFile(path, disc_by_rank), "optic_cup": MaskFile(path, cup_by_rank)}
        if shapes is None:
            files.file(("Images",), name)
            return {}
        readers = {"optic_disc": ("disc", disc_of_shapes), "optic_cup": ("cup", cup_of_shapes)}
        labels = labels_of_shapes(shapes)
        return {target: MaskFile(shapes, reader) for target, (label, reader) in readers.items() if label in labels}


class Papila(Dataset):
    """PAPILA: disc and cup of both eyes of 244 people, outlined by two experts; no parts.

    Layout: ``FundusImages/RET002OD.jpg`` and ``ExpertsSegmentations/Contours/RET002OD_disc_exp1.txt``,
    ``..._cup_exp1.txt``, ``..._disc_exp2.txt``, ``..._cup_exp2.txt``: x and y of a point in each row. The first expert
    is the truth, the second is ``observer2``.
    """

    name = "papila"
    title = "PAPILA (Kovalyk et al., Sci Data 2022)"
    targets = DISC_CUP
    photographs = MappingProxyType({"all": ("FundusImages",)})
    size = MappingProxyType({"all": 488})
    truth: ClassVar[tuple[str, ...]] = ("ExpertsSegmentations", "Contours")

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        cases = []
        outlined = {name.split("_")[0] for name in files.names(self.truth, ".txt")}
        for stem in sorted({*files.stems("FundusImages"), *outlined}, key=natural):
            experts = {
                number: {
                    f"optic_{what}": MaskFile(files.file(self.truth, f"{stem}_{what}_exp{number}.txt"), contour)
                    for what in ("disc", "cup")
                }
                for number in (1, 2)
            }
            photograph = files.find(("FundusImages",), stem)
            cases.append(Case(stem, part, photograph, None, experts[1], observers={"observer2": experts[2]}))
        return cases


class Gamma(Dataset):
    """GAMMA: disc, cup and fovea of 100 photographs; only the training part has public masks.

    Layout: ``training/fundus color images/0001.jpg`` and ``training/Disc_Cup_Mask/0001.png`` of task 3 (the root is
    ``task3_disc_cup_segmentation`` or the folder around it): 0 cup, 128 rim, 255 background. The foveas of task 2 are
    read from a CSV export of ``fovea_localization_training_GT.xlsx`` in ``training``, if there is one. Where
    photographs are only in the folders of task 1, ``training/multi-modality_images/0001/0001.jpg``, they are taken
    from there.
    """

    name = "gamma"
    title = "GAMMA, Glaucoma Grading from Multi-Modality Images (Wu et al., Med Image Anal 2023)"
    targets = (*DISC_CUP, "fovea")
    licence = "CC BY-NC (mmsegmentation's page of the set; verify)"
    photographs = MappingProxyType({"train": ("training", "fundus color images")})
    marks = ("training/Disc_Cup_Mask",)
    size = MappingProxyType({"train": 100})
    truth: ClassVar[tuple[str, ...]] = ("training", "Disc_Cup_Mask")

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of the photographs of task 3, or of task 1."""
        return files.first(self.photographs[part], ("training", "multi-modality_images"))

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        images = self.folder(files, part)
        foveas = read_foveas(files, ("training",))
        stems = set(files.stems(*self.truth))
        if images == self.photographs[part]:
            stems |= set(files.stems(*images))
        return [
            Case(
                stem,
                part,
                files.find(images, stem, deep=True),
                None,
                _three_levels(files.find(self.truth, stem)),
                points=_point(foveas, stem),
            )
            for stem in sorted(stems, key=natural)
        ]
