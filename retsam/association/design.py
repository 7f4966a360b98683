"""From cohort tables to the arrays that a model is fitted to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from retsam.taxonomy import DEFINITIONAL, Evidence

MAX_CATEGORIES = 20
"""A text covariate with more categories than this is no category (names, free text) and is left out."""

RANK_TOLERANCE = 1e-8
"""A standardised column whose part outside the others' span is shorter than this share of it is collinear."""

FINDINGS = "lesion"
"""Family of the biomarkers of findings."""

BURDEN_UNITS = ("0/1", "count", "dd^2")
"""Units in which more of a finding is worse; of a distance or a share nothing is known beforehand."""

Kind = Literal["binary", "ordinal", "continuous"]
"""Of an outcome."""

_OUTCOME_WORDS: dict[str, tuple[frozenset[str], ...]] = {
    "dr": (frozenset({"dr"}), frozenset({"diabetic", "retinopathy"})),
    "amd": (frozenset({"amd"}), frozenset({"macular", "degeneration"})),
    "glaucoma": (frozenset({"glaucoma"}),),
    "myopia": (frozenset({"myopia"}), frozenset({"myopic"})),
}

_WEAKEST_FIRST = (Evidence.PHANTOM, Evidence.LABEL_VALIDATED, Evidence.ANNOTATED)


@dataclass(frozen=True)
class Exposure:
    """What an association needs to know of a biomarker.

    Attributes
    ----------
    name : str
        Column of the cohort tables.
    family : str
        Group within which q values are computed.
    requires : frozenset of str
        Targets it is measured on; they decide for which outcomes it is definitional.
    evidence : str or None
        Weakest evidence level of those targets: annotated, label_validated, phantom; None if not known.
    burden : bool
        Whether more of it is worse, so that the worse eye has the larger value: presence, number and area of findings.
    """

    name: str
    family: str = "other"
    requires: frozenset[str] = frozenset()
    evidence: str | None = None
    burden: bool = False


def as_exposure(entry: Any, evidence: Mapping[str, str] | None = None) -> Exposure:
    """Read a biomarker entry.

    Parameters
    ----------
    entry : str, mapping or object
        A column name, or anything with ``name`` and perhaps ``family``, ``requires`` (iterable of targets), ``unit``
        and ``evidence``.
    evidence : mapping, optional
        Target -> evidence level of the model that segmented it; used where the entry has no level of its own.

    Raises
    ------
    ValueError
        If there is no name.
    """
    if isinstance(entry, str):
        return Exposure(entry)

    def get(key: str) -> Any:
        return entry.get(key) if isinstance(entry, Mapping) else getattr(entry, key, None)

    if not isinstance(get("name"), str):
        raise ValueError(f"a biomarker needs a name; got {entry!r}.")
    requires = frozenset(str(target) for target in (get("requires") or ()))
    own = get("evidence")
    level = str(own) if own in _WEAKEST_FIRST else _weakest(requires, evidence or {})
    family = str(get("family") or "other")
    burden = bool(get("burden")) or (family == FINDINGS and get("unit") in BURDEN_UNITS)
    return Exposure(get("name"), family, requires, level, burden)


def _weakest(targets: Iterable[str], evidence: Mapping[str, str]) -> str | None:
    levels = {str(evidence[target]) for target in targets if target in evidence}
    return next((str(level) for level in _WEAKEST_FIRST if level in levels), None)


def is_definitional(requires: Iterable[str], outcome: str) -> bool:
    """Whether a measurement of these targets is part of an outcome's own definition.

    Parameters
    ----------
    requires : iterable of str
        Targets.
    outcome : str
        Name of the outcome column; its words decide which disease it is (``dr``, ``any_DR``, ``diabetic retinopathy``).
    """
    words = frozenset(re.split(r"[^a-z]+", outcome.lower()))
    diseases = [disease for disease, names in _OUTCOME_WORDS.items() if any(name <= words for name in names)]
    return any(DEFINITIONAL[disease] & frozenset(requires) for disease in diseases)


