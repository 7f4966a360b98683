"""Closed loop: measure the truth masks of random phantoms and compare with the generator's own values.

    python benchmarks/closed_loop.py [--phantoms 60] [--frame 1024] [--seed 0] [--healthy] [--out table.md]

No segmentation is involved: what differs is the pixel grid, the measurement, and where truth and measurement define a
thing differently (see ``retsam/phantom/truth.py``). Acceptance: median absolute error at most 1 px of the frame for
calibres, 2 % for arc/chord tortuosity and areas, 0.01 for cup-disc ratios, exact numbers of separate lesions.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from retsam.biomarkers import REGISTRY, measure_table
from retsam.phantom import truth
from retsam.phantom.compose import Phantom, render
from retsam.phantom.simulate import mask_rows, um_per_px

PHOTOGRAPH = 384
"""Size of the photographs, pixels: nothing but the field of view is taken from them."""
PX = {"calibre": {"dd", "um"}, "disc_cup": {"dd"}}
"""Families and units whose errors are also given in frame pixels."""


def compare(phantoms: Iterator[Phantom], frame_size: int) -> pd.DataFrame:
    """Measure phantoms and put truth beside.

    Parameters
    ----------
    phantoms : iterator of Phantom
    frame_size : int
        Pixels, a multiple of 64.

    Returns
    -------
    DataFrame
        One row per phantom and biomarker: ``number``, ``biomarker``, ``true``, ``measured``, ``status``,
        ``px_per_unit`` (frame pixels per unit of a length, else NaN), ``whole_disc`` (the disc is wholly in view),
        ``apart`` (lesions touch neither each other nor the border).
    """
    rows = []
    for number, phantom in enumerate(phantoms):
        masks = pd.DataFrame(mask_rows(str(number), phantom, frame_size))
        measured = measure_table(masks).iloc[0]
        scale = um_per_px(phantom.view)
        own = truth.values(phantom.anatomy, phantom.view, um_per_px=scale)
        px_per_degree = phantom.view.grid.in_frame(phantom.frame(frame_size)).scale
        px = {
            "dd": phantom.anatomy.disc_diameter * px_per_degree,
            "um": px_per_degree / phantom.view.grid.scale / scale,
        }
        whole = bool(truth.within(phantom.view, phantom.anatomy.disc.points).all())
        for name, value in own.items():
            entry = REGISTRY[name]
            length = entry.unit in PX.get(entry.family, ())
            rows.append(
                {
                    "number": number,
                    "biomarker": name,
                    "true": value,
                    "measured": measured[name],
                    "status": measured[f"{name}__status"],
                    "whole_disc": whole,
                    "apart": entry.family == "lesion"
                    and truth.lesions_apart(phantom.anatomy, phantom.view, name.rpartition("_")[0]),
                    "px_per_unit": px[entry.unit] if length else np.nan,
                }
            )
    return pd.DataFrame(rows)


def summarise(pairs: pd.DataFrame) -> pd.DataFrame:
    """Errors of each biomarker over the phantoms that have both values; absent lesions and phenotypes say nothing.

    Returns
    -------
    DataFrame
        Index biomarker; ``n``, ``exact`` (share without an error), ``only_true``, ``only_measured``, ``true`` (median),
        ``error`` (median absolute), ``bias`` (median of measured - true), ``px`` (median absolute error in frame
        pixels), ``relative`` (median of |error| / |true|, true values of 0 left out), ``correlation`` (Pearson).
    """
    out = {}
    for name, one in pairs.groupby("biomarker", sort=False):
        both = one[one.true.notna() & one.measured.notna()]
        if REGISTRY[str(name)].family in ("lesion", "phenotype"):
            both = both[(both.true != 0) | (both.measured != 0)]
        error = both.measured - both.true
        nonzero = both.true != 0
        varies = len(both) > 2 and both.true.std() > 0 and both.measured.std() > 0
        out[name] = {
            "n": len(both),
            "exact": (error == 0).mean(),
            "only_true": int((one.true.notna() & one.measured.isna()).sum()),
            "only_measured": int((one.true.isna() & one.measured.notna()).sum()),
            "true": both.true.median(),
            "error": error.abs().median(),
            "bias": error.median(),
            "px": (error.abs() * both.px_per_unit).median(),
            "relative": (error.abs() / both.true.abs())[nonzero].median(),
            "correlation": np.corrcoef(both.true, both.measured)[0, 1] if varies else np.nan,
        }
    return pd.DataFrame.from_dict(out, orient="index")


def markdown(summary: pd.DataFrame) -> str:
    """Write the table for the documentation."""
    head = ["biomarker", "unit", "n", "true", "error", "bias", "px", "relative", "r"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in summary.iterrows():
        cells = [f"`{name}`", REGISTRY[str(name)].unit, str(int(row.n))]
        cells += [_number(row[column], ".4g") for column in ("true", "error", "bias")]
        cells += [_number(row.px, ".2f"), _number(row.relative, ".1%"), _number(row.correlation, ".3f")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float, spec: str) -> str:
    return "" if np.isnan(value) else format(value, spec)


def draw(count: int, seed: int, size: int, healthy: bool) -> Iterator[Phantom]:
    """Random phantoms; every second one is healthy, or all of them. Truth masks are drawn at the frame's own size."""
    for number in range(count):
        yield render(seed + number, size, diseases={} if healthy or number % 2 else None)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--phantoms", type=int, default=60)
    parser.add_argument("--frame", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--healthy", action="store_true")
    parser.add_argument("--out")
    parser.add_argument("--pairs", help="CSV with every pair of values")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    pairs = compare(draw(args.phantoms, args.seed, PHOTOGRAPH, args.healthy), args.frame)
    if args.pairs:
        pairs.to_csv(args.pairs, index=False)
    whole = pairs[pairs.whole_disc]
    phantoms, cut = pairs.number.nunique(), pairs.number.nunique() - whole.number.nunique()
    table = f"{phantoms} phantoms, {cut} of them left out because the border cuts the disc; frame {args.frame} px.\n\n"
    summary = summarise(whole)
    table += markdown(summary[summary.n > 0])
    counts = whole[whole.apart & whole.biomarker.str.endswith("_count") & (whole.true > 0)]
    exact = int((counts.true == counts.measured).sum())
    table += f"\nLesions that touch neither each other nor the border: {exact} of {len(counts)} numbers are exact.\n"
    if args.out:
        Path(args.out).write_text(table, encoding="utf-8")
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
