"""How well many biomarkers together tell who is affected: nested cross-validation, against age and sex alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from retsam.association.auc import auc_interval, compare, discrimination, roc_points
from retsam.association.calibration import Estimate, brier, calibration_curve, calibration_intercept, calibration_slope
from retsam.association.design import Exposure, Study, as_exposure, code_covariate, is_definitional, numbers, study_of
from retsam.association.folds import CrossFit, cross_fit
from retsam.status import Status
from retsam.tables import conform
from retsam.taxonomy import Evidence

SETS = ("age_sex", "biomarkers", "both")
"""What a prediction is made from."""

BASELINE = ("age", "sex")
"""Columns of the set ``age_sex``."""

PREDICTION = pa.schema(
    [
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),  # of SETS
        pa.field("unit", pa.string(), nullable=False),  # eye or participant: what a row is
        pa.field("n", pa.int64(), nullable=False),  # rows
        pa.field("n_events", pa.int64(), nullable=False),  # of them with outcome 1
        pa.field("n_participants", pa.int64(), nullable=False),
        pa.field("n_participants_events", pa.int64(), nullable=False),  # with at least one row of outcome 1
        pa.field("n_unknown_outcome", pa.int64(), nullable=False),  # rows left out: outcome unknown
        pa.field("n_missing", pa.int64(), nullable=False),  # rows left out: not one biomarker
        pa.field("n_features", pa.int64(), nullable=False),  # columns used in any fold
        pa.field("folds", pa.int64(), nullable=False),
        pa.field("auc", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("delta_auc", pa.float64()),  # less that of age_sex
        pa.field("delta_low", pa.float64()),
        pa.field("delta_high", pa.float64()),
        pa.field("delong_p", pa.float64()),  # of delta_auc
        pa.field("brier", pa.float64()),
        pa.field("brier_prevalence", pa.float64()),  # of a prediction that is the prevalence in every row
        pa.field("intercept", pa.float64()),  # calibration in the large
        pa.field("intercept_low", pa.float64()),
        pa.field("intercept_high", pa.float64()),
        pa.field("slope", pa.float64()),  # calibration slope
        pa.field("slope_low", pa.float64()),
        pa.field("slope_high", pa.float64()),
        pa.field("strength", pa.float64()),  # prior variance of a coefficient, median over the folds
        pa.field("status", pa.string(), nullable=False),
        pa.field("note", pa.string(), nullable=False),
    ]
)
"""One row per set; one that could not be predicted keeps its counts and has nulls, a status, a note."""

PREDICTION_CURVES = pa.schema(
    [
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("curve", pa.string(), nullable=False),  # roc or calibration
        pa.field("x", pa.float64()),  # false positive rate; mean predicted probability
        pa.field("y", pa.float64()),  # true positive rate; observed share
        pa.field("low", pa.float64()),  # of y; null for roc
        pa.field("high", pa.float64()),
        pa.field("n", pa.int64(), nullable=False),  # rows behind the point
    ]
)
"""Points of the curves, in order."""

PREDICTION_WEIGHTS = pa.schema(
    [
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("feature", pa.string(), nullable=False),  # biomarker, age, or sex[level]
        pa.field("family", pa.string(), nullable=False),  # covariate for age and sex
        pa.field("rank", pa.int64(), nullable=False),  # 1 is the largest coefficient of the set
        pa.field("coefficient", pa.float64()),  # log odds ratio per SD given all others, mean over the folds
        pa.field("low", pa.float64()),  # least over the folds
        pa.field("high", pa.float64()),  # greatest
        pa.field("sign_stability", pa.float64()),  # share of the folds in which it has the sign of the mean
        pa.field("n_folds", pa.int64(), nullable=False),  # in which it was used
    ]
)
"""One row per set and feature, the largest coefficient first."""


@dataclass(frozen=True)
class Prediction:
    """Tables of one outcome: ``PREDICTION``, ``PREDICTION_CURVES``, ``PREDICTION_WEIGHTS``."""

    performance: pd.DataFrame
    curves: pd.DataFrame
    weights: pd.DataFrame


def predict(
    eyes: pd.DataFrame,
    participants: pd.DataFrame,
    outcome: str,
    *,
    biomarkers: Iterable[Any],
    unit: Literal["eye", "participant"] = "eye",
    evidence: Mapping[str, str] | None = None,
    definitional: bool = False,
    min_events: int = 20,
    max_missing: float = 0.5,
    folds: int = 5,
    seed: int = 1,
    confidence: float = 0.95,
) -> Prediction:
    """Predict one outcome from age and sex, from biomarkers, and from both.

    Parameters
    ----------
    eyes, participants : DataFrame
        Tables of a cohort; see ``retsam.cohort.Cohort``. The one that ``unit`` names is used.
    outcome : str
        Column with 0, 1 and NaN (unknown).
    biomarkers : iterable
        As for :func:`retsam.association.associate`.
    unit : {"eye", "participant"}
        Row of the models. People are never split, and every interval knows which rows are one person's.
    evidence : mapping, optional
        Target -> evidence level of the model that segmented it. Biomarkers on synthetic evidence alone are left out.
    definitional : bool
        Whether biomarkers that measure what defines the outcome are used. They would say how well the definition can
        be seen on a photograph, not what the rest of the retina knows.
    min_events : int
        With fewer participants with (or without) the outcome than this, or than two a fold, nothing is predicted.
    max_missing : float
        Biomarkers missing in more than this share of the training rows are left out, 0-1.
    folds : int
        Of the outer and of the inner cross-validation.
    seed : int
        Of the folds.
    confidence : float
        Level of the intervals, 0-1.

    Returns
    -------
    Prediction

    Raises
    ------
    ValueError
        For a setting outside its range.

    Notes
    -----
    *Rows*: known outcome and at least one biomarker, the same for all sets. Missing values are replaced by the median
    of the training rows, without an indicator: that a structure could not be measured says more about a photograph
    than about an eye.

    *Model*: logistic regression with a ridge penalty on standardised columns; correlated biomarkers share a
    coefficient instead of taking turns. Age and sex have a hundredth of the penalty. See
    :mod:`retsam.association.folds`.

    *Uncertainty*: intervals are those of the held-out predictions (DeLong, with clusters Obuchowski); that other
    training data would have given other models is not in them.

    *Status*: ``too_few_events``, ``all_missing`` (no biomarker, or neither age nor sex, is left), else ``ok``.
    """
    _check(unit, min_events, max_missing, folds, confidence)
    study = study_of(eyes if unit == "eye" else participants, outcome)
    chosen, note = _choose([as_exposure(entry, evidence) for entry in biomarkers], outcome, definitional)
    blocks = {"age_sex": _baseline(study), "biomarkers": _columns(study, chosen, note)}
    blocks["both"] = _joined(blocks["age_sex"], blocks["biomarkers"])
    known = ~np.isnan(study.outcome)
    measured = ~np.isnan(blocks["biomarkers"].columns).all(axis=1) if chosen else np.ones(len(known), dtype=bool)
    rows = np.flatnonzero(known & measured)
    counts = {
        "outcome": outcome,
        "unit": unit,
        **_counts(study, rows),
        "n_unknown_outcome": int((~known).sum()),
        "n_missing": int((known & ~measured).sum()),
        "folds": folds,
    }
    y, groups = study.outcome[rows], study.participant[rows]
    problem = _too_few(y, groups, max(min_events, 2 * folds))
    fits = {}
    for name, block in blocks.items():
        if not problem and not block.problem:
            fit = cross_fit(block.columns[rows], block.spared, y, groups, k=folds, max_missing=max_missing, seed=seed)
            if not np.isnan(fit.coefficients).all():
                fits[name] = fit
    lines = [
        {**counts, "set": name, **_line(block, fits.get(name), problem, max_missing)} for name, block in blocks.items()
    ]
    measures = _measures(fits, y, groups, confidence)
    performance = pd.DataFrame([{**line, **measures.get(line["set"], {})} for line in lines])
    performance = performance.reindex(columns=PREDICTION.names)
    return Prediction(
        conform(performance, PREDICTION).to_pandas(),
        conform(_curves(outcome, fits, y, groups, confidence), PREDICTION_CURVES).to_pandas(),
        conform(_weights(outcome, fits, blocks), PREDICTION_WEIGHTS).to_pandas(),
    )


def _check(unit: str, min_events: int, max_missing: float, folds: int, confidence: float) -> None:
    if unit not in ("eye", "participant"):
        raise ValueError(f"unit {unit!r} is unknown; use 'eye' or 'participant'.")
    if folds < 2:
        raise ValueError(f"folds is {folds}; it must be at least 2.")
    if min_events < 2:
        raise ValueError(f"min_events is {min_events}; it must be at least 2.")
    if not 0 <= max_missing < 1:
        raise ValueError(f"max_missing is {max_missing}; it must be at least 0 and below 1, for example 0.5.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, for example 0.95.")


@dataclass(frozen=True)
class _Block:
    """Columns of one set, on all rows of the table.

    Attributes
    ----------
    names, families : tuple of str
    columns : (n, p) float array
    spared : (p,) bool array
        Age and sex, which the penalty spares.
    note, problem : str
        What was left out; why nothing can be predicted from it.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    columns: np.ndarray
    spared: np.ndarray
    note: str = ""
    problem: str = ""


