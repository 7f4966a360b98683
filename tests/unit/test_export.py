"""Export of masks in the photograph's own pixels."""

import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from PIL import Image
from pycocotools.coco import COCO

from retsam.errors import UserError
from retsam.export import draw_overlay, export, safe_names
from retsam.geometry import Frame
from retsam.io.masks import encode
from retsam.status import Status
from retsam.tables import MASKS, write_table
from retsam.taxonomy import TARGETS

SIZE = 128
FRAME = Frame(300, 200, SIZE, 40, -10, 220, 150.0, 100.0, 108.0)
WIDTH, HEIGHT = FRAME.width, FRAME.height


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y0:y1, x0:x1] = True
    return mask


MASK = {
    "fov": box(4, 10, 124, 118),
    "vessel": box(10, 60, 110, 64),
    "optic_disc": box(80, 50, 100, 70),
    "fovea": box(40, 50, 60, 70),
}


def image_rows(image_id: str, frame: Frame = FRAME, masks: dict | None = None) -> list[dict]:
    rows = []
    for target, mask in (MASK if masks is None else masks).items():
        point = {"fovea": (50.0, 60.0), "optic_disc": (90.0, 60.0)}.get(target, (None, None))
        common = {"image_id": image_id, "target": target, "status": "ok", "evidence": "annotated", "eye": "OD"}
        values = {"rle": encode(mask), "area_px": int(mask.sum()), "probability": 0.8, "um_per_px": None}
        rows.append({**common, **values, "x": point[0], "y": point[1], **frame.as_row()})
    return rows


def failed_row(image_id: str, status: Status) -> dict:
    return {**dict.fromkeys(MASKS.names), "image_id": image_id, "target": "fov", "status": status}


def write(path: Path, rows: list[dict]) -> Path:
    write_table(pd.DataFrame(rows, columns=MASKS.names), path, MASKS)
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    not_found = {**failed_row("b", Status.NOT_VISIBLE), "target": "fovea", **FRAME.as_row()}
    write(folder / "0000.parquet", [*image_rows("a"), failed_row("broken", Status.UNREADABLE)])
    rows = image_rows("b", masks={k: v for k, v in MASK.items() if k != "fovea"})
    write(folder / "0001.parquet", [*rows, not_found])
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[0x010E] = "secret patient"
    for name in "ab":
        Image.fromarray(pixels).save(tmp_path / f"photos/{name}.jpg", exif=exif)
    path = tmp_path / "manifest.csv"
    path.write_text("image_id,path\na,photos/a.jpg\nb,photos/b.jpg\nbroken,photos/none.jpg\n")
    return path


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- PNG --------------------------------------------------------------------------------------------------------------


def test_png_is_the_mask_in_photograph_pixels(shards, tmp_path):
    summary = export(shards, "png", tmp_path / "out")
    assert summary.images == 2
    assert summary.skipped == (("broken", summary.skipped[0][1]),)
    for target, mask in MASK.items():
        image = Image.open(tmp_path / f"out/a/{target}.png")
        assert image.mode == "L"
        assert image.size == (WIDTH, HEIGHT)
        np.testing.assert_array_equal(np.asarray(image), FRAME.unwarp_mask(mask) * np.uint8(255))
    assert not (tmp_path / "out/b/fovea.png").exists()  # looked for and not found
    assert not (tmp_path / "out/broken").exists()


def test_indexed_png_follows_the_drawing_order(shards, tmp_path):
    export(shards, "png", tmp_path / "out")
    image = Image.open(tmp_path / "out/a/labels.png")
    assert image.mode == "P"
    labels = np.asarray(image)
    disc, vessel = FRAME.unwarp_mask(MASK["optic_disc"]), FRAME.unwarp_mask(MASK["vessel"])
    assert (labels[disc] == TARGETS["optic_disc"].index).all()  # the disc covers the vessel that crosses it
    fovea = FRAME.unwarp_mask(MASK["fovea"])
    assert (labels[vessel & ~disc & ~fovea] == TARGETS["vessel"].index).all()
    assert set(np.unique(labels)) == {0, 1, TARGETS["optic_disc"].index, TARGETS["fovea"].index}
    table = pd.read_csv(tmp_path / "out/labels.csv").set_index("target")
    shown = np.asarray(image.convert("RGB"))[disc][0]
    assert tuple(shown) == TARGETS["optic_disc"].colour == tuple(table.loc["optic_disc", ["red", "green", "blue"]])
    assert len(table) == len(TARGETS)


