"""A shard as a stream of frames: order, statuses, memory; one bad image never stops the others."""

import logging
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retsam.io import frames
from retsam.io.frames import FramedImage, iter_frames, load_frame
from retsam.status import Status
from retsam.tables import SHARD
from tests.badimages import fundus, make_bad_images


def shard(paths: list[str | None], statuses: list[Status] | None = None) -> pd.DataFrame:
    rows = range(len(paths))
    return pd.DataFrame(
        {
            "image_id": [f"image {i}" for i in rows],
            "manifest_row": [i + 1 for i in rows],
            "path": paths,
            "eye": ["OD" if i % 2 else None for i in rows],
            "um_per_px": [5.5 if i % 3 else np.nan for i in rows],
            "file_bytes": [0 for _ in rows],
            "status": [str(s) for s in statuses] if statuses else ["ok" for _ in rows],
        }
    )[SHARD.names]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[Path, Status]]]:
    folder = tmp_path_factory.mktemp("cohort of fünf")
    return folder, make_bad_images(folder)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_row_comes_out_in_order_with_its_status(cohort, workers):
    folder, kinds = cohort
    table = shard([path.name for path, _ in kinds.values()])
    framed = list(iter_frames(table, folder, 64, workers))
    assert [f.image_id for f in framed] == list(table["image_id"])
    assert [f.status for f in framed] == [status for _, status in kinds.values()]
    for item, (path, status) in zip(framed, kinds.values(), strict=True):
        if status is Status.OK:
            assert item.message == ""
            assert item.image.shape == (64, 64, 3)
            assert item.image.dtype == np.uint8
            assert item.fov.shape == (64, 64)
            assert 0.6 < item.fov.mean() < 0.85
        else:
            assert path.name in item.message
            assert str(folder) not in item.message
            assert item.image is None
            assert item.frame is None
    assert [f.eye for f in framed] == [e if isinstance(e, str) else None for e in table["eye"]]
    assert [f.um_per_px for f in framed] == [None if i % 3 == 0 else 5.5 for i in range(len(framed))]


def test_rows_that_planning_refused_keep_their_reason(cohort):
    folder, _ = cohort
    table = shard([None, "whole.png", None], [Status.BAD_ROW, Status.DUPLICATE_ID, Status.OK])
    framed = list(iter_frames(table, folder, 64))
    assert [f.status for f in framed] == [Status.BAD_ROW, Status.DUPLICATE_ID, Status.BAD_ROW]
    assert all(f.message for f in framed)


def test_an_unforeseen_error_is_a_failed_row_with_a_log(cohort, monkeypatch, caplog):
    folder, _ = cohort
    real = frames.find_field

    def moody(pixels: np.ndarray) -> object:
        if pixels.shape[1] == 99:
            raise ZeroDivisionError("/secret/path")
        return real(pixels)

    monkeypatch.setattr(frames, "find_field", moody)
    Image.fromarray(fundus(99, 90)).save(folder / "odd.png")
    with caplog.at_level(logging.ERROR):
        framed = list(iter_frames(shard(["whole.png", "odd.png", "whole.png"]), folder, 64, 2))
    assert [f.status for f in framed] == [Status.OK, Status.FAILED, Status.OK]
    assert "ZeroDivisionError" in framed[1].message
    assert "secret" not in framed[1].message
    assert "image 1" in caplog.text


def test_at_most_two_images_a_worker_wait(monkeypatch):
    started, lock = [0], threading.Lock()

    def slow(path: Path, frame_size: int, **values: object) -> FramedImage:
        with lock:
            started[0] += 1
        return FramedImage(str(values["image_id"]), Status.OK)

    monkeypatch.setattr(frames, "load_frame", slow)
    for taken, _ in enumerate(iter_frames(shard(["a"] * 40), Path(), 64, 2), start=1):
        assert started[0] <= taken + 4


def test_stopping_early_leaves_no_thread(cohort):
    folder, _ = cohort
    before = threading.active_count()
    stream = iter_frames(shard(["whole.png"] * 30), folder, 64, 2)
    assert next(stream).status is Status.OK
    stream.close()
    assert threading.active_count() == before


def test_frames_do_not_depend_on_workers_or_neighbours(cohort):
    folder, _ = cohort
    alone = load_frame(folder / "whole.png", 128)
    crowd = list(iter_frames(shard(["whole.jpg", "whole.png", "rgba.png"]), folder, 128, 3))
    np.testing.assert_array_equal(alone.image, crowd[1].image)
    assert alone.frame == crowd[1].frame == crowd[2].frame


def test_the_frame_size_is_checked_at_once(cohort):
    folder, _ = cohort
    with pytest.raises(ValueError, match="multiple of 64"):
        load_frame(folder / "whole.png", 100)
    with pytest.raises(ValueError, match="multiple of 64"):
        next(iter_frames(shard(["whole.png"]), folder, 100))


def test_absolute_paths_and_default_id(cohort, tmp_path):
    _, kinds = cohort
    path, _ = kinds["unicode and spaces"]
    assert load_frame(path, 64).image_id == path.stem
    framed = list(iter_frames(shard([str(path)]), tmp_path, 64))
    assert framed[0].status is Status.OK
