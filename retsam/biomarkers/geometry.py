"""Family geometry: how vessels bend and branch.

Tortuosity is measured on segments (between two branching points, crossings or ends) that are long enough for one whole
smoothing window, 41 px of arc at a frame of 1024 px. Over arcs of circles with radii of 50 to 400 px the curvature is
within 3 % and arc/chord within 1 % of the truth. Values are weighted by length unless a median is named. A segment that
runs round a hole of the mask (arc over five times its chord) is left out. Where two trunks meet end to end in the disc
without a third, the skeleton runs out along one and back along the other: segments end at such folds, a vessel that
winds as sharply but goes on in its direction is one.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import VASCX, VESSEL_TARGETS, Biomarker, Unmeasurable
from retsam.biomarkers.centreline import Curves
from retsam.biomarkers.image import RetinalImage
from retsam.status import Status

MIN_SEGMENTS = 3
MIN_ANGLES = 3


def _arc_chord_median(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float(np.median(curves.arc / curves.chord))


def _arc_chord_length_weighted(image: RetinalImage, target: str) -> float:
    curves = _curves(image, target)
    return float((curves.arc**2 / curves.chord).sum() / curves.arc.sum())


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


def _angle_mean(image: RetinalImage, target: str) -> float:
    return float(_angles(image, target).mean())


def _angle_median(image: RetinalImage, target: str) -> float:
    return float(np.median(_angles(image, target)))


def _curves(image: RetinalImage, target: str) -> Curves:
    curves = image.centreline(target).curves
    if curves.arc.size < MIN_SEGMENTS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return curves


def _angles(image: RetinalImage, target: str) -> NDArray[np.float64]:
    angles = image.centreline(target).angles
    if angles.size < MIN_ANGLES:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return angles


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
        *(
            entry(
                name=f"{target}_branching_angle_{name}",
                label=f"{title} branching angle, {name}",
                unit="deg",
                definition=f"{name.capitalize()} over the bifurcations of the {noun} of the smallest of the three "
                "angles between the branches (the angle between the daughters, unless one turns back by more than 90 "
                "degrees)",
                reference="Zamir 1979, J Theor Biol 80:1 (angle); smallest of three: this project",
                evidence=f"{long_enough}; {MIN_ANGLES} nodes of exactly three branches, each at least 10 px long (at a "
                "frame of 1024 px)",
                compute=partial(compute, target=target),
            )
            for name, compute in (("mean", _angle_mean), ("median", _angle_median))
        ),
    )


BIOMARKERS = tuple(b for target, noun in VESSEL_TARGETS.items() for b in _of(target, noun))
