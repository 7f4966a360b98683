"""A manuscript's figure and table: from stored tables, the same bytes, LaTeX that compiles."""

import csv
import dataclasses
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from retsam import tables
from retsam.planning import Plan
from retsam.report import paper, style
from retsam.report.figures import multi_panel
from retsam.report.figures.heat_map import cells_of
from retsam.report.figures.multipanel import paper_biomarkers
from retsam.report.inputs import ReportInputs
from retsam.report.stored import read_stored
from tests.synthetic_report import report_inputs
from tests.synthetic_study import study


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return study(40, 40)


def test_all_panels_are_there(inputs: ReportInputs) -> None:
    figure = multi_panel(inputs)
    assert figure is not None and figure.get_size_inches()[0] == style.WIDTH and figure.get_size_inches()[1] < 10.5
    texts = {t.get_text() for t in figure.texts}
    assert {"A", "B", "C", "D"} <= texts
    assert len(figure.axes) == 1 + 4 + 1 + 4
    bare = multi_panel(dataclasses.replace(inputs, prediction={}))
    assert bare is not None and "D" not in {t.get_text() for t in bare.texts}


def test_definitional_pairs_do_not_choose_the_biomarkers(inputs: ReportInputs) -> None:
    cells = cells_of(inputs)
    names = paper_biomarkers(cells, 10)
    assert len(names) == 10
    plain = cells[~cells["definitional"].astype(bool)]
    best = plain.loc[plain.groupby("family")["z"].transform(lambda z: z.abs().max()) == plain["z"].abs(), "biomarker"]
    assert set(best) <= set(names)
    assert paper_biomarkers(pd.DataFrame(), 10) == []


def test_the_table_holds_every_estimate_and_the_latex_is_sound(inputs: ReportInputs, tmp_path: Path) -> None:
    written = paper.write_paper(inputs, tmp_path)
    assert [p.name for p in written] == ["figure.svg", "figure.pdf", "table.csv", "table.tex"]
    rows = list(csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8")))
    assert len(rows) == len(cells_of(inputs)) == 4 * 39
    text = (tmp_path / "table.tex").read_text(encoding="utf-8")
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 12 and all(line.count("&") == 8 and line.endswith(r"\\") for line in body)
    assert text.count("{") == text.count("}") and not re.search(r"(?<!\\)[%#_]", text)
    again = paper.write_paper(inputs, tmp_path / "again")
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in again]


def test_names_are_escaped() -> None:
    assert paper.escaped(r"50 % of A_B & {x} ~ \y") == r"50 \% of A\_B \& \{x\} \textasciitilde{} \textbackslash{}y"
    assert paper.escaped("<0.001\n†") == r"\textless{}0.001 \dag{}"


def test_nothing_estimable_still_gives_files(tmp_path: Path) -> None:
    bare = report_inputs(20, (), pictures=0)
    assert all(p.stat().st_size for p in paper.write_paper(dataclasses.replace(bare, flow={}), tmp_path))
    few = report_inputs(20, ("dr",), estimable=False, pictures=0)
    assert all(p.stat().st_size for p in paper.write_paper(few, tmp_path / "few"))


def test_formulas_in_names_are_no_formulas(inputs: ReportInputs, tmp_path: Path) -> None:
    paper.write_paper(dataclasses.replace(inputs, outcome_labels={"dr": "=HYPERLINK(1)"}), tmp_path)
    assert "\n'=HYPERLINK(1)," in (tmp_path / "table.csv").read_text(encoding="utf-8")


def test_stored_tables_are_read_back(inputs: ReportInputs, tmp_path: Path) -> None:
    outcomes = list(inputs.associations)
    plan = Plan(80, 1, 256, outcomes, ["age"], {"crude": [], "age_sex": ["age"]}, "0" * 64, 0)
    for name, value in {
        "manifest/plan.json": dataclasses.asdict(plan),
        "provenance.json": {"config": {"cohort": "made", "report": {"title": None}, "association": {"unit": "eye"},
                                       "quality": {"threshold": 0.5, "policy": "exclude"}}},
        "cohort/flow.json": inputs.flow,
    }.items():  # fmt: skip
        tables.write_bytes(json.dumps(value), tmp_path / name)
    tables.write_table(inputs.images.assign(status="ok"), tmp_path / "cohort" / "images.parquet")
    tables.write_table(inputs.eyes, tmp_path / "cohort" / "eyes.parquet")
    tables.write_table(inputs.participants, tmp_path / "cohort" / "participants.parquet")
    for outcome in outcomes:
        tables.write_table(inputs.analyses[outcome], tmp_path / "association" / f"{outcome}.parquet")
    tables.write_table(inputs.prediction["dr"], tmp_path / "prediction" / "dr.parquet")
    tables.write_table(inputs.prediction_curves["dr"], tmp_path / "prediction" / "dr_curves.parquet")
    made = read_stored(tmp_path)
    assert made.cohort == "made" and list(made.prediction) == list(made.prediction_curves) == ["dr"]
    assert {len(t) for t in made.associations.values()} == {80} and len(made.analyses["dr"]) > 80
    figure = multi_panel(made)
    assert figure is not None and len(figure.axes) == 1 + 4 + 1 + 1
    config = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))
    config["config"]["prediction"] = {"enabled": False}
    tables.write_bytes(json.dumps(config), tmp_path / "provenance.json")
    assert not read_stored(tmp_path).prediction  # tables of an earlier run
