"""One healthy eye: its parameters, drawn from a table and from phenotypes, and its anatomy in degrees."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

import numpy as np

from retsam.phantom.disc import Ellipse, Outline, draw_cup
from retsam.phantom.finding import Finding
from retsam.phantom.population import Parameter, Table
from retsam.phantom.vessels import Crossing, Kind, Segment, TreeParameters, crossings, grow_trees

PHENOTYPES = ("calibre", "density", "tortuosity", "disc_size", "cup", "elongation")
"""Latent phenotypes of an eye, each standard normal in the population."""

_EYE = "by eye"
_CALIBRE = "pooled cohorts: an SD is 13-15 um of CRAE, about 20 um of CRVE; here 13 of 150 and 19 of 223"
_DISC = "1.92 x 1.76 mm by 0.29 mm per degree (Jonas, Invest Ophthalmol Vis Sci 1988;29:1151); SD by eye"
_CUP = "vertical ratio 0.34, SD 0.12, in health (KNHANES, Korean J Ophthalmol 2015;29:336)"
_FOVEA = "2.5 disc diameters from the disc, 6-7 degrees below it; SD by eye"

EYE: Table = (
    Parameter("calibre", "", "lognormal", 1.0, 0.085, "factor on all vessel widths", _CALIBRE),
    Parameter("artery_vein_ratio", "", "normal", 0.83, 0.025, "width of arterial over venous trunks", _CALIBRE),
    Parameter("smallest_radius", "degree", "lognormal", 0.052, 0.13, "of the thinnest vessels at calibre 1", _EYE),
    Parameter("branch_survival", "", "logit-normal", 0.82, 0.8, "probability that a side branch exists", _EYE),
    Parameter("tortuosity", "radian", "lognormal", 0.2, 0.4, "root mean square of the heading wave of vessels", _EYE),
    Parameter("disc_diameter", "degree", "lognormal", 6.3, 0.08, "vertical diameter of the disc", _DISC, 4.6, 8.2),
    Parameter("disc_ovality", "", "normal", 0.92, 0.036, "horizontal over vertical diameter", _DISC, 0.72, 1.06),
    Parameter("disc_tilt", "degree", "normal", 0.0, 8.0, "torsion, upper end to temporal positive", _EYE, -30.0, 30.0),
    Parameter("cup_ratio", "", "logit-normal", 0.36, 0.5, "vertical cup-disc ratio", _CUP, 0.12, 0.88),
    Parameter("cup_wide", "", "lognormal", 1.11, 0.06, "horizontal over vertical cup-disc ratio", _DISC, 0.9, 1.3),
    Parameter("cup_temporal", "", "normal", 0.04, 0.05, "the cup's shift in mean rim widths", "ISNT rule", -0.15, 0.2),
    Parameter("cup_superior", "", "normal", 0.04, 0.05, "the cup's shift in mean rim widths", "ISNT rule", -0.15, 0.2),
    Parameter("fovea_distance", "degree", "lognormal", 15.5, 0.072, "disc centre to fovea", _FOVEA, 12.0, 20.0),
    Parameter("fovea_angle", "degree", "normal", 6.5, 2.5, "of the fovea below the disc's horizontal", _FOVEA, -2, 15),
    Parameter(
        "arcade_height", "", "normal", 0.68, 0.04, "of the arcades at the fovea, in disc-fovea distances", _EYE, 0.5
    ),
    Parameter("tessellation", "", "logit-normal", 0.25, 1.1, "how far the choroid's vessels show", _EYE),
    Parameter("pigment", "", "logit-normal", 0.5, 1.1, "of choroid and retinal pigment epithelium", _EYE),
    Parameter("macular_pigment", "", "logit-normal", 0.6, 0.8, "darkening and yellowing of the macula", _EYE),
    Parameter("sheen", "", "logit-normal", 0.3, 1.1, "of the nerve-fibre layer: young and dark eyes have more", _EYE),
)
"""How healthy eyes vary. A parameter's score is its own but for what :data:`LOADINGS` gives it from the phenotypes."""

LOADINGS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "calibre": {"calibre": 1.0},
        "smallest_radius": {"density": -1.0},
        "branch_survival": {"density": 1.0},
        "tortuosity": {"tortuosity": 1.0},
        "disc_diameter": {"disc_size": 0.85, "elongation": -0.5},
        "disc_ovality": {"elongation": -0.8},
        "cup_ratio": {"cup": 1.0},
        "fovea_distance": {"elongation": 0.97},
        "tessellation": {"elongation": 0.8},
    }
)
"""Correlation of a parameter's score with each phenotype; the rest of its variance is its own."""

VEIN_RADIUS = 0.27
"""Of a temporal venous trunk at ``calibre`` 1, degrees: 0.16 mm wide."""

_MEDIAN = {row.name: row.at(0.0) for row in EYE}


