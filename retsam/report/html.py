"""One HTML file that holds the whole report: no script, no request, no date."""

import base64
import math
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from retsam.report import figures, prose, style, tables, truth
from retsam.report.inputs import ReportInputs, family_label, model_label
from retsam.report.tables import DisplayTable
from retsam.taxonomy import TARGETS

OUTCOMES_ABREAST = 3
"""At most so many outcomes side by side in one part of Table 1."""


def build_report(inputs: ReportInputs) -> str:
    """Write the report of a cohort.

    Parameters
    ----------
    inputs : ReportInputs

    Returns
    -------
    str
        HTML, self-contained: style sheet, figures (SVG) and thumbnails are embedded, a content security policy forbids
        scripts and requests. The same inputs give the same text.
    """
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=inputs.title or inputs.cohort,
            cohort=inputs.cohort,
            version=inputs.provenance.get("retsam"),
            summary=prose.summary(inputs),
            facts=_facts(inputs),
            flow_svg=_flow(inputs),
            notes=list(inputs.flow.get("notes") or []),
            table_one=_table_one(inputs),
            gradability_svg=_gradability(inputs),
            quality=tables.quality_reasons(inputs),
            unusable=tables.unusable(inputs),
            overview=tables.overview(inputs) if inputs.associations else None,
            outcomes=[_outcome(inputs, name, i) for i, name in enumerate(inputs.associations, start=1)],
            truth=None if inputs.truth is None else _truth(inputs),
            missingness=tables.missingness(inputs),
            thumbnails=[{"uri": _data_uri(t.data, t.media_type), "caption": t.caption} for t in inputs.thumbnails],
            legend=_legend(inputs),
            dictionary=tables.dictionary(inputs),
            methods=prose.methods(inputs),
            strobe=prose.STROBE,
            provenance=tables.flattened({k: v for k, v in inputs.provenance.items() if k != "config"}),
            config=tables.flattened(inputs.config),
        )
    )


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("retsam.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Large numbers at the top: (number, what)."""
    people = inputs.participants["participant_id"].nunique() if "participant_id" in inputs.participants else 0
    return [
        (f"{len(inputs.images):,}", "photographs"),
        (f"{int(inputs.gradings['gradable'].sum()):,}", "gradable"),
        (f"{len(inputs.eyes):,}", "eyes analysed"),
        (f"{people:,}", "participants"),
        (f"{len(tables.used_biomarkers(inputs)):,}", "biomarkers"),
        (f"{len(inputs.associations):,}", "outcomes"),
    ]


def _flow(inputs: ReportInputs) -> Markup:
    words = [
        f"{stage.get('label')}: {stage.get('n_images'):,} photographs"
        for stage in inputs.stages
        if stage.get("n_images") is not None
    ]
    return _svg(figures.flow_of(inputs), "flow", "Flow diagram. " + "; ".join(words) + ".")


def _gradability(inputs: ReportInputs) -> Markup:
    label = f"Histogram of gradability with the threshold at {inputs.threshold:g}; the counts are in the table below."
    return _svg(figures.gradability(inputs.gradings, inputs.threshold), "gradability", label)


def _svg(figure: Any, prefix: str, label: str) -> Markup:
    return Markup(
        style.inline_svg(figure, prefix, label)
    )  # our own drawing; text in it is outlines, the label is escaped


def _table_one(inputs: ReportInputs) -> list[DisplayTable]:
    names = list(inputs.associations)
    rows = max(math.ceil(len(names) / OUTCOMES_ABREAST), 1)
    each = max(math.ceil(len(names) / rows), 1)
    made = [tables.table_one(inputs, names[i * each : (i + 1) * each]) for i in range(rows)]
    return [table for table in made if table is not None]


def _outcome(inputs: ReportInputs, outcome: str, number: int) -> dict[str, Any]:
    table, label = inputs.associations[outcome], inputs.outcome_label(outcome)
    models = ", ".join(model_label(m) for m in inputs.model_names(table))
    forest = {
        family: _svg(
            panel,
            f"forest{number}-{i}",
            f"Forest plot of odds ratios for {label}: {family_label(family)}; models {models}. "
            "Every number is in the table.",
        )
        for i, (family, panel) in enumerate(figures.forest_panels(inputs, outcome).items(), start=1)
    }
    return {
        "anchor": f"outcome-{number}",
        "column": outcome,
        "label": label,
        "forest": list(forest.values()),
        "not_estimable": tables.not_estimable(inputs, outcome),
        "table": tables.associations(inputs, outcome),
    }


def _truth(inputs: ReportInputs) -> dict[str, Any]:
    """Section that holds the estimates against the coefficients that the cohort was drawn from."""
    found = truth.pairs(inputs)
    label = "True odds ratios beside the estimates of each model; every number is in the table."
    return {
        "split": inputs.true_values is not None,
        "explanation": truth.explanation(inputs),
        "result": truth.result(inputs, found),
        "forest": _svg(figures.truth_forest(inputs, found), "truth", label) if found else None,
        "remarks": [] if found else list(truth.remarks(inputs)),  # else they are notes of the first table
        "tables": [t for t in (truth.comparison(inputs, found), truth.without_effect(inputs)) if t is not None],
    }


def _data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _legend(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Outlined targets of the thumbnails: (name, CSS colour)."""
    shown = {name for thumbnail in inputs.thumbnails for name in thumbnail.targets}
    return [
        (t.name.replace("_", " "), "#{:02x}{:02x}{:02x}".format(*t.colour)) for t in TARGETS.values() if t.name in shown
    ]
