"""Coverage of the 95 % intervals on simulated cohorts without images; run by hand: python benchmarks/coverage.py.

Each cohort has 300 to 600 people with two eyes and an outcome that depends on age and on one phenotype that is
confounded by age (odds ratio 1.6 per SD). The package's default variance (cluster-robust by person, CR1, t) is held
against the one that takes every eye for a person of its own.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retsam.association.models import fit_logit
from retsam.phantom.cohort import OutcomeModel, age_score, draw_outcomes, sample_eyes

TRUTH = math.log(1.6)
MODEL = OutcomeModel("dr", -0.8, age=0.6, terms={"calibre": TRUTH})
PEOPLE = (300, 600)


@dataclass(frozen=True)
class Coverage:
    """Per cohort, arrays (runs,): the estimate, and standard error and whether the interval covers, by two variances.

    Attributes
    ----------
    estimate, robust_se, naive_se : float64
    robust, naive : bool
    crude : float64
        Estimate without age.
    """

    estimate: np.ndarray
    robust_se: np.ndarray
    naive_se: np.ndarray
    robust: np.ndarray
    naive: np.ndarray
    crude: np.ndarray


def coverage(seeds: Sequence[int], rho: float = 0.6) -> Coverage:
    """Simulate a cohort for each seed and fit it.

    Parameters
    ----------
    seeds : sequence of int
    rho : float
        Correlation of the phenotype between fellow eyes.
    """
    rows = []
    for seed in seeds:
        people = int(np.random.default_rng(seed).integers(PEOPLE[0], PEOPLE[1] + 1))
        eyes, _ = draw_outcomes(sample_eyes(people, seed, rho=rho), [MODEL])
        eyes = eyes[eyes["dr"].notna()]
        x, age = eyes["latent_calibre"].to_numpy(), age_score(eyes["age"].to_numpy())
        one = np.ones(len(eyes))
        y, person = eyes["dr"].to_numpy(), eyes["participant_index"].to_numpy()
        robust = fit_logit(y, np.column_stack([one, x, age]), person)
        naive = fit_logit(y, np.column_stack([one, x, age]), None)
        crude = fit_logit(y, np.column_stack([one, x]), person)
        inside = [fit.ci_low <= TRUTH <= fit.ci_high for fit in (robust, naive)]
        rows.append((robust.log_or, robust.se, naive.se, *inside, crude.log_or))
    estimate, robust_se, naive_se, by_robust, by_naive, crude = np.array(rows, dtype=float).T
    return Coverage(estimate, robust_se, naive_se, by_robust == 1, by_naive == 1, crude)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first cohort")
    parser.add_argument("--rho", type=float, default=0.6, help="correlation between the eyes of a person")
    options = parser.parse_args()
    done = coverage(range(options.seed, options.seed + options.cohorts), options.rho)
    n = len(done.estimate)
    print(f"{n} cohorts of {PEOPLE[0]}-{PEOPLE[1]} people, two eyes, rho {options.rho}, log OR {TRUTH:.4f}")
    print(
        f"mean estimate {done.estimate.mean():.4f}, crude {done.crude.mean():.4f}; SD {done.estimate.std(ddof=1):.4f}"
    )
    for name, inside, se in (("by person", done.robust, done.robust_se), ("by eye", done.naive, done.naive_se)):
        error = math.sqrt(inside.mean() * (1 - inside.mean()) / n)
        print(f"{name:9s}: coverage {inside.mean():.3f} (Monte Carlo error {error:.3f}), mean SE {se.mean():.4f}")


if __name__ == "__main__":
    main()
