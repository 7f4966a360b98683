"""Masks as COCO run lengths."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from retsam.io.masks import decode, encode


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 40).flatmap(lambda n: arrays(bool, (n, n))))
def test_round_trip(mask):
    back = decode(encode(mask), mask.shape[0])
    assert back.dtype == bool
    np.testing.assert_array_equal(back, mask)


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
