"""What diseases do to an eye: which findings they bring, and what healthy eyes happen to have."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from retsam.phantom.anatomy import Anatomy, EyeParameters
from retsam.phantom.finding import Finding
from retsam.phantom.lesions_amd import drusen, patchy_hemorrhages, pigmentary_changes
from retsam.phantom.lesions_dr import (
    cotton_wool_spots,
    hard_exudates,
    hemorrhages,
    laser_spots,
    microaneurysms,
)
from retsam.phantom.lesions_other import (
    edemas,
    epiretinal_membranes,
    fibrous_proliferations,
    macular_holes,
    myelinated_nerve_fibers,
    retinal_scars,
    unknown_abnormalities,
    vitreous_degenerations,
)
from retsam.phantom.myopia import (
    choroidal_atrophy,
    diffuse_atrophy,
    patchy_atrophy,
    peripapillary_atrophy,
    tessellation,
)
from retsam.phantom.places import Site
from retsam.phantom.vessel_findings import Change, av_nicking, vascular_sheathing, venous_beading, venous_tortuosity
from retsam.phantom.vessels import Crossing, Segment, crossings

Maker = Callable[[np.random.Generator, Site, float], tuple[Finding, ...]]
"""Draws the findings of one target from a generator, a healthy eye and a severity (0-1)."""

LESION_MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "microaneurysm": microaneurysms,
        "hemorrhage": hemorrhages,
        "hard_exudate": hard_exudates,
        "cotton_wool_spot": cotton_wool_spots,
        "laser_spot": laser_spots,
        "drusen": drusen,
        "patchy_hemorrhage": patchy_hemorrhages,
        "epiretinal_membrane": epiretinal_membranes,
        "macular_hole": macular_holes,
        "retinal_scar": retinal_scars,
        "edema": edemas,
        "pigmentary_change": pigmentary_changes,
        "fibrous_proliferation": fibrous_proliferations,
        "vitreous_degeneration": vitreous_degenerations,
        "myelinated_nerve_fiber": myelinated_nerve_fibers,
        "unknown_abnormality": unknown_abnormalities,
    }
)
MYOPIC_MAKERS: Mapping[str, Callable[[np.random.Generator, Anatomy, EyeParameters, float], Finding]] = MappingProxyType(
    {
        "tessellation": tessellation,
        "peripapillary_atrophy": peripapillary_atrophy,
        "diffuse_atrophy": diffuse_atrophy,
        "patchy_atrophy": patchy_atrophy,
        "choroidal_atrophy": choroidal_atrophy,
    }
)
VESSEL_MAKERS: Mapping[str, Callable[..., Change]] = MappingProxyType(
    {
        "venous_tortuosity": venous_tortuosity,
        "av_nicking": av_nicking,
        "venous_beading": venous_beading,
        "vascular_sheathing": vascular_sheathing,
    }
)
"""In the order they are made in: winding moves crossings, and a sheath follows the vessel's final width."""


@dataclass(frozen=True)
class Sign:
    """A finding that a disease brings.

    Attributes
    ----------
    target : str
    onset : float
        Severity of the disease (0-1) from which on it can occur.
    chance : float
        Probability that it does, 0-1. Its own severity grows from 0 at the onset to 1.
    """

    target: str
    onset: float
    chance: float


DISEASES: Mapping[str, tuple[Sign, ...]] = MappingProxyType(
    {
        "dr": (
            Sign("microaneurysm", 0.0, 1.0),
            Sign("hemorrhage", 0.2, 0.95),
            Sign("hard_exudate", 0.25, 0.7),
            Sign("edema", 0.4, 0.15),
            Sign("cotton_wool_spot", 0.45, 0.7),
            Sign("venous_beading", 0.55, 0.5),
            Sign("laser_spot", 0.6, 0.4),
            Sign("vascular_sheathing", 0.7, 0.1),
            Sign("fibrous_proliferation", 0.8, 0.45),
        ),
        "amd": (
            Sign("drusen", 0.0, 1.0),
            Sign("pigmentary_change", 0.35, 0.7),
            Sign("patchy_hemorrhage", 0.75, 0.45),
            Sign("edema", 0.75, 0.3),
            Sign("retinal_scar", 0.85, 0.2),
        ),
        "glaucoma": (),
        "myopia": (
            Sign("tessellation", 0.0, 1.0),
            Sign("peripapillary_atrophy", 0.05, 0.95),
            Sign("diffuse_atrophy", 0.45, 0.85),
            Sign("choroidal_atrophy", 0.6, 0.15),
            Sign("patchy_atrophy", 0.65, 0.8),
            Sign("patchy_hemorrhage", 0.75, 0.1),
        ),
    }
)
"""Signs of each disease in the order of the international DR scale (Wilkinson et al., Ophthalmology 2003;110:1677), the
Beckman scale of AMD (Ferris et al., 2013;120:844) and META-PM for myopia (Ohno-Matsui et al., Am J Ophthalmol
2015;159:877); onsets and chances by eye. Glaucoma shows in cup, rim and vessels, which the healthy eye has already."""


