"""One eye: its parameters, drawn from phenotypes, and its anatomy in degrees.

Typical values: disc 1.8 mm = 6.2 degrees (0.29 mm per degree), disc-fovea distance 2.5 disc diameters, vertical
cup-disc ratio 0.34 +- 0.12 in health (KNHANES, Korean J Ophthalmol 2015;29:336), widest vein about 0.15 mm, fovea 6-7
degrees below the horizontal through the disc.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retsam.phantom.vessels import Kind, Segment, TreeParameters, grow_tree

PHENOTYPES = ("calibre", "density", "tortuosity", "disc_size", "cup", "elongation")
"""Latent phenotypes of an eye, each standard normal in the population."""


@dataclass(frozen=True)
class EyeParameters:
    """Everything that decides an eye's anatomy; the population's medians are the defaults.

    Attributes
    ----------
    calibre : float
        Factor on all vessel widths.
    smallest_radius : float
        Of the thinnest vessels, degrees at ``calibre`` 1.
    branch_survival : float
        Probability that a side branch exists, 0-1.
    tortuosity : float
        Amplitude of the heading wave of vessels, radians.
    disc_diameter : float
        Vertical diameter, degrees.
    disc_ovality : float
        Horizontal / vertical diameter.
    disc_tilt : float
        Rotation of the vertical axis, degrees, positive towards temporal.
    cup_ratio : float
        Vertical cup-disc ratio, 0-1.
    fovea_distance : float
        Disc centre to fovea, degrees.
    fovea_angle : float
        Of the fovea below the horizontal through the disc, degrees.
    arcade_height : float
        Of the arcades above and below the fovea, as a fraction of ``fovea_distance``.
    tessellation, pigment, macular_pigment : float
        Strength of the look, 0-1.
    """

    calibre: float = 1.0
    smallest_radius: float = 0.055
    branch_survival: float = 0.8
    tortuosity: float = 0.3
    disc_diameter: float = 6.2
    disc_ovality: float = 0.92
    disc_tilt: float = 0.0
    cup_ratio: float = 0.36
    fovea_distance: float = 15.5
    fovea_angle: float = 6.5
    arcade_height: float = 0.68
    tessellation: float = 0.25
    pigment: float = 0.5
    macular_pigment: float = 0.6

    @classmethod
    def sample(cls, rng: np.random.Generator, phenotypes: Mapping[str, float]) -> Self:
        """Draw the parameters of an eye.

        Parameters
        ----------
        rng : Generator
            For what the phenotypes leave open.
        phenotypes : mapping of str to float
            Standard scores for :data:`PHENOTYPES`; a missing one is 0.
        """
        z = {name: float(phenotypes.get(name, 0.0)) for name in PHENOTYPES}
        unknown = set(phenotypes) - set(z)
        if unknown:
            raise ValueError(f"unknown phenotypes {sorted(unknown)}; known are {list(PHENOTYPES)}")
        noise = rng.standard_normal(7)
        logit_cup = math.log(0.36 / 0.64) + 0.5 * z["cup"]
        return cls(
            calibre=math.exp(0.06 * z["calibre"]),
            smallest_radius=0.052 * math.exp(-0.13 * z["density"]),
            branch_survival=_squash(1.5 + 0.8 * z["density"]),
            tortuosity=0.3 * math.exp(0.4 * z["tortuosity"]),
            disc_diameter=6.2 * math.exp(0.05 * z["disc_size"] - 0.03 * z["elongation"]),
            disc_ovality=float(np.clip(0.92 - 0.03 * z["elongation"] + 0.02 * noise[0], 0.72, 1.06)),
            disc_tilt=8.0 * noise[1],
            cup_ratio=float(np.clip(1.0 / (1.0 + math.exp(-logit_cup)), 0.12, 0.88)),
            fovea_distance=15.5 * math.exp(0.07 * z["elongation"] + 0.015 * noise[2]),
            fovea_angle=6.5 + 2.5 * noise[3],
            arcade_height=0.68 + 0.04 * noise[4],
            tessellation=_squash(-1.1 + 1.0 * z["elongation"]),
            pigment=_squash(1.1 * noise[5]),
            macular_pigment=_squash(0.4 + 0.5 * noise[6]),
        )


def _squash(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@dataclass(frozen=True)
class Ellipse:
    """A filled ellipse: centre (u, v), semi-axes, and rotation of the vertical one, degrees throughout."""

    centre: tuple[float, float]
    semi_u: float
    semi_v: float
    tilt: float = 0.0

    def level(self, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
        """Relative distance from the centre: 1 on the border, below 1 inside."""
        c, s = math.cos(math.radians(self.tilt)), math.sin(math.radians(self.tilt))
        du, dv = u - np.float32(self.centre[0]), v - np.float32(self.centre[1])
        return np.hypot((c * du + s * dv) / np.float32(self.semi_u), (c * dv - s * du) / np.float32(self.semi_v))


@dataclass(frozen=True)
class Lesions:
    """Round lesions of one target: centres (n, 2) and radii (n,), degrees."""

    target: str
    centres: NDArray[np.float64]
    radius: NDArray[np.float64]


@dataclass(frozen=True)
class Anatomy:
    """One eye in degrees; origin at the disc centre, first axis temporal, second inferior.

    Attributes
    ----------
    disc, cup : Ellipse
    fovea : tuple of float
    vessels : tuple of Segment
        Both trees, horizontal axes.
    lesions : tuple of Lesions
    """

    disc: Ellipse
    cup: Ellipse
    fovea: tuple[float, float]
    vessels: tuple[Segment, ...]
    lesions: tuple[Lesions, ...] = ()

    @property
    def disc_diameter(self) -> float:
        """Of the circle with the disc's area, degrees."""
        return 2.0 * math.sqrt(self.disc.semi_u * self.disc.semi_v)

    def tree(self, kind: Kind) -> tuple[Segment, ...]:
        """Vessels of one kind."""
        return tuple(s for s in self.vessels if s.kind == kind)


