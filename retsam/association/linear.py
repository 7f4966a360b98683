"""Linear regression of continuous traits, with a cluster-robust variance.

With clusters (method ``linear_cluster``): CR1 by person and t with G-1 degrees of freedom (see
:mod:`retsam.association.sandwich`). Without (``linear``): one variance for all residuals and t with N-K. Every row a
cluster of its own gives the variance called HC1, robust to unequal spread.
"""

import numpy as np

from retsam.association.estimate import Estimate
from retsam.association.sandwich import Clusters, clusters_of, cr1


def linear(y: np.ndarray, design: np.ndarray, clusters: np.ndarray | Clusters | None) -> Estimate | None:
    """Least squares with all its coefficients.

    Parameters
    ----------
    y : (n,) float array
        Finite values of the trait.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array or Clusters, optional
        Person of each row; None for the model's own variance.

    Returns
    -------
    Estimate or None
        Coefficients in the trait's unit per unit of the column. None for one cluster, no more rows than columns, or
        residuals that are all zero.
    """
    rows, parameters = design.shape
    if rows <= parameters:
        return None
    q, r = np.linalg.qr(design)
    centred = y - y.mean()
    b = np.linalg.solve(r, q.T @ centred)
    residual = centred - q @ (q.T @ centred)
    b[0] += y.mean()  # column 0 is the intercept
    if not residual @ residual > 1e-24 * max(float(y @ y), float(centred @ centred)):
        return None
    inverse = np.linalg.inv(r)
    bread = inverse @ inverse.T
    if clusters is None:
        return Estimate(b, bread * (residual @ residual) / (rows - parameters), "linear", float(rows - parameters))
    groups = clusters if isinstance(clusters, Clusters) else clusters_of(clusters)
    covariance = cr1(bread, groups.sums(design.T * residual), rows)
    return None if covariance is None else Estimate(b, covariance, "linear_cluster", groups.count - 1.0)
