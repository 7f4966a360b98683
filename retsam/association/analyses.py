"""Analyses beside the declared one: strata, and sensitivity analyses, each a part of the table or another table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retsam.association.design import MAX_CATEGORIES, Covariate, Exposure, Study, numbers
from retsam.association.sample import Scope

ONE_EYE = "one_eye"
LEAVE_ONE_SITE_OUT = "leave_one_site_out"
SENSITIVITY = ("all_gradabilities", ONE_EYE, LEAVE_ONE_SITE_OUT)
"""Sensitivity analyses that a study may ask for."""

MAX_GROUPS = 5
"""A column of numbers with more different ones than this is cut at its median into two strata."""


@dataclass(frozen=True)
class Extras:
    """What is estimated beside the declared analysis.

    Attributes
    ----------
    quartiles : bool
        Each quarter against the lowest, and the trend.
    nonlinearity : bool
        Test of a restricted cubic spline against the straight line.
    interactions : tuple of str
        Columns that may modify the effect.
    strata : tuple of str
        Columns within whose values the effect is estimated anew.
    sensitivity : tuple of str
        Of ``SENSITIVITY``.
    imputations : int
        Number of data sets with imputed covariates, at least 2; 0 for none.
    """

    quartiles: bool = False
    nonlinearity: bool = False
    interactions: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    sensitivity: tuple[str, ...] = ()
    imputations: int = 0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.sensitivity) - set(SENSITIVITY))
        if unknown:
            raise ValueError(f"sensitivity analysis {unknown[0]!r} is unknown; use {', '.join(SENSITIVITY)}.")
        if self.imputations < 0 or self.imputations == 1:
            raise ValueError(f"imputations is {self.imputations}; use 0 for none, or at least 2.")


def parts(study: Study, extras: Extras) -> dict[str, np.ndarray]:
    """Parts of a study's table that are analysed by themselves.

    Returns
    -------
    dict
        Analysis -> (n,) bool array of its rows: ``stratum:COLUMN=LEVEL``, then ``without_site:NAME``.
    """
    made: dict[str, np.ndarray] = {}
    for column in dict.fromkeys(extras.strata):
        made |= {f"stratum:{column}={level}": rows for level, rows in _levels(study.table, column).items()}
    if LEAVE_ONE_SITE_OUT in extras.sensitivity:
        sites = _levels(study.table, "site", split=False)
        if len(sites) > 1:
            made |= {f"without_site:{site}": ~rows for site, rows in sites.items()}
    return made


def _levels(table: pd.DataFrame, column: str, split: bool = True) -> dict[str, np.ndarray]:
    """Rows of each value of a column, in sorted order; of each side of its median for many numbers."""
    if column not in table or table[column].isna().all():
        return {}
    known = table[column].notna().to_numpy()
    value = numbers(table, column)
    numeric = not (np.isnan(value) & known).any()
    if numeric and split and len(np.unique(value[known])) > MAX_GROUPS:
        middle = float(np.median(value[known]))
        return {f"<={middle:g}": known & (value <= middle), f">{middle:g}": known & (value > middle)}
    text = np.array([f"{v:g}" for v in value]) if numeric else table[column].astype(str).to_numpy(dtype=str)
    levels = sorted(set(text[known].tolist()))
    if len(levels) > MAX_CATEGORIES:
        return {}
    return {level: known & (text == level) for level in levels}


def scopes(
    study: Study,
    covariates: Sequence[Covariate],
    masks: Mapping[str, np.ndarray],
    regraded: Mapping[str, Study],
    single: Study | None,
    code: Callable[[Study], list[Covariate]],
) -> dict[str, Scope]:
    """Scopes of all other analyses of one adjustment set.

    Parameters
    ----------
    study : Study
        Of the declared analysis.
    covariates : sequence of Covariate
        Coded on its table.
    masks : mapping
        See :func:`parts`.
    regraded : mapping
        Analysis -> study of the same outcome on a table with another quality policy.
    single : Study, optional
        Eyes of which one stands for each participant.
    code : callable
        Codes the adjustment set on another study's table.
    """
    made = {name: Scope(other, code(other)) for name, other in regraded.items()}
    if single is not None:
        made[ONE_EYE] = Scope(single, covariates if single is study else code(single), one_row=True)
    return made | {name: Scope(study, _varying(covariates, name, mask), mask) for name, mask in masks.items()}


def _varying(covariates: Sequence[Covariate], analysis: str, mask: np.ndarray) -> list[Covariate]:
    """Covariates less the one whose value the stratum is."""
    own = next((c for c in covariates if analysis.startswith(f"stratum:{c.name}=")), None)
    constant = own is not None and bool((own.columns[mask] == own.columns[mask][:1]).all())
    return [c for c in covariates if c is not own or not constant]


def worse_eyes(eyes: pd.DataFrame, participants: pd.DataFrame, exposures: Sequence[Exposure]) -> pd.DataFrame:
    """Participants with the worse eye's value in place of the mean, where it is known which is worse.

    Parameters
    ----------
    eyes, participants : DataFrame
        Tables of a cohort.
    exposures : sequence of Exposure
        Those with ``burden`` take the larger value of the eyes; of all others, for which neither direction is known to
        be worse, the mean stays.

    Returns
    -------
    DataFrame
    """
    names = [e.name for e in exposures if e.burden and e.name in eyes and e.name in participants]
    keys = [k for k in ("participant_id", "visit") if k in eyes and k in participants]
    if not names or not keys:
        return participants
    largest = eyes[names].groupby(_joined(eyes, keys)).max().reindex(_joined(participants, keys))
    return participants.assign(**{name: largest[name].to_numpy() for name in names})


def _joined(table: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """(n,) array of text: the keys of each row, a missing one empty."""
    text = [table[key].astype(object).where(table[key].notna(), "").map(str) for key in keys]
    return pd.MultiIndex.from_arrays(text).map("\x1f".join).to_numpy(dtype=object)
