"""Areas under curves and calibration against cases worked out by hand, brute force and simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from retsam.association.auc import auc_interval, compare, discrimination, roc_points
from retsam.association.calibration import (
    brier,
    calibration_curve,
    calibration_intercept,
    calibration_slope,
    wilson,
)

OUTCOME = np.array([1.0, 1, 1, 0, 0, 0, 0])
A = np.array([0.9, 0.6, 0.4, 0.7, 0.5, 0.3, 0.2])
B = np.array([0.8, 0.3, 0.6, 0.4, 0.6, 0.1, 0.2])
"""Three cases and four controls, two scores; a case and a control tie in B.

A: V10 = 1, 3/4, 2/4 and V01 = 1/3, 2/3, 1, 1, so the area is 3/4. Less that: (3, 0, -3)/12 and (-5, -1, 3, 3)/12.
   S10 = (9 + 0 + 9)/144/2 = 1/16; S01 = (25 + 1 + 9 + 9)/144/3 = 11/108; variance 1/16/3 + 11/108/4 = 5/108.
B: V10 = 1, 2/4, 3.5/4 and V01 = 2/3, 1.5/3, 1, 1, area 19/24. Less that: (5, -7, 2)/24 and (-3, -7, 5, 5)/24.
   S10 = (25 + 49 + 4)/576/2 = 13/192; S01 = (9 + 49 + 25 + 25)/576/3 = 1/16; variance 13/576 + 1/64 = 11/288.
Both: S10 = (3 x 5 + 0 - 3 x 2)/288/2 = 1/64; S01 = (15 + 7 + 15 + 15)/288/3 = 13/216.
   Covariance 1/64/3 + 13/216/4 = 35/1728.
