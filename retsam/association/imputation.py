"""Multiple imputation of covariates, as an analysis beside complete cases; exposures and outcomes are never imputed.

A participant is imputed once, so that two eyes agree: every covariate, the exposure and the outcome enter by their mean
over the participant's rows, and missing covariates are drawn from Bayesian ridge regressions on all the others in turn
(chained equations), numbers within the range that was observed. Indicators of categories keep their drawn fractions,
because rounding them biases the coefficients. Estimates are pooled by Rubin's rules, with the degrees of freedom of
Barnard and Rubin. Draws are seeded: the same table gives the same numbers.

References
----------
Rubin DB (1987). Multiple imputation for nonresponse in surveys. Wiley.
Barnard J, Rubin DB (1999). Small-sample degrees of freedom with multiple imputation. Biometrika 86, 948-955.
van Buuren S (2018). Flexible imputation of missing data, 2nd ed. CRC.
Horton NJ, Lipsitz SR, Parzen M (2003). A potential for bias when rounding in multiple imputation. Am Stat 57, 229-232.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (what makes the next import work)
from sklearn.impute import IterativeImputer

from retsam.association.design import Covariate, Exposure, adjust, standardise
from retsam.association.estimate import EXPOSURE, Estimate
from retsam.association.line import blank, fit, report, too_rare, why_not
from retsam.association.sample import Rules, Sample, Scope
from retsam.status import Status

ROUNDS = 5
"""Of the chained equations; with few covariates they settle at once."""


def is_incomplete(scope: Scope) -> bool:
    """Whether a covariate is missing in a row with a known outcome, so that imputation changes anything."""
    return not scope.problems and bool((scope.known & ~scope.covered).any())


def imputed_line(
    scope: Scope, exposure: Exposure, x: np.ndarray, raw: np.ndarray, rules: Rules, draws: int, unit: float | None
) -> dict[str, Any]:
    """Effect per SD of an exposure, covariates imputed.

    Parameters
    ----------
    scope : Scope
    exposure : Exposure
    x, raw : (n,) float array
        Transformed and original values of the whole table, NaN where missing.
    rules : Rules
    draws : int
        Number of imputed data sets, at least 2.
    unit : float, optional
        SD that the effect is stated per; by default that of the rows.

    Returns
    -------
    dict
        Columns of the table, less the labels.
    """
    open_scope = Scope(scope.study, (), scope.within)
    sample = open_scope.sample(x, rules.clustered)
    line = blank(open_scope, sample, x, raw)
    reason = why_not(sample, x, rules.min_events) if len(sample.rows) else (Status.ALL_MISSING, "no row has a value")
    if reason is not None:
        return {**line, "status": reason[0].value, "note": reason[1]}
    unknown = [c.name for c in scope.covariates if np.isnan(c.columns[sample.rows]).all(axis=0).any()]
    if unknown:
        note = f"covariate {unknown[0]!r} is missing in all these rows"
        return {**line, "status": Status.ALL_MISSING.value, "note": note}
    rare = too_rare(sample, x, rules)
    if rare:
        return {**line, "status": Status.TOO_FEW_EVENTS.value, "note": rare}
    z = standardise(x[sample.rows])
    if z is None or not sample.allows(1 + sum(c.columns.shape[1] for c in scope.covariates), rules):
        return {**line, "status": Status.TOO_FEW_EVENTS.value, "note": f"{sample.scarcity(1)} and the covariates"}
    estimates, names = [], ""
    for completed in impute(scope.covariates, sample, z, draws):
        adjusted = replace(sample, adjustment=adjust(completed, sample.rows))
        design = adjusted.adjustment.design(z[:, None])
        estimates.append(None if design is None else fit(adjusted, design, rules.method))
        names = ",".join(adjusted.adjustment.covariates)
    pooled = pool(estimates)
    found = pooled and pooled.line(EXPOSURE, rules.confidence)
    if not found:
        return {**line, "status": Status.NOT_CONVERGED.value, "note": "no finite estimate in every imputed data set"}
    filled = len(sample.rows) - int(scope.covered[sample.rows].sum())
    line |= {"covariates": names, "note": f"{draws} imputations of the covariates of {filled} rows"}
    return report(line, found, sample.kind, unit)


def impute(covariates: Sequence[Covariate], sample: Sample, z: np.ndarray, draws: int) -> Iterator[list[Covariate]]:
    """Complete the covariates of a sample.

    Parameters
    ----------
    covariates : sequence of Covariate
        Coded on the whole table; NaN where missing.
    sample : Sample
    z : (n,) float array
        Exposure of its rows.
    draws : int
        Number of data sets.

    Yields
    ------
    list of Covariate
        The same ones, with no value missing in the rows of the sample.
    """
    rows = sample.rows
    columns = np.column_stack([c.columns[rows] for c in covariates if c.labels])
    _, person = np.unique(sample.person, return_inverse=True)
    people = pd.DataFrame(np.column_stack([columns, z, sample.y])).groupby(person).mean().to_numpy()
    low, high = np.nanmin(people, axis=0), np.nanmax(people, axis=0)
    constant = low == high  # says nothing of the others; its gaps have one value
    people = np.where(constant, low, people)
    high = high + constant  # the imputer wants a range
    for draw in range(draws):
        imputer = IterativeImputer(
            sample_posterior=True, max_iter=ROUNDS, min_value=low, max_value=high, random_state=draw
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # draws do not stand still, nor should they
            made = imputer.fit_transform(people)[person]
        filled = np.where(np.isnan(columns), made[:, : columns.shape[1]], columns)
        yield list(_completed(covariates, rows, filled))


def _completed(covariates: Sequence[Covariate], rows: np.ndarray, filled: np.ndarray) -> Iterator[Covariate]:
    start = 0
    for covariate in covariates:
        values = covariate.columns.copy()
        width = values.shape[1]
        values[rows] = filled[:, start : start + width]
        start += width
        yield replace(covariate, columns=values)


def pool(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """Rubin's rules for the exposure's coefficient.

    Parameters
    ----------
    estimates : sequence of Estimate or None
        One per imputed data set, at least two.

    Returns
    -------
    Estimate or None
        With the exposure's column alone filled: mean of the coefficients, mean variance plus ``(1 + 1/m)`` times their
        variance, and Barnard and Rubin's degrees of freedom. None if a data set has no estimate.
    """
    made = [estimate for estimate in estimates if estimate is not None]
    if len(made) < max(len(estimates), 2):
        return None
    coefficients = np.array([e.coefficients[EXPOSURE] for e in made])
    within = float(np.mean([e.covariance[EXPOSURE, EXPOSURE] for e in made]))
    between = float(coefficients.var(ddof=1)) * (1 + 1 / len(made))
    total = within + between
    df = made[0].df
    if between > 1e-12 * total:
        share = between / total
        pooled = (len(made) - 1) / share**2
        observed = np.inf if np.isnan(df) else (df + 1) / (df + 3) * df * (1 - share)
        df = 1 / (1 / pooled + 1 / observed)
    mean = np.array([0.0, coefficients.mean()])
    return Estimate(mean, np.diag([total, total]), made[0].method, df)
