"""Planning: shards by manifest order, rewritten only where their content changed."""

import pandas as pd
import pytest

from retsam import tables
from retsam.config import ConfigError, parse_config
from retsam.io.manifest import ManifestError
from retsam.planning import make_plan, read_plan


def manifest(folder, n, **columns):
    path = folder / "m.csv"
    rows = {
        "image_id": [f"i{k}" for k in range(n)],
        "path": [f"{k}.jpg" for k in range(n)],
        "age": 50,
        "dr": 0,
    } | columns
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def plan(folder, n, size=4, **columns):
    config = parse_config({"shard_size": size, **columns.pop("config", {})})
    return make_plan(config, manifest(folder, n, **columns), folder / "out")[0]


def shard_times(folder):
    return {p.name: p.stat().st_mtime_ns for p in sorted((folder / "out" / "shards").glob("*.parquet"))}


def test_every_image_is_in_one_shard(tmp_path):
    made = plan(tmp_path, 10)
    assert (made.n_images, made.n_shards, made.shards) == (10, 3, ["00000", "00001", "00002"])
    parts = tables.read_tables([tmp_path / "out" / "shards" / f"{s}.parquet" for s in made.shards])
    assert parts["image_id"].tolist() == [f"i{k}" for k in range(10)]
    assert read_plan(tmp_path / "out" / "plan.json") == made


def test_appended_images_touch_only_the_last_shard(tmp_path):
    plan(tmp_path, 10)
    before = shard_times(tmp_path)
    plan(tmp_path, 13)
    after = shard_times(tmp_path)
    assert [name for name in after if after[name] != before.get(name)] == ["00002.parquet", "00003.parquet"]


def test_changed_labels_touch_no_shard(tmp_path):
    plan(tmp_path, 10)
    before = shard_times(tmp_path)
    plan(tmp_path, 10, dr=1, age=60)
    assert shard_times(tmp_path) == before


def test_a_file_that_arrives_touches_its_shard(tmp_path):
    plan(tmp_path, 10)
    before = shard_times(tmp_path)
    (tmp_path / "5.jpg").write_bytes(b"x")
    plan(tmp_path, 10)
    after = shard_times(tmp_path)
    assert [name for name in after if after[name] != before[name]] == ["00001.parquet"]


def test_shards_of_a_longer_manifest_are_removed(tmp_path):
    plan(tmp_path, 10)
    plan(tmp_path, 3)
    assert list(shard_times(tmp_path)) == ["00000.parquet"]


def test_default_adjustment_sets_follow_the_columns(tmp_path):
    assert plan(tmp_path, 3).models == {"crude": [], "age_sex": ["age"]}
    made = plan(tmp_path, 3, sex="f", bmi=22, config={"covariates": ["age", "sex", "bmi"]})
    assert made.models == {"crude": [], "age_sex": ["age", "sex"], "full": ["age", "sex", "bmi"]}


def test_gradability_is_a_covariate_without_being_a_column(tmp_path):
    made = plan(tmp_path, 3, config={"covariates": ["age", "gradability"]})
    assert made.models["full"] == ["age", "gradability"]


def test_declared_columns_must_exist(tmp_path):
    with pytest.raises(ManifestError, match="no column 'bmi'"):
        plan(tmp_path, 3, config={"covariates": ["age", "bmi"]})
    with pytest.raises(ManifestError, match="no column 'sex'"):
        plan(tmp_path, 3, config={"covariates": ["age", "sex"]})
    with pytest.raises(ConfigError, match="both an outcome and a covariate"):
        plan(tmp_path, 3, config={"covariates": ["age", "dr"]})
