"""Family lesion, first part: presence, number, area, size and shape of the lesions of each kind.

A lesion is an 8-connected component of its mask in the field of view. Components of less than 2 px at a frame of 1024
px (0.03 % of the disc's area) are specks of the segmentation and count nowhere: a microaneurysm is 4 px across there.
Lesions that touch are one. An eye without any has 0; a size, a shape or a place of nothing is ``undefined``.

Every kind has presence, number, area and coverage. What comes in many spots (:data:`SPOTS`) is described in detail,
what comes in few large patches (:data:`PATCHES`) by its sizes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import LESIONS, Biomarker, Unmeasurable
from retsam.biomarkers.components import Components, Floats
from retsam.biomarkers.image import RetinalImage
from retsam.status import Status

SPOTS = ("microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot", "drusen")
"""Targets whose lesions are described one by one."""

PATCHES = ("laser_spot", "patchy_hemorrhage")
"""Targets of which sizes, quadrants and the distance to the fovea are given."""

SHAPED = SPOTS[1:]
"""Targets whose lesions have a shape; a microaneurysm is a dot by definition."""

MIN_SHAPE = 30  # px at a frame of 1024 px: a disc 6 px across
DRUSEN_UM = (63.0, 125.0)  # from these diameters on a druse is medium, large
CONVENTIONAL_DISC_UM = 1500.0  # diameter of the disc that the grids and circles of AMD grading take
CLASSES = ("small", "medium", "large")
BURDENS = {
    "dr": ("microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot"),
    "amd": ("drusen", "patchy_hemorrhage"),
}
"""Targets whose coverages add up to the burden of a disease."""

FERRIS = "Ferris 2013, Ophthalmology 120:844 (size classes of drusen)"
_STATISTICS: dict[str, Callable[[NDArray[Any]], Any]] = {"mean": np.mean, "median": np.median, "largest": np.max}


def title(target: str) -> str:
    """Name of a target at the beginning of a label."""
    return target.replace("_", " ").capitalize()


def some(image: RetinalImage, target: str) -> Components:
    """Lesions of an eye that has any; ``undefined`` where it has none."""
    found = image.lesions(target)
    if not len(found):
        raise Unmeasurable(Status.UNDEFINED)
    return found


def diameters(found: Components) -> Floats:
    """Diameter (n,) of the circle of each lesion's area, px."""
    return np.asarray(np.sqrt(4 * found.area / np.pi), np.float64)


def _presence(image: RetinalImage, target: str) -> float:
    return float(len(image.lesions(target)) > 0)


def _count(image: RetinalImage, target: str) -> float:
    return float(len(image.lesions(target)))


def _area(image: RetinalImage, target: str) -> float:
    return float(image.lesions(target).area.sum()) / image.disc.diameter**2


def _coverage(image: RetinalImage, target: str) -> float:
    return float(image.lesions(target).area.sum()) / image.fov_area


def _burden(image: RetinalImage, disease: str) -> float:
    return sum(_coverage(image, target) for target in BURDENS[disease])


def _size(image: RetinalImage, target: str, statistic: str) -> float:
    return float(_STATISTICS[statistic](some(image, target).area)) / image.disc.diameter**2


def _diameter_um(image: RetinalImage, target: str, statistic: str) -> float:
    return float(_STATISTICS[statistic](diameters(some(image, target)))) * image.um_per_px


def shape(image: RetinalImage, target: str, measure: str) -> float:
    """Mean circularity, solidity or aspect ratio of the components of a target that are large enough for a shape."""
    found = image.lesions(target)
    large = np.flatnonzero(found.area >= MIN_SHAPE * (image.size / 1024) ** 2)
    if not large.size:
        raise Unmeasurable(Status.UNDEFINED)
    area = found.area[large]
    if measure == "circularity":
        return float((4 * np.pi * area / found.perimeter[large] ** 2).mean())
    if measure == "solidity":
        return float((area / found.hull(large)).mean())
    long, short = found.axes
    return float((long[large] / short[large]).mean())


def _class_count(image: RetinalImage, which: int, scaled: bool) -> float:
    um = image.um_per_px if scaled else CONVENTIONAL_DISC_UM / image.disc.diameter
    classes = np.digitize(diameters(image.lesions("drusen")) * um, DRUSEN_UM)
    return float(np.count_nonzero(classes == which))


_NONE_NEEDED = "none: an eye without any has 0; a lesion is a component of 2 px or more at a frame of 1024 px"
_entry = partial(Biomarker, family="lesion", reference="conventional lesion measure", evidence=_NONE_NEEDED, reasons=())


