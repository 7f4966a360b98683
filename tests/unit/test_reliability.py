"""The table of repeatability, its page, and the benchmark that makes it, on a few manual masks."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

from retsam import tables
from retsam.biomarkers import REGISTRY, exposures, measure_table, names
from retsam.biomarkers.reliability import SOURCES, markdown, reliability
from retsam.datasets import get_dataset
from retsam.status import Status
from tests.conftest import ROOT
from tests.eyes import assert_honest


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_reliability", ROOT / "benchmarks" / "reliability.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_complete_and_plausible():
    table = reliability()
    assert not table.duplicated(["biomarker", "source"]).any()
    assert set(table["source"]) <= set(SOURCES)
    assert set(table["biomarker"]) <= {b.name for b in exposures()}
    assert (table["n"] >= 3).all()
    known = table.dropna(subset="icc")
    assert ((known["low"] <= known["icc"]) & (known["icc"] <= known["high"]) & (known["high"] <= 1)).all()
    assert (table["loa"] >= 0).all() and np.isfinite(table[["bias", "loa"]]).all(axis=None)


def test_observers_of_drive_differ_in_thin_vessels():
    """What counts ends agrees less than the width of trunks, and that less than how vessels wind."""
    icc = reliability("drive_observers").set_index("biomarker")["icc"]
    assert icc["vessel_endpoint_count"] < icc["vessel_calibre_median_zone_b"]
    assert icc["vessel_calibre_median_zone_b"] < icc["vessel_tortuosity_arc_chord_median"]


def test_an_unknown_source():
    with pytest.raises(ValueError, match="no source 'stare'; sources are drive_observers"):
        reliability("stare")


def test_the_page_is_that_of_the_table():
    assert (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8") == markdown(), "run make config"


@pytest.mark.data
@pytest.mark.parametrize(("name", "folder", "split", "sets"), [("drive", "DRIVE", "test", 2), ("hrf", "HRF", "all", 1)])
def test_manual_masks_are_measured(benchmark, data_root, name, folder, split, sets):
    if not (data_root / folder).is_dir():
        pytest.skip(f"no {data_root / folder}")
    adapter = get_dataset(name)
    case = adapter.cases(data_root / folder, split)[0]
    rows = list(benchmark.rows_of(adapter, case))
    result = measure_table(pd.DataFrame(rows, columns=tables.MASKS.names))
    assert len(result) == (sets if case.observers or name == "hrf" else 1)
    assert_honest(result)
    assert not (result.filter(like="__status") == Status.FAILED).any(axis=None)
    assert result["vessel_fd_box_skeleton"].between(1.3, 1.7).all()
    assert result["vessel_density"].between(0.06, 0.2).all()
    first = result.iloc[0]
    assert {
        first[f"{n}__status"]
        for n in names("network")
        if REGISTRY[n].requires == ("artery",) and REGISTRY[n].unit != "mm2"
    } == {"ok"}
    assert first["artery_density"] < first["vessel_density"] and first["vein_density"] < first["vessel_density"]


def test_right_against_left_eye(benchmark, tmp_path):
    """Persons with both eyes count, in any order of rows; visits are apart."""
    rng = np.random.default_rng(3)
    true = rng.normal(0, 1, 30)
    both = [("OD", true + rng.normal(0, 0.1, 30)), ("OS", true + rng.normal(0.5, 0.1, 30))]
    rows = [
        {"participant_id": f"p{i}", "visit": None, "eye": eye, "vessel_density": value}
        for eye, values in both
        for i, value in enumerate(values)
    ]
    rows += [{"participant_id": "alone", "visit": None, "eye": "OD", "vessel_density": 9.0}]
    rows += [{"participant_id": "p0", "visit": "2", "eye": "OD", "vessel_density": 9.0}]
    table = pd.DataFrame(rows).sample(frac=1, random_state=1)
    (tmp_path / "cohort").mkdir()
    table.to_parquet(tmp_path / "cohort" / "eyes.parquet")
    (line,) = benchmark.eyes(tmp_path).to_dict("records")
    assert (line["biomarker"], line["source"], line["n"]) == ("vessel_density", "eyes_odir", 30)
    assert line["bias"] == pytest.approx(0.5, abs=0.08)
    assert line["loa"] == pytest.approx(1.96 * 0.1 * np.sqrt(2), rel=0.4)
    assert line["icc"] == pytest.approx(1 / (1 + 0.01 + 0.125), abs=0.08)
