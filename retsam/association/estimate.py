"""What a fitted model says: coefficients with a covariance, the line of one of them, a joint test of several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit
from scipy.stats import chi2, norm

EXPOSURE = 1
"""Column of the design that is reported; column 0 is the intercept."""


@dataclass(frozen=True)
class Fit:
    """One coefficient of a fitted model, on the scale of its linear predictor.

    Attributes
    ----------
    log_or : float
        Coefficient per unit of its column: a log odds ratio, or the slope of a linear model in the outcome's unit.
    se : float
        Standard error.
    ci_low, ci_high : float
        Confidence limits.
    p : float
        Two-sided p value.
    method : str
        ``logit_cluster``, ``logit``, ``firth``, ``gee_exchangeable``, ``ordinal_cluster``, ``ordinal``,
        ``linear_cluster`` or ``linear``.
    ci_method : str
        ``t``, ``wald`` (normal) or ``profile``.
    df : float
        Degrees of freedom of t; NaN otherwise.
    """

    log_or: float
    se: float
    ci_low: float
    ci_high: float
    p: float
    method: str
    ci_method: str
    df: float = float("nan")


@dataclass(frozen=True)
class JointTest:
    """A Wald test of several coefficients at once.

    Attributes
    ----------
    statistic : float
        ``b' V^-1 b / q``.
    columns : int
        q, the degrees of freedom of the numerator.
    df : float
        Those of the denominator; NaN where q times the statistic is held against chi-squared.
    p : float
    """

    statistic: float
    columns: int
    df: float
    p: float


@dataclass(frozen=True)
class Estimate:
    """All coefficients of a fitted model.

    Attributes
    ----------
    coefficients : (k,) float array
        One per column of the design.
    covariance : (k, k) float array
    method : str
        See :class:`Fit`.
    df : float
        Degrees of freedom of t and F; NaN for the normal and chi-squared.
    correlation : float
        Working correlation of the rows of a cluster (GEE); NaN for the other methods.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    method: str
    df: float = float("nan")
    correlation: float = float("nan")

    def line(self, column: int = EXPOSURE, confidence: float = 0.95) -> Fit | None:
        """Estimate, interval and p value of one coefficient.

        Parameters
        ----------
        column : int
            Column of the design.
        confidence : float
            Level of the interval, 0-1.

        Returns
        -------
        Fit or None
            None where the variance or anything else is not finite and positive.
        """
        estimate, variance = float(self.coefficients[column]), float(self.covariance[column, column])
        if not np.isfinite(estimate) or not 0 < variance < np.inf:
            return None
        se, by_t = float(np.sqrt(variance)), not np.isnan(self.df)
        level = 0.5 + confidence / 2
        half = se * float(stdtrit(self.df, level) if by_t else norm.ppf(level))
        z = abs(estimate) / se
        p = 2 * float(stdtr(self.df, -z) if by_t else norm.sf(z))
        if not np.isfinite([half, p]).all():
            return None
        return Fit(estimate, se, estimate - half, estimate + half, p, self.method, "t" if by_t else "wald", self.df)

    def joint(self, columns: Sequence[int]) -> JointTest | None:
        """Test that all these coefficients are zero.

        Parameters
        ----------
        columns : sequence of int
            Columns of the design: the terms of a spline, the indicators of a category.

        Returns
        -------
        JointTest or None
            None for no columns, or where their covariance is not positive definite (fewer clusters than columns).
        """
        chosen = list(columns)
        return wald(self.coefficients[chosen], self.covariance[np.ix_(chosen, chosen)], self.df)


def wald(values: np.ndarray, covariance: np.ndarray, df: float) -> JointTest | None:
    """Test that a vector of estimates is zero.

    Parameters
    ----------
    values : (q,) float array
    covariance : (q, q) float array
    df : float
        Degrees of freedom of F's denominator; NaN for chi-squared.

    Returns
    -------
    JointTest or None
        None for an empty vector and for a covariance that is not positive definite.
    """
    if not len(values) or not np.isfinite(covariance).all():
        return None
    scale = np.sqrt(np.diag(covariance))  # the test does not depend on units, the check below would
    if not (scale > 0).all():
        return None
    correlation = covariance / np.outer(scale, scale)
    if np.linalg.eigvalsh(correlation)[0] < 1e-10:
        return None
    z = values / scale
    statistic = float(z @ np.linalg.solve(correlation, z)) / len(values)
    p = chi2.sf(statistic * len(values), len(values)) if np.isnan(df) else fdtrc(len(values), df, statistic)
    return JointTest(statistic, len(values), df, float(p))
