"""One line of an association table: the effect of a standard deviation of one exposure in one scope."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from retsam.association.design import Exposure, standardise
from retsam.association.estimate import EXPOSURE, Estimate, Fit, JointTest
from retsam.association.gee import gee
from retsam.association.linear import linear
from retsam.association.models import fit_firth, is_separated, logit
from retsam.association.ordinal import MAX_GRADES, ordinal, proportionality
from retsam.association.sample import Rules, Sample, Scope, sample_of
from retsam.status import Status

UNSTABLE = 1e3
"""Ratio of the confidence limits from which an odds ratio is called unstable."""

CUTS_DIFFER = 0.05
"""Below this p value it is noted that the cuts of a grade have odds ratios of their own."""


def fit(sample: Sample, design: np.ndarray, method: str = "cluster") -> Estimate | None:
    """Fit the model of an outcome's kind.

    Parameters
    ----------
    sample : Sample
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    method : {"cluster", "gee"}
        Of a binary outcome where persons have several rows.

    Returns
    -------
    Estimate or None
        None where no finite estimate was found.
    """
    if sample.kind == "continuous":
        return linear(sample.y, design, sample.clusters)
    if sample.kind == "ordinal":
        return ordinal(sample.y, design, sample.clusters)
    if method == "gee" and sample.clusters is not None:
        return gee(sample.y, design, sample.clusters)
    return logit(sample.y, design, sample.clusters)


def estimate_line(
    scope: Scope, exposure: Exposure, x: np.ndarray, raw: np.ndarray, rules: Rules, unit: float | None = None
) -> tuple[dict[str, Any], Sample]:
    """Effect per SD of an exposure.

    Parameters
    ----------
    scope : Scope
    exposure : Exposure
    x, raw : (n,) float array
        Transformed and original values of the whole table, NaN where missing.
    rules : Rules
    unit : float, optional
        SD that the effect is stated per; by default that of the sample.

    Returns
    -------
    line : dict
        Columns of the table, less the labels.
    sample : Sample
        Its rows.
    """
    sample = scope.sample(x, rules.clustered)
    line = blank(scope, sample, x, raw)
    if not len(sample.rows):
        return _not(Status.ALL_MISSING, scope.why_empty(exposure), line), sample
    reason = why_not(sample, x, rules.min_events)
    if reason is not None:
        return _not(*reason, line), sample
    line |= {"covariates": ",".join(sample.adjustment.covariates), "note": "; ".join(sample.adjustment.notes)}
    return _per_sd(scope, sample, line, x, raw, rules, unit), sample


def too_rare(sample: Sample, x: np.ndarray, rules: Rules, columns: int = 1) -> str:
    """Why a cluster-robust variance would not hold: too few persons whose exposure differs from the others'; or empty.

    Parameters
    ----------
    sample : Sample
    x : (n,) float array
        Values of the whole table.
    rules : Rules
    columns : int
        Of the exposure; each needs ``min_events`` persons.
    """
    if sample.clusters is None:
        return ""
    found, least = sample.carriers(x[sample.rows]), rules.min_events * columns
    return f"{found} participants differ from the commonest value; at least {least}" if found < least else ""


def blank(scope: Scope, sample: Sample, x: np.ndarray, raw: np.ndarray) -> dict[str, Any]:
    """A line with the counts of a sample and no estimate yet; parameters as in :func:`estimate_line`."""
    ends = {"covariates": "", "status": Status.OK.value, "note": ""}
    return {**describe(sample, x, raw), **scope.left_out(x, sample), **ends}


def describe(sample: Sample, x: np.ndarray, raw: np.ndarray) -> dict[str, Any]:
    """Counts, and mean and SD of an exposure, of a sample."""
    line: dict[str, Any] = {
        "n": len(sample.rows),
        "n_events": sample.n_events,
        "n_participants": sample.n_participants,
        "n_participants_events": sample.n_participants_events,
    }
    for values, end in ((x, ""), (raw, "_raw")):
        here = values[sample.rows]
        line[f"mean{end}"] = float(here.mean()) if len(here) else np.nan
        line[f"sd{end}"] = float(here.std(ddof=1)) if len(here) > 1 else np.nan
    return line


def why_not(sample: Sample, x: np.ndarray, min_events: int) -> tuple[Status, str] | None:
    """A reason not to fit these rows, with a note, or None."""
    n, events = len(sample.rows), sample.n_events
    if sample.kind == "continuous":
        if n < min_events:
            return Status.TOO_FEW_EVENTS, f"{n} rows; at least {min_events}"
        if standardise(sample.y) is None:
            return Status.NO_VARIATION, f"the outcome is {sample.y[0]:g} in every row"
    elif sample.kind == "ordinal" and (grades := len(np.unique(sample.y))) > MAX_GRADES:
        return (
            Status.NOT_CONVERGED,
            f"{grades} different grades, more than {MAX_GRADES}: declare the outcome continuous",
        )
    elif min(events, n - events) < min_events:
        words = ("cases", "controls") if sample.kind == "binary" else ("above the lowest grade", "of the lowest")
        counts = f"{events} {words[0]} and {n - events} {words[1]}"
        return Status.TOO_FEW_EVENTS, f"{counts}; at least {min_events} of each"
    here = x[sample.rows]
    if standardise(here) is None:
        return Status.NO_VARIATION, f"the value is {here[0]:g} in every row"
    return None


def _per_sd(
    scope: Scope,
    sample: Sample,
    line: dict[str, Any],
    x: np.ndarray,
    raw: np.ndarray,
    rules: Rules,
    unit: float | None,
) -> dict[str, Any]:
    """The estimate: maximum likelihood where it can be trusted, else Firth's for a binary outcome."""
    z = standardise(x[sample.rows])
    design = None if z is None else sample.adjustment.design(z[:, None])
    if design is None:
        return _not(Status.NO_VARIATION, "the covariates determine the exposure", line)
    enough, why = sample.allows(1, rules), sample.scarcity(1)
    rare = too_rare(sample, x, rules)
    if rare and sample.kind != "binary":
        return _not(Status.TOO_FEW_EVENTS, rare, line)
    if rare:
        why = rare
    elif enough or sample.kind != "binary":
        estimate = fit(sample, design, rules.method)
        found = estimate and estimate.line(EXPOSURE, rules.confidence)
        if found:
            line["note"] = join(line["note"], "" if enough else f"few: {why}", _unlike_cuts(sample, design))
            return report(line, found, sample.kind, unit)
        if sample.kind != "binary":
            return _not(Status.NOT_CONVERGED, "no finite estimate was found", line)
        why = "separation" if is_separated(sample.y, design) else "maximum likelihood did not converge"
    return _firth(scope, sample, line, x, raw, f"Firth: {why}", rules, unit)


