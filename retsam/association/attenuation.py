"""What a biomarker's repeatability implies for its odds ratio.

Classical measurement error, independent of the true value, the outcome and the covariates, draws a coefficient towards
zero by the share of the variance that is not error; the intraclass correlation (ICC) estimates that share. Dividing by
it gives the odds ratio that a perfectly repeatable biomarker would have. It is a reading aid, no estimate: adjustment
for covariates attenuates more, the ICC has an interval of its own, and the eyes of a person differ truly, so that their
agreement is only a lower bound.

References
----------
Rosner B, Willett WC, Spiegelman D (1989). Correction of logistic regression relative risk estimates and confidence
intervals for systematic within-person measurement error. Stat Med 8, 1051-1069.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retsam.association.schema import PER_SD

PREFERRED = "eyes_"
"""Sources that begin so compare right with left eye, as the study's photographs do; they come before observers."""

LEAST = 0.5
"""Below this ICC most of the variance is taken for error, and an odds ratio without it would be a guess."""


def repeatability(table: pd.DataFrame) -> dict[str, tuple[float, str]]:
    """One ICC a biomarker.

    Parameters
    ----------
    table : DataFrame
        Columns biomarker, source and icc; see :func:`retsam.biomarkers.reliability.reliability`.

    Returns
    -------
    dict
        Biomarker -> ICC and its source: right against left eye where there is one, else the first in order.
    """
    known = table[table["icc"].notna()]
    later = ~known["source"].str.startswith(PREFERRED)
    chosen = known.assign(later=later).sort_values(["later", "source"], kind="stable").drop_duplicates("biomarker")
    rows = chosen[["biomarker", "icc", "source"]].itertuples(index=False)
    return {str(name): (float(icc), str(source)) for name, icc, source in rows}


def with_attenuation(table: pd.DataFrame, reliability: Mapping[str, tuple[float, str]]) -> pd.DataFrame:
    """Add icc, icc_source and or_if_reliable to an association table.

    Parameters
    ----------
    table : DataFrame
        Columns biomarker, term, transform and log_or.
    reliability : mapping
        Biomarker -> ICC and its source.

    Returns
    -------
    DataFrame
        ``or_if_reliable`` is null but for rows per SD of an untransformed biomarker with an ICC of at least
        :data:`LEAST`: an ICC is one of values as they were measured.
    """
    names = table["biomarker"]
    icc = names.map({name: value for name, (value, _) in reliability.items()}).astype(float)
    source = names.map({name: source for name, (_, source) in reliability.items()}).astype(object)
    applies = (table["term"] == PER_SD) & (table["transform"] == "none") & (icc >= LEAST)
    log_or = pd.to_numeric(table["log_or"]).astype(float) if "log_or" in table else pd.Series(np.nan, table.index)
    with np.errstate(over="ignore"):
        ratio = np.exp(log_or / icc.where(applies))
    return table.assign(icc=icc, icc_source=source.where(icc.notna(), None), or_if_reliable=ratio)
