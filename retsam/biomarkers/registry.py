"""The registry: every biomarker by name, in the order of tables and of the data dictionary."""

from retsam.biomarkers import (
    arcade,
    artery_vein,
    branching,
    calibre,
    disc_cup,
    disc_fovea,
    geometry,
    lesion,
    lesion_place,
    network,
    phenotype,
    quality,
)
from retsam.biomarkers.biomarker import FAMILIES, Biomarker

REGISTRY: dict[str, Biomarker] = {
    b.name: b
    for family in (
        quality,
        calibre,
        geometry,
        arcade,
        branching,
        network,
        artery_vein,
        disc_fovea,
        disc_cup,
        phenotype,
        lesion,
        lesion_place,
    )
    for b in family.BIOMARKERS
}


def names(family: str | None = None) -> list[str]:
    """Names of all biomarkers, or of one family.

    Raises
    ------
    ValueError
        For a family that is not in ``FAMILIES``.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"no family {family!r}; families are {', '.join(FAMILIES)}")
    return [b.name for b in REGISTRY.values() if family in (None, b.family)]


def exposures() -> list[Biomarker]:
    """Biomarkers that are held against outcomes: all but the quality of the photograph.

    Image quality describes the photograph, not the eye. It excludes photographs, and can be adjusted for (covariate
    ``gradability``), but an odds ratio of it would be read as one of the retina.
    """
    return [b for b in REGISTRY.values() if b.family != "quality"]
