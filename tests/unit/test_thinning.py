"""Thinning against skimage's, which goes through the pixels one by one."""

import cv2
import numpy as np
import pytest
from skimage.morphology import skeletonize

from retsam.biomarkers.thinning import thin


def agree(mask: np.ndarray) -> bool:
    return np.array_equal(thin(mask), skeletonize(mask, method="lee"))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97])
def test_noise_has_every_neighbourhood(share):
    rng = np.random.default_rng(int(100 * share))
    assert all(agree(rng.random((61, 83)) < share) for _ in range(10))


@pytest.mark.parametrize("width", [1.0, 2.5, 6.0])
def test_smooth_shapes(width):
    rng = np.random.default_rng(5)
    for _ in range(4):
        assert agree(cv2.GaussianBlur(rng.random((230, 190)), (0, 0), width) > 0.5)


def test_every_shape_of_four_by_three_pixels():
    shapes = (np.arange(2**12)[:, None] >> np.arange(12) & 1).astype(bool).reshape(-1, 4, 3)
    sheet = np.pad(shapes, ((0, 0), (1, 1), (1, 1))).reshape(64, 64, 6, 5).swapaxes(1, 2).reshape(64 * 6, 64 * 5)
    assert agree(sheet)


def test_plain_and_border_cases():
    ramp = np.add.outer(np.arange(40), np.arange(50))
    cases = [
        np.zeros((20, 30), bool),
        np.ones((20, 31), bool),
        np.ones((1, 9), bool),
        np.ones((9, 1), bool),
        np.ones((2, 2), bool),
        np.ones((1, 1), bool),
        abs(ramp - 44) < 4,
        abs(ramp[:, ::-1] - 44) < 5,
        (ramp // 3) % 2 == 0,
    ]
    assert all(agree(case) for case in cases)
