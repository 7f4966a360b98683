"""The command line: each command on a tiny cohort, and one clear sentence for each user error."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retsam import tables

pytestmark = pytest.mark.workflow

CLASSICAL = ("--model", "classical", "--frame-size", 256)
"""Fast, whatever the default model is."""


def retsam(*arguments, cwd=None, check=True):
    command = [sys.executable, "-m", "retsam", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    retsam("simulate", folder / "c", "--participants", 3, "--seed", 2, "--frame-size", 256)
    retsam("segment", folder / "c" / "manifest.csv", "--out", folder / "masks.parquet", *CLASSICAL)
    retsam("quality", folder / "c" / "manifest.csv", "--out", folder / "quality.parquet")
    return folder


def ids(cohort):
    return pd.read_csv(cohort / "c" / "manifest.csv")["image_id"].tolist()


def test_segment_and_quality_have_every_image(cohort):
    masks = tables.read_table(cohort / "masks.parquet")
    assert masks["image_id"].drop_duplicates().tolist() == ids(cohort)
    assert set(masks["target"]) == {"fov", "vessel", "optic_disc", "fovea"}
    assert tables.read_table(cohort / "quality.parquet")["image_id"].tolist() == ids(cohort)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_measure(cohort, suffix):
    out = cohort / f"biomarkers.{suffix}"
    retsam("measure", cohort / "masks.parquet", "--quality", cohort / "quality.parquet", "--out", out)
    assert tables.read_table(out)["image_id"].tolist() == ids(cohort)


def test_measure_takes_a_folder_of_masks(tmp_path):
    y, x = np.mgrid[:300, :300]
    (tmp_path / "m" / "optic_disc").mkdir(parents=True)
    Image.fromarray((np.hypot(x - 180, y - 150) < 30).astype(np.uint8) * 255).save(tmp_path / "m/optic_disc/1.png")
    (tmp_path / "m" / "optic_disc" / "2.png").write_bytes(b"")
    options = ("--um-per-px", 20, "--frame-size", 256)
    done = retsam("measure", "m", "--out", "b.csv", *options, cwd=tmp_path)
    assert "no --fov: the whole picture counts as field of view" in done.stderr
    assert "optic_disc/2.png is empty (0 bytes)" in done.stderr
    table = tables.read_table(tmp_path / "b.csv")
    assert table["status"].tolist() == ["ok", "unreadable"]
    assert table["disc_area_mm2"][0] == pytest.approx(np.pi * 0.6**2, rel=0.03)


@pytest.mark.parametrize("to", ["png", "coco", "overlay"])
def test_export(cohort, to):
    options = ["--manifest", cohort / "c" / "manifest.csv"] if to == "overlay" else []
    retsam("export", cohort / "masks.parquet", "--to", to, "--out", cohort / to, *options)
    assert [p for p in (cohort / to).rglob("*") if p.is_file()]


def test_segment_takes_photographs_and_targets(cohort):
    photos = sorted((cohort / "c" / "images").iterdir())[:2]
    out = cohort / "two.parquet"
    retsam("segment", *photos, "--targets", "optic_disc", "--out", out, *CLASSICAL)
    masks = tables.read_table(out)
    assert set(masks["target"]) == {"fov", "optic_disc"}
    assert masks["image_id"].drop_duplicates().tolist() == [p.stem for p in photos]


@pytest.mark.parametrize("format", ["md", "csv", "json"])
def test_catalogue(format):
    assert "fd_box_skeleton" in retsam("catalogue", "--format", format).stdout


def test_import_says_what_is_taken_and_refused(tmp_path):
    (tmp_path / "m.csv").write_text("Name,CDR_vertical,Vessel_density\n1.png,0.5,0.1\n")
    done = retsam("import", "automorph", "m.csv", "--out", "b.csv", cwd=tmp_path)
    assert "1 columns taken -> b.csv; 1 refused -> b.refused.csv" in done.stdout
    assert "1 refused: over the whole canvas" in done.stdout
    assert tables.read_table(tmp_path / "b.csv")["cup_disc_ratio_vertical"].tolist() == [0.5]
    assert pd.read_csv(tmp_path / "b.refused.csv")["column"].tolist() == ["Vessel_density"]


def test_help_shows_an_example():
    for command in ("simulate", "quality", "segment", "measure", "import", "export", "evaluate", "catalogue"):
        assert "Example: retsam" in retsam(command, "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quality", "none.csv", "--out", "q.parquet"], "no manifest at none.csv"),
        (["quality", ".", "--out", "q.parquet"], "is a folder"),
        (["quality", "wrong.csv", "--out", "q.parquet"], "rename column 'file' to 'path'"),
        (["quality", "empty.csv", "--out", "q.parquet"], "is empty"),
        (["quality", "wrong.csv", "--out", "q.txt"], "should end in .parquet or .csv"),
        (["segment", "wrong.csv", "x.jpg", "--out", "m.parquet"], "give one manifest alone"),
        (["segment", "x.jpg", "--out", "m.parquet", "--frame-size", "1000"], "multiple of 64"),
        (["segment", "x.jpg", "--out", "m.parquet", "--model", "clasical"], "classical"),
        (["segment", "x.jpg", "--out", "m.parquet", "--targets", "disc"], "'disc' is not a target"),
        (["measure", "none.parquet", "--out", "b.csv"], "make it with retsam segment"),
        (["measure", "wrong.csv", "--out", "b.csv"], "has no column 'image_id'"),
        (["measure", "wrong.csv", "--out", "b.csv", "--colours", "rite"], "are for a folder of masks"),
        (["measure", ".", "--out", "b.csv"], "has no folder of masks"),
        (["measure", ".", "--out", "b.csv", "--um-per-px", "-1"], "is no scale"),
        (["import", "automorf", "wrong.csv", "--out", "b.csv"], "no peer 'automorf'"),
        (["import", "automorph", "wrong.csv", "--out", "b.csv", "--um-per-px", "0"], "is no scale"),
        (["import", "automorph", "wrong.csv", "--out", "b.csv"], "has no column 'Name'"),
        (["export", "none.parquet", "--to", "png", "--out", "o"], "make it with retsam segment"),
        (["export", "wrong.csv", "--to", "overlay", "--out", "o"], "add --manifest"),
        (["evaluate", "drve", ".", "--out", "m.csv"], "drive"),
        (["evaluate", "drive", ".", "--out", "m.csv"], "images"),
    ],
)
def test_user_errors_are_one_sentence_and_exit_2(tmp_path, arguments, said):
    (tmp_path / "wrong.csv").write_text("id,file\n1,a.jpg\n")
    (tmp_path / "empty.csv").write_text("")
    done = retsam(*arguments, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(tmp_path.glob("*.parquet"))


def test_missing_photograph_is_a_row_not_an_error(tmp_path):
    done = retsam("segment", "gone.jpg", "--out", "m.parquet", *CLASSICAL, cwd=tmp_path)
    assert tables.read_table(tmp_path / "m.parquet")["status"].tolist() == ["missing_file"]
    assert "1 missing_file" in done.stdout
