"""Outcomes that are grades or measurements, and the same images under another quality policy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam import tables
from retsam.cohort import build_cohort, has_ungradable, regrade, write_cohort
from retsam.config import ConfigError, parse_config
from retsam.io.manifest import ManifestError
from retsam.planning import make_plan, read_plan

KINDS = {"dr": "binary", "grade": "ordinal", "iop": "continuous"}


def shards(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Manifest, quality and biomarkers of images of a few people, several of an eye, some ungradable or unmeasured."""
    rng = np.random.default_rng(seed)
    ids = [f"im{i}" for i in range(n)]
    manifest = pd.DataFrame(
        {
            "manifest_row": np.arange(1, n + 1),
            "image_id": ids,
            "participant_id": [f"p{i}" for i in rng.integers(0, max(n // 4, 1), n)],
            "eye": rng.choice(["OD", "OS"], n),
            "visit": None,
            "age": rng.integers(40, 80, n).astype(float),
            "sex": rng.choice(["f", "m"], n),
            "site": rng.choice(["a", "b"], n),
            "status": "ok",
            "message": None,
            "dr": rng.choice([0.0, 1.0, np.nan], n),
            "grade": rng.choice([0.0, 1.0, 2.0, 3.0, np.nan], n),
            "iop": np.where(rng.uniform(size=n) < 0.2, np.nan, rng.normal(15, 3, n).round(1)),
            "bmi": rng.normal(25, 3, n),
        }
    )
    gradability = rng.uniform(size=n)
    quality = pd.DataFrame({"image_id": ids, "status": "ok", "message": None, "gradability": gradability})
    quality["gradable"] = gradability >= 0.5
    width = np.where(rng.uniform(size=n) < 0.1, np.nan, rng.normal(size=n))
    measured = pd.DataFrame({"image_id": ids, "status": "ok", "laterality": None, "width_dd": width})
    measured["width_dd__status"] = np.where(np.isnan(width), "not_visible", "ok")
    measured.loc[rng.uniform(size=n) < 0.1, "status"] = "failed"
    return manifest, quality, measured


@settings(max_examples=12, deadline=None, derandomize=True)
@given(n=st.integers(1, 24), seed=st.integers(0, 99), before=st.sampled_from(["exclude", "flag", "none"]))
def test_regraded_tables_are_those_of_the_other_policy(tmp_path_factory, n: int, seed: int, before: str) -> None:
    given, options = shards(n, seed), {"outcomes": list(KINDS), "kinds": KINDS, "covariates": ["bmi"]}
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(build_cohort(*given, policy=before, **options), folder)
    images = tables.read_table(folder / "images.parquet")
    for policy in ("exclude", "none"):
        wanted = folder / policy
        write_cohort(build_cohort(*given, policy=policy, **options), wanted)
        made = regrade(images, policy=policy, biomarker_names=["width_dd"], kinds=KINDS, covariates=["bmi", "age"])
        for name, table in zip(("eyes", "participants"), made, strict=True):
            expected = tables.read_table(wanted / f"{name}.parquet")
            pd.testing.assert_frame_equal(table, expected[table.columns], check_dtype=False)
            assert set(expected.columns) == set(table.columns)
    hidden = (images["status"] == "ungradable") & (images["biomarkers_status"] == "ok")
    assert has_ungradable(images) == bool(hidden.any())


def test_the_highest_grade_and_the_mean_of_a_trait_count() -> None:
    manifest, quality, measured = shards(4)
    rows = {
        "participant_id": "p",
        "eye": ["OD", "OD", "OS", "OS"],
        "grade": [1.0, 3.0, np.nan, 0.0],
        "iop": [12.0, 16.0, 20.0, np.nan],
        "dr": [0.0, 1.0, 0.0, 0.0],
    }
    manifest, quality = manifest.assign(**rows), quality.assign(gradability=0.9, gradable=True)
    measured = measured.assign(status="ok")
    made = build_cohort(manifest, quality, measured, outcomes=list(KINDS), kinds=KINDS)
    assert made.eyes[["dr", "grade", "iop"]].to_numpy().tolist() == [[1, 3, 14], [0, 0, 20]]
    assert made.participants[["dr", "grade", "iop"]].to_numpy().tolist() == [[1, 3, 17]]
    told = made.flow["outcomes"]
    assert told["grade"]["eyes"] == {"cases": 1, "controls": 1, "unknown": 0} and told["grade"]["kind"] == "ordinal"
    assert told["iop"]["eyes"] == {"known": 2, "unknown": 0} and told["iop"]["invalid_images"] == 0
    assert "Outcome 'grade': 1 eyes have images with different labels; the highest counts." in made.flow["notes"]


def test_what_is_no_number_is_unknown() -> None:
    manifest, quality, measured = shards(4)
    odd = manifest.assign(grade=["1", "severe", "inf", None], iop=[1.0, 2.0, np.inf, np.nan])
    told = build_cohort(odd, quality, measured, policy="none", outcomes=list(KINDS), kinds=KINDS).flow["outcomes"]
    assert (told["grade"]["invalid_images"], told["iop"]["invalid_images"]) == (2, 1)


def _plan(folder, **association):
    path = folder / "m.csv"
    columns = {"image_id": "abc", "path": "xyz", "dr": [0, 1, 0], "grade": [0, 2, 4], "iop": [14.5, None, 20]}
    pd.DataFrame({k: list(v) for k, v in columns.items()} | {"smoker": ["no", "yes", "no"]}).to_csv(path, index=False)
    config = parse_config({"association": association, "covariates": []})
    return make_plan(config, path, folder / "out")


def test_kinds_are_planned_and_their_columns_stay_numbers(tmp_path) -> None:
    plan, manifest = _plan(tmp_path, ordinal=["grade"], continuous=["iop"], strata=["smoker"], interactions=["smoker"])
    assert plan.outcomes == ["dr", "grade", "iop"] and plan.kinds == KINDS and plan.modifiers == ["smoker"]
    assert read_plan(tmp_path / "out" / "plan.json") == plan
    assert manifest.images["grade"].tolist() == [0, 2, 4] and manifest.images["iop"].isna().sum() == 1
    assert not manifest.problems or all(p.column != "grade" for p in manifest.problems)


def test_kinds_that_cannot_be(tmp_path) -> None:
    with pytest.raises(ConfigError, match="both ordinal and continuous"):
        _plan(tmp_path, ordinal=["grade"], continuous=["grade"])
    with pytest.raises(ManifestError, match="no column 'pressure'"):
        _plan(tmp_path, continuous=["pressure"])
    with pytest.raises(ManifestError, match="no column 'camp'"):
        _plan(tmp_path, strata=["camp"])
    with pytest.raises(ConfigError, match="both an outcome and a covariate"):
        _plan(tmp_path, ordinal=["grade"], strata=["grade"])
    with pytest.raises(ConfigError, match="imputations"):
        parse_config({"association": {"imputations": 1}})
