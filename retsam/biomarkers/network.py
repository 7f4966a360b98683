"""Family network: how much of the retina the vessels fill, and how.

Densities are over the part of a region inside the field of view, never over the canvas. Regions follow disc and fovea
(``retsam.geometry.ZONES``); less than half of a region in view gives no value.
"""

from functools import partial

import numpy as np

from retsam.biomarkers.biomarker import VASCX, VESSEL_TARGETS, Biomarker
from retsam.biomarkers.fractal import dimensions, lacunarity, singularity_length
from retsam.biomarkers.image import RetinalImage
from retsam.geometry import ETDRS, ZONES
from retsam.status import Status
from retsam.taxonomy import FOV

LACUNARITY_BOX = 1 / 16  # of the frame's side


def _density(image: RetinalImage, target: str) -> float:
    image.centreline(target)  # the minimum-evidence rule
    return np.count_nonzero(image.vessels(target)) / np.count_nonzero(image.mask(FOV))


def _area_mm2(image: RetinalImage, target: str) -> float:
    image.centreline(target)
    return np.count_nonzero(image.vessels(target)) * (image.um_per_px / 1000) ** 2


def _zone_label(zone: str) -> str:
    """Zone in print: ``zone_c_nasal`` is zone C, nasal."""
    words = zone.split("_")
    return f"zone {words[1].upper()}" + "".join(f", {w}" for w in words[2:]) if words[0] == "zone" else words[0]


def _density_zone(image: RetinalImage, target: str, zone: str) -> float:
    image.centreline(target)
    region = image.region(zone)
    return region.count(image.vessels(target)) / region.pixels


def _density_hemifield(image: RetinalImage, target: str, side: str) -> float:
    image.centreline(target)
    region = image.hemifield(side)
    return region.count(image.vessels(target)) / region.pixels


def _density_asymmetry(image: RetinalImage, target: str) -> float:
    superior, inferior = (_density_hemifield(image, target, side) for side in ("superior", "inferior"))
    return abs(superior - inferior) / (superior + inferior)


def _length_density(image: RetinalImage, target: str) -> float:
    return image.centreline(target).length / np.count_nonzero(image.mask(FOV)) * image.disc.diameter


def _dimension_mask(image: RetinalImage, target: str) -> float:
    image.centreline(target)
    return dimensions(image.vessels(target))[0]


def _dimension_skeleton(image: RetinalImage, target: str, order: int) -> float:
    return image.skeleton_dimensions(target)[order]


def _singularity_length(image: RetinalImage, target: str) -> float:
    return singularity_length(image.centreline(target).skeleton)


def _lacunarity(image: RetinalImage, target: str) -> float:
    image.centreline(target)
    side = round(LACUNARITY_BOX * image.size)
    return lacunarity(image.vessels(target), image.whole_boxes(side), side)


def _sparsity(image: RetinalImage, target: str, how: str) -> float:
    image.centreline(target)
    mean, largest = image.sparsity(target)
    return (mean if how == "mean" else largest) / image.disc.diameter


def _of(target: str, noun: str) -> tuple[Biomarker, ...]:
    return (*_densities(target, noun), *_fractals(target, noun), *_sparsities(target, noun))


def _long_enough(noun: str) -> str:
    return f"centreline of the {noun} at least one diameter of the field of view long"


def _densities(target: str, noun: str) -> tuple[Biomarker, ...]:
    long_enough, title = _long_enough(noun), target.capitalize()
    entry = partial(
        Biomarker,
        family="network",
        unit="ratio",
        requires=(target,),
        evidence=long_enough,
        reasons=(Status.TOO_FEW_VESSELS,),
        reference=VASCX,
    )
    sided = (Status.TOO_FEW_VESSELS, Status.OUT_OF_VIEW, Status.UNDEFINED)
    halves = f"{long_enough}; disc and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal; "
    return (
        entry(
            name=f"{target}_density",
            label=f"{title} density",
            definition=f"Area of the {noun} over the area of the field of view",
            compute=partial(_density, target=target),
        ),
        entry(
            name=f"{target}_area_mm2",
            label=f"{title} area, square millimetres",
            unit="mm2",
            definition=f"Area of the {noun} in the field of view, by the manifest's um_per_px",
            evidence=f"{long_enough}; um_per_px given",
            reasons=(Status.TOO_FEW_VESSELS, Status.NO_SCALE),
            compute=partial(_area_mm2, target=target),
        ),
        *(
            entry(
                name=f"{target}_density_{zone}",
                label=f"{title} density, {_zone_label(zone)}",
                definition=f"Area of the {noun} over area, in the part of the region in view: {ZONES[zone].meaning}",
                requires=(target, "optic_disc", "fovea") if sides else (target, "optic_disc"),
                evidence=f"{halves if sides else long_enough + '; '}half of the region in view",
                reasons=sided if sides else sided[:2],
                compute=partial(_density_zone, target=target, zone=zone),
            )
            for zone in ZONES
            if zone not in ETDRS
            for sides in [bool(ZONES[zone].quadrant) or ZONES[zone].origin == "fovea"]
        ),
        *(
            entry(
                name=f"{target}_density_{side}",
                label=f"{title} density, {side} hemifield",
                definition=f"Area of the {noun} over the area of the field of view, {side} to the line through disc "
                "and fovea",
                requires=(target, "optic_disc", "fovea"),
                evidence=f"{halves}at least a quarter of the field of view on that side",
                reasons=sided,
                compute=partial(_density_hemifield, target=target, side=side),
            )
            for side in ("superior", "inferior")
        ),
        entry(
            name=f"{target}_density_hemifield_asymmetry",
            label=f"{title} density, hemifield asymmetry",
            definition="|superior - inferior| / (superior + inferior) of the two hemifield densities; 0 is symmetric",
            reference="this project",
            requires=(target, "optic_disc", "fovea"),
            evidence=f"{halves}at least a quarter of the field of view on either side",
            reasons=sided,
            compute=partial(_density_asymmetry, target=target),
        ),
        entry(
            name=f"{target}_length_density",
            label=f"{title} length density",
            unit="1/dd",
            definition=f"Length of the centreline of the {noun} over the area of the field of view",
            requires=(target, "optic_disc"),
            reference="Fhima 2022, PVBM: arXiv:2208.00392",
            compute=partial(_length_density, target=target),
        ),
    )


