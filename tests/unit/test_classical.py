"""The classical engine on drawn fundi with known truth, on pictures of nothing, and on three photographs."""

import warnings
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retsam.field import find_field, make_frame
from retsam.segmentation import Prediction, load_engine
from retsam.segmentation.classical.illumination import extend_outwards, relative_contrast
from retsam.segmentation.classical.vessels import LOW, segment_vessels
from retsam.status import Status

SIZE = 512


@dataclass(frozen=True)
class Drawing:
    image: np.ndarray
    fov: np.ndarray
    vessel: np.ndarray
    disc: tuple[float, float, float]  # x, y, diameter
    fovea: tuple[float, float]


def round_field(size: int = SIZE) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(x, y) <= size / 2


def draw_fundus(seed: int = 0, disc_at: tuple[float, float] = (0.74, 0.48), noise: float = 2.0) -> Drawing:
    """Right eye: disc, arcades from it, fovea 2.5 disc diameters towards the middle, shading, noise."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    diameter = 0.155
    disc_x, disc_y = disc_at
    fovea_x, fovea_y = disc_x - 2.5 * diameter, disc_y + 0.04
    image = np.stack([190 - 60 * y, 100 - 50 * (x - 0.5) ** 2 - 20 * y, 45 + 0 * x], -1)
    inside = ((x - disc_x) / 0.94) ** 2 + ((y - disc_y) * 0.94) ** 2 <= (diameter / 2) ** 2
    image[inside] = (240, 180, 110)
    dark = np.exp(-((x - fovea_x) ** 2 + (y - fovea_y) ** 2) / (2 * (0.3 * diameter) ** 2))
    image *= 1 - 0.3 * dark[..., None]
    vessel = np.zeros((SIZE, SIZE), np.uint8)
    t = np.linspace(0, 1, 60)
    for side in (-1, 1):
        for reach, rise, width in ((-0.62, 0.33, 6), (-0.5, 0.26, 4), (0.2, 0.3, 5), (-0.1, 0.42, 3)):
            points = np.stack([disc_x + reach * t**1.5, disc_y + side * rise * np.sin(1.3 * t)], -1) * SIZE
            cv2.polylines(vessel, [np.round(points * 8).astype(np.int32)], False, 1, width, shift=3)
    dimming = cv2.GaussianBlur(vessel.astype(np.float32), (0, 0), 0.8)
    image *= 1 - dimming[..., None] * (0.25, 0.4, 0.3)
    image = cv2.GaussianBlur(image + rng.normal(0, noise, image.shape), (0, 0), 0.6)
    fov = round_field()
    image[~fov] = 0
    disc = (disc_x * SIZE - 0.5, disc_y * SIZE - 0.5, diameter * SIZE)
    fovea = (fovea_x * SIZE - 0.5, fovea_y * SIZE - 0.5)
    return Drawing(np.clip(image, 0, 255).astype(np.uint8), fov, (vessel > 0) & fov, disc, fovea)


def predict(image: np.ndarray, fov: np.ndarray) -> Prediction:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = load_engine("classical").predict(image[None], fov[None])
    return found


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("seed", [0, 1])
def test_finds_what_was_drawn(seed):
    drawn = draw_fundus(seed, disc_at=(0.74, 0.48) if seed == 0 else (0.7, 0.53))
    found = predict(drawn.image, drawn.fov)
    assert found.status == {"vessel": Status.OK, "optic_disc": Status.OK, "fovea": Status.OK}
    assert dice(found.masks["vessel"], drawn.vessel) >= 0.75
    x, y, diameter = drawn.disc
    assert np.hypot(found.points["optic_disc"][0] - x, found.points["optic_disc"][1] - y) <= 4
    measured = 2 * np.sqrt(found.masks["optic_disc"].sum() / np.pi)
    assert measured == pytest.approx(diameter, rel=0.1)
    assert np.hypot(*np.subtract(found.points["fovea"], drawn.fovea)) <= 0.25 * diameter
    macula = 2 * np.sqrt(found.masks["fovea"].sum() / np.pi)
    assert macula == pytest.approx(measured, rel=0.02)


def test_masks_and_maps_keep_the_contract():
    drawn = draw_fundus()
    found = predict(drawn.image, drawn.fov)
    for target in load_engine("classical").targets:
        mask, probability = found.masks[target], found.probability[target]
        assert mask.shape == probability.shape == (SIZE, SIZE)
        assert mask.dtype == bool and probability.dtype == np.float32
        assert not (mask & ~drawn.fov).any() and not probability[~drawn.fov].any()
        assert probability.min() >= 0 and probability.max() <= 1
        assert probability[mask].mean() > probability[drawn.fov & ~mask].mean() + 0.3


@pytest.mark.parametrize("value", [0, 128, 255])
def test_even_pictures_show_nothing(value):
    image = np.full((256, 256, 3), value, np.uint8)
    for fov in (np.ones((256, 256), bool), round_field(256), np.zeros((256, 256), bool)):
        found = predict(image, fov)
        assert set(found.status.values()) == {Status.NOT_VISIBLE}
        assert not found.masks and not found.points


def test_even_field_with_black_border_shows_nothing_at_its_rim():
    fov = round_field()
    image = np.where(fov[..., None], np.uint8(120), np.uint8(0)) * np.ones(3, np.uint8)
    found = predict(image, fov)
    assert set(found.status.values()) == {Status.NOT_VISIBLE}
    assert found.probability["vessel"].max() < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_disc_and_hardly_a_vessel(seed):
    fov = round_field()
    image = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    image[~fov] = 0
    found = predict(image, fov)
    assert found.status["optic_disc"] == found.status["fovea"] == Status.NOT_VISIBLE
    if found.status["vessel"] == Status.OK:
        assert found.masks["vessel"].sum() < 0.02 * fov.sum()


def test_a_disc_whose_fovea_lies_outside_the_field_has_none():
    drawn = draw_fundus()
    x, y, diameter = drawn.disc
    rows, cols = np.mgrid[:SIZE, :SIZE]
    near = np.hypot(cols - x, rows - y) < 1.6 * diameter  # a narrow field about the disc
    image = np.where(near[..., None], drawn.image, np.uint8(0))
    found = predict(image, drawn.fov & near)
    assert found.status["optic_disc"] == Status.OK
    assert found.status["fovea"] == Status.NOT_VISIBLE


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.integers(0, 2**16), st.floats(0.3, 0.78), st.floats(0.42, 0.58), st.floats(0.5, 6))
def test_mirrored_frame_gives_mirrored_prediction(seed, x, y, noise):
    drawn = draw_fundus(seed, (x, y), noise)
    found = predict(drawn.image, drawn.fov)
    mirrored = predict(np.ascontiguousarray(drawn.image[:, ::-1]), np.ascontiguousarray(drawn.fov[:, ::-1]))
    assert found.status == mirrored.status
    for target, mask in found.masks.items():
        assert (mask != mirrored.masks[target][:, ::-1]).sum() <= 2e-3 * mask.sum() + 2
    for target, (px, py) in found.points.items():
        assert mirrored.points[target] == pytest.approx((SIZE - 1 - px, py), abs=0.05)


def test_a_frame_does_not_depend_on_its_batch():
    drawings = [draw_fundus(0), draw_fundus(1, (0.3, 0.5))]
    images, fov = np.stack([d.image for d in drawings]), np.stack([d.fov for d in drawings])
    together = load_engine("classical").predict(images, fov)
    for drawn, found in zip(drawings, together, strict=True):
        alone = predict(drawn.image, drawn.fov)
        assert alone.points == found.points
        assert all(np.array_equal(alone.masks[k], found.masks[k]) for k in found.masks)


def test_brightness_of_the_exposure_changes_little():
    drawn = draw_fundus()
    dim = (drawn.image * 0.6).astype(np.uint8)
    bright, dark = predict(drawn.image, drawn.fov), predict(dim, drawn.fov)
    assert dice(bright.masks["vessel"], dark.masks["vessel"]) > 0.95
    assert np.hypot(*np.subtract(bright.points["optic_disc"], dark.points["optic_disc"])) < 2


def test_extension_keeps_the_inside_and_continues_the_rim():
    fov = round_field(128)
    values = np.where(fov, np.float32(80), np.float32(0))
    extended = extend_outwards(values, fov, 5)
    assert extended == pytest.approx(np.full((128, 128), 80.0), rel=1e-3)


def test_relative_contrast_is_a_fraction_of_the_background():
    fov = np.ones((128, 128), bool)
    values = np.full((128, 128), 100, np.float32)
    values[60:64, 60:64] = 50  # small: the background stays near 100
    contrast = relative_contrast(values, fov, sigma=12)
    assert contrast[61, 61] == pytest.approx(-0.5, abs=0.02)
    assert contrast[5, 5] == pytest.approx(0, abs=1e-3)


def test_ceiling_flattens_the_valley_between_bright_things():
    rng = np.random.default_rng(0)
    values = (100 + rng.normal(0, 1, (128, 128))).astype(np.float32)
    values[50:60, 50:70] = values[66:76, 50:70] = 180  # exudates on both sides of an ordinary place
    fov = np.ones((128, 128), bool)
    plain = relative_contrast(values, fov, sigma=10)
    capped = relative_contrast(values, fov, sigma=10, ceiling=2)
    valley = np.s_[61:65, 55:65]
    assert plain[valley].mean() < 1.4 * capped[valley].mean() < 0
    assert capped.max() < 0.2 * plain.max()


def test_dark_rows_at_a_cut_field_are_no_vessel():
    drawn = draw_fundus()
    cut = drawn.fov.copy()
    cut[:60] = False
    image = np.where(cut[..., None], drawn.image, np.uint8(0))
    image[60:63] = 2  # rows that belong to the border, inside the field as it was found
    mask = predict(image, cut).masks["vessel"]
    assert mask[60:72].mean() < 1.5 * (drawn.vessel & cut)[60:72].mean()


def test_noisy_dark_part_has_no_vessels():
    drawn = draw_fundus()
    dark = drawn.image.astype(float)
    dark[:, :150] *= 0.08
    dark[:, :150] += np.random.default_rng(0).normal(0, 2, (SIZE, 150, 3))
    dark[~drawn.fov] = 0
    mask = predict(np.clip(dark, 0, 255).astype(np.uint8), drawn.fov).masks["vessel"]
    assert mask[:, :130].sum() < 0.03 * drawn.fov[:, :130].sum()
    assert dice(mask[:, 170:], drawn.vessel[:, 170:]) > 0.7


def test_vessel_probability_is_half_at_the_low_threshold_and_short_pieces_are_dropped():
    response = np.zeros((128, 128), np.float32)
    response[30, 10:100] = 20  # long
    response[90, 10:14] = 20  # short
    response[60, 10:100] = LOW  # never strong
    probability, mask = segment_vessels(response, np.ones((128, 128), bool))
    assert mask[30, 10:100].all() and mask.sum() == 90
    assert probability[60, 50] == pytest.approx(0.5)
    assert probability[90, 12] == probability[30, 50] > 0.9


@pytest.mark.data
def test_vessels_of_three_photographs_against_the_annotation(data_root):
    scores = []
    for name in ("21", "28", "35"):
        folder = data_root / "DRIVE" / "training"
        image = np.asarray(Image.open(folder / "images" / f"{name}_training.tif").convert("RGB"))
        truth = np.asarray(Image.open(folder / "1st_manual" / f"{name}_manual1.gif").convert("L")) > 127
        field = find_field(image)
        frame = make_frame(image.shape[1], image.shape[0], field, 1024)
        found = predict(frame.warp(image), frame.warp(field.mask))
        scores.append(dice(frame.unwarp_mask(found.masks["vessel"]) & field.mask, truth & field.mask))
        assert found.status["optic_disc"] == Status.OK
    assert np.mean(scores) >= 0.72
