"""Errors and coverage of the estimators on simulated tables; run by hand: python benchmarks/association_simulation.py.

300 people with two eyes; exposure and outcome are correlated between fellow eyes (rho 0.6), the exposure depends on
age, and so does the outcome. Each eye follows its model exactly: the outcome is drawn through a Gaussian copula. All
estimates are adjusted for age and sex. By person: the package's default; GEE: its alternative; one eye: one eye drawn
of each person; naive: every eye taken for a person of its own.

Firth: 8 cases among 100 people, so that a part of the tables is separated and has no finite maximum-likelihood
estimate. Prints the tables of docs/associations.md.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from retsam.association.estimate import Fit
from retsam.association.gee import fit_gee
from retsam.association.linear import linear
from retsam.association.models import fit_firth, fit_logit, is_separated
from retsam.association.ordinal import ordinal

PEOPLE = 300
RHO = 0.6
OTHERWISE = 0.3  # log odds ratio of age
CASES, CONTROLS = 8, 92


@dataclass(frozen=True)
class Table:
    """A simulated table: outcome (n,), design (n, 4), person (n,)."""

    y: np.ndarray
    design: np.ndarray
    person: np.ndarray


@dataclass(frozen=True)
class Scenario:
    """What the outcome is.

    ``cuts`` are log odds that an eye at the mean is above them: one for a binary outcome, several for a grade, none for
    a continuous trait. ``rho`` is the correlation of the outcome between fellow eyes.
    """

    name: str
    cuts: tuple[float, ...]
    rho: float = RHO

    def draw(self, rng: np.random.Generator, effect: float) -> Table:
        """One table with this coefficient of the exposure."""
        person = np.repeat(np.arange(PEOPLE), 2)
        age, sex = rng.normal(size=PEOPLE)[person], rng.integers(0, 2, PEOPLE)[person].astype(float)
        x = 0.3 * age + math.sqrt(1 - 0.3**2) * _pairs(rng, RHO, person)
        noise = _pairs(rng, self.rho, person)
        mean = effect * x + OTHERWISE * age
        if not self.cuts:
            y = mean + noise
        else:
            level = mean + logit(norm.cdf(noise))
            y = (level[:, None] > -np.array(self.cuts)).sum(axis=1).astype(float)
        return Table(y, np.column_stack([np.ones(len(x)), x, age, sex]), person)


def _pairs(rng: np.random.Generator, rho: float, person: np.ndarray) -> np.ndarray:
    """Standard normal values of eyes, correlated between fellow eyes."""
    return math.sqrt(rho) * rng.normal(size=PEOPLE)[person] + math.sqrt(1 - rho) * rng.normal(size=len(person))


SCENARIOS = (
    Scenario("eye's outcome, 25 % cases", (-1.15,)),
    Scenario("eye's outcome, 10 % cases", (-2.3,)),
    Scenario("eyes alike (rho 1), 25 % cases", (-1.15,), rho=1.0),
    Scenario("grade of 4 levels", (0.0, -1.0, -2.0)),
    Scenario("continuous trait", ()),
)


def fits(scenario: Scenario, table: Table, rng: np.random.Generator) -> dict[str, Fit | None]:
    """The estimates of one table."""
    one = 2 * np.arange(PEOPLE) + rng.integers(0, 2, PEOPLE)
    if len(scenario.cuts) == 1:
        return {
            "by person": fit_logit(table.y, table.design, table.person),
            "GEE": fit_gee(table.y, table.design, table.person),
            "one eye": fit_logit(table.y[one], table.design[one], None),
            "naive": fit_logit(table.y, table.design, None),
        }
    model: Callable[..., object] = ordinal if scenario.cuts else linear
    every = {"by person": (slice(None), table.person), "one eye": (one, None), "naive": (slice(None), None)}
    return {name: model(table.y[rows], table.design[rows], by).line() for name, (rows, by) in every.items()}


def eyes(scenario: Scenario, runs: int, effect: float, seed: list[int]) -> dict[str, tuple[float, float, float, float]]:
    """Per estimator: share of p < 0.05, coverage of the 95 % interval, mean estimate, mean error / spread."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for run in range(runs):
        rng = np.random.default_rng([*seed, run])
        for name, fit in fits(scenario, scenario.draw(rng, effect), rng).items():
            row = (fit.p < 0.05, fit.ci_low <= effect <= fit.ci_high, fit.log_or, fit.se) if fit else (np.nan,) * 4
            found.setdefault(name, []).append(row)
    made = {}
    for name, rows in found.items():
        rejected, covered, estimate, error = np.array(rows, dtype=float).T
        made[name] = (rejected.mean(), covered.mean(), estimate.mean(), error.mean() / estimate.std(ddof=1))
    return made