def build_anatomy(rng: np.random.Generator, p: EyeParameters, diseases: frozenset[str] = frozenset()) -> Anatomy:
    """Grow an eye.

    Parameters
    ----------
    rng : Generator
    p : EyeParameters
    diseases : frozenset of str
        ``dr`` adds hemorrhages and hard exudates, ``amd`` adds drusen; others change nothing here.
    """
    angle = math.radians(p.fovea_angle)
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    fovea = (p.fovea_distance * math.cos(angle), p.fovea_distance * math.sin(angle))
    disc = Ellipse((0.0, 0.0), 0.5 * p.disc_diameter * p.disc_ovality, 0.5 * p.disc_diameter, p.disc_tilt)
    vessels = []
    split = rng.uniform(0.5, 1.1, size=2) * rng.choice([-1.0, 1.0], size=2)
    heights = p.arcade_height * p.fovea_distance * np.exp(0.06 * rng.standard_normal(2))
    kinds: tuple[tuple[Kind, float, float], ...] = (("vein", 0.27, 1.0), ("artery", 0.205, -1.0))
    for kind, width, sign in kinds:
        tree = TreeParameters(
            root_radius=width * p.calibre,
            smallest_radius=p.smallest_radius * p.calibre,
            spacing=2.7,
            survival=p.branch_survival,
            tortuosity=p.tortuosity * (1.0 if kind == "vein" else 0.9),
            fovea_distance=p.fovea_distance,
            disc_radius=0.5 * p.disc_diameter,
            arcade_height=(float(heights[0]), float(heights[1])),
            split=(float(sign * split[0]), float(sign * split[1])),
        )
        vessels += [replace(s, points=s.points @ rotation) for s in grow_tree(rng, kind, tree)]
    healthy = Anatomy(disc, _cup(rng, p, disc), fovea, tuple(vessels))
    return replace(healthy, lesions=_lesions(rng, healthy, diseases))


def _cup(rng: np.random.Generator, p: EyeParameters, disc: Ellipse) -> Ellipse:
    """Similar to the disc, a little off centre, always inside it."""
    shift = 0.25 * (1.0 - p.cup_ratio) * rng.uniform(-1.0, 1.0, size=2) * np.array([disc.semi_u, disc.semi_v])
    wide = min(p.cup_ratio * math.exp(0.06 * rng.standard_normal()), 0.3 + 0.7 * p.cup_ratio)
    return Ellipse((float(shift[0]), float(shift[1])), disc.semi_u * wide, disc.semi_v * p.cup_ratio, disc.tilt)


def _lesions(rng: np.random.Generator, anatomy: Anatomy, diseases: frozenset[str]) -> tuple[Lesions, ...]:
    """Disease leaves its signs: where they occur is simplified to a spread around the macula, off the disc."""
    plan = {
        "hemorrhage": ("dr", rng.integers(4, 14), 7.0, (0.12, 0.35)),
        "hard_exudate": ("dr", rng.integers(0, 16), 3.5, (0.10, 0.24)),
        "drusen": ("amd", rng.integers(8, 30), 2.6, (0.10, 0.30)),
    }
    out = []
    for target, (disease, count, spread, (low, high)) in plan.items():
        number = int(count) if disease in diseases else 0
        centres = np.array(anatomy.fovea) + spread * rng.standard_normal((number, 2))
        radius = np.exp(rng.uniform(math.log(low), math.log(high), size=number))
        away = np.hypot(*centres.T) > 0.75 * anatomy.disc_diameter + radius
        out.append(Lesions(target, centres[away], radius[away]))
    return tuple(out)
