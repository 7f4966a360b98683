"""The table of parameters: each distribution is the one it says, and every draw takes as many numbers."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from retsam.phantom import population
from retsam.phantom.population import Parameter, sample, table_markdown

LAWS = {
    "uniform": (Parameter("p", "", "uniform", -2.0, 3.0, "", ""), stats.uniform(-2.0, 5.0).cdf),
    "normal": (Parameter("p", "", "normal", 1.0, 0.5, "", ""), stats.norm(1.0, 0.5).cdf),
    "lognormal": (Parameter("p", "", "lognormal", 2.0, 0.3, "", ""), stats.lognorm(0.3, scale=2.0).cdf),
    "logit-normal": (
        Parameter("p", "", "logit-normal", 0.2, 0.8, "", ""),
        lambda x: stats.norm(logit(0.2), 0.8).cdf(logit(x)),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_standard_scores_give_the_stated_distribution(name: str) -> None:
    row, distribution = LAWS[name]
    for score in (-2.5, -1.0, 0.0, 0.7, 2.0):
        assert distribution(row.at(score)) == pytest.approx(stats.norm.cdf(score), abs=1e-9)


def test_limits_hold() -> None:
    row = Parameter("p", "", "normal", 0.0, 1.0, "", "", -0.5, 1.5)
    assert [row.at(score) for score in (-9.0, 0.3, 9.0)] == [-0.5, 0.3, 1.5]


def test_as_many_numbers_are_taken_whatever_is_given() -> None:
    rows = [Parameter(name, "", "normal", 0.0, 1.0, "", "") for name in "abc"]
    first, second = np.random.default_rng(1), np.random.default_rng(1)
    free, held = sample(first, rows), sample(second, rows, {"b": 2.0})
    assert first.random() == second.random()
    assert held == {**free, "b": 2.0}
    with pytest.raises(ValueError, match="size"):
        sample(first, rows, {"size": 0.0})


@pytest.mark.parametrize(
    ("distribution", "a", "b"),
    [("uniform", 1.0, 1.0), ("normal", 0.0, 0.0), ("lognormal", -1.0, 1.0), ("logit-normal", 1.0, 1.0), ("beta", 1, 2)],
)
def test_numbers_that_give_no_distribution_are_refused(distribution: str, a: float, b: float) -> None:
    with pytest.raises(ValueError, match=r"height.*(uniform|normal|beta)"):
        Parameter("height", "", distribution, a, b, "", "")  # type: ignore[arg-type]


def test_every_table_is_documented() -> None:
    tables = [value for value in vars(population).values() if isinstance(value, tuple) and value]
    assert len(tables) >= 4
    for table in tables:
        names = [row.name for row in table]
        assert len(set(names)) == len(names)
        assert all(row.meaning and row.source for row in table)
        lines = table_markdown(table).splitlines()
        assert len(lines) == 2 + len(table)
        assert len({line.count("|") for line in lines}) == 1
