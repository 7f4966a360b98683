"""What a biomarker is: a named number of one image with a unit, a definition and a rule for when it may be given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retsam.status import Status
from retsam.taxonomy import DEFINITIONAL, TARGETS

if TYPE_CHECKING:
    from retsam.biomarkers.image import RetinalImage

FAMILIES: dict[str, str] = {
    "quality": "Quality of the photograph",
    "calibre": "Vessel calibre",
    "geometry": "Vessel geometry: tortuosity and evenness of width",
    "branching": "Vessel branching",
    "network": "Vessel network: density, fractal dimension, sparsity",
    "artery_vein": "Arteries against veins",
    "disc_fovea": "Optic disc and fovea",
    "disc_cup": "Optic disc and cup",
    "phenotype": "Tessellation and myopic atrophy",
    "lesion": "Lesions",
}
"""Families in the order of tables and figures, with their headings."""

VESSEL_TARGETS: dict[str, str] = {"vessel": "vessels", "artery": "arteries", "vein": "veins"}
"""Vessel targets that calibre, geometry and network are measured on, with the noun of their definitions."""

LESIONS = tuple(t.name for t in TARGETS.values() if t.group.startswith("lesion"))
"""Targets of the family ``lesion``."""

PHENOTYPES = tuple(t.name for t in TARGETS.values() if t.group == "phenotype")
"""Targets of the family ``phenotype``."""

FINDINGS = frozenset(LESIONS + PHENOTYPES)
"""Targets that an eye may well lack: an empty mask is a true zero. Anatomy that is not found is ``not_visible``."""

VASCX = "Vargas Quiros 2024, arXiv:2409.16016 (VascX)"


class Unmeasurable(Exception):
    """A biomarker has no value here; carries the reason."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.value)
        self.status = status


@dataclass(frozen=True)
class Biomarker:
    """One entry of the data dictionary, with the function that computes it.

    Attributes
    ----------
    name : str
        Column; carries target, estimator and region.
    family : str
        Key of :data:`FAMILIES`.
    label : str
        For axes and tables.
    unit : str
        ``dd`` disc diameters, ``1/dd``, ``um``, ``mm2``, ``deg``, ``ratio``, ``count``, ``dimension`` ...
    definition : str
    reference : str
    requires : tuple of str
        Targets, in the order in which a missing one gives its reason (``not_segmented`` before all others).
    evidence : str
        Minimum-evidence rule, in words.
    reasons : tuple of Status
        Reasons for a missing value beyond those of a missing target.
    compute : callable
        ``RetinalImage -> float``; raises :class:`Unmeasurable`.
    """

    name: str
    family: str
    label: str
    unit: str
    definition: str
    reference: str
    requires: tuple[str, ...]
    evidence: str
    reasons: tuple[Status, ...]
    compute: Callable[[RetinalImage], float]

    @property
    def definitional(self) -> tuple[str, ...]:
        """Outcomes of which a required target is part of the definition: the odds ratio is then no risk."""
        return tuple(sorted(o for o, targets in DEFINITIONAL.items() if targets & set(self.requires)))

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Every status that a value of a readable image can have."""
        missing = (Status.NOT_SEGMENTED, Status.NOT_VISIBLE) if self.requires else ()
        cut = (Status.OUT_OF_VIEW,) if "optic_disc" in self.requires else ()
        return (Status.OK, *dict.fromkeys((*missing, *cut, *self.reasons)), Status.FAILED)
