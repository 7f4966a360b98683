"""Proportional-odds regression of ordered grades, with a cluster-robust variance and a check of proportionality.

``logit P(Y <= j) = theta_j - x'b``: one odds ratio for every cut of the scale, above 1 where a higher exposure goes
with a higher grade. Newton's iterations on the cuts and slopes together; the log-likelihood is concave.

Variance: CR1 by person from the rows' scores and t with G-1 degrees of freedom (``ordinal_cluster``; see
:mod:`retsam.association.sandwich`), or the inverse information and the normal (``ordinal``).

References
----------
McCullagh P (1980). Regression models for ordinal data. J R Stat Soc B 42, 109-142.
Brant R (1990). Assessing proportionality in the proportional odds model for ordinal logistic regression.
    Biometrics 46, 1171-1178.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from retsam.association.estimate import EXPOSURE, Estimate, JointTest, wald
from retsam.association.models import ITERATIONS, TOLERANCE, invert, newton_logit
from retsam.association.sandwich import Clusters, clusters_of, cr1

MAX_GRADES = 50
"""An outcome with more different values than this is no scale of grades but a continuous trait."""

FEWEST = 10
"""A cut with fewer rows than this on a side is not compared with the others."""


@dataclass(frozen=True)
class _State:
    """The likelihood at one point: value, scores of the rows by parameter (k, n), information (k, k)."""

    value: float
    scores: np.ndarray
    information: np.ndarray


def ordinal(y: np.ndarray, design: np.ndarray, clusters: np.ndarray | Clusters | None) -> Estimate | None:
    """Proportional-odds regression.

    Parameters
    ----------
    y : (n,) float array
        Grades, at least two different ones; only their order counts, and a grade that nobody has is no category.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array or Clusters, optional
        Person of each row, for a cluster-robust variance; None for the inverse information.

    Returns
    -------
    Estimate or None
        Log odds ratios of a higher grade. The intercept is that of the lowest cut, ``-theta_1``, so that with two
        grades the estimate is that of logistic regression. None where nothing finite is found (separation), or for
        more than ``MAX_GRADES`` grades.
    """
    grade, cuts = _grades(y)
    if len(cuts) >= MAX_GRADES:
        return None
    slopes = np.ascontiguousarray(design[:, 1:].T)
    found = _newton(grade, slopes, cuts)
    if found is None:
        return None
    parameters, state, bread = found
    keep = np.r_[0, np.arange(len(cuts), len(parameters))]
    sign = np.r_[-1.0, np.ones(len(slopes))]
    b = parameters[keep] * sign
    if clusters is None:
        covariance, name, df = bread, "ordinal", float("nan")
    else:
        groups = clusters if isinstance(clusters, Clusters) else clusters_of(clusters)
        robust = cr1(bread, groups.sums(state.scores), len(y))
        if robust is None:
            return None
        covariance, name, df = robust, "ordinal_cluster", groups.count - 1.0
    return Estimate(b, covariance[np.ix_(keep, keep)] * np.outer(sign, sign), name, df)


def _grades(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grades as 0, 1, ... and the cuts that fit without an exposure."""
    _, grade, counts = np.unique(y, return_inverse=True, return_counts=True)
    return grade, logit(np.cumsum(counts)[:-1] / len(y))


def _newton(grade: np.ndarray, slopes: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, _State, np.ndarray] | None:
    """Parameters (cuts, slopes), the likelihood there and the inverse information; None without convergence."""
    scale = np.r_[np.ones(len(cuts)), np.sqrt((slopes**2).mean(axis=1))]
    parameters = np.r_[cuts, np.zeros(len(slopes))]
    step, before = np.zeros(len(parameters)), -np.inf
    for _ in range(ITERATIONS):
        state = _likelihood(grade, slopes, parameters, len(cuts))
        if state is None or state.value < before - 1e-9 * abs(before):  # overshot: half way back
            step = step / 2
            parameters = parameters - step
            continue
        before = state.value
        bread = invert(state.information, scale)
        if bread is None:
            return None
        step = bread @ state.scores.sum(axis=1)
        if (np.abs(step) * scale).max() <= TOLERANCE:
            return parameters, state, bread
        parameters = parameters + step
    return None


