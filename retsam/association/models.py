"""Estimators of binary outcomes: maximum-likelihood logistic regression, and whether it has an answer.

Newton's iterations; with clusters (method ``logit_cluster``) CR1 by person and t with G-1 degrees of freedom (see
:mod:`retsam.association.sandwich`), without (``logit``) the inverse information and the normal. Where the outcome is
separated there is no finite estimate; :mod:`retsam.association.firth` has one.

References
----------
Konis K (2007). Linear programming algorithms for detecting separated data in binary logistic regression models. Oxford.
"""

import numpy as np
from firthmodels import detect_separation

from retsam.association.estimate import EXPOSURE, Estimate, Fit
from retsam.association.firth import fit_firth
from retsam.association.sandwich import Clusters, clusters_of, cr1

__all__ = ["EXPOSURE", "Fit", "fit_firth", "fit_logit", "invert", "is_separated", "logit", "newton_logit"]

ITERATIONS = 50
"""Newton needs about six; under separation it never ends."""

TOLERANCE = 1e-9
"""Converged when no column moves the linear predictor by more than this, in the root of the mean square."""

HOPELESS = 1e6
"""A standard error beyond this, per root mean square of its column, means that nothing can be estimated."""


def newton_logit(
    y: np.ndarray, columns: np.ndarray, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Maximum-likelihood logistic regression by Newton's iterations.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    columns : (k, n) float array
        The design transposed, full rank.
    start : (k,) float array, optional
        Where to begin; zero if not given.

    Returns
    -------
    coefficients : (k,) float array
    residual : (n,) float array
        Outcome less its probability, without cancellation.
    bread : (k, k) float array
        Inverse information at the estimate.

    or None where it does not converge: under separation the estimate is infinite.
    """
    scale = np.sqrt(np.einsum("ij,ij->i", columns, columns) / len(y))
    b = np.zeros(len(columns)) if start is None else start.copy()
    step, before, sign = np.zeros(len(columns)), -np.inf, 2 * y - 1
    for _ in range(ITERATIONS):
        margin = sign * (b @ columns)
        small = np.exp(-np.abs(margin))
        likelihood = float(np.minimum(margin, 0).sum() - np.log1p(small).sum())
        if likelihood < before - 1e-9 * abs(before):  # overshot: half way back
            step = step / 2
            b = b - step
            continue
        before = likelihood
        residual = sign * np.where(margin >= 0, small, 1.0) / (1 + small)
        bread = invert((columns * (small / (1 + small) ** 2)) @ columns.T, scale)
        if bread is None:
            return None
        step = bread @ (columns @ residual)
        if (np.abs(step) * scale).max() <= TOLERANCE:
            return b, residual, bread
        b = b + step
    return None


def invert(information: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """Invert an information matrix that holds some.

    Parameters
    ----------
    information : (k, k) float array
    scale : (k,) float array
        Root mean square of the columns.

    Returns
    -------
    (k, k) float array or None
        None where it is singular, or a standard error times its column's scale passes ``HOPELESS``: the estimate is on
        its way to infinity (separation), or the columns are collinear.
    """
    try:
        bread = np.linalg.inv(information / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return None
    variances = np.diag(bread)
    if not ((variances > 0) & (variances < HOPELESS**2)).all():
        return None
    return bread / np.outer(scale, scale)


def logit(y: np.ndarray, design: np.ndarray, clusters: np.ndarray | Clusters | None) -> Estimate | None:
    """Maximum-likelihood logistic regression with all its coefficients.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array or Clusters, optional
        Person of each row, for a cluster-robust variance (CR1, t); None for the inverse information and the normal.

    Returns
    -------
    Estimate or None
        None where the iterations do not converge, or there is no variance (one cluster).
    """
    columns = np.ascontiguousarray(design.T)
    found = newton_logit(y, columns)
    if found is None:
        return None
    b, residual, bread = found
    if clusters is None:
        return Estimate(b, bread, "logit")
    groups = clusters if isinstance(clusters, Clusters) else clusters_of(clusters)
    covariance = cr1(bread, groups.sums(columns * residual), len(y))
    return None if covariance is None else Estimate(b, covariance, "logit_cluster", groups.count - 1.0)


def fit_logit(y: np.ndarray, design: np.ndarray, clusters: np.ndarray | None, confidence: float = 0.95) -> Fit | None:
    """Maximum-likelihood logistic regression: the exposure's line.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array, optional
        Person of each row, for a cluster-robust variance; None for the model's own.
    confidence : float
        Level of the interval.

    Returns
    -------
    Fit or None
        None where the iterations do not converge: under separation the estimate is infinite, and they never do.
    """
    estimate = logit(y, design, clusters)
    return None if estimate is None else estimate.line(EXPOSURE, confidence)


def is_separated(y: np.ndarray, design: np.ndarray) -> bool:
    """Whether a combination of the columns splits cases from controls, so that no finite estimate exists.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    design : (n, k) float array
        Full column rank.

    Notes
    -----
    Konis's linear programme; complete and quasi-complete separation. A rank or solver failure counts as separated.
    """
    try:
        return bool(detect_separation(design, y, fit_intercept=False).separation)
    except (np.linalg.LinAlgError, RuntimeError):
        return True
