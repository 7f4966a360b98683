"""Tables and sentences of what goes beyond the main rows, and the parts that long tables are folded into."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.report import analyses, tables
from retsam.report.folding import MOST_OPEN, fold
from retsam.report.inputs import ReportInputs, main_rows
from retsam.report.results import results
from retsam.report.strobe import strobe
from tests.synthetic_report import report_inputs
from tests.synthetic_study import row_of, study


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return study(40, 60, ("dr", "grade", "iop"), kinds={"grade": "ordinal", "iop": "continuous"})


def test_main_rows_are_those_of_the_declared_analysis(inputs: ReportInputs) -> None:
    whole = inputs.every_row("dr")
    assert len(whole) > 4 * len(inputs.associations["dr"])
    assert set(inputs.associations["dr"]["term"]) == {"per_sd"} and set(inputs.associations["dr"]["analysis"]) == {
        "main"
    }
    old = whole.drop(columns=["analysis", "term"])
    assert len(main_rows(old)) == len(old)


@settings(deadline=None, derandomize=True)
@given(st.floats(-1e6, 1e6), st.floats(1e-5, 1e5))
def test_a_difference_is_as_precise_as_its_interval(beta: float, error: float) -> None:
    text = tables.difference(beta, beta - 2 * error, beta + 2 * error)
    values = [
        float(part.replace(",", "")) for part in text.replace("(", "").replace(")", "").replace(" to ", " ").split()
    ]
    assert values == pytest.approx([beta, beta - 2 * error, beta + 2 * error], abs=0.06 * error + 1e-6)


def test_a_difference_without_a_value_is_a_dash() -> None:
    assert tables.difference(math.nan, math.nan, math.nan) == "–"
    assert tables.difference(1.0, -math.inf, math.inf) == "1.00 (-inf to inf)"


def test_effects_follow_the_kind_of_outcome(inputs: ReportInputs) -> None:
    heads = {o: [h.text for h in tables.associations(inputs, o).header[0]] for o in inputs.associations}
    assert "OR (95% CI)" in heads["dr"] and "OR (95% CI)" in heads["grade"] and "Difference (95% CI)" in heads["iop"]
    rows = [row for row in tables.associations(inputs, "iop").rows if not row.group]
    assert sum(" to " in row.cells[6 - (row.span == 0)] for row in rows) == len(rows) - 2  # one has no estimate
    assert "odds ratio of a higher grade" in tables.associations(inputs, "grade").notes[0]


def test_the_column_of_a_repeatable_biomarker_is_there_where_one_is_known(inputs: ReportInputs) -> None:
    without = tables.associations(inputs, "dr")
    table = inputs.associations["dr"].assign(or_if_reliable=1.5)
    with_it = tables.associations(dataclasses.replace(inputs, associations={"dr": table}), "dr")
    assert len(with_it.align) == len(without.align) + 1 == len(with_it.header[0])
    for display in (with_it, without):
        assert {len(r.cells) + (r.span == 0) for r in display.rows if not r.group} == {len(display.align)}
    old = [row.cells for row in without.rows if not row.group]
    new = [row.cells for row in with_it.rows if not row.group]
    at = [tables.REPEATABLE - (row.span == 0) for row in with_it.rows if not row.group]
    assert [n[:i] + n[i + 1 :] for n, i in zip(new, at, strict=True)] == old
    assert {n[i] for n, i in zip(new, at, strict=True)} == {"1.50"}


def test_the_strongest_are_the_smallest_p_of_the_most_adjusted_model(inputs: ReportInputs) -> None:
    table = inputs.associations["dr"]
    last = table[(table["model"] == "age_sex") & (table["status"] == "ok")].sort_values("p")
    shown = tables.strongest(inputs, "dr")
    assert shown is not None and [row.code for row in shown.rows] == last["biomarker"].tolist()[: tables.MOST_LEADING]
    assert tables.strongest(study(12, 30, ("dr",)), "dr") is None


@pytest.mark.parametrize("outcome", ["dr", "grade", "iop"])
def test_tables_of_other_analyses_hold_what_the_rows_say(inputs: ReportInputs, outcome: str) -> None:
    rows = inputs.every_row(outcome)
    rows = rows[rows["model"] == "age_sex"].set_index(["biomarker", "analysis", "term"])
    bent, other, parts = (make(inputs, outcome) for make in (analyses.shape, analyses.sensitivity, analyses.strata))
    assert bent is not None and other is not None and parts is not None
    assert [h.text for h in other.header[0]][1:] == [
        "Main", "All gradabilities", "One eye each", "Without site north", "Without site south",
    ]  # fmt: skip
    assert [h.text for h in parts.header[0]][1:] == ["Main", "sex = f"]
    for row in other.rows:
        assert row.cells[3] == tables.effect(rows.loc[(row.code, "one_eye", "per_sd")])
    for row in bent.rows:
        assert row.cells[4] == tables.effect(rows.loc[(row.code, "main", "q4_vs_q1")])
        assert row.cells[6] == tables.q_value(rows.loc[(row.code, "main", "nonlinear"), "p"])
    for display in (bent, other, parts):
        assert len(display.rows) == analyses.MOST and {len(row.cells) for row in display.rows} == {len(display.align)}
    assert analyses.interactions(inputs, outcome) is None


def test_interactions_have_a_ratio_or_a_joint_test() -> None:
    made = study(4, 20, ("dr",))
    names = list(dict.fromkeys(made.associations["dr"]["biomarker"]))[:2]
    nothing = dict.fromkeys(("or", "ci_low", "ci_high", "log_or", "se"))
    more = [row_of("dr", name, "age_sex", 0.2, 0.1, term="interaction:sex") for name in names]
    more += [row_of("dr", names[0], "age_sex", 0.2, 0.1, term="interaction:site") | nothing]
    table = pd.concat([made.every_row("dr"), pd.DataFrame(more)], ignore_index=True)
    display = analyses.interactions(dataclasses.replace(made, analyses={"dr": table}), "dr")
    assert display is not None and [h.text for h in display.header[0]] == ["Biomarker", "sex", "site"]
    cells = {row.code: row.cells for row in display.rows}
    assert cells[names[0]][1] == "1.22 (1.00–1.49)" and cells[names[0]][4] == "–" and cells[names[0]][5] == "0.046"
    assert cells[names[1]][4:] == ("–", "–", "–")


def test_a_report_without_other_analyses_has_no_tables_of_them() -> None:
    made = report_inputs(40, ("dr",), pictures=0)
    for make in (analyses.shape, analyses.sensitivity, analyses.strata, analyses.interactions):
        assert make(made, "dr") is None


def test_parts_hold_every_row_once_and_fold_where_there_are_many() -> None:
    for n, opened in ((20, True), (120, False)):
        made = study(n, 20, ("dr",))
        table = tables.associations(made, "dr")
        folded = fold(table, "with q < 0.05")
        assert folded.open == opened and (sum(not r.group for r in table.rows) <= MOST_OPEN) == opened
        assert [row for part in folded.folds for row in part.table.rows] == [r for r in table.rows if not r.group]
        keys = [part.table.key for part in folded.folds]
        assert len(keys) == len(set(keys)) and table.key not in keys
        strong = made.associations["dr"].groupby("biomarker")["q"].min() < 0.05
        said = [part.contents.split(", ")[1] for part in folded.folds]
        assert sum(int(text.split()[0]) for text in said) == strong.sum()


def test_results_count_what_the_tables_hold(inputs: ReportInputs) -> None:
    said = dict(results(inputs))
    for outcome, table in inputs.associations.items():
        rows = table[(table["model"] == "age_sex") & (table["status"] == "ok")]
        found = rows[rows["q"] < 0.05]
        text = said[inputs.outcome_label(outcome)]
        assert f"{len(found)} of {len(rows)} biomarkers were associated at q < 0.05." in text
        assert f"{len(found)} of {len(found)} (one eye each)" in text or f" of {len(found)} (one eye each)" in text
        own = found[~found["definitional"].astype(bool)].sort_values("p")
        assert inputs.biomarker_label(own["biomarker"].iloc[0]) in text
    assert "difference per SD" in said["iop"] and "above the lowest grade" in said["grade"]


def test_results_of_a_cohort_without_estimates_say_so() -> None:
    made = report_inputs(24, ("dr",), estimable=False, pictures=0)
    assert "No association could be estimated" in dict(results(made))["Diabetic retinopathy"]
    empty = report_inputs(0, (), pictures=0)
    assert results(empty) == [
        ("Participants and photographs", "Of 0 photographs, 0 eyes of 0 participants were analysed.")
    ]


def test_strobe_has_every_item_once_and_the_cohorts_numbers(inputs: ReportInputs) -> None:
    rows = {row.cells[0]: row for row in strobe(inputs).rows}
    items: list[int] = []
    for name in rows:
        first, _, last = name.replace(", ", "-").partition("-")
        items += range(int(first), int(last or first) + 1)
    assert items == list(range(1, 23))
    cases, known = (inputs.participants["dr"] == 1).sum(), inputs.participants["dr"].notna().sum()
    assert f"Diabetic retinopathy {cases} of {known}" in rows["15"].cells[2]
    assert f"{len(inputs.images)} photographs" in rows["13"].cells[2]
    assert rows["17"].cells[2].startswith("Quartiles, tests of non-linearity, strata, sensitivity analyses")
    none = {row.cells[0]: row for row in strobe(report_inputs(0, (), pictures=0)).rows}
    assert none["17"].cells[2] == "None was made." and none["16"].cells[2] == "No association could be estimated."


def test_overview_counts_cases_of_outcomes_with_two_values_only(inputs: ReportInputs) -> None:
    rows = {row.cells[0]: row.cells for row in tables.overview(inputs).rows}
    assert rows["iop"][1:3] == ("–", "–") and rows["grade"][1:3] == ("–", "–")
    assert rows["Diabetic retinopathy"][1] == f"{(inputs.participants['dr'] == 1).sum()}"
    assert np.isfinite([float(cells[3]) for cells in rows.values()]).all()
