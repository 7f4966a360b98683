"""Speed of the association engine, and the coverage of its intervals on simulated cohorts. Run by hand.

python benchmarks/association_speed.py                   100 biomarkers x 4 outcomes x 2 models on 2,000 eyes
python benchmarks/association_speed.py --coverage 2000   2,000 simulated cohorts of 400 people
"""

import argparse
import time

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import norm

from retsam.association import Exposure, associate

OUTCOMES = {"dr": 0.30, "amd": 0.10, "glaucoma": 0.05, "myopia": 0.02}


def cohort(people: int, biomarkers: int, seed: int) -> pd.DataFrame:
    """Eyes with correlated biomarkers, 5 % of them missing, and outcomes of the prevalences above."""
    rng = np.random.default_rng(seed)
    rows = 2 * people
    shared = np.repeat(rng.normal(size=(people, biomarkers)), 2, axis=0)
    values = np.sqrt(0.6) * shared + np.sqrt(0.4) * rng.normal(size=(rows, biomarkers))
    values[rng.uniform(size=values.shape) < 0.05] = np.nan
    table = {
        "participant_id": np.repeat([f"p{i:06d}" for i in range(people)], 2),
        "eye": ["OD", "OS"] * people,
        "image_id": [f"im{i:06d}" for i in range(rows)],
        "gradability": rng.uniform(size=rows),
        "age": np.repeat(rng.normal(60, 10, people), 2),
        "sex": np.repeat(rng.choice(["f", "m"], people), 2),
        **{f"b{i}": values[:, i] for i in range(biomarkers)},
    }
    for name, share in OUTCOMES.items():
        table[name] = (rng.uniform(size=rows) < share).astype(float)
    return pd.DataFrame(table)


def speed(people: int, biomarkers: int) -> None:
    table = cohort(people, biomarkers, seed=0)
    exposures = [Exposure(f"b{i}", f"family{i % 5}") for i in range(biomarkers)]
    total = 0.0
    for outcome in OUTCOMES:
        start = time.perf_counter()
        result = associate(table, table, outcome, biomarkers=exposures)
        total += time.perf_counter() - start
        methods = result["method"].fillna("none").value_counts().to_dict()
        print(f"{outcome}: {len(result)} models, {time.perf_counter() - start:.2f} s, {methods}", flush=True)
    print(f"{biomarkers} biomarkers x {len(OUTCOMES)} outcomes x 2 models x {2 * people} eyes: {total:.1f} s")


def coverage(runs: int, people: int = 400, rho: float = 0.6, truth: float = 0.3) -> None:
    """Coverage, bias and mean standard errors; the outcome has exactly the marginal log odds ratio ``truth``."""
    mix = np.linalg.cholesky([[1.0, rho], [rho, 1.0]])
    rows = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        x = (rng.normal(size=(people, 2)) @ mix.T).ravel()
        latent = (rng.normal(size=(people, 2)) @ mix.T).ravel()
        y = (norm.cdf(latent) < 1 / (1 + np.exp(1 - truth * x))).astype(float)
        table = pd.DataFrame({"participant_id": np.repeat(np.arange(people).astype(str), 2), "x": x, "y": y})
        table["image_id"] = table.index.astype(str)
        line = associate(table, table, "y", biomarkers=["x"], models={"crude": []}).iloc[0]
        b, se = line["log_or"] / line["sd"], line["se"] / line["sd"]
        inside = np.log(line["ci_low"]) / line["sd"] <= truth <= np.log(line["ci_high"]) / line["sd"]
        naive = sm.Logit(y, sm.add_constant(x)).fit(disp=0).bse[1]
        rows.append((b, se, inside, naive, abs(b - truth) <= 1.959964 * naive))
    b, se, inside, naive, inside_naive = np.array(rows, dtype=float).T
    error = np.sqrt(0.95 * 0.05 / runs)
    print(f"{runs} cohorts of {people} people, two eyes, rho {rho}: mean log OR {b.mean():.4f} (truth {truth})")
    print(f"cluster-robust: coverage {inside.mean():.4f} (Monte Carlo error {error:.4f}), mean SE {se.mean():.4f}")
    print(
        f"naive:          coverage {inside_naive.mean():.4f}, mean SE {naive.mean():.4f}; true SD {b.std(ddof=1):.4f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--biomarkers", type=int, default=100)
    parser.add_argument("--coverage", type=int, default=0, metavar="RUNS")
    options = parser.parse_args()
    if options.coverage:
        coverage(options.coverage)
    else:
        speed(options.people, options.biomarkers)