def test_points_and_index_tables(shards, tmp_path):
    export(shards, "png", tmp_path / "out")
    points = pd.read_csv(tmp_path / "out/points.csv")
    assert list(points["image_id"] + " " + points["target"]) == ["a optic_disc", "a fovea", "b optic_disc"]
    x, y = FRAME.to_photo((50.0, 60.0))
    assert points.loc[1, ["x", "y"]].to_list() == pytest.approx([x, y], abs=1e-3)
    index = pd.read_csv(tmp_path / "out/images.csv").set_index("image_id")
    assert list(index.index) == ["a", "broken", "b"]
    assert index.loc["broken", "status"] == "unreadable"
    assert index["message"].isna().to_list() == [True, False, True]
    assert index.loc["a", ["width", "height"]].to_list() == [WIDTH, HEIGHT]


def test_targets_can_be_chosen(shards, tmp_path):
    export(shards / "0000.parquet", "png", tmp_path / "out", targets=["optic_disc"])
    assert {p.name for p in (tmp_path / "out/a").iterdir()} == {"optic_disc.png", "labels.png"}
    with pytest.raises(UserError, match="'disc' is not a target; known are fov, vessel"):
        export(shards, "png", tmp_path / "out", targets=["disc"])


# --- COCO -------------------------------------------------------------------------------------------------------------


def test_coco_loads_and_gives_the_masks_back(shards, manifest, tmp_path, capsys):
    export(shards, "coco", tmp_path / "out", photographs=manifest)
    data = COCO(tmp_path / "out/annotations.json")
    images = data.loadImgs(data.getImgIds())
    assert [(i["image_id"], i["file_name"], i["width"], i["height"]) for i in images] == [
        ("a", "photos/a.jpg", WIDTH, HEIGHT),
        ("b", "photos/b.jpg", WIDTH, HEIGHT),
    ]
    assert {c["id"]: c["name"] for c in data.loadCats(data.getCatIds())} == {t.index: t.name for t in TARGETS.values()}
    for target in ("vessel", "optic_disc", "fovea"):
        (annotation,) = data.loadAnns(data.getAnnIds(imgIds=[1], catIds=[TARGETS[target].index]))
        mask = FRAME.unwarp_mask(MASK[target])
        np.testing.assert_array_equal(data.annToMask(annotation).astype(bool), mask)
        rows, cols = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
        assert annotation["area"] == mask.sum()
    assert len(data.getAnnIds()) == 5
    assert [a["id"] for a in data.dataset["annotations"]] == [1, 2, 3, 4, 5]
    assert [p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")] == []


def test_coco_point_is_in_photograph_pixels(shards, tmp_path):
    export(shards, "coco", tmp_path / "out", targets=["fovea"])
    (annotation,) = json.loads((tmp_path / "out/annotations.json").read_text())["annotations"]
    assert annotation["point"] == pytest.approx(FRAME.to_photo((50.0, 60.0)), abs=1e-3)


def test_coco_without_any_mask_is_valid(tmp_path):
    table = write(tmp_path / "m.parquet", [failed_row("x", Status.NO_FUNDUS)])
    summary = export(table, "coco", tmp_path / "out")
    assert summary.images == 0
    assert json.loads((tmp_path / "out/annotations.json").read_text())["annotations"] == []
    assert "1 left out (first: x: " in str(summary)


# --- overlay ----------------------------------------------------------------------------------------------------------


def test_overlay_is_drawn_on_the_photograph_without_exif(shards, manifest, tmp_path):
    summary = export(shards, "overlay", tmp_path / "out", photographs=manifest)
    assert summary.images == 2
    image = Image.open(tmp_path / "out/a.jpg")
    assert image.size == (WIDTH, HEIGHT)
    assert not image.getexif()
    assert b"secret" not in (tmp_path / "out/a.jpg").read_bytes()
    x, y = FRAME.to_photo((50.0, 60.0)).round().astype(int)
    pixel = np.asarray(image)[y, x].astype(int)
    assert np.abs(pixel - TARGETS["fovea"].colour).max() < 60  # the cross of the fovea, after JPEG
    assert np.abs(np.asarray(image)[5, 5].astype(int) - 90).max() < 5


def test_draw_overlay_tints_vessels_and_outlines_the_rest():
    photograph = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    vessel, disc = FRAME.unwarp_mask(MASK["vessel"]), FRAME.unwarp_mask(MASK["optic_disc"])
    out = draw_overlay(photograph, {"fov": FRAME.unwarp_mask(MASK["fov"]), "vessel": vessel, "optic_disc": disc}, {})
    changed = (out != photograph).any(axis=2)
    rows, cols = np.nonzero(disc)
    inside = np.zeros_like(disc)
    inside[rows.min() + 3 : rows.max() - 3, cols.min() + 3 : cols.max() - 3] = True
    assert changed[vessel].all()
    assert not changed[inside & ~vessel].any()
    assert tuple(out[rows.min() + 6, cols.min()]) == TARGETS["optic_disc"].colour
    assert (photograph == 100).all()


def test_overlay_without_photograph_is_left_out_with_a_reason(shards, manifest, tmp_path):
    (tmp_path / "photos/a.jpg").unlink()
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(tmp_path / "photos/b.jpg")
    summary = export(shards, "overlay", tmp_path / "out", photographs=manifest)
    reasons = dict(summary.skipped)
    assert summary.images == 0
    assert "a.jpg does not exist" in reasons["a"]
    assert "100x100 pixels, its masks were made from 300x200" in reasons["b"]
    manifest.write_text("image_id,path\nother,photos/b.jpg\n")
    reasons = dict(export(shards, "overlay", tmp_path / "out", photographs=manifest).skipped)
    assert reasons["a"] == "the manifest has no such image_id"


def test_overlay_needs_photographs(shards, tmp_path):
    with pytest.raises(UserError, match="give the manifest"):
        export(shards, "overlay", tmp_path / "out")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["png", "coco", "overlay"])
