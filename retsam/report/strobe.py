"""The STROBE checklist for cross-sectional studies, filled in as far as the numbers of a report go.

von Elm E, Altman DG, Egger M, et al. (2007). The Strengthening the Reporting of Observational Studies in Epidemiology
(STROBE) statement. Lancet 370, 1453-1457.
"""

import pandas as pd

from retsam.report.inputs import ReportInputs, counted, model_label
from retsam.report.tables import DisplayTable, Heading, Row, count, used_biomarkers

AUTHORS, REST = "For the authors to write.", "The rest is for the authors to write."


def strobe(inputs: ReportInputs) -> DisplayTable:
    """Checklist as a table: item, topic, what this report says of it; the item links to the section that says it."""
    items = [
        ("1", "Title and abstract", AUTHORS, ""),
        ("2, 3", "Background, rationale and objectives", AUTHORS, ""),
        ("4", "Study design", f"Analysed as a cross-sectional study. {REST}", ""),
        ("5", "Setting, locations, dates", AUTHORS, ""),
        ("6", "Participants: eligibility", _eligibility(inputs), "flow"),
        ("7", "Variables: outcomes, exposures, confounders", _variables(inputs), "dictionary"),
        ("8", "Data sources and measurement", "Biomarkers as defined in the dictionary, by software.", "dictionary"),
        ("9", "Bias", _bias(inputs), "flow"),
        ("10", "Study size", f"All that was given: {_size(inputs)}. {REST}", "flow"),
        ("11", "Quantitative variables", _quantitative(inputs), "methods"),
        ("12", "Statistical methods", _statistics(inputs), "methods"),
        ("13", "Participants: numbers at each stage", _stages(inputs), "flow"),
        ("14", "Descriptive data and missing values", _described(inputs), "participants"),
        ("15", "Outcome data", _outcomes(inputs), "associations"),
        ("16", "Main results: crude and adjusted, with intervals", _main(inputs), "associations"),
        ("17", "Other analyses", _other(inputs), "associations"),
        ("18", "Key results", "A draft from the numbers.", "results"),
        ("19-21", "Limitations, interpretation, generalisability", AUTHORS, ""),
        ("22", "Funding", AUTHORS, ""),
    ]
    rows = tuple(Row((number, topic, text), anchor=anchor) for number, topic, text, anchor in items)
    header = (tuple(Heading(text) for text in ("Item", "Topic", "In this report")),)
    caption = "STROBE checklist for cross-sectional studies, filled in from the numbers of this report."
    return DisplayTable("strobe-table", caption, header, rows, "nll", fixed=True)


def _eligibility(inputs: ReportInputs) -> str:
    policy = {"exclude": "excluded", "flag": "kept and marked", "none": "kept"}[inputs.policy]
    return (
        f"Photographs of the manifest; those with a gradability below {inputs.threshold:g} were {policy}; an eye is "
        f"represented by its most gradable photograph. {REST}"
    )


def _variables(inputs: ReportInputs) -> str:
    names = ", ".join(inputs.outcome_label(o) for o in inputs.associations) or "none"
    confounders = ", ".join(inputs.covariates) or "none"
    return (
        f"Outcomes: {names}. Exposures: {count(len(used_biomarkers(inputs)), 'biomarker')}. Confounders: {confounders}."
    )


def _bias(inputs: ReportInputs) -> str:
    flagged = sum(int(t["definitional"].astype(bool).any()) for t in inputs.associations.values())
    text = "Ungradable photographs are counted with their reasons; gradability can be a covariate."
    if flagged:
        text += f" Pairs that define their outcome are marked ({count(flagged, 'outcome')})."
    return f"{text} {REST}"


def _size(inputs: ReportInputs) -> str:
    return f"{count(len(inputs.images), 'photograph')}, {count(len(inputs.eyes), 'eye')}, {_people(inputs)}"


def _people(inputs: ReportInputs) -> str:
    people = inputs.participants
    return count(people["participant_id"].nunique() if "participant_id" in people else 0, "participant")


def _quantitative(inputs: ReportInputs) -> str:
    text = "Per standard deviation of the rows analysed; mean and SD in the tables."
    used = {str(t) for table in inputs.associations.values() if "transform" in table for t in table["transform"]}
    named = sorted(used - {"none"})
    return text + (f" Transformed where the tables say so ({', '.join(named).replace('_', ' ')})." if named else "")


def _statistics(inputs: ReportInputs) -> str:
    models = "; ".join(f"{model_label(m)}: {', '.join(c) or 'no covariate'}" for m, c in inputs.models.items())
    return (
        f"Models declared beforehand ({models or 'none'}); clustering of a person's eyes; complete cases; false "
        "discovery rates."
    )


def _stages(inputs: ReportInputs) -> str:
    stages = [s for s in inputs.stages if s.get("n_images") is not None]
    if not stages:
        return "No stage was recorded."
    removed: dict[str, int] = {}
    for stage in stages:
        for reason, n in (stage.get("removed") or {}).items():
            removed[str(reason)] = removed.get(str(reason), 0) + int(n)
    why = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in sorted(removed.items()) if n)
    first, last = (int(stages[i]["n_images"]) for i in (0, -1))
    return f"{count(first, 'photograph')} to {last:,}" + (f"; left out: {why}." if why else "; none was left out.")


def _described(inputs: ReportInputs) -> str:
    people = inputs.participants
    known = [c for c in dict.fromkeys(("age", "sex", *inputs.covariates)) if c in people]
    gaps = ", ".join(f"{c} {int(people[c].isna().sum()):,}" for c in known)
    return f"{_people(inputs)}; values missing: {gaps}." if gaps else f"{_people(inputs)}; no characteristic is known."


def _outcomes(inputs: ReportInputs) -> str:
    parts = []
    for outcome in inputs.associations:
        if outcome in inputs.participants and inputs.kind(outcome) == "binary":
            known = pd.to_numeric(inputs.participants[outcome], errors="coerce")
            parts.append(f"{inputs.outcome_label(outcome)} {int((known == 1).sum()):,} of {int(known.notna().sum()):,}")
    return f"Participants affected: {'; '.join(parts)}." if parts else "No outcome with two values was analysed."


def _main(inputs: ReportInputs) -> str:
    pairs = sum(int(counted(table).sum()) for table in inputs.associations.values())
    models = list(dict.fromkeys(m for table in inputs.associations.values() for m in inputs.model_names(table)))
    if not pairs:
        return "No association could be estimated."
    return f"{count(pairs, 'estimate')} with 95% interval, in: {', '.join(model_label(m) for m in models)}."


def _other(inputs: ReportInputs) -> str:
    kinds = {
        "quartiles": "q4_vs_q1", "tests of non-linearity": "nonlinear", "interactions": "interaction:",
    }  # fmt: skip
    found = {str(t) for o in inputs.associations for t in inputs.every_row(o).get("term", pd.Series(dtype=str))}
    made = {str(a) for o in inputs.associations for a in inputs.every_row(o).get("analysis", pd.Series(dtype=str))}
    texts = [words for words, term in kinds.items() if any(t.startswith(term) for t in found)]
    texts += ["strata"] * any(a.startswith("stratum:") for a in made)
    texts += ["sensitivity analyses"] * any(a != "main" and not a.startswith("stratum:") for a in made)
    texts += ["prediction from many biomarkers"] * bool(inputs.prediction)
    return f"{', '.join(texts).capitalize()}." if texts else "None was made."
