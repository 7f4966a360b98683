"""Firth's penalised logistic regression: finite where the data are separated, and nearly unbiased with few events.

The likelihood is penalised by Jeffreys' prior, ``l*(b) = l(b) + 0.5 log |I(b)|``; the p value is the penalised
likelihood-ratio test and the interval the penalised profile likelihood (method ``firth``). The information in the
penalty is that of all columns, also where one of them is held. There is no cluster-robust variance, so the caller gives
independent rows.

Newton's iterations use the exact second derivatives of l*: with Fisher's they crawl where the data are separated,
which is where this estimate is needed.

References
----------
Firth D (1993). Bias reduction of maximum likelihood estimates. Biometrika 80, 27-38.
Heinze G, Schemper M (2002). A solution to the problem of separation in logistic regression. Stat Med 21, 2409-2419.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from retsam.association.estimate import EXPOSURE, Fit

ITERATIONS = 100
HALVINGS = 40

TOLERANCE = 1e-8
"""Converged when no column moves the linear predictor by more than this, in the root of the mean square."""

FLAT = 1e-4
"""A step shorter than this that leads nowhere higher is lost in rounding: the top is flat."""

LONGEST = 5.0
"""Longest step of the linear predictor, in the same measure."""

WALK = 60
"""Steps on the way to a limit; each success lengthens the next by half, each failure halves it."""


@dataclass(frozen=True)
class _Point:
    """The penalised log-likelihood at one place: value, slope (k,), bend (minus the second derivatives, k, k).

    ``information`` is Fisher's; ``augmented`` that of the data with each row counted once more by its leverage.
    """

    b: np.ndarray
    value: float
    slope: np.ndarray
    bend: np.ndarray
    information: np.ndarray
    augmented: np.ndarray


def fit_firth(y: np.ndarray, design: np.ndarray, confidence: float = 0.95) -> Fit | None:
    """Firth's penalised logistic regression: the exposure's line.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present; rows are independent.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    confidence : float
        Level of the interval.

    Returns
    -------
    Fit or None
        The standard error is from the information of the augmented data (each row counted once more by its leverage),
        as in R's logistf. The interval is the profile likelihood's, or Wald's (said in ``ci_method``) should the
        profile have no end. None where no maximum is found (collinear columns).
    """
    columns = np.ascontiguousarray(design.T)
    every = np.ones(len(columns), dtype=bool)
    best = _maximise(y, columns, np.zeros(len(columns)), every)
    if best is None:
        return None
    variance = float(np.linalg.inv(best.augmented)[EXPOSURE, EXPOSURE])
    null = _held(y, columns, best, 0.0)
    if null is None or not 0 < variance < np.inf:
        return None
    estimate, se = float(best.b[EXPOSURE]), float(np.sqrt(variance))
    p = float(chi2.sf(max(2 * (best.value - null.value), 0.0), 1))
    half = se * float(norm.ppf(0.5 + confidence / 2))
    limits = [_limit(y, columns, best, side * half, float(chi2.ppf(confidence, 1))) for side in (-1, 1)]
    if limits[0] is None or limits[1] is None:
        return Fit(estimate, se, estimate - half, estimate + half, p, "firth", "wald")
    return Fit(estimate, se, limits[0], limits[1], p, "firth", "profile")


def _point(y: np.ndarray, columns: np.ndarray, b: np.ndarray) -> _Point | None:
    """Value and derivatives; None where the information is singular."""
    sign = 2 * y - 1
    margin = sign * (b @ columns)
    small = np.exp(-np.abs(margin))
    weight = small / (1 + small) ** 2
    miss = sign * np.where(margin >= 0, small, 1.0) / (1 + small)  # outcome less probability
    tilt = sign * -np.sign(margin) * (1 - small) / (1 + small)  # 1 - 2 p
    information = (columns * weight) @ columns.T
    spread = np.sqrt(np.diag(information))
    if not (spread > 0).all():
        return None
    direction, size = np.linalg.slogdet(information / np.outer(spread, spread))
    if direction <= 0 or size < np.log(1e-20):
        return None
    inverse = np.linalg.inv(information / np.outer(spread, spread)) / np.outer(spread, spread)
    leverage = weight * np.einsum("in,in->n", columns, inverse @ columns)
    value = np.minimum(margin, 0).sum() - np.log1p(small).sum() + 0.5 * size + np.log(spread).sum()
    slope = columns @ (miss + leverage * tilt / 2)
    twists = np.array([inverse @ ((columns * (weight * tilt * column)) @ columns.T) for column in columns])
    augmented = (columns * (weight * (1 + leverage))) @ columns.T
    bend = augmented - (columns * (leverage * tilt**2 / 2)) @ columns.T + 0.5 * np.einsum("rab,sba->rs", twists, twists)
    return _Point(b, float(value), slope, bend, information, augmented)


def _maximise(y: np.ndarray, columns: np.ndarray, start: np.ndarray, free: np.ndarray) -> _Point | None:
    """Newton's iterations over the free coefficients, the others held where they start."""
    scale = np.sqrt((columns[free] ** 2).mean(axis=1))
    here = _point(y, columns, start)
    for _ in range(ITERATIONS):
        if here is None:
            return None
        step = _step(here, free)
        if step is None:
            return None
        length = float((np.abs(step) * scale).max(initial=0.0))
        if not np.isfinite(length):
            return None
        if length <= TOLERANCE:
            return here
        there = _climb(y, columns, here, free, step * min(1.0, LONGEST / length))
        if there is None:
            return here if length <= FLAT else None
        here = there
    return None


