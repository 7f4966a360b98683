"""Simulated cohorts: who takes part, what their eyes are like, and whom disease strikes, with the true odds ratios.

*Eyes.* Every latent phenotype is standard normal in the population and correlated with age, so that crude odds ratios
are confounded: ``z = b * age + sqrt(1 - b^2) * e`` with ``e`` correlated by ``rho`` between the eyes of a person.

*Outcomes.* Each eye follows a logistic model (:class:`OutcomeModel`): its log odds are linear in age, sex and the
standard scores of the model's terms. A term is a latent phenotype, or a biomarker of the catalogue that the generator
knows of the healthy eye; it is then the true value that counts, standardised by the mean and standard deviation over
the cohort's own eyes, so that the stated odds ratio is the one that a perfect measurement finds. Disease adds lesions
and never moves what it depends on.

*Two eyes.* What decides the outcomes besides (luck) is shared by fellow eyes through a Gaussian copula: it correlates
their outcomes and leaves each eye's model as it is. A logistic regression by eye therefore estimates the stated log
odds ratios without bias, and its naive standard errors are too small.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from retsam.errors import UserError
from retsam.phantom.anatomy import PHENOTYPES
from retsam.phantom.camera import GRADABLE_FROM
from retsam.phantom.population import BY_EYE, Parameter, Table

OUTCOMES = ("dr", "amd", "glaucoma", "myopia")
EYES = ("OD", "OS")


@dataclass(frozen=True)
class OutcomeModel:
    """True logistic model of one outcome, by eye.

    Attributes
    ----------
    outcome : str
        One of :data:`OUTCOMES`.
    intercept : float
        Log odds at the mean age, for a woman, with every term at its mean.
    age : float
        Log odds ratio per standard deviation of age in the population.
    sex : float
        Log odds ratio of men against women.
    terms : mapping of str to float
        Phenotype or biomarker to its log odds ratio per standard deviation; what is not named has none.
    """

    outcome: str
    intercept: float
    age: float = 0.0
    sex: float = 0.0
    terms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


MODELS: tuple[OutcomeModel, ...] = (
    OutcomeModel("dr", -0.7, age=0.8, terms={"vessel_tortuosity_arc_chord_median": math.log(2.5)}),
    OutcomeModel("amd", -1.3, age=0.9),
    OutcomeModel(
        "glaucoma",
        -1.3,
        age=0.5,
        terms={"vessel_density": math.log(0.4), "cup_disc_ratio_vertical": math.log(2.2)},
    ),
    OutcomeModel("myopia", -1.1, terms={"disc_fovea_distance": math.log(2.5)}),
)
"""AMD depends on age alone: its crude odds ratios are confounding, its adjusted ones null."""

AGE_ON_PHENOTYPE: Mapping[str, float] = MappingProxyType(
    {"calibre": -0.35, "density": -0.35, "tortuosity": 0.3, "cup": 0.1}
)
"""Correlation of a phenotype with age; 0 for those not named."""

COPULA = 0.75
"""Correlation between the eyes of what decides the outcomes besides age, sex and terms: disease is mostly bilateral."""

AGE = Parameter("age", "years", "uniform", 40.0, 85.0, "age, in tenths of a year", "a screening clinic's range")
PIGMENT = Parameter(
    "pigment", "", "logit-normal", 0.5, 1.1, "pigment of fundus and choroid, shared by both eyes", BY_EYE
)
SEVERITY = Parameter("severity", "", "logit-normal", 0.45, 1.0, "of a disease in an eye that has it", BY_EYE)
QUALITY = Parameter("quality", "", "logit-normal", 0.85, 0.8, "dial of a gradable photograph", BY_EYE, low=0.45)
BAD_QUALITY = Parameter("bad_quality", "", "uniform", 0.0, 0.2, "dial of an ungradable photograph", BY_EYE)
PARTICIPANTS: Table = (AGE, PIGMENT, SEVERITY, QUALITY, BAD_QUALITY)
"""What varies from person to person and from eye to eye besides the phenotypes."""

AGE_MEAN = (AGE.a + AGE.b) / 2
AGE_SD = (AGE.b - AGE.a) / math.sqrt(12.0)


@dataclass(frozen=True)
class Rate:
    """How often something happens.

    Attributes
    ----------
    name : str
    value : float
        Probability, 0-1.
    meaning : str
        Of what, and what becomes of it.
    """

    name: str
    value: float
    meaning: str


MISSING_EYE = Rate(
    "missing_eye", 0.05, "an eye that was never photographed; the right one is, if both would be missing"
)
MISSING_LABEL = Rate(
    "missing_label", 0.03, "an unknown outcome of an eye, by itself for each outcome; empty in the manifest"
)
UNGRADABLE = Rate(
    "ungradable", 0.06, "a photograph that cannot be graded, whatever the eye; quality control excludes it"
)
DUPLICATE = Rate(
    "duplicate",
    0.04,
    "an eye photographed a second time, aimed and lit anew, with an image_id of its own and the same labels; the "
    "cohort stage keeps the photograph with the higher gradability for the eye",
)
RATES = (MISSING_EYE, MISSING_LABEL, UNGRADABLE, DUPLICATE)
"""What goes wrong in a cohort, independently of everything else."""

SITES: Mapping[str, tuple[float, Mapping[str, float]]] = MappingProxyType(
    {
        "A": (0.40, MappingProxyType({"round45": 0.7, "tab50": 0.3})),
        "B": (0.30, MappingProxyType({"wide45": 0.8, "wide60": 0.2})),
        "C": (0.20, MappingProxyType({"cut50": 0.6, "cut45_green": 0.4})),
        "D": (0.10, MappingProxyType({"notch45_violet": 0.7, "narrow30": 0.3})),
    }
)
"""Share of the participants, and of each camera there; one camera for both eyes."""

_PERSON = [
    "age",
    "sex",
    "site",
    "camera",
    "pigment",
    *PHENOTYPES,
    *(f"{a}_{o}" for o in OUTCOMES for a in ("luck", "severity")),
]
_EYE = [
    *(name for name in _PERSON if name not in ("age", "sex", "site", "camera", "pigment")),
    *(f"unknown_{name}" for name in OUTCOMES),
    *("absent", "again", "ungradable", "quality", "ungradable_again", "quality_again"),
]
_STREAM = 2**31  # keeps the cohort's stream apart from the images' [seed, participant, eye]
_CLEAR = 2.0  # a correlation this many standard errors from 0 has a sign


def sample_eyes(participants: int, seed: int, *, rho: float = 0.6) -> pd.DataFrame:
    """Draw the eyes of a cohort, without images and without outcomes.

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
        One row per photographed eye: ``participant_id``, ``participant_index``, ``eye_index`` (0 OD, 1 OS), ``eye``,
        ``age`` (years), ``sex`` (f, m), ``site``, ``camera``, ``pigment`` (0-1), ``latent_*`` for each phenotype
        (standard scores), ``quality`` and ``quality_again`` (dial of the first and of a second photograph, 0-1),
        ``again`` (bool: photographed twice), and for each outcome ``luck_*`` (uniform), ``severity_*`` (0-1) and
        ``known_*`` (bool).

    Raises
    ------
    UserError
        For fewer than one participant, a negative seed or a correlation outside 0-1.
    """
    if participants < 1:
        raise UserError(f"participants is {participants}; ask for at least 1.")
    if seed < 0:
        raise UserError(f"seed is {seed}; give 0 or more.")
    if not 0.0 <= rho <= 1.0:
        raise UserError(f"rho is {rho}; give a correlation from 0 to 1.")
    rng = np.random.default_rng([seed, _STREAM])
    normal = rng.standard_normal((participants, len(_PERSON) + 2 * len(_EYE)))
    person = dict(zip(_PERSON, normal.T, strict=False))
    both = []
    for index, eye in enumerate(EYES):
        start = len(_PERSON) + index * len(_EYE)
        own = dict(zip(_EYE, normal[:, start : start + len(_EYE)].T, strict=True))
        both.append(pd.DataFrame(_facts(index, eye, person) | _own_facts(person, own, rho)))
    eyes = pd.concat(both).sort_values(["participant_index", "eye_index"], kind="stable")
    absent = eyes.pop("absent")
    absent &= ~((eyes["eye_index"] == 0) & absent.groupby(eyes["participant_index"]).transform("all"))
    return eyes.loc[~absent].reset_index(drop=True)


def _facts(index: int, eye: str, person: Mapping[str, NDArray]) -> dict[str, object]:
    """What both eyes of all participants share, and which eye this is."""
    number = np.arange(len(person["age"]))
    site = _choose({name: share for name, (share, _) in SITES.items()}, ndtr(person["site"]))
    camera = np.full(len(number), "", dtype=object)
    for name, (_, cameras) in SITES.items():
        camera[site == name] = _choose(cameras, ndtr(person["camera"][site == name]))
    return {
        "participant_id": [f"P{n + 1:05d}" for n in number],
        "participant_index": number,
        "eye_index": index,
        "eye": eye,
        "age": np.round(_values(AGE, person["age"]), 1),
        "sex": np.where(person["sex"] < 0, "f", "m"),
        "site": site,
        "camera": camera,
        "pigment": _values(PIGMENT, person["pigment"]),
    }


def _own_facts(person: Mapping[str, NDArray], own: Mapping[str, NDArray], rho: float) -> dict[str, object]:
    """What each eye has by itself, or shares with its fellow in part; ``absent`` says which were never photographed."""

    def shared(name: str, correlation: float) -> NDArray[np.float64]:
        return math.sqrt(correlation) * person[name] + math.sqrt(1.0 - correlation) * own[name]

    age = age_score(np.round(_values(AGE, person["age"]), 1))
    columns: dict[str, object] = {}
    for name in PHENOTYPES:
        slope = AGE_ON_PHENOTYPE.get(name, 0.0)
        columns[f"latent_{name}"] = slope * age + math.sqrt(1.0 - slope**2) * shared(name, rho)
    for again in ("", "_again"):
        bad = ndtr(own[f"ungradable{again}"]) < UNGRADABLE.value
        dial = own[f"quality{again}"]
        columns[f"quality{again}"] = np.where(bad, _values(BAD_QUALITY, dial), _values(QUALITY, dial))
    columns["again"] = ndtr(own["again"]) < DUPLICATE.value
    for name in OUTCOMES:
        columns[f"luck_{name}"] = ndtr(shared(f"luck_{name}", COPULA))
        columns[f"severity_{name}"] = _values(SEVERITY, shared(f"severity_{name}", rho))
        columns[f"known_{name}"] = ndtr(own[f"unknown_{name}"]) >= MISSING_LABEL.value
    columns["absent"] = ndtr(own["absent"]) < MISSING_EYE.value
    return columns


def _values(parameter: Parameter, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([parameter.at(score) for score in scores.tolist()])


def _choose(share: Mapping[str, float], uniform: NDArray[np.float64]) -> NDArray[np.str_]:
    """Pick names by their shares, which sum to 1."""
    bounds = np.cumsum(list(share.values()))[:-1]
    return np.array(list(share))[np.searchsorted(bounds, uniform, side="right")]


def age_score(age: NDArray[np.float64]) -> NDArray[np.float64]:
    """Age in years as the models take it: standard deviations of the population from its mean."""
    return (age - AGE_MEAN) / AGE_SD


def draw_outcomes(
    eyes: pd.DataFrame, models: Iterable[OutcomeModel] = MODELS, values: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw whom disease strikes.

    Parameters
    ----------
    eyes : DataFrame
        From :func:`sample_eyes`.
    models : iterable of OutcomeModel
    values : DataFrame, optional
        True value of each biomarker of each eye, rows as in ``eyes``; needed for the terms that are no phenotype. An
        eye without a value (NaN: not in view) counts as average.

    Returns
    -------
    DataFrame
        ``eyes`` with ``true_*`` for each outcome (0, 1) and each outcome as the manifest knows it (0, 1, NaN).
    DataFrame
        The true coefficients: ``outcome``, ``term`` (``intercept``, ``age``, ``sex`` or a term), ``kind`` (covariate,
        phenotype, biomarker), ``per`` (what one unit is), ``log_odds_ratio``, ``odds_ratio`` (for the intercept:
        odds), ``correlation_with_age`` (stated for phenotypes, this cohort's for biomarkers), ``mean`` and ``sd`` that
        the term was standardised by, ``crude_bias`` (1: leaving out age makes the odds ratio too large, -1: too small,
        0: neither, or not to be told from this cohort).

    Raises
    ------
    UserError
        For a term that is neither a phenotype nor a column of ``values``.
    """
    columns: dict[str, object] = {}
    rows = []
    age, male = age_score(eyes["age"].to_numpy()), (eyes["sex"] == "m").to_numpy(float)
    for model in models:
        log_odds = model.intercept + model.age * age + model.sex * male
        rows += _covariates(model)
        for term, effect in model.terms.items():
            score, row = _term(term, eyes, values)
            log_odds = log_odds + effect * score
            rows.append({"outcome": model.outcome, "term": term, "log_odds_ratio": effect, **row})
            rows[-1]["crude_bias"] = _sign_of_bias(model, row, eyes["participant_index"].nunique())
        struck = (eyes[f"luck_{model.outcome}"] < expit(log_odds)).astype(int)
        columns[f"true_{model.outcome}"] = struck
        columns[model.outcome] = struck.where(eyes[f"known_{model.outcome}"]).astype(float)
    table = pd.DataFrame(rows)
    table["odds_ratio"] = np.exp(table["log_odds_ratio"])
    return pd.concat([eyes, pd.DataFrame(columns, index=eyes.index)], axis=1), table[COEFFICIENTS]


