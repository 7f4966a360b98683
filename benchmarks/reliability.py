"""How far two human observers, or the two eyes of a person, agree on each biomarker; are manual masks measurable.

By hand: ``python benchmarks/reliability.py ../shared/data --write`` measures the manual masks of DRIVE (both parts, two
observers of the test part) and HRF, a few minutes on one core. It stops at a value without a reason, prints how the
values lie in plausible ranges, and writes ``retsam/biomarkers/reliability.csv``. ``--results results/odir --write``
alone adds right against left eye of a cohort that the workflow has run on, and leaves the other rows as they are.
``make config`` then makes docs/reliability.md.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retsam import tables
from retsam.agreement import Agreement, agreement
from retsam.biomarkers import REGISTRY, exposures, measure_table
from retsam.biomarkers.reliability import TABLE, reliability
from retsam.datasets import Case, Dataset, get_dataset
from retsam.io.images import read_image
from retsam.io.masks import encode
from retsam.segmentation import load_engine
from retsam.status import Status
from retsam.taxonomy import FOV

SIZE = 1024
COLUMNS = ["biomarker", "source", *(field.name for field in fields(Agreement))]
ANATOMY = {"vessel", "optic_disc", "fovea"}
PLAUSIBLE = {
    "vessel_fd_box_skeleton": (1.3, 1.7),  # two-dimensional, typical
    "artery_fd_box_skeleton": (1.27, 1.72),  # published samples of RetSAM, by larger boxes: docs/agreement.md
    "vein_fd_box_skeleton": (1.27, 1.72),
    "zone_b_width_ratio": (0.65, 0.87),  # published samples of RetSAM: of the three widest, not of central equivalents
    "avr_knudtson": (0.53, 0.71),  # the same where all six vessels are equally wide: 1.748430 / 2.137611 of it
    "disc_ovality": (0.73, 1.0),
    "artery_to_vein_calibre": (0.75, 0.93),  # QUARTZ: 86.9 over 103.1 um (UK Biobank), 75.1 over 91.4 um (EPIC)
}
"""Ranges that others report of whole populations; most values should lie in them, not all."""


def rows_of(adapter: Dataset, case: Case) -> Iterator[dict[str, Any]]:
    """Rows of a masks table: all targets of the first observer, and the others' vessels as images of their own.

    Disc and fovea come from the set, else from the classical engine, the same for all observers.
    """
    pixels = read_image(case.photograph)
    framed = adapter.frame(pixels, SIZE, case.image_id)
    if framed.frame is None or framed.image is None or framed.fov is None:
        raise SystemExit(f"{case.image_id}: {framed.message}")
    shape = pixels.shape[:2]
    found = load_engine("classical").predict(framed.image[None], framed.fov[None])[0]
    own = {t: framed.frame.warp(m.read(shape)[0]) for t, m in case.masks.items()}
    shared = {t: own[t] if t in own else found.masks.get(t) for t in ("optic_disc", "fovea")}
    seen = framed.frame.warp(case.fov.read(shape)[0]) if case.fov else framed.fov
    by_observer = {case.image_id: own}
    for observer, masks in case.observers.items():
        by_observer[f"{case.image_id} {observer}"] = {t: framed.frame.warp(m.read(shape)[0]) for t, m in masks.items()}
    for image_id, masks in by_observer.items():
        for target, mask in {FOV: seen, **shared, **masks}.items():
            row = {"image_id": image_id, "target": target, **framed.frame.as_row()}
            x, y = found.points.get(target, (None, None)) if target == "fovea" else (None, None)
            if mask is None:
                yield row | {"status": Status.NOT_VISIBLE.value}
            else:
                yield row | {"status": "ok", "rle": encode(mask), "area_px": np.count_nonzero(mask), "x": x, "y": y}


def measure(name: str, root: Path, split: str) -> pd.DataFrame:
    """Biomarkers of the manual masks of a set, a row for each photograph and observer."""
    adapter = get_dataset(name)
    rows = [row for case in adapter.cases(root, split) for row in rows_of(adapter, case)]
    result = measure_table(pd.DataFrame(rows, columns=tables.MASKS.names))
    check(result, name)
    return result


def check(result: pd.DataFrame, name: str) -> None:
    """Stop at a value that is neither finite nor missing with a declared reason, and print how many are which."""
    reasons: dict[str, int] = {}
    for biomarker in exposures():
        status = result[f"{biomarker.name}__status"]
        if ((status == Status.OK) != np.isfinite(result[biomarker.name])).any():
            raise SystemExit(f"{name}: {biomarker.name} has a value without the status ok, or the other way round")
        for reason, count in status.value_counts().items():
            if reason == Status.FAILED or reason not in biomarker.statuses:
                raise SystemExit(f"{name}: {biomarker.name} is {reason} in {count} photographs")
            reasons[str(reason)] = reasons.get(str(reason), 0) + int(count)
    print(f"{name}: {len(result)} sets of masks; values by status: {reasons}")


def plausibility(result: pd.DataFrame, name: str) -> None:
    """Print where the values lie against the ranges that others report."""
    ratio = result["artery_calibre_length_weighted"] / result["vein_calibre_length_weighted"]
    widest = result["artery_zone_b_width_top3_mean"] / result["vein_zone_b_width_top3_mean"]
    values = result.assign(artery_to_vein_calibre=ratio, zone_b_width_ratio=widest)
    for column, (low, high) in PLAUSIBLE.items():
        known = values[column].dropna()
        if len(known):
            inside = known.between(low, high).mean()
            print(
                f"  {name} {column}: n {len(known)}, median {known.median():.3f}, {known.min():.3f} to "
                f"{known.max():.3f}; {inside:.0%} in {low} to {high}"
            )


def pairs(first: pd.DataFrame, second: pd.DataFrame, names: list[str], source: str) -> pd.DataFrame:
    """Agreement of two tables with the same rows, without biomarkers of fewer than three pairs or a single value."""
    rows = [{"biomarker": n, "source": source, **asdict(agreement(first[n], second[n]))} for n in names]
    return pd.DataFrame(rows, columns=COLUMNS).query("n >= 3 and icc.notna()")


def observers(drive: pd.DataFrame) -> pd.DataFrame:
    """Agreement of the two observers on what is measured on vessels."""
    second = drive[drive["image_id"].str.endswith(" observer2")]
    first = drive.set_index("image_id").loc[second["image_id"].str.removesuffix(" observer2")]
    names = [b.name for b in exposures() if "vessel" in b.requires and set(b.requires) <= ANATOMY]
    return pairs(first, second, names, "drive_observers")


def eyes(results: Path) -> pd.DataFrame:
    """Agreement of right and left eyes in a cohort that the workflow has measured."""
    table = tables.read_table(results / "cohort" / "eyes.parquet")
    if table.empty:
        raise SystemExit(f"{results}: the cohort has no eyes")
    if "disc_size_plausible" in table:
        table = table[~table["disc_size_plausible"].eq(0)]  # their disc diameters, the unit of most, are none
    key = table[["participant_id", "visit"]].astype(object).fillna("").astype(str).agg("\n".join, axis=1)
    sides = [table[table["eye"] == side].set_index(key[table["eye"] == side]) for side in ("OD", "OS")]
    both = sides[0].index.intersection(sides[1].index)
    print(f"{results.name}: {len(both)} persons with both eyes (visits count apart)")
    right, left = (side.loc[both] for side in sides)
    names = [b.name for b in exposures() if b.name in table]
    return pairs(right, left, names, "eyes_odir")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder with DRIVE and HRF")
    parser.add_argument("--results", type=Path, help="results of the workflow on ODIR-5K, for right against left eyes")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    options = parser.parse_args()
    if not (options.data or options.results):
        parser.error("give the folder with DRIVE and HRF, or --results of the workflow")
    parts = []
    sets = (("drive", "DRIVE", "test"), ("drive", "DRIVE", "train"), ("hrf", "HRF", "all"))
    for name, folder, split in sets if options.data else ():
        result = measure(name, options.data / folder, split)
        plausibility(result, f"{name} {split}")
        if split == "test":
            parts.append(observers(result))
    if options.results:
        parts.append(eyes(options.results))
    fresh = pd.concat(parts, ignore_index=True)
    print(fresh.groupby("source")[["icc", "noise"]].describe().T.to_string())
    if options.write:
        kept = reliability() if TABLE.is_file() else fresh.iloc[:0]
        whole = pd.concat([kept[~kept["source"].isin(fresh["source"])], fresh], ignore_index=True)
        whole = whole[whole["biomarker"].isin(list(REGISTRY))]
        tables.write_bytes(whole.to_csv(index=False, float_format="%.4g", lineterminator="\n"), TABLE)


if __name__ == "__main__":
    main()