@dataclass(frozen=True)
class Prevalence:
    """How often a target occurs without a disease that brings it.

    Attributes
    ----------
    target : str
    incidental : float
        In eyes whose diseases are given, 0-1.
    source : str
        Of ``incidental``.
    """

    target: str
    incidental: float
    source: str = "by eye"


INHERENT = "tessellation"
"""The finding that is part of every eye, to the degree that ``EyeParameters`` says; myopia adds to it."""

PREVALENCES: tuple[Prevalence, ...] = (
    Prevalence(INHERENT, 1.0, "part of every eye, often too little to be seen"),
    Prevalence("peripapillary_atrophy", 0.05, "beta zone in 15-20 % of eyes (Jonas, Surv Ophthalmol 1999); large ones"),
    Prevalence("diffuse_atrophy", 0.0),
    Prevalence("patchy_atrophy", 0.0),
    Prevalence("microaneurysm", 0.0),
    Prevalence("hemorrhage", 0.005),
    Prevalence("hard_exudate", 0.0),
    Prevalence("cotton_wool_spot", 0.003),
    Prevalence("laser_spot", 0.003),
    Prevalence("drusen", 0.02, "a few small ones are common in health; larger numbers count here"),
    Prevalence("patchy_hemorrhage", 0.0),
    Prevalence("epiretinal_membrane", 0.02, "about 7 % of people above 49 years, mostly faint (Mitchell et al., 1997)"),
    Prevalence("macular_hole", 0.003, "about 0.3 % above 55 years"),
    Prevalence("retinal_scar", 0.01),
    Prevalence("edema", 0.002),
    Prevalence("av_nicking", 0.02),
    Prevalence("venous_beading", 0.0),
    Prevalence("vascular_sheathing", 0.002),
    Prevalence("pigmentary_change", 0.01),
    Prevalence("fibrous_proliferation", 0.0),
    Prevalence("vitreous_degeneration", 0.01, "asteroid hyalosis in 1.2 % (Moss et al., Am J Ophthalmol 2001;132:70)"),
    Prevalence("choroidal_atrophy", 0.0),
    Prevalence("myelinated_nerve_fiber", 0.008, "0.6-1 % (Straatsma et al., Am J Ophthalmol 1981;91:25)"),
    Prevalence("venous_tortuosity", 0.0),
    Prevalence("unknown_abnormality", 0.01),
)
"""One row per finding of an eye. Zeros are what a disease's own definition rests on."""

RANDOM_DISEASE: Mapping[str, float] = MappingProxyType({"dr": 0.25, "amd": 0.2, "glaucoma": 0.1, "myopia": 0.2})
RANDOM_FINDING = 0.14
HEALTHY = 0.15
"""Where no diseases are given: share of eyes without any finding; in the rest, chance of each disease and, beside its
signs, of each target by itself. Far above life, so that some hundred phantoms show everything."""


