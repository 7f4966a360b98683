"""The canonical frame: exact inverse, masks there and back, mirroring, padding."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.field import Field, find_field, make_frame
from retsam.geometry import Frame
from retsam.io.images import read_image

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
SIZES = st.sampled_from([64, 128, 256, 320])
coordinate = st.floats(0, 1, allow_nan=False)


def circle(width: int, height: int, x: float, y: float, radius: float) -> Field:
    rows, cols = np.mgrid[:height, :width]
    return Field(np.hypot(cols - x, rows - y) <= radius, x, y, radius)


@st.composite
def fields(draw: st.DrawFn) -> tuple[int, int, Field]:
    width, height = draw(st.integers(80, 500)), draw(st.integers(80, 500))
    x, y = draw(coordinate) * (width - 1), draw(coordinate) * (height - 1)
    return width, height, circle(width, height, x, y, draw(st.floats(32, 300)))


@PROPERTY
@given(place=fields(), size=SIZES, u=coordinate, v=coordinate)
def test_points_return_exactly(place, size, u, v):
    width, height, field = place
    frame = make_frame(width, height, field, size)
    point = np.array([u * (width - 1), v * (height - 1)])
    np.testing.assert_allclose(frame.to_photo(frame.to_frame(point)), point, atol=1e-9)
    np.testing.assert_allclose(frame.to_frame(frame.to_photo([u * size, v * size])), [u * size, v * size], atol=1e-9)


@PROPERTY
@given(place=fields(), size=SIZES)
def test_the_square_holds_the_circle_and_little_more(place, size):
    width, height, field = place
    frame = make_frame(width, height, field, size)
    low = np.array([frame.crop_x, frame.crop_y]) - 0.5
    gaps = np.array([field.x, field.y]) - field.radius - low
    gaps = np.append(gaps, low + frame.crop_side - np.array([field.x, field.y]) - field.radius)
    assert gaps.min() >= -0.5
    assert gaps.max() <= 2.5
    assert frame.scale == size / frame.crop_side


@PROPERTY
@given(place=fields(), size=SIZES)
def test_mirrored_photograph_mirrored_frame(place, size):
    width, height, field = place
    frame = make_frame(width, height, field, size)
    mirrored = make_frame(width, height, Field(field.mask[:, ::-1], width - 1 - field.x, field.y, field.radius), size)
    assert mirrored.crop_side == frame.crop_side
    assert mirrored.crop_y == frame.crop_y
    assert mirrored.crop_x == width - frame.crop_side - frame.crop_x
    np.testing.assert_array_equal(mirrored.warp(field.mask[:, ::-1].copy()), frame.warp(field.mask)[:, ::-1])
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    apart = mirrored.warp(picture[:, ::-1].copy()).astype(int) - frame.warp(picture)[:, ::-1]
    assert np.abs(apart).max() <= 1  # one level of rounding


@PROPERTY
@given(place=fields(), size=SIZES, left=st.integers(0, 40), top=st.integers(0, 41))
def test_padding_moves_the_crop_and_nothing_else(place, size, left, top):
    width, height, field = place
    frame = make_frame(width, height, field, size)
    moved = Field(field.mask, field.x + left, field.y + top, field.radius)
    padded = make_frame(width + 2 * left, height + top, moved, size)
    assert padded.crop_side == frame.crop_side
    assert padded.crop_x - left == frame.crop_x
    assert padded.crop_y - top == frame.crop_y


@PROPERTY
@given(place=fields(), size=st.sampled_from([256, 512]), u=coordinate, v=coordinate)
def test_masks_return_to_the_photograph(place, size, u, v):
    """A disc of 10 or more frame pixels across survives the way to the frame and back."""
    width, height, field = place
    frame = make_frame(width, height, field, size)
    radius = max(0.2 * field.radius, 12.0, 10 / frame.scale)
    x = np.clip(u * width, radius, max(width - radius, radius))
    y = np.clip(v * height, radius, max(height - radius, radius))
    rows, cols = np.mgrid[:height, :width]
    disc = (np.hypot(cols - x, rows - y) <= radius) & field.mask
    if disc.sum() < 200:
        return
    back = frame.unwarp_mask(frame.warp(disc))
    assert (disc & back).sum() / (disc | back).sum() >= 0.9


def test_masks_are_exact_where_the_frame_is_the_photograph():
    frame = Frame(128, 128, 128, 0, 0, 128, 63.5, 63.5, 64.0)
    mask = np.random.default_rng(0).random((128, 128)) > 0.5
    np.testing.assert_array_equal(frame.warp(mask), mask)
    np.testing.assert_array_equal(frame.unwarp_mask(mask), mask)


def test_warped_pixels_lie_where_points_say():
    """A blurred spot, enlarged and shrunk: the centre of its light is where to_frame puts it."""
    rows, cols = np.mgrid[:160, :200]
    picture = (100 * np.exp(-((cols - 61) ** 2 + (rows - 90) ** 2) / 18)).astype(np.float32)
    for size in (64, 512):
        frame = Frame(200, 160, size, -20, 10, 128, 44.0, 74.0, 63.0)
        out = frame.warp(picture)
        rows, cols = np.mgrid[:size, :size]
        light = np.array([(cols * out).sum(), (rows * out).sum()]) / out.sum()
        np.testing.assert_allclose(light, frame.to_frame([61, 90]), atol=0.05)


def test_black_outside_the_photograph():
    frame = Frame(100, 100, 128, -14, -50, 128, 50.0, 14.0, 63.0)
    out = frame.warp(np.full((100, 100, 3), 200, np.uint8))
    assert (out[:49] == 0).all()
    assert (out[50:, 14:114] == 200).all()
    assert (out[:, :13] == 0).all()


def test_rows_keep_the_frame():
    frame = Frame(200, 160, 64, -20, 10, 128, 44.25, 74.5, 63.0)
    assert Frame.from_row(frame.as_row()) == frame


def test_wrong_sizes_are_named():
    frame = Frame(200, 160, 64, 0, 0, 128, 64.0, 64.0, 63.0)
    with pytest.raises(ValueError, match="160x200, the frame was made for 200x160"):
        frame.warp(np.zeros((200, 160), np.uint8))
    with pytest.raises(ValueError, match="must be positive"):
        Frame(200, 160, 64, 0, 0, 0, 64.0, 64.0, 63.0)
    for size in (0, -64, 100):
        with pytest.raises(ValueError, match="multiple of 64"):
            make_frame(200, 160, circle(200, 160, 99.5, 79.5, 70), size)


@pytest.mark.data
def test_round_trip_on_every_image_of_drive_and_hrf(data_root: Path):
    """Acceptance: off by at most half a pixel of the photograph, for pixels of the frame as for points."""
    images = sorted(data_root.glob("DRIVE/*/images/*.tif")) + sorted(data_root.glob("HRF/images/*"))
    assert len(images) >= 60
    rng = np.random.default_rng(0)
    for path in images:
        picture = read_image(path)
        height, width = picture.shape[:2]
        frame = make_frame(width, height, find_field(picture), 1024)
        points = rng.random((200, 2)) * [width - 1, height - 1]
        back = frame.to_photo(frame.to_frame(points))
        assert np.hypot(*(back - points).T).max() <= 1e-6, path.name
        whole = frame.to_photo(np.rint(frame.to_frame(points)))  # after rounding to a frame pixel
        assert np.abs(whole - points).max() <= 0.5 / frame.scale + 1e-9, path.name
        assert 0.5 / frame.scale <= 0.5 * math.ceil(frame.crop_side / 1024), path.name
        corner = frame.to_frame([[-0.5, -0.5], [width - 0.5, height - 0.5]])
        np.testing.assert_allclose(np.diff(corner, axis=0)[0], np.array([width, height]) * frame.scale)
