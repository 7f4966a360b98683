"""Generalised estimating equations for binary outcomes with an exchangeable working correlation.

``sum_g D_g' V_g^-1 (y_g - p_g) = 0`` with ``V_g = W^1/2 R W^1/2`` and one correlation between all rows of a person. It
weighs eyes by how much they add to each other, where logistic regression with a robust variance weighs them alike.
For two rows a person the inverse of R has a closed form, as it has for any number of rows, so nothing is looped over.

The variance is the robust one; below ``FEW_CLUSTERS`` persons it is Mancl and DeRouen's, which undoes that fitted
residuals are too small. Tests use t with G-1 degrees of freedom.

References
----------
Liang KY, Zeger SL (1986). Longitudinal data analysis using generalized linear models. Biometrika 73, 13-22.
Mancl LA, DeRouen TA (2001). A covariance estimator for GEE with improved small-sample properties.
    Biometrics 57, 126-134.
"""

from dataclasses import dataclass

import numpy as np

from retsam.association.estimate import EXPOSURE, Estimate, Fit
from retsam.association.models import newton_logit
from retsam.association.sandwich import Clusters, clusters_of

FEW_CLUSTERS = 50
"""Below this many persons the variance is Mancl and DeRouen's."""

CORRELATION_LIMIT = 0.999
"""The working correlation stays within this; the moment estimate passes 1 where fellow eyes always agree."""

ITERATIONS = 100
TOLERANCE = 1e-9
"""Converged when neither the correlation nor any column's share of the linear predictor moves by more than this."""

DIVERGED = 1e3
"""A step of the linear predictor from which there is no way back; few persons and a strong correlation may cause it."""


def fit_gee(y: np.ndarray, design: np.ndarray, clusters: np.ndarray, confidence: float = 0.95) -> Fit | None:
    """GEE with an exchangeable working correlation: the exposure's line.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array
        Person of each row.
    confidence : float
        Level of the interval.

    Returns
    -------
    Fit or None
        None where nothing finite is found.
    """
    estimate = gee(y, design, clusters)
    return None if estimate is None else estimate.line(EXPOSURE, confidence)


def gee(y: np.ndarray, design: np.ndarray, clusters: np.ndarray | Clusters) -> Estimate | None:
    """GEE with an exchangeable working correlation and all its coefficients.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array or Clusters
        Person of each row.

    Returns
    -------
    Estimate or None
        With the working correlation. None where the iterations do not converge, or for one cluster.

    Notes
    -----
    Pearson residuals r give the scale ``sum r^2 / (N-K)`` and the correlation ``sum over pairs r r' / (scale (P-K))``,
    P being the number of pairs; with no more than K pairs it is 0.
    """
    groups = clusters if isinstance(clusters, Clusters) else clusters_of(clusters)
    if groups.count < 2:
        return None
    columns = groups.together(np.ascontiguousarray(design.T))
    y = groups.together(y)
    groups = Clusters(None, groups.starts, groups.sizes)
    first = newton_logit(y, columns)
    if first is None:
        return None
    found = _iterate(y, columns, groups, first[0])
    if found is None:
        return None
    b, correlation = found
    parts = _parts(y, columns, groups, b, correlation)
    try:
        bread = np.linalg.inv(parts.information)
        few = groups.count < FEW_CLUSTERS
        sums = _corrected(y, columns, groups, parts, bread) if few else parts.sums
    except np.linalg.LinAlgError:
        return None
    half = bread @ sums
    return Estimate(b, half @ half.T, "gee_exchangeable", groups.count - 1.0, correlation)


@dataclass(frozen=True)
class _Parts:
    """The equations at one point.

    ``sums`` (k, G) are the estimating functions of the clusters, ``information`` (k, k) their expected slope, ``root``
    (n,) the square root of the variance function, ``residual`` (n,) Pearson's, ``shrink`` (G,) what the inverse
    correlation takes off for the cluster's sum, ``outer`` the factor of the whole inverse.
    """

    sums: np.ndarray
    information: np.ndarray
    root: np.ndarray
    residual: np.ndarray
    shrink: np.ndarray
    outer: float


def _parts(y: np.ndarray, columns: np.ndarray, groups: Clusters, b: np.ndarray, correlation: float) -> _Parts:
    sign = 2 * y - 1
    margin = np.clip(sign * (b @ columns), -300, 300)
    half = np.exp(-np.abs(margin) / 2)
    root = half / (1 + half**2)
    residual = sign * np.exp(-margin / 2)  # (y - p) / sqrt(p (1 - p))
    weighted = columns * root
    shrink = correlation / (1 + (groups.sizes - 1) * correlation)
    outer = 1 / (1 - correlation)
    of_columns, of_residual = groups.sums(weighted), groups.sums(residual)
    sums = outer * (groups.sums(weighted * residual) - of_columns * (shrink * of_residual))
    information = outer * (weighted @ weighted.T - (of_columns * shrink) @ of_columns.T)
    return _Parts(sums, information, root, residual, shrink, outer)


def _iterate(y: np.ndarray, columns: np.ndarray, groups: Clusters, b: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Coefficients and correlation in turn, until both stand still."""
    scale = np.sqrt((columns**2).mean(axis=1))
    correlation = 0.0
    for _ in range(ITERATIONS):
        parts = _parts(y, columns, groups, b, correlation)
        updated = _correlation(parts.residual, groups, len(columns))
        parts = _parts(y, columns, groups, b, updated)
        try:
            step = np.linalg.solve(parts.information, parts.sums.sum(axis=1))
        except np.linalg.LinAlgError:
            return None
        moved = (np.abs(step) * scale).max()
        if not moved < DIVERGED:
            return None
        still = moved <= TOLERANCE and abs(updated - correlation) <= TOLERANCE
        b, correlation = b + step, updated
        if still:
            return b, correlation
    return None


def _correlation(residual: np.ndarray, groups: Clusters, parameters: int) -> float:
    """Moment estimate of the working correlation."""
    pairs = float((groups.sizes * (groups.sizes - 1)).sum() / 2)
    if pairs <= parameters:
        return 0.0
    squares = float(residual @ residual)
    products = float((groups.sums(residual) ** 2).sum() - squares) / 2
    value = products / (pairs - parameters) / (squares / (len(residual) - parameters))
    lowest = -CORRELATION_LIMIT / max(int(groups.sizes.max()) - 1, 1)
    return float(np.clip(value, lowest, CORRELATION_LIMIT))


def _corrected(y: np.ndarray, columns: np.ndarray, groups: Clusters, parts: _Parts, bread: np.ndarray) -> np.ndarray:
    """Estimating functions of the clusters with ``(I - H_g)^-1`` before the residuals, H_g being the leverage."""
    sums = []
    for start, size, shrink in zip(groups.starts, groups.sizes, parts.shrink, strict=True):
        rows = slice(start, start + size)
        inverse = parts.outer * (np.eye(size) - shrink)
        weighted = columns[:, rows] * parts.root[rows]  # D' W^-1/2
        leverage = weighted.T @ bread @ weighted @ inverse
        sums.append(weighted @ inverse @ np.linalg.solve(np.eye(size) - leverage, parts.residual[rows]))
    return np.array(sums).T
