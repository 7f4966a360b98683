"""Family quality: what tells how far the numbers of a photograph can be relied on; no exposures.

The columns of the quality table, named ``quality_...``; and from the masks how much of each region is in view, how sure
the model is of the anatomy, and whether disc and cup look like what they are taken for.
"""

from functools import partial

import numpy as np
import pandas as pd

from retsam.biomarkers.biomarker import Biomarker, Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.geometry import ZONES
from retsam.quality import FEATURES
from retsam.status import Status
from retsam.taxonomy import TARGETS

IN_VIEW = ("zone_b", "zone_c", "macula", "etdrs_outer")
"""Zones whose part in view is given."""

CUP_IN_DISC = 0.95  # part of the cup's mask
CENTRED = 0.2  # of the field's radius


def _column(image: RetinalImage, column: str) -> float:
    """Value in the image's quality row; ``not_assessed`` without a row, or where it is empty."""
    if image.quality is None or pd.isna(image.quality.get(column)):
        raise Unmeasurable(Status.NOT_ASSESSED)
    return float(image.quality[column])


def _label(column: str) -> str:
    """Column name in print, with the field's abbreviations in capitals."""
    words = column.replace("_", " ").replace("fov", "field of view,").split(" ")
    text = " ".join(word.upper() if word in ("cv", "cnr") else word for word in words)
    return text[0].upper() + text[1:]


def _in_view(image: RetinalImage, zone: str) -> float:
    return image.in_view(zone)


def _distance(image: RetinalImage) -> float:
    return image.axes.distance / image.frame.scale


def _probability(image: RetinalImage, target: str) -> float:
    probability = image.rows[target]["probability"]
    if pd.isna(probability):
        raise Unmeasurable(Status.NOT_ASSESSED)
    return float(probability)


def _cup_in_disc(image: RetinalImage) -> float:
    cup = image.mask("optic_cup")
    share = np.count_nonzero(cup & image.body("optic_disc")) / np.count_nonzero(cup)
    return float(share >= CUP_IN_DISC and image.cup.area < image.disc.area)


def _disc_size(image: RetinalImage) -> float:
    return float(image.disc_plausible)


def _centred(image: RetinalImage, on: str) -> float:
    x, y, radius = image.fov_circle
    at = (image.disc.x, image.disc.y) if on == "disc" else image.fovea
    return float(np.hypot(at[0] - x, at[1] - y) <= CENTRED * radius)


def _biomarker(column: str, unit: str, definition: str, reference: str) -> Biomarker:
    return Biomarker(
        name=f"quality_{column}",
        family="quality",
        label=_label(column),
        unit=unit,
        definition=definition[0].upper() + definition[1:],
        reference=reference,
        requires=(),
        evidence="a quality table with this image",
        reasons=(Status.NOT_ASSESSED,),
        compute=partial(_column, column=column),
    )


_entry = partial(Biomarker, family="quality")
_PLAUSIBLE = "disc and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal"
_CENTRED = f"is at most {CENTRED:g} of the field's radius from the centre of the field of view, else 0"

_VIEW = (
    *(
        _entry(
            name=f"in_view_{zone}",
            label=f"In view, {zone.replace('etdrs', 'ETDRS').replace('zone_b', 'zone B').replace('zone_c', 'zone C')}",
            unit="ratio",
            definition=f"Part of the {ZONES[zone].meaning.removesuffix(', without the disc')} that the field of view "
            "shows; biomarkers of a region are given from 0.5 on",
            reference="Vargas Quiros 2024, arXiv:2409.16016 (VascX, rule of half a region)",
            requires=("optic_disc", "fovea") if about_fovea else ("optic_disc",),
            evidence=_PLAUSIBLE if about_fovea else "disc found",
            reasons=(Status.UNDEFINED,) if about_fovea else (),
            compute=partial(_in_view, zone=zone),
        )
        for zone in IN_VIEW
        for about_fovea in [ZONES[zone].origin == "fovea"]
    ),
    _entry(
        name="disc_fovea_distance_px",
        label="Disc-fovea distance, pixels",
        unit="px",
        definition="Distance between the centres of disc and fovea in pixels of the photograph: how finely it shows "
        "the retina",
        reference="conventional",
        requires=("optic_disc", "fovea"),
        evidence=_PLAUSIBLE,
        reasons=(Status.UNDEFINED,),
        compute=_distance,
    ),
    _entry(
        name="disc_centred",
        label="Centred on the disc",
        unit="0/1",
        definition=f"1 where the disc's centre {_CENTRED}",
        reference="Zhou 2022, Transl Vis Sci Technol 11(7):12 (AutoMorph, a tenth of the picture)",
        requires=("optic_disc",),
        evidence="disc found",
        reasons=(),
        compute=partial(_centred, on="disc"),
    ),
    _entry(
        name="macula_centred",
        label="Centred on the macula",
        unit="0/1",
        definition=f"1 where the fovea {_CENTRED}",
        reference="conventional",
        requires=("fovea",),
        evidence="fovea found",
        reasons=(),
        compute=partial(_centred, on="fovea"),
    ),
)

_TRUST = (
    *(
        _entry(
            name=f"probability_{target}",
            label=f"Probability, {target.replace('_', ' ')}",
            unit="probability",
            definition=f"The model's mean probability over its mask of {target.replace('_', ' ')}"
            if target != "fovea"
            else "The model's probability at the fovea",
            reference="the model's own; not calibrated",
            requires=(target,),
            evidence="masks of a model that gives probabilities",
            reasons=(Status.NOT_ASSESSED,),
            compute=partial(_probability, target=target),
        )
        for target, entry in TARGETS.items()
        if entry.group == "anatomy"
    ),
    _entry(
        name="disc_size_plausible",
        label="Disc of a plausible size",
        unit="0/1",
        definition="1 where the diameter of what was found is 1/20 to 1/3 of that of the field of view, else 0: it is "
        "then taken for no disc",
        reference="Zhou 2022, Transl Vis Sci Technol 11(7):12 (AutoMorph, the upper limit)",
        requires=("optic_disc",),
        evidence="disc found",
        reasons=(),
        compute=_disc_size,
    ),
    _entry(
        name="cup_in_disc",
        label="Cup inside the disc",
        unit="0/1",
        definition=f"1 where {CUP_IN_DISC:.0%} or more of the cup's mask lies in the disc and the cup is smaller than "
        "the disc, else 0",
        reference="Zhou 2022, Transl Vis Sci Technol 11(7):12 (AutoMorph, the cup's centre)",
        requires=("optic_disc", "optic_cup"),
        evidence="disc and cup found, part of the cup inside the disc",
        reasons=(Status.UNDEFINED,),
        compute=_cup_in_disc,
    ),
)

BIOMARKERS = (
    _biomarker(
        "gradability",
        "probability",
        "calibrated probability that the photograph is a fundus of which structures can be graded",
        "logistic models on the columns below; see docs/decisions.md",
    ),
    *(_biomarker(name, f.unit, f.definition, f.reference) for name, f in FEATURES.items()),
    *_VIEW,
    *_TRUST,
)
