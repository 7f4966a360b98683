"""Sets of pathologic myopia and of macular degeneration: lesions, optic disc, fovea and a diagnosis."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from retsam.datasets.annotation import MaskFile, black_on_white
from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder, natural
from retsam.datasets.points import read_foveas


class Palm(Dataset):
    """PALM (iChallenge-PM): atrophy, optic disc, fovea and the diagnosis of pathologic myopia.

    Layout: ``PALM-Training400/PALM-Training400/P0053.jpg`` with ``PALM-Training400/PALM-Training400-Annotation-D&F/
    Disc_Masks`` and ``PALM-Training400-Annotation-Lession/Lesion_Masks/Atrophy`` (BMP, 0 inside, 255 outside; no file:
    none), each also without the outer folder; ``PALM-Validation400`` with ``PALM-Validation-GT``. The test part
    (``PALM-Testing400-Images``) is looked for with masks in ``PALM-Testing400-GT``, a name that could not be verified,
    as the later release by the journal could not. Names tell the diagnosis in the training part: P pathologic, H high
    myopia without, N normal. The published atrophy includes that around the disc, so that ``patchy_atrophy`` is held
    against a truth that has some ``peripapillary_atrophy`` in it. Detached retina is no target here.
    """

    name = "palm"
    title = "PALM, Pathologic Myopia Challenge (Fang et al., Sci Data 2024)"
    targets = ("patchy_atrophy", "optic_disc", "fovea")
    photographs = MappingProxyType(
        {"train": ("PALM-Training400",), "val": ("PALM-Validation400",), "test": ("PALM-Testing400-Images",)}
    )
    size = MappingProxyType({"train": 400, "val": 400, "test": 400})

    def folder(self, files: Finder, part: str) -> tuple[str, ...]:
        """Folder of the photographs; that of the training part may be nested."""
        name = self.photographs[part]
        return files.first((*name, *name), name)

    def is_present(self, files: Finder, part: str) -> bool:
        """Whether the photographs are there; the test part is often had without masks, and then left out."""
        return super().is_present(files, part) and (part != "test" or files.has("PALM-Testing400-GT"))

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        outer = ("PALM-Training400",)
        if part == "train":
            discs = files.first(*((*o, "PALM-Training400-Annotation-D&F", "Disc_Masks") for o in (outer, ())))
            lesions = files.first(*((*o, "PALM-Training400-Annotation-Lession", "Lesion_Masks") for o in (outer, ())))
        else:
            base = {"val": "PALM-Validation-GT", "test": "PALM-Testing400-GT"}[part]
            discs, lesions = (base, "Disc_Masks"), (base, "Lesion_Masks")
        foveas = read_foveas(files, discs[:-1])
        images = self.folder(files, part)
        files.stems(*lesions, "Atrophy")  # the folder has to be there: a missing file means none
        cases = []
        for stem in sorted({*files.stems(*images), *files.stems(*discs)}, key=natural):
            masks = {"patchy_atrophy": MaskFile(files.optional((*lesions, "Atrophy"), stem), black_on_white)}
            masks |= _disc(files, discs, stem)
            points = {"fovea": foveas[stem.casefold()]} if stem.casefold() in foveas else {}
            labels = {"myopia": stem[0] in "Pp"} if part == "train" and stem[0] in "PpHhNn" else {}
            photograph = files.find(images, stem)
            cases.append(Case(stem, part, photograph, None, masks, points=points, labels=labels))
        return cases


class Adam(Dataset):
    """ADAM (iChallenge-AMD): drusen and other lesions, optic disc, fovea and the diagnosis; public for 400 photographs.

    Layout: ``Training400/{AMD,Non-AMD}/A0001.jpg``; lesions in ``Training400-Lesion/Lesion_Masks/{drusen,exudate,
    hemorrhage,scar}`` (BMP, no file: none), in a folder of that name once more, or in ``Lesion_Masks``; discs in
    ``Training400/Disc_Masks``, ``Annotation-DF-Training400/Training400/Disc_Masks`` or ``Disc_Masks``. In lesion masks
    0 is inside and 255 outside; that discs are coded in the same way is from memory, and a mask that is dark in a
    corner is refused. Bleedings in macular degeneration are the target ``patchy_hemorrhage``. The class "others" is
    left out.
    """

    name = "adam"
    title = "ADAM, Automatic Detection challenge on AMD (Fang et al., IEEE TMI 2022)"
    targets = ("drusen", "hard_exudate", "patchy_hemorrhage", "retinal_scar", "optic_disc", "fovea")
    photographs = MappingProxyType({"train": ("Training400",)})
    marks = ("Training400/Non-AMD",)
    size = MappingProxyType({"train": 400})
    lesions: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "drusen": "drusen",
            "hard_exudate": "exudate",
            "patchy_hemorrhage": "hemorrhage",
            "retinal_scar": "scar",
        }
    )

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        name = "Training400-Lesion"
        lesions = files.first((name, "Lesion_Masks"), (name, name, "Lesion_Masks"), ("Lesion_Masks",))
        outer = ("Training400",), ("Annotation-DF-Training400", "Training400"), ("Annotation-DF-Training400",), ()
        discs = files.first(*((*folder, "Disc_Masks") for folder in outer))
        foveas = next((found for folder in outer if (found := read_foveas(files, folder))), {})
        for folder in self.lesions.values():
            files.stems(*lesions, folder)  # the folder has to be there: a missing file means none
        cases = []
        for group in ("AMD", "Non-AMD"):
            outlined = {stem for stem in files.stems(*discs) if (stem[0] in "Aa") == (group == "AMD")}
            for stem in sorted({*files.stems("Training400", group), *outlined}, key=natural):
                masks = {
                    target: MaskFile(files.optional((*lesions, folder), stem), black_on_white)
                    for target, folder in self.lesions.items()
                }
                masks |= _disc(files, discs, stem)
                points = {"fovea": foveas[stem.casefold()]} if stem.casefold() in foveas else {}
                photograph = files.find(("Training400", group), stem)
                labels = {"amd": group == "AMD"}
                cases.append(Case(stem, part, photograph, None, masks, points=points, labels=labels))
        return cases


def _disc(files: Finder, folder: tuple[str, ...], stem: str) -> dict[str, MaskFile]:
    """Optic disc; a photograph without a file shows none that could be outlined, and is not scored for it."""
    path = files.optional(folder, stem)
    return {"optic_disc": MaskFile(path, black_on_white)} if path else {}
