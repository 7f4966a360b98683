"""Accuracy of the classical engine, apart for the photographs that its constants were chosen on and for the others.

By hand: ``python benchmarks/classical_accuracy.py ../shared/data``, about ten minutes on one core. The folder holds the
sets DRIVE, HRF and IDRiD under their names. Chosen on: DRIVE training, every third photograph of HRF, every second of
IDRiD; checked on: the rest.
"""

import sys
from pathlib import Path

import pandas as pd

from retsam.evaluation import evaluate


def main() -> None:
    root = Path(sys.argv[1])
    drive = evaluate("drive", root / "DRIVE", split="all")
    vessels("DRIVE", drive, drive["split"] == "train")
    hrf = evaluate("hrf", root / "HRF", split="all")
    vessels("HRF", hrf, every(hrf, 3))
    idrid = evaluate("idrid", root / "IDRiD", split="all")
    disc = idrid[idrid["target"] == "optic_disc"]
    for label, part in parts(disc, every(disc, 2)):
        print(f"IDRiD disc, {label} ({len(part)}): Dice {part['dice'].mean():.3f}, least {part['dice'].min():.3f}")
    points = evaluate("idrid_localization", root / "IDRiD", split="all")
    for target, limit in (("optic_disc", 0.5), ("fovea", 1.0)):
        rows = points[points["target"] == target]
        for label, part in parts(rows, every(rows, 2)):
            within = (part["distance_dd"] <= limit).mean()
            print(
                f"IDRiD {target}, {label} ({len(part)}): within {limit} DD {within:.1%}, "
                f"median {part['distance_dd'].median():.3f} DD"
            )


def every(rows: pd.DataFrame, step: int) -> pd.Series:
    """Whether a row's photograph is the first, the 1 + step-th, ... in the order of the names."""
    names = sorted(rows["image_id"].unique())
    return rows["image_id"].isin(names[::step])


def parts(rows: pd.DataFrame, chosen_on: pd.Series) -> list[tuple[str, pd.DataFrame]]:
    return [("chosen on", rows[chosen_on]), ("checked on", rows[~chosen_on])]


def vessels(name: str, rows: pd.DataFrame, chosen_on: pd.Series) -> None:
    keep = rows["target"] == "vessel"
    for label, part in parts(rows[keep], chosen_on[keep]):
        means = part[["dice", "auc", "sensitivity", "specificity", "accuracy", "cldice"]].mean()
        print(f"{name} vessels, {label} ({len(part)}): " + ", ".join(f"{k} {v:.3f}" for k, v in means.items()))


if __name__ == "__main__":
    main()
