"""The field of view: drawn pictures with a known circle, invariances, and the given masks of DRIVE and HRF."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from retsam.field import Field, find_field, make_frame
from retsam.io.images import ImageError, read_image
from retsam.status import Status
from tests.badimages import fundus

PROPERTY = settings(max_examples=12, deadline=None, derandomize=True)


def disc(width: int, height: int, x: float, y: float, radius: float, aspect: float = 1.0) -> NDArray[np.bool_]:
    rows, cols = np.mgrid[:height, :width]
    return np.hypot(cols - x, (rows - y) / aspect) <= radius


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def assert_circle(field: Field, x: float, y: float, radius: float, within: float = 0.006) -> None:
    apart = np.abs(np.array([field.x - x, field.y - y, field.radius - radius]))
    assert apart.max() <= within * radius + 0.5, (field.x, field.y, field.radius)


@pytest.mark.parametrize(("width", "height"), [(320, 256), (900, 700), (1600, 1200)])
def test_whole_circle(width, height):
    x, y, radius = 0.48 * width, 0.51 * height, 0.46 * height
    field = find_field(fundus(width, height, x, y, radius))
    assert_circle(field, x, y, radius, within=0.004)
    assert field.mask.shape == (height, width)
    assert field.mask.dtype == bool
    assert iou(field.mask, disc(width, height, x, y, radius)) >= 0.985


@PROPERTY
@given(
    x=st.floats(0.4, 0.6),
    y=st.floats(0.4, 0.6),
    radius=st.floats(0.3, 0.75),
    light=st.floats(0.25, 1.2),
    noise=st.floats(0, 5),
)
def test_any_circle_in_or_partly_outside_the_photograph(x, y, radius, light, noise):
    width, height = 420, 400
    truth = x * (width - 1), y * (height - 1), radius * height
    seen = disc(width, height, *truth)
    if seen.mean() > 0.985:  # too little of an edge is left to see
        return
    field = find_field(fundus(width, height, *truth, light=light, noise=noise))
    assert iou(field.mask, seen) >= 0.97
    assert_circle(field, *truth, within=0.03 if seen.mean() > 0.8 else 0.015)


@pytest.mark.parametrize("border", [0, 12, 25, 128, 255])
def test_black_grey_and_white_borders(border):
    field = find_field(fundus(500, 400, 240, 205, 180, border=border))
    assert_circle(field, 240, 205, 180)


def test_flat_edges_at_the_photograph_and_inside_it():
    whole = fundus(600, 600, 299.5, 299.5, 280)
    cut = whole[120:480]  # as HRF and IDRiD: the photograph ends before the circle
    field = find_field(cut)
    assert_circle(field, 299.5, 179.5, 280)
    assert iou(field.mask, disc(600, 360, 299.5, 179.5, 280)) >= 0.985
    masked = whole.copy()
    masked[:120], masked[480:] = 2, 2  # the same edges inside the photograph
    field = find_field(masked)
    assert_circle(field, 299.5, 299.5, 280)
    expected = disc(600, 600, 299.5, 299.5, 280)
    expected[:120], expected[480:] = False, False
    assert iou(field.mask, expected) >= 0.98


def test_time_stamp_notch_and_jpeg_noise_do_not_move_the_circle(tmp_path):
    picture = fundus(760, 570, 379.5, 284.5, 265, noise=4)
    cv2.putText(picture, "2026-11-20 10:41", (520, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 255, 0), 2)
    cv2.circle(picture, (379 + 190, 284 - 190), 14, (160, 80, 40), -1)
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=60)
    field = find_field(read_image(tmp_path / "a.jpg"))
    assert_circle(field, 379.5, 284.5, 265)
    assert iou(field.mask, disc(760, 570, 379.5, 284.5, 265)) >= 0.98


def test_dark_things_inside_make_no_holes():
    picture = fundus(600, 600, 299.5, 299.5, 280)
    cv2.circle(picture, (200, 330), 90, (3, 2, 2), -1)  # a bleeding
    picture[:, 420:] = (picture[:, 420:] * np.linspace(1, 0.12, 180)[None, :, None]).astype(np.uint8)  # a dark rim
    field = find_field(picture)
    assert_circle(field, 299.5, 299.5, 280, within=0.01)
    assert iou(field.mask, disc(600, 600, 299.5, 299.5, 280)) >= 0.97


def test_only_the_corners_are_missing():
    field = find_field(fundus(760, 570, 379.5, 284.5, 445))
    assert_circle(field, 379.5, 284.5, 445, within=0.02)
    assert iou(field.mask, disc(760, 570, 379.5, 284.5, 445)) >= 0.99


def test_full_frame_is_the_limit_of_missing_corners():
    picture = fundus(640, 480, radius=700)
    field = find_field(picture)
    assert field.mask.all()
    assert_circle(field, 319.5, 239.5, np.hypot(640, 480) / 2, within=0.005)
    frame = make_frame(640, 480, field, 256)
    assert frame.warp(field.mask).sum() == pytest.approx(640 * 480 * frame.scale**2, rel=0.02)


def test_full_frame_with_a_black_margin_is_the_same_field():
    padded = cv2.copyMakeBorder(fundus(640, 480, radius=700), 60, 60, 80, 80, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    field = find_field(padded)
    assert_circle(field, 399.5, 299.5, np.hypot(640, 480) / 2, within=0.01)
    assert iou(field.mask, np.pad(np.ones((480, 640), bool), ((60, 60), (80, 80)))) >= 0.97


def test_crop_of_evenly_lit_retina_is_no_field_on_an_orange_border():
    picture = np.full((300, 300, 3), (150, 60, 30), np.uint8)
    cv2.circle(picture, (150, 150), 80, (230, 180, 90), -1)  # a disc is not the field
    field = find_field(picture)
    assert field.mask.all()


def test_squashed_photograph_is_an_ellipse():
    """As ODIR: circles cut at top and bottom, then squared by their publisher."""
    squared = cv2.resize(fundus(800, 600, 399.5, 299.5, 395), (512, 512), interpolation=cv2.INTER_AREA)
    field = find_field(squared)
    across, down = 395 * 512 / 800, 395 * 512 / 600
    assert iou(field.mask, disc(512, 512, 255.5, 255.5, across, down / across)) >= 0.98
    assert_circle(field, 255.5, 255.5, down, within=0.03)


def test_white_margin_around_a_black_border():
    inner = fundus(400, 360, 199.5, 179.5, 160)
    field = find_field(cv2.copyMakeBorder(inner, 70, 70, 90, 90, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
    assert_circle(field, 289.5, 249.5, 160)


@pytest.mark.parametrize("colour", [(0, 0, 0), (3, 3, 3), (60, 60, 60), (255, 255, 255), (170, 90, 40), (30, 10, 5)])
def test_nothing_to_see(colour):
    rng = np.random.default_rng(0)
    even = np.full((240, 320, 3), colour, float)
    for noise in (0, 1.5):
        picture = (even + rng.normal(0, noise, even.shape)).clip(0, 255).astype(np.uint8)
        with pytest.raises(ImageError) as caught:
            find_field(picture)
        assert caught.value.status is Status.NO_FUNDUS


@pytest.mark.parametrize(("radius", "good"), [(29, False), (36, True)])
def test_the_smallest_field(radius, good):
    picture = fundus(420, 360, radius=radius)
    if good:
        assert_circle(find_field(picture), 209.5, 179.5, radius)
    else:
        with pytest.raises(ImageError) as caught:
            find_field(picture)
        assert caught.value.status is Status.TOO_SMALL


@PROPERTY
@given(st.integers(0, 10_000))
def test_any_picture_gives_a_field_or_an_image_error(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(64, 300, 2)
    coarse = rng.integers(0, 256, (rng.integers(1, 9), rng.integers(1, 9), 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (int(width), int(height)), interpolation=int(rng.integers(0, 3)))
    picture[rng.random((height, width)) < rng.random() * 0.2] = 0
    try:
        field = find_field(picture)
    except ImageError as error:
        assert error.status in (Status.NO_FUNDUS, Status.TOO_SMALL)
    else:
        assert field.mask.shape == picture.shape[:2]
        assert field.mask.any()
        rows, cols = np.nonzero(field.mask)
        assert np.hypot(cols - field.x, rows - field.y).max() <= field.radius + 1.5
        make_frame(int(width), int(height), field, 64)


@PROPERTY
@given(
    width=st.integers(200, 700),
    x=st.floats(0.4, 0.6),
    radius=st.floats(0.35, 0.7),
    squash=st.sampled_from([1.0, 1.3]),
)
def test_mirrored_photograph_mirrored_field(width, x, radius, squash):
    picture = fundus(width, 300, x * width, 150, radius * 300)
    picture = cv2.resize(picture, None, fx=1, fy=squash, interpolation=cv2.INTER_AREA)
    height = picture.shape[0]
    field, mirrored = find_field(picture), find_field(np.ascontiguousarray(picture[:, ::-1]))
    assert abs(mirrored.x - (width - 1 - field.x)) < 1e-3
    assert abs(mirrored.y - field.y) < 1e-3
    assert abs(mirrored.radius - field.radius) < 1e-3
    frame, other = make_frame(width, height, field, 128), make_frame(width, height, mirrored, 128)
    assert (other.crop_x, other.crop_y) == (width - frame.crop_side - frame.crop_x, frame.crop_y)
    assert iou(other.warp(mirrored.mask)[:, ::-1], frame.warp(field.mask)) > 0.999


@PROPERTY
@given(left=st.integers(0, 150), right=st.integers(0, 150), top=st.integers(0, 90), bottom=st.integers(0, 90))
def test_black_padding_leaves_the_frame(left, right, top, bottom):
    picture = fundus(500, 340, 250.3, 171.2, 210)  # cut at top and bottom
    field = find_field(picture)
    padded = find_field(cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(2, 2, 2)))
    assert_circle(padded, field.x + left, field.y + top, field.radius)
    assert iou(padded.mask[top : top + 340, left : left + 500], field.mask) >= 0.98


@PROPERTY
@given(zoom=st.floats(0.5, 3.0))
def test_the_field_scales_with_the_photograph(zoom):
    picture = fundus(420, 360, 205, 180, 165)
    field = find_field(picture)
    larger = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    scaled = find_field(larger)
    ratio = larger.shape[1] / 420
    assert_circle(scaled, (field.x + 0.5) * ratio - 0.5, (field.y + 0.5) * ratio - 0.5, field.radius * ratio, 0.01)


def test_the_same_picture_gives_the_same_field():
    picture = fundus(500, 400)
    first, second = find_field(picture), find_field(picture.copy())
    assert (first.x, first.y, first.radius) == (second.x, second.y, second.radius)
    np.testing.assert_array_equal(first.mask, second.mask)


def given_masks(data_root: Path, name: str) -> list[tuple[Path, Path]]:
    folders = {"drive": ["DRIVE/training", "DRIVE/test"], "hrf": ["HRF"]}[name]
    pairs = []
    for folder in folders:
        for image in sorted((data_root / folder / "images").iterdir()):
            masks = list((data_root / folder / "mask").glob(f"{image.stem}_mask*"))
            assert len(masks) == 1, image.name
            pairs.append((image, masks[0]))
    return pairs


@pytest.mark.data
@pytest.mark.parametrize(("name", "count"), [("drive", 40), ("hrf", 30)])
def test_given_masks(data_root, name, count):
    pairs = given_masks(data_root, name)
    assert len(pairs) == count
    found = [iou(find_field(read_image(image)).mask, read_image(mask)[..., 0] > 127) for image, mask in pairs]
    assert np.mean(found) >= 0.985
    assert min(found) >= 0.975


@pytest.mark.data
def test_real_photographs_mirrored(data_root):
    images = (
        sorted((data_root / "ODIR-5K" / "images").iterdir())[::60]
        + sorted((data_root / "HEI-MED/images").iterdir())[::9]
    )
    assert len(images) >= 30
    for image in images:
        picture = read_image(image)
        height, width = picture.shape[:2]
        frame = make_frame(width, height, find_field(picture), 256)
        mirrored = np.ascontiguousarray(picture[:, ::-1])
        other = make_frame(width, height, find_field(mirrored), 256)
        assert (other.crop_side, other.crop_y) == (frame.crop_side, frame.crop_y), image.name
        assert other.crop_x == width - frame.crop_side - frame.crop_x, image.name
        apart = frame.warp(picture)[:, ::-1].astype(int) - other.warp(mirrored)
        assert np.abs(apart).max() <= 1, image.name


@pytest.mark.data
def test_the_time_stamp_of_drimdb(data_root):
    """One camera, one aperture: the circle is the same on all its good photographs, stamp or not."""
    fields = [find_field(read_image(image)) for image in sorted((data_root / "DRIMDB" / "Good").iterdir())[:20]]
    radii = np.array([field.radius for field in fields])
    assert np.ptp(radii) <= 0.05 * radii.mean()
    assert min(field.mask.mean() for field in fields) >= 0.97
