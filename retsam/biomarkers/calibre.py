"""Family calibre: how wide the vessels are.

Width is the distance between the two edges on the normal to the centreline, located to a fraction of a pixel on the
bilinear mask (:mod:`retsam.biomarkers.centreline`). Its error is that of the binary mask itself: for straight bars of
any angle and position under 1 % on average, up to half a pixel for a single bar. A mask that paints vessels too wide or
too narrow shifts every value here, so compare within one model and frame size only.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import VASCX, VESSEL_TARGETS, Biomarker, Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.status import Status

MIN_SEGMENTS = 3
MIN_ZONE_SEGMENTS = 6


def _median(image: RetinalImage, target: str) -> float:
    return float(np.median(_widths(image, target)[0])) / image.disc.diameter


def _median_um(image: RetinalImage, target: str) -> float:
    return float(np.median(_widths(image, target)[0])) * image.um_per_px


def _length_weighted(image: RetinalImage, target: str) -> float:
    width, length = _widths(image, target)
    return float((width * length).sum() / length.sum()) / image.disc.diameter


def _sd(image: RetinalImage, target: str) -> float:
    return float(_widths(image, target)[0].std(ddof=1)) / image.disc.diameter


def _global(image: RetinalImage, target: str) -> float:
    length = image.centreline(target).length
    return float(np.count_nonzero(image.vessels(target))) / length / image.disc.diameter


def _zone_b(image: RetinalImage, target: str) -> float:
    trace = image.centreline(target)
    width, _ = trace.calibres(image.region("zone_b").holds(trace.xy))
    if width.size < MIN_ZONE_SEGMENTS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return float(np.median(width)) / image.disc.diameter


def _widths(image: RetinalImage, target: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Widths and lengths of the segments, px."""
    width, length = image.centreline(target).calibres()
    if width.size < MIN_SEGMENTS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return width, length


def _of(target: str, noun: str) -> tuple[Biomarker, ...]:
    long_enough = f"centreline of the {noun} at least one diameter of the field of view long"
    segment = "with both edges at 10 or more centreline points (at a frame of 1024 px)"
    entry = partial(
        Biomarker,
        family="calibre",
        unit="dd",
        requires=(target, "optic_disc"),
        evidence=f"{long_enough}; {MIN_SEGMENTS} segments {segment}",
        reasons=(Status.TOO_FEW_VESSELS,),
        reference=VASCX,
    )
    title = target.capitalize()
    return (
        entry(
            name=f"{target}_calibre_median",
            label=f"{title} calibre, median",
            definition=f"Median over the segments of the {noun} of their median width",
            compute=partial(_median, target=target),
        ),
        entry(
            name=f"{target}_calibre_median_um",
            label=f"{title} calibre, median, micrometres",
            unit="um",
            definition=f"Median over the segments of the {noun} of their median width, by the manifest's um_per_px",
            requires=(target,),
            evidence=f"{long_enough}; {MIN_SEGMENTS} segments {segment}; um_per_px given",
            reasons=(Status.TOO_FEW_VESSELS, Status.NO_SCALE),
            compute=partial(_median_um, target=target),
        ),
        entry(
            name=f"{target}_calibre_length_weighted",
            label=f"{title} calibre, length-weighted",
            definition=f"Sum of width times length over sum of length, over the segments of the {noun}",
            compute=partial(_length_weighted, target=target),
        ),
        entry(
            name=f"{target}_calibre_sd",
            label=f"{title} calibre, standard deviation",
            definition=f"Standard deviation over the segments of the {noun} of their median width",
            reference="Ortin Vela 2024, Nat Commun 15:9593",
            compute=partial(_sd, target=target),
        ),
        entry(
            name=f"{target}_calibre_median_zone_b",
            label=f"{title} calibre in zone B, median",
            definition=f"Median over the segments of the {noun} of their median width inside zone B (a median, not a "
            "central equivalent: that needs arteries and veins apart)",
            reference="zone B: Hubbard 1999, Ophthalmology 106:2269",
            evidence=f"{long_enough}; half of zone B in view; {MIN_ZONE_SEGMENTS} segments {segment}",
            reasons=(Status.TOO_FEW_VESSELS, Status.OUT_OF_VIEW),
            compute=partial(_zone_b, target=target),
        ),
        entry(
            name=f"{target}_width_global",
            label=f"{title} width, area over length",
            definition=f"Area of the {noun} over the length of their centreline",
            reference="Zhou 2022, Transl Vis Sci Technol 11(7):12 (AutoMorph)",
            evidence=long_enough,
            compute=partial(_global, target=target),
        ),
    )


BIOMARKERS = tuple(b for target, noun in VESSEL_TARGETS.items() for b in _of(target, noun))
