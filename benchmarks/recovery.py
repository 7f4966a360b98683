"""Whether the whole workflow finds a true odds ratio; run by hand: python benchmarks/recovery.py --participants 600.

A cohort is simulated in which one biomarker has a stated odds ratio for one outcome, confounded by age. The workflow
then runs from photographs to odds ratios on the true masks, and its estimates are printed beside the truth. Exit code
1 if the age- and sex-adjusted interval misses the truth, or the crude estimate is not biased to the stated side.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

from retsam.phantom import simulate, with_effects

ROOT = Path(__file__).resolve().parent.parent
COHORT = "recovery"


def run_workflow(folder: Path, frame_size: int, cores: int) -> None:
    """Run Snakemake on a simulated cohort, with its true masks in place of a model's."""
    config = {
        "cohort": COHORT,
        "manifest": "cohort/manifest.csv",
        "frame_size": frame_size,
        "shard_size": 64,
        "segmentation": {"masks": "cohort/truth/masks.parquet"},
        "report": {"truth": "cohort/truth/coefficients.csv"},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--directory", str(folder), "--quiet", "rules"]
    command += ["-s", str(ROOT / "Snakefile"), "--configfile", str(folder / "study.yaml")]
    subprocess.run(command, check=True, env=os.environ)


def compare(folder: Path, outcome: str, term: str) -> bool:
    """Print estimates beside the truth; whether the adjusted interval covers and the crude bias has its sign."""
    cohort, results = folder / "cohort", folder / "results" / COHORT
    coefficients = pd.read_csv(cohort / "truth" / "coefficients.csv").set_index(["outcome", "term"])
    stated = coefficients.loc[(outcome, term)]
    table = pd.read_parquet(results / "association" / f"{outcome}.parquet")
    main = (table["analysis"] == "main") & (table["term"] == "per_sd")
    rows = table[main & (table["biomarker"] == term)].set_index("model")
    images = pd.read_parquet(results / "cohort" / "images.parquet").set_index("image_id")[term]
    truth = pd.read_parquet(cohort / "truth" / "biomarkers.parquet").set_index("image_id")[term]
    pair = pd.concat([truth, images], axis=1, keys=["true", "measured"])
    both = pair.dropna()
    error = both["measured"] - both["true"]
    print(
        f"{outcome} on {term}: true mean {stated['mean']:.4g}, SD {stated['sd']:.4g}, correlation with age "
        f"{stated['correlation_with_age']:.3f}, OR of age {coefficients.loc[(outcome, 'age'), 'odds_ratio']:.2f}"
    )
    print(
        f"photographs: {len(pair)}, with a true value {pair['true'].notna().sum()}, measured "
        f"{pair['measured'].notna().sum()}, both {len(both)}; correlation {both.corr().iloc[0, 1]:.3f}, "
        f"median absolute error {error.abs().median():.4g}, mean error {error.mean():.4g}, SD of the measured "
        f"{both['measured'].std():.4g}"
    )
    per_sd = {m: math.exp(stated["log_odds_ratio"] * r["sd"] / stated["sd"]) for m, r in rows.iterrows()}
    print(f"true OR {stated['odds_ratio']:.3f} per true SD; crude bias stated {stated['crude_bias']:+d}")
    for model, row in rows.iterrows():
        print(
            f"{model:8s} OR {row['or']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f}), truth per this SD "
            f"{per_sd[model]:.3f}; n {row['n']}, events {row['n_events']}, people {row['n_participants']}, "
            f"{row['method']}"
        )
    adjusted, crude = rows.loc["age_sex"], rows.loc["crude"]
    covers = bool(adjusted["ci_low"] <= stated["odds_ratio"] <= adjusted["ci_high"])
    biased = bool((crude["or"] - stated["odds_ratio"]) * stated["crude_bias"] > 0)
    print(f"age_sex interval covers the truth: {covers}; crude estimate biased as stated: {biased}")
    return covers and biased


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frame-size", type=int, default=512)
    parser.add_argument("--effect", default="dr:crae_knudtson_um=1.6", metavar="OUTCOME:TERM=OR")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where everything is kept; a temporary folder by default")
    options = parser.parse_args()
    outcome, term = options.effect.partition("=")[0].split(":")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        start = time.perf_counter()
        models = with_effects([options.effect])
        simulate(
            folder / "cohort", options.participants, options.seed, options.frame_size, options.workers, models=models
        )
        simulated = time.perf_counter()
        run_workflow(folder, options.frame_size, options.workers)
        print(f"simulated in {simulated - start:.0f} s, workflow in {time.perf_counter() - simulated:.0f} s")
        return 0 if compare(folder, outcome, term) else 1


if __name__ == "__main__":
    sys.exit(main())
