"""Truth beside estimate: the coefficients that a simulated cohort was drawn from, joined with what was found."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from retsam import tables
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
NO_VALUES = "no true values"
OTHER_SCALE = "estimated per SD of a transform, true per SD of the value"
"""Why an estimate cannot be held against its true odds ratio."""

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
    of_true : mapping
        As `estimates`, of the same models fitted to true values in place of measured ones; empty where none are known.
    true_reason : str
        As `reason`, of the true values.
    agreement : float
        Spearman correlation of true and measured value over the included eyes; NaN where there is none.
    agreement_n : int
        Eyes with both.
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
    of_true: Mapping[str, Estimate] = field(default_factory=dict)
    true_reason: str = Status.OK.value
    agreement: float = math.nan
    agreement_n: int = 0

    @property
    def found(self) -> dict[str, Estimate]:
        """The estimates that are there."""
        return _there(self.estimates)

    @property
    def true_found(self) -> dict[str, Estimate]:
        """The estimates from true values that are there."""
        return _there(self.of_true)


def _there(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {model: e for model, e in estimates.items() if not math.isnan(e.odds)}


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


def read_true_values(path: str | Path) -> pd.DataFrame:
    """Read a table of true values.

    Parameters
    ----------
    path : path-like
        Parquet as ``retsam simulate`` writes it: image_id and biomarkers of the catalogue, NaN where there is no value.

    Raises
    ------
    UserError
        For a file that is no such table, or a photograph that comes twice.
    """
    name = Path(path).name
    mend = "put the truth/biomarkers.parquet of the same 'retsam simulate' beside the coefficients, or take it away"
    try:
        table = tables.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{name}: not a Parquet table ({error}); {mend}.") from None
    if "image_id" not in table:
        raise UserError(f"{name}: no column 'image_id'; {mend}.")
    if table["image_id"].duplicated().any():
        raise UserError(
            f"{name}: image_id {table.loc[table['image_id'].duplicated(), 'image_id'].iloc[0]!r} comes twice; {mend}."
        )
    values = table.drop(columns="image_id").apply(pd.to_numeric, errors="coerce").astype(float)
    return values.assign(image_id=table["image_id"].astype(str))


def terms(truth: pd.DataFrame, outcome: str) -> list[str]:
    """Biomarkers with a true effect on an outcome, in the order of the file."""
    here = (truth["outcome"] == outcome) & (truth["kind"] == "biomarker") & (truth["log_odds_ratio"] != 0)
    return truth.loc[here, "term"].tolist()


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
    rows, estimates = _estimates(inputs, table, name)
    reason, measured = _reason(inputs, name, rows)
    mean, sd, age = (float(term[c]) for c in ("mean", "sd", "correlation_with_age"))
    made = Pair(outcome, name, math.exp(term["log_odds_ratio"]), mean, sd, age, estimates, reason, measured)
    if inputs.true_values is None:
        return made
    rows, of_true = _estimates(inputs, inputs.true_associations.get(outcome, table.iloc[:0]), name)
    known = bool(rows["estimable"].any())
    why = Status.OK.value if known else str(rows["status"].iloc[-1]) if len(rows) else NO_VALUES
    agreement, eyes = _agreement(inputs, name)
    return replace(made, of_true=of_true, true_reason=why, agreement=agreement, agreement_n=eyes)


def _estimates(inputs: ReportInputs, table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, dict[str, Estimate]]:
    """Association rows of one biomarker, and its estimate of each model; none per SD of a transform."""
    rows = table[table["biomarker"] == name]
    same_scale = rows["transform"].eq("none") if "transform" in rows else True
    rows = rows.assign(estimable=estimable(rows) & same_scale)
    of_model = {str(r["model"]): r for r in rows.to_dict("records")}
    return rows, {m: _estimate(of_model[m]) for m in inputs.model_names(table) if m in of_model}


def _agreement(inputs: ReportInputs, name: str) -> tuple[float, int]:
    """Spearman correlation of true and measured value over the included eyes, and the number of eyes with both."""
    if inputs.true_values is None or name not in inputs.true_values or name not in inputs.eyes:
        return math.nan, 0
    measured = inputs.eyes[["image_id", name]].rename(columns={name: "measured"})
    both = measured.merge(inputs.true_values[["image_id", name]], on="image_id").drop(columns="image_id").dropna()
    varies = len(both) > 2 and both.nunique().gt(1).all()
    return (float(both.rank().corr().to_numpy()[0, 1]) if varies else math.nan), len(both)


def _reason(inputs: ReportInputs, biomarker: str, rows: pd.DataFrame) -> tuple[str, bool]:
    """Why no model has an estimate, or ``ok``, and whether any photograph has a value."""
    if rows["estimable"].any():
        return Status.OK.value, True
    seen = _statuses(inputs, biomarker)
    if seen and Status.OK not in seen:
        return seen[0], False
    if len(rows):
        status = str(rows["status"].iloc[-1])
        return (OTHER_SCALE if status == Status.OK else status), True
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
    made = (*inputs.associations.values(), *inputs.true_associations.values())
    return list(dict.fromkeys(m for table in made for m in inputs.model_names(table)))


def comparison(inputs: ReportInputs, found: list[Pair]) -> DisplayTable | None:
    """True odds ratio of each pair beside the estimate of every model; None where no biomarker has an effect.

    Where true values are known, the estimates from them come between, and all from photographs have a heading of
    their own.
    """
    if not found:
        return None
    models, split = models_of(inputs), inputs.true_values is not None
    rows: list[Row] = []
    for outcome in dict.fromkeys(p.outcome for p in found):
        rows.append(Row((inputs.outcome_label(outcome),), group=True))
        rows += [_comparison_row(inputs, p, models) for p in found if p.outcome == outcome]
    align = "lrrr" + "rrr" * len(models) * (1 + split) + "r" * split + "n"
    caption = "True and estimated odds ratios of the biomarkers with a true effect."
    notes = (*_comparison_notes(inputs, found), *remarks(inputs))
    return DisplayTable("truth-table", caption, _comparison_header(models, split), tuple(rows), align, notes)


def _comparison_header(models: list[str], split: bool) -> tuple[tuple[Heading, ...], ...]:
    """Headings: a line of models and one of their columns; above them, where true values are known, one of sources."""
    first = ("Biomarker", "True OR per SD", "True mean (SD)", "Correlation with age")
    named = tuple(Heading(model_label(m), columns=3) for m in models)
    columns = tuple(Heading(t) for _ in models for t in ("OR (95% CI)", "covers truth", "n (events)"))
    high = tuple(Heading(t, rows=2 + split) for t in first)
    status = Heading("Status", rows=2 + split)
    if not split:
        return (*high, *named, status), columns
    wide = 3 * len(models)
    sources = (
        Heading("From the true values", columns=wide),
        Heading("Rank correlation of true and measured (eyes)", rows=3),
        Heading("From the photographs", columns=wide),
    )
    return (*high, *sources, status), named * 2, columns * 2


def _comparison_row(inputs: ReportInputs, pair: Pair, models: list[str]) -> Row:
    label = inputs.biomarker_label(pair.biomarker)
    cells = [label, ratio(pair.truth), mean_sd(pair.mean, pair.sd), _correlation(pair.age)]
    if inputs.true_values is not None:
        cells += _estimate_cells(pair.truth, pair.of_true, models)
        cells.append(f"{_correlation(pair.agreement)} ({pair.agreement_n:,})" if pair.agreement_n else DASH)
    cells += _estimate_cells(pair.truth, pair.estimates, models)
    cells.append("; ".join(said for said in (status_of(pair), true_status_of(pair)) if said))
    return Row(tuple(cells), code=pair.biomarker if pair.biomarker != label else "")


def _correlation(value: float) -> str:
    return DASH if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212")


def _estimate_cells(truth: float, estimates: Mapping[str, Estimate], models: list[str]) -> list[str]:
    """Three cells a model: odds ratio, whether its interval covers the truth, rows and events."""
    cells = []
    for e in map(estimates.get, models):
        if e is None:
            cells += [DASH] * 3
        else:
            covers = DASH if math.isnan(e.odds) else "yes" if e.covers(truth) else "no"
            cells += [interval(e.odds, e.low, e.high), covers, f"{e.n} ({e.events})"]
    return cells


def true_status_of(pair: Pair) -> str:
    """Why no model has an estimate from true values; empty where one has."""
    return "" if pair.true_reason == Status.OK else f"true values: no estimate: {reason_label(pair.true_reason)}"


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
    if inputs.true_values is not None:
        yield (
            "Rank correlation: Spearman's, of the true and the measured value over the included eyes that have both; "
            "it tells how well the photographs show the biomarker."
        )
        yield (
            "From the true values: per standard deviation of the true values of the rows of the model. They are "
            "what the eye is within the view of the photograph that stands for it. An eye counts here also where "
            "nothing could be measured, so n may be larger than with the photographs and the estimator another one."
        )
        if inputs.unit == "participant":
            yield (
                "A participant has the mean of the eyes and the outcome of any eye, and the true odds ratios are those "
                "of single eyes: also with true values an estimate is then of a somewhat different quantity."
            )
    reasons = dict.fromkeys(r for p in found for r in (p.reason, p.true_reason))
    yield from (f"{reason_label(r)}: {meaning(r)}." for r in reasons if r in set(Status) and r != Status.OK)


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


def explanation(inputs: ReportInputs) -> list[str]:
    """Sentences: per SD of what, why estimates miss the truth, why crude and adjusted ones differ."""
    return [
        "This cohort is simulated: each outcome was drawn from a logistic model with stated coefficients, and a true "
        "odds ratio is for one standard deviation more of the value that the eye has, an estimated one for one "
        "standard deviation more of the value measured in its photograph.",
        *(_ERROR if inputs.true_values is None else _TWO_STEPS),
        "Crude and adjusted estimates differ by confounding, because age moves biomarkers and outcomes alike: a crude "
        "odds ratio is too large where the correlation with age and the effect of age, both stated below, have the "
        "same sign, and too small where their signs differ.",
    ]


_ERROR = (
    "A measurement is the eye's value plus the error of photograph, segmentation and estimator, and error in an "
    "exposure draws its odds ratio towards 1, so estimates nearer to 1 than the truth are expected, the more so "
    "the worse the structure is seen.",
)
_TWO_STEPS = (
    "An estimate misses the truth in two steps, and they are taken apart here.",
    "From the truth to the estimates from true values it is sampling: the same models are fitted to the included eyes "
    "with the values that the eyes have in place of the measured ones, so that what they miss is due to the people "
    "who happen to be in the study and to what a model leaves out, and nothing to the photographs.",
    "From there to the estimates from the photographs it is measurement: the measured value is the eye's value plus "
    "the error of photograph, segmentation and estimator, or missing, and such error as a rule draws an odds ratio "
    "towards 1, the more so the lower the rank correlation of true and measured value.",
)


def result(inputs: ReportInputs, found: list[Pair]) -> str:
    """Count the pairs estimated and the intervals that cover the truth, from true values and from photographs."""
    if not found:
        return "The file of coefficients states no effect of a biomarker on an outcome analysed here."
    what = f"{count(len(found), 'pair')} of a biomarker and an outcome with a true effect"
    models = models_of(inputs)
    measured = [(p.truth, p.found) for p in found]
    if inputs.true_values is None:
        return f"Of {what}, {_coverage(measured, models)}."
    known = [(p.truth, p.true_found) for p in found]
    return (
        f"Of {what}, {_coverage(known, models, ' from the true values')}. "
        f"From the photographs {_coverage(measured, models)}."
    )


def _coverage(estimates: list[tuple[float, dict[str, Estimate]]], models: list[str], source: str = "") -> str:
    """How many pairs have an estimate, and how many intervals of each model cover the truth."""
    said = f"{sum(bool(there) for _, there in estimates):,} could be estimated{source}"
    shares = []
    for model in models:
        covers = [there[model].covers(truth) for truth, there in estimates if model in there]
        if covers:
            shares.append(f"{sum(covers):,} of {len(covers):,} in the model “{model_label(model)}”")
    return f"{said}; the 95% interval covers the truth for {', '.join(shares)}" if shares else said
