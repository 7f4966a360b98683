"""Engines by name, and the table of masks: every photograph is there, whatever happens to it."""

import logging
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retsam import __version__
from retsam.errors import UserError
from retsam.geometry import Frame
from retsam.io.masks import decode
from retsam.segmentation import Prediction, SegmentationEngine, load_engine, origin, segment_table
from retsam.status import Status
from retsam.tables import FRAME_COLUMNS, MASKS, conform, read_metadata, to_bytes, write_table
from retsam.taxonomy import Evidence

SIZE = 128


@dataclass
class Threshold:
    """An engine that calls red pixels drusen; fails on blue photographs; needs no weights, so its truth is known."""

    name: str = "threshold"
    weights_hash: str = ""
    device: str = "cpu"
    targets: dict = field(default_factory=lambda: {"drusen": Evidence.PHANTOM, "fovea": Evidence.LABEL_VALIDATED})
    thresholds: dict = field(default_factory=lambda: {"drusen": 0.5, "fovea": 0.5})
    preferred_batch: int = 2
    concurrent: bool = True
    sizes: list = field(default_factory=list)

    def predict(self, images, fov):
        self.sizes.append(len(images))
        if (images[..., 2] > 250).any():
            raise RuntimeError("blue")
        return [self._one(image, inside) for image, inside in zip(images, fov, strict=True)]

    def _one(self, image, inside):
        red = (image[..., 0] > 200) & inside
        status = {"drusen": Status.OK, "fovea": Status.OK if red.any() else Status.NOT_VISIBLE}
        found = Prediction(status, {"drusen": red}, {"drusen": np.where(red, 0.75, 0.25).astype(np.float32)})
        if red.any():
            found.masks["fovea"], found.points["fovea"] = red, (1.5, 2.5)
        return found


def draw(path, colour=(90, 90, 60), spot=None):
    y, x = np.mgrid[:150, :200]
    image = np.zeros((150, 200, 3), np.uint8)
    image[np.hypot(x - 100, y - 75) < 70] = colour
    if spot is not None:
        image[70:80, 90:110] = spot
    Image.fromarray(image).save(path)


@pytest.fixture
def shard(tmp_path):
    draw(tmp_path / "a.png", spot=(255, 90, 60))
    draw(tmp_path / "b.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    draw(tmp_path / "blue.png", spot=(90, 90, 255))
    draw(tmp_path / "d.png", spot=(255, 90, 60))
    names = ["d", "a", "blue", "broken", "missing", "b", "b~2"]
    return pd.DataFrame(
        {
            "image_id": names,
            "manifest_row": range(1, len(names) + 1),
            "path": [f"{name}.png" for name in names],
            "eye": ["OD", "OS", None, None, None, None, None],
            "um_per_px": [5.0, *[np.nan] * 6],
            "file_bytes": 1,
            "status": ["ok"] * 6 + ["duplicate_id"],
        }
    )


def segment(shard, root, **options):
    return segment_table(shard, root, Threshold(), frame_size=SIZE, **options)


def test_every_photograph_appears_in_order_with_its_reason(shard, tmp_path, caplog):
    with caplog.at_level(logging.ERROR):
        table = segment(shard, tmp_path)
    assert conform(table, MASKS).column_names == MASKS.names
    fov = table[table["target"] == "fov"]
    assert fov["image_id"].tolist() == shard["image_id"].tolist()
    assert fov["status"].tolist() == ["ok", "ok", "failed", "unreadable", "missing_file", "ok", "duplicate_id"]
    assert table["image_id"].drop_duplicates().tolist() == shard["image_id"].tolist()
    assert "blue" in caplog.text and "RuntimeError" in caplog.text
    unusable = table[table["image_id"].isin(["broken", "missing", "b~2"])]
    assert len(unusable) == 3
    assert unusable[["rle", "evidence", *(f.name for f in FRAME_COLUMNS)]].isna().all(axis=None)
    assert len(table[table["image_id"] == "blue"]) == 1


def test_rows_of_a_photograph(shard, tmp_path):
    table = segment(shard, tmp_path)
    rows = table[table["image_id"] == "d"].set_index("target")
    assert rows.index.tolist() == ["fov", "fovea", "drusen"]  # the order of the taxonomy
    assert rows["evidence"].tolist()[1:] == ["label_validated", "phantom"] and pd.isna(rows.loc["fov", "evidence"])
    assert set(rows["eye"]) == {"OD"} and set(rows["um_per_px"]) == {5.0}
    drusen, frame = rows.loc["drusen"], Frame.from_row(rows.loc["fov"])
    mask = decode(drusen["rle"], SIZE)
    assert mask.sum() == drusen["area_px"] == pytest.approx(200 * frame.scale**2, rel=0.15)
    assert drusen["probability"] == 0.75
    assert (rows.loc["fovea", "x"], rows.loc["fovea", "y"]) == (1.5, 2.5)
    assert pd.isna(rows.loc["fovea", "probability"]) and pd.isna(drusen["x"])
    field_of_view = decode(rows.loc["fov", "rle"], SIZE)
    assert rows.loc["fov", "area_px"] == field_of_view.sum() == pytest.approx(np.pi / 4 * SIZE**2, rel=0.05)
    assert not (mask & ~field_of_view).any()


def test_what_is_not_visible_has_no_mask(shard, tmp_path):
    table = segment(shard, tmp_path)
    row = table[(table["image_id"] == "b") & (table["target"] == "fovea")].iloc[0]
    assert row["status"] == "not_visible" and row["evidence"] == "label_validated"
    assert row[["rle", "area_px", "probability", "x", "y"]].isna().all()
    empty = table[(table["image_id"] == "b") & (table["target"] == "drusen")].iloc[0]
    assert empty["status"] == "ok" and empty["area_px"] == 0 and pd.isna(empty["probability"])
    assert not decode(empty["rle"], SIZE).any()


def test_targets_select_rows_and_typos_are_said(shard, tmp_path):
    table = segment(shard, tmp_path, targets=["drusen", "vessel"])
    assert set(table["target"]) == {"fov", "drusen"}
    with pytest.raises(UserError, match="no target 'vesel'"):
        segment(shard, tmp_path, targets=["vesel"])


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (1, 3), (3, 2), (2, 100)])
def test_bytes_do_not_depend_on_workers_or_batches(shard, tmp_path, workers, batch_size):
    reference = to_bytes(segment(shard, tmp_path), MASKS)
    assert to_bytes(segment(shard, tmp_path, workers=workers, batch_size=batch_size), MASKS) == reference


