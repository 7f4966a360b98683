"""Cluster-robust variances: sums of scores by person, CR1 and its degrees of freedom.

``V = A^-1 (sum_g s_g s_g') A^-1 x G/(G-1) x (N-1)/(N-K)`` (CR1), where A is the observed information, s_g the sum of
the scores of cluster g, G the number of clusters, N of rows, K of parameters; tests use t or F with G-1 degrees of
freedom.

References
----------
Liang KY, Zeger SL (1986). Longitudinal data analysis using generalized linear models. Biometrika 73, 13-22.
Cameron AC, Miller DL (2015). A practitioner's guide to cluster-robust inference. J Hum Resour 50, 317-372.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clusters:
    """Rows by cluster.

    Attributes
    ----------
    order : (n,) int array or None
        Row numbers by which rows of a cluster come together; None where they already do.
    starts : (G,) int array
        Where each cluster begins in that order.
    sizes : (G,) int array
    """

    order: np.ndarray | None
    starts: np.ndarray
    sizes: np.ndarray

    @property
    def count(self) -> int:
        """Number of clusters, G."""
        return len(self.starts)

    def together(self, values: np.ndarray) -> np.ndarray:
        """Values whose last axis is the rows, with the rows of a cluster side by side."""
        return values if self.order is None else values[..., self.order]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over clusters.

        Parameters
        ----------
        values : (..., n) float array

        Returns
        -------
        (..., G) float array
        """
        return np.add.reduceat(self.together(values), self.starts, axis=-1)


def clusters_of(labels: np.ndarray) -> Clusters:
    """Find clusters.

    Parameters
    ----------
    labels : (n,) int array
        Equal for the rows of a cluster; n of at least 1.
    """
    order = None
    if (labels[1:] < labels[:-1]).any():
        order = np.argsort(labels, kind="stable")
        labels = labels[order]
    starts = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
    return Clusters(order, starts, np.diff(starts, append=len(labels)))


def cr1(bread: np.ndarray, sums: np.ndarray, rows: int) -> np.ndarray | None:
    """Cluster-robust covariance with the small-sample factor.

    Parameters
    ----------
    bread : (k, k) float array
        Inverse of the information.
    sums : (k, G) float array
        Scores summed by cluster.
    rows : int
        N.

    Returns
    -------
    (k, k) float array or None
        None with fewer than two clusters, or no more rows than parameters.
    """
    parameters, count = sums.shape
    if count < 2 or rows <= parameters:
        return None
    half = bread @ sums
    return half @ half.T * (count / (count - 1) * (rows - 1) / (rows - parameters))