def _step(here: _Point, free: np.ndarray) -> np.ndarray | None:
    """Newton's step, or Fisher's where the likelihood is not concave."""
    for bend in (here.bend, here.information):
        try:
            np.linalg.cholesky(bend[np.ix_(free, free)])
            return np.linalg.solve(bend[np.ix_(free, free)], here.slope[free])
        except np.linalg.LinAlgError:
            continue
    return None


def _climb(y: np.ndarray, columns: np.ndarray, here: _Point, free: np.ndarray, step: np.ndarray) -> _Point | None:
    """The point a step on, halved until it is no lower (to rounding)."""
    for halving in range(HALVINGS):
        b = here.b.copy()
        b[free] += step * 0.5**halving
        there = _point(y, columns, b)
        if there is not None and there.value >= here.value - 1e-11 * (1 + abs(here.value)):
            return there
    return None


def _held(y: np.ndarray, columns: np.ndarray, near: _Point, value: float) -> _Point | None:
    """The maximum with the exposure's coefficient held at a value, looked for along the tangent from a point nearby."""
    free = np.arange(len(columns)) != EXPOSURE
    for bend in (near.bend, near.information):
        start = near.b.copy()
        start[EXPOSURE] = value
        try:
            moved = np.linalg.solve(bend[np.ix_(free, free)], bend[free, EXPOSURE])
        except np.linalg.LinAlgError:
            continue
        start[free] -= moved * (value - near.b[EXPOSURE])
        found = _maximise(y, columns, start, free)
        if found is not None:
            return found
    start = np.zeros(len(columns))
    start[EXPOSURE] = value
    return _maximise(y, columns, start, free)


def _limit(y: np.ndarray, columns: np.ndarray, best: _Point, step: float, drop: float) -> float | None:
    """Where twice the profile has fallen by `drop`, on the side that `step` points to; None if it is not found."""
    near = best
    for _ in range(WALK):
        here = float(near.b[EXPOSURE])
        found = _held(y, columns, near, here + step)
        if found is None:
            step /= 2
        elif 2 * (best.value - found.value) >= drop:
            return _cross(y, columns, near, here, here + step, best.value - drop / 2)
        else:
            near, step = found, 1.5 * step
    return None


def _cross(y: np.ndarray, columns: np.ndarray, near: _Point, inner: float, outer: float, level: float) -> float | None:
    """Where the profile passes a level between two values."""

    def above(value: float) -> float:
        found = _held(y, columns, near, value)
        return np.nan if found is None else found.value - level

    try:
        crossing = float(brentq(above, inner, outer, xtol=1e-7 * abs(outer - inner), rtol=1e-12, maxiter=200))
    except (ValueError, RuntimeError):
        return None
    return crossing if np.isfinite(crossing) else None
