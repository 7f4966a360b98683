"""One HTML file that holds the whole report: no request, no date, and one script that it would be complete without."""

import base64
import hashlib
import math
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from retsam.report import analyses, plates, prediction, prose, tables, truth
from retsam.report.folding import FoldedTable, fold
from retsam.report.inputs import ReportInputs
from retsam.report.results import results
from retsam.report.strobe import strobe
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
        HTML, self-contained: style sheet, script, figures (SVG) and thumbnails are embedded; a content security policy
        forbids every request and every script but this one, which it names by its hash. The same inputs give the same
        text.
    """
    script = _script()
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=inputs.title or inputs.cohort,
            cohort=inputs.cohort,
            version=inputs.provenance.get("retsam"),
            script=Markup(script),  # our own file; no text of a study is part of it
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
            summary=prose.summary(inputs),
            results=results(inputs),
            facts=_facts(inputs),
            flow=plates.flow(inputs),
            notes=list(inputs.flow.get("notes") or []),
            table_one=_table_one(inputs),
            gradability=plates.gradability(inputs),
            heatmap=plates.heatmap(inputs),
            quality=tables.quality_reasons(inputs),
            unusable=tables.unusable(inputs),
            overview=tables.overview(inputs) if inputs.associations else None,
            outcomes=[_outcome(inputs, name, i) for i, name in enumerate(inputs.associations, start=1)],
            predictions=_predictions(inputs),
            truth=None if inputs.truth is None else _truth(inputs),
            measured=[plate for plate in (plates.reliability(inputs), plates.correlation(inputs)) if plate is not None],
            missingness=[plates.missingness(inputs), _folded(tables.missingness(inputs))],
            thumbnails=[{"uri": _data_uri(t.data, t.media_type), "caption": t.caption} for t in inputs.thumbnails],
            legend=_legend(inputs),
            dictionary=_folded(tables.dictionary(inputs)),
            methods=prose.methods(inputs),
            strobe=strobe(inputs),
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


@cache
def _script() -> str:
    """The page's script with line ends that no checkout changes: its hash is part of the page."""
    text = resources.files("retsam.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    return "\n" + "\n".join(text.splitlines()) + "\n"


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


def _folded(table: DisplayTable | None, strong: str = "") -> FoldedTable | None:
    return None if table is None else fold(table, strong)


def _table_one(inputs: ReportInputs) -> list[DisplayTable]:
    names = [name for name in inputs.associations if inputs.kind(name) == "binary"]
    rows = max(math.ceil(len(names) / OUTCOMES_ABREAST), 1)
    each = max(math.ceil(len(names) / rows), 1)
    made = [tables.table_one(inputs, names[i * each : (i + 1) * each]) for i in range(rows)]
    return [table for table in made if table is not None]


def _outcome(inputs: ReportInputs, outcome: str, number: int) -> dict[str, Any]:
    return {
        "anchor": f"outcome-{number}",
        "column": outcome,
        "label": inputs.outcome_label(outcome),
        "volcano": plates.volcano(inputs, outcome, number),
        "forest": plates.forest(inputs, outcome, number),
        "strongest": tables.strongest(inputs, outcome),
        "distributions": plates.distributions(inputs, outcome, number),
        "shape": [plates.shape(inputs, outcome, number), analyses.shape(inputs, outcome)],
        "interactions": analyses.interactions(inputs, outcome),
        "strata": analyses.strata(inputs, outcome),
        "sensitivity": [plates.sensitivity(inputs, outcome, number), analyses.sensitivity(inputs, outcome)],
        "not_estimable": tables.not_estimable(inputs, outcome),
        "table": fold(tables.associations(inputs, outcome), f"with q < {inputs.alpha:g}"),
    }


def _predictions(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Section of the prediction from many biomarkers; empty where it was not asked for."""
    return [
        {
            "anchor": f"prediction-of-{number}",
            "label": inputs.outcome_label(outcome),
            "sentences": prediction.sentences(inputs, outcome),
            "figure": plates.prediction(inputs, outcome, number),
            "tables": [
                t
                for t in (prediction.performance(inputs, outcome), prediction.weights(inputs, outcome))
                if t is not None
            ],
        }
        for number, outcome in enumerate(inputs.associations, start=1)
        if outcome in inputs.prediction
    ]


def _truth(inputs: ReportInputs) -> dict[str, Any]:
    """Section that holds the estimates against the coefficients that the cohort was drawn from."""
    found = truth.pairs(inputs)
    return {
        "explanation": truth.explanation(inputs),
        "result": truth.result(inputs, found),
        "forest": plates.truth(inputs, found),
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
