"""Terms beside the effect per SD: quartiles and their trend, curvature, interactions.

All are maximum likelihood, on the rows of the effect per SD. With fewer independent events per slope than that may have
nothing is estimated: Firth's penalised likelihood has no robust variance for several columns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from retsam.association.design import Covariate, standardise
from retsam.association.line import blank, fit, join, report, report_joint, too_rare, why_not
from retsam.association.sample import Rules, Sample, Scope
from retsam.association.scales import KNOTS, balanced_quantiles, quartile_of, spline_columns
from retsam.status import Status

NAMES = ("q2_vs_q1", "q3_vs_q1", "q4_vs_q1")
Named = tuple[str, dict[str, Any]]
"""A term and its line."""


def line_of(scope: Scope, sample: Sample, x: np.ndarray, raw: np.ndarray) -> dict[str, Any]:
    """A line that any term of a sample begins with; parameters as in :func:`retsam.association.line.estimate_line`."""
    adjustment = sample.adjustment
    said = {"covariates": ",".join(adjustment.covariates), "note": "; ".join(adjustment.notes)}
    return blank(scope, sample, x, raw) | said


def _refused(line: dict[str, Any], status: Status, note: str) -> dict[str, Any]:
    return {**line, "status": status.value, "note": join(note, line["note"])}


def _fitted(sample: Sample, line: dict[str, Any], columns: np.ndarray, rules: Rules) -> Any:
    """Estimate of these columns of the exposure, or the line that says why there is none."""
    count = columns.shape[1]
    if not sample.allows(count, rules):
        return _refused(line, Status.TOO_FEW_EVENTS, sample.scarcity(count))
    design = sample.adjustment.design(columns)
    if design is None:
        return _refused(line, Status.NO_VARIATION, "the columns are linear combinations of the others")
    estimate = fit(sample, design, rules.method)
    return estimate or _refused(line, Status.NOT_CONVERGED, "no finite estimate was found")


def quartiles(sample: Sample, line: dict[str, Any], x: np.ndarray, rules: Rules) -> Iterator[Named]:
    """Each quarter against the lowest, and the trend per quarter.

    Parameters
    ----------
    sample : Sample
    line : dict
        See :func:`line_of`.
    x : (n,) float array
        Values of the whole table.
    rules : Rules

    Yields
    ------
    str, dict
        Term and line. One line, the trend's, with a reason where the cuts coincide.
    """
    quarter, cuts = quartile_of(x[sample.rows], sample.weights)
    shown = ", ".join(f"{cut:.4g}" for cut in cuts)
    if len(np.unique(quarter)) < 4:
        yield "trend", _refused(line, Status.NO_VARIATION, f"quartile cuts coincide ({shown})")
        return
    line = {**line, "note": join(f"cuts {shown}", line["note"])}
    found = _fitted(sample, line, (quarter[:, None] == [1, 2, 3]).astype(float), rules)
    for index, term in enumerate(NAMES, start=1):
        yield term, found if isinstance(found, dict) else _one(line, found, index, sample, rules)
    found = _fitted(sample, line, quarter[:, None].astype(float), rules)
    yield "trend", found if isinstance(found, dict) else _one(line, found, 1, sample, rules)


def _one(line: dict[str, Any], estimate: Any, column: int, sample: Sample, rules: Rules) -> dict[str, Any]:
    found = estimate.line(column, rules.confidence)
    if found is None:
        return _refused(line, Status.NOT_CONVERGED, "no finite estimate was found")
    return report(line, found, sample.kind)


def _joint(line: dict[str, Any], estimate: Any, columns: range) -> dict[str, Any]:
    test = estimate.joint(columns)
    if test is None:
        return _refused(line, Status.NOT_CONVERGED, "fewer persons than columns to test")
    return report_joint(line, test, estimate.method)


def nonlinear(sample: Sample, line: dict[str, Any], x: np.ndarray, rules: Rules) -> Iterator[Named]:
    """Test of the curved columns of a restricted cubic spline.

    Parameters
    ----------
    sample, line, x, rules
        See :func:`quartiles`.

    Yields
    ------
    str, dict
        ``nonlinear`` and its line. Four knots where events and ties allow, else three.
    """
    here = x[sample.rows]
    z = standardise(here)
    places = {count: balanced_quantiles(here, sample.weights, levels) for count, levels in KNOTS.items()}
    usable = {count: knots for count, knots in places.items() if (np.diff(knots) > 0).all()}
    if z is None or not usable:
        shown = ", ".join(f"{knot:.4g}" for knot in places[3])
        yield "nonlinear", _refused(line, Status.NO_VARIATION, f"knots coincide ({shown})")
        return
    count = next((c for c in usable if sample.allows(c - 1, rules)), min(usable))
    knots = (usable[count] - here.mean()) / here.std(ddof=1)
    curved = spline_columns(z, knots)
    line = {**line, "note": join(f"{count} knots at {', '.join(f'{k:.4g}' for k in usable[count])}", line["note"])}
    found = _fitted(sample, line, np.column_stack([z, curved / np.maximum(np.abs(curved).max(axis=0), 1e-12)]), rules)
    yield "nonlinear", found if isinstance(found, dict) else _joint(line, found, range(2, count))


def interaction(scope: Scope, covariate: Covariate, x: np.ndarray, raw: np.ndarray, rules: Rules) -> Iterator[Named]:
    """Whether the effect of an exposure depends on a covariate.

    Parameters
    ----------
    scope : Scope
        The effect per SD is estimated in; its adjustment set need not hold the covariate.
    covariate : Covariate
        Coded on the whole table.
    x, raw : (n,) float array
        Transformed and original values of the whole table.
    rules : Rules

    Yields
    ------
    str, dict
        ``interaction:NAME`` and its line: the ratio of odds ratios per SD of the exposure, for one SD of a number or
        for the second category against the first; a joint test where there are more categories.
    """
    term = f"interaction:{covariate.name}"
    wider = Scope(scope.study, [*(c for c in scope.covariates if c.name != covariate.name), covariate], scope.within)
    sample = wider.sample(x, rules.clustered)
    line = line_of(wider, sample, x, raw)
    if covariate.problem or covariate.note:
        yield term, _refused(line, Status.ALL_MISSING, covariate.problem or covariate.note)
        return
    reason = why_not(sample, x, rules.min_events) if len(sample.rows) else (Status.ALL_MISSING, "no row is complete")
    if reason is not None:
        yield term, _refused(line, *reason)
        return
    z, modifiers = standardise(x[sample.rows]), _modifiers(covariate, sample.rows)
    if z is None or not modifiers.size:
        yield term, _refused(line, Status.NO_VARIATION, f"{covariate.name} is constant in the analysis set")
        return
    count = modifiers.shape[1]
    rare = too_rare(sample, x, rules, 1 + count)
    if rare:
        yield term, _refused(line, Status.TOO_FEW_EVENTS, rare)
        return
    found = _fitted(sample, line, np.column_stack([z, z[:, None] * modifiers]), rules)
    if isinstance(found, dict):
        yield term, found
    elif count == 1:
        single = covariate.labels == (covariate.name,)
        line["note"] = join(f"per {'SD of ' if single else ''}{covariate.labels[0]}", line["note"])
        yield term, _one(line, found, 2, sample, rules)
    else:
        yield term, _joint(line, found, range(2, 2 + count))


def _modifiers(covariate: Covariate, rows: np.ndarray) -> np.ndarray:
    """Columns that the exposure is multiplied by: a standardised number, or indicators of the categories that occur."""
    here = covariate.columns[rows]
    if covariate.labels == (covariate.name,):
        column = standardise(here[:, 0])
        return np.empty((len(rows), 0)) if column is None else column[:, None]
    return here[:, [standardise(column) is not None for column in here.T]]
