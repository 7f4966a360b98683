"""Masks as COCO run lengths."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from retsam.io.masks import decode, encode, paint, paint_part, run_lengths, runs_of


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 40).flatmap(lambda n: arrays(bool, (n, n))))
def test_round_trip(mask):
    back = decode(encode(mask), mask.shape[0])
    assert back.dtype == bool
    np.testing.assert_array_equal(back, mask)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.integers(1, 40).flatmap(lambda n: arrays(bool, (n, n), elements=st.sampled_from([False] * 9 + [True]))))
def test_a_part_holds_all_of_a_mask(mask):
    part, left, top = paint_part(runs_of(encode(mask), mask.shape[0]), mask.shape[0])
    whole = np.zeros(mask.shape, bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    np.testing.assert_array_equal(whole, mask)
    assert part.shape[1] == np.ptp(np.flatnonzero(mask.any(axis=0))) + 1 if mask.any() else part.shape == (0, 0)


def test_runs_of_no_length_count_for_nothing():
    runs = np.array([5, 0, 6, 2, 3])
    part, left, top = paint_part(runs, 4)
    np.testing.assert_array_equal(paint(runs, 4)[top : top + part.shape[0], left : left + part.shape[1]], part)
    assert part.sum() == 2 == paint(runs, 4).sum()


def test_memory_layout_does_not_matter():
    mask = np.random.default_rng(0).random((64, 64)) > 0.7
    assert encode(mask) == encode(np.asfortranarray(mask)) == encode(mask.copy(order="C"))
    np.testing.assert_array_equal(decode(encode(mask.T), 64), mask.T)


def test_counts_are_column_major_coco():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 0] = True  # runs down the first column: 1 off, 2 on, 13 off
    uncompressed = coco.frPyObjects({"size": [4, 4], "counts": [1, 2, 13]}, 4, 4)
    assert encode(mask) == uncompressed["counts"].decode()


def test_a_frame_of_vessels_is_small():
    mask = np.zeros((1024, 1024), bool)
    mask[::40] = True
    assert len(encode(mask)) < mask.size / 8


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 40).flatmap(lambda n: arrays(bool, (n, n))))
def test_runs_are_those_of_the_columns(mask):
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat.astype(int)))
    wanted = np.diff(np.concatenate([[0], changes + 1, [flat.size]]))
    wanted = wanted if not flat[0] else np.concatenate([[0], wanted])
    np.testing.assert_array_equal(run_lengths(encode(mask)), wanted)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.text(max_size=12))
def test_any_text_is_a_mask_or_refused(text):
    try:
        mask = decode(text, 16)
    except ValueError as error:
        assert "segment this image again" in str(error)
    else:
        np.testing.assert_array_equal(decode(encode(mask), 16), mask)


def test_a_shortened_or_wrong_sized_mask_is_refused():
    rle = encode(np.random.default_rng(0).random((32, 32)) > 0.5)
    for broken, size in ((rle[:-3], 32), ("", 32), ("0", 32), (rle, 16), (rle, 64)):
        with pytest.raises(ValueError, match="segment this image again"):
            decode(broken, size)