@dataclass(frozen=True)
class Covariate:
    """One adjustment variable, coded.

    Attributes
    ----------
    name : str
        Column of the table.
    labels : tuple of str
        Names of the coded columns: the name itself, or ``name[level]`` for each level but the first in sorted order.
    columns : (n, k) float array
        NaN where missing.
    problem : str
        Why the model cannot be fitted with it (no such column, missing throughout); empty if it can.
    note : str
        Why it is left out (too many categories); empty if it is not.
    """

    name: str
    labels: tuple[str, ...]
    columns: np.ndarray
    problem: str = ""
    note: str = ""


@dataclass(frozen=True)
class Study:
    """One outcome on one sorted table.

    Attributes
    ----------
    table : DataFrame
        Rows sorted by participant, visit, eye and image, so that no result depends on the order they came in.
    outcome : (n,) float array
        0 or 1, a grade, or a value; NaN where unknown.
    participant : (n,) int array
        Code of the participant.
    preference : (n,) float array
        Higher is preferred where one row must stand for a participant: gradability, NaN last.
    kind : {"binary", "ordinal", "continuous"}
        Of the outcome.
    name : str
        The outcome's column.
    """

    table: pd.DataFrame
    outcome: np.ndarray
    participant: np.ndarray
    preference: np.ndarray
    kind: Kind = "binary"
    name: str = ""

    @property
    def events(self) -> np.ndarray:
        """(n,) bool array: outcome 1, or a grade above the lowest that anyone has; none for a continuous outcome."""
        if self.kind == "continuous" or np.isnan(self.outcome).all():
            return np.zeros(len(self.outcome), dtype=bool)
        return self.outcome > (0 if self.kind == "binary" else np.nanmin(self.outcome))

    def one_row_each(self, rows: np.ndarray) -> np.ndarray:
        """Of these row numbers, one per participant: the most gradable, then the first."""
        rank = np.where(np.isnan(self.preference[rows]), -np.inf, self.preference[rows])
        order = np.lexsort((rows, -rank, self.participant[rows]))
        people = self.participant[rows][order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = people[1:] != people[:-1]
        return np.sort(rows[order[first]])


def study_of(table: pd.DataFrame, outcome: str, kind: Kind = "binary") -> Study:
    """Sort a cohort table and read its outcome.

    Parameters
    ----------
    table : DataFrame
        ``eyes`` or ``participants`` of a cohort. Without a participant_id every row is a person.
    outcome : str
        Column with 0, 1 and missing; a value that is neither counts as missing, as does a column that is not there.
    kind : {"binary", "ordinal", "continuous"}
        Of the outcome; an ordinal or continuous one may have any finite number.
    """
    keys = [c for c in ("participant_id", "visit", "eye", "image_id") if c in table]
    text = pd.DataFrame(
        {c: table[c].astype(object).where(table[c].notna(), "").map(str) for c in keys}, index=table.index
    )
    order = np.lexsort([text[c].to_numpy(dtype=str) for c in reversed(keys)]) if keys else np.arange(len(table))
    table = table.iloc[order].reset_index(drop=True)
    y = numbers(table, outcome)
    if kind == "binary":
        y = np.where(np.isin(y, [0.0, 1.0]), y, np.nan)
    person = np.arange(len(table))
    if "participant_id" in table:
        codes = pd.factorize(table["participant_id"])[0]
        person = np.where(codes >= 0, codes, codes.max(initial=-1) + 1 + person)
    preference = table["gradability"].to_numpy(float) if "gradability" in table else np.full(len(table), np.nan)
    return Study(table, y, person, preference, kind, outcome)


def numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column as float64, NaN where it is missing, not a number or not finite; all NaN if there is no such column."""
    if name not in table:
        return np.full(len(table), np.nan)
    column = table[name]
    if column.dtype == np.float64:
        values = column.to_numpy()
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def code_covariate(table: pd.DataFrame, name: str, categorical: Sequence[str] = ()) -> Covariate:
    """Code one covariate: numbers as they are, anything else as indicators of its levels.

    Parameters
    ----------
    table : DataFrame
    name : str
    categorical : sequence of str
        Covariates to treat as categories even if they are numbers (site codes).
    """
    nothing = np.empty((len(table), 0))
    if name not in table:
        return Covariate(name, (), nothing, problem=f"no column {name!r}")
    column = table[name]
    if column.isna().all():
        return Covariate(name, (), nothing, problem=f"covariate {name!r} is missing throughout")
    as_number = numbers(table, name)
    numeric = pd.api.types.is_numeric_dtype(column) or not (np.isnan(as_number) & column.notna().to_numpy()).any()
    if numeric and name not in categorical:
        return Covariate(name, (name,), as_number[:, None])
    text = column.astype(object).where(column.notna(), None).map(str, na_action="ignore")
    levels = sorted(text.dropna().unique())
    if len(levels) > MAX_CATEGORIES:
        note = f"{name} left out: {len(levels)} categories, more than {MAX_CATEGORIES}"
        return Covariate(name, (), nothing, note=note)
    values = np.column_stack([(text == level).to_numpy(float) for level in levels[1:]]) if levels[1:] else nothing
    values = np.where(text.isna().to_numpy()[:, None], np.nan, values)
    if not levels[1:]:
        return Covariate(name, (name,), np.where(text.isna(), np.nan, 0.0)[:, None])  # constant; its gaps still count
    return Covariate(name, tuple(f"{name}[{level}]" for level in levels[1:]), values)


@dataclass(frozen=True)
class Adjustment:
    """The covariates of a set of rows, ready for any exposure on the same rows.

    Attributes
    ----------
    columns : (n, k) float array
        Standardised covariates that vary and are not collinear; their scale changes nothing but the conditioning.
    span : (n, k + 1) float array
        Orthonormal columns that span the intercept and the covariates.
    covariates : tuple of str
        Names of the covariates that are in it.
    notes : tuple of str
        What was left out, and why.
    """

    columns: np.ndarray
    span: np.ndarray
    covariates: tuple[str, ...]
    notes: tuple[str, ...]

    def design(self, exposures: np.ndarray) -> np.ndarray | None:
        """Put a design together.

        Parameters
        ----------
        exposures : (n, q) float array

        Returns
        -------
        (n, 1 + q + k) float array or None
            Intercept, exposures, covariates. None if an exposure is constant, or a linear combination of the other
            columns: then there is nothing to estimate.
        """
        span = self.span
        for column in exposures.T:
            direction = _outside(column, span)
            if direction is None:
                return None
            span = np.column_stack([span, direction])
        return np.column_stack([np.ones(len(self.columns)), exposures, self.columns])


def adjust(covariates: Sequence[Covariate], rows: np.ndarray) -> Adjustment:
    """Standardise covariates on a set of rows, and leave out what says nothing there.

    Parameters
    ----------
    covariates : sequence of Covariate
        Coded on the whole table.
    rows : (n,) int array
        Rows of the table that the analysis set is.
    """
    n = len(rows)
    span = np.full((n, 1), 1 / np.sqrt(max(n, 1)))
    columns, used, notes = [], [], []
    for covariate in covariates:
        kept = []
        if covariate.note:
            notes.append(covariate.note)
        for index, label in enumerate(covariate.labels):
            column = standardise(covariate.columns[rows, index])
            direction = None if column is None else _outside(column, span)
            if column is None or direction is None:
                why = "constant" if column is None else "a linear combination of the others"
                notes.append(f"{label} left out: {why} in the analysis set")
                continue
            span = np.column_stack([span, direction])
            kept.append(column)
        columns += kept
        used += [covariate.name] if kept else []
    matrix = np.column_stack(columns) if columns else np.empty((n, 0))
    return Adjustment(matrix, span, tuple(used), tuple(notes))


def standardise(values: np.ndarray) -> np.ndarray | None:
    """Return z scores (n - 1 in the variance), or None for a constant (to the rounding of its own size)."""
    if len(values) < 2:
        return None
    centred = values - values.mean()
    sd = float(np.sqrt(centred @ centred / (len(values) - 1)))
    if sd <= 1e-12 * float(np.abs(values).max()):
        return None
    return centred / sd


def _outside(column: np.ndarray, span: np.ndarray) -> np.ndarray | None:
    """Unit vector of a column's part outside an orthonormal span (n, k); None if there is next to nothing."""
    rest = column
    for _ in range(2):  # twice is enough for orthogonality to the last bits
        rest = rest - span @ (rest @ span)
    length = float(np.linalg.norm(rest))
    return rest / length if length > RANK_TOLERANCE * float(np.linalg.norm(column)) else None
