"""The population that phantoms are drawn from: one documented row per parameter.

A :class:`Parameter` turns a standard score into a value, so that a parameter can be drawn on its own or follow a score
that is correlated with age, the fellow eye or a disease. A table is a tuple of rows; each part of the generator keeps
its own (:data:`CAMERA` here) and :func:`table_markdown` prints them for the documentation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

Distribution = Literal["uniform", "normal", "lognormal", "logit-normal"]


@dataclass(frozen=True)
class Parameter:
    """How one parameter varies in the population.

    Attributes
    ----------
    name : str
        Unique in its table.
    unit : str
        Empty for a pure number.
    distribution : str
        ``uniform`` from ``a`` to ``b``; ``normal`` with mean ``a`` and standard deviation ``b``; ``lognormal`` with
        median ``a`` and standard deviation ``b`` of the natural logarithm; ``logit-normal`` with median ``a`` (0-1) and
        standard deviation ``b`` of the logit.
    a, b : float
        See above; ``b`` is positive.
    meaning : str
        What it is.
    source : str
        Where the numbers come from; "by eye" where they were set beside real photographs.
    low, high : float
        Values beyond them are moved to them.
    """

    name: str
    unit: str
    distribution: Distribution
    a: float
    b: float
    meaning: str
    source: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Refuse numbers that give no distribution."""
        wrong = {
            "uniform": self.b <= self.a,
            "normal": self.b <= 0,
            "lognormal": self.a <= 0 or self.b <= 0,
            "logit-normal": not 0 < self.a < 1 or self.b <= 0,
        }
        if self.distribution not in wrong:
            raise ValueError(f"{self.name}: distribution is {self.distribution!r}; known are {list(wrong)}")
        if wrong[self.distribution] or self.low >= self.high:
            raise ValueError(
                f"{self.name}: {self.a}, {self.b} within {self.low} to {self.high} is no {self.distribution}"
            )

    def at(self, score: float) -> float:
        """Value at a standard score: 0 is the median, and standard normal scores give the stated distribution."""
        if self.distribution == "uniform":
            value = self.a + (self.b - self.a) * float(ndtr(score))
        elif self.distribution == "normal":
            value = self.a + self.b * score
        elif self.distribution == "lognormal":
            value = self.a * math.exp(self.b * score)
        else:
            value = 1.0 / (1.0 + math.exp(-(math.log(self.a / (1.0 - self.a)) + self.b * score)))
        return float(min(max(value, self.low), self.high))


Table = Sequence[Parameter]


def sample(rng: np.random.Generator, table: Table, scores: Mapping[str, float] | None = None) -> dict[str, float]:
    """Draw every parameter of a table.

    Parameters
    ----------
    rng : Generator
        One normal number per row is taken, whatever ``scores`` says.
    table : sequence of Parameter
    scores : mapping of str to float, optional
        Standard scores to use in place of the drawn ones.

    Returns
    -------
    dict of str to float
        In the order of the table.

    Raises
    ------
    ValueError
        For a score of a parameter that the table does not have.
    """
    given = dict(scores or {})
    unknown = set(given) - {row.name for row in table}
    if unknown:
        raise ValueError(f"unknown parameters {sorted(unknown)}; known are {[row.name for row in table]}")
    drawn = rng.standard_normal(len(table)).tolist()
    return {row.name: row.at(given.get(row.name, score)) for row, score in zip(table, drawn, strict=True)}


def table_markdown(table: Table) -> str:
    """Return a table as Markdown: one row per parameter, with its 5th, 50th and 95th percentile."""
    lines = [
        "| parameter | unit | distribution | 5 % | median | 95 % | meaning | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        percentiles = " | ".join(f"{row.at(score):.3g}" for score in (-1.6449, 0.0, 1.6449))
        law = f"{row.distribution} ({row.a:g}, {row.b:g})"
        if math.isfinite(row.low) or math.isfinite(row.high):
            law += f" within {row.low:g} to {row.high:g}"
        lines.append(f"| `{row.name}` | {row.unit} | {law} | {percentiles} | {row.meaning} | {row.source} |")
    return "\n".join(lines) + "\n"
