"""Family phenotype: tessellation and the atrophies of myopia: how much, how many, what shape, and where.

An eye without them has 0; a shape or a spread of nothing is ``undefined``. What a model does not look for is
``not_segmented``. Pieces are 8-connected components in the field of view, without specks as in the family lesion.
"""

from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import PHENOTYPES, Biomarker, Unmeasurable
from retsam.biomarkers.image import Mask, RetinalImage
from retsam.biomarkers.lesion import shape
from retsam.biomarkers.outline import RAYS
from retsam.geometry import ETDRS, ZONES
from retsam.status import Status
from retsam.taxonomy import FOV

ATROPHIES = ("peripapillary_atrophy", "diffuse_atrophy", "patchy_atrophy")
"""Targets that together are the atrophy of the myopic eye."""

CRESCENT = 0.02  # dd; a ray with less atrophy has none: 3 px of a disc of 140 px, where outlines of two masks may gape
REACH = 2.0  # dd; further from the disc's margin atrophy is not peripapillary
PIECES = 3  # fewest pieces with a spread

TESSELLATED = 0.0222  # of the field of view
ATROPHIC = 0.01  # dd^2; less atrophy is taken for an error of the masks
FTD = "Transl Vis Sci Technol 2024, 13(6):22 (fundus tessellated density)"
META_PM = "Ohno-Matsui 2015, Am J Ophthalmol 159:877 (META-PM)"

REFERENCES = {
    "tessellation": FTD,
    "peripapillary_atrophy": "Jonas 1989, Invest Ophthalmol Vis Sci 30:908",
    "diffuse_atrophy": "Ohno-Matsui 2015, Am J Ophthalmol 159:877 (META-PM category 2)",
    "patchy_atrophy": "Ohno-Matsui 2015, Am J Ophthalmol 159:877 (META-PM category 3)",
}


def _union(image: RetinalImage, targets: tuple[str, ...]) -> Mask:
    return reduce(np.logical_or, [image.mask(target) for target in targets])


def _coverage(image: RetinalImage, targets: tuple[str, ...]) -> float:
    return np.count_nonzero(_union(image, targets) & image.mask(FOV)) / image.fov_area


def _zone_coverage(image: RetinalImage, targets: tuple[str, ...], zones: tuple[str, ...]) -> float:
    regions, covered = [image.region(zone) for zone in zones], _union(image, targets)
    return sum(region.count(covered) for region in regions) / sum(region.pixels for region in regions)


def _count(image: RetinalImage, target: str) -> float:
    return float(len(image.lesions(target)))


def _area(image: RetinalImage, target: str) -> float:
    return float(image.lesions(target).area.sum()) / image.disc.diameter**2


# Peripapillary atrophy


def _peripapillary_area(image: RetinalImage) -> float:
    return np.count_nonzero(image.crescent) / image.disc.area


def _widths(image: RetinalImage) -> NDArray[np.float64]:
    """Atrophy (RAYS,) beyond the disc's margin along each ray from its centroid, disc diameters."""
    diameter = image.disc.diameter
    return np.asarray(image.crescent_widths(REACH * diameter) / diameter, np.float64)


def _crescent_extent(image: RetinalImage) -> float:
    return float(np.count_nonzero(_widths(image) >= CRESCENT)) * 360 / RAYS


def _crescent_width(image: RetinalImage) -> float:
    return float(_widths(image).max())


# Tessellation


def _dispersion(image: RetinalImage) -> float:
    xy = image.lesions("tessellation").xy
    if len(xy) < PIECES:
        raise Unmeasurable(Status.UNDEFINED)
    return float(np.hypot(*(xy - xy.mean(axis=0)).T).mean()) / image.disc.diameter


# The grade


def _foveal(image: RetinalImage) -> float:
    return float(image.region("etdrs_centre").holds(image.lesions("patchy_atrophy").pixels).any())


