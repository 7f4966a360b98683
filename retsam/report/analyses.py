"""Tables of what goes beyond the declared analysis: shape, sensitivity, strata and interactions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from retsam.report.inputs import ReportInputs, model_label
from retsam.report.tables import DASH, DisplayTable, Heading, Row, effect, leading, q_value, reason_label, sort_keys
from retsam.status import Status

MOST = 15
"""Biomarkers of one table: those of the smallest p in the main analysis."""

QUARTILES = {"q2_vs_q1": "2nd against 1st", "q3_vs_q1": "3rd against 1st", "q4_vs_q1": "4th against 1st"}
"""Terms of the quarters of a biomarker's distribution."""

STRATUM, INTERACTION = "stratum:", "interaction:"

ANALYSES = {
    "main": "Main",
    "all_gradabilities": "All gradabilities",
    "gradable_only": "Gradable only",
    "one_eye": "One eye each",
    "imputed": "Covariates imputed",
}
"""Analyses in print."""


def analysis_label(analysis: str) -> str:
    """Name of an analysis in print."""
    if analysis.startswith("without_site:"):
        return f"Without site {analysis.removeprefix('without_site:')}"
    return ANALYSES.get(analysis, analysis.removeprefix(STRATUM).replace("=", " = ", 1))


def shape(inputs: ReportInputs, outcome: str) -> DisplayTable | None:
    """Quarters against the first, their trend and the test of a straight line; None where none was estimated."""
    rows = _of_primary(inputs, outcome, analysis="main")
    present = [term for term in QUARTILES if rows["term"].eq(term).any()]
    if not present and not rows["term"].isin(["trend", "nonlinear"]).any():
        return None
    found = _by_term(rows)
    body = []
    for name in _shown(inputs, outcome, rows[rows["term"].ne("per_sd")]):
        cells = [_printed(found.get((name, term))) for term in ("per_sd", *present)]
        tests = [found.get((name, term)) for term in ("trend", "nonlinear", "nonlinear")]
        numbers = [_number(r, c) for r, c in zip(tests, ("p", "p", "q"), strict=True)]
        keys = dict(enumerate([_size(found.get((name, t))) for t in ("per_sd", *present)], start=1))
        keys |= dict(enumerate(numbers, start=2 + len(present)))
        body.append(_row(inputs, name, [*cells, *map(q_value, numbers)], keys))
    top = [Heading("Biomarker", rows=2), Heading("Per SD", rows=2)]
    top += [Heading("Quarter of the distribution", columns=len(present))] if present else []
    top += [Heading("p, trend", rows=2), Heading("Not a straight line", columns=2)]
    second = tuple(Heading(text) for text in (*(QUARTILES[t] for t in present), "p", "q"))
    note = (
        "Trend: per quarter. Not a straight line: joint test of the curved terms of a restricted cubic spline, q over "
        "the biomarkers so tested within outcome, model and family."
    )
    caption = f"Shape of the association with {inputs.outcome_label(outcome)}{_model(inputs, outcome)}."
    align = "l" + "r" * (4 + len(present))
    return _table("shape", inputs, outcome, caption, (tuple(top), second), body, align, (note,))


def sensitivity(inputs: ReportInputs, outcome: str) -> DisplayTable | None:
    """The same biomarkers under every other analysis; None where there is none."""
    rows = _of_primary(inputs, outcome, term="per_sd")
    rows = rows[~rows["analysis"].str.startswith(STRATUM)]
    return _grid(inputs, outcome, rows, "sensitivity", "Sensitivity analyses of the association with")


def strata(inputs: ReportInputs, outcome: str) -> DisplayTable | None:
    """The same biomarkers in parts of the cohort; None where there is none."""
    rows = _of_primary(inputs, outcome, term="per_sd")
    rows = rows[rows["analysis"].str.startswith(STRATUM) | rows["analysis"].eq("main")]
    return _grid(inputs, outcome, rows, "strata", "Parts of the cohort: association with")


def interactions(inputs: ReportInputs, outcome: str) -> DisplayTable | None:
    """Tests of whether a covariate changes the association; None where there is none."""
    rows = _of_primary(inputs, outcome, analysis="main")
    rows = rows[rows["term"].str.startswith(INTERACTION)]
    covariates = list(dict.fromkeys(rows["term"]))
    if not covariates:
        return None
    found = _by_term(rows)
    body = []
    for name in _shown(inputs, outcome, rows):
        cells: list[str] = []
        keys: dict[int, float] = {}
        for at, term in enumerate(covariates):
            r = found.get((name, term))
            cells += [_printed(r), q_value(_number(r, "p")), q_value(_number(r, "q"))]
            keys |= {1 + 3 * at: _size(r), 2 + 3 * at: _number(r, "p"), 3 + 3 * at: _number(r, "q")}
        body.append(_row(inputs, name, cells, keys))
    top = tuple(Heading(term.removeprefix(INTERACTION), columns=3) for term in covariates)
    second = tuple(Heading(text) for _ in covariates for text in ("ratio (95% CI)", "p", "q"))
    note = (
        "Ratio: of the odds ratios per SD, for one SD more of the covariate or its second category; one of more "
        "categories has a joint test only."
    )
    caption = f"Interactions of the association with {inputs.outcome_label(outcome)}{_model(inputs, outcome)}."
    header = ((Heading("Biomarker", rows=2), *top), second)
    align = "l" + "r" * 3 * len(covariates)
    return _table("interactions", inputs, outcome, caption, header, body, align, (note,))


