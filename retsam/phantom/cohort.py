"""Simulated cohorts: who takes part, what their eyes are like, and whom disease strikes, with the true odds ratios.

Every phenotype is standard normal in the population and correlated with age, so that crude odds ratios are confounded:
``z = b * age + sqrt(1 - b^2) * e`` with ``e`` correlated by ``rho`` between the eyes of a person. Each eye's outcome
follows a logistic model in its own phenotypes and age; the fellow eyes' outcomes share a Gaussian copula besides, which
correlates them without changing that model. So a logistic regression of an outcome on phenotypes and age, by eye,
estimates the stated log odds ratios without bias, and its naive standard errors are too small.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from retsam.phantom.anatomy import PHENOTYPES
from retsam.phantom.camera import CAMERAS, GRADABLE_FROM

OUTCOMES = ("dr", "amd", "glaucoma", "myopia")
EYES = ("OD", "OS")

AGE_RANGE = (40.0, 85.0)
AGE_MEAN = sum(AGE_RANGE) / 2
AGE_SD = (AGE_RANGE[1] - AGE_RANGE[0]) / math.sqrt(12.0)
"""Age is uniform on the range, in tenths of a year."""

INTERCEPT: Mapping[str, float] = MappingProxyType({"dr": -1.0, "amd": -1.3, "glaucoma": -1.1, "myopia": -1.1})
AGE_EFFECT: Mapping[str, float] = MappingProxyType({"dr": 0.4, "amd": 0.9, "glaucoma": 0.5, "myopia": 0.0})
PHENOTYPE_EFFECT: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("dr", "tortuosity"): 0.9,
        ("glaucoma", "density"): -0.9,
        ("glaucoma", "cup"): 0.8,
        ("myopia", "elongation"): 0.9,
    }
)
"""True log odds ratios per SD; every pair that is not named has none. AMD depends on age alone: its crude odds ratios
are confounding, its adjusted ones are null."""

AGE_ON_PHENOTYPE: Mapping[str, float] = MappingProxyType(
    {"calibre": -0.2, "density": -0.35, "tortuosity": 0.3, "disc_size": 0.0, "cup": 0.1, "elongation": 0.0}
)
"""Correlation of each phenotype with age."""

COPULA = 0.5
"""Correlation between the eyes of what decides the outcomes besides phenotypes and age."""

CAMERA_SHARE: Mapping[str, float] = MappingProxyType({"round45": 0.5, "wide45": 0.3, "cut50": 0.2})
MISSING_EYE, MISSING_LABEL, UNGRADABLE = 0.05, 0.03, 0.06

_PERSON = ["age", "sex", "camera", "pigment", *PHENOTYPES, *OUTCOMES]
_EYE = [*PHENOTYPES, *OUTCOMES, *(f"unknown_{name}" for name in OUTCOMES), "absent", "ungradable", "quality"]
_STREAM = 2**31  # keeps the cohort's stream apart from the images' [seed, participant, eye]


def sample_cohort(participants: int, seed: int, *, rho: float = 0.6) -> pd.DataFrame:
    """Draw a cohort without images.

    Parameters
    ----------
    participants : int
        At least 1. The first rows do not depend on it.
    seed : int
        Non-negative.
    rho : float
        Correlation of a phenotype between the eyes of a person at a given age, 0-1.

    Returns
    -------
    DataFrame
        One row per photographed eye: ``image_id``, ``participant_id``, ``participant_index``, ``eye_index`` (0 OD,
        1 OS), ``eye``, ``age`` (years), ``sex`` (f, m), ``camera``, ``pigment`` (0-1), ``quality`` (0-1), ``gradable``
        (bool), ``latent_*`` for each phenotype (standard scores), ``true_*`` for each outcome (0, 1), and each outcome
        as the manifest knows it (0, 1, NaN where the label is missing).

    Raises
    ------
    ValueError
        For fewer than one participant or a correlation outside 0-1.
    """
    if participants < 1:
        raise ValueError(f"participants is {participants}; ask for at least 1")
    if not 0.0 <= rho <= 1.0:
        raise ValueError(f"rho is {rho}; give a correlation from 0 to 1")
    rng = np.random.default_rng([seed, _STREAM])
    normal = rng.standard_normal((participants, len(_PERSON) + 2 * len(_EYE)))
    person = dict(zip(_PERSON, normal.T, strict=False))
    age = np.round(AGE_RANGE[0] + (AGE_RANGE[1] - AGE_RANGE[0]) * ndtr(person["age"]), 1)
    shared = {
        "age": age,
        "sex": np.where(person["sex"] < 0, "f", "m"),
        "camera": _choose(CAMERA_SHARE, ndtr(person["camera"])),
        "pigment": expit(1.1 * person["pigment"]),
    }
    eyes = []
    for index, eye in enumerate(EYES):
        start = len(_PERSON) + index * len(_EYE)
        own = dict(zip(_EYE, normal[:, start : start + len(_EYE)].T, strict=True))
        eyes.append(_one_eye(index, eye, shared, person, own, rho))
    both = pd.concat(eyes).sort_values(["participant_index", "eye_index"], kind="stable")
    absent = both.pop("absent")
    absent &= ~((both["eye_index"] == 0) & absent.groupby(both["participant_index"]).transform("all"))
    return both.loc[~absent].reset_index(drop=True)


def _one_eye(
    index: int,
    eye: str,
    shared: Mapping[str, NDArray],
    person: Mapping[str, NDArray],
    own: Mapping[str, NDArray],
    rho: float,
) -> pd.DataFrame:
    """Rows of all participants' left or right eyes; ``absent`` says which were never photographed."""
    number = np.arange(len(shared["age"]))
    names = [f"P{n + 1:05d}" for n in number]
    columns: dict[str, object] = {
        "image_id": [f"{name}_{eye}" for name in names],
        "participant_id": names,
        "participant_index": number,
        "eye_index": index,
        "eye": eye,
        **shared,
    }
    bad, dial = ndtr(own["ungradable"]) < UNGRADABLE, ndtr(own["quality"])
    columns["quality"] = np.where(bad, 0.2 * dial, 0.5 + 0.5 * np.sqrt(dial))
    columns["gradable"] = columns["quality"] >= GRADABLE_FROM  # type: ignore[operator]
    columns["absent"] = ndtr(own["absent"]) < MISSING_EYE
    age = (shared["age"] - AGE_MEAN) / AGE_SD
    latent = {}
    for name in PHENOTYPES:
        slope = AGE_ON_PHENOTYPE[name]
        mixed = math.sqrt(rho) * person[name] + math.sqrt(1.0 - rho) * own[name]
        latent[name] = slope * age + math.sqrt(1.0 - slope**2) * mixed
        columns[f"latent_{name}"] = latent[name]
    for name in OUTCOMES:
        score = INTERCEPT[name] + AGE_EFFECT[name] * age
        for phenotype in PHENOTYPES:
            score = score + PHENOTYPE_EFFECT.get((name, phenotype), 0.0) * latent[phenotype]
        luck = ndtr(math.sqrt(COPULA) * person[name] + math.sqrt(1.0 - COPULA) * own[name])
        columns[f"true_{name}"] = (luck < expit(score)).astype(int)
    for name in OUTCOMES:
        known = ndtr(own[f"unknown_{name}"]) >= MISSING_LABEL
        columns[name] = np.where(known, columns[f"true_{name}"], np.nan)  # type: ignore[call-overload]
    return pd.DataFrame(columns)


