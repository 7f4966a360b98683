"""The tables of a report as text: numbers formatted, rows in order, nothing left to the template but layout."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from retsam.report.inputs import (
    METHOD_LABELS,
    ReportInputs,
    counted,
    estimable,
    family_label,
    has_odds_ratio,
    model_label,
)
from retsam.status import MEANING, Status

DASH = "–"
DAGGER, PHANTOM_MARK = "†", "‡"
MOST_LEVELS = 8
"""A text column with more levels than this is left out of Table 1."""


@dataclass(frozen=True)
class Heading:
    """One heading cell."""

    text: str
    columns: int = 1
    rows: int = 1


@dataclass(frozen=True)
class Row:
    """One body row.

    Attributes
    ----------
    cells : tuple of str
        One a column; a `group` row holds a single cell that names the rows below it.
    group, strong : bool
    span : int
        Rows that the first cell covers; 0 where a row above covers this one, and `cells` begins with the second.
    code : str
        Identifier below the first cell's text.
    anchor : str
        Section that the first cell links to.
    sort : mapping of int to str
        Column -> number to sort by, where the text is rounded or cut.
    """

    cells: tuple[str, ...]
    group: bool = False
    strong: bool = False
    span: int = 1
    code: str = ""
    anchor: str = ""
    sort: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DisplayTable:
    """A table ready to print.

    Attributes
    ----------
    key : str
        Unique on the page.
    caption : str
    header : tuple of tuples of Heading
    rows : tuple of Row
    align : str
        One letter a column: l (left), n (left, never broken) or r (right, never broken).
    notes : tuple of str
        Below the table.
    fixed : bool
        The order of the rows is part of what they say: not to be sorted.
    """

    key: str
    caption: str
    header: tuple[tuple[Heading, ...], ...]
    rows: tuple[Row, ...]
    align: str
    notes: tuple[str, ...] = ()
    fixed: bool = False


def count(n: Any, noun: str) -> str:
    """Number with its noun: ``1 eye``, ``1,787 eyes``."""
    return f"{int(n):,} {noun}{'' if int(n) == 1 else 's'}"


def percent(part: int, whole: int) -> str:
    """Share in per cent with one digit; a dash where the whole is zero."""
    return f"{100 * part / whole:.1f}%" if whole else DASH


def ratio(value: float) -> str:
    """Odds ratio with three significant digits or two decimals: ``0.85``, ``12.3``, ``<0.01``, ``>999``."""
    if math.isnan(value):
        return DASH
    if value < 0.005:
        return "<0.01"
    if value > 999.5:
        return ">999"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def interval(odds: float, low: float, high: float) -> str:
    """Odds ratio with its 95% interval: ``0.85 (0.70–1.02)``; a dash where there is none."""
    return DASH if math.isnan(odds) else f"{ratio(odds)} ({ratio(low)}–{ratio(high)})"


def difference(beta: float, low: float, high: float) -> str:
    """Difference with its 95% interval, as precise as that is wide: ``-0.42 (-0.71 to -0.13)``; a dash without one."""
    if math.isnan(beta):
        return DASH
    spread = (high - low) / 4
    decimals = 1 - math.floor(math.log10(spread)) if 0 < spread < math.inf else 2
    if decimals > 7:
        return f"{beta:.3g} ({low:.3g} to {high:.3g})"
    texts = (f"{round(v, decimals) + 0.0:,.{max(decimals, 0)}f}" for v in (beta, low, high))
    return "{} ({} to {})".format(*texts)


def effect(row: Mapping[Any, Any]) -> str:
    """Odds ratio, or difference of a continuous outcome, of one association row, with its 95% interval."""
    if pd.notna(row["or"]):
        return interval(float(row["or"]), float(row["ci_low"]), float(row["ci_high"]))
    if pd.notna(row.get("beta")):
        return difference(float(row["beta"]), float(row["beta_low"]), float(row["beta_high"]))
    return DASH


def sort_keys(values: Mapping[int, Any]) -> dict[int, str]:
    """Numbers to sort by as short text; those that are missing are left out."""
    return {column: f"{float(v):.6g}" for column, v in values.items() if pd.notna(v)}


def q_value(value: float) -> str:
    """P or q value: three decimals, ``<0.001`` below."""
    if math.isnan(value):
        return DASH
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def mean_sd(mean: float, sd: float) -> str:
    """Mean and standard deviation to two significant digits of the latter: ``1.432 (0.071)``, ``12,300 (460)``."""
    if math.isnan(mean):
        return DASH
    if math.isnan(sd) or sd <= 0:
        return f"{mean:.4g} ({DASH if math.isnan(sd) else 0})"
    decimals = 1 - math.floor(math.log10(sd))
    if decimals > 7:
        return f"{mean:.3g} ({sd:.1e})"
    return f"{round(mean, decimals):,.{max(decimals, 0)}f} ({round(sd, decimals):,.{max(decimals, 0)}f})"


def reason_label(reason: str) -> str:
    """Status code in words."""
    other = {"not_best_image_of_eye": "not the best photograph of its eye"}
    return other.get(str(reason), str(reason).replace("_", " "))


def meaning(reason: str) -> str:
    """Sentence for a status code; the code itself in words where it is none of ours."""
    return MEANING[Status(reason)] if reason in set(Status) else reason_label(reason)


def _heads(*texts: str) -> tuple[tuple[Heading, ...], ...]:
    return (tuple(Heading(t) for t in texts),)


def overview(inputs: ReportInputs) -> DisplayTable:
    """One row an outcome: participants with and without it, and how many biomarkers are associated per model."""
    tables = inputs.associations
    models = list(dict.fromkeys(m for table in tables.values() for m in inputs.model_names(table)))
    rows = []
    for outcome, table in tables.items():
        known = _binary(inputs.participants, outcome)
        binary = inputs.kind(outcome) == "binary"
        sides = [f"{int((known == v).sum()):,}" if binary else DASH for v in (1, 0)]
        cells = [inputs.outcome_label(outcome), *sides]
        cells += [f"{int(known.isna().sum()):,}", f"{table['biomarker'].nunique():,}"]
        for model in models:
            found = significant(table, model, inputs.alpha)
            flagged = int(found["definitional"].sum())
            tested = int((counted(table) & (table["model"] == model)).sum())
            cells.append(f"{len(found)} of {tested}" + f" ({flagged} definitional)" * bool(flagged))
        rows.append(Row(tuple(cells)))
    top = (
        Heading("Outcome", rows=2),
        Heading("Participants", columns=3),
        Heading("Biomarkers tested", rows=2),
        *([Heading(f"Associated at q < {inputs.alpha:g}, of those estimable", columns=len(models))] if models else []),
    )
    second = tuple(Heading(t) for t in ("with", "without", "unknown", *(model_label(m) for m in models)))
    note = (
        "q: false discovery rate (Benjamini–Hochberg within outcome, model and family). "
        "Definitional: the biomarker measures what defines the outcome."
    )
    caption = "Outcomes and number of associated biomarkers, by model."
    align = "l" + "r" * (4 + len(models))
    return DisplayTable("overview-table", caption, (top, second), tuple(rows), align, (note,), fixed=True)


def significant(table: pd.DataFrame, model: str | None, alpha: float) -> pd.DataFrame:
    """Rows of one model that count (see :func:`counted`) and have q below `alpha`."""
    return table[counted(table) & (table["model"] == model) & (table["q"] < alpha)]


def _binary(participants: pd.DataFrame, outcome: str) -> pd.Series:
    """Outcome of the participants as 0, 1 or NaN; all NaN where the column is missing."""
    if outcome not in participants:
        return pd.Series(np.nan, index=participants.index)
    return pd.to_numeric(participants[outcome], errors="coerce")


LABELS = {
    "age": "Age, years",
    "sex": "Sex",
    "n_eyes": "Eyes analysed",
    "site": "Site",
    "camera": "Camera",
    "gradability": "Gradability",
}
LEVELS = {"sex": {"f": "female", "m": "male"}}


def table_one(inputs: ReportInputs, outcomes: Sequence[str]) -> DisplayTable | None:
    """Participants by outcome, with standardised mean differences (tableone package).

    Parameters
    ----------
    inputs : ReportInputs
    outcomes : sequence of str
        Side by side; an outcome without cases, or without controls, has an empty column and no difference.

    Returns
    -------
    DisplayTable or None
        None where there are no participants, or no characteristic to show.
    """
    data, categorical, skipped = _characteristics(inputs)
    if data.empty or not len(data.columns):
        return None
    base = _tableone(data, categorical, None)
    groups = {o: _grouped(inputs, data, categorical, o) for o in outcomes}
    rows, previous = [], ""
    for variable, level in base.index:
        if level and variable != previous:
            rows.append(Row((variable,), group=True))
        previous = variable
        cells = [level or ("Participants" if variable == "n" else variable)]
        cells += [
            _cell(base, (variable, level), "Overall"),
            _cell(base, (variable, level), "Missing") or DASH * (not level),
        ]
        for o in outcomes:
            cells += [_cell(groups[o], (variable, level), c) or DASH for c in ("without", "with")]
            cells.append(_cell(groups[o], (variable, level), "SMD").removeprefix("-"))  # a size: text has no sign
        rows.append(Row(tuple(cells)))
    top = [Heading("Characteristic", rows=2), Heading("All", rows=2), Heading("Missing", rows=2)]
    top += [Heading(inputs.outcome_label(o), columns=3) for o in outcomes]
    second = tuple(Heading(t) for _ in outcomes for t in ("without", "with", "SMD"))
    header = (tuple(top), second) if outcomes else (tuple(Heading(h.text) for h in top),)
    notes = [
        "SMD: size of the standardised mean difference between participants with and without the outcome; it does "
        "not depend on the "
        "size of the cohort, and above 0.1 it is often read as a difference. Participants whose outcome is unknown "
        "count under All only. "
        "P values are left out on purpose: these columns describe the cohort, they do not test it.",
        *(["A participant with several visits counts once a visit."] if _has_visits(inputs.participants) else []),
        *([f"Not shown: {'; '.join(skipped)}."] if skipped else []),
    ]
    first = outcomes == list(inputs.associations)[: len(outcomes)]
    key = "table-one-" + "-".join(str(list(inputs.associations).index(o) + 1) for o in outcomes)
    return DisplayTable(
        key,
        "Characteristics of the participants, by outcome.",
        header,
        tuple(rows),
        "l" + "r" * (2 + 3 * len(outcomes)),
        tuple(notes) if first else (),
        fixed=True,
    )


def _has_visits(participants: pd.DataFrame) -> bool:
    return "participant_id" in participants and bool(participants["participant_id"].duplicated().any())


def _characteristics(inputs: ReportInputs) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Columns for Table 1 under their printed names; which are categorical; which were left out and why."""
    people = inputs.participants
    wanted = dict.fromkeys(["age", "sex", "n_eyes", *inputs.covariates, "camera", "site", "gradability"])
    columns: dict[str, pd.Series] = {}
    categorical, skipped = [], []
    for name in (w for w in wanted if w in people):
        values, label = people[name], LABELS.get(name, name)
        levels = values.dropna().nunique()
        if not levels:
            skipped.append(f"{label} (no value)")
            continue
        if (
            pd.api.types.is_numeric_dtype(values)
            and not pd.api.types.is_bool_dtype(values)
            and levels > 2
            and name != "n_eyes"
        ):
            columns[label] = values.astype(float)
        elif levels > MOST_LEVELS:
            skipped.append(f"{label} ({levels:,} levels)")
        else:
            words = LEVELS.get(name, {})
            columns[label] = values.map(lambda v, w=words: None if pd.isna(v) else w.get(v, _plain(v))).astype(object)
            categorical.append(label)
    return pd.DataFrame(columns, index=people.index), categorical, skipped


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _grouped(inputs: ReportInputs, data: pd.DataFrame, categorical: list[str], outcome: str) -> pd.DataFrame | None:
    known = _binary(inputs.participants, outcome)
    if known.notna().sum() == 0:
        return None
    return _tableone(data, categorical, known.map({0.0: "without", 1.0: "with"}).astype(object))


