"""The results paragraphs of a report, written from its numbers. No sentence claims what the numbers do not hold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retsam.report import prediction
from retsam.report.analyses import STRATUM, analysis_label
from retsam.report.inputs import ReportInputs, counted, has_odds_ratio, model_label
from retsam.report.tables import count, effect, leading, percent, q_value, significant

MOST_NAMED = 5
"""Biomarkers that one sentence names."""


def results(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Results as (heading, paragraph): the participants, then a paragraph an outcome."""
    paragraphs = [("Participants and photographs", " ".join(_participants(inputs)))]
    for outcome in inputs.associations:
        sentences = [*_sample(inputs, outcome), *_found(inputs, outcome), *_beyond(inputs, outcome)]
        sentences += prediction.sentences(inputs, outcome)
        paragraphs.append((inputs.outcome_label(outcome), " ".join(sentences)))
    return paragraphs


def _participants(inputs: ReportInputs) -> list[str]:
    """Who was analysed: numbers, age and sex."""
    people = inputs.participants
    n = people["participant_id"].nunique() if "participant_id" in people else 0
    total, left = len(inputs.images), len(inputs.eyes)
    sentences = [f"Of {count(total, 'photograph')}, {count(left, 'eye')} of {count(n, 'participant')} were analysed."]
    if "age" in people and people["age"].notna().any():
        age = people["age"].astype(float)
        spread = f" (SD {age.std():.1f})" if age.notna().sum() > 1 else ""
        known = f", known for {age.notna().sum():,} of {len(age):,}" * bool(age.isna().any())
        sentences.append(f"Mean age was {age.mean():.1f} years{spread}{known}.")
    if "sex" in people and people["sex"].notna().any():
        sex = people["sex"].dropna()
        women = int(sex.eq("f").sum())
        sentences.append(f"{women:,} of {len(sex):,} ({percent(women, len(sex))}) were women.")
    return sentences


def _sample(inputs: ReportInputs, outcome: str) -> list[str]:
    """Size of the most adjusted model of an outcome."""
    table = inputs.associations[outcome]
    model = inputs.primary_model(table)
    rows = table[counted(table) & (table["model"] == model)]
    if rows.empty:
        return ["No association could be estimated; the reasons are listed with the tables."]
    largest = rows.sort_values("n", kind="stable").iloc[-1]
    events = {
        "binary": f", {count(largest['n_events'], inputs.unit)} affected",
        "ordinal": f", {count(largest['n_events'], inputs.unit)} above the lowest grade",
    }.get(inputs.kind(outcome), "")
    return [
        f"The model “{model_label(str(model))}” held up to {count(largest['n'], inputs.unit)} of "
        f"{count(largest['n_participants'], 'participant')}{events}."
    ]


def _found(inputs: ReportInputs, outcome: str) -> list[str]:
    """Which biomarkers are associated, those that define the outcome apart."""
    table = inputs.associations[outcome]
    model = inputs.primary_model(table)
    tested = table[counted(table) & (table["model"] == model)]
    if tested.empty:
        return []
    found = significant(table, model, inputs.alpha)
    flagged = found["definitional"].astype(bool)
    sentences = [
        f"{len(found)} of {count(len(tested), 'biomarker')} {_were(found)} associated at q < {inputs.alpha:g}."
    ]
    own = _named(inputs, outcome, found[~flagged])
    if own:
        others = " of those that do not define the outcome" * bool(flagged.any())
        sentences.append(f"The strongest{others}: {own}.")
    if flagged.any():
        part = _named(inputs, outcome, found[flagged])
        verb = "measures" if flagged.sum() == 1 else "measure"
        sentences.append(f"{int(flagged.sum())} {verb} what defines the outcome, an effect that is no risk: {part}.")
    return sentences + _across_models(inputs, table, found)


def _were(rows: pd.DataFrame) -> str:
    return "was" if len(rows) == 1 else "were"


def _named(inputs: ReportInputs, outcome: str, rows: pd.DataFrame) -> str:
    """The first few of these rows by p, with their effects."""
    order = [
        name for name in leading(inputs, outcome, len(inputs.associations[outcome])) if name in set(rows["biomarker"])
    ]
    by_name = {str(r["biomarker"]): r for r in rows.to_dict("records")}
    what = "difference" if inputs.kind(outcome) == "continuous" else "odds ratio"
    parts = []
    for i, name in enumerate(order[:MOST_NAMED]):
        r = by_name[name]
        per = f"{what} per SD " if not i else ""
        q = q_value(float(r["q"]))
        parts.append(
            f"{inputs.biomarker_label(name)} ({per}{_bare(effect(r))}, q {'< ' + q[1:] if q[0] == '<' else f'= {q}'})"
        )
    more = len(order) - MOST_NAMED
    return "; ".join(parts) + f"; and {more:,} more" * (more > 0)


def _bare(text: str) -> str:
    """An effect inside brackets: its interval behind a comma."""
    return text.replace(" (", ", 95% CI ", 1).removesuffix(")")


def _across_models(inputs: ReportInputs, table: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """How many of the biomarkers found point the same way in the least adjusted model."""
    models = inputs.model_names(table)
    if len(models) < 2 or found.empty:
        return []
    first = table[counted(table) & (table["model"] == models[0])]
    same, both = _agreeing(found, first)
    if not both:
        return []
    return [f"In the model “{model_label(models[0])}”, {same} of {both} of them pointed the same way."]


def _agreeing(found: pd.DataFrame, others: pd.DataFrame) -> tuple[int, int]:
    """Biomarkers whose effects have the same sign in both tables, and biomarkers that both hold."""
    pair = _direction(found).to_frame("a").join(_direction(others).rename("b"), how="inner")
    return int((pair["a"] == pair["b"]).sum()), len(pair)


def _direction(rows: pd.DataFrame) -> pd.Series:
    """Sign of the effect by biomarker."""
    size = np.log(rows["or"].where(has_odds_ratio(rows)).to_numpy(float))
    if "beta" in rows:
        size = np.where(np.isnan(size), rows["beta"].to_numpy(float), size)
    return pd.Series(np.sign(size), index=rows["biomarker"].to_numpy())


def _beyond(inputs: ReportInputs, outcome: str) -> list[str]:
    """Shape and sensitivity analyses of the biomarkers that are associated."""
    table = inputs.every_row(outcome)
    if "analysis" not in table:
        return []
    model = inputs.primary_model(inputs.associations[outcome])
    found = significant(inputs.associations[outcome], model, inputs.alpha)
    table = table[(table["model"] == model) & table["biomarker"].isin(found["biomarker"])]
    return [*_curved(inputs, table), *_elsewhere(inputs, table, found)]


def _curved(inputs: ReportInputs, table: pd.DataFrame) -> list[str]:
    tested = table[table["term"].eq("nonlinear") & table["p"].notna()]
    if tested.empty:
        return []
    bent = int((tested["q"] < inputs.alpha).sum())
    return [f"The association departed from a straight line (q < {inputs.alpha:g}) in {bent} of {len(tested)} of them."]


def _elsewhere(inputs: ReportInputs, table: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    rows = table[table["term"].eq("per_sd") & table["analysis"].ne("main") & counted(table)]
    parts = []
    for analysis in dict.fromkeys(rows["analysis"]):
        if not str(analysis).startswith(STRATUM):
            same, both = _agreeing(found, rows[rows["analysis"] == analysis])
            parts.append(f"{same} of {both} ({analysis_label(str(analysis)).lower()})")
    return [f"Of the biomarkers found, these pointed the same way elsewhere: {_listed(parts)}."] if parts else []


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