COEFFICIENTS = [
    *("outcome", "term", "kind", "per", "log_odds_ratio", "odds_ratio"),
    *("correlation_with_age", "mean", "sd", "crude_bias"),
]
"""Columns of the table of true coefficients."""


def _covariates(model: OutcomeModel) -> list[dict[str, object]]:
    """Rows of the intercept and the covariates."""
    common = {"outcome": model.outcome, "kind": "covariate", "crude_bias": 0}
    age = {"mean": AGE_MEAN, "sd": AGE_SD, "per": f"1 SD = {AGE_SD:.3f} years", "correlation_with_age": 1.0}
    none = {"mean": math.nan, "sd": math.nan, "correlation_with_age": 0.0}
    return [
        {**common, "term": "intercept", **none, "per": "", "log_odds_ratio": model.intercept},
        {**common, "term": "age", **age, "log_odds_ratio": model.age},
        {**common, "term": "sex", **none, "per": "m against f", "log_odds_ratio": model.sex},
    ]


def _term(term: str, eyes: pd.DataFrame, values: pd.DataFrame | None) -> tuple[NDArray[np.float64], dict[str, object]]:
    """Standard scores (n,) of a term, and its part of a row of the table."""
    if term in PHENOTYPES:
        row = {"kind": "phenotype", "mean": 0.0, "sd": 1.0, "correlation_with_age": AGE_ON_PHENOTYPE.get(term, 0.0)}
        return eyes[f"latent_{term}"].to_numpy(), {**row, "per": "1 SD"}
    if values is None or term not in values:
        raise UserError(
            f"no true value {term!r} of an eye; a term is a phenotype ({', '.join(PHENOTYPES)}) or a biomarker."
        )
    value = values[term].to_numpy(float)
    known = value[~np.isnan(value)]
    mean = float(known.mean()) if len(known) else math.nan
    sd = float(known.std(ddof=1)) if len(known) > 1 else math.nan
    slope = math.nan
    if sd > 0 and len(known) > 2:
        slope = float(np.corrcoef(known, eyes["age"].to_numpy()[~np.isnan(value)])[0, 1])
    score = np.nan_to_num((value - mean) / sd) if sd > 0 else np.zeros(len(value))
    return score, {"kind": "biomarker", "mean": mean, "sd": sd, "correlation_with_age": slope, "per": "1 SD"}


