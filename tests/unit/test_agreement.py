"""Agreement of repeated measurements against published examples and closed forms."""

import numpy as np
import pytest

from retsam.agreement import agreement, icc, mean_squares

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
"""Table 2 of Shrout and Fleiss (1979): six targets by four judges."""


def test_mean_squares_of_shrout_and_fleiss():
    assert mean_squares(SHROUT_FLEISS) == pytest.approx((11.24, 32.49, 1.02, 6.26), abs=0.005)


@pytest.mark.parametrize(
    ("form", "value", "low", "high"),
    [("1,1", 0.17, -0.13, 0.72), ("2,1", 0.29, 0.02, 0.76), ("3,1", 0.71, 0.34, 0.95)],
)
def test_icc_of_shrout_and_fleiss(form, value, low, high):
    found = icc(SHROUT_FLEISS, form)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=0.006)


@pytest.mark.parametrize("form", ["1,1", "2,1", "3,1"])
def test_an_interval_covers_its_truth(form):
    """Judges without a bias: one ICC, 0.8, for all three forms; 200 tables, so that 3 SE of the coverage is 0.046."""
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(200):
        scores = rng.normal(0, 2, (20, 1)) + rng.normal(0, 1, (20, 2))
        found = icc(scores, form)
        hits += found.low <= 0.8 <= found.high
    assert hits / 200 == pytest.approx(0.95, abs=0.046)


def test_a_shift_of_one_judge_is_disagreement_but_consistent():
    x = np.arange(10.0)
    pairs = np.column_stack([x, x + 3])
    variance, shift = x.var(ddof=1), 3**2 / 2
    assert icc(pairs, "3,1").value == pytest.approx(1)
    assert icc(pairs).value == pytest.approx(variance / (variance + shift))


def test_perfect_and_no_agreement():
    x = np.arange(5.0)
    assert vars(icc(np.column_stack([x, x]))) == {"value": 1, "low": 1, "high": 1}
    assert np.isnan(icc(np.ones((5, 2))).value)
    assert icc(np.column_stack([x, x[::-1]])).value < 0


@pytest.mark.parametrize("scores", [np.ones((1, 2)), np.ones((4, 1)), np.ones(4), [[1, 2], [np.nan, 1]]])
def test_what_no_icc_can_be_made_of(scores):
    with pytest.raises(ValueError, match="an ICC needs finite scores"):
        icc(scores)


def test_bias_limits_and_noise_of_two_observers():
    first, apart = np.array([10.0, 12, 14, 16, np.nan]), np.array([1.0, 3, 1, 3, 0])
    found = agreement(first, first + apart)
    assert found.n == 4
    assert found.bias == pytest.approx(2)
    assert found.loa == pytest.approx(1.96 * np.sqrt(4 / 3))
    assert found.noise == pytest.approx(np.sqrt(20 / 4 / 2) / np.std([10.5, 13.5, 14.5, 17.5], ddof=1))
    assert agreement(first + apart, first).bias == pytest.approx(-2)
    few = agreement([1, 2, np.nan], [1, 2, 3])
    assert few.n == 2 and np.isnan([few.icc, few.bias, few.loa, few.noise]).all()
