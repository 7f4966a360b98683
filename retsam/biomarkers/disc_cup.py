"""Family disc and cup: how much of the optic disc the cup takes, and how much rim it leaves where.

Disc and cup are the largest components of their masks, holes filled; what of the cup lies outside the disc is ignored.
Edges are taken along rays from the disc's centroid to a fraction of a pixel. The rim's sectors are 90 degrees wide and
turned to the line from disc to fovea, like all quadrants here. For ellipses the error of a cup-disc ratio is at most
0.01 where the disc is 60 px across or more (standard deviation 0.002).
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import Biomarker
from retsam.biomarkers.image import RetinalImage
from retsam.biomarkers.outline import ANGLES, radii, smooth, widths
from retsam.status import Status

TIE = 0.01
"""Disc diameters (15 um) that sectors of the rim may differ by and still be equally wide: twice the error of one."""


def _vertical(image: RetinalImage) -> float:
    return image.extent("optic_cup")[1] / image.extent("optic_disc")[1]


def _horizontal(image: RetinalImage) -> float:
    return image.extent("optic_cup")[0] / image.extent("optic_disc")[0]


def _area(image: RetinalImage) -> float:
    return image.cup.area / image.disc.area


def _rim_area(image: RetinalImage) -> float:
    return 1 - image.cup.area / image.disc.area


def _longest_axis(image: RetinalImage) -> float:
    cup = image.cup
    disc_widths = widths(image.edge("optic_disc"))
    cup_widths = widths(radii(image.body("optic_cup"), (cup.x, cup.y)))
    longest = int(np.argmax(disc_widths))
    return float(cup_widths[longest] / disc_widths[longest])


def _decentration(image: RetinalImage) -> float:
    return float(np.hypot(image.cup.x - image.disc.x, image.cup.y - image.disc.y)) / image.disc.diameter


def _decentration_along(image: RetinalImage, axis: int) -> float:
    return float(image.axes.coordinates((image.cup.x, image.cup.y))[axis])


def _rim_width(image: RetinalImage, quadrant: str) -> float:
    rim = image.edge("optic_disc") - image.edge("optic_cup")
    return float(rim[_sector(image, quadrant)].mean()) / image.disc.diameter


def _in_order(image: RetinalImage, quadrants: tuple[str, ...]) -> float:
    """1 where the rim gets narrower, or not wider, from each of the quadrants to the next."""
    steps = np.diff([_rim_width(image, quadrant) for quadrant in quadrants])
    return float((steps <= TIE).all())


def _sector(image: RetinalImage, quadrant: str) -> NDArray[np.bool_]:
    """Rays (RAYS,) of the 90 degrees about one of the four directions of the retina."""
    centre = np.asarray(image.axes.disc)
    temporal, superior = image.axes.coordinates(np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]) + centre).T
    along, across = (temporal, superior) if quadrant in ("temporal", "nasal") else (superior, temporal)
    towards = along if quadrant in ("temporal", "superior") else -along
    return np.asarray(towards > np.abs(across))


def _rim_minimum(image: RetinalImage) -> float:
    disc, cup = (smooth(image.edge(target)) for target in _BOTH)
    return float(((disc - cup) / disc).min())


_BOTH = ("optic_disc", "optic_cup")
_FOUND = "disc and cup found, part of the cup inside the disc"
_SIDED = f"{_FOUND}; disc and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal"
_RAY = "disc radius less cup radius along rays from the disc's centroid, one degree apart"

_entry = partial(
    Biomarker, family="disc_cup", unit="ratio", requires=_BOTH, evidence=_FOUND, reasons=(Status.UNDEFINED,)
)

BIOMARKERS = (
    _entry(
        name="cup_disc_ratio_vertical",
        label="Cup-disc ratio, vertical",
        definition="Extent of the cup over that of the disc along the photograph's vertical",
        reference="Armaly 1967, Arch Ophthalmol 78:35",
        compute=_vertical,
    ),
    _entry(
        name="cup_disc_ratio_horizontal",
        label="Cup-disc ratio, horizontal",
        definition="Extent of the cup over that of the disc along the photograph's horizontal",
        reference="Armaly 1967, Arch Ophthalmol 78:35",
        compute=_horizontal,
    ),
    _entry(
        name="cup_disc_ratio_area",
        label="Cup-disc ratio, area",
        definition="Area of the cup over the area of the disc",
        reference="Jonas 1988, Invest Ophthalmol Vis Sci 29:1151",
        compute=_area,
    ),
    _entry(
        name="cup_disc_ratio_longest",
        label="Cup-disc ratio, longest axis",
        definition="Extent of the cup over that of the disc in the direction in which the disc is longest; outlines "
        "smoothed to 6 Fourier terms. Does not depend on how the photograph is turned",
        reference="Armaly 1967, Arch Ophthalmol 78:35; along the long axis: Spaeth 2002, Trans Am Ophthalmol Soc "
        "100:181",
        compute=_longest_axis,
    ),
    *(
        _entry(
            name=f"rim_width_{quadrant}",
            label=f"Rim width, {quadrant}",
            unit="dd",
            definition=f"Mean over the 90 degrees about the {quadrant} direction of {_RAY}; turned to the line from "
            "disc to fovea",
            reference="Jonas 1988, Invest Ophthalmol Vis Sci 29:1151 (sectors)",
            requires=(*_BOTH, "fovea"),
            evidence=_SIDED,
            compute=partial(_rim_width, quadrant=quadrant),
        )
        for quadrant in ("inferior", "superior", "nasal", "temporal")
    ),
    _entry(
        name="rim_area",
        label="Rim area",
        definition="Area of the disc without the cup over the area of the disc",
        reference="Jonas 1988, Invest Ophthalmol Vis Sci 29:1151 (there in mm2)",
        compute=_rim_area,
    ),
    _entry(
        name="rim_width_minimum",
        label="Narrowest rim",
        definition=f"Minimum over all directions of {_RAY}, over the disc radius there; outlines "
        "smoothed to 6 Fourier terms",
        reference="Spaeth 2002, Trans Am Ophthalmol Soc 100:181 (disc damage likelihood scale)",
        compute=_rim_minimum,
    ),
    *(
        _entry(
            name=f"rim_{rule}_rule",
            label=f"{rule.upper()} rule",
            unit="0/1",
            definition=f"1 where the rim's mean widths are in the order {' >= '.join(quadrants)}, else 0; widths that "
            f"differ by no more than {TIE} disc diameters are equal",
            reference=reference,
            requires=(*_BOTH, "fovea"),
            evidence=_SIDED,
            compute=partial(_in_order, quadrants=quadrants),
        )
        for rule, quadrants, reference in (
            ("isnt", ("inferior", "superior", "nasal", "temporal"), "Jonas 1988, Invest Ophthalmol Vis Sci 29:1151"),
            ("ist", ("inferior", "superior", "temporal"), "Poon 2017, Am J Ophthalmol 184:19"),
        )
    ),
    _entry(
        name="cup_decentration",
        label="Cup decentration",
        unit="dd",
        definition="Distance between the centroids of cup and disc",
        reference="conventional shape measure",
        compute=_decentration,
    ),
    *(
        _entry(
            name=f"cup_decentration_{way}",
            label=f"Cup decentration, {way}",
            unit="dd",
            definition=f"Shift of the cup's centroid against the disc's towards {way}, negative towards {other}; "
            "turned to the line from disc to fovea",
            reference="conventional shape measure",
            requires=(*_BOTH, "fovea"),
            evidence=_SIDED,
            compute=partial(_decentration_along, axis=axis),
        )
        for axis, (way, other) in enumerate((("temporal", "nasal"), ("superior", "inferior")))
    ),
)
