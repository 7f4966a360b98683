"""Family artery_vein: arteries against veins, and where they cross.

Crossings inside the disc, where the trunks lie on each other, do not count. A mask can show that a vein is narrower
beside an artery only where the model follows the narrowing; graders also see it by colour and light. So an index near 1
says less than one far below it. One nicked crossing among many leaves the median as it is: the smallest index shows it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import Biomarker, Unmeasurable
from retsam.biomarkers.crossing import FAR_POINTS, LEAST_WIDTH, NEAR_POINTS, Crossings
from retsam.biomarkers.image import RetinalImage
from retsam.status import Status

MIN_CROSSINGS = 3


def _density_ratio(image: RetinalImage) -> float:
    for target in ("artery", "vein"):
        image.centreline(target)  # the minimum-evidence rule
    return np.count_nonzero(image.vessels("artery")) / np.count_nonzero(image.vessels("vein"))


def _length_ratio(image: RetinalImage) -> float:
    return image.centreline("artery").length / image.centreline("vein").length


def _outside(image: RetinalImage) -> Crossings:
    """Crossings outside the disc."""
    found, disc = image.av_crossings, image.body("optic_disc")
    x, y = np.rint(found.xy).astype(int).T
    outside = ~disc[y, x]
    return Crossings(found.xy[outside], found.narrowing[outside])


def _count(image: RetinalImage) -> float:
    return len(_outside(image).xy)


def _nicking(image: RetinalImage, of: Callable[[NDArray[np.float64]], float]) -> float:
    narrowing = _outside(image).narrowing
    narrowing = narrowing[np.isfinite(narrowing)]
    if narrowing.size < MIN_CROSSINGS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return float(of(narrowing))


_LONG_ENOUGH = "centrelines of arteries and of veins at least one diameter of the field of view long each"
_OVERLAP = "masks that overlap somewhere"
_LACKING = (Status.TOO_FEW_VESSELS, Status.UNDEFINED)
_WHERE = "outside the optic disc, where the centrelines meet inside the overlap of the two masks"

BIOMARKERS = (
    Biomarker(
        name="artery_vein_density_ratio",
        family="artery_vein",
        label="Arteries over veins, area",
        unit="ratio",
        definition="Area of the arteries over area of the veins in the field of view, which is the ratio of their "
        "densities",
        reference="this project",
        requires=("artery", "vein"),
        evidence=_LONG_ENOUGH,
        reasons=(Status.TOO_FEW_VESSELS,),
        compute=_density_ratio,
    ),
    Biomarker(
        name="artery_vein_length_ratio",
        family="artery_vein",
        label="Arteries over veins, length",
        unit="ratio",
        definition="Length of the centreline of the arteries over that of the veins",
        reference="this project",
        requires=("artery", "vein"),
        evidence=_LONG_ENOUGH,
        reasons=(Status.TOO_FEW_VESSELS,),
        compute=_length_ratio,
    ),
    Biomarker(
        name="artery_vein_crossing_count",
        family="artery_vein",
        label="Crossings of arteries and veins",
        unit="count",
        definition=f"Number of crossings of an artery and a vein {_WHERE}",
        reference="this project",
        requires=("artery", "vein", "optic_disc"),
        evidence=f"{_LONG_ENOUGH}; {_OVERLAP}",
        reasons=_LACKING,
        compute=_count,
    ),
    *(
        Biomarker(
            name=f"artery_vein_nicking_index_{name}",
            family="artery_vein",
            label=f"Width of veins beside arteries that cross them, {word}",
            unit="ratio",
            definition=f"{word.capitalize()} over the crossings {_WHERE}, of the vein's width within one width beyond "
            "the artery's edge over its width two to five widths beyond, mean of the two sides; 1 is even, less is "
            f"nicking. A mask shows nicking only where the model follows it{more}",
            reference="Nguyen 2013, IEEE Trans Biomed Eng 60:3194 (widths on both sides of a crossing); index: this "
            "project",
            requires=("artery", "vein", "optic_disc"),
            evidence=f"{_LONG_ENOUGH}; {_OVERLAP}; {MIN_CROSSINGS} crossings with a vein of {LEAST_WIDTH:.0f} px or "
            f"more whose width is known at {NEAR_POINTS} points beside the artery and {FAR_POINTS} farther away, on "
            "either side (px and points at a frame of 1024 px)",
            reasons=_LACKING,
            compute=partial(_nicking, of=of),
        )
        for name, word, more, of in (
            ("median", "median", "", np.median),
            ("min", "smallest", "; of more crossings the smallest is smaller by chance", np.min),
        )
    ),
)
