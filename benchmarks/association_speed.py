"""Speed of the association engine; run by hand: python benchmarks/association_speed.py.

By default 100 biomarkers x 4 outcomes x 2 models on 2,000 eyes.
"""

import argparse
import time

import numpy as np
import pandas as pd

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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--biomarkers", type=int, default=100)
    options = parser.parse_args()
    speed(options.people, options.biomarkers)