def _tableone(data: pd.DataFrame, categorical: list[str], groups: pd.Series | None) -> pd.DataFrame:
    """Run tableone and return its cells under plain column names."""
    from tableone import TableOne  # half a second to import, and only needed here

    column = "\0group"
    table = data if groups is None else data.assign(**{column: groups.where(groups.notna(), None)})
    with warnings.catch_warnings():  # tableone meets pandas' deprecations, and means of empty groups
        warnings.simplefilter("ignore")
        made = TableOne(
            table.reset_index(drop=True), columns=list(data.columns), categorical=categorical, pval=False, overall=True,
            groupby=None if groups is None else column, smd=groups is not None, missing=True, include_null=False,
            decimals={c: _decimals(data[c]) for c in data if c not in categorical},
        ).tableone  # fmt: skip
    names = [c[-1] if isinstance(c, tuple) else c for c in made.columns]
    made.columns = pd.Index(["SMD" if str(n).startswith("SMD") else n for n in names])
    return made


def _decimals(values: pd.Series) -> int:
    """Decimals of a mean: one where the spread is above 1, up to three below."""
    spread = float(values.std()) if len(values) > 1 else 1.0
    return 1 if not 0 < spread < 1 else 2 if spread >= 0.1 else 3


def _cell(table: pd.DataFrame | None, key: tuple[str, str], column: str) -> str:
    if table is None or column not in table or key not in table.index:
        return ""
    text = str(table.loc[key, column])
    return "" if text in {"nan", "None"} else text.replace("nan (nan)", DASH)


