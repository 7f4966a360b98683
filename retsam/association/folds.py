"""Cross-validation that never splits a person, and a ridge whose penalty it chooses.

Everything that is learned from data (medians for missing values, scales, which columns to use, the penalty) is learned
from the training part of a fold alone.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from retsam.association.calibration import log_odds

FAR = 4.0
"""Standardised values are clipped here, in standard deviations: one extreme value must not decide a prediction."""

FREE = 10.0
"""Columns that the penalty should spare are this many times wider than the others: a hundredth of the penalty."""

STRENGTHS = np.logspace(-5, 0, 11)
"""Prior variances of a coefficient per standard deviation (C of scikit-learn), of which the best is taken."""

MOST_PEOPLE = 4000
"""The penalty is chosen on no more people than this, drawn at random: the best prior variance hardly depends on n."""


def folds_of(outcome: np.ndarray, groups: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Fold of each row; all rows of a person are in the same one, and cases are spread evenly.

    Parameters
    ----------
    outcome : (n,) float array
        0 or 1.
    groups : (n,) int array
        Person of each row.
    k : int
        Number of folds.
    seed : int

    Returns
    -------
    (n,) int array
        0 to k - 1. People are shuffled, sorted by their numbers of cases and controls, and dealt out in turn.
    """
    people, code = np.unique(groups, return_inverse=True)
    cases = np.bincount(code, outcome, len(people)).round().astype(int)
    controls = np.bincount(code, minlength=len(people)) - cases
    order = np.lexsort((np.random.default_rng(seed).permutation(len(people)), controls, cases))
    fold = np.empty(len(people), dtype=int)
    fold[order] = np.arange(len(people)) % k
    return fold[code]


