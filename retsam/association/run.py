"""The association table of one outcome."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from retsam.association.attenuation import with_attenuation
from retsam.association.design import (
    Covariate,
    Exposure,
    Study,
    as_exposure,
    build_design,
    code_covariate,
    is_definitional,
    numbers,
    standardise,
    study_of,
)
from retsam.association.models import Fit, fit_firth, fit_logit, is_separated
from retsam.association.multiplicity import q_values
from retsam.association.schema import ASSOCIATION, MAIN, PER_SD
from retsam.status import Status
from retsam.tables import conform
from retsam.taxonomy import Evidence

log = logging.getLogger(__name__)

DEFAULT_MODELS: Mapping[str, Sequence[str]] = MappingProxyType({"crude": (), "age_sex": ("age", "sex")})
"""Adjustment sets, declared beforehand: model -> covariates."""

EVENTS_PER_PARAMETER = 10.0
"""With fewer independent events (or non-events) per slope than this, Firth's estimate replaces maximum likelihood.

Peduzzi P, et al. (1996). A simulation study of the number of events per variable. J Clin Epidemiol 49, 1373-1379.
"""

UNSTABLE = 1e3
"""Ratio of the confidence limits from which an odds ratio is called unstable."""


def associate(
    eyes: pd.DataFrame,
    participants: pd.DataFrame,
    outcome: str,
    *,
    biomarkers: Iterable[Any],
    models: Mapping[str, Sequence[str]] = DEFAULT_MODELS,
    unit: Literal["eye", "participant"] = "eye",
    min_events: int = 10,
    confidence: float = 0.95,
    events_per_parameter: float = EVENTS_PER_PARAMETER,
    evidence: Mapping[str, str] | None = None,
    categorical: Sequence[str] = (),
    reliability: Mapping[str, tuple[float, str]] | None = None,
) -> pd.DataFrame:
    """Odds ratios of one outcome per standard deviation of each biomarker.

    Parameters
    ----------
    eyes, participants : DataFrame
        Tables of a cohort; see ``retsam.cohort.Cohort``. The one that ``unit`` names is used.
    outcome : str
        Column with 0, 1 and NaN (unknown).
    biomarkers : iterable
        Registry entries (``name``, ``family``, ``requires``), :class:`~retsam.association.design.Exposure`, mappings
        or names.
    models : mapping
        Model name -> covariates.
    unit : {"eye", "participant"}
        ``eye``: rows are eyes and the variance is cluster-robust by participant. ``participant``: rows are
        participants (the mean of the eyes against any eye affected); cluster-robust only if someone has several rows
        (visits).
    min_events : int
        Fewer cases, or fewer controls, than this among the rows, and nothing is estimated.
    confidence : float
        Level of the intervals, 0-1.
    events_per_parameter : float
        See below; 0 keeps maximum likelihood wherever it converges.
    evidence : mapping, optional
        Target -> evidence level of the model that segmented it.
    categorical : sequence of str
        Covariates to treat as categories although they are numbers.
    reliability : mapping, optional
        Biomarker -> its intraclass correlation and what that comes from; see :mod:`retsam.association.attenuation`.

    Returns
    -------
    DataFrame
        Columns and types of ``ASSOCIATION``; models in their order, biomarkers in theirs. A biomarker that is
        ``not_segmented`` in every row has no line: it was not part of the study.

    Raises
    ------
    ValueError
        For a setting outside its range, a biomarker given twice or without a name, or no model.

    Notes
    -----
    *Analysis set*: rows with a known outcome, a finite exposure and every covariate (complete case, per biomarker and
    model); ``n + n_unknown_outcome + n_missing + n_other_rows`` is the number of rows of the table. Mean and SD are
    those of its rows (SD with n - 1), each eye counting once: they are not balanced by person.

    *Which estimator*: maximum likelihood, unless (a) the independent events are few: the smaller of the numbers of
    participants with a case row and with a control row is below ``events_per_parameter`` per slope, or (b) the
    outcome is separated or the iterations fail. Then Firth, on one row per participant (the most gradable; method
    ``firth_one_row``) where there are several; mean, SD and counts are then of those rows, and ``min_events`` applies
    to them again.

    *Status*: ``too_few_events``, ``no_variation`` (constant exposure, or one that the covariates determine),
    ``all_missing`` (no row is complete, or a covariate does not exist), ``not_converged``, else ``ok``. The note says
    why.

    *Covariates*: numbers enter as they are, anything else as indicators against its first level in sorted order;
    constant and collinear ones are left out and noted. A covariate that is the exposure itself is left out.

    *q*: tests of phantom-only evidence form a group of their own, so that no reported q depends on a test left out.
    """
    _check(unit, models, min_events, confidence)
    exposures = [as_exposure(entry, evidence) for entry in biomarkers]
    repeated = sorted({e.name for e in exposures if sum(o.name == e.name for o in exposures) > 1})
    if repeated:
        raise ValueError(f"biomarker {repeated[0]!r} is given twice; list it once.")
    study = study_of(eyes if unit == "eye" else participants, outcome)
    exposures = _segmented(exposures, study.table)
    clustered = unit == "eye" or len(np.unique(study.participant)) < len(study.participant)
    settings = _Settings(clustered, min_events, confidence, events_per_parameter)
    lines = []
    for model, names in models.items():
        covariates = [code_covariate(study.table, name, categorical) for name in dict.fromkeys(names)]
        for exposure in exposures:
            own = [c for c in covariates if c.name != exposure.name]
            line = _estimate(study, exposure, own, settings)
            lines.append(
                {
                    "outcome": outcome,
                    "biomarker": exposure.name,
                    "family": exposure.family,
                    "model": model,
                    "analysis": MAIN,
                    "term": PER_SD,
                    "kind": "binary",
                    "transform": "none",
                    "unit": unit,
                    "definitional": is_definitional(exposure.requires, outcome),
                    "evidence": exposure.evidence,
                    **line,
                }
            )
    table = pd.DataFrame(lines) if lines else ASSOCIATION.empty_table().to_pandas()
    table = with_attenuation(table.assign(mean_raw=table["mean"], sd_raw=table["sd"]), reliability or {})
    return conform(_with_q(table), ASSOCIATION).to_pandas()


def _segmented(exposures: list[Exposure], table: pd.DataFrame) -> list[Exposure]:
    """Exposures less those of which the model provides no target: ``not_segmented`` in every row."""
    absent = {
        e.name
        for e in exposures
        if len(table) and table.get(f"{e.name}__status", pd.Series("")).eq(Status.NOT_SEGMENTED).all()
    }
    if absent:
        log.info("%d of %d biomarkers are left out: not segmented in any row", len(absent), len(exposures))
    return [e for e in exposures if e.name not in absent]


def _check(unit: str, models: Mapping[str, Sequence[str]], min_events: int, confidence: float) -> None:
    if unit not in ("eye", "participant"):
        raise ValueError(f"unit {unit!r} is unknown; use 'eye' or 'participant'.")
    if not models:
        raise ValueError("no model is given; name at least one, for example {'crude': []}.")
    for name, covariates in models.items():
        if isinstance(covariates, str):
            raise ValueError(f"model {name!r}: covariates must be a list; write [{covariates}].")
    if min_events < 2:
        raise ValueError(f"min_events is {min_events}; it must be at least 2.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, for example 0.95.")


@dataclass(frozen=True)
class _Settings:
    """What holds for every line of a table; see :func:`associate`."""

    clustered: bool
    min_events: int
    confidence: float
    events_per_parameter: float


def _estimate(study: Study, exposure: Exposure, covariates: Sequence[Covariate], settings: _Settings) -> dict[str, Any]:
    """One line of the table, less its labels."""
    x = numbers(study.table, exposure.name)
    known = ~np.isnan(study.outcome)
    measured = known & ~np.isnan(x)
    complete = measured.copy()
    for covariate in covariates:
        complete &= ~np.isnan(covariate.columns).any(axis=1)
    problems = [c.problem for c in covariates if c.problem]
    if problems:
        complete[:] = False
    rows = np.flatnonzero(complete)
    line = {
        "n_unknown_outcome": int((~known).sum()),
        "n_missing": int((known & ~complete).sum()),
        "n_missing_exposure": int((known & ~measured).sum()),
        **_counts(study, rows, x),
        "n_other_rows": 0,
        "covariates": "",
        "status": Status.OK.value,
        "note": "",
    }
    reason = _why_not(study, rows, x, settings.min_events)
    if reason is not None:
        status, note = reason
        return {**line, "status": status.value, "note": note or _missing_note(study, exposure, known, problems)}
    return {**line, **_fit(study, rows, x, covariates, settings)}


def _counts(study: Study, rows: np.ndarray, x: np.ndarray) -> dict[str, Any]:
    events = rows[study.outcome[rows] == 1]
    return {
        "n": len(rows),
        "n_events": len(events),
        "n_participants": len(np.unique(study.participant[rows])),
        "n_participants_events": len(np.unique(study.participant[events])),
        "mean": float(x[rows].mean()) if len(rows) else np.nan,
        "sd": float(x[rows].std(ddof=1)) if len(rows) > 1 else np.nan,
    }


def _why_not(study: Study, rows: np.ndarray, x: np.ndarray, min_events: int) -> tuple[Status, str] | None:
    """A reason not to fit these rows, with a note, or None."""
    if not len(rows):
        return Status.ALL_MISSING, ""
    events = int(study.outcome[rows].sum())
    fewest = min(events, len(rows) - events)
    if fewest < min_events:
        return Status.TOO_FEW_EVENTS, f"{events} cases and {len(rows) - events} controls; at least {min_events} of each"
    if standardise(x[rows]) is None:
        return Status.NO_VARIATION, f"the value is {x[rows[0]]:g} in every row"
    return None


def _missing_note(study: Study, exposure: Exposure, known: np.ndarray, problems: Sequence[str]) -> str:
    """Why there is not one complete row."""
    if not known.any():
        return "the outcome is unknown in every row, or no column of that name holds 0 and 1"
    if problems:
        return "; ".join(problems)
    if exposure.name not in study.table:
        return f"no column {exposure.name!r}"
    status = f"{exposure.name}__status"
    if status not in study.table:
        return "no row is complete"
    reasons = study.table.loc[known, status].value_counts()
    named = sorted(
        ((str(r), int(n)) for r, n in reasons.items() if r != Status.OK), key=lambda item: (-item[1], item[0])
    )
    return ", ".join(f"{reason}: {n}" for reason, n in named) or "no row is complete"


def _fit(
    study: Study, rows: np.ndarray, x: np.ndarray, covariates: Sequence[Covariate], settings: _Settings
) -> dict[str, Any]:
    """Maximum likelihood where it can be trusted, else Firth."""
    design = build_design(x[rows], covariates, rows)
    described = {"covariates": ",".join(design.covariates), "note": "; ".join(design.notes)}
    if design.determined:
        return _not(Status.NO_VARIATION, "the covariates determine the exposure", described)
    y = study.outcome[rows]
    slopes = design.matrix.shape[1] - 1
    independent = min(len(np.unique(study.participant[rows[y == level]])) for level in (0.0, 1.0))
    if independent < settings.events_per_parameter * slopes:
        why = f"Firth: {independent} independent events for {slopes} parameters"
    else:
        clusters = study.participant[rows] if settings.clustered else None
        fit = fit_logit(y, design.matrix, clusters, settings.confidence)
        if fit is not None:
            return {**described, **_report(fit, described["note"])}
        separated = is_separated(y, design.matrix)
        why = "Firth: separation" if separated else "Firth: maximum likelihood did not converge"
    return _fit_firth(study, rows, x, covariates, why, settings)


def _fit_firth(
    study: Study,
    rows: np.ndarray,
    x: np.ndarray,
    covariates: Sequence[Covariate],
    why: str,
    settings: _Settings,
) -> dict[str, Any]:
    """Firth's estimate on independent rows."""
    chosen = study.one_row_each(rows)
    left = len(rows) - len(chosen)
    if left:
        why = f"{why}; one row per participant, the most gradable ({len(chosen)} of {len(rows)})"
    line = {**_counts(study, chosen, x), "n_other_rows": left, "note": why}
    reason = _why_not(study, chosen, x, settings.min_events)
    if reason is not None:
        return _not(reason[0], reason[1], line)
    design = build_design(x[chosen], covariates, chosen)
    line |= {"covariates": ",".join(design.covariates), "note": "; ".join([why, *design.notes])}
    if design.determined:
        return _not(Status.NO_VARIATION, "the covariates determine the exposure", line)
    fit = fit_firth(study.outcome[chosen], design.matrix, settings.confidence)
    if fit is None:
        return _not(Status.NOT_CONVERGED, "no finite estimate was found", line)
    return {**line, **_report(fit, line["note"]), "method": "firth_one_row" if left else "firth"}


