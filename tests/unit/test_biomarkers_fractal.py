"""The multifractal spectrum against closed forms, and how dimensions of one network are ordered."""

import cv2
import numpy as np
import pytest

from retsam.biomarkers.fractal import dimensions, singularity_length
from tests.unit.test_biomarkers import carpet, triangle


def cascade(shares: list[float], levels: int) -> np.ndarray:
    """Masses of a multiplicative cascade: each square hands its mass on to its quarters in these shares."""
    mass = np.ones((1, 1))
    for _ in range(levels):
        a, b, c, d = (share * mass for share in shares)
        mass = np.block([[a, b], [c, d]])
    return mass


def width_of_cascade(shares: list[float]) -> float:
    """alpha(-10) - alpha(10), with tau(q) = -log2 sum p^q."""
    p = np.array(shares)
    sparse, dense = (-(p**q * np.log2(p)).sum() / (p**q).sum() for q in (-10.0, 10.0))
    return sparse - dense


@pytest.mark.parametrize("shares", [[0.4, 0.3, 0.2, 0.1], [0.35, 0.25, 0.2, 0.2], [0.25] * 4])
def test_width_of_the_spectrum_of_a_cascade(shares):
    # Near the border of the picture boxes are cut, the more the larger they are.
    assert singularity_length(cascade(shares, 10)) == pytest.approx(width_of_cascade(shares), abs=0.05)


def test_sets_drawn_from_wider_cascades_are_wider():
    # Sparse parts of a picture hold few pixels, so its spectrum is narrower than that of the masses behind it.
    values = []
    for shares in ([0.25] * 4, [0.3, 0.2, 0.2, 0.3], [0.3, 0.3, 0.25, 0.15]):
        density = cascade(shares, 10)
        mask = np.random.default_rng(4).random(density.shape) < density / density.max()
        values.append(singularity_length(mask))
        for turned in (mask[:, ::-1], mask[::-1], np.rot90(mask)):
            assert singularity_length(turned) == pytest.approx(values[-1], abs=1e-9)
    assert values[0] < 0.05 < 0.4 < values[1] < values[2] - 0.1


def line(size: int) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    at = np.arange(size // 10, size - size // 10)
    mask[(0.2 * size + 0.37 * at).astype(int), at] = True
    return mask


def test_sets_of_one_dimension_have_no_width():
    enlarged = cv2.resize(carpet(6).astype(np.uint8), (1024, 1024), interpolation=cv2.INTER_NEAREST) > 0
    for mask in (np.ones((512, 512), bool), enlarged, triangle(10), line(1024)):
        assert singularity_length(mask) == pytest.approx(0, abs=0.05)
    assert np.isnan(singularity_length(np.zeros((256, 256), bool)))


def test_slopes_of_a_thin_network_can_rise_with_the_order():
    """In each grid the entropies fall with the order, but not the slopes over scales where lines become an area."""
    mask = np.zeros((1024, 1024), bool)
    mask[::64], mask[:512:16] = True, True
    spectrum = dimensions(mask, (0, 1, 2))
    assert spectrum[0] < spectrum[1] < spectrum[2]
