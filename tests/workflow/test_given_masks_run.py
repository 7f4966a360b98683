"""The workflow on masks made elsewhere: a simulation's truth in place of a model, from photographs to odds ratios."""

import json

import numpy as np
import pandas as pd
import pytest

from retsam import tables
from retsam.phantom import simulate
from retsam.status import Status
from tests.workflow.conftest import FRAME, Study

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Study:
    """A small cohort; the masks of its first image are missing from the given table."""
    study = Study(tmp_path_factory.mktemp("given"))
    cohort = study.manifest.parent
    simulate(cohort, 14, 3, FRAME, workers=2)
    masks = tables.read_table(cohort / "truth" / "masks.parquet")
    first = masks["image_id"].iloc[0]
    tables.write_table(masks[masks["image_id"] != first], cohort / "corrected.parquet", tables.MASKS)
    study.configure(segmentation={"masks": "cohort/corrected.parquet"}, association={"min_events": 2}, shard_size=20)
    study.snakemake("--", "results/tiny/association/dr.parquet", "results/tiny/provenance.json")
    return study


def test_the_masks_are_those_of_the_table(measured):
    given = tables.read_table(measured.manifest.parent / "corrected.parquet")
    taken = measured.per_image("masks")
    key = ["image_id", "target"]
    both = taken.merge(given, on=key, suffixes=("", "_given"), how="left")
    missing = both["width_given"].isna()
    assert both.loc[missing, ["target", "status"]].to_numpy().tolist() == [["fov", "not_segmented"]]
    for name in ("rle", "area_px", "status"):
        pd.testing.assert_series_equal(
            both.loc[~missing, name], both.loc[~missing, f"{name}_given"], check_names=False, check_dtype=False
        )


def test_an_image_without_masks_is_excluded_as_such(measured):
    images = measured.table("cohort/images.parquet")
    assert images["biomarkers_status"].ne(Status.OK).tolist() == [True] + [False] * (len(images) - 1)
    first = images.iloc[0]
    assert (first["biomarkers_status"], bool(first["included"])) == (Status.NOT_SEGMENTED, False)


def test_measured_values_are_the_true_ones(measured):
    """Through the whole chain: true masks measured in the frame, against the values of the anatomy."""
    truth = tables.read_table(measured.manifest.parent / "truth" / "biomarkers.parquet").set_index("image_id")
    images = measured.table("cohort/images.parquet").set_index("image_id")
    for name, relative in (("disc_fovea_distance", 0.02), ("cup_disc_ratio_vertical", 0.06), ("vessel_density", 0.12)):
        pair = pd.concat([truth[name], images[name]], axis=1, keys=["true", "found"]).dropna()
        assert len(pair) > 15
        assert np.median(np.abs(pair["found"] / pair["true"] - 1)) < relative, name


def test_associations_use_what_only_truth_can_give(measured):
    table = measured.table("association/dr.parquet")
    row = table[(table["biomarker"] == "cup_disc_ratio_vertical") & (table["model"] == "crude")].iloc[0]
    assert row["status"] == Status.OK and pd.isna(row["evidence"])


def test_provenance_names_the_table_and_not_this_machine(measured):
    record = json.loads((measured.results / "provenance.json").read_text())
    assert record["config"]["segmentation"]["masks"] == "corrected.parquet"
    assert set(record["weights_sha256"]) == {"given masks"} and len(record["weights_sha256"]["given masks"]) == 64
    for path in measured.results.rglob("*"):
        if path.is_file():
            assert str(measured.folder).encode() not in path.read_bytes(), path