def _choose(exposures: Sequence[Exposure], outcome: str, definitional: bool) -> tuple[list[Exposure], str]:
    """Exposures that a prediction may use, each once, and what was left out."""
    unique = list({e.name: e for e in exposures}.values())
    synthetic = {e.name for e in unique if e.evidence == Evidence.PHANTOM}
    defining = {e.name for e in unique if is_definitional(e.requires, outcome)} - synthetic
    if definitional:
        defining = set()
    notes = [f"{len(defining)} definitional biomarker{'s' * (len(defining) > 1)} left out"] * bool(defining)
    notes += [f"{len(synthetic)} validated on synthetic images only left out"] * bool(synthetic)
    return [e for e in unique if e.name not in synthetic | defining], "; ".join(notes)


def _columns(study: Study, exposures: Sequence[Exposure], note: str) -> _Block:
    """Biomarkers; those without one value in the table are no part of the study."""
    table = [numbers(study.table, e.name) for e in exposures]
    there = [i for i, column in enumerate(table) if not np.isnan(column).all()]
    values = np.column_stack([table[i] for i in there]) if there else np.empty((len(study.table), 0))
    names, families = (tuple(getattr(exposures[i], key) for i in there) for key in ("name", "family"))
    return _Block(
        names, families, values, np.zeros(len(there), dtype=bool), note, "" if there else "no biomarker has a value"
    )


