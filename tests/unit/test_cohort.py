"""Cohort tables: no image is lost or counted twice, and each rule of eyes and participants holds."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.cohort import build_cohort, table_schema, write_cohort
from retsam.tables import read_table


def manifest(rows: list[dict], **columns: object) -> pd.DataFrame:
    """A normalised manifest from partial rows."""
    empty = dict.fromkeys(["participant_id", "eye", "visit", "camera", "site", "sex", "message"])
    default = {**empty, "age": np.nan, "um_per_px": np.nan, "status": "ok"}
    table = pd.DataFrame([{**default, "manifest_row": i, "image_id": f"im{i}", **row} for i, row in enumerate(rows, 1)])
    table["participant_id"] = table["participant_id"].where(table["participant_id"].notna(), table["image_id"])
    return table.assign(**columns)


def quality_of(images: pd.DataFrame, gradability: object = 0.9, status: object = "ok") -> pd.DataFrame:
    table = pd.DataFrame(
        {"image_id": images["image_id"], "status": status, "message": None, "gradability": gradability}
    )
    return table.assign(gradable=table["gradability"] >= 0.5, focus=1.5)


def measured_of(images: pd.DataFrame, value: object = 1.0, laterality: object = None) -> pd.DataFrame:
    table = pd.DataFrame({"image_id": images["image_id"], "status": "ok", "laterality": laterality, "width_dd": value})
    return table.assign(width_dd__status=np.where(table["width_dd"].isna(), "not_visible", "ok"))


ROW = st.fixed_dictionaries(
    {
        "person": st.sampled_from(["a", "b", "c", None]),
        "eye": st.sampled_from(["OD", "OS", None]),
        "visit": st.sampled_from([None, None, "1", "2"]),
        "listed": st.sampled_from(["ok", "ok", "ok", "bad_row", "duplicate_id"]),
        "quality": st.sampled_from(["ok", "ok", "ok", "missing_file", "unreadable", "too_small", "no_fundus", None]),
        "gradability": st.sampled_from([0.1, 0.4, 0.6, 0.6, 0.9, np.nan]),
        "measured": st.sampled_from(["ok", "ok", "ok", "failed", None]),
        "laterality": st.sampled_from(["OD", "OS", None]),
        "value": st.sampled_from([0.0, 1.0, 2.5, np.nan]),
        "dr": st.sampled_from([0.0, 1.0, np.nan]),
        "age": st.sampled_from([50.0, 61.0, np.nan]),
        "sex": st.sampled_from(["f", "m", None]),
    }
)


def tables_of(rows: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Manifest, quality and biomarkers of drawn rows; None as a status means that the step has no row."""
    keys = ("eye", "visit", "dr", "age", "sex")
    images = manifest([{**{k: r[k] for k in keys}, "participant_id": r["person"], "status": r["listed"]} for r in rows])
    quality = quality_of(images, [r["gradability"] for r in rows], [r["quality"] for r in rows])
    biomarkers = measured_of(images, [r["value"] for r in rows], [r["laterality"] for r in rows])
    biomarkers["status"] = [r["measured"] for r in rows]
    return images, quality[quality["status"].notna()], biomarkers[biomarkers["status"].notna()]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(rows=st.lists(ROW, min_size=1, max_size=14), policy=st.sampled_from(["exclude", "flag", "none"]))
