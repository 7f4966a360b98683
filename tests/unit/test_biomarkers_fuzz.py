"""Random and broken eyes: measure_table gives values and reasons, whatever the rows of the masks table hold.

2,000 eyes here, within two minutes; another range of seeds draws others.
"""

import logging
import warnings
from functools import cache

import cv2
import numpy as np
import pandas as pd
import pytest

from retsam.biomarkers import REGISTRY, measure_table, names
from retsam.io.masks import encode
from retsam.status import Status
from retsam.taxonomy import FOV, TARGETS
from tests.eyes import grid, rows, table, tree

EYES, BATCHES = 100, 20  # eyes of a batch; its number is the seed
FOUND = {Status.OK, Status.NOT_SEGMENTED, Status.NOT_VISIBLE}
Rng = np.random.Generator


# What a mask may show


@cache
def trees(size: int) -> list[np.ndarray]:
    return [tree(size, seed, branches) for seed, branches in ((0, 14), (1, 14), (2, 8), (3, 20), (4, 3))]


def branches(rng: Rng, size: int) -> np.ndarray:
    mask = trees(size)[rng.integers(5)]
    return mask if rng.random() < 0.7 else np.roll(np.rot90(mask, rng.integers(4)), rng.integers(size), axis=1)


def nothing(rng: Rng, size: int) -> np.ndarray:
    return np.zeros((size, size), bool)


def everything(rng: Rng, size: int) -> np.ndarray:
    return np.ones((size, size), bool)


def pixel(rng: Rng, size: int) -> np.ndarray:
    mask = nothing(rng, size)
    mask[tuple(rng.integers(size, size=2))] = True
    return mask


def specks(rng: Rng, size: int) -> np.ndarray:
    return rng.random((size, size)) < rng.choice([0.005, 0.1, 0.5, 0.95])


def stripes(rng: Rng, size: int) -> np.ndarray:
    x, y = np.indices((size, size)) // rng.integers(1, 9)
    return (x + rng.integers(2) * y) % 2 == 0


