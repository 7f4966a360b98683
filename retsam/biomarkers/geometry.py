"""Family geometry: how vessels bend, and how even they are.

Tortuosity is measured on segments (between two branching points, crossings or ends) that are long enough for one whole
smoothing window, 41 px of arc at a frame of 1024 px. Over arcs of circles with radii of 50 to 400 px the curvature is
within 3 % and arc/chord within 1 % of the truth. Values are weighted by length unless a median is named. A segment that
runs round a hole of the mask (arc over five times its chord) is left out. Where two trunks meet end to end in the disc
without a third, the skeleton runs out along one and back along the other: segments end at such folds, a vessel that
winds as sharply but goes on in its direction is one.

Resolved vessels (:mod:`retsam.biomarkers.tree`) run from the optic disc on through bifurcations and crossings, so that
their long bends count, which segments between two nodes do not see.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import VASCX, VESSEL_TARGETS, Biomarker, Unmeasurable
from retsam.biomarkers.centreline import Curves
from retsam.biomarkers.image import RetinalImage
from retsam.biomarkers.tree import ACROSS, WIDER
from retsam.status import Status

Floats = NDArray[np.float64]

MIN_SEGMENTS = 3
RESOLVED = (
    "followed from the outline of the optic disc on through every bifurcation into the daughter that turns least from "
    f"the parent's direction (one {WIDER} times as wide as the other, whatever its direction), and at nodes of four "
    f"branches into the opposite one where neither vessel turns by more than {ACROSS:.0f} degrees, else as at a "
    "bifurcation"
)


def _arc_chord_median(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float(np.median(curves.arc / curves.chord))


def _arc_chord_length_weighted(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float((curves.arc**2 / curves.chord).sum() / curves.arc.sum())


def _arc_chord_sum(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float(curves.arc.sum() / curves.chord.sum())


def _curvature_mean(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float((np.abs(curves.curvature) * curves.ds).sum() / curves.ds.sum()) * image.disc.diameter


def _curvature_squared(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float((curves.curvature**2 * curves.ds).sum() / curves.ds.sum()) * image.disc.diameter**2


def _density(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    # (n - 1) / L * twist, weighted by L: the lengths cancel and leave one sum over the total length.
    return float((curves.inflections * curves.twist).sum() / curves.arc.sum()) * image.disc.diameter


def _inflections(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float(curves.inflections.sum() / curves.arc.sum()) * image.disc.diameter


def _resolved_median(image: RetinalImage, target: str) -> float:
    curves = _resolved(image, target)
    return float(np.median(curves.arc / curves.chord))


def _resolved_length_weighted(image: RetinalImage, target: str) -> float:
    curves = _resolved(image, target)
    return float((curves.arc**2 / curves.chord).sum() / curves.arc.sum())


def _resolved_curvature(image: RetinalImage, target: str) -> float:
    curves = _resolved(image, target)
    return float((np.abs(curves.curvature) * curves.ds).sum() / curves.ds.sum()) * image.disc.diameter


def _variation(image: RetinalImage, target: str) -> float:
    return float(_unevenness(image, target)[0].mean()) / image.disc.diameter


def _variation_relative(image: RetinalImage, target: str) -> float:
    deviation, mean = _unevenness(image, target)
    return float((deviation / mean).mean())


def _unevenness(image: RetinalImage, target: str) -> tuple[Floats, Floats]:
    """Standard deviation and mean (n,) of the width along each segment that has a calibre, px."""
    line = image.centreline(target)
    count = np.bincount(line.segment)
    mean = np.bincount(line.segment, line.width) / np.maximum(count, 1)
    squares = np.bincount(line.segment, (line.width - mean[line.segment]) ** 2)
    enough = count >= line.calibre_points
    if np.count_nonzero(enough) < MIN_SEGMENTS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return np.sqrt(squares[enough] / (count[enough] - 1)), mean[enough]


def _resolved(image: RetinalImage, target: str) -> Curves:
    return _enough(image.tree(target).vessels)


def _curves(image: RetinalImage, target: str) -> Curves:
    return _enough(image.centreline(target).curves)


def _enough(curves: Curves) -> Curves:
    if curves.arc.size < MIN_SEGMENTS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return curves


def _of(target: str, noun: str) -> tuple[Biomarker, ...]:
    long_enough = f"centreline of the {noun} at least one diameter of the field of view long"
    entry = partial(
        Biomarker,
        family="geometry",
        requires=(target,),
        evidence=f"{long_enough}; {MIN_SEGMENTS} segments of 41 px of arc or more (at a frame of 1024 px)",
        reasons=(Status.TOO_FEW_VESSELS,),
    )
    title, scaled = target.capitalize(), (target, "optic_disc")
    return (
        entry(
            name=f"{target}_tortuosity_arc_chord_median",
            label=f"{title} tortuosity, arc/chord, median",
            unit="ratio",
            definition=f"Median over the segments of the {noun} of arc length over chord length; 1 is straight",
            reference="Hart 1999, Int J Med Inform 53:239",
            compute=partial(_arc_chord_median, target=target),
        ),
        entry(
            name=f"{target}_tortuosity_arc_chord_length_weighted",
            label=f"{title} tortuosity, arc/chord, length-weighted",
            unit="ratio",
            definition=f"Mean over the segments of the {noun}, weighted by arc length, of arc over chord length",
            reference="Hart 1999, Int J Med Inform 53:239",
            compute=partial(_arc_chord_length_weighted, target=target),
        ),
        entry(
            name=f"{target}_tortuosity_index",
            label=f"{title} tortuosity, sum of arcs over sum of chords",
            unit="ratio",
            definition=f"Sum of the arc lengths of the segments of the {noun} over the sum of their chord lengths",
            reference="Fhima 2022, PVBM: arXiv:2208.00392",
            compute=partial(_arc_chord_sum, target=target),
        ),
        entry(
            name=f"{target}_curvature_mean_absolute",
            label=f"{title} curvature, mean absolute",
            unit="1/dd",
            definition=f"Integral of |kappa| ds over the length of the {noun}",
            reference=VASCX,
            requires=scaled,
            compute=partial(_curvature_mean, target=target),
        ),
        entry(
            name=f"{target}_tortuosity_curvature_squared",
            label=f"{title} tortuosity, squared curvature",
            unit="1/dd^2",
            definition=f"Integral of kappa^2 ds over the length of the {noun}",
            reference="Hart 1999, Int J Med Inform 53:239",
            requires=scaled,
            compute=partial(_curvature_squared, target=target),
        ),
        entry(
            name=f"{target}_tortuosity_density",
            label=f"{title} tortuosity density",
            unit="1/dd",
            definition="Per segment, cut at its inflections into n pieces: (n - 1)/L sum(arc_i/chord_i - 1), L its arc "
            f"length; mean over the segments of the {noun} weighted by L",
            reference="Grisan 2003, Proc 25th IEEE EMBS:866; Grisan 2008, IEEE Trans Med Imaging 27:310",
            requires=scaled,
            compute=partial(_density, target=target),
        ),
        entry(
            name=f"{target}_inflection_density",
            label=f"{title} inflections per length",
            unit="1/dd",
            definition=f"Sign changes of the curvature over the length of the {noun}; stretches with a radius above "
            "270 px (at a frame of 1024 px) count as straight",
            reference="Bullitt 2003, IEEE Trans Med Imaging 22:1163 (inflection count)",
            requires=scaled,
            compute=partial(_inflections, target=target),
        ),
    )


def _even(target: str, noun: str) -> tuple[Biomarker, ...]:
    """How even the width of a segment is."""
    entry = partial(
        Biomarker,
        family="geometry",
        reference="Fraz 2015, Expert Syst Appl, doi:10.1016/j.eswa.2015.05.022 (QUARTZ)",
        evidence=f"centreline of the {noun} at least one diameter of the field of view long; {MIN_SEGMENTS} segments "
        "with both edges at 10 or more centreline points (at a frame of 1024 px)",
        reasons=(Status.TOO_FEW_VESSELS,),
    )
    title, floor = target.capitalize(), "the pixel grid alone makes 0.2 to 0.4 px (at a frame of 1024 px)"
    return (
        entry(
            name=f"{target}_width_variation",
            label=f"{title} width variation along a segment",
            unit="dd",
            definition=f"Mean over the segments of the {noun} of the standard deviation of the width along each; "
            f"{floor}",
            requires=(target, "optic_disc"),
            compute=partial(_variation, target=target),
        ),
        entry(
            name=f"{target}_width_variation_relative",
            label=f"{title} width variation along a segment, relative",
            unit="ratio",
            definition=f"Mean over the segments of the {noun} of the standard deviation of the width along each over "
            f"its mean width; {floor}",
            requires=(target,),
            compute=partial(_variation_relative, target=target),
        ),
    )


def _vessels(target: str, noun: str) -> tuple[Biomarker, ...]:
    """Tortuosity of resolved vessels."""
    entry = partial(
        Biomarker,
        family="geometry",
        unit="ratio",
        requires=(target, "optic_disc"),
        evidence=f"centreline of the {noun} at least one diameter of the field of view long; {MIN_SEGMENTS} vessels of "
        "41 px of arc or more (at a frame of 1024 px)",
        reasons=(Status.TOO_FEW_VESSELS,),
        reference=VASCX,
    )
    title = target.capitalize()
    return (
        entry(
            name=f"{target}_tortuosity_resolved_median",
            label=f"{title} tortuosity of resolved vessels, median",
            definition=f"Median over whole vessels of arc length over chord length, the {noun} {RESOLVED}",
            compute=partial(_resolved_median, target=target),
        ),
        entry(
            name=f"{target}_tortuosity_resolved_length_weighted",
            label=f"{title} tortuosity of resolved vessels, length-weighted",
            definition="Mean over whole vessels, weighted by arc length, of arc over chord length, the "
            f"{noun} {RESOLVED}",
            compute=partial(_resolved_length_weighted, target=target),
        ),
        entry(
            name=f"{target}_curvature_resolved_mean_absolute",
            label=f"{title} curvature of resolved vessels, mean absolute",
            unit="1/dd",
            definition=f"Integral of |kappa| ds over the length of whole vessels, the {noun} {RESOLVED}",
            compute=partial(_resolved_curvature, target=target),
        ),
    )


BIOMARKERS = (
    *(b for target, noun in VESSEL_TARGETS.items() for b in (*_of(target, noun), *_even(target, noun))),
    *(b for target, noun in VESSEL_TARGETS.items() if target != "vessel" for b in _vessels(target, noun)),
)