def _sign_of_bias(model: OutcomeModel, row: Mapping[str, object], people: int) -> int:
    """Sign of what the crude odds ratio takes from age; of a biomarker only where its correlation is clear."""
    slope = float(row["correlation_with_age"])  # type: ignore[arg-type]
    if math.isnan(slope) or (row["kind"] == "biomarker" and abs(slope) * math.sqrt(people) < _CLEAR):
        return 0
    return int(np.sign(model.age * slope))


def with_effects(effects: Iterable[str], models: Iterable[OutcomeModel] = MODELS) -> tuple[OutcomeModel, ...]:
    """Change the terms of outcomes.

    Parameters
    ----------
    effects : iterable of str
        ``OUTCOME:TERM=ODDS_RATIO`` each, per standard deviation. Those of an outcome replace all its terms; intercept,
        age and sex stay.
    models : iterable of OutcomeModel

    Returns
    -------
    tuple of OutcomeModel

    Raises
    ------
    UserError
        For text that cannot be read, an outcome that does not exist, an odds ratio that is not positive, or a term
        given twice.
    """
    given: dict[str, dict[str, float]] = {}
    for text in effects:
        outcome, term, effect = _parse_effect(text)
        if term in given.setdefault(outcome, {}):
            raise UserError(f"effect {text!r}: {outcome} has {term} already; give one odds ratio for it.")
        given[outcome][term] = effect
    return tuple(replace(m, terms=MappingProxyType(given[m.outcome])) if m.outcome in given else m for m in models)


