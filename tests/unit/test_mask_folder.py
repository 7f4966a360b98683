"""Masks in a folder of pictures: layouts, colour codes, fields of view, closed forms, and the same as from a table."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retsam import tables
from retsam.biomarkers import measure_table
from retsam.errors import UserError
from retsam.field import find_field, make_frame
from retsam.io.masks import decode, encode
from retsam.segmentation.folder import CODES, DEFAULT_CODES, folder_masks
from retsam.tables import MASKS
from tests.conftest import ROOT

HEIGHT, WIDTH, FRAME = 500, 640, 512
Y, X = np.mgrid[:HEIGHT, :WIDTH].astype(float)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def circle(x, y, radius):
    return np.hypot(X - x, Y - y) <= radius


FIELD = circle(320, 250, 235)
DISC, CUP, FOVEA = circle(420, 250, 36), circle(420, 250, 18), (240.0, 262.0)
BARS = [(slice(row - width // 2, row - width // 2 + width), slice(120, 520)) for row, width in
        ((130, 8), (180, 10), (320, 12), (370, 8))]  # fmt: skip


def bars(*which):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for place in which:
        mask[BARS[place]] = True
    return mask & FIELD


def save(folder, name, pixels, stem="eye"):
    path = folder / name / f"{stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(pixels)
    Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """One eye with every plain mask and a field of view."""
    masks = tmp_path / "masks"
    save(masks, "artery", bars(0, 1))
    save(masks, "vein", bars(2, 3))
    save(masks, "optic_disc", DISC)
    save(masks, "optic_cup", CUP)
    save(masks, "fovea", circle(*FOVEA, 5))
    save(masks, "drusen", circle(250, 300, 6) | circle(200, 220, 6))
    save(masks, "fov", FIELD)
    return masks


def of(table, target, stem="eye"):
    return table[(table["image_id"] == stem) & (table["target"] == target)].iloc[0]


def mask_of(table, target):
    return decode(of(table, target)["rle"], FRAME)


# Closed forms


def test_bars_and_discs_of_known_size(folder):
    found = measure_table(folder_masks(folder, um_per_px=10, frame_size=1024)).iloc[0]
    assert (found["status"], found["laterality"]) == ("ok", "OD")
    assert found["disc_area_mm2"] == pytest.approx(np.pi * 0.36**2, rel=0.01)
    assert found["disc_diameter_fov"] == pytest.approx(72 / 470, rel=0.01)
    assert found["cup_disc_ratio_vertical"] == pytest.approx(0.5, abs=0.01)
    assert found["cup_disc_ratio_area"] == pytest.approx(0.25, abs=0.01)
    assert found["disc_fovea_distance_um"] == pytest.approx(10 * np.hypot(180, 12), rel=0.005)
    assert found["vessel_calibre_median_um"] == pytest.approx(90, rel=0.04)
    assert found["artery_width_global"] == pytest.approx(9 / 72, rel=0.05)
    assert found["vessel_density"] == pytest.approx(bars(0, 1, 2, 3).sum() / FIELD.sum(), rel=0.01)
    assert found["vessel_tortuosity_arc_chord_median"] == pytest.approx(1, abs=0.002)
    assert found["drusen_count"] == 2
    assert found["drusen_coverage"] == pytest.approx(2 * 113 / FIELD.sum(), rel=0.05)
    assert found["hemorrhage_count__status"] == "not_segmented"


def test_equal_to_the_same_masks_in_a_table(folder, tmp_path):
    photo = np.repeat(FIELD[..., None], 3, axis=2).astype(np.uint8) * 255
    frame = make_frame(WIDTH, HEIGHT, find_field(photo), FRAME)
    seen = frame.warp(FIELD)
    masks = {
        "fov": FIELD, "artery": bars(0, 1), "vein": bars(2, 3), "vessel": bars(0, 1, 2, 3), "optic_disc": DISC,
        "optic_cup": CUP, "fovea": circle(*FOVEA, 5), "drusen": circle(250, 300, 6) | circle(200, 220, 6),
    }  # fmt: skip
    rows = []
    for target, mask in masks.items():
        warped = frame.warp(mask) & seen
        x, y = frame.to_frame(FOVEA) if target == "fovea" else (None, None)
        row = {"image_id": "eye", "target": target, "status": "ok", "um_per_px": 10.0, "x": x, "y": y}
        rows.append(frame.as_row() | row | {"rle": encode(warped), "area_px": int(warped.sum())})
    path = tmp_path / "masks.parquet"
    tables.write_table(pd.DataFrame(rows, columns=MASKS.names), path, MASKS)
    from_table = measure_table(tables.read_table(path))
    from_folder = measure_table(folder_masks(folder, um_per_px=10, frame_size=FRAME))
    pd.testing.assert_frame_equal(from_folder, from_table)
    assert (from_folder.filter(like="__status") == "ok").to_numpy().sum() > 60


# Fields of view


def test_field_from_a_photograph_a_mask_or_the_whole_picture(folder, tmp_path):
    photograph = np.zeros((HEIGHT, WIDTH, 3))
    photograph[FIELD] = (180, 90, 50)
    photograph += np.random.default_rng(1).normal(0, 6, photograph.shape) * FIELD[..., None]
    save(tmp_path, "photos", photograph.clip(0, 255))
    by_mask = of(folder_masks(folder, frame_size=FRAME), "fov")
    by_photo = of(folder_masks(folder, fov=tmp_path / "photos", frame_size=FRAME), "fov")
    assert by_photo["fov_radius"] == pytest.approx(by_mask["fov_radius"], abs=2) == pytest.approx(235, abs=2)
    assert by_photo["area_px"] == pytest.approx(by_mask["area_px"], rel=0.01)
    (folder / "fov" / "eye.png").unlink()
    (folder / "fov").rmdir()
    whole = of(folder_masks(folder, frame_size=FRAME), "fov")
    assert whole["fov_radius"] == pytest.approx(np.hypot(WIDTH, HEIGHT) / 2)
    scale = FRAME / whole["crop_side"]
    assert whole["area_px"] == pytest.approx(WIDTH * HEIGHT * scale**2, rel=0.01)


def test_a_field_mask_counts_as_it_is(folder):
    cut = FIELD & (Y > 60) & ~circle(300, 100, 20)
    save(folder, "fov", cut)
    table = folder_masks(folder, frame_size=FRAME)
    scale = FRAME / of(table, "fov")["crop_side"]
    assert of(table, "fov")["area_px"] == pytest.approx(cut.sum() * scale**2, rel=0.01)
    save(folder, "fov", np.ones((HEIGHT, WIDTH), bool))
    assert of(folder_masks(folder, frame_size=FRAME), "fov")["fov_radius"] == np.hypot(WIDTH, HEIGHT) / 2


# Colour codes


def coloured(pairs, background=(0, 0, 0)):
    pixels = np.full((HEIGHT, WIDTH, 3), background, np.uint8)
    for mask, colour in pairs:
        pixels[mask] = colour
    return pixels


def test_artery_vein_colours(tmp_path):
    crossing, uncertain = circle(200, 250, 9), circle(450, 250, 9)
    save(tmp_path, "artery_vein", coloured(
        [(bars(0, 1), RED), (bars(2, 3), BLUE), (crossing, GREEN), (uncertain, WHITE)]
    ))  # fmt: skip
    table = folder_masks(tmp_path, frame_size=1024)
    assert table["target"].tolist() == ["fov", "vessel", "artery", "vein"]
    scale = (1024 / of(table, "fov")["crop_side"]) ** 2
    for target, parts in {
        "artery": [bars(0, 1), crossing], "vein": [bars(2, 3), crossing],
        "vessel": [bars(0, 1, 2, 3), crossing, uncertain],
    }.items():  # fmt: skip
        assert of(table, target)["area_px"] == pytest.approx(scale * sum(p.sum() for p in parts), rel=0.04), target
    open_ = folder_masks(tmp_path, colours=["green-uncertain"], frame_size=1024)
    assert of(open_, "artery")["area_px"] == pytest.approx(scale * bars(0, 1).sum(), rel=0.04)
    assert of(open_, "vessel")["area_px"] == of(table, "vessel")["area_px"]


@pytest.mark.parametrize(
    ("code", "levels"), [("refuge", (255, 128, 0)), ("refuge-inverted", (0, 128, 255)), ("labels", (0, 1, 2))]
)
def test_disc_and_cup_levels(tmp_path, code, levels):
    save(tmp_path, "disc_cup", np.where(CUP, levels[2], np.where(DISC, levels[1], levels[0])))
    table = folder_masks(tmp_path, colours=[code], frame_size=FRAME)
    found = measure_table(table).iloc[0]
    assert found["cup_disc_ratio_vertical"] == pytest.approx(0.5, abs=0.02)
    assert mask_of(table, "optic_disc")[mask_of(table, "optic_cup")].all()


def test_labels_of_arteries_and_veins(tmp_path):
    save(tmp_path, "artery_vein", bars(0, 1) * 1 + bars(1, 2) * 2)
    table = folder_masks(tmp_path, colours=["labels"], frame_size=1024)
    scale = (1024 / of(table, "fov")["crop_side"]) ** 2
    assert of(table, "artery")["area_px"] == pytest.approx(scale * bars(0, 1).sum(), rel=0.04)
    assert of(table, "vein")["area_px"] == pytest.approx(scale * bars(1, 2).sum(), rel=0.04)


@pytest.mark.parametrize(
    ("name", "colours", "pixels"),
    [
        ("disc_cup", ["refuge"], np.where(CUP, 255, np.where(DISC, 128, 0))),
        ("disc_cup", ["labels"], np.where(CUP, 0, np.where(DISC, 128, 255))),
        ("disc_cup", ["refuge"], np.where(CUP, 2, np.where(DISC, 1, 0))),
        ("artery_vein", [], coloured([(FIELD, (180, 100, 60))])),
    ],
)
def test_another_code_than_named_is_said(tmp_path, caplog, name, colours, pixels):
    save(tmp_path, name, pixels)
    table = folder_masks(tmp_path, colours=colours, frame_size=FRAME)
    assert of(table, "fov")["status"] == "ok"
    assert set(table.loc[table["target"] != "fov", "status"]) == {"failed"}
    assert f"{name}/eye has other colours than its code says; name its code with --colours" in caplog.text


def test_every_code_is_in_the_docs_and_the_help():
    page = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    for name, folders in CODES.items():
        default = " (default)" if name in DEFAULT_CODES else ""
        where = f"`{next(iter(folders))}`" if len(folders) == 1 else "both"
        assert f"| `{name}`{default} | {where} |" in page
        assert name in (ROOT / "retsam" / "cli.py").read_text(encoding="utf-8")


# Fovea


@pytest.mark.parametrize("mark", ["point", "ring", "empty"])
def test_the_middle_of_any_mark_is_the_fovea(folder, mark):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    if mark == "point":
        pixels[262, 240] = 255
    if mark == "ring":
        cv2.circle(pixels, (240, 262), 30, 255, 2)
    save(folder, "fovea", pixels)
    table = folder_masks(folder, frame_size=256)
    row = of(table, "fovea")
    if mark == "empty":
        assert row["status"] == "not_visible"
        assert measure_table(table)["disc_fovea_distance__status"][0] == "not_visible"
    else:
        assert measure_table(table)["disc_fovea_distance"][0] == pytest.approx(np.hypot(180, 12) / 72, rel=0.01)


# What can be wrong


def test_bad_files_are_statuses_and_the_rest_goes_on(folder, caplog):
    for stem in ("b", "c", "d"):
        save(folder, "artery", bars(0, 1), stem)
        save(folder, "optic_disc", DISC, stem)
        save(folder, "fov", FIELD, stem)
    (folder / "artery" / "b.png").write_bytes(b"no picture")
    save(folder, "artery", np.ones((100, 120), bool), "c")
    (folder / "fov" / "d.png").unlink()
    save(folder, "artery", coloured([(bars(0), RED), (bars(1), BLUE)]), "eye")
    table = folder_masks(folder, frame_size=FRAME)
    assert table["image_id"].drop_duplicates().tolist() == ["b", "c", "d", "eye"]
    for stem in ("b", "c", "eye"):
        assert of(table, "artery", stem)["status"] == "failed"
        assert of(table, "optic_disc", stem)["status"] == "ok"
    assert table.loc[table["image_id"] == "d", ["target", "status"]].to_numpy().tolist() == [["fov", "missing_file"]]
    assert "artery/b.png is not an image" in caplog.text
    assert "artery/c is 120x100, not 640x500; save all in the photograph's own pixels" in caplog.text
    assert "no picture d.* in masks/fov; add its field-of-view mask or the photograph" in caplog.text
    assert "artery/eye has several colours; put colour-coded pictures into artery_vein" in caplog.text
    measured = measure_table(table).set_index("image_id")
    assert measured["status"].to_dict() == {"b": "ok", "c": "ok", "d": "missing_file", "eye": "ok"}
    assert measured.loc["b", "artery_density__status"] == "failed"
    assert measured.loc["b", "disc_ovality__status"] == "ok"
    assert measured.loc["c", "cup_disc_ratio_vertical__status"] == "not_segmented"


@pytest.mark.parametrize(
    ("pixels", "said"),
    [(DISC * 2, "has 2 as its brightest value; save 255, or 1"), (~DISC, "is bright in all four corners")],
)
def test_labels_and_negatives_are_not_taken_for_masks(folder, caplog, pixels, said):
    save(folder, "drusen", pixels)
    assert of(folder_masks(folder, frame_size=FRAME), "drusen")["status"] == "failed"
    assert f"drusen/eye {said}" in caplog.text


def test_zero_and_one_are_a_mask(folder):
    before = folder_masks(folder, frame_size=FRAME)
    save(folder, "optic_disc", DISC * 1)
    pd.testing.assert_frame_equal(folder_masks(folder, frame_size=FRAME), before)


def test_without_any_readable_mask_the_row_stays(tmp_path, caplog):
    save(tmp_path, "artery", bars(0))
    (tmp_path / "artery" / "broken.png").write_bytes(b"")
    table = folder_masks(tmp_path, frame_size=FRAME)
    assert of(table, "fov", "broken")["status"] == "unreadable"
    assert "broken: none of its masks can be read; export them again" in caplog.text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: None, r"no folder .*masks"),
        (lambda f: f.mkdir(), "has no folder of masks"),
        (lambda f: (f / "artery").mkdir(parents=True), "no pictures in the folders"),
        (lambda f: save(f, "arteries", DISC), "is named after no target; rename it to 'artery'"),
        (lambda f: (save(f, "optic_disc", DISC), save(f, "disc_cup", DISC)), "optic_disc comes from"),
    ],
)
def test_wrong_folders_are_one_sentence(tmp_path, make, said):
    make(tmp_path / "masks")
    with pytest.raises(UserError, match=said):
        folder_masks(tmp_path / "masks", frame_size=FRAME)


def test_wrong_options_are_one_sentence(tmp_path):
    save(tmp_path, "artery_vein", bars(0))
    with pytest.raises(UserError, match="no colour code 'drive'; known are rite"):
        folder_masks(tmp_path, colours=["drive"])
    with pytest.raises(UserError, match=r"no folder .*none"):
        folder_masks(tmp_path, fov=tmp_path / "none")
