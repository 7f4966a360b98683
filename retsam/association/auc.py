"""Areas under the receiver operating characteristic, with a variance that knows which rows are one person's.

Structural components (DeLong): ``V10`` of a case is the share of controls with a lower score (ties half), ``V01`` of a
control the share of cases with a higher one; the area is the mean of either. Obuchowski's variance adds them up within
clusters first, and takes the covariance between the cases and the controls of the same cluster into account; where
every cluster is one row it is DeLong's.

References
----------
DeLong ER, DeLong DM, Clarke-Pearson DL (1988). Comparing the areas under two or more correlated receiver operating
characteristic curves. Biometrics 44, 837-845.
Obuchowski NA (1997). Nonparametric analysis of clustered ROC curve data. Biometrics 53, 567-578.
Sun X, Xu W (2014). Fast implementation of DeLong's algorithm. IEEE Signal Process Lett 21, 1389-1393.
Pepe MS (2003). The statistical evaluation of medical tests for classification and prediction. Oxford, 5.2.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

MOST_POINTS = 200
"""A stored curve has no more points than this."""


@dataclass(frozen=True)
class Discrimination:
    """Areas under the curves of several scores on the same rows.

    Attributes
    ----------
    auc : (k,) float array
        0-1.
    covariance : (k, k) float array
        Of the areas; NaN with cases, or controls, of one cluster only.
    """

    auc: np.ndarray
    covariance: np.ndarray


def discrimination(outcome: np.ndarray, scores: np.ndarray, clusters: np.ndarray) -> Discrimination:
    """Areas of several scores, and how they vary together.

    Parameters
    ----------
    outcome : (n,) float array
        0 or 1, both present.
    scores : (n, k) float array
        Higher means more likely a case; need not be calibrated.
    clusters : (n,) array
        Person of each row.
    """
    case = outcome == 1
    v10, v01 = np.apply_along_axis(_of_cases, 0, scores, case), np.apply_along_axis(_of_controls, 0, scores, case)
    auc = v10.mean(axis=0)
    codes = np.unique(clusters, return_inverse=True)[1]
    m, n = int(case.sum()), int((~case).sum())
    above, with_cases = _cluster_sums(v10 - auc, codes[case], codes.max() + 1)
    below, with_controls = _cluster_sums(v01 - auc, codes[~case], codes.max() + 1)
    covariance = np.full((len(auc), len(auc)), np.nan)
    if with_cases > 1 and with_controls > 1:
        groups = len(above)
        s10 = above.T @ above * with_cases / ((with_cases - 1) * m)
        s01 = below.T @ below * with_controls / ((with_controls - 1) * n)
        s11 = above.T @ below * groups / (groups - 1)
        covariance = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    return Discrimination(auc, covariance)


def _of_cases(score: np.ndarray, case: np.ndarray) -> np.ndarray:
    """V10: share of controls below each case, from midranks."""
    return (rankdata(score)[case] - rankdata(score[case])) / np.count_nonzero(~case)


def _of_controls(score: np.ndarray, case: np.ndarray) -> np.ndarray:
    """V01: share of cases above each control, from midranks."""
    return 1 - (rankdata(score)[~case] - rankdata(score[~case])) / np.count_nonzero(case)


def _cluster_sums(values: np.ndarray, codes: np.ndarray, groups: int) -> tuple[np.ndarray, int]:
    """Sums of (n, k) values by cluster, (groups, k), and how many clusters have any."""
    sums = np.column_stack([np.bincount(codes, column, groups) for column in values.T])
    return sums, len(np.unique(codes))


def auc_interval(auc: float, variance: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of an area, symmetric on the logit scale, so that it stays between 0 and 1.

    Returns
    -------
    low, high : float
        NaN where there is no variance: an area of 0 or 1, or too few clusters.
    """
    if not variance > 0 or not 0 < auc < 1:
        return np.nan, np.nan
    half = norm.ppf(0.5 + confidence / 2) * np.sqrt(variance) / (auc * (1 - auc))
    return float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def compare(areas: Discrimination, first: int, second: int, confidence: float = 0.95) -> tuple[float, ...]:
    """Paired difference of two areas.

    Returns
    -------
    difference, low, high, p : float
        Of `first` less `second`; normal interval and two-sided test, NaN where the difference has no variance.
    """
    v = areas.covariance
    difference = float(areas.auc[first] - areas.auc[second])
    variance = float(v[first, first] + v[second, second] - 2 * v[first, second])
    if not variance > 1e-14:
        return difference, np.nan, np.nan, np.nan
    error = np.sqrt(variance)
    half = norm.ppf(0.5 + confidence / 2) * error
    return difference, difference - half, difference + half, float(2 * norm.sf(abs(difference) / error))


def roc_points(outcome: np.ndarray, score: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Points of the receiver operating characteristic from (0, 0) to (1, 1).

    Parameters
    ----------
    outcome : (n,) float array
        0 or 1, both present.
    score : (n,) float array
    most : int
        Of more points, those evenly spread along the curve are kept.

    Returns
    -------
    false, true : (m,) float arrays
        Share of controls, and of cases, at or above each cut; neither ever falls.
    """
    order = np.argsort(-score, kind="stable")
    case, ranked = outcome[order] == 1, score[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of rows with the same score
    true = np.append(0.0, np.cumsum(case)[last] / case.sum())
    false = np.append(0.0, np.cumsum(~case)[last] / (~case).sum())
    if len(true) > most:
        wanted = np.linspace(0, 2, most)
        kept = np.unique(np.searchsorted(true + false, wanted).clip(max=len(true) - 1))
        true, false = true[kept], false[kept]
    return false, true
