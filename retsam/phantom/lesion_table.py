"""How many and how large: the documented table behind every lesion."""

import numpy as np
from numpy.typing import NDArray

from retsam.phantom.places import MM_PER_DEGREE
from retsam.phantom.population import Parameter

EYE = "by eye"
ETDRS = "smaller than the width of a large vein at the disc, 125 um (ETDRS report 10, Ophthalmology 1991;98:786)"
AMD = "small below 63 um, large from 125 um (Ferris et al., Ophthalmology 2013;120:844)"


def _count(name: str, median: float, spread: float, meaning: str, high: float, source: str = EYE) -> Parameter:
    return Parameter(f"{name}_count", "", "lognormal", median, spread, meaning, source, 1.0, high)


def _size(
    name: str, median: float, spread: float, low: float, high: float, meaning: str, source: str = EYE
) -> Parameter:
    return Parameter(f"{name}_diameter", "um", "lognormal", median, spread, meaning, source, low, high)


LESIONS: tuple[Parameter, ...] = (
    _count("microaneurysm", 14, 0.6, "in an eye", 70),
    _size("microaneurysm", 72, 0.28, 45, 122, "each", ETDRS),
    _count("blot", 9, 0.7, "dot and blot hemorrhages", 60),
    _size("blot", 190, 0.5, 130, 750, "dot and blot hemorrhage", "from 125 um on, see microaneurysm; upper end by eye"),
    _count("flame", 4, 0.8, "flame hemorrhages", 25),
    Parameter("flame_length", "um", "lognormal", 650, 0.4, "along the nerve fibres", EYE, 220, 1600),
    Parameter("flame_width", "um", "lognormal", 150, 0.3, "across them", EYE, 80, 350),
    _count("exudate_cluster", 2, 0.6, "clusters of hard exudates", 6),
    _count("hard_exudate", 18, 0.7, "in a cluster", 70),
    _size("hard_exudate", 75, 0.6, 50, 600, "each; plaques are larger"),
    _count("cotton_wool_spot", 3, 0.6, "in an eye", 12),
    _size("cotton_wool_spot", 400, 0.4, 150, 1000, "its body; lobes make it larger"),
    _count("laser_spot", 70, 0.5, "panretinal, in the posterior 45 degrees", 180),
    _size("laser_spot", 330, 0.25, 150, 600, "panretinal scar", "spots of 200-500 um (ETDRS report 3, 1987)"),
    _count("focal_laser", 14, 0.5, "focal or grid at the macula", 45),
    _size("focal_laser", 100, 0.25, 60, 220, "focal or grid scar", "spots of 50-200 um (ETDRS report 1, 1985)"),
    _count("hard_drusen", 18, 0.7, "small, with a clear border", 90),
    _size("hard_drusen", 55, 0.25, 45, 110, "small", AMD),
    _count("soft_drusen", 10, 0.7, "intermediate and large, with a soft border", 50),
    _size("soft_drusen", 150, 0.4, 75, 500, "intermediate and large", AMD),
    _size("patchy_hemorrhage", 1300, 0.5, 500, 4000, "its body; lobes make it larger"),
    _size("epiretinal_membrane", 2300, 0.35, 900, 4500, "mean of both axes"),
    _size(
        "macular_hole",
        450,
        0.3,
        220,
        900,
        "hole",
        "small to 250, large above 400 um (IVTS, Ophthalmology 2013;120:2611)",
    ),
    _count("retinal_scar", 1.6, 0.5, "in an eye", 4),
    _size("retinal_scar", 700, 0.5, 250, 2500, "body; lobes make it larger"),
    _size("edema", 1300, 0.4, 500, 3200, "its body; lobes make it larger"),
    _count("pigment_clump", 7, 0.6, "dark clumps at the macula", 30),
    _size("pigment_clump", 110, 0.45, 50, 450, "each"),
    _count("pale_patch", 4, 0.6, "pale patches at the macula", 16),
    _size("pale_patch", 220, 0.4, 90, 700, "each"),
    _count("fibrous_band", 2, 0.5, "bands", 5),
    Parameter("fibrous_length", "um", "lognormal", 2200, 0.4, "of a band", EYE, 900, 5000),
    Parameter("fibrous_width", "um", "lognormal", 260, 0.4, "of a band", EYE, 100, 800),
    _count("asteroid_body", 90, 0.6, "asteroid bodies", 260),
    _size("asteroid_body", 110, 0.45, 50, 420, "as seen, in focus or not"),
    Parameter("weiss_ring", "um", "lognormal", 1500, 0.2, "diameter of a Weiss ring", "about the disc's", 1000, 2400),
    Parameter("myelinated_length", "um", "lognormal", 1100, 0.45, "from the disc outwards", EYE, 400, 3500),
    Parameter("myelinated_sector", "deg", "lognormal", 42, 0.4, "of the disc's margin", EYE, 15, 120),
    _size("unknown_abnormality", 650, 0.6, 200, 2500, "body; lobes make it larger"),
)
"""Counts are for a middling severity; a severity of 0 or 1 moves them by 1.5 standard deviations."""

_ROWS = {row.name: row for row in LESIONS}


def burden(rng: np.random.Generator, name: str, severity: float) -> int:
    """Draw a count, at least 1: the row ``NAME_count`` at a score that severity (0-1) moves from -1.5 to 1.5."""
    score = 0.7 * float(rng.standard_normal()) + 3.0 * (severity - 0.5)
    return max(1, round(_ROWS[f"{name}_count"].at(score)))


def draw(rng: np.random.Generator, name: str, n: int) -> NDArray[np.float64]:
    """Draw values (n,) of a row by its full name; lengths come in degrees."""
    row = _ROWS[name]
    values = np.array([row.at(score) for score in rng.standard_normal(n).tolist()])
    return values / (1000.0 * MM_PER_DEGREE) if row.unit == "um" else values


def radii(rng: np.random.Generator, name: str, n: int) -> NDArray[np.float64]:
    """Draw radii (n,) in degrees from the row ``NAME_diameter``."""
    return 0.5 * draw(rng, f"{name}_diameter", n)