def _fractals(target: str, noun: str) -> tuple[Biomarker, ...]:
    title = target.capitalize()
    entry = partial(
        Biomarker,
        family="network",
        unit="dimension",
        requires=(target,),
        evidence=_long_enough(noun),
        reasons=(Status.TOO_FEW_VESSELS,),
    )
    boxes = (
        "boxes of 1/128 to 1/4 of the frame's side, half an octave apart, in five grids: one from each corner of the "
        "frame and one with a box in its middle"
    )
    stosic = "Stosic 2006, IEEE Trans Med Imaging 25:1101"
    return (
        entry(
            name=f"{target}_fd_box_skeleton",
            label=f"{title} fractal dimension D0, skeleton",
            definition=f"Box-counting dimension D0 of the skeleton of the {noun}: slope of log N(s) on log 1/s, N the "
            f"fewest occupied {boxes}",
            reference="Mainster 1990, Eye 4:235",
            compute=partial(_dimension_skeleton, target=target, order=0),
        ),
        entry(
            name=f"{target}_fd_information_skeleton",
            label=f"{title} information dimension D1, skeleton",
            definition=f"Information dimension D1 of the skeleton of the {noun}: slope of -sum p log p on log 1/s, p a "
            f"box's share of the pixels; {boxes}; can exceed D0, for vessels are lines in small boxes only",
            reference=stosic,
            compute=partial(_dimension_skeleton, target=target, order=1),
        ),
        entry(
            name=f"{target}_fd_correlation_skeleton",
            label=f"{title} correlation dimension D2, skeleton",
            definition=f"Correlation dimension D2 of the skeleton of the {noun}: slope of -log sum p^2 on log 1/s, p a "
            f"box's share of the pixels; {boxes}; can exceed D0, for vessels are lines in small boxes only",
            reference=stosic,
            compute=partial(_dimension_skeleton, target=target, order=2),
        ),
        entry(
            name=f"{target}_fd_singularity_length_skeleton",
            label=f"{title} singularity length, skeleton",
            definition=f"Width alpha(-10) - alpha(10) of the multifractal spectrum of the skeleton of the {noun}; "
            "alpha(q) is the slope on log s of the mean of log M, weighted by M^(q - 1), M the pixels in a box of side "
            "s about each pixel of the skeleton; boxes of 1/16 to 1/2 of the frame's side, half an octave apart. 0 "
            "where the network is equally dense everywhere",
            reference=f"{stosic}; boxes about points: Tel 1989, Physica A 159:155",
            compute=partial(_singularity_length, target=target),
        ),
        entry(
            name=f"{target}_fd_box_mask",
            label=f"{title} fractal dimension D0, mask",
            definition=f"Box-counting dimension D0 of the mask of the {noun}; as for the skeleton",
            reference="Mainster 1990, Eye 4:235",
            compute=partial(_dimension_mask, target=target),
        ),
        entry(
            name=f"{target}_lacunarity",
            label=f"{title} lacunarity",
            unit="ratio",
            definition=f"Variance over squared mean of the area of the {noun} in all boxes of 1/16 of the frame's side "
            "inside the field of view",
            evidence=f"{_long_enough(noun)}; a box inside the field of view that holds some of them",
            reasons=(Status.TOO_FEW_VESSELS, Status.UNDEFINED),
            reference="Allain 1991, Phys Rev A 44:3552",
            compute=partial(_lacunarity, target=target),
        ),
    )


def _sparsities(target: str, noun: str) -> tuple[Biomarker, ...]:
    return tuple(
        Biomarker(
            name=f"{target}_sparsity_{how}",
            family="network",
            label=f"{target.capitalize()} sparsity, {how}",
            unit="dd",
            definition=f"{word} over the field of view of the distance to the nearest of the {noun}",
            reference=VASCX,
            requires=(target, "optic_disc"),
            evidence=_long_enough(noun),
            reasons=(Status.TOO_FEW_VESSELS,),
            compute=partial(_sparsity, target=target, how=how),
        )
        for how, word in (("mean", "Mean"), ("max", "Maximum"))
    )


BIOMARKERS = tuple(b for target, noun in VESSEL_TARGETS.items() for b in _of(target, noun))
