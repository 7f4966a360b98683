"""Which rows a model is fitted to, and what all exposures on the same rows share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retsam.association.design import Adjustment, Covariate, Exposure, Kind, Study, adjust
from retsam.association.sandwich import Clusters, clusters_of
from retsam.status import Status


@dataclass(frozen=True)
class Rules:
    """What holds for every line of a table; see :func:`retsam.association.associate`."""

    clustered: bool = True
    min_events: int = 10
    confidence: float = 0.95
    events_per_parameter: float = 10.0
    method: str = "cluster"


@dataclass(frozen=True)
class Sample:
    """The rows of one analysis.

    Attributes
    ----------
    rows : (n,) int array
        Of the study's table, in their order.
    y : (n,) float array
        Outcome.
    person : (n,) int array
        Code of the participant.
    kind : {"binary", "ordinal", "continuous"}
        Of the outcome.
    clusters : Clusters or None
        Rows by person; None where every row is a person.
    adjustment : Adjustment
        Covariates.
    independent : int
        Persons who carry information: the smaller of those with an event row and with another; for a continuous
        outcome all.
    n_events, n_participants, n_participants_events : int
        Counts of the table.
    """

    rows: np.ndarray
    y: np.ndarray
    person: np.ndarray
    kind: Kind
    clusters: Clusters | None
    adjustment: Adjustment
    independent: int
    n_events: int
    n_participants: int
    n_participants_events: int

    @cached_property
    def weights(self) -> np.ndarray:
        """(n,) float array: one over the number of rows of the person."""
        groups = clusters_of(self.person)
        made = np.repeat(1 / groups.sizes, groups.sizes)
        if groups.order is not None:
            made[groups.order] = made.copy()
        return made

    def carriers(self, x: np.ndarray) -> int:
        """Number of persons with a value other than the commonest; where few have one, no robust variance holds.

        Parameters
        ----------
        x : (n,) float array
            Exposure in these rows. If no value is that of half the rows, the median serves.
        """
        return _distinct(self.person[x != np.partition(x, len(x) // 2)[len(x) // 2]])

    def allows(self, exposures: int, rules: Rules) -> bool:
        """Whether the independent events are enough for so many columns of the exposure beside the covariates."""
        slopes = exposures + self.adjustment.columns.shape[1]
        return self.independent >= rules.events_per_parameter * slopes

    def scarcity(self, exposures: int) -> str:
        """The sentence that says they are not."""
        what = "participants" if self.kind == "continuous" else "independent events"
        return f"{self.independent} {what} for {exposures + self.adjustment.columns.shape[1]} parameters"


def sample_of(study: Study, covariates: Sequence[Covariate], rows: np.ndarray, clustered: bool) -> Sample:
    """Gather what a set of rows gives.

    Parameters
    ----------
    study : Study
    covariates : sequence of Covariate
        Known in all these rows.
    rows : (n,) int array
        In increasing order.
    clustered : bool
        Whether the rows of a person belong together; otherwise every row is a person.
    """
    event, person = study.events[rows], study.participant[rows]
    people, cases, others = (_distinct(p) for p in (person, person[event], person[~event]))
    return Sample(
        rows,
        study.outcome[rows],
        person,
        study.kind,
        clusters_of(person) if clustered and len(rows) else None,
        adjust(covariates, rows),
        people if study.kind == "continuous" else min(cases, others),
        int(event.sum()),
        people,
        cases,
    )


def _distinct(codes: np.ndarray) -> int:
    """Number of different codes; they mostly come sorted."""
    return clusters_of(codes).count if len(codes) else 0


class Scope:
    """A study with an adjustment set, or a part of it.

    Parameters
    ----------
    study : Study
    covariates : sequence of Covariate
        Coded on the whole table.
    within : (n,) bool array, optional
        Rows that belong to the part; all if not given.
    one_row : bool
        Whether one row stands for a participant: the most gradable of the complete ones.
    """

    def __init__(
        self, study: Study, covariates: Sequence[Covariate], within: np.ndarray | None = None, one_row: bool = False
    ) -> None:
        self.study, self.covariates, self.one_row = study, tuple(covariates), one_row
        self.within = np.ones(len(study.outcome), dtype=bool) if within is None else within
        self.known = self.within & ~np.isnan(study.outcome)
        self.problems = [c.problem for c in covariates if c.problem]
        self.covered = self.known.copy()
        for covariate in covariates:
            self.covered &= ~np.isnan(covariate.columns).any(axis=1)
        if self.problems:
            self.covered[:] = False
        self._last: tuple[np.ndarray, Sample] | None = None

    def without(self, name: str) -> "Scope":
        """Itself, or a scope without a covariate of that name: an exposure is not adjusted for itself."""
        kept = [c for c in self.covariates if c.name != name]
        return self if len(kept) == len(self.covariates) else Scope(self.study, kept, self.within, self.one_row)

    def sample(self, x: np.ndarray, clustered: bool) -> Sample:
        """Complete rows of an exposure (n,), NaN where missing; the last one is kept, most exposures share it."""
        complete = np.flatnonzero(self.covered & ~np.isnan(x))
        if self._last is None or not np.array_equal(self._last[0], complete):
            rows = self.study.one_row_each(complete) if self.one_row else complete
            self._last = complete, sample_of(self.study, self.covariates, rows, clustered and not self.one_row)
        return self._last[1]

    def left_out(self, x: np.ndarray, sample: Sample) -> dict[str, int]:
        """Counts of the rows that are not in a sample, by reason."""
        measured = self.known & ~np.isnan(x)
        complete = int((self.covered & measured).sum())
        known = int(self.known.sum())
        return {
            "n_unknown_outcome": int(self.within.sum()) - known,
            "n_missing": known - complete,
            "n_missing_exposure": known - int(measured.sum()),
            "n_other_rows": complete - len(sample.rows),
        }

    def why_empty(self, exposure: Exposure) -> str:
        """Why there is not one complete row."""
        table = self.study.table
        if len(table) and not self.within.any():
            return "no row belongs to this part of the table"
        if not self.known.any():
            what = "0 and 1" if self.study.kind == "binary" else "numbers"
            return f"the outcome is unknown in every row, or no column of that name holds {what}"
        if self.problems:
            return "; ".join(self.problems)
        if exposure.name not in table:
            return f"no column {exposure.name!r}"
        status = f"{exposure.name}__status"
        if status not in table:
            return "no row is complete"
        reasons = table.loc[self.known, status].value_counts()
        named = sorted(
            ((str(r), int(n)) for r, n in reasons.items() if r != Status.OK), key=lambda item: (-item[1], item[0])
        )
        return ", ".join(f"{reason}: {n}" for reason, n in named) or "no row is complete"