def _baseline(study: Study) -> _Block:
    """Age and sex, as far as the table has them."""
    coded = [code_covariate(study.table, name) for name in BASELINE]
    names = tuple(label for c in coded for label in c.labels)
    values = np.column_stack([np.empty((len(study.table), 0)), *(c.columns for c in coded)])
    problems = [c.problem or c.note for c in coded if c.problem or c.note]
    nothing = "neither age nor sex is known" if not names else ""
    spared = np.ones(len(names), dtype=bool)
    return _Block(names, ("covariate",) * len(names), values, spared, "; ".join(problems), nothing)


def _joined(first: _Block, second: _Block) -> _Block:
    return _Block(
        first.names + second.names,
        first.families + second.families,
        np.hstack([first.columns, second.columns]),
        np.concatenate([first.spared, second.spared]),
        "; ".join(note for note in (first.note, second.note) if note),
        first.problem or second.problem,
    )


def _counts(study: Study, rows: np.ndarray) -> dict[str, int]:
    events = rows[study.outcome[rows] == 1]
    return {
        "n": len(rows),
        "n_events": len(events),
        "n_participants": len(np.unique(study.participant[rows])),
        "n_participants_events": len(np.unique(study.participant[events])),
    }


def _too_few(outcome: np.ndarray, groups: np.ndarray, least: int) -> str:
    """Why these rows are too few to predict from; empty if they are not."""
    cases, controls = (len(np.unique(groups[outcome == value])) for value in (1, 0))
    if min(cases, controls) >= least:
        return ""
    return f"{cases} participants with and {controls} without the outcome; at least {least} of each"


