"""Tables and sentences about how well many biomarkers together tell who is affected."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from retsam.report.inputs import ReportInputs, family_label
from retsam.report.tables import (
    DASH,
    LABELS,
    LEVELS,
    DisplayTable,
    Heading,
    Row,
    count,
    difference,
    q_value,
    reason_label,
    sort_keys,
)
from retsam.status import Status

SETS = {"age_sex": "Age and sex", "biomarkers": "Biomarkers", "both": "Both"}
"""What a prediction is made from, in print."""

BASELINE = ("age", "sex")
"""Columns of a prediction that are no biomarkers."""

MOST_WEIGHTS = 15
"""Coefficients of one table: the largest."""


def performance(inputs: ReportInputs, outcome: str) -> DisplayTable | None:
    """Discrimination and calibration, one row a set; None where the outcome was not predicted."""
    table = inputs.prediction.get(outcome)
    if table is None or table.empty:
        return None
    records = table.to_dict("records")
    rows = tuple(_performance_row(r) for r in records)
    header = (
        (
            Heading("Predicted from", rows=2),
            Heading("Columns", rows=2),
            Heading("AUC (95% CI)", rows=2),
            Heading("More than age and sex", columns=2),
            Heading("Brier score", rows=2),
            Heading("Calibration (95% CI)", columns=2),
        ),
        tuple(Heading(text) for text in ("difference (95% CI)", "p", "intercept", "slope")),
    )
    first = records[0]
    unit = str(first["unit"])
    size = (
        f"{count(first['n'], unit)} ({int(first['n_events']):,} affected) of "
        f"{count(first['n_participants'], 'participant')}; {count(first['folds'], 'fold')}."
    )
    prevalence = _number(first, "brier_prevalence")
    known = "" if math.isnan(prevalence) else f", {prevalence:.3f} is that of predicting the prevalence for everyone"
    notes = [
        f"Held-out predictions of {size}",
        "AUC: area under the receiver operating characteristic, DeLong interval with the rows of a person as a "
        "cluster; p: DeLong test, not adjusted for the number of tests. Intercept and slope of a calibrated prediction "
        f"are 0 and 1. Brier score: 0 is perfect{known}.",
        "Where there is nothing to predict from, intervals of the AUC about 0.5 are too narrow; one that just misses "
        "0.5 is no evidence.",
        *(f"{SETS.get(str(r['set']), str(r['set']))}: {r['note']}." for r in records if r["note"]),
    ]
    caption = f"Prediction of {inputs.outcome_label(outcome)} by models that did not see the participant."
    return DisplayTable(
        _key("prediction", inputs, outcome), caption, header, rows, "lrrrrrrr", tuple(notes), fixed=True
    )


def _performance_row(r: Mapping[Any, Any]) -> Row:
    label = SETS.get(str(r["set"]), str(r["set"]))
    if r["status"] != Status.OK:
        return Row((label, DASH, reason_label(r["status"]), *[DASH] * 5))
    brier = _number(r, "brier")
    cells = (
        label,
        f"{int(r['n_features']):,}",
        area(r),
        difference(*(_number(r, c) for c in ("delta_auc", "delta_low", "delta_high"))),
        q_value(_number(r, "delong_p")),
        DASH if math.isnan(brier) else f"{brier:.3f}",
        *(difference(*(_number(r, c) for c in (n, f"{n}_low", f"{n}_high"))) for n in ("intercept", "slope")),
    )
    return Row(cells, strong=_number(r, "delta_low") > 0)


def weights(inputs: ReportInputs, outcome: str) -> DisplayTable | None:
    """The largest coefficients of the largest set that was predicted; None where there is none."""
    table = inputs.prediction_weights.get(outcome)
    if table is None or table.empty:
        return None
    name = max(table["set"].unique(), key=lambda s: ([*SETS].index(s) if s in SETS else -1, s))
    part = table[table["set"].eq(name)]
    rows = []
    for r in part.nsmallest(MOST_WEIGHTS, "rank").to_dict("records"):
        feature = str(r["feature"])
        label = feature_label(inputs, feature)
        share = round(float(r["sign_stability"]) * int(r["n_folds"]))
        cells = (
            label,
            "Covariate" if r["family"] == "covariate" else family_label(str(r["family"])),
            f"{r['coefficient']:.3f} ({r['low']:.3f} to {r['high']:.3f})",
            f"{share} of {int(r['n_folds'])}",
        )
        keys = sort_keys({2: abs(_number(r, "coefficient")), 3: _number(r, "sign_stability")})
        rows.append(Row(cells, code=feature if label != feature else "", sort=keys))
    heads = ("Column", "Family", "Coefficient (range over the folds)", "Folds of the same sign")
    notes = [
        "Log odds ratio per standard deviation given all other columns, shrunk towards 0, mean over the folds. "
        "Biomarkers that measure nearly the same share one effect among them: a small coefficient does not mean that "
        "a biomarker is unrelated.",
        f"The {len(rows)} largest of {len(part):,}; all are in prediction/{outcome}_weights.parquet.",
    ]
    caption = f"What the prediction of {inputs.outcome_label(outcome)} rests on, set “{SETS.get(name, name)}”."
    header = (tuple(Heading(text) for text in heads),)
    return DisplayTable(_key("weights", inputs, outcome), caption, header, tuple(rows), "llrr", tuple(notes))


def feature_label(inputs: ReportInputs, feature: str) -> str:
    """Name of a column of a prediction in print: ``Age, years``, ``Sex: male``, a biomarker's label."""
    name, _, level = feature.removesuffix("]").partition("[")
    if name in inputs.biomarkers or name not in BASELINE:
        return inputs.biomarker_label(feature)
    label = LABELS.get(name, name)
    return f"{label}: {LEVELS.get(name, {}).get(level, level)}" if level else label


