"""Family calibre: how wide the vessels are.

Width is the distance between the two edges on the normal to the centreline, located to a fraction of a pixel on the
bilinear mask (:mod:`retsam.biomarkers.centreline`). Its error is that of the binary mask itself: for straight bars of
any angle and position under 1 % on average, up to half a pixel for a single bar. A mask that paints vessels too wide or
too narrow shifts every value here, so compare within one model and frame size only.

Central equivalents stand for the widths of the trunks: arteries and veins are measured where they cross circles in
zone B and the six widest of each circle are combined in pairs; of one half of zone B, the three widest. Masks of
arteries and veins overlap where the two cross, so that neither tree is broken there.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import VASCX, VESSEL_TARGETS, Biomarker, Unmeasurable
from retsam.biomarkers.image import MIN_CIRCLE_IN_VIEW, Region, RetinalImage
from retsam.status import Status

MIN_SEGMENTS = 3
MIN_REGION_SEGMENTS = 6
WIDEST = 6  # vessels of a circle that enter a central equivalent
WIDEST_OF_HALF = 3  # vessels of half a circle that enter one, and whose widths are given
HALVES = {
    "superior": "the line through disc and fovea",
    "inferior": "the line through disc and fovea",
    "temporal": "the perpendicular to the line from disc to fovea through the disc centre",
    "nasal": "the perpendicular to the line from disc to fovea through the disc centre",
}
MIN_CIRCLES = 3

_LACKING = (Status.TOO_FEW_VESSELS, Status.OUT_OF_VIEW)

Floats = NDArray[np.float64]
Combine = Callable[[Floats, Floats], Floats]


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


def _zone(image: RetinalImage, target: str, zone: str) -> float:
    image.centreline(target)  # the minimum-evidence rule
    return _median_in(image, target, image.region(zone))


def _hemifield(image: RetinalImage, target: str, side: str) -> float:
    image.centreline(target)
    return _median_in(image, target, image.hemifield(side))


def _hemifield_asymmetry(image: RetinalImage, target: str) -> float:
    superior, inferior = (_hemifield(image, target, side) for side in ("superior", "inferior"))
    return abs(superior - inferior) / (superior + inferior)


def _median_in(image: RetinalImage, target: str, region: Region) -> float:
    """Median over the segments of their median width inside a region, disc diameters."""
    trace = image.centreline(target)
    width, _ = trace.calibres(region.holds(trace.xy))
    if width.size < MIN_REGION_SEGMENTS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return float(np.median(width)) / image.disc.diameter


def _widths(image: RetinalImage, target: str) -> tuple[Floats, Floats]:
    """Widths and lengths of the segments, px."""
    width, length = image.centreline(target).calibres()
    if width.size < MIN_SEGMENTS:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return width, length


def knudtson(factor: float) -> Combine:
    """Width of the trunk of two branches: ``factor * sqrt(a^2 + b^2)``, in any unit of length.

    Parameters
    ----------
    factor : float
        0.88 for arteries, 0.95 for veins.

    References
    ----------
    Knudtson MD, et al. (2003). Revised formulas for summarizing retinal vessel diameters. Curr Eye Res 27, 143-149.
    """
    return lambda narrow, wide: factor * np.hypot(narrow, wide)


def hubbard_artery(narrow: Floats, wide: Floats) -> Floats:
    """Width of the trunk of two arteries; all in micrometres, because the formula has additive constants.

    References
    ----------
    Hubbard LD, et al. (1999). Methods for evaluation of retinal microvascular abnormalities. Ophthalmology 106,
    2269-2280; after Parr JC, Spears GF (1974). Am J Ophthalmol 77, 472-477.
    """
    squared = 0.87 * narrow**2 + 1.01 * wide**2 - 0.22 * narrow * wide - 10.76
    if (squared < 0).any():  # below 2.6 um: a wrong um_per_px
        raise Unmeasurable(Status.UNDEFINED)
    return np.asarray(np.sqrt(squared), float)


def hubbard_vein(narrow: Floats, wide: Floats) -> Floats:
    """Width of the trunk of two veins, micrometres; see :func:`hubbard_artery`."""
    return np.asarray(np.sqrt(0.72 * narrow**2 + 0.91 * wide**2 + 450.05), float)


def central_equivalent(widths: Floats, combine: Combine) -> float:
    """Combine widths in pairs, widest with narrowest, until one is left.

    Parameters
    ----------
    widths : (n,) float
        At least one.
    combine : callable
        Narrower and wider branches (m,) to trunks (m,).

    Returns
    -------
    float
        With an odd number of widths the median is carried to the next round; every round is sorted anew.
    """
    left = np.sort(widths)
    while left.size > 1:
        half = left.size // 2
        left = np.sort(np.append(combine(left[:half], left[: -half - 1 : -1]), left[half : left.size - half]))
    return float(left[0])


FORMULAS: dict[tuple[str, str], Combine] = {
    ("artery", "knudtson"): knudtson(0.88),
    ("vein", "knudtson"): knudtson(0.95),
    ("artery", "hubbard"): hubbard_artery,
    ("vein", "hubbard"): hubbard_vein,
}


def _widest(image: RetinalImage, target: str, number: int, side: str = "") -> Floats:
    """Widths (circles, number) of the widest vessels of each valid circle of zone B, or of a half of it; ascending."""
    circles = _circles(image, target, side)
    valid = [np.sort(widths)[-number:] for widths in circles if widths.size >= number]
    if len(valid) < MIN_CIRCLES:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return np.array(valid)


def _circles(image: RetinalImage, target: str, side: str = "") -> list[Floats]:
    """Widths of the vessels that cross each circle of zone B in view."""
    circles = image.crossings(target, side)
    if len(circles) < MIN_CIRCLES:
        raise Unmeasurable(Status.OUT_OF_VIEW)
    return circles


def _equivalent(image: RetinalImage, target: str, formula: str, scale: float) -> float:
    """Mean of the central equivalents of the valid circles, widths times `scale`."""
    widest = _widest(image, target, WIDEST) * scale
    return float(np.mean([central_equivalent(widths, FORMULAS[target, formula]) for widths in widest]))


def _equivalent_dd(image: RetinalImage, target: str) -> float:
    return _equivalent(image, target, "knudtson", 1 / image.disc.diameter)


def _equivalent_um(image: RetinalImage, target: str, formula: str) -> float:
    return _equivalent(image, target, formula, image.um_per_px)


def _equivalent_half(image: RetinalImage, target: str, side: str) -> float:
    widest = _widest(image, target, WIDEST_OF_HALF, side) / image.disc.diameter
    return float(np.mean([central_equivalent(widths, FORMULAS[target, "knudtson"]) for widths in widest]))


def _top(image: RetinalImage, target: str, how: Callable[[Floats], Floats]) -> float:
    """Mean over the circles of a summary of the three widest vessels of each."""
    return float(how(_widest(image, target, WIDEST_OF_HALF)).mean()) / image.disc.diameter


def _count(image: RetinalImage, target: str) -> float:
    return float(np.mean([widths.size for widths in _circles(image, target)]))


def _avr_knudtson(image: RetinalImage) -> float:
    return _equivalent_dd(image, "artery") / _equivalent_dd(image, "vein")


def _avr_hubbard(image: RetinalImage) -> float:
    return _equivalent_um(image, "artery", "hubbard") / _equivalent_um(image, "vein", "hubbard")


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
        *(
            entry(
                name=f"{target}_calibre_median_{zone}",
                label=f"{title} calibre in {word}, median",
                definition=f"Median over the segments of the {noun} of their median width inside {word} (a median, not "
                "a central equivalent)",
                reference=reference,
                evidence=f"{long_enough}; half of {word} in view; {MIN_REGION_SEGMENTS} segments {segment}",
                reasons=_LACKING,
                compute=partial(_zone, target=target, zone=zone),
            )
            for zone, word, reference in (
                ("zone_b", "zone B", "zone B: Hubbard 1999, Ophthalmology 106:2269"),
                ("zone_c", "zone C", "zone C: Singapore I Vessel Assessment (SIVA)"),
            )
        ),
        *_hemifields(target, noun, segment),
        entry(
            name=f"{target}_width_global",
            label=f"{title} width, area over length",
            definition=f"Area of the {noun} over the length of their centreline",
            reference="Zhou 2022, Transl Vis Sci Technol 11(7):12 (AutoMorph)",
            evidence=long_enough,
            compute=partial(_global, target=target),
        ),
    )


def _hemifields(target: str, noun: str, segment: str) -> tuple[Biomarker, ...]:
    """Calibres above and below the line through disc and fovea."""
    title = target.capitalize()
    long_enough = f"centreline of the {noun} at least one diameter of the field of view long"
    axes = "disc and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal"
    enough = f"a quarter of the field of view and {MIN_REGION_SEGMENTS} segments {segment}"
    entry = partial(
        Biomarker,
        family="calibre",
        requires=(target, "optic_disc", "fovea"),
        reasons=(*_LACKING, Status.UNDEFINED),
    )
    return (
        *(
            entry(
                name=f"{target}_calibre_median_{side}",
                label=f"{title} calibre, {side} hemifield, median",
                unit="dd",
                definition=f"Median over the segments of the {noun} of their median width in the field of view, "
                f"{side} to the line through disc and fovea",
                reference=VASCX,
                evidence=f"{long_enough}; {axes}; {enough} on that side",
                compute=partial(_hemifield, target=target, side=side),
            )
            for side in ("superior", "inferior")
        ),
        entry(
            name=f"{target}_calibre_hemifield_asymmetry",
            label=f"{title} calibre, hemifield asymmetry",
            unit="ratio",
            definition="|superior - inferior| / (superior + inferior) of the two hemifields' median calibres; 0 is "
            "symmetric",
            reference="this project",
            evidence=f"{long_enough}; {axes}; {enough} on either side",
            compute=partial(_hemifield_asymmetry, target=target),
        ),
    )


_KNUDTSON = "Knudtson 2003, Curr Eye Res 27:143"
_HUBBARD = "Hubbard 1999, Ophthalmology 106:2269; Parr 1974, Am J Ophthalmol 77:472"
_CIRCLES = (
    f"mean over the circles at 1.0, 1.1 ... 1.5 disc diameters about the disc centre of the {WIDEST} widest that cross "
    "each, combined in pairs, widest with narrowest, an odd median carried on"
)


def _seen(noun: str, number: int = WIDEST, of: str = "") -> str:
    """Minimum-evidence rule of what is measured on circles that so many vessels cross."""
    long_enough = f"centreline of the {noun} at least one diameter of the field of view long"
    circles = f"{MIN_CIRCLES} circles with at least {MIN_CIRCLE_IN_VIEW:.0%} {of}in the field of view"
    return f"{long_enough}; {circles}" + (f", each crossed there by {number} vessels" if number else "")


def _central(short: str, target: str, title: str, knudtson_rule: str, hubbard_rule: str) -> tuple[Biomarker, ...]:
    """Central equivalents of one tree."""
    entry = partial(Biomarker, family="calibre", requires=(target, "optic_disc"))
    evidence = _seen(VESSEL_TARGETS[target])
    return (
        entry(
            name=f"{short}_knudtson",
            label=f"{title}, Knudtson",
            unit="dd",
            definition=f"{title} by {knudtson_rule}: {_CIRCLES}",
            reference=_KNUDTSON,
            evidence=evidence,
            reasons=_LACKING,
            compute=partial(_equivalent_dd, target=target),
        ),
        entry(
            name=f"{short}_knudtson_um",
            label=f"{title}, Knudtson, micrometres",
            unit="um",
            definition=f"{title} by {knudtson_rule}, by the manifest's um_per_px: {_CIRCLES}",
            reference=_KNUDTSON,
            evidence=f"{evidence}; um_per_px given",
            reasons=(*_LACKING, Status.NO_SCALE),
            compute=partial(_equivalent_um, target=target, formula="knudtson"),
        ),
        entry(
            name=f"{short}_hubbard_um",
            label=f"{title}, Hubbard, micrometres",
            unit="um",
            definition=f"{title} by {hubbard_rule}, a the narrower, in micrometres by the manifest's um_per_px: "
            f"{_CIRCLES}",
            reference=_HUBBARD,
            evidence=f"{evidence}; um_per_px given",
            reasons=(*_LACKING, Status.NO_SCALE, Status.UNDEFINED),
            compute=partial(_equivalent_um, target=target, formula="hubbard"),
        ),
        *(
            entry(
                name=f"{short}_knudtson_{side}",
                label=f"{title}, Knudtson, {side} half",
                unit="dd",
                definition=f"{title} by {knudtson_rule} of the vessels {side} to {line}: mean over the circles at "
                f"1.0, 1.1 ... 1.5 disc diameters about the disc centre of the {WIDEST_OF_HALF} widest that cross each "
                "there, the widest combined with the narrowest and the result with the third",
                reference=f"{_KNUDTSON}; halves: {VASCX}",
                requires=(target, "optic_disc", "fovea"),
                evidence=f"{_seen(VESSEL_TARGETS[target], WIDEST_OF_HALF, 'of that half ')}; disc and fovea 1.2 to 5 "
                "disc diameters apart and within 45 degrees of horizontal",
                reasons=(*_LACKING, Status.UNDEFINED),
                compute=partial(_equivalent_half, target=target, side=side),
            )
            for side, line in HALVES.items()
        ),
    )


def _zone_b_vessels(target: str, noun: str) -> tuple[Biomarker, ...]:
    """The widest vessels that cross zone B, and how many cross it."""
    title = target.capitalize()
    entry = partial(Biomarker, family="calibre", requires=(target, "optic_disc"), reasons=_LACKING)
    circles = "the circles at 1.0, 1.1 ... 1.5 disc diameters about the disc centre"
    return (
        *(
            entry(
                name=f"{target}_zone_b_width_top3_{name}",
                label=f"{title} width in zone B, {name} of the three widest",
                unit="dd",
                definition=f"Mean over {circles} of the {word} width of the {WIDEST_OF_HALF} widest {noun} that cross "
                "each (no central equivalent)",
                reference="widest three of a ring: RetSAM's programs, there of another ring",
                evidence=_seen(noun, WIDEST_OF_HALF),
                compute=partial(_top, target=target, how=how),
            )
            for name, word, how in _TOP
        ),
        entry(
            name=f"{target}_zone_b_vessel_count",
            label=f"{title} crossings of zone B",
            unit="count",
            definition=f"Mean over {circles} of the number of {noun} with a known width that cross the part of each "
            "in view; the central equivalents choose from these",
            reference="this project",
            evidence=_seen(noun, 0),
            compute=partial(_count, target=target),
        ),
    )


_TOP: tuple[tuple[str, str, Callable[[Floats], Floats]], ...] = (
    ("mean", "mean", lambda widths: widths.mean(axis=1)),
    ("max", "largest", lambda widths: widths[:, -1]),
    ("min", "smallest", lambda widths: widths[:, 0]),
)


_ratio = partial(Biomarker, family="calibre", unit="ratio", requires=("artery", "vein", "optic_disc"))
_RATIO = "over central retinal vein equivalent; the circles that count may differ between the two"
_CENTRAL = (
    *_central(
        "crae",
        "artery",
        "Central retinal artery equivalent",
        "0.88 sqrt(a^2 + b^2)",
        "sqrt(0.87 a^2 + 1.01 b^2 - 0.22 a b - 10.76)",
    ),
    *_central(
        "crve",
        "vein",
        "Central retinal vein equivalent",
        "0.95 sqrt(a^2 + b^2)",
        "sqrt(0.72 a^2 + 0.91 b^2 + 450.05)",
    ),
    _ratio(
        name="avr_knudtson",
        label="Artery-vein ratio, Knudtson",
        definition=f"Central retinal artery equivalent {_RATIO}",
        reference=_KNUDTSON,
        evidence=_seen("arteries, and of the veins,"),
        reasons=_LACKING,
        compute=_avr_knudtson,
    ),
    _ratio(
        name="avr_hubbard",
        label="Artery-vein ratio, Hubbard",
        definition=f"Central retinal artery equivalent {_RATIO}",
        reference=_HUBBARD,
        evidence=f"{_seen('arteries, and of the veins,')}; um_per_px given",
        reasons=(*_LACKING, Status.NO_SCALE, Status.UNDEFINED),
        compute=_avr_hubbard,
    ),
)

BIOMARKERS = (
    *(b for target, noun in VESSEL_TARGETS.items() for b in _of(target, noun)),
    *_CENTRAL,
    *(b for target in ("artery", "vein") for b in _zone_b_vessels(target, VESSEL_TARGETS[target])),
)