def _not(status: Status, note: str, line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "status": status.value, "note": "; ".join(part for part in (note, line["note"]) if part)}


def _report(fit: Fit, note: str) -> dict[str, Any]:
    """Columns of an estimate."""
    with np.errstate(over="ignore"):  # a limit beyond the largest float is infinite
        ratio, low, high = (float(v) for v in np.exp([fit.log_or, fit.ci_low, fit.ci_high]))
    if fit.ci_high - fit.ci_low > np.log(UNSTABLE):
        note = "; ".join(part for part in (note, f"unstable: the limits differ more than {UNSTABLE:g}-fold") if part)
    return {
        "or": ratio,
        "ci_low": low,
        "ci_high": high,
        "p": fit.p,
        "log_or": fit.log_or,
        "se": fit.se,
        "df": fit.df,
        "method": fit.method,
        "ci_method": fit.ci_method,
        "note": note,
    }


def _with_q(table: pd.DataFrame) -> pd.DataFrame:
    """Add q, family_size and q_all."""
    estimated = [name for name in ASSOCIATION.names if name not in ("q", "q_all", "family_size")]
    table = table.reindex(columns=estimated)
    phantom = table["evidence"].eq(Evidence.PHANTOM.value).fillna(False)
    p = pd.to_numeric(table["p"]).astype(float)
    within = p.groupby([table["model"], table["family"], phantom])
    overall = p.groupby([table["model"], phantom])
    extra = {
        "q": within.transform(q_values),
        "family_size": within.transform("count").astype("int64"),
        "q_all": overall.transform(q_values),
    }
    return table.assign(**extra)