def _line(block: _Block, fit: CrossFit | None, problem: str, max_missing: float) -> dict[str, Any]:
    """Status of one set, and what it used."""
    if problem or block.problem:
        status = Status.TOO_FEW_EVENTS if problem else Status.ALL_MISSING
        return {"n_features": 0, "status": status.value, "note": problem or block.problem}
    if fit is None:
        note = f"every column is constant or missing in more than {max_missing:.0%} of the rows"
        return {"n_features": 0, "status": Status.NO_VARIATION.value, "note": note}
    used = int((~np.isnan(fit.coefficients)).any(axis=0).sum())
    unused = len(block.names) - used
    left = f"{unused} constant or missing in more than {max_missing:.0%} of the rows left out" if unused else ""
    note = "; ".join(part for part in (block.note, left) if part)
    strength = float(np.nanmedian(fit.strength))
    return {"n_features": used, "strength": strength, "status": Status.OK.value, "note": note}


def _measures(
    fits: Mapping[str, CrossFit], outcome: np.ndarray, groups: np.ndarray, confidence: float
) -> dict[str, dict[str, float]]:
    """Discrimination and calibration of each set that was predicted."""
    if not fits:
        return {}
    names = list(fits)
    areas = discrimination(outcome, np.column_stack([fits[name].score for name in names]), groups)
    made = {}
    for index, name in enumerate(names):
        probability = fits[name].probability
        low, high = auc_interval(areas.auc[index], areas.covariance[index, index], confidence)
        made[name] = {
            "auc": areas.auc[index],
            "low": low,
            "high": high,
            "brier": brier(outcome, probability),
            "brier_prevalence": brier(outcome, np.full(len(outcome), outcome.mean())),
            **_named("intercept", calibration_intercept(outcome, probability, groups, confidence)),
            **_named("slope", calibration_slope(outcome, probability, groups, confidence)),
        }
        if name != SETS[0] and SETS[0] in fits:
            difference = compare(areas, index, names.index(SETS[0]), confidence)
            made[name] |= dict(zip(("delta_auc", "delta_low", "delta_high", "delong_p"), difference, strict=True))
    return made


def _named(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _curves(
    outcome: str, fits: Mapping[str, CrossFit], y: np.ndarray, groups: np.ndarray, confidence: float
) -> pd.DataFrame:
    parts = []
    for name, fit in fits.items():
        false, true = roc_points(y, fit.score)
        parts.append(pd.DataFrame({"set": name, "curve": "roc", "x": false, "y": true, "n": len(y)}))
        curve = calibration_curve(y, fit.probability, groups, confidence=confidence)
        parts.append(curve.assign(set=name, curve="calibration"))
    if not parts:
        return PREDICTION_CURVES.empty_table().to_pandas()
    return pd.concat(parts, ignore_index=True).assign(outcome=outcome).reindex(columns=PREDICTION_CURVES.names)


def _weights(outcome: str, fits: Mapping[str, CrossFit], blocks: Mapping[str, _Block]) -> pd.DataFrame:
    parts = [_weights_of(name, fit.coefficients, blocks[name]) for name, fit in fits.items()]
    if not parts:
        return PREDICTION_WEIGHTS.empty_table().to_pandas()
    return pd.concat(parts, ignore_index=True).assign(outcome=outcome)


def _weights_of(name: str, coefficients: np.ndarray, block: _Block) -> pd.DataFrame:
    """Coefficients (folds, p) over the folds in which each feature was used."""
    used = np.flatnonzero(~np.isnan(coefficients).all(axis=0))
    values = coefficients[:, used]
    mean, n = np.nanmean(values, axis=0), (~np.isnan(values)).sum(axis=0)
    table = pd.DataFrame(
        {
            "set": name,
            "feature": [block.names[i] for i in used],
            "family": [block.families[i] for i in used],
            "coefficient": mean,
            "low": np.nanmin(values, axis=0),
            "high": np.nanmax(values, axis=0),
            "sign_stability": (np.sign(values) == np.sign(mean)).sum(axis=0) / n,
            "n_folds": n,
        }
    )
    table = table.iloc[np.lexsort((table["feature"].to_numpy(str), -np.abs(mean)))].reset_index(drop=True)
    return table.assign(rank=np.arange(1, len(table) + 1))