Difference -1/24 with variance (80 + 66 - 70)/1728 = 76/1728: z = -0.19868.
"""


def test_delong_by_hand():
    made = discrimination(OUTCOME, np.column_stack([A, B]), np.arange(7))
    np.testing.assert_allclose(made.auc, [3 / 4, 19 / 24])
    np.testing.assert_allclose(made.covariance, [[5 / 108, 35 / 1728], [35 / 1728, 11 / 288]])
    difference, low, high, p = compare(made, 0, 1)
    assert difference == pytest.approx(-1 / 24)
    assert p == pytest.approx(2 * norm.sf(0.1986799), abs=1e-6)
    assert (low + high) / 2 == pytest.approx(difference)
    assert high - low == pytest.approx(2 * 1.959964 * np.sqrt(76 / 1728), rel=1e-6)


def test_obuchowski_by_hand():
    """Score A; the first case and first control are one person, so are the other cases, and the middle controls.

    Sums by person: cases 3/12, -3/12, 0, 0 (2 people with any), controls -5/12, 0, 2/12, 3/12 (3 people with any).
    S10 = 2/1/3 (9 + 9)/144 = 1/12; S01 = 3/2/4 (25 + 4 + 9)/144 = 19/192; S11 = 4/3 (3 x -5)/144 = -5/36.
    """
    made = discrimination(OUTCOME, A[:, None], np.array([1, 2, 2, 1, 3, 3, 4]))
    expected = 1 / 12 / 3 + 19 / 192 / 4 - 2 * 5 / 36 / 12
    assert made.covariance.item() == pytest.approx(expected)


def test_interval_of_an_area():
    low, high = auc_interval(0.9, 0.05**2)
    assert logit(high) - logit(0.9) == pytest.approx(logit(0.9) - logit(low))
    assert logit(high) - logit(0.9) == pytest.approx(1.959964 * 0.05 / 0.09, rel=1e-6)
    assert np.isnan(auc_interval(1.0, 0.0)).all()
    assert np.isnan(auc_interval(0.7, np.nan)).all()


def test_one_person_with_cases_has_no_variance():
    made = discrimination(np.array([1.0, 1, 0, 0]), np.array([[3.0], [1], [2], [0]]), np.array([0, 0, 1, 2]))
    assert made.auc.item() == 0.75
    assert np.isnan(made.covariance).all()


values = st.lists(st.integers(0, 6), min_size=2, max_size=12)


@settings(deadline=None)
@given(values, values)
def test_area_is_the_share_of_pairs_in_order(cases, controls):
    outcome = np.array([1.0] * len(cases) + [0.0] * len(controls))
    score = np.array(cases + controls, dtype=float)
    pairs = np.sign(np.subtract.outer(np.array(cases), np.array(controls)))
    area = discrimination(outcome, score[:, None], np.arange(len(score))).auc.item()
    assert area == pytest.approx(np.mean((pairs + 1) / 2))
    x, y = roc_points(outcome, score)
    assert np.trapezoid(y, x) == pytest.approx(area)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    changed = discrimination(outcome, np.exp(score)[:, None], np.arange(len(score)))
    assert changed.auc.item() == pytest.approx(area)
    against = discrimination(outcome, -score[:, None], np.arange(len(score)))
    assert against.auc.item() == pytest.approx(1 - area)


def test_a_long_curve_is_thinned_evenly():
    rng = np.random.default_rng(0)
    outcome = (rng.random(5000) < 0.2).astype(float)
    score = rng.normal(size=5000) + outcome
    x, y = roc_points(outcome, score)
    assert len(x) <= 200
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.hypot(np.diff(x), np.diff(y)).max() < 0.03


def test_clustered_intervals_cover_and_naive_ones_do_not():
    """Two eyes a person with the same outcome and scores that correlate by 0.9; the true area is that of d = 1."""
    truth = norm.cdf(1 / np.sqrt(2))
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    runs = 500
    for _ in range(runs):
        y = np.repeat(rng.random(100) < 0.4, 2).astype(float)
        common, own = np.repeat(rng.normal(size=100), 2), rng.normal(size=200)
        score = (y + np.sqrt(0.9) * common + np.sqrt(0.1) * own)[:, None]
        for kind, clusters in enumerate((np.arange(200) // 2, np.arange(200))):
            made = discrimination(y, score, clusters)
            low, high = auc_interval(made.auc.item(), made.covariance.item())
            covered[kind] += low < truth < high
    assert 0.92 <= covered[0] / runs <= 0.975
    assert covered[1] / runs < 0.89


def probabilities(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes drawn with known probabilities."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-1, 1.2, n))
    return (rng.random(n) < p).astype(float), p


def test_calibration_of_true_probabilities_and_of_changed_ones():
    y, p = probabilities(20000)
    person = np.arange(20000)
    assert calibration_slope(y, p, person).value == pytest.approx(1, abs=0.05)
    assert calibration_intercept(y, p, person).value == pytest.approx(0, abs=0.05)
    assert calibration_slope(y, expit(2 * logit(p)), person).value == pytest.approx(0.5, abs=0.03)
    assert calibration_intercept(y, expit(logit(p) + 0.7), person).value == pytest.approx(-0.7, abs=0.05)


def test_calibration_equals_a_generalised_linear_model():
    y, p = probabilities(300)
    person = np.arange(300) // 2
    options = {"cov_type": "cluster", "cov_kwds": {"groups": person, "use_correction": True}, "use_t": True}
    family = sm.families.Binomial()
    slope = sm.GLM(y, sm.add_constant(logit(p)), family=family).fit(**options)
    made = calibration_slope(y, p, person)
    np.testing.assert_allclose([made.value, made.low, made.high], [slope.params[1], *slope.conf_int()[1]], rtol=1e-6)
    intercept = sm.GLM(y, np.ones((300, 1)), family=family, offset=logit(p)).fit(**options)
    made = calibration_intercept(y, p, person)
    np.testing.assert_allclose(
        [made.value, made.low, made.high], [intercept.params[0], *intercept.conf_int()[0]], rtol=1e-6
    )


def test_calibration_that_cannot_be_estimated():
    y = np.array([0.0, 0, 1, 1])
    assert np.isnan(calibration_slope(y, np.full(4, 0.5), np.arange(4)).value)
    assert np.isnan(calibration_slope(y, np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4)).value)


def test_wilson_by_hand():
    """1 of 10 at z = 1.96: (0.1 + 0.19208) / 1.38416 -+ 1.96 / 1.38416 x sqrt(0.009 + 0.009604)."""
    low, high = wilson(np.array([1.0]), np.array([10.0]))
    assert (low.item(), high.item()) == pytest.approx((0.01788, 0.40415), abs=1e-4)
    low, high = wilson(np.array([0.0, 10.0]), np.array([10.0, 10.0]))
    assert low[0] == 0
    assert high[1] == pytest.approx(1)
    assert 0 < high[0] == pytest.approx(1 - low[1])


def test_calibration_curve_groups():
    y, p = probabilities(1000)
    table = calibration_curve(y, p, np.arange(1000) // 2)
    assert table["n"].tolist() == [100] * 10
    assert table["x"].is_monotonic_increasing
    assert ((table["low"] <= table["y"]) & (table["y"] <= table["high"])).all()
    singles = calibration_curve(y, p, np.arange(1000))
    assert (singles["high"] - singles["low"] <= table["high"] - table["low"] + 1e-12).all()
    tied = calibration_curve(y, np.full(1000, 0.3), np.arange(1000))
    assert tied["n"].tolist() == [1000]
    assert tied["y"].item() == pytest.approx(y.mean())


def test_brier_by_hand():
    assert brier(np.array([1.0, 0.0]), np.array([0.8, 0.4])) == pytest.approx((0.04 + 0.16) / 2)