def drawing(rng: Rng, size: int) -> np.ndarray:
    """Lines, circles, rings and a scribble, thin to thick, some of them cut by the border."""
    mask = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(1, 7)):
        (x0, y0), (x1, y1) = rng.integers(-size // 8, size + size // 8, size=(2, 2)).tolist()
        thickness = int(rng.integers(1, 9))
        if rng.random() < 0.5:
            cv2.line(mask, (x0, y0), (x1, y1), 1, thickness)
        else:
            cv2.circle(mask, (x0, y0), int(rng.integers(1, size // 4)), 1, thickness if rng.random() < 0.4 else -1)
    if rng.random() < 0.3:
        cv2.polylines(mask, [rng.integers(size, size=(12, 1, 2)).astype(np.int32)], True, 1, int(rng.integers(1, 4)))
    return mask > 0


def ellipse(rng: Rng, size: int) -> np.ndarray:
    """A disc where one may be; else anywhere, the border included, of any size."""
    x, y = grid(size)
    usual = rng.random() < 0.7
    centre = rng.normal((0.24, 0), 0.02) if usual else rng.uniform(-0.55, 0.55, 2)
    axes = rng.uniform(0.05, 0.09, 2) if usual else rng.uniform(0.002, 0.5, 2)
    return ((x / size - centre[0]) / axes[0]) ** 2 + ((y / size - centre[1]) / axes[1]) ** 2 <= 1


def circle(rng: Rng, size: int) -> np.ndarray:
    """Field of view: whole, cut above and below, or off the middle."""
    x, y = grid(size)
    shift = rng.choice([0, 0, 0, 0.2]) * size
    return (np.hypot(x - shift, y) <= rng.choice([0.495, 0.495, 0.3]) * size) & (
        np.abs(y) <= rng.choice([1, 0.35]) * size
    )


ANYTHING = (nothing, everything, pixel, specks, stripes, drawing)


def mask_of(target: str, rng: Rng, size: int) -> np.ndarray:
    usual = {"vessel": branches, "artery": branches, "vein": branches, "optic_disc": ellipse, FOV: circle}
    if target in usual and rng.random() < 0.75:
        return usual[target](rng, size)
    if target not in usual and rng.random() < 0.3:
        return nothing(rng, size)
    return ANYTHING[rng.integers(len(ANYTHING))](rng, size)


def cup_of(disc: np.ndarray) -> np.ndarray:
    """The middle of a disc."""
    inner = cv2.distanceTransform(disc.astype(np.uint8), cv2.DIST_L2, 5)
    return (inner > 0.4 * inner.max()) & disc


# What may be wrong with its row


def wrong_status(row: dict, rng: Rng) -> dict:
    return row | {"status": str(rng.choice([*Status, "banana", "", "OK"])), "rle": None}


def wrong_mask(row: dict, rng: Rng) -> dict:
    other = encode(np.ones((64, 64), bool))
    cut = row["rle"][: len(row["rle"]) // 2] if row["rle"] else ""
    return row | {"rle": [None, "", "garbage", "\u00e9\u00e9", "0" * 40, other, cut][rng.integers(7)]}


def wrong_area(row: dict, rng: Rng) -> dict:
    return row | {"area_px": int(rng.choice([-1, 3, 10**12]))}


def wrong_frame(row: dict, rng: Rng) -> dict:
    column = rng.choice(["frame_size", "crop_side", "crop_x", "width", "fov_x", "fov_y", "fov_radius"])
    value = rng.choice([None, 0, -7, 64, 10**6] if not column.startswith("fov") else [None, np.inf, -np.inf])
    value = rng.choice([0.0, -3.0, np.nan, np.inf]) if column == "fov_radius" else value
    return row | {column: value}


def wrong_point(row: dict, rng: Rng) -> dict:
    return row | {"x": [None, np.nan, np.inf, -np.inf][rng.integers(4)]}


WRONG = (wrong_status, wrong_mask, wrong_area)


def is_broken(row: dict, whole: dict) -> bool:
    """Whether a row contradicts itself or the others; one that says that something is not there does not."""
    if row["status"] != Status.OK:
        return row["status"] not in FOUND
    return any(row[c] is not whole[c] for c in row)


# An eye


def draw_eye(image_id: str, rng: Rng) -> tuple[list[dict], set[str]]:
    """Rows of one eye, and its targets of which the row is broken."""
    size = int(rng.choice([96, 96, 128, 160]))
    findings = [t for t in TARGETS if TARGETS[t].group != "anatomy"]
    few = rng.choice(findings, rng.integers(8), replace=False)
    wanted = [FOV, "vessel", "artery", "vein", "optic_disc", *(findings if rng.random() < 0.25 else few)]
    masks = {str(t): mask_of(t, rng, size) for t in wanted}
    masks["optic_cup"] = cup_of(masks["optic_disc"]) if rng.random() < 0.6 else mask_of("optic_cup", rng, size)
    places = [(0.44, 0.55)] * 8 + [(0.74, 0.5), (-3.0, 0.5), (0.8, 0.9), (0.01, 0.99), None]
    fovea = places[rng.integers(len(places))]
    if fovea is None:
        masks["fovea"] = mask_of("fovea", rng, size)
    scale = [None, None, 4.0, 0.0, -2.0, np.nan, np.inf, 1e-3, 1e5][rng.integers(9)]
    eye = [None, None, "OD", "OS", "left"][rng.integers(5)]
    whole = rows(image_id, masks, fovea, eye=eye, um_per_px=scale, flip=rng.random() < 0.4)
    return spoil(whole, rng)


def spoil(whole: list[dict], rng: Rng) -> tuple[list[dict], set[str]]:
    """Drop, break and repeat rows."""
    result, broken = [], set()
    harm = rng.choice([0, 0, 0, 0.1, 0.5])
    for row in whole:
        bad = row
        if rng.random() < harm * (0.2 if row["target"] == FOV else 1):
            if row["target"] != FOV and rng.random() < 0.4:
                continue
            ways = [*WRONG, wrong_frame, wrong_frame] if row["target"] == FOV else WRONG
            ways = [wrong_status, wrong_point] if row["rle"] is None else ways
            bad = ways[rng.integers(len(ways))](row, rng)
        if is_broken(bad, row):
            broken.add(row["target"])
        result.append(bad)
    again = [r | {"rle": None} for r in result if rng.random() < 0.1]  # the first row of a target counts
    return result + again, broken


# The test


def judged(images: list[str], rng: Rng) -> pd.DataFrame:
    """A quality table that lacks some images and some numbers."""
    seen = [i for i in images if rng.random() < 0.7]
    values = {n.removeprefix("quality_"): rng.choice([0.0, 0.5, np.nan], len(seen)) for n in names("quality")}
    return pd.DataFrame({"image_id": seen, "status": "ok", **values})


def assert_accounted_for(result: pd.DataFrame, broken: list[set[str]]) -> None:
    """Finite with ``ok``, or missing with a reason that the dictionary lists; ``failed`` only where a row is broken."""
    whole = (result["status"] == Status.OK).to_numpy()
    assert all(FOV in broken[i] for i in np.flatnonzero(result["status"] == Status.FAILED))
    for name, biomarker in REGISTRY.items():
        status = result[f"{name}__status"]
        assert ((status == Status.OK) == np.isfinite(result[name])).all(), name
        assert (status[~whole] == result["status"][~whole]).all(), name
        assert set(status[whole]) <= set(biomarker.statuses), name
        for i in np.flatnonzero((status == Status.FAILED) & whole):
            assert broken[i] & {FOV, *biomarker.requires}, (result["image_id"][i], name)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_eye_is_too_strange(batch: int, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(batch)
    eyes = [draw_eye(f"{batch}/{i}", rng) for i in range(EYES)]
    broken = [which for _, which in eyes]
    quality = judged([f"{batch}/{i}" for i in range(len(eyes))], rng)
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        result = measure_table(table(*(image for image, _ in eyes)), quality)
    assert len(result) == len(eyes)
    assert_accounted_for(result, broken)
    lines = [record.getMessage().split(":")[0] for record in caplog.records]
    for image_id, which in zip(result["image_id"], broken, strict=True):
        # A frame of another size breaks every mask.
        limit = 1 + len(TARGETS) if FOV in which else len(which)
        assert lines.count(image_id) <= limit, [m for m in caplog.messages if m.startswith(f"{image_id}:")]
