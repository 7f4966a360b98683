"""Family lesion, second part: where the lesions lie, about the fovea, beside vessels and to each other.

A lesion lies where its centroid lies. Quadrants are those about the fovea, between the line from disc to fovea and its
perpendicular, so that they bear the same names in both eyes; the rings are those of the ETDRS grid
(``retsam.geometry.ETDRS``). A zero in a part of the retina that nobody sees is no zero: a quadrant counts where half of
its even share of the field of view, a ring where half of its area is in view.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from retsam.biomarkers.biomarker import Biomarker, Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.biomarkers.lesion import PATCHES, SPOTS, some, title
from retsam.geometry import ETDRS, ZONES
from retsam.status import Status

QUADRANTS = ("superotemporal", "superonasal", "inferotemporal", "inferonasal")
"""In the order of ``RetinalImage.quadrants_in_view``."""

RINGS = tuple(zone for zone in ETDRS if not ZONES[zone].quadrant)
RING_AREAS = ("hemorrhage", "hard_exudate", "drusen")
"""Targets whose area is given by ring too; microaneurysms are dots, cotton-wool spots rare at the macula."""

CLUSTERED = 5  # fewest lesions whose distances to each other say anything
SEVERE = 20  # red lesions in a quadrant
BEADED = 2  # quadrants with venous beading

ICDR = "Wilkinson 2003, Ophthalmology 110:1677 (severe non-proliferative retinopathy)"
FOURS = "Wilkinson 2003, Ophthalmology 110:1677 (quadrants of the 4-2-1 rule)"
GRID = "ETDRS report 10, Ophthalmology 1991;98:786 (the grid)"


def _by_quadrant(image: RetinalImage, *targets: str) -> NDArray[np.int64]:
    """Number (4,) of the targets' lesions in each of :data:`QUADRANTS`."""
    return np.asarray(sum(image.lesions_by_quadrant(target) for target in targets), np.int64)


def _all_in_view(image: RetinalImage) -> None:
    if not image.quadrants_in_view().all():
        raise Unmeasurable(Status.OUT_OF_VIEW)


def _quadrant_count(image: RetinalImage, target: str, quadrant: int) -> float:
    if not image.quadrants_in_view()[quadrant]:
        raise Unmeasurable(Status.OUT_OF_VIEW)
    return float(_by_quadrant(image, target)[quadrant])


def _quadrants_involved(image: RetinalImage, target: str) -> float:
    _all_in_view(image)
    return float(np.count_nonzero(_by_quadrant(image, target)))


def _severe(image: RetinalImage) -> float:
    _all_in_view(image)
    return float((_by_quadrant(image, "hemorrhage", "microaneurysm") >= SEVERE).all())


def _beaded(image: RetinalImage) -> float:
    return float(_quadrants_involved(image, "venous_beading") >= BEADED)


def _ring_count(image: RetinalImage, target: str, ring: str) -> float:
    return float(np.count_nonzero(image.region(ring).holds(image.lesions(target).xy)))


def _ring_area(image: RetinalImage, target: str, ring: str) -> float:
    return np.count_nonzero(image.region(ring).holds(image.lesions(target).pixels)) / image.disc.diameter**2


def _foveal(image: RetinalImage, target: str) -> float:
    return float(_ring_area(image, target, "etdrs_centre") > 0)


