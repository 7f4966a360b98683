"""The association table of one outcome."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from retsam.association.analyses import ONE_EYE, Extras, parts, scopes, worse_eyes
from retsam.association.attenuation import with_attenuation
from retsam.association.design import (
    Covariate,
    Exposure,
    Kind,
    Study,
    as_exposure,
    code_covariate,
    is_definitional,
    numbers,
    study_of,
)
from retsam.association.imputation import imputed_line, is_incomplete
from retsam.association.line import estimate_line, join
from retsam.association.multiplicity import q_values
from retsam.association.sample import Rules, Sample, Scope
from retsam.association.scales import Transform, apply_transform, choose_transform
from retsam.association.schema import ASSOCIATION, MAIN, PER_SD
from retsam.association.terms import interaction, line_of, nonlinear, quartiles
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

WORSE = "the larger value of the eyes"
"""Noted where it stands in place of their mean."""

NOTHING_ELSE = Extras()
"""The declared analysis alone."""


def associate(
    eyes: pd.DataFrame,
    participants: pd.DataFrame,
    outcome: str,
    *,
    biomarkers: Iterable[Any],
    models: Mapping[str, Sequence[str]] = DEFAULT_MODELS,
    unit: Literal["eye", "participant"] = "eye",
    kind: Kind = "binary",
    method: Literal["cluster", "gee"] = "cluster",
    transform: Transform = "none",
    participant: Literal["mean", "worse"] = "mean",
    extras: Extras = NOTHING_ELSE,
    regraded: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]] | None = None,
    min_events: int = 10,
    confidence: float = 0.95,
    events_per_parameter: float = EVENTS_PER_PARAMETER,
    evidence: Mapping[str, str] | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
    categorical: Sequence[str] = (),
    reliability: Mapping[str, tuple[float, str]] | None = None,
) -> pd.DataFrame:
    """Odds ratios of one outcome per standard deviation of each biomarker.

    Parameters
    ----------
    eyes, participants : DataFrame
        Tables of a cohort; see ``retsam.cohort.Cohort``. The one that ``unit`` names is used.
    outcome : str
        Column with 0, 1 and NaN (unknown); of grades or of a continuous trait if ``kind`` says so.
    biomarkers : iterable
        Registry entries (``name``, ``family``, ``requires``, ``unit``),
        :class:`~retsam.association.design.Exposure`, mappings or names.
    models : mapping
        Model name -> covariates.
    unit : {"eye", "participant"}
        ``eye``: rows are eyes and the variance is cluster-robust by participant. ``participant``: rows are
        participants (the mean of the eyes against any eye affected); cluster-robust only if someone has several rows
        (visits). Where the table says how much the eyes differ (``NAME__asymmetry``), that is held against the outcome
        too, as a family of its own.
    kind : {"binary", "ordinal", "continuous"}
        Of the outcome: logistic regression, proportional odds or linear regression.
    method : {"cluster", "gee"}
        Of a binary outcome with several rows a person: maximum likelihood with a cluster-robust variance, or
        generalised estimating equations with an exchangeable correlation.
    transform : {"none", "auto", "log1p", "rank_normal"}
        See :mod:`retsam.association.scales`.
    participant : {"mean", "worse"}
        Value of a participant: the mean of the eyes, or of presence, number and area of findings the larger one.
    extras : Extras
        Analyses beside the declared one.
    regraded : mapping, optional
        Analysis -> eyes and participants under another quality policy; see :func:`retsam.cohort.regrade`.
    min_events : int
        Fewer cases, or fewer controls, than this among the rows, and nothing is estimated.
    confidence : float
        Level of the intervals, 0-1.
    events_per_parameter : float
        See below; 0 keeps maximum likelihood wherever it converges.
    evidence : mapping, optional
        Target -> evidence level of the model that segmented it.
    families : mapping, optional
        Family -> biomarkers, where the families of q are not to be the biomarkers' own.
    categorical : sequence of str
        Covariates to treat as categories although they are numbers.
    reliability : mapping, optional
        Biomarker -> its intraclass correlation and what that comes from; see :mod:`retsam.association.attenuation`.

    Returns
    -------
    DataFrame
        Columns and types of ``ASSOCIATION``; the declared analysis per SD first, models in their order, biomarkers in
        theirs; then its other terms, then other analyses. A biomarker that is ``not_segmented`` in every row has no
        line: it was not part of the study.

    Raises
    ------
    ValueError
        For a setting outside its range, a biomarker given twice or without a name, families that name an unknown one
        or one twice, or no model.

    Notes
    -----
    *Analysis set*: rows with a known outcome, a finite exposure and every covariate (complete case, per biomarker and
    model); ``n + n_unknown_outcome + n_missing + n_other_rows`` is the number of rows of the table, or of the part of
    it that is analysed. Mean and SD are those of its rows (SD with n - 1), each eye counting once: they are not
    balanced by person. Other analyses are stated per SD of the main one, so that they can be compared.

    *Which estimator*: maximum likelihood, unless (a) the independent events are few: the smaller of the numbers of
    participants with a case row and with a control row is below ``events_per_parameter`` per slope, (b) fewer than
    ``min_events`` participants differ from the exposure's commonest value (a rare finding), where no robust variance
    holds, or (c) the outcome is separated or the iterations fail. Then Firth, on one row per participant (the most
    gradable; method ``firth_one_row``) where there are several; mean, SD and counts are then of those rows, and
    ``min_events`` applies to them again. Grades and continuous traits have no such estimate: few events are noted, rare
    findings are ``too_few_events``.

    *Other terms* of the main analysis exist where it has an estimate, and need as many events per slope of their own.

    *Status*: ``too_few_events``, ``no_variation`` (constant exposure, or one that the covariates determine),
    ``all_missing`` (no row is complete, or a covariate does not exist), ``not_converged``, else ``ok``. The note says
    why.

    *Covariates*: numbers enter as they are, anything else as indicators against its first level in sorted order;
    constant and collinear ones are left out and noted. A covariate that is the exposure itself is left out.

    *q*: each analysis and each term is a group of its own, as are tests of phantom-only evidence, so that no reported
    q depends on a test left out.
    """
    _check(unit, models, min_events, confidence)
    exposures = _exposures(biomarkers, evidence, families)

    worse = unit == "participant" and participant == "worse"

    def study(eyes: pd.DataFrame, participants: pd.DataFrame) -> Study:
        if worse:
            participants = worse_eyes(eyes, participants, exposures)
        return study_of(eyes if unit == "eye" else participants, outcome, kind)

    main = study(eyes, participants)
    if unit == "participant":
        exposures += _asymmetries(exposures, main.table)
    exposures = _segmented(exposures, main.table)
    repeats = len(np.unique(main.participant)) < len(main.participant)
    rules = Rules(unit == "eye" or repeats, min_events, confidence, events_per_parameter, method)
    others = {name: study(*tables) for name, tables in (regraded or {}).items()}
    single = main if unit == "eye" else study_of(eyes, outcome, kind)
    has_pairs = len(np.unique(single.participant)) < len(single.participant)
    views = _views(main, models, categorical, extras, others, single if has_pairs else None)
    lines: list[dict[str, Any]] = []
    for exposure in exposures:
        values = _Values(exposure, main, transform, WORSE if worse and exposure.burden else "")
        lines += _lines(exposure, views, values, rules, extras)
    table = pd.DataFrame(_sorted(lines, models, exposures)) if lines else ASSOCIATION.empty_table().to_pandas()
    table = table.assign(outcome=outcome, unit=unit, kind=kind)
    return conform(_with_q(with_attenuation(table, reliability or {})), ASSOCIATION).to_pandas()


def _exposures(
    biomarkers: Iterable[Any], evidence: Mapping[str, str] | None, families: Mapping[str, Sequence[str]] | None
) -> list[Exposure]:
    exposures = [as_exposure(entry, evidence) for entry in biomarkers]
    names = [e.name for e in exposures]
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise ValueError(f"biomarker {repeated[0]!r} is given twice; list it once.")
    members = [(name, family) for family, chosen in (families or {}).items() for name in chosen]
    declared = dict(members)
    wrong = sorted(set(declared) - set(names)) or sorted(
        n for n, times in Counter(n for n, _ in members).items() if times > 1
    )
    if wrong:
        what = "is no biomarker" if wrong[0] not in names else "stands in several families"
        raise ValueError(f"families: {wrong[0]!r} {what}; each biomarker belongs to one.")
    return [replace(e, family=declared.get(e.name, e.family)) for e in exposures]


def _asymmetries(exposures: Sequence[Exposure], table: pd.DataFrame) -> list[Exposure]:
    """How much the eyes of a person differ, for the biomarkers of which the table says it."""
    found = [replace(e, name=f"{e.name}__asymmetry", family="asymmetry", burden=False) for e in exposures]
    return [e for e in found if e.name in table]


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
class _View:
    """One model: the scope of its main analysis, those of the others, and what may modify the effect."""

    model: str
    main: Scope
    others: Mapping[str, Scope]
    modifiers: Sequence[Covariate]


def _views(
    main: Study,
    models: Mapping[str, Sequence[str]],
    categorical: Sequence[str],
    extras: Extras,
    regraded: Mapping[str, Study],
    single: Study | None,
) -> list[_View]:
    masks = parts(main, extras)
    modifiers = [code_covariate(main.table, name, categorical) for name in dict.fromkeys(extras.interactions)]
    views = []
    for model, names in models.items():

        def code(study: Study, names: Sequence[str] = names) -> list[Covariate]:
            return [code_covariate(study.table, name, categorical) for name in dict.fromkeys(names)]

        covariates = code(main)
        one_eye = single if ONE_EYE in extras.sensitivity else None
        others = scopes(main, covariates, masks, regraded, one_eye, code)
        views.append(_View(model, Scope(main, covariates), others, modifiers))
    return views


class _Values:
    """An exposure on its scale, in any study; the scale is chosen in the main one."""

    def __init__(self, exposure: Exposure, main: Study, transform: Transform, note: str = "") -> None:
        self.exposure, self.chosen = exposure, choose_transform(numbers(main.table, exposure.name), transform)
        self.note = note
        self._made: dict[int, tuple[np.ndarray, np.ndarray, str]] = {}

    def of(self, study: Study) -> tuple[np.ndarray, np.ndarray, str]:
        """Transformed and original values (n,), and a note on how they were made."""
        if id(study) not in self._made:
            raw = numbers(study.table, self.exposure.name)
            x, note = apply_transform(raw, self.chosen)
            self._made[id(study)] = x, raw, join(self.note, note)
        return self._made[id(study)]


def _lines(
    exposure: Exposure, views: Sequence[_View], values: _Values, rules: Rules, extras: Extras
) -> Iterator[dict[str, Any]]:
    """All lines of one exposure."""
    for view in views:
        labels = {
            "biomarker": exposure.name,
            "family": exposure.family,
            "model": view.model,
            "definitional": is_definitional(exposure.requires, view.main.study.name),
            "evidence": exposure.evidence,
            "transform": values.chosen,
        }
        for analysis, term, line in _of_view(exposure, view, values, rules, extras):
            yield {**labels, "analysis": analysis, "term": term, **line}


def _of_view(
    exposure: Exposure, view: _View, values: _Values, rules: Rules, extras: Extras
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Analysis, term and line of one exposure in one model."""
    scope = view.main.without(exposure.name)
    x, raw, note = values.of(scope.study)
    main, sample = estimate_line(scope, exposure, x, raw, rules)
    main["note"] = join(main["note"], note)
    yield MAIN, PER_SD, main
    estimated = main["status"] == Status.OK
    if estimated:
        terms = _terms(exposure, view, scope, sample, (x, raw), rules, extras)
        yield from ((MAIN, term, line) for term, line in terms)
    unit = float(main["sd"]) if estimated else None
    for analysis, other in view.others.items():
        if exposure.name in scope.study.table and exposure.name not in other.study.table:
            continue  # eyes have no asymmetry
        x, raw, _ = values.of(other.study)
        yield analysis, PER_SD, estimate_line(other.without(exposure.name), exposure, x, raw, rules, unit)[0]
    if extras.imputations and is_incomplete(scope):
        x, raw, _ = values.of(scope.study)
        yield "imputed", PER_SD, imputed_line(scope, exposure, x, raw, rules, extras.imputations, unit)