def test_same_input_same_bytes(to, shards, manifest, tmp_path):
    export(shards, to, tmp_path / "1", photographs=manifest)
    paths = [shards / "0000.parquet", shards / "0001.parquet", shards / "0000.parquet"]
    export(paths, to, tmp_path / "2", photographs=manifest)  # a table given twice counts once
    assert content(tmp_path / "1") == content(tmp_path / "2")
    export(shards, to, tmp_path / "2", photographs=manifest)
    assert content(tmp_path / "1") == content(tmp_path / "2")
    assert all(str(tmp_path).encode() not in data for data in content(tmp_path / "1").values())


ODD = [
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "é",
    "e\u0301",
    "眼底 1",
    "",
    ".",
    "..",
    "CON",
    "con.png",
    "Aa",
    "aA",
    "x" * 400,
    "images.csv",
    "a:b",
]


def test_odd_image_ids_stay_inside_the_folder(tmp_path):
    rows = [row for image_id in ODD for row in image_rows(image_id, masks={"fov": MASK["fov"]})]
    export(write(tmp_path / "m.parquet", rows), "png", tmp_path / "deep/er/out")
    out = tmp_path / "deep/er/out"
    index = pd.read_csv(out / "images.csv", keep_default_na=False)
    assert list(index["image_id"]) == ODD
    assert all((out / name / "fov.png").is_file() for name in index["name"])
    assert {p.name for p in tmp_path.iterdir()} == {"m.parquet", "deep"}
    assert index["name"].str.casefold().is_unique


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=60), unique=True, max_size=8))
def test_names_are_safe_and_distinct(image_ids):
    names = safe_names(image_ids)
    assert len({name.casefold() for name in names.values()}) == len(image_ids)
    for name in names.values():
        assert name.strip(".")
        assert not set(name) & set('/\\:*?"<>|\0\n ')
        assert not name.startswith(".")
        assert len(name.encode()) < 200
    assert safe_names(list(reversed(image_ids))) == names


def test_plain_names_stay_as_they_are():
    assert safe_names(["IDRiD_001", "13_right", "x~2", "眼底-1.2"]) == {
        n: n for n in ("IDRiD_001", "13_right", "x~2", "眼底-1.2")
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "none.parquet", "no table at"),
        (lambda p: p / "empty", "no .parquet table in the folder"),
        (lambda p: p / "text.parquet", "is not a Parquet table"),
        (lambda p: p / "other.parquet", "no column 'target'"),
        (lambda p: [], "no masks table given"),
    ],
)
def test_what_is_no_masks_table(make, message, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.parquet").write_text("image_id,target")
    pd.DataFrame({"image_id": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(UserError, match=message):
        export(make(tmp_path), "png", tmp_path / "out")


def test_one_image_in_two_tables_is_refused(tmp_path):
    first, second = (write(tmp_path / f"{n}.parquet", image_rows("a")) for n in "xy")
    with pytest.raises(UserError, match=r"'a' is in both x\.parquet and y\.parquet"):
        export([first, second], "png", tmp_path / "out")


def test_out_is_a_file(shards, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; give a folder"):
        export(shards, "png", tmp_path / "file")


def test_unknown_format(shards, tmp_path):
    with pytest.raises(UserError, match="'tiff' is not one of png, coco, overlay"):
        export(shards, "tiff", tmp_path / "out")


def test_progress_counts_images(shards, tmp_path):
    seen = []
    export(shards, "png", tmp_path / "out", progress=seen.append)
    assert seen == [1, 2, 3]