@dataclass(frozen=True)
class EyeParameters:
    """Everything that decides a healthy eye's anatomy: the rows of :data:`EYE`; the medians are the defaults."""

    calibre: float = _MEDIAN["calibre"]
    artery_vein_ratio: float = _MEDIAN["artery_vein_ratio"]
    smallest_radius: float = _MEDIAN["smallest_radius"]
    branch_survival: float = _MEDIAN["branch_survival"]
    tortuosity: float = _MEDIAN["tortuosity"]
    disc_diameter: float = _MEDIAN["disc_diameter"]
    disc_ovality: float = _MEDIAN["disc_ovality"]
    disc_tilt: float = _MEDIAN["disc_tilt"]
    cup_ratio: float = _MEDIAN["cup_ratio"]
    cup_wide: float = _MEDIAN["cup_wide"]
    cup_temporal: float = _MEDIAN["cup_temporal"]
    cup_superior: float = _MEDIAN["cup_superior"]
    fovea_distance: float = _MEDIAN["fovea_distance"]
    fovea_angle: float = _MEDIAN["fovea_angle"]
    arcade_height: float = _MEDIAN["arcade_height"]
    tessellation: float = _MEDIAN["tessellation"]
    pigment: float = _MEDIAN["pigment"]
    macular_pigment: float = _MEDIAN["macular_pigment"]
    sheen: float = _MEDIAN["sheen"]

    @classmethod
    def sample(cls, rng: np.random.Generator, phenotypes: Mapping[str, float]) -> Self:
        """Draw the parameters of an eye.

        Parameters
        ----------
        rng : Generator
            For what the phenotypes leave open; one normal number per parameter is taken.
        phenotypes : mapping of str to float
            Standard scores for :data:`PHENOTYPES`; a missing one is 0.

        Raises
        ------
        ValueError
            For a phenotype that does not exist.
        """
        unknown = set(phenotypes) - set(PHENOTYPES)
        if unknown:
            raise ValueError(f"unknown phenotypes {sorted(unknown)}; known are {list(PHENOTYPES)}")
        own = rng.standard_normal(len(EYE)).tolist()
        values = {}
        for row, rest in zip(EYE, own, strict=True):
            loading = LOADINGS.get(row.name, {})
            score = sum(weight * float(phenotypes.get(name, 0.0)) for name, weight in loading.items())
            left = math.sqrt(max(0.0, 1.0 - sum(weight**2 for weight in loading.values())))
            values[row.name] = row.at(score + left * rest)
        return cls(**values)


@dataclass(frozen=True)
class Anatomy:
    """One eye in degrees; origin at the disc centre, first axis temporal, second inferior.

    Attributes
    ----------
    disc : Ellipse
    cup : Outline
        About the disc's centre, inside the disc.
    fovea : tuple of float
    vessels : tuple of Segment
        Both trees, horizontal axes.
    crossings : tuple of Crossing
        Where arteries cross veins.
    findings : tuple of Finding
        Empty in health.
    """

    disc: Ellipse
    cup: Outline
    fovea: tuple[float, float]
    vessels: tuple[Segment, ...]
    crossings: tuple[Crossing, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def disc_diameter(self) -> float:
        """Of the circle with the disc's area, degrees."""
        return 2.0 * math.sqrt(self.disc.semi_u * self.disc.semi_v)

    def tree(self, kind: Kind) -> tuple[Segment, ...]:
        """Vessels of one kind."""
        return tuple(s for s in self.vessels if s.kind == kind)


def build_anatomy(rng: np.random.Generator, p: EyeParameters) -> Anatomy:
    """Grow a healthy eye.

    Parameters
    ----------
    rng : Generator
    p : EyeParameters

    Returns
    -------
    Anatomy
        Without findings.
    """
    for_cup, for_vessels = rng.spawn(2)
    angle = math.radians(p.fovea_angle)
    fovea = (p.fovea_distance * math.cos(angle), p.fovea_distance * math.sin(angle))
    disc = Ellipse((0.0, 0.0), 0.5 * p.disc_diameter * p.disc_ovality, 0.5 * p.disc_diameter, p.disc_tilt)
    cup = draw_cup(for_cup, disc, p.cup_ratio, p.cup_wide, (p.cup_temporal, p.cup_superior))
    vessels = _grow_vessels(for_vessels, p)
    return Anatomy(disc, cup, fovea, vessels, crossings(vessels))


def _grow_vessels(rng: np.random.Generator, p: EyeParameters) -> tuple[Segment, ...]:
    """Both trees, turned from the disc-fovea axis to the horizontal."""
    split = rng.uniform(0.5, 1.1, size=2) * rng.choice([-1.0, 1.0], size=2)
    heights = p.arcade_height * p.fovea_distance * np.exp(0.06 * rng.standard_normal(2))

    def tree(width: float, wave: float, sign: float) -> TreeParameters:
        return TreeParameters(
            root_radius=width * p.calibre,
            smallest_radius=p.smallest_radius * p.calibre,
            spacing=2.7,
            survival=p.branch_survival,
            tortuosity=wave * p.tortuosity,
            fovea_distance=p.fovea_distance,
            disc_radius=0.5 * p.disc_diameter,
            arcade_height=(float(heights[0]), float(heights[1])),
            split=(float(sign * split[0]), float(sign * split[1])),
        )

    artery, vein = tree(p.artery_vein_ratio * VEIN_RADIUS, 0.9, -1.0), tree(VEIN_RADIUS, 1.0, 1.0)
    c, s = math.cos(math.radians(p.fovea_angle)), math.sin(math.radians(p.fovea_angle))
    rotation = np.array([[c, s], [-s, c]])
    return tuple(replace(x, points=x.points @ rotation) for x in grow_trees(rng, artery, vein))