def _from_fovea(image: RetinalImage, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (n,) of frame points (n, 2) from the fovea, px."""
    axes = image.axes
    return np.asarray(np.hypot(*(xy - np.array(axes.fovea)).T), np.float64)


def _nearest(image: RetinalImage, target: str) -> float:
    pixels = _from_fovea(image, some(image, target).pixels)
    return max(float(pixels.min()) - 0.5, 0.0) / image.disc.diameter  # from a pixel's centre to its edge


def _mean_distance(image: RetinalImage, target: str) -> float:
    found = some(image, target)
    return float(np.average(_from_fovea(image, found.xy), weights=found.area)) / image.disc.diameter


def _vessel_distance(image: RetinalImage, target: str) -> float:
    found = some(image, target)
    _ = image.centreline("vessel")  # long enough
    return float(np.median(image.vessel_distance("vessel", found.xy))) / image.disc.diameter


def clark_evans(xy: NDArray[np.float64], area: float, perimeter: float) -> float:
    """Mean distance to the nearest neighbour over that of points without order.

    Parameters
    ----------
    xy : (n, 2) float
        At least two points.
    area, perimeter : float
        Of the region that they were looked for in, in the points' unit.

    Returns
    -------
    float
        Below 1 where points cluster, above where they keep apart (2.15 at most). The expectation is Donnelly's, who
        allows for neighbours beyond the border.
    """
    n = len(xy)
    apart = KDTree(xy).query(xy, k=2)[0][:, 1].mean()
    return float(apart / (0.5 * np.sqrt(area / n) + (0.0514 + 0.041 / np.sqrt(n)) * perimeter / n))


def _clustering(image: RetinalImage, target: str) -> float:
    found = image.lesions(target)
    if len(found) < CLUSTERED:
        raise Unmeasurable(Status.UNDEFINED)
    return clark_evans(found.xy, float(image.fov_area), image.fov_perimeter)


_ABOUT_FOVEA = (Status.UNDEFINED,)
_AXES = "disc and fovea found, 1.2 to 5 disc diameters apart"
_SIDES = "sides of the line from disc to fovea and of its perpendicular through the fovea"
_entry = partial(Biomarker, family="lesion", reference="conventional lesion measure", reasons=_ABOUT_FOVEA)


def _involved(target: str) -> Biomarker:
    noun = target.replace("_", " ")
    return _entry(
        name=f"{target}_quadrants_involved",
        label=f"{title(target)}, quadrants involved",
        unit="count",
        definition=f"Number of quadrants about the fovea, 0 to 4, that hold any {noun}: {_SIDES}",
        reference=FOURS,
        requires=(target, "optic_disc", "fovea"),
        evidence=f"{_AXES}; half of the even share of every quadrant in view",
        compute=partial(_quadrants_involved, target=target),
    )


def _quadrants(target: str) -> tuple[Biomarker, ...]:
    noun = target.replace("_", " ")
    return tuple(
        _entry(
            name=f"{target}_count_{name}",
            label=f"{title(target)}, number, {name}",
            unit="count",
            definition=f"Number of lesions of {noun} with their centroid in the {name} quadrant about the fovea: "
            f"{_SIDES}",
            reference=FOURS,
            requires=(target, "optic_disc", "fovea"),
            evidence=f"{_AXES}; half of the quadrant's even share of the field of view in view",
            compute=partial(_quadrant_count, target=target, quadrant=quadrant),
        )
        for quadrant, name in enumerate(QUADRANTS)
    )


def _rings(target: str) -> tuple[Biomarker, ...]:
    noun = target.replace("_", " ")
    kinds = {
        "count": ("number", "count", f"Number of lesions of {noun} with their centroid in the", _ring_count),
        "area": ("area", "dd^2", f"Area of {noun} in the", _ring_area),
    }
    return tuple(
        _entry(
            name=f"{target}_{kind}_{ring}",
            label=f"{title(target)}, {word}, {ring.replace('etdrs_', 'ETDRS ')}",
            unit=unit,
            definition=f"{definition} {ZONES[ring].meaning}, as far as in view",
            reference=GRID,
            requires=(target, "optic_disc", "fovea"),
            evidence=f"{_AXES}; half of the region in view",
            compute=partial(compute, target=target, ring=ring),
        )
        for kind, (word, unit, definition, compute) in kinds.items()
        for ring in RINGS
        if kind == "count" or target in RING_AREAS
    )


def _nearest_to_fovea(target: str) -> Biomarker:
    return _entry(
        name=f"{target}_fovea_distance_minimum",
        label=f"{title(target)}, least distance to the fovea",
        unit="dd",
        definition=f"Distance from the fovea to the edge of the nearest {target.replace('_', ' ')} lesion, 0 under one",
        requires=(target, "optic_disc", "fovea"),
        evidence=f"{_AXES}; a lesion",
        compute=partial(_nearest, target=target),
    )


def _relations(target: str) -> tuple[Biomarker, ...]:
    noun = target.replace("_", " ")
    return (
        _entry(
            name=f"{target}_fovea_distance_mean",
            label=f"{title(target)}, mean distance to the fovea",
            unit="dd",
            definition=f"Mean distance of the centroids of {noun} to the fovea, weighted by the lesions' areas",
            requires=(target, "optic_disc", "fovea"),
            evidence=f"{_AXES}; a lesion",
            compute=partial(_mean_distance, target=target),
        ),
        _entry(
            name=f"{target}_vessel_distance",
            label=f"{title(target)}, distance to the nearest vessel",
            unit="dd",
            definition=f"Median over the lesions of {noun} of the distance from the centroid to the edge of the "
            "nearest vessel, 0 under one",
            requires=(target, "vessel", "optic_disc"),
            evidence="a lesion; a centreline of vessels as long as the diameter of the field of view",
            reasons=(Status.UNDEFINED, Status.TOO_FEW_VESSELS),
            compute=partial(_vessel_distance, target=target),
        ),
        _entry(
            name=f"{target}_clark_evans",
            label=f"{title(target)}, nearest-neighbour ratio",
            unit="ratio",
            definition=f"Mean distance between centroids of {noun} and their nearest neighbours over that of as many "
            "points without order in the field of view; below 1 in clusters",
            reference="Clark & Evans 1954, Ecology 35:445; expectation with edges: Donnelly 1978",
            requires=(target,),
            evidence="5 lesions",
            compute=partial(_clustering, target=target),
        ),
    )


_RULES = (
    _entry(
        name="hard_exudate_foveal",
        label="Hard exudate at the fovea",
        unit="0/1",
        definition="1 if any hard exudate reaches into the circle of 1/3 disc diameter (500 um by convention) about "
        "the fovea, else 0; a sign of clinically significant macular edema, which a photograph shows without thickness",
        reference="ETDRS report 1, Arch Ophthalmol 1985;103:1796 (clinically significant macular edema)",
        requires=("hard_exudate", "optic_disc", "fovea"),
        evidence=f"{_AXES}; half of the circle in view",
        compute=partial(_foveal, target="hard_exudate"),
    ),
    _entry(
        name="npdr_421_hemorrhage",
        label="4-2-1 rule, red lesions",
        unit="0/1",
        definition="1 if each of the four quadrants about the fovea holds 20 or more hemorrhages and microaneurysms, "
        "else 0: the 4 of the 4-2-1 rule, as far as one photograph shows the quadrants",
        reference=ICDR,
        requires=("hemorrhage", "microaneurysm", "optic_disc", "fovea"),
        evidence=f"{_AXES}; half of the even share of every quadrant in view",
        compute=_severe,
    ),
    _entry(
        name="npdr_421_venous_beading",
        label="4-2-1 rule, venous beading",
        unit="0/1",
        definition="1 if venous beading lies in two or more quadrants about the fovea, else 0: the 2 of the 4-2-1 "
        "rule; its 1, intraretinal microvascular abnormalities, is no target",
        reference=ICDR,
        requires=("venous_beading", "optic_disc", "fovea"),
        evidence=f"{_AXES}; half of the even share of every quadrant in view",
        compute=_beaded,
    ),
)

BIOMARKERS = (
    *(b for target in SPOTS for b in _quadrants(target)),
    *(_involved(target) for target in SPOTS + PATCHES),
    *(b for target in SPOTS for b in _rings(target)),
    *(_nearest_to_fovea(target) for target in SPOTS + PATCHES),
    *(b for target in SPOTS for b in _relations(target)),
    *_RULES,
)
