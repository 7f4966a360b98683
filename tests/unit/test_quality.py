"""Image quality: monotone, independent of the photograph's size, one row per image, no false alarms."""

import json
from importlib import resources
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from retsam import quality
from retsam.io.frames import FramedImage, frame_pixels
from retsam.io.images import read_image
from retsam.quality.gradability import Logistic, Term, load_model
from retsam.status import Status
from retsam.tables import FRAME_COLUMNS, SHARD, conform, to_bytes

SIDE = 600
RASTER = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def fundus(seed: int = 0, side: int = SIDE) -> np.ndarray:
    """Draw a plain fundus: shaded red field, disc, macula and branching vessels; (side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    shade = 1 - 0.25 * (row**2 + column**2)
    picture = shade[..., None] * np.array([190.0, 100.0, 45.0])
    disc = np.exp(-(((row / 0.15) ** 2 + ((column - 0.45) / 0.13) ** 2) ** 2))
    picture += disc[..., None] * np.array([50.0, 90.0, 60.0])
    picture *= 1 - 0.35 * np.exp(-(row**2 + (column + 0.2) ** 2) / 0.03)[..., None]
    depth = np.zeros((side, side), np.float32)
    for start in np.linspace(0, 2 * np.pi, 9)[:-1]:
        branch(depth, rng, np.array([0.45, 0.0]), start + rng.uniform(-0.2, 0.2), 0.032)
    picture *= 1 - 0.35 * cv2.GaussianBlur(depth, (0, 0), side / 600)[..., None]
    picture[np.hypot(row, column) > 0.95] = 0
    return np.clip(picture, 0, 255).astype(np.uint8)


def branch(depth: np.ndarray, rng: np.random.Generator, point: np.ndarray, angle: float, width: float) -> None:
    """Draw one vessel as a bending line of shrinking width and let it fork."""
    half = depth.shape[0] / 2
    bend = rng.uniform(-0.9, 0.9)
    for step in range(30):
        angle += bend * 0.05
        following = point + 0.04 * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(v) for v in np.rint((p + 1) * half)) for p in (point, following)]
        cv2.line(depth, *ends, 1.0, max(round(width * half), 1), cv2.LINE_AA)
        point, width = following, width * 0.97
        if step in (8, 16) and width > 0.01:
            branch(depth, rng, point, angle + rng.choice([-0.7, 0.7]), width * 0.65)


def judged(picture: np.ndarray) -> dict:
    """Score of a picture in memory."""
    return quality.score(frame_pixels(picture, 512, image_id="x"))


def gradability(picture: np.ndarray) -> float:
    """Gradability, 0 where no field of view is found."""
    value = judged(picture)["gradability"]
    return 0.0 if np.isnan(value) else value


def in_field(picture: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """The changed picture where the field of view is, the picture elsewhere."""
    field = (picture.max(axis=2) > 0)[..., None]
    return np.where(field, np.clip(np.rint(changed), 0, 255), picture).astype(np.uint8)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return fundus()


def test_a_clean_fundus_is_gradable(clean: np.ndarray) -> None:
    result = judged(clean)
    assert result["status"] == Status.OK
    assert result["gradability"] > 0.8
    assert list(quality.FEATURES) == [k for k in result if k not in {"status", "message", "gradability"}]
    assert all(np.isfinite(result[name]) for name in quality.FEATURES)


def blurred(picture: np.ndarray, amount: float) -> np.ndarray:
    return in_field(picture, cv2.GaussianBlur(picture, (0, 0), 0.3 + 10 * amount))


def darkened(picture: np.ndarray, amount: float) -> np.ndarray:
    return in_field(picture, picture * (1 - amount * 0.98))


def noisy(picture: np.ndarray, amount: float) -> np.ndarray:
    grain = np.random.default_rng(1).normal(size=picture.shape)
    return in_field(picture, picture + 120 * amount * grain)


def hazy(picture: np.ndarray, amount: float) -> np.ndarray:
    return in_field(picture, picture * (1 - amount) + amount * picture[picture.max(axis=2) > 0].mean(0))


def overexposed(picture: np.ndarray, amount: float) -> np.ndarray:
    return in_field(picture, picture * (1 + 5 * amount))


@pytest.mark.parametrize("worsen", [blurred, darkened, noisy, hazy, overexposed])
def test_worse_is_never_more_gradable(clean: np.ndarray, worsen) -> None:
    scores = [gradability(worsen(clean, amount)) for amount in np.linspace(0, 1, 6)]
    assert all(after <= before + 0.01 for before, after in pairwise(scores)), scores
    assert scores[0] > 0.8
    assert scores[-1] < 0.3


def test_a_covered_half_makes_it_worse_by_degrees(clean: np.ndarray) -> None:
    scores = []
    for share in (0.0, 0.25, 0.5, 0.75):
        picture = clean.copy()
        picture[: int(share * SIDE)] = 0
        scores.append(gradability(picture))
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.5


@settings(deadline=None, derandomize=True, max_examples=6)
@given(zoom=st.sampled_from([0.5, 0.75, 1.5, 2.0]), seed=st.integers(0, 3), haze=st.sampled_from([0.0, 0.6, 0.8]))
def test_the_size_of_the_photograph_does_not_matter(zoom: float, seed: int, haze: float) -> None:
    picture = hazy(fundus(seed, side=800), haze)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    assert gradability(cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=how)) == pytest.approx(
        gradability(picture), abs=0.06
    )


def test_a_mirror_image_is_as_good(clean: np.ndarray) -> None:
    assert gradability(clean[:, ::-1]) == pytest.approx(gradability(clean), abs=0.02)


def text_page() -> np.ndarray:
    page = np.full((500, 400, 3), 245, np.uint8)
    for row in range(20, 500, 24):
        cv2.putText(
            page, "the quick brown fox jumps over it", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1
        )
    return page


def outer_eye() -> np.ndarray:
    page = np.full((500, 600, 3), (205, 160, 140), np.uint8)
    cv2.ellipse(page, (300, 250), (250, 130), 0, 0, 360, (235, 228, 225), -1)
    cv2.circle(page, (300, 250), 105, (90, 60, 40), -1)
    cv2.circle(page, (300, 250), 45, (8, 6, 6), -1)
    return cv2.GaussianBlur(page, (0, 0), 1.5)


def landscape() -> np.ndarray:
    row = np.linspace(0, 1, 480)[:, None, None]
    page = np.where(row < 0.5, np.array([110, 160, 230]) + 60 * row, np.array([60, 120, 50]) * (1.6 - row))
    page = np.broadcast_to(page, (480, 640, 3)).astype(np.uint8).copy()
    for x, height in ((80, 150), (250, 220), (430, 120)):
        cv2.rectangle(page, (x, 300 - height), (x + 100, 320), (150, 140, 130), -1)
    return page


def grey_noise() -> np.ndarray:
    grain = np.random.default_rng(3).normal(128, 40, (400, 400, 1))
    return np.clip(np.repeat(grain, 3, axis=2), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("make", [text_page, outer_eye, landscape, grey_noise])
def test_pictures_of_other_things_are_no_fundus(make) -> None:
    result = judged(make())
    assert result["status"] == Status.NO_FUNDUS
    assert not result["gradability"] >= 0.5


@pytest.mark.parametrize("worsen", [blurred, darkened, hazy, overexposed, noisy])
@pytest.mark.parametrize("amount", [0.3, 0.6])
def test_a_poor_fundus_is_still_a_fundus(clean: np.ndarray, worsen, amount: float) -> None:
    assert judged(worsen(clean, amount))["status"] == Status.OK


@pytest.mark.parametrize("channel", [0, 1])
def test_red_free_and_infrared_are_still_a_fundus(clean: np.ndarray, channel: int) -> None:
    grey = np.repeat(clean[..., channel : channel + 1], 3, axis=2)
    assert judged(grey)["status"] == Status.OK


@settings(deadline=None, derandomize=True, max_examples=10)
@given(level=st.integers(0, 255), radius=st.floats(0.05, 1.4), size=st.sampled_from([64, 256, 512]))
def test_every_feature_is_finite_whatever_the_picture(level: int, radius: float, size: int) -> None:
    row, column = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    fov = np.hypot(row, column) <= radius
    image = np.where(fov[..., None], np.uint8(level), np.uint8(0)) * np.ones(3, np.uint8)
    values = quality.measure(image, fov)
    assert list(values) == list(quality.FEATURES)
    assert all(np.isfinite(v) for v in values.values())
    ratios = ("fov_fraction", "saturated_fraction", "dark_fraction", "vessel_visibility", "vessel_line_density")
    assert all(0 <= values[name] <= 1 for name in ratios)


def test_closed_forms() -> None:
    row, column = np.mgrid[:512, :512] / 511 * 2 - 1
    fov = np.hypot(row, column) <= 1
    image = np.zeros((512, 512, 3), np.uint8)
    image[fov] = (120, 60, 30)
    values = quality.measure(image, fov)
    assert values["brightness"] == pytest.approx(0.299 * 120 + 0.587 * 60 + 0.114 * 30, abs=1e-3)
    assert values["fov_fraction"] == pytest.approx(1, abs=0.01)
    assert values["colour_redness"] == pytest.approx(120 / 210)
    assert values["colour_blue_red"] == pytest.approx(0.25)
    assert values["illumination_cv"] == pytest.approx(0, abs=1e-3)
    assert values["vessel_visibility"] == 0
    image[fov & (column < 0)] = (255, 255, 255)
    assert quality.measure(image, fov)["saturated_fraction"] == pytest.approx(0.5, abs=0.01)


def test_noise_is_measured_in_relative_units() -> None:
    rng = np.random.default_rng(5)
    fov = np.ones((512, 512), bool)
    image = np.clip(np.rint(rng.normal(100, 10, (512, 512, 3))), 0, 255).astype(np.uint8)
    assert quality.measure(image, fov)["noise"] == pytest.approx(10 / 108, rel=0.05)


def test_logistic_is_the_textbook_formula() -> None:
    model = Logistic(0.5, (Term("contrast", "root", 1.0, 2.0, -1.5),))
    assert model.probability({"contrast": 2.25}) == pytest.approx(1 / (1 + np.exp(-(0.5 - 1.5 * 0.5))))
    assert model.probability({"contrast": 1e6}) == pytest.approx(1 / (1 + np.exp(-(0.5 - 1.5))))
    with pytest.raises(ValueError, match="cube"):
        Term("contrast", "cube", 0.0, 1.0, 1.0).scaled(1.0)


def test_the_shipped_model_says_where_it_comes_from() -> None:
    content = json.loads(resources.files("retsam.quality").joinpath("gradability.json").read_text("utf-8"))
    assert content["provenance"]["photographs_by_source"]
    assert content["provenance"]["validation"]["drimdb_auc_leave_drimdb_out"] >= 0.95
    model = load_model()
    signs = {t.feature: np.sign(t.coefficient) for part in (model.fundus, model.gradable) for t in part.terms}
    assert set(signs) <= set(quality.FEATURES)
    assert signs["vessel_visibility"] > 0 > signs["illumination_cv"]


def make_shard(tmp_path) -> pd.DataFrame:
    cv2.imwrite(str(tmp_path / "good one é.png"), fundus()[..., ::-1])
    cv2.imwrite(str(tmp_path / "blurred.png"), blurred(fundus(), 1.0)[..., ::-1])
    cv2.imwrite(str(tmp_path / "page.png"), text_page())
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff garbage")
    files = ["good one é.png", "blurred.png", "page.png", "broken.jpg", "absent.jpg", "good one é.png"]
    status = ["ok"] * 5 + ["duplicate_id"]
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(6)],
            "manifest_row": range(1, 7),
            "path": files,
            "eye": ["OD", None, None, None, None, None],
            "um_per_px": [float("nan")] * 6,
            "file_bytes": [1] * 6,
            "status": status,
        }
    )[SHARD.names]


def test_table_has_one_row_per_input_and_the_same_bytes_every_time(tmp_path) -> None:
    shard = make_shard(tmp_path)
    seen: list[int] = []
    table = quality.quality_table(shard, tmp_path, progress=seen.append)
    assert list(table["image_id"]) == list(shard["image_id"])
    assert list(table.columns) == quality.QUALITY.names
    assert list(table["status"]) == ["ok", "ok", "no_fundus", "unreadable", "missing_file", "duplicate_id"]
    assert list(table["gradable"]) == [True, False, False, False, False, False]
    assert seen == [1, 2, 3, 4, 5, 6]
    lost = table.iloc[3:]
    assert lost[["gradability", *quality.FEATURES, *(f.name for f in FRAME_COLUMNS)]].isna().all(axis=None)
    assert (table["message"][2:5] != "").all()
    again = pd.concat(
        [quality.quality_table(shard.iloc[k : k + 1], tmp_path, workers=2) for k in range(6)], ignore_index=True
    )
    assert to_bytes(conform(again, quality.QUALITY)) == to_bytes(conform(table, quality.QUALITY))


def test_threshold_decides_gradable_and_must_be_a_probability(tmp_path) -> None:
    shard = make_shard(tmp_path).iloc[:1]
    assert not quality.quality_table(shard, tmp_path, threshold=1.0)["gradable"].any()
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        quality.quality_table(shard, tmp_path, threshold=1.5)


def test_an_empty_shard_gives_an_empty_table(tmp_path) -> None:
    table = quality.quality_table(make_shard(tmp_path).iloc[:0], tmp_path)
    assert table.empty
    assert list(table.columns) == quality.QUALITY.names


def test_status_of_an_image_without_frame_passes_through() -> None:
    result = quality.score(FramedImage("x", Status.TOO_SMALL, "too small to measure"))
    assert (result["status"], result["message"]) == (Status.TOO_SMALL, "too small to measure")
    assert np.isnan(result["gradability"])


def test_without_stamp_touches_nothing_but_the_stamp() -> None:
    image = np.full((570, 760, 3), 90, np.uint8)
    x0, y0, x1, y1 = quality.DRIMDB_STAMP
    stamped = image.copy()
    stamped[y0:y1, x0:x1] = (0, 255, 0)
    assert np.array_equal(quality.without_stamp(stamped), image)
    assert quality.without_stamp(image[:100]).shape == (100, 760, 3)


@pytest.mark.data
def test_drimdb_good_against_the_rest(data_root) -> None:
    """Every third photograph: the shipped model has to separate Good from Bad and Outlier without the stamp."""
    scores, labels = [], []
    for folder in ("Good", "Bad", "Outlier"):
        for path in sorted((data_root / "DRIMDB" / folder).iterdir())[::3]:
            scores.append(gradability(quality.without_stamp(read_image(path))))
            labels.append(folder == "Good")
    assert roc_auc_score(labels, scores) >= 0.95


@pytest.mark.data
@pytest.mark.parametrize("folder", ["DRIVE/test/images", "HRF/images", "HEI-MED/images"])
def test_research_photographs_are_gradable(data_root, folder: str) -> None:
    paths = sorted(p for p in (data_root / folder).iterdir() if p.suffix.lower() in RASTER)[::4]
    results = [judged(read_image(path)) for path in paths]
    assert all(r["status"] == Status.OK for r in results)
    assert np.mean([r["gradability"] >= quality.THRESHOLD for r in results]) >= 0.9
