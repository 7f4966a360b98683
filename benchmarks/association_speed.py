"""Speed and memory of the association engine; run by hand: python benchmarks/association_speed.py.

By default 100 biomarkers x 4 outcomes x 3 models on 100,000 eyes, the declared analysis alone; --extras adds what the
workflow adds by default (quartiles, splines, one eye of each person). One process; the workflow has one job for each
outcome, so that two cores halve the time. CPU seconds are given beside the clock's, which other programs stretch.

--gee FITS holds it against a plain loop of statsmodels' GEE on 10,000 eyes.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import statsmodels.api as sm

from retsam.association import Exposure, associate
from retsam.association.analyses import Extras

OUTCOMES = {"dr": 0.30, "amd": 0.10, "glaucoma": 0.05, "myopia": 0.02}
MODELS = {"crude": [], "age_sex": ["age", "sex"], "full": ["age", "sex", "sbp", "bmi"]}
BY_DEFAULT = Extras(quartiles=True, nonlinearity=True, sensitivity=("one_eye",))


def cohort(people: int, biomarkers: int, seed: int = 0) -> pd.DataFrame:
    """Eyes with biomarkers that fellow eyes share, 5 % of them missing, and outcomes of the prevalences above."""
    rng = np.random.default_rng(seed)
    rows = 2 * people
    table = {
        "participant_id": np.repeat([f"p{i:07d}" for i in range(people)], 2),
        "eye": ["OD", "OS"] * people,
        "image_id": [f"im{i:07d}" for i in range(rows)],
        "gradability": rng.uniform(size=rows),
        "age": np.repeat(rng.normal(60, 10, people), 2),
        "sex": np.repeat(rng.choice(["f", "m"], people), 2),
        "sbp": np.repeat(rng.normal(130, 15, people), 2),
        "bmi": np.repeat(rng.normal(26, 4, people), 2),
        **{name: (rng.uniform(size=rows) < share).astype(float) for name, share in OUTCOMES.items()},
    }
    for i in range(biomarkers):
        values = np.sqrt(0.6) * np.repeat(rng.normal(size=people), 2) + np.sqrt(0.4) * rng.normal(size=rows)
        values[rng.uniform(size=rows) < 0.05] = np.nan
        table[f"b{i}"] = values
    return pd.DataFrame(table)


def peak() -> float:
    """Largest memory that the process has had, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def speed(people: int, biomarkers: int, outcomes: int, extras: Extras) -> None:
    table = cohort(people, biomarkers)
    size = table.memory_usage(deep=False).sum() / 1e9
    print(
        f"{len(table)} eyes x {biomarkers} biomarkers: table {size:.2f} GB, memory before {peak():.2f} GB", flush=True
    )
    exposures = [Exposure(f"b{i}", f"family{i % 5}") for i in range(biomarkers)]
    total = np.zeros(2)
    for outcome in list(OUTCOMES)[:outcomes]:
        made: list[pd.DataFrame] = []

        def work(outcome: str = outcome, made: list[pd.DataFrame] = made) -> None:
            made.append(associate(table, table, outcome, biomarkers=exposures, models=MODELS, extras=extras))

        seconds = timed(work)
        total += seconds
        methods = made[0]["method"].fillna("none").value_counts().to_dict()
        shown = f"{len(made[0])} lines, {seconds[0]:.1f} s, {seconds[1]:.1f} CPU s"
        print(f"{outcome}: {shown}, {methods}, peak {peak():.2f} GB", flush=True)
    print(f"together {total[0]:.1f} s, {total[1]:.1f} CPU s; peak {peak():.2f} GB")


def against_gee(fits: int) -> None:
    """Both on 10,000 eyes, age and sex adjusted: seconds of the processor for each fit."""
    table = cohort(5000, fits)
    names = [f"b{i}" for i in range(fits)]
    model = {"age_sex": MODELS["age_sex"]}

    def loop() -> None:
        for name in names:
            whole = table.dropna(subset=[name])
            design = pd.DataFrame({"one": 1.0, "x": whole[name], "age": whole["age"], "sex": whole["sex"] == "m"})
            design = design.astype(float)
            design["x"] = (design["x"] - design["x"].mean()) / design["x"].std()
            working = sm.cov_struct.Exchangeable()
            person = whole["participant_id"]
            sm.GEE(whole["dr"], design, person, family=sm.families.Binomial(), cov_struct=working).fit().summary()

    ours = timed(lambda: associate(table, table, "dr", biomarkers=names, models=model))[1] / fits
    gee = timed(lambda: associate(table, table, "dr", biomarkers=names, models=model, method="gee"))[1] / fits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = timed(loop)[1] / fits
    print(f"10,000 eyes, CPU ms a fit: by person {1e3 * ours:.1f}, GEE {1e3 * gee:.1f}, statsmodels {1e3 * theirs:.0f}")
    print(f"statsmodels takes {theirs / ours:.0f} and {theirs / gee:.0f} times as long")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--biomarkers", type=int, default=100)
    parser.add_argument("--outcomes", type=int, default=len(OUTCOMES))
    parser.add_argument("--extras", action="store_true", help="also what the workflow does by default")
    parser.add_argument("--gee", type=int, default=0, metavar="FITS", help="only this: the loop of statsmodels' GEE")
    options = parser.parse_args()
    if options.gee:
        against_gee(options.gee)
    else:
        chosen = BY_DEFAULT if options.extras else Extras()
        speed(options.people, options.biomarkers, options.outcomes, chosen)
