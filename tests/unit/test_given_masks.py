"""Masks made elsewhere: the rows of a shard, in the layout of segmentation, or one sentence on what is wrong."""

import numpy as np
import pandas as pd
import pytest

from retsam import tables
from retsam.biomarkers import measure_table
from retsam.errors import UserError
from retsam.io.masks import encode
from retsam.segmentation import given_evidence, given_masks
from retsam.status import Status
from retsam.tables import MASKS, SHARD

SIZE = 128
FRAME = {
    "width": 200, "height": 150, "frame_size": SIZE, "crop_x": 30, "crop_y": 5, "crop_side": 140,
    "fov_x": 100.0, "fov_y": 75.0, "fov_radius": 69.0,
}  # fmt: skip


def row(image_id, target, evidence=None, **values):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[40:80, 50:70] = True
    return {
        **dict.fromkeys(MASKS.names), **FRAME, "image_id": image_id, "target": target, "status": "ok",
        "evidence": evidence, "rle": encode(mask), "area_px": int(mask.sum()), "eye": "OS", "um_per_px": 9.0,
    } | values  # fmt: skip


@pytest.fixture
def masks(tmp_path):
    """A study of three images, its targets in no order; ``c`` has no field of view, and ``z`` is of another study."""
    rows = [
        row("z", "fov"),
        row("b", "drusen", "annotated"), row("b", "fov"), row("b", "vessel"),
        row("a", "fov"), row("a", "drusen", "phantom"), row("a", "optic_disc", "label_validated", x=5.0, y=6.0),
        row("c", "vessel"),
    ]  # fmt: skip
    path = tmp_path / "given.parquet"
    tables.write_table(pd.DataFrame(rows), path, MASKS)
    return path


@pytest.fixture
def shard():
    names = ["a", "b", "c", "d", "e"]
    return pd.DataFrame(
        {
            "image_id": names, "manifest_row": range(1, 6), "path": [f"{name}.png" for name in names],
            "eye": ["OD", None, None, None, None], "um_per_px": [7.0, *[np.nan] * 4], "file_bytes": -1,
            "status": ["ok"] * 4 + ["bad_row"],
        }
    )[SHARD.names]  # fmt: skip


def test_rows_come_in_the_order_of_shard_and_taxonomy(masks, shard):
    table = given_masks(shard, masks, frame_size=SIZE)
    assert table["image_id"].drop_duplicates().tolist() == list("abcde")
    assert table.loc[table["image_id"] == "a", "target"].tolist() == ["fov", "optic_disc", "drusen"]
    assert table.loc[table["image_id"] == "b", "target"].tolist() == ["fov", "vessel", "drusen"]
    fov = table[table["target"] == "fov"].set_index("image_id")
    assert fov["status"].to_dict() == {
        "a": "ok", "b": "ok", "c": "not_segmented", "d": "not_segmented", "e": "bad_row"
    }  # fmt: skip
    assert fov.loc[["c", "d", "e"], ["rle", "width", "frame_size"]].isna().all(axis=None)
    stored = tables.read_table(masks).set_index(["image_id", "target"])
    taken = table.set_index(["image_id", "target"])
    same = ["rle", "area_px", "evidence", "x", "y", *FRAME]
    for key in (("a", "drusen"), ("b", "vessel"), ("a", "optic_disc")):
        pd.testing.assert_series_equal(taken.loc[key, same], stored.loc[key, same])


def test_eye_and_scale_are_those_of_the_manifest(masks, shard):
    table = given_masks(shard, masks, frame_size=SIZE)
    of_image = table.groupby("image_id")[["eye", "um_per_px"]].first()
    assert of_image.loc["a"].tolist() == ["OD", 7.0]
    assert of_image.loc["b"].isna().all()


def test_targets_are_kept_as_asked(masks, shard):
    table = given_masks(shard, masks, frame_size=SIZE, targets=["drusen"])
    assert set(table["target"]) == {"fov", "drusen"}


def test_an_image_without_masks_is_measured_as_not_segmented(masks, shard):
    measured = measure_table(given_masks(shard, masks, frame_size=SIZE)).set_index("image_id")
    assert measured["status"].to_dict() == {
        "a": "ok", "b": "ok", "c": Status.NOT_SEGMENTED, "d": Status.NOT_SEGMENTED, "e": Status.BAD_ROW
    }  # fmt: skip


def test_an_empty_shard_gives_an_empty_table(masks, shard):
    assert given_masks(shard.iloc[:0], masks, frame_size=SIZE).columns.tolist() == MASKS.names


def test_equal_shards_of_a_table_in_another_order_give_equal_bytes(masks, shard, tmp_path):
    other = tmp_path / "other.parquet"
    tables.write_table(tables.read_table(masks).iloc[::-1], other, MASKS)
    first, second = (tables.to_bytes(given_masks(shard, path, frame_size=SIZE), MASKS) for path in (masks, other))
    assert first == second


def test_evidence_is_the_weakest_of_each_target(masks):
    assert given_evidence(masks) == {"drusen": "phantom", "optic_disc": "label_validated"}


def test_what_cannot_be_used_is_said_in_one_sentence(masks, shard, tmp_path):
    good = tables.read_table(masks)
    for change, said in (
        (lambda t: pd.concat([t, t[t["target"] == "vessel"]]), "image 'b' has 'vessel' twice"),
        (lambda t: t.replace({"target": {"vessel": "vessels"}}), "'vessels' is no target"),
        (lambda t: t.drop(columns="rle"), "no column 'rle'"),
        (lambda t: t.assign(area_px="many"), "area_px|many"),
    ):
        path = tmp_path / "bad.parquet"
        change(good).to_parquet(path)
        with pytest.raises(UserError, match=said) as refused:
            given_masks(shard, path, frame_size=SIZE)
        assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(UserError, match="frame size 128, the study's is 256; set frame_size: 128"):
        given_masks(shard, masks, frame_size=256)
    with pytest.raises(UserError, match=r"no table of masks at none.parquet"):
        given_masks(shard, tmp_path / "none.parquet", frame_size=SIZE)
    text = tmp_path / "text.parquet"
    text.write_text("image_id,target\n")
    with pytest.raises(UserError, match=r"text.parquet is no Parquet file"):
        given_masks(shard, text, frame_size=SIZE)