def quality_reasons(inputs: ReportInputs) -> DisplayTable:
    """How many photographs are gradable, ungradable, or failed, and why."""
    graded = inputs.gradings
    scored = graded["scored"]
    rows = [
        ("gradable", int(graded["gradable"].sum()), f"gradability of {inputs.threshold:g} or more"),
        ("not gradable", int((scored & ~graded["gradable"]).sum()), f"gradability below {inputs.threshold:g}"),
    ]
    counts = graded.loc[~scored, "status"].value_counts()
    rows += [(reason_label(s), int(counts[s]), meaning(s)) for s in sorted(counts.index, key=lambda s: (-counts[s], s))]
    total = len(graded)
    body = tuple(Row((name, f"{n:,}", percent(n, total), why)) for name, n, why in rows)
    caption = f"Quality of {count(total, 'photograph')}."
    return DisplayTable("quality-reasons", caption, _heads("Result", "Photographs", "Share", "Meaning"), body, "lrrl")


def unusable(inputs: ReportInputs, most: int = 40) -> list[tuple[str, str]]:
    """List the photographs that could not be scored.

    Returns
    -------
    list of (str, str)
        Reason, and the image_ids it holds for, at most `most` of them.
    """
    graded = inputs.gradings
    bad = graded[~graded["scored"]]
    found = []
    for status in sorted(bad["status"].unique()):
        ids = bad.loc[bad["status"] == status, "image_id"].astype(str).tolist()
        more = f" and {len(ids) - most:,} more (see the quality tables)" if len(ids) > most else ""
        found.append((reason_label(status), ", ".join(ids[:most]) + more))
    return found


