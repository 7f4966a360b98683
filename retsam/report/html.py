"""One HTML file that holds the whole report: no request, no date, and one script that it would be complete without."""

import base64
import hashlib
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from retsam.report import analyses, figures, prose, style, tables, truth
from retsam.report.folding import FoldedTable, fold
from retsam.report.inputs import ReportInputs, family_label, model_label
from retsam.report.results import results
from retsam.report.strobe import strobe
from retsam.report.tables import DisplayTable
from retsam.taxonomy import TARGETS

OUTCOMES_ABREAST = 3
"""At most so many outcomes side by side in one part of Table 1."""


@dataclass(frozen=True)
class Drawing:
    """One picture of a plate.

    Attributes
    ----------
    name : str
        Of the files that it downloads as, without ending.
    title : str
        What it shows, for screen readers and for its buttons.
    svg : Markup
    """

    name: str
    title: str
    svg: Markup


@dataclass(frozen=True)
class Plate:
    """Pictures that share a caption."""

    parts: tuple[Drawing, ...]
    caption: str


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
            flow=_flow(inputs),
            notes=list(inputs.flow.get("notes") or []),
            table_one=_table_one(inputs),
            gradability=_gradability(inputs),
            quality=tables.quality_reasons(inputs),
            unusable=tables.unusable(inputs),
            overview=tables.overview(inputs) if inputs.associations else None,
            outcomes=[_outcome(inputs, name, i) for i, name in enumerate(inputs.associations, start=1)],
            truth=None if inputs.truth is None else _truth(inputs),
            missingness=_folded(tables.missingness(inputs)),
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


def _flow(inputs: ReportInputs) -> Plate:
    words = [
        f"{stage.get('label')}: {stage.get('n_images'):,} photographs"
        for stage in inputs.stages
        if stage.get("n_images") is not None
    ]
    caption = (
        "Photographs, eyes and participants at each stage; at the right, photographs removed before the stage and why. "
        "Stages at which nothing was removed are left out."
        + " Below, the eyes or participants by outcome."
        * bool(inputs.associations)
    )
    return _plate(figures.flow_of(inputs), "flow", "Flow diagram", caption, f" {'; '.join(words)}.")


def _gradability(inputs: ReportInputs) -> Plate:
    more = f" Threshold at {inputs.threshold:g}; the counts are in the table below."
    caption = "Gradability of the photographs that could be scored."
    made = figures.gradability(inputs.gradings, inputs.threshold)
    return _plate(made, "gradability", "Histogram of gradability", caption, more)


def _plate(figure: Figure, name: str, title: str, caption: str, more: str = "") -> Plate:
    return Plate((_drawing(figure, name, title, more),), caption)


def _drawing(figure: Figure, name: str, title: str, more: str = "") -> Drawing:
    """SVG of a figure under a name that is unique on the page; `title` and `more` are its text for screen readers."""
    # Our own drawing: text in it is outlines, the label is escaped there.
    return Drawing(name, title, Markup(style.inline_svg(figure, name, f"{title}.{more}")))


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
        "forest": _forest(inputs, outcome, number),
        "strongest": tables.strongest(inputs, outcome),
        "shape": analyses.shape(inputs, outcome),
        "interactions": analyses.interactions(inputs, outcome),
        "strata": analyses.strata(inputs, outcome),
        "sensitivity": analyses.sensitivity(inputs, outcome),
        "not_estimable": tables.not_estimable(inputs, outcome),
        "table": fold(tables.associations(inputs, outcome), f"with q < {inputs.alpha:g}"),
    }


def _forest(inputs: ReportInputs, outcome: str, number: int) -> Plate | None:
    label = inputs.outcome_label(outcome)
    models = ", ".join(model_label(m) for m in inputs.model_names(inputs.associations[outcome]))
    more = f" Models {models}. Every number is in the table."
    parts = tuple(
        _drawing(panel, f"forest-{number}-{i}", f"Forest plot, {label}: {family_label(family)}", more)
        for i, (family, panel) in enumerate(figures.forest_panels(inputs, outcome).items(), start=1)
    )
    caption = (
        f"Biomarkers and {label}: effects per standard deviation with 95% intervals, one panel a family, all on the "
        "same axis."
    )
    return Plate(parts, caption) if parts else None


def _truth(inputs: ReportInputs) -> dict[str, Any]:
    """Section that holds the estimates against the coefficients that the cohort was drawn from."""
    found = truth.pairs(inputs)
    more = " Every number is in the table."
    title = "True odds ratios beside the estimates of each model"
    caption = truth_caption(inputs)
    return {
        "explanation": truth.explanation(inputs),
        "result": truth.result(inputs, found),
        "forest": _plate(figures.truth_forest(inputs, found), "truth", title, caption, more) if found else None,
        "remarks": [] if found else list(truth.remarks(inputs)),  # else they are notes of the first table
        "tables": [t for t in (truth.comparison(inputs, found), truth.without_effect(inputs)) if t is not None],
    }


def truth_caption(inputs: ReportInputs) -> str:
    """Caption of the figure of true and estimated odds ratios."""
    split = inputs.true_values is not None
    square = "a square for the estimate from the true values by the most adjusted model that has one, and circles for "
    return (
        "Odds ratios per standard deviation: the true one as a diamond with a dotted line, below it "
        f"{square * split}the estimates of each model{' from the photographs' * split}, with 95% intervals. An "
        f"interval that the dotted line crosses covers the truth. A filled {'circle' if split else 'marker'} is q "
        "below the threshold; an arrow: the interval goes on beyond the axis."
    )


def _data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _legend(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Outlined targets of the thumbnails: (name, CSS colour)."""
    shown = {name for thumbnail in inputs.thumbnails for name in thumbnail.targets}
    return [
        (t.name.replace("_", " "), "#{:02x}{:02x}{:02x}".format(*t.colour)) for t in TARGETS.values() if t.name in shown
    ]
