"""Scales of an exposure: transforms, quartiles and splines.

Transform ``auto``: ``log1p`` where every value of the table is at least 0, there are more than two different ones and
their skewness exceeds 2 (numbers and areas of findings, mostly 0), else ``none``. ``log1p`` is ``log(1 + x / s)``, s
being 1 for whole numbers and the median of the positive values otherwise, so that it does not depend on the unit.
``rank_normal`` is Blom's: the normal quantile of ``(rank - 3/8) / (n + 1/4)``, ties at their mean rank. All look at
the whole table, whatever the outcome.

Quartiles and knots are balanced by person: the rows of a person together count once.

References
----------
Blom G (1958). Statistical estimates and transformed beta-variables. Wiley.
Harrell FE (2015). Regression modeling strategies, 2nd ed., 2.4.5. Springer.
"""

from typing import Literal

import numpy as np
from scipy.stats import norm, rankdata

Transform = Literal["auto", "none", "log1p", "rank_normal"]

SKEWNESS = 2.0
"""From here on ``auto`` takes the logarithm."""

KNOTS = {4: (0.05, 0.35, 0.65, 0.95), 3: (0.10, 0.50, 0.90)}
"""Quantiles at which a restricted cubic spline has its knots."""


def choose_transform(values: np.ndarray, transform: Transform = "auto") -> str:
    """Transform of an exposure.

    Parameters
    ----------
    values : (n,) float array
        All values of the table, NaN where missing.
    transform : {"auto", "none", "log1p", "rank_normal"}

    Returns
    -------
    str
        ``none``, ``log1p`` or ``rank_normal``; ``none`` instead of a logarithm of negative values.
    """
    known = values[~np.isnan(values)]
    if transform in ("none", "rank_normal") or not len(known) or known.min() < 0:
        return "rank_normal" if transform == "rank_normal" else "none"
    if transform == "log1p":
        return "log1p"
    return "log1p" if skewness(known) > SKEWNESS and not _two(known) else "none"


def _two(values: np.ndarray) -> bool:
    """Whether there are at most two different values."""
    low, high = values.min(), values.max()
    return bool(((values == low) | (values == high)).all())


def skewness(values: np.ndarray) -> float:
    """Third standardised moment (n in the variance); 0 for a constant.

    Parameters
    ----------
    values : (n,) float array
        Finite, at least one.
    """
    centred = values - values.mean()
    scale = np.abs(centred).max()
    if not scale > 1e-12 * np.abs(values).max():
        return 0.0
    centred = centred / scale
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def apply_transform(values: np.ndarray, transform: str) -> tuple[np.ndarray, str]:
    """Values on their new scale.

    Parameters
    ----------
    values : (n,) float array
        NaN where missing, and still NaN afterwards.
    transform : str
        What :func:`choose_transform` said.

    Returns
    -------
    (n,) float array, str
        And what the logarithm was taken of; empty for the other transforms.
    """
    known = ~np.isnan(values)
    made = np.full(len(values), np.nan)
    if transform == "none" or not known.any():
        return values, ""
    if transform == "rank_normal":
        made[known] = norm.ppf((rankdata(values[known]) - 0.375) / (known.sum() + 0.25))
        return made, ""
    positive = values[known & (values > 0)]
    scale = 1.0 if not len(positive) or (positive == np.round(positive)).all() else float(np.median(positive))
    made[known] = np.log1p(values[known] / scale)
    return made, "" if scale == 1 else f"log(1 + value / {scale:.4g})"


def balanced_quantiles(values: np.ndarray, weights: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Weighted quantiles.

    Parameters
    ----------
    values : (n,) float array
        Finite, at least one.
    weights : (n,) float array
        One over the number of rows of the person, so that a person counts once.
    levels : tuple of float
        0-1.

    Returns
    -------
    (len(levels),) float array
        Smallest values up to which at least this share of the weight lies.
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    at = np.searchsorted(below, np.array(levels) * below[-1] * (1 - 1e-12))
    return values[order][np.minimum(at, len(values) - 1)]


def quartile_of(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quarter of each row.

    Parameters
    ----------
    values : (n,) float array
        Finite, at least one.
    weights : (n,) float array
        See :func:`balanced_quantiles`.

    Returns
    -------
    quarter : (n,) int array
        0 to 3; a value equal to a cut lies below it.
    cuts : (3,) float array
        Not strictly increasing, or with nothing above the last, where many values are equal.
    """
    cuts = balanced_quantiles(values, weights, (0.25, 0.5, 0.75))
    return np.searchsorted(cuts, values, side="left"), cuts


def spline_columns(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Columns that a restricted cubic spline adds to the straight line.

    Parameters
    ----------
    values : (n,) float array
    knots : (k,) float array
        Strictly increasing, k at least 3.

    Returns
    -------
    (n, k - 2) float array
        Zero to the left of the first knot, linear beyond the last.
    """
    last, before = knots[-1], knots[-2]

    def cube(knot: float) -> np.ndarray:
        return np.maximum(values - knot, 0) ** 3

    columns = [
        cube(knot) - cube(before) * (last - knot) / (last - before) + cube(last) * (before - knot) / (last - before)
        for knot in knots[:-2]
    ]
    return np.column_stack(columns) / (last - knots[0]) ** 2