def _category(image: RetinalImage) -> float:
    foveal, patchy = _foveal(image), _area(image, "patchy_atrophy") >= ATROPHIC
    if patchy:
        return 4.0 if foveal else 3.0
    if _area(image, "diffuse_atrophy") >= ATROPHIC:
        return 2.0
    return float(_coverage(image, ("tessellation",)) >= TESSELLATED)


_NONE_NEEDED = "none: an eye without it has 0"
_AXES = "disc and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal"
_ANY_ATROPHY = "peripapillary, diffuse or patchy atrophy"
_entry = partial(Biomarker, family="phenotype", unit="ratio", evidence=_NONE_NEEDED, reasons=())


def _words(target: str) -> tuple[str, str]:
    """Name of a target in a sentence and at the beginning of one."""
    noun = target.replace("_", " ")
    return noun, noun.capitalize()


def _coverages() -> tuple[Biomarker, ...]:
    return (
        *(
            _entry(
                name=f"{target}_coverage",
                label=f"{_words(target)[1]}, coverage",
                definition=f"Area of {_words(target)[0]} over the area of the field of view",
                reference=REFERENCES[target],
                requires=(target,),
                compute=partial(_coverage, targets=(target,)),
            )
            for target in PHENOTYPES
        ),
        _entry(
            name="myopic_atrophy_coverage",
            label="Myopic atrophy, coverage",
            definition=f"Area that {_ANY_ATROPHY} takes, over the area of the field of view",
            reference=META_PM,
            requires=ATROPHIES,
            compute=partial(_coverage, targets=ATROPHIES),
        ),
    )


def _pieces() -> tuple[Biomarker, ...]:
    counts = tuple(
        _entry(
            name=f"{target}_count",
            label=f"{_words(target)[1]}, number",
            unit="count",
            definition=f"Number of 8-connected components of {_words(target)[0]} in the field of view",
            reference=REFERENCES[target],
            requires=(target,),
            evidence=f"{_NONE_NEEDED}; a piece has 2 px or more at a frame of 1024 px",
            compute=partial(_count, target=target),
        )
        for target in ATROPHIES
    )
    areas = tuple(
        _entry(
            name=f"{target}_area",
            label=f"{_words(target)[1]}, area",
            unit="dd^2",
            definition=f"Area of {_words(target)[0]} in the field of view, in squared disc diameters",
            reference=REFERENCES[target],
            requires=(target, "optic_disc"),
            compute=partial(_area, target=target),
        )
        for target in ("diffuse_atrophy", "patchy_atrophy")
    )
    return counts + areas


_crescent_entry = partial(
    _entry, requires=("peripapillary_atrophy", "optic_disc"), evidence="disc found; an eye without the atrophy has 0"
)
_CRESCENT = (
    _crescent_entry(
        name="peripapillary_atrophy_area",
        label="Peripapillary atrophy, area",
        definition="Area of peripapillary atrophy outside the disc over the area of the disc",
        reference=REFERENCES["peripapillary_atrophy"],
        compute=_peripapillary_area,
    ),
    _crescent_entry(
        name="peripapillary_atrophy_extent",
        label="Peripapillary atrophy, angular extent",
        unit="deg",
        definition=f"Angle about the disc's centroid, 0 to 360, in which the atrophy is {CRESCENT} disc diameters wide "
        f"or more; along rays one degree apart, up to {REACH:g} disc diameters beyond the disc's margin",
        reference=REFERENCES["peripapillary_atrophy"],
        compute=_crescent_extent,
    ),
    _crescent_entry(
        name="peripapillary_atrophy_width",
        label="Peripapillary atrophy, largest width",
        unit="dd",
        definition="Largest length of atrophy along a ray from the disc's centroid, up to "
        f"{REACH:g} disc diameters beyond the disc's margin; gaps do not count",
        reference=REFERENCES["peripapillary_atrophy"],
        compute=_crescent_width,
    ),
)


