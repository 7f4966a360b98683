"""Type-I error of the terms and analyses beside the effect per SD; run by hand: python benchmarks/association_terms.py.

Tables without an effect: people with two eyes, exposure and outcome correlated between fellow eyes (rho 0.6), adjusted
for age and sex. Prints the share of p values below 0.05 by analysis and term; see docs/analyses.md.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.stats import norm

from retsam.association import Extras, associate

RHO = 0.6
EXTRAS = Extras(quartiles=True, nonlinearity=True, interactions=("sex",), sensitivity=("one_eye",))


def null_table(people: int, seed: int) -> pd.DataFrame:
    """Eyes of people whose outcome does not depend on ``x``."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.cholesky([[1, RHO], [RHO, 1]])
    x = rng.normal(size=(people, 2)) @ mix.T
    y = norm.cdf(rng.normal(size=(people, 2)) @ mix.T) < 0.3
    columns = {
        "participant_id": np.repeat(np.arange(people).astype(str), 2),
        "image_id": np.arange(2 * people).astype(str),
        "gradability": rng.uniform(size=2 * people),
        "age": np.repeat(rng.normal(60, 10, people), 2),
        "sex": np.repeat(rng.choice(["f", "m"], people), 2),
    }
    return pd.DataFrame({**columns, "x": x.ravel(), "dr": y.ravel().astype(float)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=400)
    parser.add_argument("--people", type=int, default=300)
    options = parser.parse_args()
    made = []
    for seed in range(options.tables):
        table = null_table(options.people, seed)
        models = {"age_sex": ["age", "sex"]}
        made.append(associate(table, table, "dr", biomarkers=["x"], models=models, extras=EXTRAS))
    lines = pd.concat(made)
    for (analysis, term), p in lines.groupby(["analysis", "term"], sort=False)["p"]:
        print(f"{analysis:8s} {term:16s} tables {p.notna().sum():4d}, p < 0.05: {(p < 0.05).mean():.4f}")


if __name__ == "__main__":
    main()