def test_every_image_is_accounted_for(rows: list[dict], policy: str) -> None:
    images, quality, biomarkers = tables_of(rows)
    cohort = build_cohort(images, quality, biomarkers, policy=policy, outcomes=["dr"], covariates=["age", "sex"])
    stages = cohort.flow["stages"]
    assert cohort.images["image_id"].tolist() == images["image_id"].tolist()
    assert stages[0]["n_images"] == len(images) and not stages[0]["removed"]
    for before, after in pairwise(stages):
        assert before["n_images"] == after["n_images"] + sum(after["removed"].values())
        assert before["n_eyes"] >= after["n_eyes"] and before["n_participants"] >= after["n_participants"]
    counted: Counter[str] = sum((Counter(stage["removed"]) for stage in stages[:-1]), Counter())
    excluded = cohort.images.loc[~cohort.images["included"], "exclusion"]
    assert excluded.notna().all()
    assert counted == excluded.value_counts().to_dict()
    assert cohort.images.loc[cohort.images["included"], "exclusion"].isna().all()
    assert stages[-1]["n_images"] == stages[-1]["n_eyes"] == len(cohort.eyes) == cohort.images["represents_eye"].sum()
    assert cohort.eyes["n_images"].sum() == cohort.images["included"].sum() == cohort.participants["n_images"].sum()
    assert cohort.participants["n_eyes"].sum() == len(cohort.eyes)
    assert not cohort.participants.duplicated(["participant_id", "visit"]).any()
    known = cohort.eyes[cohort.eyes["eye"].notna()]
    assert not known.duplicated(["participant_id", "eye", "visit"]).any()
    assert stages[-1]["n_participants"] == cohort.participants["participant_id"].nunique()
    json.dumps(cohort.flow, allow_nan=False)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(rows=st.lists(ROW, min_size=1, max_size=10), seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(rows: list[dict], seed: int) -> None:
    images, quality, biomarkers = tables_of(rows)
    rng = np.random.default_rng(seed)
    mixed = [t.iloc[rng.permutation(len(t))] for t in (images, quality, biomarkers)]
    one = build_cohort(images, quality, biomarkers, outcomes=["dr"], covariates=["age"])
    two = build_cohort(*mixed, outcomes=["dr"], covariates=["age"])
    assert one.flow == two.flow
    for name in ("images", "eyes", "participants"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(rows=st.lists(ROW, min_size=1, max_size=12))
def test_outcome_of_a_participant_is_any_eye(rows: list[dict]) -> None:
    cohort = build_cohort(*tables_of(rows), policy="none", outcomes=["dr"])
    used = cohort.images[cohort.images["included"]]
    for person in cohort.participants.to_dict("records"):
        same_visit = (
            used["visit"].isna()
            if person["visit"] is None or person["visit"] != person["visit"]
            else used["visit"] == person["visit"]
        )
        labels = used.loc[(used["participant_id"] == person["participant_id"]) & same_visit, "dr"]
        expected = np.nan if labels.isna().all() else float((labels == 1).any())
        assert np.array_equal(person["dr"], expected, equal_nan=True)


def test_the_first_reason_in_pipeline_order_is_the_exclusion() -> None:
    images = manifest([{"status": "duplicate_id"}, {}, {}, {}, {}, {}])
    status = ["unreadable", "unreadable", "no_fundus", "ok", "ok", "ok"]
    quality = quality_of(images, [0.1, 0.1, 0.1, 0.1, 0.9, 0.9], status)
    biomarkers = measured_of(images).assign(status=["failed"] * 5 + ["ok"])
    cohort = build_cohort(images, quality, biomarkers)
    assert cohort.images["exclusion"].tolist()[:5] == [
        "duplicate_id",
        "unreadable",
        "no_fundus",
        "ungradable",
        "failed",
    ]
    assert cohort.images["included"].tolist() == [False] * 5 + [True]
    removed = {stage["stage"]: stage["removed"] for stage in cohort.flow["stages"] if stage["removed"]}
    assert removed == {
        "listed": {"duplicate_id": 1}, "readable": {"unreadable": 1}, "fundus": {"no_fundus": 1},
        "gradable": {"ungradable": 1}, "measured": {"failed": 1},
    }  # fmt: skip


def test_policies() -> None:
    images = manifest([{}, {}])
    tables = images, quality_of(images, [0.2, 0.8]), measured_of(images)
    excluded, flagged, ignored = (build_cohort(*tables, policy=p) for p in ("exclude", "flag", "none"))
    assert excluded.images["included"].tolist() == [False, True] and len(excluded.eyes) == 1
    assert flagged.images["included"].all() and flagged.eyes["flagged"].tolist() == [True, False]
    assert flagged.flow["flagged"] == {"n_images": 1, "n_eyes": 1}
    assert ignored.images["included"].all() and not ignored.eyes["flagged"].any()
    # The status says what is wrong with the image, whatever the policy does about it.
    assert all(c.images["status"].tolist() == ["ungradable", "ok"] for c in (excluded, flagged, ignored))
    with pytest.raises(ValueError, match="policy 'keep'"):
        build_cohort(*tables, policy="keep")  # type: ignore[arg-type]


def test_the_best_image_represents_its_eye() -> None:
    person = {"participant_id": "p", "eye": "OD"}
    images = manifest(
        [person, person, person, {**person, "visit": "2"}, {**person, "eye": "OS"}], dr=[0.0, 1.0, np.nan, 0.0, 0.0]
    )
    quality = quality_of(images, [0.6, 0.8, 0.8, 0.7, np.nan])
    cohort = build_cohort(
        images, quality, measured_of(images, [1.0, 2.0, 3.0, 4.0, 5.0]), policy="none", outcomes=["dr"]
    )
    assert cohort.eyes["image_id"].tolist() == ["im2", "im4", "im5"]  # im2 and im3 tie: manifest order
    assert cohort.eyes["n_images"].tolist() == [3, 1, 1]
    assert cohort.eyes["width_dd"].tolist() == [2.0, 4.0, 5.0]
    assert cohort.eyes["dr"].tolist() == [1.0, 0.0, 0.0]
    assert cohort.flow["outcomes"]["dr"]["eyes_with_conflicting_images"] == 1
    assert cohort.flow["stages"][-1]["removed"] == {"not_best_image_of_eye": 2}


def test_participants_average_their_eyes() -> None:
    p, q = {"participant_id": "p"}, {"participant_id": "q"}
    images = manifest([{**p, "eye": "OD"}, {**p, "eye": "OS"}, {**q, "eye": "OD"}], dr=[0.0, np.nan, np.nan],
                      iop=[14.0, 20.0, 17.0], smoker=["no", "no", None])  # fmt: skip
    biomarkers = measured_of(images, [1.0, 4.0, np.nan])
    people = build_cohort(
        images, quality_of(images, [0.6, 0.8, 0.7]), biomarkers, outcomes=["dr"], covariates=["iop", "smoker"]
    ).participants
    assert people["n_eyes"].tolist() == [2, 1]
    assert people["width_dd"].tolist()[0] == 2.5 and np.isnan(people["width_dd"].tolist()[1])
    assert people["width_dd__status"].tolist() == ["ok", "not_visible"]
    assert people["dr"].tolist()[0] == 0.0 and np.isnan(people["dr"].tolist()[1])
    assert people["iop"].tolist() == [17.0, 17.0]
    assert people["smoker"].tolist()[0] == "no"
    assert people["gradability"].tolist() == pytest.approx([0.7, 0.7])


def test_equal_numbers_average_to_themselves() -> None:
    bmi = 21.63663196318233  # (bmi + bmi + bmi) / 3 is another number
    images = manifest([{"participant_id": "p"}] * 3, bmi=bmi)  # three unknown eyes
    people = build_cohort(images, quality_of(images), measured_of(images), covariates=["bmi"]).participants
    assert people["bmi"].tolist() == [bmi] and people["n_eyes"].tolist() == [3]


def test_one_measured_eye_is_enough_for_a_participant() -> None:
    images = manifest([{"participant_id": "p", "eye": "OD"}, {"participant_id": "p", "eye": "OS"}])
    people = build_cohort(images, quality_of(images), measured_of(images, [np.nan, 4.0])).participants
    assert people["width_dd"].tolist() == [4.0] and people["width_dd__status"].tolist() == ["ok"]


def test_biomarkers_that_no_included_image_was_segmented_for_are_told() -> None:
    images = manifest([{"participant_id": "p", "eye": "OD"}, {"participant_id": "q", "eye": "OD"}])
    biomarkers = measured_of(images, 1.0).assign(cup=np.nan, cup__status="not_segmented")
    flow = build_cohort(images, quality_of(images), biomarkers).flow
    assert flow["not_segmented"] == ["cup"]
    assert [n for n in flow["notes"] if "does not segment" in n] == [
        "1 biomarkers need a target that the model does not segment; they are held against no outcome."
    ]
    biomarkers.loc[0, "cup__status"] = "not_visible"
    flow = build_cohort(images, quality_of(images), biomarkers).flow
    assert flow["not_segmented"] == [] and not [n for n in flow["notes"] if "does not segment" in n]


def test_age_and_sex_are_filled_within_a_person_and_conflicts_are_told() -> None:
    p, q = {"participant_id": "p"}, {"participant_id": "q"}
    rows = [
        {**p, "eye": "OD", "age": 60.0, "status": "bad_row"},  # a row that cannot be used still knows the age
        {**p, "eye": "OD"},
        {**p, "eye": "OS", "sex": "f"},
        {**p, "eye": "OS", "visit": "2", "age": 66.0},
        {**q, "eye": "OD", "age": 50.0, "sex": "m"},
        {**q, "eye": "OS", "age": 51.0, "sex": "f"},
    ]
    images = manifest(rows)
    cohort = build_cohort(images, quality_of(images), measured_of(images), covariates=["age", "sex"])
    assert cohort.eyes["age"].tolist() == [60.0, 60.0, 66.0, 50.0, 51.0]
    assert cohort.eyes["sex"].tolist() == ["f", "f", "f", "m", "f"]
    assert cohort.participants["age"].tolist() == [60.0, 66.0, 50.0]
    assert cohort.flow["conflicts"] == {
        "age": {"n_participants": 1, "participants": ["q"]}, "sex": {"n_participants": 1, "participants": ["q"]}
    }  # fmt: skip
    assert any("more than one age" in note for note in cohort.flow["notes"])


def test_laterality_decides_where_the_manifest_is_silent() -> None:
    p = {"participant_id": "p"}
    images = manifest([{**p, "eye": "OD"}, p, p, p])
    biomarkers = measured_of(images, 1.0, ["OS", "OS", None, None])
    cohort = build_cohort(images, quality_of(images), biomarkers)
    assert [e if isinstance(e, str) else None for e in cohort.eyes["eye"]] == ["OD", "OS", None, None]
    assert cohort.eyes["eye_source"].tolist() == ["manifest", "image", "unknown", "unknown"]
    eye = cohort.flow["eye"]
    assert (eye["manifest"], eye["image"], eye["unknown"], eye["mismatch"]) == (1, 1, 2, 1)
    assert eye["mismatch_images"] == ["im1"]
    assert cohort.images["laterality_mismatch"].tolist() == [True, None, None, None]
    assert any("laterality_mismatch in images.parquet" in note for note in cohort.flow["notes"])
    assert cohort.participants["n_eyes"].tolist() == [4]


def test_images_of_the_wrong_side_can_be_listed(tmp_path) -> None:
    images = manifest([{"participant_id": p, "eye": "OD"} for p in "abcd"])
    biomarkers = measured_of(images, 1.0, ["OS", "OD", "OD", None])
    biomarkers["laterality_source"] = ["disc_fovea", "disc_fovea", "manifest", None]
    cohort = build_cohort(images, quality_of(images), biomarkers)
    assert (cohort.flow["eye"]["compared"], cohort.flow["eye"]["mismatch"]) == (2, 1)
    write_cohort(cohort, tmp_path)
    table = read_table(tmp_path / "images.parquet", ["image_id", "eye", "laterality", "laterality_mismatch"])
    assert table["laterality_mismatch"].tolist() == [True, False, None, None]
    wrong = table[table["laterality_mismatch"].eq(True)]
    assert wrong[["image_id", "eye", "laterality"]].to_numpy().tolist() == [["im1", "OD", "OS"]]


def test_a_case_known_only_from_an_excluded_image_is_told() -> None:
    p = {"participant_id": "p"}
    images = manifest([{**p, "eye": "OD"}, {**p, "eye": "OS"}], dr=[0.0, 1.0])
    cohort = build_cohort(images, quality_of(images, [0.9, 0.1]), measured_of(images), outcomes=["dr"])
    assert cohort.participants["dr"].tolist() == [0.0]
    assert cohort.flow["outcomes"]["dr"]["participants_affected_only_in_excluded_images"] == 1


def test_odd_labels_and_columns_that_are_not_there() -> None:
    images = manifest([{}, {}, {}], dr=["1", "severe", None])
    cohort = build_cohort(images, quality_of(images), measured_of(images), outcomes=["dr", "amd"], covariates=["bmi"])
    assert cohort.eyes["dr"].tolist()[0] == 1.0 and cohort.eyes["dr"].isna().tolist() == [False, True, True]
    assert cohort.eyes["amd"].isna().all() and cohort.eyes["bmi"].isna().all()
    assert cohort.flow["outcomes"]["dr"]["invalid_images"] == 1
    assert not cohort.flow["outcomes"]["amd"]["in_manifest"] and not cohort.flow["covariates"]["bmi"]["found"]


def test_names_that_clash() -> None:
    images = manifest([{}, {}], focus=7.0, width_dd=3.0, included="yes")
    quality, biomarkers = quality_of(images).assign(eye="OD"), measured_of(images)
    cohort = build_cohort(images, quality, biomarkers)
    assert cohort.images["focus"].tolist() == [1.5, 1.5] and cohort.images["focus__manifest"].tolist() == [7.0, 7.0]
    assert cohort.eyes["width_dd"].tolist() == [1.0, 1.0]
    assert cohort.images["included__manifest"].tolist() == ["yes", "yes"] and cohort.images["included"].all()
    assert cohort.images["eye"].isna().all() and cohort.images.columns.is_unique
    with pytest.raises(ValueError, match="rename it in the manifest"):
        build_cohort(images, quality, biomarkers, covariates=["width_dd"])
    with pytest.raises(ValueError, match="cannot be an outcome"):
        build_cohort(images, quality, biomarkers, outcomes=["age"])
    with pytest.raises(ValueError, match="quality table has image_id 'im1' more than once"):
        build_cohort(images, pd.concat([quality, quality]), biomarkers)


def test_quality_as_a_covariate_and_columns_twice_asked_for() -> None:
    images = manifest([{}, {}])
    names = ["gradability", "focus", "eye", "age", "age", "width_dd", "camera"]
    cohort = build_cohort(images, quality_of(images), measured_of(images), covariates=names)
    for table in (cohort.images, cohort.eyes, cohort.participants):
        assert table.columns.is_unique
        assert {"gradability", "focus", "age", "width_dd", "camera"} <= set(table.columns)


def test_infinite_values_and_biomarkers_that_no_model_provides() -> None:
    images = manifest([{}, {}])
    cohort = build_cohort(
        images, quality_of(images), measured_of(images, [np.inf, 1.0]), biomarker_names=["width_dd", "cup"]
    )
    assert np.isnan(cohort.images["width_dd"].iloc[0])
    assert cohort.images["cup"].isna().all() and (cohort.images["cup__status"] == "not_segmented").all()


def test_nothing_included_and_nothing_at_all(tmp_path) -> None:
    images = manifest([{}, {}], dr=[0.0, 1.0])
    for rows in (slice(None), slice(0)):
        some = images.iloc[rows]
        cohort = build_cohort(
            some, quality_of(some, 0.0), measured_of(some), outcomes=["dr"], covariates=["age", "sex"]
        )
        assert len(cohort.images) == len(some) and cohort.eyes.empty and cohort.participants.empty
        assert cohort.flow["stages"][-1]["n_images"] == 0
        assert list(cohort.participants.columns[:4]) == ["participant_id", "visit", "n_eyes", "n_images"]
        write_cohort(cohort, tmp_path)


def test_written_tables_have_a_schema_that_does_not_depend_on_the_cells(tmp_path) -> None:
    rows = [{"eye": "OD", "visit": "1", "age": 50.0, "sex": "f", "camera": "x", "message": None}, {"eye": "OS"}]
    images = manifest(rows, dr=[0.0, 1.0], note=["a", 3])
    empty = manifest([{}, {}], dr=[np.nan, np.nan], note=[None, None])
    schemas = []
    for index, table in enumerate((images, empty)):
        cohort = build_cohort(table, quality_of(table), measured_of(table), outcomes=["dr"])
        paths = write_cohort(cohort, tmp_path / str(index), {"version": "1"})
        assert [p.name for p in paths] == ["images.parquet", "eyes.parquet", "participants.parquet", "flow.json"]
        schemas.append([pq.read_schema(p).remove_metadata() for p in paths[:3]])
        again = write_cohort(cohort, tmp_path / "again", {"version": "1"})
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(paths, again, strict=True))
        assert json.loads(paths[3].read_text()) == cohort.flow
    assert schemas[0] == schemas[1]
    assert table_schema(cohort.eyes).field("dr").type == "double"
