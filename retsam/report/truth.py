"""Truth beside estimate: the coefficients that a simulated cohort was drawn from, joined with what was found."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retsam.errors import UserError
from retsam.report.inputs import ReportInputs, estimable, model_label
from retsam.report.tables import (
    DASH,
    DisplayTable,
    Heading,
    Row,
    count,
    interval,
    mean_sd,
    meaning,
    ratio,
    reason_label,
)
from retsam.status import Status

WORDS = ("outcome", "term", "kind", "per")
NUMBERS = ("log_odds_ratio", "correlation_with_age", "mean", "sd")
KINDS = ("covariate", "phenotype", "biomarker")


@dataclass(frozen=True)
class Estimate:
    """What one model found; `odds`, `low`, `high` and `q` are NaN where nothing could be estimated."""

    odds: float
    low: float
    high: float
    q: float
    n: str
    events: str

    def covers(self, truth: float) -> bool:
        """Whether the interval holds a true odds ratio, bounds included."""
        return self.low <= truth <= self.high


@dataclass(frozen=True)
class Pair:
    """A biomarker with a true effect on an outcome.

    Attributes
    ----------
    outcome, biomarker : str
    truth : float
        Odds ratio per `sd` of the eye's own value.
    mean, sd, age : float
        Of the eye's own value: mean, standard deviation, correlation with age; NaN where the file has none.
    estimates : mapping
        Model -> estimate, from the least to the most adjusted; models without a row are left out.
    reason : str
        Status code that says why no model has an estimate; ``ok`` if one has.
    measured : bool
        Whether any photograph has a value of this biomarker.
    """

    outcome: str
    biomarker: str
    truth: float
    mean: float
    sd: float
    age: float
    estimates: Mapping[str, Estimate]
    reason: str
    measured: bool

    @property
    def found(self) -> dict[str, Estimate]:
        """The estimates that are there."""
        return {model: e for model, e in self.estimates.items() if not math.isnan(e.odds)}


def read_truth(path: str | Path) -> pd.DataFrame:
    """Read a table of true coefficients.

    Parameters
    ----------
    path : path-like
        CSV as ``retsam simulate`` writes it: outcome, term, kind (covariate, phenotype or biomarker), per,
        log_odds_ratio, correlation_with_age, mean, sd; other columns are left out. A term of kind biomarker is a name
        of the biomarker catalogue.

    Returns
    -------
    DataFrame
        These columns in this order, text without missing values.

    Raises
    ------
    UserError
        Where columns are missing, a coefficient is no number, a kind is unknown or a term comes twice.
    """
    name = Path(path).name
    mend = "give the truth/coefficients.csv that 'retsam simulate' wrote as 'report: {truth: ...}'"
    try:
        table = pd.read_csv(
            path, dtype=dict.fromkeys(WORDS, str), keep_default_na=False, na_values={c: "" for c in NUMBERS}
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{name}: not a CSV table ({error}); {mend}.") from None
    missing = [column for column in (*WORDS, *NUMBERS) if column not in table]
    if missing:
        raise UserError(f"{name}: no column {', '.join(map(repr, missing))}; {mend}.")
    table = table[[*WORDS, *NUMBERS]]
    for column in NUMBERS:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    wrong = {
        "a log_odds_ratio that is no number": ~np.isfinite(table["log_odds_ratio"]),
        f"a kind other than {', '.join(KINDS)}": ~table["kind"].isin(KINDS),
        "a term that its outcome has already": table.duplicated(["outcome", "term"]),
    }
    for what, rows in wrong.items():
        if rows.any():
            raise UserError(f"{name}: row {int(np.argmax(rows)) + 1} has {what}; {mend}.")
    return table


def pairs(inputs: ReportInputs) -> list[Pair]:
    """Biomarkers with a true effect on an outcome that was analysed; in an outcome the largest odds ratio first."""
    truth = _effects(inputs, "biomarker")
    made = []
    for outcome, table in inputs.associations.items():
        rows = truth[truth["outcome"] == outcome].sort_values(["log_odds_ratio", "term"], ascending=[False, True])
        made += [_pair(inputs, outcome, table, r) for r in rows.to_dict("records")]
    return made


def _effects(inputs: ReportInputs, kind: str) -> pd.DataFrame:
    """Terms of one kind with an effect, those of outcomes that were analysed; the intercept is none."""
    truth = inputs.truth if inputs.truth is not None else pd.DataFrame(columns=[*WORDS, *NUMBERS])
    here = truth["outcome"].isin(list(inputs.associations)) & (truth["term"] != "intercept")
    return truth[here & (truth["kind"] == kind) & (truth["log_odds_ratio"] != 0)]


def _pair(inputs: ReportInputs, outcome: str, table: pd.DataFrame, term: Mapping) -> Pair:
    name = str(term["term"])
    rows = table[table["biomarker"] == name]
    rows = rows.assign(estimable=estimable(rows))
    of_model = {str(r["model"]): r for r in rows.to_dict("records")}
    estimates = {m: _estimate(of_model[m]) for m in inputs.model_names(table) if m in of_model}
    reason, measured = _reason(inputs, name, rows)
    mean, sd, age = (float(term[c]) for c in ("mean", "sd", "correlation_with_age"))
    return Pair(outcome, name, math.exp(term["log_odds_ratio"]), mean, sd, age, estimates, reason, measured)


def _reason(inputs: ReportInputs, biomarker: str, rows: pd.DataFrame) -> tuple[str, bool]:
    """Why no model has an estimate, or ``ok``, and whether any photograph has a value."""
    if rows["estimable"].any():
        return Status.OK.value, True
    seen = _statuses(inputs, biomarker)
    if seen and Status.OK not in seen:
        return seen[0], False
    if len(rows):
        return str(rows["status"].iloc[-1]), True
    return ("not tested" if biomarker in inputs.biomarkers else "not in the catalogue"), bool(seen)


def _estimate(r: Mapping) -> Estimate:
    odds, low, high, q = (float(r[c]) if r["estimable"] else math.nan for c in ("or", "ci_low", "ci_high", "q"))
    n, events = (f"{int(r[c]):,}" if pd.notna(r[c]) else DASH for c in ("n", "n_events"))
    return Estimate(odds, low, high, q, n, events)


def _statuses(inputs: ReportInputs, biomarker: str) -> list[str]:
    """Statuses of a biomarker over the photographs that were analysed, the most frequent first."""
    column = f"{biomarker}__status"
    if column not in inputs.images:
        return []
    images = inputs.images[inputs.images["included"].eq(True)] if "included" in inputs.images else inputs.images
    counts = images[column].dropna().value_counts()
    return [str(s) for s in sorted(counts.index, key=lambda s: (-counts[s], s))]


def models_of(inputs: ReportInputs) -> list[str]:
    """Models of all association tables, from the least to the most adjusted."""
    return list(dict.fromkeys(m for table in inputs.associations.values() for m in inputs.model_names(table)))


def comparison(inputs: ReportInputs, found: list[Pair]) -> DisplayTable | None:
    """True odds ratio of each pair beside the estimate of every model; None where no biomarker has an effect."""
    if not found:
        return None
    models = models_of(inputs)
    rows: list[Row] = []
    for outcome in dict.fromkeys(p.outcome for p in found):
        rows.append(Row((inputs.outcome_label(outcome),), group=True))
        rows += [_comparison_row(inputs, p, models) for p in found if p.outcome == outcome]
    top = [Heading(t, rows=2) for t in ("Biomarker", "True OR per SD", "True mean (SD)", "Correlation with age")]
    top += [Heading(model_label(m), columns=3) for m in models]
    top += [Heading("Status", rows=2)]
    second = [Heading(t) for _ in models for t in ("OR (95% CI)", "covers truth", "n (events)")]
    align = "lrrr" + "rrr" * len(models) + "n"
    caption = "True and estimated odds ratios of the biomarkers with a true effect."
    notes = (*_comparison_notes(inputs, found), *remarks(inputs))
    return DisplayTable("truth-table", caption, (tuple(top), tuple(second)), tuple(rows), align, notes)


def _comparison_row(inputs: ReportInputs, pair: Pair, models: list[str]) -> Row:
    label = inputs.biomarker_label(pair.biomarker)
    age = DASH if math.isnan(pair.age) else f"{round(pair.age, 2) + 0.0:.2f}".replace("-", "\u2212")
    cells = [label, ratio(pair.truth), mean_sd(pair.mean, pair.sd), age]
    for model in models:
        e = pair.estimates.get(model)
        if e is None:
            cells += [DASH] * 3
        else:
            covers = DASH if math.isnan(e.odds) else "yes" if e.covers(pair.truth) else "no"
            cells += [interval(e.odds, e.low, e.high), covers, f"{e.n} ({e.events})"]
    cells.append(status_of(pair))
    return Row(tuple(cells), code=pair.biomarker if pair.biomarker != label else "")


def status_of(pair: Pair) -> str:
    """``ok``, or that a pair was not measured or not estimated, and why."""
    if pair.reason == Status.OK:
        return "ok"
    return f"{'no estimate' if pair.measured else 'not measured'}: {reason_label(pair.reason)}"


def _comparison_notes(inputs: ReportInputs, found: list[Pair]) -> Iterator[str]:
    yield (
        "True mean (SD) and correlation with age: of the value that the eye has, as the file of coefficients states "
        f"them. n: rows of the model ({inputs.unit}s), events: those with the outcome. The true odds ratios hold with "
        "all terms of an outcome in one model; an estimate has one biomarker and the model's covariates, so a term "
        "left out that is correlated with the biomarker biases it, and any other draws it a little towards 1."
    )
    reasons = [r for r in dict.fromkeys(p.reason for p in found) if r in set(Status) and r != Status.OK]
    yield from (f"{reason_label(r)}: {meaning(r)}." for r in reasons)


def remarks(inputs: ReportInputs) -> Iterator[str]:
    """Sentences about the terms that are no biomarkers and the outcomes that were not analysed."""
    latent, covariates = _listed(inputs, "phenotype"), _listed(inputs, "covariate")
    if latent:
        yield (
            f"Latent phenotypes with a true effect: {latent}. They shape the eye and are no column of any table; "
            "biomarkers that they move are associated with the outcome without a true odds ratio of their own."
        )
    if covariates:
        yield f"Covariates with a true effect: {covariates}."
    absent = [o for o in dict.fromkeys(_all_outcomes(inputs)) if o not in inputs.associations]
    if absent:
        yield f"Outcomes of the file that were not analysed: {', '.join(inputs.outcome_label(o) for o in absent)}."


def _all_outcomes(inputs: ReportInputs) -> list[str]:
    return [] if inputs.truth is None else inputs.truth["outcome"].tolist()


def _listed(inputs: ReportInputs, kind: str) -> str:
    """Terms of one kind with an effect, by outcome, as text."""
    table = _effects(inputs, kind)
    parts = []
    for outcome in (o for o in inputs.associations if table["outcome"].eq(o).any()):
        rows = table[table["outcome"] == outcome].to_dict("records")
        terms = [
            f"{str(r['term']).replace('_', ' ')} {ratio(math.exp(r['log_odds_ratio']))}"
            + f" ({r['per']})" * bool(r["per"])
            for r in rows
        ]
        parts.append(f"{inputs.outcome_label(outcome)}: {', '.join(terms)}")
    return "; ".join(parts)


def without_effect(inputs: ReportInputs) -> DisplayTable | None:
    """How many biomarkers without a true effect reach significance, by outcome and model; None without outcomes."""
    truth = _effects(inputs, "biomarker")
    models, known = models_of(inputs), set(_all_outcomes(inputs))
    rows = []
    for outcome, table in inputs.associations.items():
        if outcome not in known:
            continue
        causal = set(truth.loc[truth["outcome"] == outcome, "term"])
        tested = table[estimable(table) & ~table["biomarker"].isin(causal)]
        cells = [inputs.outcome_label(outcome)]
        for model in models:
            of_model = tested[tested["model"] == model]
            cells.append(f"{int((of_model['q'] < inputs.alpha).sum()):,} of {len(of_model):,}")
        rows.append(Row(tuple(cells)))
    if not rows:
        return None
    top = (Heading("Outcome", rows=2), Heading(f"Associated at q < {inputs.alpha:g}, of those estimable", len(models)))
    second = tuple(Heading(model_label(m)) for m in models)
    note = (
        "Not every one of these is a false alarm: a biomarker without an effect of its own is not null where it is "
        "correlated with one that has an effect or with a latent phenotype, where age moves it and the model leaves "
        "age out, or where the lesions of the disease change what is measured. And biomarkers that are correlated with "
        "each other rise and fall together, so that one chance can count many times."
    )
    caption = "Biomarkers without a true effect of their own that are associated all the same."
    align = "l" + "r" * len(models)
    return DisplayTable("truth-without-effect", caption, (top, second), tuple(rows), align, (note,))


def explanation() -> list[str]:
    """Three sentences: per SD of what, why estimates are attenuated, why crude and adjusted ones differ."""
    return [
        "This cohort is simulated: each outcome was drawn from a logistic model with stated coefficients, and a true "
        "odds ratio is for one standard deviation more of the value that the eye has, an estimated one for one "
        "standard deviation more of the value measured in its photograph.",
        "A measurement is the eye's value plus the error of photograph, segmentation and estimator, and error in an "
        "exposure draws its odds ratio towards 1, so estimates nearer to 1 than the truth are expected, the more so "
        "the worse the structure is seen.",
        "Crude and adjusted estimates differ by confounding, because age moves biomarkers and outcomes alike: a crude "
        "odds ratio is too large where the correlation with age and the effect of age, both stated below, have the "
        "same sign, and too small where their signs differ.",
    ]


def result(inputs: ReportInputs, found: list[Pair]) -> str:
    """Count in one sentence the pairs measured and the intervals that cover the truth."""
    if not found:
        return "The file of coefficients states no effect of a biomarker on an outcome analysed here."
    there = [p for p in found if p.found]
    what = f"{count(len(found), 'pair')} of a biomarker and an outcome with a true effect"
    said = f"Of {what}, {len(there):,} could be estimated"
    shares = []
    for model in models_of(inputs):
        of_model = [p.estimates[model].covers(p.truth) for p in there if model in p.found]
        if of_model:
            shares.append(f"{sum(of_model):,} of {len(of_model):,} in the model “{model_label(model)}”")
    return f"{said}; the 95% interval covers the truth for {', '.join(shares)}." if shares else f"{said}."