def afflict(
    rng: np.random.Generator,
    anatomy: Anatomy,
    p: EyeParameters,
    diseases: Mapping[str, float] | None = None,
    findings: Collection[str] = (),
) -> Anatomy:
    """Give a healthy eye its findings; disc, cup, fovea and the course of vessels stay as they are.

    Each target has its own random stream: adding one leaves the others as they were.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
        The healthy eye.
    p : EyeParameters
    diseases : mapping of str to float, optional
        Disease to severity, 0-1; 0 is a disease that the eye was spared. Where it names any, incidental findings occur
        as in :data:`PREVALENCES`, whatever the severities; an empty one is an eye without findings. None draws findings
        of every kind far more often than life does.
    findings : collection of str
        Targets that the eye has for sure.

    Returns
    -------
    Anatomy

    Raises
    ------
    ValueError
        For an unknown disease or target, or a severity outside 0-1.
    """
    _check(diseases, findings)
    *own, common = rng.spawn(len(PREVALENCES) + 1)
    streams = {row.target: stream for row, stream in zip(PREVALENCES, own, strict=True)}
    chances, severities = _expect(common, diseases)
    present: dict[str, float] = {}
    for target, stream in streams.items():
        luck, severity = stream.random(2).tolist()
        if target in findings:
            present[target] = max(severity, severities.get(target, 0.0))
        elif luck < chances[target]:
            present[target] = severities.get(target, 0.0 if target == INHERENT else severity)
    drawn = _lesions(streams, anatomy, p, present)
    vessels, meeting = _change_vessels(streams, anatomy, present, drawn)
    return replace(anatomy, vessels=vessels, crossings=meeting, findings=tuple(drawn)) if drawn else anatomy


def _check(diseases: Mapping[str, float] | None, findings: Collection[str]) -> None:
    """Refuse what does not exist."""
    known = {row.target for row in PREVALENCES}
    if unknown := set(findings) - known:
        raise ValueError(f"unknown findings {sorted(unknown)}; known are {sorted(known)}")
    for name, severity in (diseases or {}).items():
        if name not in DISEASES:
            raise ValueError(f"unknown disease {name!r}; known are {list(DISEASES)}")
        if not 0.0 <= severity <= 1.0:
            raise ValueError(f"severity of {name} is {severity}; give a number from 0 to 1")


def _expect(
    rng: np.random.Generator, diseases: Mapping[str, float] | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Chance of each target, and the severity of those that a disease may bring."""
    luck = rng.random(2 * len(DISEASES) + 1).tolist()
    if diseases is None:
        healthy = luck.pop() < HEALTHY
        drawn = {n: luck[2 * i + 1] * (luck[2 * i] < RANDOM_DISEASE[n]) for i, n in enumerate(DISEASES)}
        diseases = {} if healthy else drawn
        alone = {row.target: 0.0 if healthy else max(RANDOM_FINDING, row.incidental) for row in PREVALENCES}
    else:
        alone = {row.target: row.incidental if diseases else 0.0 for row in PREVALENCES}
    spared = {target: 1.0 - chance for target, chance in alone.items()}
    severities: dict[str, float] = {}
    for name, severity in diseases.items():
        for sign in DISEASES[name]:
            if severity > sign.onset:
                spared[sign.target] *= 1.0 - sign.chance
                own = (severity - sign.onset) / (1.0 - sign.onset)
                severities[sign.target] = max(own, severities.get(sign.target, 0.0))
    return {target: 1.0 - share for target, share in spared.items()}, severities


def _lesions(
    streams: Mapping[str, np.random.Generator], anatomy: Anatomy, p: EyeParameters, present: Mapping[str, float]
) -> list[Finding]:
    """All findings of present targets but those that change vessels."""
    out: list[Finding] = []
    site = Site(anatomy) if set(present) & set(LESION_MAKERS) else None
    for target, severity in present.items():
        if target in MYOPIC_MAKERS:
            out.append(MYOPIC_MAKERS[target](streams[target], anatomy, p, severity))
        elif target in LESION_MAKERS and site is not None:
            out += LESION_MAKERS[target](streams[target], site, severity)
    return out


def _change_vessels(
    streams: Mapping[str, np.random.Generator], anatomy: Anatomy, present: Mapping[str, float], drawn: list[Finding]
) -> tuple[tuple[Segment, ...], tuple[Crossing, ...]]:
    """Vessels and crossings after the changes that are present; their findings are added to ``drawn``."""
    vessels, meeting = anatomy.vessels, anatomy.crossings
    middle = (0.5 * anatomy.fovea[0], 0.5 * anatomy.fovea[1])
    for target, change in VESSEL_MAKERS.items():
        if target in present:
            count = 1 + round(3.0 * present[target])
            vessels, finding = change(streams[target], vessels, meeting, middle, count)
            if finding is not None:
                drawn.append(finding)
                meeting = crossings(vessels)
    return vessels, meeting