def associations(inputs: ReportInputs, outcome: str) -> DisplayTable:
    """Every row of one outcome's association table, grouped by family; its notes as numbered footnotes."""
    table = inputs.associations[outcome]
    table = table.assign(shown=estimable(table), counted=counted(table))
    models = inputs.model_names(table)
    remarks = list(dict.fromkeys(str(n) for n in table.get("note", []) if n and pd.notna(n)))
    rows: list[Row] = []
    for family, part in table.groupby("family", sort=False):
        rows.append(Row((family_label(str(family)),), group=True))
        of_one: dict[str, list[dict[Any, Any]]] = {}
        for r in sorted(part.to_dict("records"), key=lambda r: models.index(r["model"])):
            of_one.setdefault(str(r["biomarker"]), []).append(r)
        for biomarker in dict.fromkeys(part["biomarker"].astype(str)):
            ordered = of_one[biomarker]
            rows += [_association_row(inputs, r, 0 if i else len(ordered), remarks) for i, r in enumerate(ordered)]
    effects = "Difference (95% CI)" if inputs.kind(outcome) == "continuous" else "OR (95% CI)"
    header = _heads(
        "Biomarker", "Model", "n", "Events", "Partici\u00adpants", "Mean (SD)", effects, "OR if repeat\u00adable", "p",
        "q", "Method", "Evidence", "Status",
    )  # fmt: skip
    key = f"associations-{list(inputs.associations).index(outcome) + 1}"
    caption = f"All associations with {inputs.outcome_label(outcome)}."
    notes = (*_association_notes(inputs, outcome, table), *(f"[{i}] {t}." for i, t in enumerate(remarks, start=1)))
    made = DisplayTable(key, caption, header, tuple(rows), "lnrrrrrrrrnnn", notes)
    return made if _known(table, "or_if_reliable") else _without(made, REPEATABLE)