@dataclass(frozen=True)
class Scaling:
    """How the columns of a training part are made complete and comparable.

    Attributes
    ----------
    used : (q,) int array
        Columns that vary and are not missing too often.
    median, mean, sd : (q,) float arrays
        Missing values become the median; mean and SD are those after that.
    width : (q,) float array
        1, or ``FREE`` for columns that the penalty should spare.
    """

    used: np.ndarray
    median: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    width: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Complete, standardised, clipped columns of (n, p) values: (n, q)."""
        chosen = x[:, self.used]
        z = (np.where(np.isnan(chosen), self.median, chosen) - self.mean) / self.sd
        return np.clip(z, -FAR, FAR) * self.width


def learn_scaling(x: np.ndarray, spared: np.ndarray, max_missing: float) -> Scaling:
    """Learn a :class:`Scaling`.

    Parameters
    ----------
    x : (n, p) float array
        Training rows; NaN is missing.
    spared : (p,) bool array
        Columns that the penalty should spare.
    max_missing : float
        Columns missing in more than this share of the rows are left out.
    """
    missing = np.isnan(x).mean(axis=0) if len(x) else np.ones(x.shape[1])
    used = np.flatnonzero((missing <= max_missing) & (missing < 1))
    median = np.nanmedian(x[:, used], axis=0) if len(used) else np.empty(0)
    complete = np.where(np.isnan(x[:, used]), median, x[:, used])
    mean, sd = complete.mean(axis=0), complete.std(axis=0)
    varies = sd > 1e-12 * np.abs(complete).max(axis=0, initial=0.0)
    used = used[varies]
    return Scaling(used, median[varies], mean[varies], sd[varies], np.where(spared[used], FREE, 1.0))


@dataclass(frozen=True)
class CrossFit:
    """Predictions of rows by models that did not see the person.

    Attributes
    ----------
    probability : (n,) float array
        Predicted, 0-1.
    score : (n,) float array
        Log odds less those of the prevalence among the training rows: comparable between folds, whose intercepts
        differ by how many cases happened to be left out.
    coefficients : (folds, p) float array
        Log odds ratio per standard deviation of the training rows; NaN where a column was not used.
    strength : (folds,) float array
        Prior variance chosen in each fold; NaN where there was nothing to fit.
    """

    probability: np.ndarray
    score: np.ndarray
    coefficients: np.ndarray
    strength: np.ndarray


def cross_fit(
    x: np.ndarray,
    spared: np.ndarray,
    outcome: np.ndarray,
    groups: np.ndarray,
    *,
    k: int,
    max_missing: float,
    seed: int,
    strengths: np.ndarray = STRENGTHS,
) -> CrossFit:
    """Ridge logistic regression in nested cross-validation.

    Parameters
    ----------
    x : (n, p) float array
        NaN is missing.
    spared : (p,) bool array
        Columns that the penalty should spare.
    outcome : (n,) float array
        0 or 1.
    groups : (n,) int array
        Person of each row.
    k : int
        Number of folds, outer and inner.
    max_missing : float
        See :func:`learn_scaling`.
    seed : int
    strengths : (s,) float array
        Prior variances to choose from, rising.

    Notes
    -----
    In each outer fold the penalty with the least log loss in an inner cross-validation of the training part is taken,
    and the model fitted to all of that part with it.
    """
    fold = folds_of(outcome, groups, k, seed)
    probability, score = np.full(len(x), np.nan), np.full(len(x), np.nan)
    coefficients, strength = np.full((k, x.shape[1]), np.nan), np.full(k, np.nan)
    for index in range(k):
        train, test = fold != index, fold == index
        scaling = learn_scaling(x[train], spared, max_missing)
        y = outcome[train]
        predicted = np.full(np.count_nonzero(test), log_odds(y.mean()))
        if len(scaling.used) and 0 < y.mean() < 1:
            strength[index] = choose_strength(
                x[train], spared, y, groups[train], k, max_missing, seed + 1 + index, strengths=strengths
            )
            (weights, intercept), *_ = _path(scaling.apply(x[train]), y, [strength[index]])
            predicted = scaling.apply(x[test]) @ weights + intercept
            coefficients[index, scaling.used] = weights * scaling.width
        probability[test], score[test] = expit(predicted), predicted - log_odds(y.mean())
    return CrossFit(probability, score, coefficients, strength)


def choose_strength(
    x: np.ndarray,
    spared: np.ndarray,
    outcome: np.ndarray,
    groups: np.ndarray,
    k: int,
    max_missing: float,
    seed: int,
    most: int = MOST_PEOPLE,
    strengths: np.ndarray = STRENGTHS,
) -> float:
    """Prior variance with the least cross-validated log loss; of equal ones the smallest."""
    if len(strengths) == 1:
        return float(strengths[0])
    people = np.unique(groups)
    if len(people) > most:
        kept = np.isin(groups, np.random.default_rng(seed).choice(people, most, replace=False))
        x, outcome, groups = x[kept], outcome[kept], groups[kept]
    fold = folds_of(outcome, groups, k, seed)
    loss = np.zeros(len(strengths))
    for index in range(k):
        train, test = fold != index, fold == index
        scaling, y = learn_scaling(x[train], spared, max_missing), outcome[train]
        if not len(scaling.used) or not 0 < y.mean() < 1:
            continue
        held_out = scaling.apply(x[test])
        models = _path(scaling.apply(x[train]), y, strengths)
        predicted = np.column_stack([held_out @ weights + intercept for weights, intercept in models])
        loss += (np.logaddexp(0, predicted) - outcome[test, None] * predicted).sum(axis=0)
    return float(strengths[np.argmin(loss)])


def _path(z: np.ndarray, outcome: np.ndarray, strengths: np.ndarray | list[float]) -> list[tuple[np.ndarray, float]]:
    """Coefficients (q,) and intercept for each prior variance, each fit beginning where the last one ended."""
    model = LogisticRegression(solver="lbfgs", tol=1e-6, max_iter=2000, warm_start=True)
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close enough after 2000 iterations: it is held-out anyway
        for strength in strengths:
            model.set_params(C=float(strength)).fit(z, outcome)
            fits.append((model.coef_[0].copy(), float(model.intercept_[0])))
    return fits