def _parse_effect(text: str) -> tuple[str, str, float]:
    """Outcome, term and log odds ratio."""
    name, _, number = text.partition("=")
    outcome, _, term = (part.strip() for part in name.partition(":"))
    try:
        ratio = float(number)
    except ValueError:
        ratio = math.nan
    if not term or not 0.0 < ratio < math.inf:
        raise UserError(f"effect {text!r} is not OUTCOME:TERM=ODDS_RATIO; for example dr:crae_knudtson_um=1.6.")
    if outcome not in OUTCOMES:
        raise UserError(f"effect {text!r}: no outcome {outcome!r}; known are {', '.join(OUTCOMES)}.")
    return outcome, term, math.log(ratio)


def photographs(eyes: pd.DataFrame) -> pd.DataFrame:
    """One row per photograph: the eyes, and those that were photographed twice once more.

    Parameters
    ----------
    eyes : DataFrame
        From :func:`sample_eyes` or :func:`draw_outcomes`.

    Returns
    -------
    DataFrame
        Columns of ``eyes`` less ``again`` and ``quality_again``, with ``image_id``, ``shot`` (0, 1) and ``gradable``
        (bool); by participant, eye and shot.
    """
    name = eyes["participant_id"] + "_" + eyes["eye"]
    first = eyes.assign(image_id=name, shot=0)
    second = eyes.assign(image_id=name + "_2", shot=1, quality=eyes["quality_again"])[eyes["again"]]
    both = pd.concat([first, second]).sort_values(["participant_index", "eye_index", "shot"], kind="stable")
    both["gradable"] = both["quality"] >= GRADABLE_FROM
    return both.drop(columns=["again", "quality_again"]).reset_index(drop=True)