def _unlike_cuts(sample: Sample, design: np.ndarray) -> str:
    """A note where one odds ratio does not fit all cuts of a grade."""
    test = proportionality(sample.y, design, sample.clusters) if sample.kind == "ordinal" else None
    return f"the cuts of the scale differ (p = {test.p:.2g})" if test and test.p < CUTS_DIFFER else ""


def _firth(
    scope: Scope,
    sample: Sample,
    line: dict[str, Any],
    x: np.ndarray,
    raw: np.ndarray,
    why: str,
    rules: Rules,
    unit: float | None,
) -> dict[str, Any]:
    """Firth's estimate on independent rows."""
    chosen = scope.study.one_row_each(sample.rows)
    left = len(sample.rows) - len(chosen)
    if left:
        why = f"{why}; one row per participant, the most gradable ({len(chosen)} of {len(sample.rows)})"
        sample = sample_of(scope.study, scope.covariates, chosen, clustered=False)
    line = line | describe(sample, x, raw) | {"n_other_rows": line["n_other_rows"] + left, "note": why}
    reason = why_not(sample, x, rules.min_events)
    if reason is not None:
        return _not(*reason, line)
    line |= {
        "covariates": ",".join(sample.adjustment.covariates),
        "note": "; ".join([why, *sample.adjustment.notes]),
    }
    z = standardise(x[chosen])
    design = None if z is None else sample.adjustment.design(z[:, None])
    if design is None:
        return _not(Status.NO_VARIATION, "the covariates determine the exposure", line)
    found = fit_firth(sample.y, design, rules.confidence)
    if found is None:
        return _not(Status.NOT_CONVERGED, "no finite estimate was found", line)
    return {**report(line, found, sample.kind, unit), "method": "firth_one_row" if left else "firth"}


def _not(status: Status, note: str, line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "status": status.value, "note": join(note, line["note"])}


def join(*notes: str) -> str:
    """Notes in one cell."""
    return "; ".join(note for note in notes if note)


def report(line: Mapping[str, Any], found: Fit, kind: str, unit: float | None = None) -> dict[str, Any]:
    """A line with its estimate.

    Parameters
    ----------
    line : mapping
        With ``sd`` and ``note``.
    found : Fit
        Per SD of the sample where `unit` is given.
    kind : {"binary", "ordinal", "continuous"}
        Of the outcome.
    unit : float, optional
        SD that the effect is stated per.
    """
    scale = 1.0 if unit is None else unit / line["sd"]
    estimate, low, high = (scale * v for v in (found.log_or, found.ci_low, found.ci_high))
    made = {
        **line,
        "sd": line["sd"] if unit is None else unit,
        "p": found.p,
        "se": scale * found.se,
        "df": found.df,
        "method": found.method,
        "ci_method": found.ci_method,
    }
    if kind == "continuous":
        return made | {"beta": estimate, "beta_low": low, "beta_high": high}
    with np.errstate(over="ignore"):  # a limit beyond the largest float is infinite
        ratio, lower, upper = (float(v) for v in np.exp([estimate, low, high]))
    wide = high - low > np.log(UNSTABLE)
    note = join(line["note"], f"unstable: the limits differ more than {UNSTABLE:g}-fold" if wide else "")
    return made | {"or": ratio, "ci_low": lower, "ci_high": upper, "log_or": estimate, "note": note}


def report_joint(line: Mapping[str, Any], test: JointTest, method: str) -> dict[str, Any]:
    """A line with the p value of a test of several coefficients; it has no estimate."""
    tested = "coefficient" if test.columns == 1 else "coefficients"
    return {
        **line,
        "p": test.p,
        "df": test.df,
        "method": method,
        "ci_method": "chi2" if np.isnan(test.df) else "f",
        "note": join(line["note"], f"joint test of {test.columns} {tested}"),
    }
