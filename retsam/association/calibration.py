"""Whether predicted probabilities mean what they say.

*Intercept* (calibration in the large): that of a logistic model with the predicted log odds as an offset; 0 where as
many are affected as predicted. *Slope*: coefficient of the predicted log odds in a logistic model; below 1,
predictions are too extreme. Both have the cluster-robust variance of :mod:`retsam.association.models` (CR1, t with G-1
degrees of freedom).

References
----------
Van Calster B, et al. (2019). Calibration: the Achilles heel of predictive analytics. BMC Med 17, 230.
Brier GW (1950). Verification of forecasts expressed in terms of probability. Mon Weather Rev 78, 1-3.
Wilson EB (1927). Probable inference, the law of succession, and statistical inference. J Am Stat Assoc 22, 209-212.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import logit
from scipy.stats import norm
from statsmodels.tools.sm_exceptions import PerfectSeparationError

NEAREST = 1e-9
"""Probabilities are kept this far from 0 and 1, where log odds are infinite."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; all NaN where it could not be estimated."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, finite."""
    return logit(np.clip(probability, NEAREST, 1 - NEAREST))


def brier(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Mean squared difference of the probability from the outcome: 0 is perfect."""
    return float(np.mean((probability - outcome) ** 2))


def calibration_intercept(
    outcome: np.ndarray, probability: np.ndarray, clusters: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Calibration in the large; see the module.

    Parameters
    ----------
    outcome : (n,) float array
        0 or 1, both present.
    probability : (n,) float array
        0-1.
    clusters : (n,) int array
        Person of each row.
    """
    return _last_coefficient(outcome, np.ones((len(outcome), 1)), log_odds(probability), clusters, confidence)


def calibration_slope(
    outcome: np.ndarray, probability: np.ndarray, clusters: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Calibration slope; parameters as of :func:`calibration_intercept`. NaN for one probability in all rows."""
    predicted = log_odds(probability)
    if np.ptp(predicted) < 1e-9:
        return Estimate()
    return _last_coefficient(outcome, np.column_stack([np.ones(len(outcome)), predicted]), None, clusters, confidence)


def _last_coefficient(
    outcome: np.ndarray, design: np.ndarray, offset: np.ndarray | None, clusters: np.ndarray, confidence: float
) -> Estimate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is looked at below
        try:
            result = sm.Logit(outcome, design, offset=offset, check_rank=False).fit(
                method="newton",
                maxiter=50,
                disp=0,
                warn_convergence=False,
                use_t=True,
                cov_type="cluster",
                cov_kwds={"groups": clusters, "use_correction": True},
            )
            value, (low, high) = result.params[-1], result.conf_int(1 - confidence)[-1]
        except (np.linalg.LinAlgError, PerfectSeparationError):
            return Estimate()
    if not result.mle_retvals["converged"] or not np.isfinite([value, low, high]).all():
        return Estimate()
    return Estimate(float(value), float(low), float(high))


def wilson(events: np.ndarray, n: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share.

    Parameters
    ----------
    events, n : arrays
        `events` of `n`; neither needs to be whole.
    confidence : float
    """
    z = norm.ppf(0.5 + confidence / 2)
    share = events / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def calibration_curve(
    outcome: np.ndarray, probability: np.ndarray, clusters: np.ndarray, groups: int = 10, confidence: float = 0.95
) -> pd.DataFrame:
    """Observed against predicted share, in equal groups by rank of the prediction.

    Parameters
    ----------
    outcome, probability, clusters
        As of :func:`calibration_intercept`.
    groups : int
        Ties stay together, so that there may be fewer.
    confidence : float

    Returns
    -------
    DataFrame
        x (mean probability), y (share of cases), low, high (Wilson) and n (rows) of each group. The interval counts
        people, not rows, as if the rows of a person always agreed: with two eyes each it is wide rather than narrow.
    """
    inner = np.quantile(probability, np.arange(1, groups) / groups)
    group = np.searchsorted(np.unique(inner), probability, side="right")
    rows = pd.DataFrame({"group": group, "x": probability, "y": outcome, "person": clusters})
    by = rows.groupby("group")
    table = by[["x", "y"]].mean()
    people = by["person"].nunique().to_numpy(float)
    low, high = wilson(table["y"].to_numpy() * people, people, confidence)
    return table.assign(low=low, high=high, n=by.size()).reset_index(drop=True)
