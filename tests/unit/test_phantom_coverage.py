"""Intervals over 500 simulated cohorts: by person they cover as often as they say, by eye they do not."""

import math

import numpy as np
import pytest

from benchmarks.coverage import MODEL, TRUTH, coverage
from retsam.phantom.cohort import AGE_ON_PHENOTYPE

RUNS = 500


@pytest.mark.slow
def test_intervals_by_person_cover_and_those_by_eye_do_not() -> None:
    done = coverage(range(RUNS))
    error = math.sqrt(0.95 * 0.05 / RUNS)
    assert 0.93 <= done.robust.mean() <= 0.97
    assert done.naive.mean() < 0.95 - 2 * error
    spread = done.estimate.std(ddof=1)
    assert done.estimate.mean() == pytest.approx(TRUTH, abs=4 * spread / math.sqrt(RUNS))
    assert done.robust_se.mean() == pytest.approx(spread, rel=0.1)
    assert done.naive_se.mean() < 0.92 * spread
    assert np.sign(done.crude.mean() - TRUTH) == np.sign(MODEL.age * AGE_ON_PHENOTYPE["calibre"])
    assert abs(done.crude.mean() - TRUTH) > 0.1