def _choose(share: Mapping[str, float], uniform: NDArray[np.float64]) -> NDArray[np.str_]:
    """Pick names by their shares, which sum to 1."""
    if not set(share) <= set(CAMERAS):
        raise ValueError("a share is given for a camera that does not exist")
    bounds = np.cumsum(list(share.values()))[:-1]
    return np.array(list(share))[np.searchsorted(bounds, uniform, side="right")]


def coefficient_table() -> pd.DataFrame:
    """Return the true model of every outcome.

    Returns
    -------
    DataFrame
        ``outcome``, ``term`` (``intercept``, ``age``, ``sex`` or a phenotype), ``per`` (what one unit is),
        ``log_odds_ratio``, ``odds_ratio`` (for the intercept: odds), ``correlation_with_age`` of the term.
    """
    rows = []
    for outcome in OUTCOMES:
        terms = [("intercept", "", INTERCEPT[outcome]), ("age", f"1 SD = {AGE_SD:.3f} years", AGE_EFFECT[outcome])]
        terms += [("sex", "m against f", 0.0)]
        terms += [(name, "1 SD", PHENOTYPE_EFFECT.get((outcome, name), 0.0)) for name in PHENOTYPES]
        for term, per, value in terms:
            confounded = AGE_ON_PHENOTYPE.get(term, 1.0 if term == "age" else 0.0)
            rows.append((outcome, term, per, value, math.exp(value), confounded))
    names = ["outcome", "term", "per", "log_odds_ratio", "odds_ratio", "correlation_with_age"]
    return pd.DataFrame(rows, columns=names)