def _of_primary(inputs: ReportInputs, outcome: str, **wanted: str) -> pd.DataFrame:
    """Rows of the most adjusted model, of one analysis or term; none of a table that knows neither."""
    table = inputs.every_row(outcome)
    if "analysis" not in table or "term" not in table:
        return pd.DataFrame(columns=[*table, *({"analysis", "term"} - set(table))])
    keep = table["model"] == inputs.primary_model(inputs.associations[outcome])
    for column, value in wanted.items():
        keep &= table[column].eq(value)
    return table[keep]


def _shown(inputs: ReportInputs, outcome: str, rows: pd.DataFrame) -> list[str]:
    """The strongest biomarkers of the main analysis among those that `rows` hold."""
    present = set(rows["biomarker"])
    return [name for name in leading(inputs, outcome, inputs.associations[outcome].shape[0]) if name in present][:MOST]


def _by_term(rows: pd.DataFrame) -> dict[tuple[str, str], Mapping[Any, Any]]:
    return {(str(r["biomarker"]), str(r["term"])): r for r in rows.to_dict("records")}


def _grid(
    inputs: ReportInputs, outcome: str, rows: pd.DataFrame, key: str, caption: str, main: str = "main"
) -> DisplayTable | None:
    """Biomarkers by analysis; None without an analysis beside the main one."""
    analyses = list(dict.fromkeys([main, *rows["analysis"]]))
    if len(analyses) < 2:
        return None
    found = {(str(r["biomarker"]), str(r["analysis"])): r for r in rows.to_dict("records")}
    body = []
    for name in _shown(inputs, outcome, rows[rows["analysis"].ne(main)]):
        cells = [found.get((name, analysis)) for analysis in analyses]
        keys = dict(enumerate(map(_size, cells), start=1))
        body.append(_row(inputs, name, [_printed(r) for r in cells], keys))
    header = ((Heading("Biomarker"), *(Heading(analysis_label(a)) for a in analyses)),)
    largest = rows.groupby("analysis", sort=False)["n"].max()
    numbers = "; ".join(f"{analysis_label(a)}: {int(largest.get(a, 0)):,}" for a in analyses)
    note = f"Rows ({inputs.unit}s) of the model, at most: {numbers}."
    caption = f"{caption} {inputs.outcome_label(outcome)}{_model(inputs, outcome)}."
    return _table(key, inputs, outcome, caption, header, body, "l" + "r" * len(analyses), (note,))


def _model(inputs: ReportInputs, outcome: str) -> str:
    """Part of a caption: what the numbers are, and of which model."""
    what = "differences" if inputs.kind(outcome) == "continuous" else "odds ratios"
    return f", {what} (95% CI), model “{model_label(str(inputs.primary_model(inputs.associations[outcome])))}”"


def _table(
    key: str,
    inputs: ReportInputs,
    outcome: str,
    caption: str,
    header: tuple[tuple[Heading, ...], ...],
    body: Sequence[Row],
    align: str,
    notes: tuple[str, ...],
) -> DisplayTable | None:
    if not body:
        return None
    everything = f"At most {MOST} biomarkers, those of the smallest p; every row is in association/{outcome}.parquet."
    number = list(inputs.associations).index(outcome) + 1
    return DisplayTable(f"{key}-{number}", caption, header, tuple(body), align, (*notes, everything))


def _row(inputs: ReportInputs, name: str, cells: Sequence[str], keys: Mapping[int, Any]) -> Row:
    label = inputs.biomarker_label(name)
    return Row((label, *cells), code=name if label != name else "", sort=sort_keys(keys))


def _printed(r: Mapping[Any, Any] | None) -> str:
    """Effect of a row, else why there is none."""
    if r is None:
        return DASH
    return effect(r) if r["status"] == Status.OK else reason_label(r["status"])


def _number(r: Mapping[Any, Any] | None, column: str) -> float:
    value = math.nan if r is None else r[column]
    return float(value) if pd.notna(value) else math.nan


def _size(r: Mapping[Any, Any] | None) -> float:
    size = _number(r, "or")
    return size if not math.isnan(size) or r is None else _number(r, "beta")
