"""Family branching: how vessels begin, divide and end.

A bifurcation is a node of the centreline where exactly three branches meet; two vessels that cross make a node of four
and none of three. The parent is the branch that leads back to the optic disc along the centreline
(:mod:`retsam.biomarkers.tree`). A branch's width at a bifurcation is its median over 20 px from two radii of the node
on (lengths at a frame of 1024 px), where the walls of the three are apart. On symmetric forks drawn at 1024 px, 8 to 16
px wide, widths are off by 0.3 px at most on average and the branching coefficient by 0.08; single forks scatter by 0.2
px and 0.06. A cube root makes the junctional exponent deviation of a fork that follows Murray's law scatter by 0.3
about 0, so that only many forks, or many eyes, tell.

Only arteries and veins have a parent: most nodes of their union are crossings.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import VASCX, VESSEL_TARGETS, Biomarker, Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.biomarkers.tree import Tree
from retsam.status import Status

BORDER = 0.02  # of the frame's side: an end this close to the border of the field of view is cut, not an end
MIN_ANGLES = 3
MIN_BIFURCATIONS = 5
TREES = {target: noun for target, noun in VESSEL_TARGETS.items() if target != "vessel"}
"""Targets that are one tree each, with the noun of their definitions."""

_NEWTON = 80  # steps; the slowest start moves by a factor e of what is left in each

Floats = NDArray[np.float64]


def _bifurcations(image: RetinalImage, target: str) -> float:
    return len(image.centreline(target).bifurcations)


def _bifurcation_density(image: RetinalImage, target: str) -> float:
    trace = image.centreline(target)
    return len(trace.bifurcations) / trace.length * image.disc.diameter


def _ends(image: RetinalImage, target: str) -> float:
    return float(np.count_nonzero(image.inner(image.centreline(target).ends, round(BORDER * image.size))))


def _end_density(image: RetinalImage, target: str) -> float:
    return float(_ends(image, target)) / image.centreline(target).length * image.disc.diameter


def _angle_mean(image: RetinalImage, target: str) -> float:
    return float(_angles(image, target).mean())


def _angle_median(image: RetinalImage, target: str) -> float:
    return float(np.median(_angles(image, target)))


def _angles(image: RetinalImage, target: str) -> Floats:
    angles = image.centreline(target).angles
    if angles.size < MIN_ANGLES:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return angles


def _coefficient(image: RetinalImage, target: str) -> float:
    parent, wide, narrow = _forks(image, target).widths.T
    return float(np.median((wide**2 + narrow**2) / parent**2))


def _deviation(image: RetinalImage, target: str) -> float:
    parent, wide, narrow = _forks(image, target).widths.T
    return float(np.median(np.cbrt(parent**3 - wide**3 - narrow**3) / parent))


def _asymmetry(image: RetinalImage, target: str) -> float:
    _, wide, narrow = _forks(image, target).widths.T
    return float(np.median((narrow / wide) ** 2))


def _exponent(image: RetinalImage, target: str) -> float:
    exponent = murray_exponent(*_forks(image, target).widths.T)
    return _median(exponent[np.isfinite(exponent)])


def _length_diameter(image: RetinalImage, target: str) -> float:
    tree = _forks(image, target)
    ratio = tree.parent_length / tree.widths[:, 0]
    return _median(ratio[np.isfinite(ratio)])


def _median(values: Floats) -> float:
    if values.size < MIN_BIFURCATIONS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return float(np.median(values))


def _forks(image: RetinalImage, target: str) -> Tree:
    tree = image.tree(target)
    if len(tree.widths) < MIN_BIFURCATIONS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return tree


def _departures(image: RetinalImage, target: str) -> float:
    count = image.tree(target).departures
    if not count:  # the mask does not reach the disc
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return float(count)


def murray_exponent(parent: Floats, wide: Floats, narrow: Floats) -> Floats:
    """Exponent x of ``parent^x = wide^x + narrow^x``.

    Parameters
    ----------
    parent, wide, narrow : (n,) float
        Widths in any unit, above 0.

    Returns
    -------
    (n,) float
        NaN where the parent is not wider than both: no exponent above 0 solves it.

    References
    ----------
    Murray CD (1926). The physiological principle of minimum work. PNAS 12, 207-214.
    """
    solvable = parent > np.maximum(wide, narrow)
    whole = np.where(solvable, parent, 1.0)
    shares = np.where(solvable, np.stack([wide, narrow]) / whole, 0.5)
    slopes = np.log(shares)
    x = np.zeros(parent.shape)
    for _ in range(_NEWTON):  # convex and falling: from the left Newton's steps never pass the root
        power = shares**x
        x -= (power.sum(axis=0) - 1) / (power * slopes).sum(axis=0)
    return np.where(solvable, x, np.nan)


def _long_enough(noun: str) -> str:
    return f"centreline of the {noun} at least one diameter of the field of view long"


def _count_entries(target: str, noun: str) -> tuple[Biomarker, ...]:
    title = target.capitalize()
    entry = partial(
        Biomarker,
        family="branching",
        requires=(target,),
        evidence=_long_enough(noun),
        reasons=(Status.TOO_FEW_VESSELS,),
        reference=VASCX,
    )
    node = f"Nodes of the centreline of the {noun} where exactly three branches meet"
    end = f"Free ends of the centreline of the {noun}, 2 % of the frame's side inside the border of the field of view"
    return (
        entry(
            name=f"{target}_bifurcation_count",
            label=f"{title} bifurcations",
            unit="count",
            definition=f"{node}; nodes within each other's vessel are one, so that most crossings do not count",
            compute=partial(_bifurcations, target=target),
        ),
        entry(
            name=f"{target}_bifurcation_density",
            label=f"{title} bifurcations per length",
            unit="1/dd",
            definition="Bifurcation count over the length of the centreline",
            requires=(target, "optic_disc"),
            compute=partial(_bifurcation_density, target=target),
        ),
        entry(
            name=f"{target}_endpoint_count",
            label=f"{title} free ends",
            unit="count",
            definition=end,
            compute=partial(_ends, target=target),
        ),
        entry(
            name=f"{target}_endpoint_density",
            label=f"{title} free ends per length",
            unit="1/dd",
            definition="Free ends over the length of the centreline",
            requires=(target, "optic_disc"),
            compute=partial(_end_density, target=target),
        ),
    )


def _angle_entries(target: str, noun: str) -> tuple[Biomarker, ...]:
    return tuple(
        Biomarker(
            name=f"{target}_branching_angle_{name}",
            family="branching",
            label=f"{target.capitalize()} branching angle, {name}",
            unit="deg",
            definition=f"{name.capitalize()} over the bifurcations of the {noun} of the smallest of the three "
            "angles between the branches (the angle between the daughters, unless one turns back by more than 90 "
            "degrees)",
            reference="Zamir 1979, J Theor Biol 80:1 (angle); smallest of three: this project",
            requires=(target,),
            evidence=f"{_long_enough(noun)}; {MIN_ANGLES} nodes of exactly three branches, each at least 10 px long "
            "(at a frame of 1024 px)",
            reasons=(Status.TOO_FEW_VESSELS,),
            compute=partial(compute, target=target),
        )
        for name, compute in (("mean", _angle_mean), ("median", _angle_median))
    )


def _tree_entries(target: str, noun: str) -> tuple[Biomarker, ...]:
    bifurcations = "bifurcations outside the optic disc with a width of all three branches"
    evidence = f"{_long_enough(noun)}; {MIN_BIFURCATIONS} {bifurcations}"
    title, over = target.capitalize(), f"Median over the bifurcations of the {noun}"
    entry = partial(
        Biomarker,
        family="branching",
        unit="ratio",
        requires=(target, "optic_disc"),
        evidence=evidence,
        reasons=(Status.TOO_FEW_VESSELS,),
    )
    bias = "bias on phantoms at 1024 px, whose forks are measured a tenth of a pixel off"
    d = "d0 the width of the parent (the branch that leads back to the optic disc), d1 and d2 of the daughters"
    return (
        entry(
            name=f"{target}_branching_coefficient",
            label=f"{title} branching coefficient",
            definition=f"{over} of (d1^2 + d2^2)/d0^2, {d}; 1.26 where a symmetric fork follows Murray's law",
            reference="Patton 2006, Prog Retin Eye Res 25:99",
            evidence=f"{evidence}; {bias}: 3 % too low",
            compute=partial(_coefficient, target=target),
        ),
        entry(
            name=f"{target}_junctional_exponent_deviation",
            label=f"{title} junctional exponent deviation",
            definition=f"{over} of (d0^3 - d1^3 - d2^3)^(1/3)/d0, the cube root with its sign, {d}; 0 under Murray's "
            "law; single forks scatter by 0.3 for the pixel grid alone",
            reference="Patton 2006, Prog Retin Eye Res 25:99; Murray 1926, PNAS 12:207",
            evidence=f"{evidence}; {bias}: 0.08 too high",
            compute=partial(_deviation, target=target),
        ),
        entry(
            name=f"{target}_branching_asymmetry",
            label=f"{title} branching asymmetry ratio",
            definition=f"{over} of d2^2/d1^2, d1 the width of the wider and d2 of the narrower daughter",
            reference="Patton 2006, Prog Retin Eye Res 25:99",
            compute=partial(_asymmetry, target=target),
        ),
        entry(
            name=f"{target}_murray_exponent",
            label=f"{title} Murray exponent",
            definition=f"{over} of the x that solves d0^x = d1^x + d2^x, {d}; 3 under Murray's law; only of "
            "bifurcations whose parent is wider than both daughters, the others have no such x: a selection "
            "that lifts the value where widths are noisy",
            reference="Murray 1926, PNAS 12:207; its bias: Witt 2010, Artery Res 4:75",
            evidence=f"{_long_enough(noun)}; {MIN_BIFURCATIONS} such {bifurcations}; {bias}: 0.2 too low",
            compute=partial(_exponent, target=target),
        ),
        entry(
            name=f"{target}_length_diameter_ratio",
            label=f"{title} length-diameter ratio",
            definition=f"{over} of the length of the parent from the node before over its width",
            reference="Witt 2006, Hypertension 47:975; Patton 2006, Prog Retin Eye Res 25:99",
            evidence=f"{_long_enough(noun)}; {MIN_BIFURCATIONS} {bifurcations}, the node before outside the disc too",
            compute=partial(_length_diameter, target=target),
        ),
        entry(
            name=f"{target}_startpoint_count",
            label=f"{title} start points",
            unit="count",
            definition=f"Places where the centreline of the {noun} leaves the optic disc; two less than 3 px apart "
            "from its outline in between (at a frame of 1024 px) are one",
            reference="Fhima 2022, PVBM: arXiv:2208.00392",
            evidence=f"{_long_enough(noun)}; one such place",
            compute=partial(_departures, target=target),
        ),
    )


BIOMARKERS = (
    *(
        b
        for target, noun in VESSEL_TARGETS.items()
        for b in (*_count_entries(target, noun), *_angle_entries(target, noun))
    ),
    *(b for target, noun in TREES.items() for b in _tree_entries(target, noun)),
)
