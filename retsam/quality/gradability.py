"""The gradability model: two small logistic regressions, shipped with the package as JSON.

gradability = P(the picture shows a fundus) x P(the fundus can be graded | it is one).

Both parts read a handful of features, each clipped to a range and scaled to 0-1 over it, so that an unusual camera
cannot make one feature decide alone; each coefficient keeps the sign that physics gives it. How the coefficients came
about is recorded in the JSON file itself (``provenance``) and in benchmarks/fit_gradability.py.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

NO_FUNDUS: Final = 0.1
"""Below this probability of a fundus a picture is called ``no_fundus``: low, because a false alarm loses data."""


@dataclass(frozen=True)
class Term:
    """One feature in a logistic regression.

    Attributes
    ----------
    feature : str
        A name of ``features.FEATURES``.
    transform : str
        ``identity``, ``root`` (square root) or ``log`` (natural logarithm of the value plus 0.01).
    low, high : float
        Range, in transformed units, within which the feature counts.
    coefficient : float
        Change of the log odds from the low to the high end of the range.
    """

    feature: str
    transform: str
    low: float
    high: float
    coefficient: float

    def transformed(self, value: ArrayLike) -> NDArray[np.float64]:
        """Feature values of any shape, transformed."""
        x = np.asarray(value, float)
        match self.transform:
            case "identity":
                return x
            case "root":
                return np.sqrt(x)
            case "log":
                return np.log(x + 0.01)
        raise ValueError(f"unknown transform {self.transform!r} of feature {self.feature!r}")

    def scaled(self, value: ArrayLike) -> NDArray[np.float64]:
        """Feature values of any shape, transformed and scaled to 0-1 over the range."""
        return np.clip((self.transformed(value) - self.low) / (self.high - self.low), 0, 1)


@dataclass(frozen=True)
class Logistic:
    """A logistic regression over features."""

    intercept: float
    terms: tuple[Term, ...]

    def probability(self, values: Mapping[str, float]) -> float:
        """Probability, 0-1, for the features of one picture."""
        logit = self.intercept + sum(t.coefficient * float(t.scaled(values[t.feature])) for t in self.terms)
        return float(1 / (1 + np.exp(-logit)))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from the JSON form."""
        return cls(float(content["intercept"]), tuple(Term(**term) for term in content["terms"]))


@dataclass(frozen=True)
class Model:
    """Both parts of the gradability model."""

    fundus: Logistic
    gradable: Logistic

    def gradability(self, values: Mapping[str, float]) -> float:
        """Probability that a photograph can be graded, 0-1, from the features of ``features.measure``."""
        return self.fundus.probability(values) * self.gradable.probability(values)

    def is_no_fundus(self, values: Mapping[str, float]) -> bool:
        """Whether the picture is clearly something other than a fundus."""
        return self.fundus.probability(values) < NO_FUNDUS

    def as_dict(self) -> dict[str, Any]:
        """JSON form; see :func:`load_model`."""
        return asdict(self)


@cache
def load_model() -> Model:
    """Load the model that the package ships (read once per process)."""
    text = resources.files("retsam.quality").joinpath("gradability.json").read_text("utf-8")
    content = json.loads(text)
    return Model(Logistic.from_dict(content["fundus"]), Logistic.from_dict(content["gradable"]))