def _tessellation() -> tuple[Biomarker, ...]:
    formulas = {
        "circularity": "4 pi area / perimeter^2 (1 for a disc; perimeter by Crofton's formula, holes included)",
        "aspect_ratio": "longer over shorter axis of the ellipse of equal second moments (1 for a disc)",
    }
    entry = partial(_entry, reference=FTD, reasons=(Status.UNDEFINED,))
    return (
        *(
            entry(
                name=f"tessellation_coverage_{zone}",
                label=f"Tessellation, coverage, {zone.replace('etdrs', 'ETDRS').replace('_', ' ')}",
                definition=f"Area of tessellation over area, in the part of the region in view: {ZONES[zone].meaning}",
                reference="Lyu 2021, Front Med 8:616249 (place of tessellation on the ETDRS grid)",
                requires=("tessellation", "optic_disc", "fovea"),
                evidence=f"{_AXES}; half of the region in view",
                compute=partial(_zone_coverage, targets=("tessellation",), zones=(zone,)),
            )
            for zone in ETDRS
        ),
        *(
            entry(
                name=f"tessellation_{measure}",
                label=f"Tessellation, {measure.replace('_', ' ')}",
                definition=f"Mean over the pieces of tessellation of {formula}",
                requires=("tessellation",),
                evidence="a piece of 30 px or more at a frame of 1024 px; smaller ones have no shape",
                compute=partial(shape, target="tessellation", measure=measure),
            )
            for measure, formula in formulas.items()
        ),
        entry(
            name="tessellation_dispersion",
            label="Tessellation, dispersion",
            unit="dd",
            definition="Mean distance of the centroids of the pieces of tessellation from their mean",
            requires=("tessellation", "optic_disc"),
            evidence=f"{PIECES} pieces",
            compute=_dispersion,
        ),
    )


_fovea_entry = partial(_entry, reference=META_PM, reasons=(Status.UNDEFINED,))
_GRADE = (
    _fovea_entry(
        name="myopic_atrophy_coverage_1dd",
        label="Myopic atrophy, coverage within 1 disc diameter of the fovea",
        definition=f"Part of the circle of 1 disc diameter about the fovea that {_ANY_ATROPHY} takes; without the disc",
        requires=(*ATROPHIES, "optic_disc", "fovea"),
        evidence=f"{_AXES}; half of the central subfield and half of the inner ring of the ETDRS grid in view",
        compute=partial(_zone_coverage, targets=ATROPHIES, zones=("etdrs_centre", "etdrs_inner")),
    ),
    _fovea_entry(
        name="patchy_atrophy_foveal",
        label="Patchy atrophy at the fovea",
        unit="0/1",
        definition="1 if any patchy atrophy reaches into the circle of 1/3 disc diameter (500 um by convention) about "
        "the fovea, else 0",
        requires=("patchy_atrophy", "optic_disc", "fovea"),
        evidence=f"{_AXES}; half of the circle in view",
        compute=_foveal,
    ),
    _fovea_entry(
        name="meta_pm_category",
        label="META-PM category, from masks",
        unit="category",
        definition="4 (macular atrophy): patchy atrophy that reaches into the circle of 1/3 disc diameter about the "
        "fovea; else 3: patchy atrophy; else 2: diffuse atrophy; else 1 (tessellated fundus): tessellation on "
        f"{TESSELLATED:.2%} of the field of view or more (a cut-off found in children); else 0. Atrophies count from "
        f"{ATROPHIC} squared disc diameters on. A rule on masks, no grade by a reader; lacquer cracks, new vessels and "
        "Fuchs spots are no targets",
        requires=("tessellation", "diffuse_atrophy", "patchy_atrophy", "optic_disc", "fovea"),
        evidence=f"{_AXES}; half of the circle in view",
        compute=_category,
    ),
)

BIOMARKERS = (*_coverages(), *_CRESCENT, *_pieces(), *_tessellation(), *_GRADE)
