"""The one list of segmentation targets, with group, colour and evidence level.

Names are the field's standard terms. A target belongs to one group; ``vessel`` is artery or vein. ``fov`` is no target:
it is the field of view, stored beside the targets because densities need it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Evidence(StrEnum):
    """How well a model's output for a target has been validated, strongest first."""

    ANNOTATED = "annotated"  # against pixel labels on real images
    LABEL_VALIDATED = "label_validated"  # separates real images by image-level labels
    PHANTOM = "phantom"  # synthetic images only


@dataclass(frozen=True)
class Target:
    """One thing that can be segmented.

    Attributes
    ----------
    name : str
        Identifier used in tables, files and options.
    group : str
        ``anatomy``, ``phenotype``, ``lesion_dr``, ``lesion_amd``, ``lesion_other`` or ``lesion_possible``.
    index : int
        Value in indexed PNG exports, 1-255; never reused.
    colour : tuple of int
        RGB, 0-255, for overlays.
    """

    name: str
    group: str
    index: int
    colour: tuple[int, int, int]


FOV = "fov"

_ROWS: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ("vessel", "anatomy", (0, 200, 120)),
    ("artery", "anatomy", (230, 60, 50)),
    ("vein", "anatomy", (60, 90, 230)),
    ("optic_disc", "anatomy", (255, 220, 60)),
    ("optic_cup", "anatomy", (255, 150, 40)),
    ("fovea", "anatomy", (60, 220, 255)),
    ("tessellation", "phenotype", (200, 120, 60)),
    ("peripapillary_atrophy", "phenotype", (180, 200, 90)),
    ("diffuse_atrophy", "phenotype", (220, 200, 140)),
    ("patchy_atrophy", "phenotype", (240, 240, 200)),
    ("microaneurysm", "lesion_dr", (255, 0, 90)),
    ("hemorrhage", "lesion_dr", (160, 0, 30)),
    ("hard_exudate", "lesion_dr", (255, 255, 0)),
    ("cotton_wool_spot", "lesion_dr", (230, 230, 255)),
    ("laser_spot", "lesion_dr", (130, 90, 160)),
    ("drusen", "lesion_amd", (190, 255, 100)),
    ("patchy_hemorrhage", "lesion_amd", (120, 0, 60)),
    ("epiretinal_membrane", "lesion_other", (120, 200, 255)),
    ("macular_hole", "lesion_other", (0, 120, 160)),
    ("artifact", "lesion_other", (150, 150, 150)),
    ("retinal_scar", "lesion_other", (90, 60, 40)),
    ("edema", "lesion_possible", (100, 180, 200)),
    ("av_nicking", "lesion_possible", (255, 100, 255)),
    ("venous_beading", "lesion_possible", (110, 60, 255)),
    ("vascular_sheathing", "lesion_possible", (210, 210, 210)),
    ("pigmentary_change", "lesion_possible", (70, 50, 60)),
    ("fibrous_proliferation", "lesion_possible", (240, 180, 180)),
    ("vitreous_degeneration", "lesion_possible", (180, 220, 220)),
    ("choroidal_atrophy", "lesion_possible", (230, 210, 100)),
    ("myelinated_nerve_fiber", "lesion_possible", (250, 250, 250)),
    ("venous_tortuosity", "lesion_possible", (40, 40, 180)),
    ("unknown_abnormality", "lesion_possible", (255, 0, 255)),
)

TARGETS: dict[str, Target] = {
    name: Target(name, group, index, colour) for index, (name, group, colour) in enumerate(_ROWS, start=1)
}

TREES = ("vessel", "artery", "vein")
"""Targets that are thin connected trees: judged by their centreline too, and tinted rather than outlined."""

DEFINITIONAL: dict[str, frozenset[str]] = {
    "dr": frozenset(
        {
            "microaneurysm",
            "hemorrhage",
            "hard_exudate",
            "cotton_wool_spot",
            "laser_spot",  # treated
            "venous_beading",  # severe non-proliferative
            "fibrous_proliferation",  # proliferative
            "edema",  # referable
        }
    ),
    "amd": frozenset({"drusen", "pigmentary_change", "patchy_hemorrhage", "choroidal_atrophy"}),
    "glaucoma": frozenset({"optic_cup"}),
    "myopia": frozenset(
        {"tessellation", "peripapillary_atrophy", "diffuse_atrophy", "patchy_atrophy", "choroidal_atrophy"}
    ),
}
"""Targets whose measurements are part of an outcome's own definition: their odds ratios are not risks.

Scales: DR Wilkinson 2003 (Ophthalmology 110:1677), fibrous proliferation ETDRS report 12 (Ophthalmology 1991;98:823);
AMD Ferris 2013 (120:844); myopia META-PM, Ohno-Matsui 2015 (Am J Ophthalmol 159:877). A bare choroid is geographic
atrophy or that of a myope, whichever disease is asked about. Scars, membranes, holes, and signs of vessels other than
beading decide no grade on these scales.
"""

RULED_OUT: dict[str, frozenset[str]] = {
    "dr": frozenset({"microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot"}),
    "myopia": frozenset({"patchy_atrophy", "diffuse_atrophy"}),
    "normal": frozenset({"drusen"}),
}
"""Targets that an eye without a disease does not show, and ``normal``: one without any.

Fewer than :data:`DEFINITIONAL`: tessellation and atrophy around the disc are common in eyes that are not myopic, and a
blot of blood may have many causes.
"""
