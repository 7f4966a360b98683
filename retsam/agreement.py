"""How well repeated measurements agree: intraclass correlation, bias with limits of agreement, noise ratio.

Repeated means by two observers of one photograph, or of the two eyes of a person.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f as f_distribution

Form = Literal["1,1", "2,1", "3,1"]
LIMITS = 1.96  # standard deviations that hold 95 % of the differences, if these are normal


@dataclass(frozen=True)
class Icc:
    """Intraclass correlation of single measurements with its confidence interval.

    Attributes
    ----------
    value, low, high : float
        At most 1; NaN where it is not defined.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of two measurements of the same things, in their unit where nothing else is said.

    Attributes
    ----------
    n : int
        Things with both measurements.
    icc, low, high : float
        ICC(2,1) with its 95 % interval, without a unit.
    bias : float
        Mean of second minus first.
    loa : float
        Half width of the 95 % limits of agreement: 1.96 SD of the differences; the limits are ``bias`` -+ ``loa``.
    noise : float
        SD within (root of half the mean squared difference, bias included) over SD between (of the means of the
        pairs), without a unit.
    """

    n: int
    icc: float
    low: float
    high: float
    bias: float
    loa: float
    noise: float


def icc(scores: ArrayLike, form: Form = "2,1", confidence: float = 0.95) -> Icc:
    """Intraclass correlation of single measurements.

    Parameters
    ----------
    scores : (n, k) array-like of float
        A row for each thing measured, a column for each judge; at least 2 of each, all finite.
    form : {"1,1", "2,1", "3,1"}
        One-way random; two-way random, absolute agreement (a judge who is always higher disagrees); two-way mixed,
        consistency.
    confidence : float
        Level of the interval, 0-1.

    Returns
    -------
    Icc
        NaN where nothing varies; interval (1, 1) where all judges agree to the last bit.

    Raises
    ------
    ValueError
        For fewer than two rows or columns, or a score that is not finite.

    References
    ----------
    Shrout PE, Fleiss JL (1979). Intraclass correlations: uses in assessing rater reliability. Psychol Bull 86, 420-428.
    McGraw KO, Wong SP (1996). Forming inferences about some intraclass correlation coefficients. Psychol Methods 1,
    30-46 (intervals).
    """
    table = np.asarray(scores, float)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            f"an ICC needs finite scores of 2 or more things by 2 or more judges; got shape {table.shape}."
        )
    between, judges, rest, within = mean_squares(table)
    if between <= 0 and within <= 0:
        return Icc(math.nan, math.nan, math.nan)
    if within <= 0:
        return Icc(1.0, 1.0, 1.0)
    if form == "2,1":
        return _absolute(between, judges, rest, table.shape, confidence)
    return _against(between, within if form == "1,1" else rest, form, table.shape, confidence)


def mean_squares(table: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Mean squares of a two-way layout (n, k) without repetition: between rows, between columns, rest, within rows."""
    n, k = table.shape
    rows, columns, all_of_it = table.mean(axis=1), table.mean(axis=0), table.mean()
    between = k * ((rows - all_of_it) ** 2).sum() / (n - 1)
    judges = n * ((columns - all_of_it) ** 2).sum() / (k - 1)
    within = ((table - rows[:, None]) ** 2).sum() / (n * (k - 1))
    rest = ((table - rows[:, None] - columns + all_of_it) ** 2).sum() / ((n - 1) * (k - 1))
    return float(between), float(judges), float(rest), float(within)


def _against(between: float, error: float, form: Form, shape: tuple[int, ...], confidence: float) -> Icc:
    """ICC(1,1) or ICC(3,1): between rows against one mean square of error."""
    n, k = shape
    value = (between - error) / (between + (k - 1) * error)
    if error <= 0:  # judges who differ by a constant
        return Icc(value, value, value)
    free = n * (k - 1) if form == "1,1" else (n - 1) * (k - 1)
    tail, ratio = (1 + confidence) / 2, between / error
    low, high = ratio / f_distribution.ppf(tail, n - 1, free), ratio * f_distribution.ppf(tail, free, n - 1)
    return Icc(value, float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1)))


def _absolute(between: float, judges: float, rest: float, shape: tuple[int, ...], confidence: float) -> Icc:
    """ICC(2,1); its interval takes the degrees of freedom of judges and rest together after Satterthwaite."""
    n, k = shape
    value = (between - rest) / (between + (k - 1) * rest + k * (judges - rest) / n)
    of_judges, of_rest = k * value, n * (1 + (k - 1) * value) - k * value
    if rest <= 0:
        free = float(k - 1)
    else:
        ratio = judges / rest
        free = (of_judges * ratio + of_rest) ** 2 / (
            (of_judges * ratio) ** 2 / (k - 1) + of_rest**2 / ((n - 1) * (k - 1))
        )
    tail = (1 + confidence) / 2
    f_low, f_high = f_distribution.ppf(tail, n - 1, free), f_distribution.ppf(tail, free, n - 1)
    spread = k * judges + (k * n - k - n) * rest
    low = n * (between - f_low * rest) / (f_low * spread + n * between)
    high = n * (f_high * between - rest) / (spread + n * f_high * between)
    return Icc(value, float(low), float(high))


def agreement(first: ArrayLike, second: ArrayLike) -> Agreement:
    """Agreement of two measurements.

    Parameters
    ----------
    first, second : (n,) array-like of float
        In the same order; things without both are left out (NaN).

    Returns
    -------
    Agreement
        All but ``n`` NaN for fewer than three pairs.

    References
    ----------
    Bland JM, Altman DG (1986). Statistical methods for assessing agreement between two methods of clinical measurement.
    Lancet 1, 307-310.
    """
    pairs = np.column_stack([np.asarray(first, float), np.asarray(second, float)])
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) < 3:
        return Agreement(len(pairs), *(math.nan,) * 6)
    apart, spread = pairs[:, 1] - pairs[:, 0], pairs.mean(axis=1).std(ddof=1)
    correlation = icc(pairs)
    within = math.sqrt((apart**2).mean() / 2)
    return Agreement(
        n=len(pairs),
        icc=correlation.value,
        low=correlation.low,
        high=correlation.high,
        bias=float(apart.mean()),
        loa=float(LIMITS * apart.std(ddof=1)),
        noise=float(within / spread) if spread > 0 else math.nan,
    )