def _every(target: str) -> tuple[Biomarker, ...]:
    noun = target.replace("_", " ")
    return (
        _entry(
            name=f"{target}_presence",
            label=f"{title(target)}, presence",
            unit="0/1",
            definition=f"1 if there is any {noun} in the field of view, else 0",
            requires=(target,),
            compute=partial(_presence, target=target),
        ),
        _entry(
            name=f"{target}_count",
            label=f"{title(target)}, number",
            unit="count",
            definition=f"Number of 8-connected components of {noun} in the field of view",
            requires=(target,),
            compute=partial(_count, target=target),
        ),
        _entry(
            name=f"{target}_area",
            label=f"{title(target)}, area",
            unit="dd^2",
            definition=f"Area of {noun} in the field of view, in squared disc diameters",
            requires=(target, "optic_disc"),
            compute=partial(_area, target=target),
        ),
        _entry(
            name=f"{target}_coverage",
            label=f"{title(target)}, coverage",
            unit="ratio",
            definition=f"Area of {noun} over the area of the field of view",
            requires=(target,),
            compute=partial(_coverage, target=target),
        ),
    )


def _sizes(target: str) -> tuple[Biomarker, ...]:
    noun = target.replace("_", " ")
    words = {"mean": "Mean area", "median": "Median area", "largest": "Area of the largest"}
    return tuple(
        _entry(
            name=f"{target}_size_{statistic}",
            label=f"{title(target)}, {word[0].lower()}{word[1:]}",
            unit="dd^2",
            definition=f"{word} of the single lesions of {noun} in the field of view",
            requires=(target, "optic_disc"),
            evidence="a lesion",
            reasons=(Status.UNDEFINED,),
            compute=partial(_size, target=target, statistic=statistic),
        )
        for statistic, word in words.items()
    )


def _shapes(target: str) -> tuple[Biomarker, ...]:
    noun = target.replace("_", " ")
    formulas = {
        "circularity": "4 pi area / perimeter^2 (1 for a disc; perimeter by Crofton's formula, holes included)",
        "aspect_ratio": "longer over shorter axis of the ellipse of equal second moments (1 for a disc)",
        "solidity": "area over the area of the convex hull (1 where convex)",
    }
    return tuple(
        _entry(
            name=f"{target}_{measure}",
            label=f"{title(target)}, {measure.replace('_', ' ')}",
            unit="ratio",
            definition=f"Mean over the lesions of {noun} of {formula}",
            requires=(target,),
            evidence="a lesion of 30 px or more at a frame of 1024 px; smaller ones have no shape",
            reasons=(Status.UNDEFINED,),
            compute=partial(shape, target=target, measure=measure),
        )
        for measure, formula in formulas.items()
    )


def _drusen_diameters() -> tuple[Biomarker, ...]:
    return tuple(
        _entry(
            name=f"drusen_diameter_{statistic}_um",
            label=f"Drusen, {statistic} diameter",
            unit="um",
            definition=f"{statistic.capitalize()} diameter of the circles that have the drusen's areas",
            reference=FERRIS,
            requires=("drusen",),
            evidence="a lesion, and um_per_px in the manifest",
            reasons=(Status.UNDEFINED, Status.NO_SCALE),
            compute=partial(_diameter_um, target="drusen", statistic=statistic),
        )
        for statistic in ("median", "largest")
    )


def _drusen_classes(scaled: bool) -> tuple[Biomarker, ...]:
    ranges = ("below 63 um", "from 63 to below 125 um", "of 125 um or more")
    how = "by the manifest's um_per_px" if scaled else "where the disc's diameter is taken as 1500 um"
    return tuple(
        _entry(
            name=f"drusen_count_{name}{'_scaled' if scaled else ''}",
            label=f"{name.capitalize()} drusen, number{' (by um_per_px)' if scaled else ''}",
            unit="count",
            definition=f"Number of drusen with a diameter {range_}, that of the circle of equal area, {how}",
            reference=FERRIS,
            requires=("drusen",) if scaled else ("drusen", "optic_disc"),
            evidence=f"{_NONE_NEEDED}{'; um_per_px in the manifest' if scaled else ''}",
            reasons=(Status.NO_SCALE,) if scaled else (),
            compute=partial(_class_count, which=which, scaled=scaled),
        )
        for which, (name, range_) in enumerate(zip(CLASSES, ranges, strict=True))
    )


def _burdens() -> tuple[Biomarker, ...]:
    diseases = {"dr": "diabetic retinopathy", "amd": "age-related macular degeneration"}
    return tuple(
        _entry(
            name=f"{short}_burden",
            label=f"Lesions of {disease}, coverage",
            unit="ratio",
            definition=f"Sum of the coverages of {', '.join(BURDENS[short]).replace('_', ' ')}",
            requires=BURDENS[short],
            compute=partial(_burden, disease=short),
        )
        for short, disease in diseases.items()
    )


BIOMARKERS = (
    *(b for target in LESIONS for b in _every(target)),
    *_burdens(),
    *(b for target in SPOTS + PATCHES for b in _sizes(target)),
    *(b for target in SHAPED for b in _shapes(target)),
    *_drusen_classes(scaled=False),
    *_drusen_classes(scaled=True),
    *_drusen_diameters(),
)