def test_bytes_do_not_depend_on_the_rest_of_the_shard(shard, tmp_path):
    whole = segment(shard, tmp_path)
    alone = segment(shard.iloc[[1]], tmp_path)
    same = whole[whole["image_id"] == "a"].reset_index(drop=True)
    assert to_bytes(same, MASKS) == to_bytes(alone, MASKS)


def test_engine_gets_the_batches_that_it_prefers(shard, tmp_path):
    engine = Threshold()
    good = shard[shard["image_id"].isin(["a", "b", "d"])]
    segment_table(good, tmp_path, engine, frame_size=SIZE)
    assert engine.sizes == [2, 1]
    engine.sizes.clear()
    segment_table(good, tmp_path, engine, frame_size=SIZE, batch_size=3)
    assert engine.sizes == [3]


def test_a_failing_batch_costs_one_photograph(shard, tmp_path):
    table = segment(shard, tmp_path, batch_size=7)
    fov = table[table["target"] == "fov"].set_index("image_id")["status"]
    assert fov[["d", "a", "b"]].eq("ok").all() and fov["blue"] == "failed"


def test_progress_counts_every_photograph(shard, tmp_path):
    seen = []
    segment(shard, tmp_path, progress=seen.append, batch_size=2)
    assert seen == list(range(1, len(shard) + 1))


def test_empty_shard_gives_an_empty_table(shard, tmp_path):
    table = segment(shard.iloc[:0], tmp_path)
    assert len(table) == 0
    assert conform(table, MASKS).num_rows == 0


def test_classical_engine_keeps_the_interface_and_declares_evidence():
    engine = load_engine("classical")
    assert isinstance(engine, SegmentationEngine)
    assert (engine.name, engine.weights_hash, engine.device) == ("classical", "", "cpu")
    assert dict(engine.targets) == dict.fromkeys(["vessel", "optic_disc", "fovea"], Evidence.ANNOTATED)
    assert set(engine.thresholds) == set(engine.targets)
    assert isinstance(Threshold(), SegmentationEngine)


def test_unknown_engine_or_device_is_said_with_the_choices():
    with pytest.raises(UserError, match="no segmentation model 'clasical'; the models are classical"):
        load_engine("clasical")
    with pytest.raises(UserError, match="no device 'gpu'; use auto, cpu, cuda or cuda:N"):
        load_engine("classical", device="gpu")
    with pytest.raises(UserError, match="runs on the CPU"):
        load_engine("classical", device="cuda:0")


def test_classical_engine_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys, numpy as np; from retsam.segmentation import load_engine;"
        "load_engine('classical').predict(np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 64, 64), bool));"
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_chunks_follow_an_engine_that_takes_more_in_use(shard, tmp_path):
    class Growing(Threshold):
        def predict(self, images, fov):
            self.preferred_batch *= 2
            return super().predict(images, fov)

    engine = Growing(preferred_batch=1, concurrent=False)
    good = shard[shard["image_id"].isin(["a", "b", "d"])]
    table = segment_table(good, tmp_path, engine, frame_size=SIZE)
    assert sum(engine.sizes) == 3
    assert to_bytes(table, MASKS) == to_bytes(segment(good, tmp_path), MASKS)


def test_origin_says_what_made_the_masks(tmp_path, shard):
    engine = Threshold(device="cuda:1", weights_hash="ab")
    said = origin(engine)
    assert said == {"retsam": __version__, "model": "threshold", "weights_sha256": "ab", "device": "cuda"}
    engine.settings = {"flips": "true"}
    assert origin(engine) == said | {"flips": "true"}
    write_table(segment(shard.iloc[:1], tmp_path), tmp_path / "m.parquet", MASKS, origin(engine))
    assert read_metadata(tmp_path / "m.parquet") == origin(engine)
    write_table(segment(shard.iloc[:1], tmp_path), tmp_path / "n.parquet", MASKS)
    assert read_metadata(tmp_path / "n.parquet") == {}