def _likelihood(grade: np.ndarray, slopes: np.ndarray, parameters: np.ndarray, cuts: int) -> _State | None:
    """Log-likelihood, scores and information; None where the cuts are not in order.

    With a = theta_j - eta and b = theta_(j-1) - eta, ``P(Y = j) = F(a) (1 - F(b)) (1 - exp(b - a))``, whose logarithm
    has the derivatives below; a is infinite in the highest grade and b in the lowest.
    """
    theta, b = parameters[:cuts], parameters[cuts:]
    gap = np.diff(theta)
    if not (gap > 0).all():
        return None
    eta = b @ slopes
    upper = np.r_[theta, np.inf][grade] - eta
    lower = np.r_[-np.inf, theta][grade] - eta
    with np.errstate(over="ignore"):  # a wide gap is never missed
        odds = np.r_[0.0, 1 / np.expm1(gap), 0.0]  # of falling outside a grade's own gap; the outer ones have no gap
    value = float(np.log(expit(upper)).sum() + np.log(expit(-lower)).sum())
    value += float(np.log(-np.expm1(-gap)) @ np.bincount(grade, minlength=cuts + 1)[1:-1])
    by_upper, by_lower = expit(-upper) + odds[grade], -expit(lower) - odds[grade]
    bend_upper, bend_lower = expit(upper) * expit(-upper), expit(lower) * expit(-lower)
    is_upper = grade == np.arange(cuts)[:, None]
    is_lower = grade == np.arange(1, cuts + 1)[:, None]
    scores = np.vstack([is_upper * by_upper + is_lower * by_lower, -(by_upper + by_lower) * slopes])
    among = _cut_information(bend_upper, bend_lower, odds, grade, cuts)
    cross = -(is_upper * bend_upper + is_lower * bend_lower) @ slopes.T
    within = (slopes * (bend_upper + bend_lower)) @ slopes.T
    return _State(value, scores, np.block([[among, cross], [cross.T, within]]))


def _cut_information(
    bend_upper: np.ndarray, bend_lower: np.ndarray, odds: np.ndarray, grade: np.ndarray, cuts: int
) -> np.ndarray:
    """The cuts' block of the information: each cut's own, and what two neighbours share through their grade."""
    between = odds * (1 + odds) * np.bincount(grade, minlength=cuts + 1)
    above = np.bincount(grade, bend_upper, cuts + 1)[:cuts] + between[:cuts]
    below = np.bincount(grade, bend_lower, cuts + 1)[1:] + between[1:]
    shared = -between[1:cuts]
    return np.diag(above + below) + np.diag(shared, 1) + np.diag(shared, -1)


def proportionality(
    y: np.ndarray, design: np.ndarray, clusters: np.ndarray | Clusters | None, column: int = EXPOSURE
) -> JointTest | None:
    """Whether one odds ratio fits every cut of the scale.

    Parameters
    ----------
    y : (n,) float array
        Grades.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array or Clusters, optional
        Person of each row; None where every row is a person.
    column : int
        Which coefficient is compared.

    Returns
    -------
    JointTest or None
        Wald test that the logistic regressions of ``Y > j`` have the same coefficient at every cut j (Brant's test of
        one variable, its covariance from the sums of scores by person). Cuts with fewer than ``FEWEST`` rows on a side
        are left out; None for fewer than two others at which logistic regression converges.
    """
    grade, cuts = _grades(y)
    columns = np.ascontiguousarray(design.T)
    groups = (
        clusters if isinstance(clusters, Clusters) else clusters_of(np.arange(len(y)) if clusters is None else clusters)
    )
    slopes, influence = [], []
    for cut in range(len(cuts)):
        above = (grade > cut).astype(float)
        enough = min(above.sum(), len(y) - above.sum()) >= FEWEST
        found = newton_logit(above, columns) if enough else None
        if found is not None:
            b, residual, bread = found
            slopes.append(b[column])
            influence.append(bread[column] @ groups.sums(columns * residual))
    if len(slopes) < 2 or groups.count < 2:
        return None
    against_first = np.array(slopes[1:]) - slopes[0]
    parts = np.array(influence[1:]) - influence[0]
    covariance = parts @ parts.T * groups.count / (groups.count - 1)
    return wald(against_first, covariance, groups.count - 1.0)