def sentences(inputs: ReportInputs, outcome: str) -> list[str]:
    """Results in words; empty where the outcome was not predicted."""
    table = inputs.prediction.get(outcome)
    if table is None or table.empty:
        return []
    records = {str(r["set"]): r for r in table.to_dict("records")}
    made = {name: r for name, r in records.items() if r["status"] == Status.OK and pd.notna(r["auc"])}
    if not made:
        first = next(iter(records.values()))
        return [f"{inputs.outcome_label(outcome)} was not predicted from many biomarkers: {first['note']}."]
    areas = ", ".join(f"{area(made[name])} from {_from(name, made[name])}" for name in made)
    text = [f"In held-out participants the area under the curve was {areas}."]
    text += [_gain(made[name], name) for name in ("biomarkers", "both") if _known(made.get(name), "delong_p")]
    last = next(reversed(made))
    if _known(made[last], "slope"):
        slope = difference(*(_number(made[last], c) for c in ("slope", "slope_low", "slope_high")))
        text.append(f"The calibration slope of the prediction from {_from(last, made[last])} was {slope}.")
    return text


def methods(inputs: ReportInputs) -> list[str]:
    """How predictions were made; empty where there is none."""
    if not inputs.prediction:
        return []
    settings = inputs.config.get("prediction") or {}
    first = next(iter(inputs.prediction.values())).iloc[0]
    share = float(settings.get("max_missing", 0.5))
    left = [f"those missing in more than {share:.0%} of the training rows", "those validated on synthetic images only"]
    left = left if settings.get("definitional") else ["those that define the outcome", *left]
    out = ", ".join(left[:-1]) + f" and {left[-1]}"
    return [
        "Each outcome was predicted from age and sex, from biomarkers and from both, by logistic regression with a "
        f"ridge penalty in nested {int(first['folds'])}-fold cross-validation; all rows of a participant were in the "
        "same fold, and medians for missing values, scales and the penalty were learned from the training part alone.",
        f"Of the biomarkers, {out} were left out.",
        "Areas under the curve of the held-out predictions have DeLong intervals and tests, with the rows of a "
        "participant as a cluster (Obuchowski); the variation that other training data would bring is not in them.",
    ]


def area(r: Mapping[Any, Any]) -> str:
    """Area under the curve with its interval: ``0.74 (0.70–0.78)``; without one where it has none."""
    auc, low, high = (_number(r, column) for column in ("auc", "low", "high"))
    if math.isnan(auc):
        return DASH
    return f"{auc:.2f}" if math.isnan(low) else f"{auc:.2f} ({low:.2f}–{high:.2f})"


def _from(name: str, r: Mapping[Any, Any]) -> str:
    if name == "age_sex":
        return "age and sex"
    return count(r["n_features"], "biomarker") if name == "biomarkers" else SETS.get(name, name).lower()


def _gain(r: Mapping[Any, Any], name: str) -> str:
    """Sentence about a set against age and sex."""
    who = {"biomarkers": "Biomarkers alone", "both": "Biomarkers with age and sex"}[name]
    gap = _number(r, "delta_auc")
    low, high = sorted((abs(_number(r, "delta_low")), abs(_number(r, "delta_high"))))
    p = q_value(_number(r, "delong_p"))
    shown = p if p.startswith("<") else f"= {p}"
    if _number(r, "delta_low") <= 0 <= _number(r, "delta_high"):
        span = difference(gap, _number(r, "delta_low"), _number(r, "delta_high"))
        return f"{who} were not clearly different from age and sex: {span}, p {shown}."
    verb = "more" if gap > 0 else "less"
    return f"{who} reached {abs(gap):.2f} {verb} than age and sex ({low:.2f}–{high:.2f}, p {shown})."


def _known(r: Mapping[Any, Any] | None, column: str) -> bool:
    return r is not None and not math.isnan(_number(r, column))


def _number(r: Mapping[Any, Any], column: str) -> float:
    value = r.get(column)
    return float(value) if pd.notna(value) else math.nan  # type: ignore[arg-type]


def _key(name: str, inputs: ReportInputs, outcome: str) -> str:
    """Key of a table that is unique on the page, whatever the outcome is called."""
    outcomes = list(dict.fromkeys([*inputs.associations, *inputs.prediction, *inputs.prediction_weights]))
    return f"{name}-{outcomes.index(outcome) + 1}"