def _terms(
    exposure: Exposure,
    view: _View,
    scope: Scope,
    sample: Sample,
    values: tuple[np.ndarray, np.ndarray],
    rules: Rules,
    extras: Extras,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Terms of the main analysis beside the effect per SD, and their lines."""
    line = line_of(scope, sample, *values)
    if extras.quartiles:
        yield from quartiles(sample, line, values[0], rules)
    if extras.nonlinearity:
        yield from nonlinear(sample, line, values[0], rules)
    for modifier in view.modifiers:
        if modifier.name != exposure.name:
            yield from interaction(scope, modifier, *values, rules)


def _sorted(
    lines: list[dict[str, Any]], models: Mapping[str, Sequence[str]], exposures: Sequence[Exposure]
) -> list[dict[str, Any]]:
    """Lines by analysis and term in the order in which they first came, then models and biomarkers in theirs."""
    kinds = {key: i for i, key in enumerate(dict.fromkeys((line["analysis"], line["term"]) for line in lines))}
    analyses = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in kinds))}
    model = {name: i for i, name in enumerate(models)}
    place = {exposure.name: i for i, exposure in enumerate(exposures)}

    def key(line: Mapping[str, Any]) -> tuple[int, ...]:
        analysis, term = line["analysis"], line["term"]
        return analyses[analysis], kinds[analysis, term], model[line["model"]], place[line["biomarker"]]

    return sorted(lines, key=key)


def _with_q(table: pd.DataFrame) -> pd.DataFrame:
    """Add q, family_size and q_all."""
    estimated = [name for name in ASSOCIATION.names if name not in ("q", "q_all", "family_size")]
    table = table.reindex(columns=estimated)
    phantom = table["evidence"].eq(Evidence.PHANTOM.value).fillna(False)
    p = pd.to_numeric(table["p"]).astype(float)
    test = [table[name] for name in ("analysis", "term", "model")]
    within = p.groupby([*test, table["family"], phantom])
    overall = p.groupby([*test, phantom])
    extra = {
        "q": within.transform(q_values),
        "family_size": within.transform("count").astype("int64"),
        "q_all": overall.transform(q_values),
    }
    return table.assign(**extra)
