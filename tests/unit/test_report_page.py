"""The whole page with everything on it: its parts, its size, its script."""

import dataclasses
import re

import numpy as np
import pytest

from retsam.report.html import build_report
from retsam.report.inputs import ReportInputs
from tests.synthetic_report import SCRIPT
from tests.synthetic_study import study


@pytest.fixture(scope="module")
def page() -> str:
    return build_report(study(10, 40, ("dr", "iop"), kinds={"iop": "continuous"}))


def test_every_figure_is_on_the_page_under_its_own_name(page: str) -> None:
    names = re.findall(r'class="drawing" data-name="([^"]+)"', page)
    assert len(names) == len(set(names))
    wanted = {"flow", "gradability", "heatmap", "missingness", "correlation", "prediction-plot-1"}
    wanted |= {f"{kind}-{i}" for kind in ("volcano", "distributions", "shape-plot", "sensitivity-plot") for i in (1, 2)}
    assert wanted <= set(names)
    assert "prediction-plot-2" not in names and "forest-1-1" in names


def test_every_table_is_a_set_that_downloads_under_its_own_name(page: str) -> None:
    names = re.findall(r'class="set" data-name="([^"]+)"', page)
    assert len(names) == len(set(names))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {"associations-1", "shape-1", "sensitivity-1", "strata-2", "prediction-1", "strobe-table"} <= set(names)


def test_a_study_in_hostile_words_runs_no_script_but_ours() -> None:
    close = "</script><script>alert(1)</script>"
    made = study(4, 20, (SCRIPT, close))
    entries = {n: dataclasses.replace(e, label=f"{close}{SCRIPT}") for n, e in made.biomarkers.items()}
    text = build_report(dataclasses.replace(made, cohort=close, biomarkers=entries))
    assert text.count("<script") == 1 and text.count("</script") == 1
    assert "<img src=x" not in text


def edge(**changes: object) -> ReportInputs:
    made = study(3, 15, ("dr",))
    return dataclasses.replace(made, participants=made.participants.assign(**changes))


EDGES = {
    "no cases": lambda: edge(dr=0.0),
    "all cases": lambda: edge(dr=1.0),
    "covariates missing": lambda: edge(age=np.nan),
    "one participant": lambda: study(2, 1, ("dr",)),
}


@pytest.mark.parametrize("case", EDGES)
def test_edge_cohorts_get_a_page(case: str, recwarn: pytest.WarningsRecorder) -> None:
    text = build_report(EDGES[case]())
    assert 'id="outcome-1"' in text and 'id="strobe"' in text
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_many_notes_fold() -> None:
    made = study(12, 20, ("dr",))
    table = made.associations["dr"]
    text = build_report(dataclasses.replace(made, associations={"dr": table.assign(note=table["biomarker"])}))
    assert re.search(r"<summary>\d+ more notes</summary>", text)
    assert [n for n in range(1, 13) if f"<p>[{n}] " not in text] == []


@pytest.mark.slow
def test_four_hundred_and_fifty_biomarkers_are_one_page_that_a_browser_can_hold() -> None:
    text = build_report(study(450, 60, models=("crude", "age_sex", "full")))
    assert len(text.encode()) < 15e6
    assert "<details>" in text and "<details open>" not in text
    assert not re.search(r'data-name="forest-1-\d', text)  # one forest plot of the strongest