REPEATABLE = 7
"""Column of the odds ratio of a repeatable biomarker; left out where no biomarker has one."""


def _known(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(table[column].notna().any())


def _without(table: DisplayTable, column: int) -> DisplayTable:
    """The table less one column, which no row spans."""

    def less(row: Row) -> Row:
        if row.group:
            return row
        at = column - (row.span == 0)
        keys = {c - (c > column): v for c, v in row.sort.items() if c != column}
        return replace(row, cells=row.cells[:at] + row.cells[at + 1 :], sort=keys)

    heads = tuple(h for c, h in enumerate(table.header[0]) if c != column)
    align = table.align[:column] + table.align[column + 1 :]
    return replace(table, header=(heads,), rows=tuple(less(row) for row in table.rows), align=align)


EFFECTS = {
    "binary": "OR: odds ratio for one standard deviation more of the biomarker",
    "ordinal": "OR: odds ratio of a higher grade for one standard deviation more of the biomarker",
    "continuous": "Difference: of the mean outcome, in its own unit, for one standard deviation more of the biomarker",
}
"""What the effect column holds, by kind of outcome."""

TRANSFORMS = {
    "log1p": "the logarithm of one plus the value over a scale that the note of the row gives",
    "rank_normal": "normal scores of the ranks",
}
"""Transforms of a biomarker in words."""


def _association_notes(inputs: ReportInputs, outcome: str, table: pd.DataFrame) -> list[str]:
    notes = [
        f"{EFFECTS[inputs.kind(outcome)]}; n: rows of the model ({inputs.unit}s); q: "
        f"Benjamini–Hochberg within outcome, model and family; bold: q < {inputs.alpha:g}. Evidence: how far the "
        "segmentation behind the biomarker was validated."
    ]
    if _known(table, "or_if_reliable"):
        notes.append(
            "OR if repeatable: the odds ratio that a perfectly repeatable biomarker would have under classical "
            "measurement error, from its intraclass correlation; a reading aid, no estimate."
        )
    used = [t for t in TRANSFORMS if "transform" in table and table["transform"].eq(t).any()]
    if used:
        words = "; ".join(f"{t.replace('_', ' ')}: {TRANSFORMS[t]}" for t in used)
        notes.append(f"Where a transform is named behind the mean, the effect is per SD of it: {words}.")
    if table["definitional"].astype(bool).any():
        notes.append(
            f"{DAGGER} Definitional pair: the biomarker measures what the outcome is defined by; "
            "its odds ratio is no risk."
        )
    if (estimable(table) & ~counted(table)).any():
        notes.append(f"{PHANTOM_MARK} Validated on synthetic images only: left out of figures and counts.")
    return notes


def _association_row(inputs: ReportInputs, r: Mapping[Any, Any], span: int, remarks: Sequence[str]) -> Row:
    shown, counts_too = bool(r["shown"]), bool(r["counted"])
    name = str(r["biomarker"])
    label = inputs.biomarker_label(name)
    first = (label + marks(r),) if span else ()
    counts = [f"{int(r[c]):,}" if pd.notna(r[c]) else DASH for c in ("n", "n_events", "n_participants")]
    if r.get("kind") == "continuous":
        counts[1] = DASH
    values = [effect(r) if shown else DASH, ratio(float(r.get("or_if_reliable", math.nan)))]
    tests = [q_value(float(r["p"])), q_value(float(r["q"]))]
    cells = (*first, model_label(r["model"]), *counts, _spread(r), *values, *tests, *_provenance(r, remarks))
    size = r["or"] if pd.notna(r["or"]) else r.get("beta")
    keys = sort_keys({6: size if shown else None, 8: r["p"], 9: r["q"]})
    strong = counts_too and bool(r["q"] < inputs.alpha)
    return Row(cells, strong=strong, span=span, code=name if label != name else "", sort=keys)


def marks(r: Mapping[Any, Any]) -> str:
    """Signs behind a biomarker's name: definitional, validated on synthetic images only."""
    return f" {DAGGER}" * bool(r["definitional"]) + f" {PHANTOM_MARK}" * (bool(r["shown"]) and not r["counted"])


def _spread(r: Mapping[Any, Any]) -> str:
    """Mean and SD of the exposure in its own unit, and its transform where there is one."""
    transform = r.get("transform")
    if transform not in TRANSFORMS:
        return mean_sd(float(r["mean"]), float(r["sd"]))
    mean, sd = (float(r.get(c, math.nan)) for c in ("mean_raw", "sd_raw"))
    return f"{mean_sd(mean, sd)}, {str(transform).replace('_', ' ')}"


def _provenance(r: Mapping[Any, Any], remarks: Sequence[str]) -> tuple[str, str, str]:
    """Method, evidence and status with the number of its note."""
    method = METHOD_LABELS.get(str(r["method"]), str(r["method"])) if pd.notna(r["method"]) and r["method"] else DASH
    evidence = reason_label(r["evidence"]) if pd.notna(r["evidence"]) and r["evidence"] else DASH
    note = f" [{remarks.index(r['note']) + 1}]" if r.get("note") in remarks else ""
    return method, evidence, reason_label(r["status"]) + note


MOST_LEADING = 15
"""Rows of the table of strongest associations."""


def strongest(inputs: ReportInputs, outcome: str, most: int = MOST_LEADING) -> DisplayTable | None:
    """Biomarkers with the smallest p in the most adjusted model, all models side by side; None where they are few.

    Parameters
    ----------
    inputs : ReportInputs
    outcome : str
    most : int
        Rows; with no more than twice as many biomarkers the table of all of them says it already.
    """
    table = inputs.associations[outcome]
    names = leading(inputs, outcome, most)
    if table["biomarker"].nunique() <= 2 * most or not names:
        return None
    table = table.assign(shown=estimable(table), counted=counted(table))
    models, primary = inputs.model_names(table), inputs.primary_model(table)
    rows = {(r["biomarker"], r["model"]): r for r in table[table["biomarker"].isin(names)].to_dict("records")}
    body = []
    for name in names:
        last = rows[name, primary]
        found = [rows.get((name, m)) for m in models]
        cells = [effect(r) if r is not None and r["shown"] else DASH for r in found]
        sizes = [None if r is None or not r["shown"] else r["or"] if pd.notna(r["or"]) else r["beta"] for r in found]
        tests = (q_value(float(last["p"])), q_value(float(last["q"])))
        at = 3 + len(models)
        keys = sort_keys({**dict(enumerate(sizes, start=3)), at: last["p"], at + 1: last["q"]})
        first = (inputs.biomarker_label(name) + marks(last), family_label(str(last["family"])).split(":")[0])
        body.append(Row((*first, f"{int(last['n']):,}", *cells, *tests), code=name, sort=keys))
    header = _heads("Biomarker", "Family", "n", *(model_label(m) for m in models), "p", "q")
    key = f"strongest-{list(inputs.associations).index(outcome) + 1}"
    what = "differences" if inputs.kind(outcome) == "continuous" else "odds ratios"
    caption = (
        f"The {len(body)} biomarkers most strongly associated with {inputs.outcome_label(outcome)}: {what} per SD "
        f"(95% CI) by model; n, p and q of the model “{model_label(str(primary))}”."
    )
    return DisplayTable(key, caption, header, tuple(body), "llr" + "r" * (len(models) + 2))


def leading(inputs: ReportInputs, outcome: str, most: int) -> list[str]:
    """Biomarkers of an outcome by p in its most adjusted model, smallest first; estimable ones, at most `most`."""
    table = inputs.associations[outcome]
    rows = table[counted(table) & (table["model"] == inputs.primary_model(table))]
    size = rows["log_or"].abs() if "log_or" in rows else np.log(rows["or"].where(has_odds_ratio(rows))).abs()
    ordered = rows.assign(size=-size).sort_values(["p", "size", "biomarker"], kind="stable")
    return [str(name) for name in dict.fromkeys(ordered["biomarker"])][:most]


def not_estimable(inputs: ReportInputs, outcome: str) -> list[tuple[str, str]]:
    """Rows of an outcome without an estimate.

    Returns
    -------
    list of (str, str)
        What is the case (reason and models), and the biomarkers it holds for.
    """
    table = inputs.associations[outcome]
    left = table[~estimable(table)]
    models = inputs.model_names(table)
    of_biomarker: dict[tuple[str, str], list[str]] = {}
    for r in left.to_dict("records"):
        reason = r["status"] if r["status"] != Status.OK else Status.NOT_CONVERGED
        of_biomarker.setdefault((str(r["biomarker"]), str(reason)), []).append(r["model"])
    found: dict[str, list[str]] = {}
    for (name, reason), where in of_biomarker.items():
        which = "every model" if set(where) == set(models) else ", ".join(model_label(m) for m in models if m in where)
        found.setdefault(f"{meaning(reason).capitalize()} ({which})", []).append(inputs.biomarker_label(name))
    return [(text, ", ".join(names)) for text, names in found.items()]


def used_biomarkers(inputs: ReportInputs) -> list[str]:
    """Biomarkers of the association tables, else of the images table; in the registry's order, unknown ones last."""
    named = dict.fromkeys(str(b) for table in inputs.associations.values() for b in table["biomarker"])
    found = named or dict.fromkeys(name for name in inputs.biomarkers if f"{name}__status" in inputs.images)
    return [*(b for b in inputs.biomarkers if b in found), *(b for b in found if b not in inputs.biomarkers)]


def missingness(inputs: ReportInputs) -> DisplayTable | None:
    """Biomarker by status, number of images; None where no status was recorded or there are no images."""
    images = inputs.images
    names = [n for n in used_biomarkers(inputs) if f"{n}__status" in images]
    if not names or images.empty:
        return None
    counts = {n: images[f"{n}__status"].fillna("unknown").value_counts() for n in names}
    seen = {str(s) for c in counts.values() for s in c.index} - {Status.OK.value}
    reasons = [s.value for s in Status if s.value in seen] + sorted(seen - {s.value for s in Status})
    rows, previous = [], None
    for n in names:
        family = inputs.biomarkers[n].family if n in inputs.biomarkers else "other"
        if family != previous:
            rows.append(Row((family_label(family),), group=True))
            previous = family
        ok = int(counts[n].get(Status.OK.value, 0))
        cells = (
            inputs.biomarker_label(n),
            f"{ok:,}",
            percent(ok, len(images)),
            *(f"{int(counts[n].get(r, 0)):,}" for r in reasons),
        )
        rows.append(Row(cells))
    notes = tuple(f"{reason_label(r)}: {meaning(r)}." for r in reasons)
    caption = f"Availability of each biomarker over {count(len(images), 'photograph')}, by status."
    header = _heads("Biomarker", "computed", "share", *(reason_label(r) for r in reasons))
    return DisplayTable("missingness-table", caption, header, tuple(rows), "l" + "r" * (2 + len(reasons)), notes)


def dictionary(inputs: ReportInputs) -> DisplayTable | None:
    """Definition of every biomarker used; None where there is none."""
    rows: list[Row] = []
    previous = None
    for name in used_biomarkers(inputs):
        entry = inputs.biomarkers.get(name)
        if entry is None:
            rows.append(Row((name, DASH, "not in the registry", DASH, DASH)))
            continue
        if entry.family != previous:
            rows.append(Row((family_label(entry.family),), group=True))
            previous = entry.family
        words = (entry.label, entry.unit, entry.definition, entry.evidence, entry.reference)
        rows.append(Row(tuple(str(w) or DASH for w in words), code=name if name != entry.label else ""))
    header = _heads("Biomarker", "Unit", "Definition", "Minimum evidence", "Reference")
    caption = "Biomarkers: unit, definition and source."
    return DisplayTable("dictionary-table", caption, header, tuple(rows), "lllll") if rows else None


def flattened(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mapping as (dotted key, text) in its own order, absolute paths cut to their last part."""
    out: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            out += flattened(value, f"{name}.")
        else:
            out.append((name, _printed(value)))
    return out


def _printed(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_printed(v) for v in value) or "none"
    text = str(value)
    absolute = text.startswith(("/", "~", "\\")) or text[1:3] in {":\\", ":/"}
    return text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] if absolute else text
