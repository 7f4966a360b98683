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
from retsam.biomarkers.outline import ANGLES, extent, smooth
from retsam.status import Status


def _vertical(image: RetinalImage) -> float:
    return extent(image.body("optic_cup"))[1] / extent(image.body("optic_disc"))[1]


def _horizontal(image: RetinalImage) -> float:
    return extent(image.body("optic_cup"))[0] / extent(image.body("optic_disc"))[0]


def _area(image: RetinalImage) -> float:
    return image.cup.area / image.disc.area


def _rim_area(image: RetinalImage) -> float:
    return 1 - image.cup.area / image.disc.area


def _rim_width(image: RetinalImage, quadrant: str) -> float:
    disc, cup = image.disc_radii
    return float((disc - cup)[_sector(image, quadrant)].mean()) / image.disc.diameter


def _sector(image: RetinalImage, quadrant: str) -> NDArray[np.bool_]:
    """Rays (RAYS,) of the 90 degrees about one of the four directions of the retina."""
    centre = np.asarray(image.axes.disc)
    temporal, superior = image.axes.coordinates(np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]) + centre).T
    along, across = (temporal, superior) if quadrant in ("temporal", "nasal") else (superior, temporal)
    towards = along if quadrant in ("temporal", "superior") else -along
    return np.asarray(towards > np.abs(across))


def _rim_minimum(image: RetinalImage) -> float:
    disc, cup = (smooth(radius) for radius in image.disc_radii)
    return float(((disc - cup) / disc).min())


_BOTH = ("optic_disc", "optic_cup")
_FOUND = "disc and cup found, part of the cup inside the disc"
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
    *(
        _entry(
            name=f"rim_width_{quadrant}",
            label=f"Rim width, {quadrant}",
            unit="dd",
            definition=f"Mean over the 90 degrees about the {quadrant} direction of {_RAY}; turned to the line from "
            "disc to fovea",
            reference="Jonas 1988, Invest Ophthalmol Vis Sci 29:1151 (sectors)",
            requires=(*_BOTH, "fovea"),
            evidence=f"{_FOUND}; disc and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal",
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
)