def few_cases(kind: str, runs: int, effect: float, seed: int) -> tuple[float, float, float, float, float]:
    """Firth on 8 cases: shares separated, finite and covered, coverage where separated, share with a profile interval.

    ``continuous``: the exposure is N(0, 1) in controls and N(effect, 1) in cases, which makes `effect` its log odds
    ratio exactly. ``binary``: 10 % of controls have it, and cases at the odds ratio.
    """
    rows = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        y = np.r_[np.ones(CASES), np.zeros(CONTROLS)]
        if kind == "continuous":
            x = rng.normal(size=len(y)) + effect * y
        else:
            x = (rng.uniform(size=len(y)) < expit(logit(0.1) + effect * y)).astype(float)
        if x.std() == 0:
            continue
        design = np.column_stack([np.ones(len(y)), x, rng.normal(size=len(y))])
        fit = fit_firth(y, design)
        finite = fit is not None and bool(np.isfinite([fit.log_or, fit.se, fit.ci_low, fit.ci_high]).all())
        covered = finite and fit.ci_low <= effect <= fit.ci_high
        rows.append((is_separated(y, design), finite, covered, finite and fit.ci_method == "profile"))
    separated, finite, covered, profile = np.array(rows, dtype=float).T
    among = covered[separated == 1].mean() if separated.any() else math.nan
    return separated.mean(), finite.mean(), covered.mean(), among, profile.mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--null", type=int, default=4000, help="tables without an effect")
    parser.add_argument("--cohorts", type=int, default=4000, help="tables with one")
    parser.add_argument("--odds-ratio", type=float, default=1.35)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    effect = math.log(options.odds_ratio)
    print(f"\n{options.null} null tables, {options.cohorts} with a coefficient of {effect:.3f}\n", flush=True)
    print("| outcome | estimator | rejected at 5 % without an effect | coverage of 95 % | mean estimate | SE / SD |")
    print("|---|---|---|---|---|---|")
    for number, scenario in enumerate(SCENARIOS):
        null = eyes(scenario, options.null, 0.0, [options.seed, number, 0])
        made = eyes(scenario, options.cohorts, effect, [options.seed, number, 1])
        for name, (_, coverage, mean, ratio) in made.items():
            cells = f"{null[name][0]:.4f} | {coverage:.3f} | {mean:.3f} | {ratio:.3f}"
            print(f"| {scenario.name} | {name} | {cells} |", flush=True)
    print(f"\nFirth, {CASES} cases and {CONTROLS} controls, {options.cohorts} tables\n")
    print("| exposure | odds ratio | separated | finite | profile interval | coverage | where separated |")
    print("|---|---|---|---|---|---|---|")
    for kind, ratio in (("continuous", 1.35), ("continuous", math.exp(4)), ("binary", 1.35), ("binary", 8.0)):
        apart, finite, cover, among, profile = few_cases(kind, options.cohorts, math.log(ratio), options.seed)
        cells = f"{ratio:.4g} | {apart:.3f} | {finite:.3f} | {profile:.3f} | {cover:.3f} | {among:.3f}"
        print(f"| {kind} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
