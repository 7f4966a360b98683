"""What measuring costs: CPU seconds an image, beside the peers, by part, in memory, by number of images and workers.

    python benchmarks/measure_speed.py ../shared/data [--peers /tmp/peers/bin/python] [--limit 10]

Masks are those of ``peer_agreement.py``: manual arteries, veins and (DRIVE) discs in frames of 1024 px; every other
target that the engine (``--model``) declares is its prediction, so that all columns have something to measure. Seconds
are CPU seconds of one thread, each image measured by every program before the next. Wall time is printed for the two
workers only (asked: 1.8 times as fast as one); it means something on a machine that does nothing else.
"""

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and OpenCV start their threads

import cv2
import numpy as np
import pandas as pd
from peer_agreement import FOLDERS, PVBM, Programs, Row, manual_rows, peers

from retsam.biomarkers.table import measure_table
from retsam.segmentation import load_engine
from retsam.status import Status
from retsam.tables import MASKS, conform, write_table

PROGRAMS: Programs = {"pvbm": PVBM, "vascx": {"feature_set": "full"}}
LEAST = {"vascx": 6.0, "pvbm": 10.0}  # ratios that are asked for
SECONDS, MEGABYTES = 0.25, 500


def seconds_of(table: pd.DataFrame) -> float:
    """CPU seconds of measuring a table."""
    start = time.process_time()
    measure_table(table)
    return time.process_time() - start


def beside(table: pd.DataFrame, rows: list[Row], python: Path | None) -> pd.DataFrame:
    """CPU seconds of each program on each image, in turn."""
    by_image = {str(name): part for name, part in table.groupby("image_id", sort=False)}
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        if python is None:
            return pd.DataFrame([{"image_id": name, "ours": seconds_of(part)} for name, part in by_image.items()])
        with peers(python, Path(folder)) as running:
            for name, part in by_image.items():
                own = [row for row in rows if row["image_id"] == name]
                answer = running.measure(own, PROGRAMS)
                line = {"image_id": name, "ours": seconds_of(part), "whole": _whole(own)}
                line |= {program: result.get("seconds", np.nan) for program, result in answer.items()}
                lines.append(line)
                print({k: v if isinstance(v, str) else round(v, 3) for k, v in line.items()}, file=sys.stderr)
    return pd.DataFrame(lines)


def _whole(rows: list[Row]) -> bool:
    """Whether disc and fovea are there; without them a program has little to do."""
    return {"optic_disc", "fovea"} <= {row["target"] for row in rows if row["status"] == Status.OK}


def profile(table: pd.DataFrame, lines: int) -> None:
    """Print the functions of the package that take longest, with what they call."""
    watch = cProfile.Profile(time.process_time)
    watch.runcall(measure_table, table)
    found = pstats.Stats(watch).stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in found.values())
    images = table["image_id"].nunique()
    print(f"\nparts, ms an image under the profiler ({1000 * whole / images:.0f} in all): own, with what it calls")
    inside = [(f"{Path(file).stem}.{name}", own, both) for (file, _, name), (_, _, own, both, _) in found.items()]
    for column, title in ((1, "by own time"), (2, "by time with what it calls")):
        print(title)
        for name, own, both in sorted(inside, key=lambda entry: -entry[column])[:lines]:
            print(f"  {1000 * own / images:7.1f} {1000 * both / images:7.1f}  {name}")


def child(path: Path) -> dict[str, Any]:
    """Measure a table in this process: CPU seconds, and the largest resident memory before and after."""
    table = conform(pd.read_parquet(path), MASKS).to_pandas()
    before = _peak()
    return {"seconds": seconds_of(table), "before_mb": before, "after_mb": _peak()}


def _peak() -> float:
    """Largest resident memory of this process, MB; ``getrusage`` would count the parent's before the start (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def workers(table: pd.DataFrame, count: int, number: int) -> tuple[list[dict[str, Any]], float]:
    """Start processes that measure `count` images each; their answers, and the wall seconds of all."""
    names = list(table["image_id"].unique())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "masks.parquet"
        parts = [table[table["image_id"] == names[i % len(names)]].assign(image_id=f"{i}") for i in range(count)]
        write_table(pd.concat(parts), path, MASKS)
        command = [sys.executable, __file__, "--child", str(path)]
        start = time.perf_counter()
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
        answers = [json.loads(process.communicate()[0]) for process in started]
        return answers, time.perf_counter() - start


def main() -> None:
    """Print all figures; exit code 1 where one that does not need a quiet machine is not met."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path, nargs="?", help="folder with DRIVE and HRF")
    asked.add_argument("--peers", type=Path, help="python of the environment with PVBM and VascX")
    asked.add_argument("--sets", nargs="+", default=list(FOLDERS), choices=list(FOLDERS))
    asked.add_argument("--model", default="retsam-tiny", help="engine for what the sets do not annotate")
    asked.add_argument("--limit", type=int, default=10, help="photographs of each set")
    asked.add_argument("--lines", type=int, default=12, help="of the profile")
    asked.add_argument("--counts", nargs="+", type=int, default=[4, 8, 16, 32], help="images of one worker")
    asked.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = asked.parse_args()
    cv2.setNumThreads(1)
    if options.child is not None:
        print(json.dumps(child(options.child)))
        return
    if options.data is None:
        asked.error("give the folder with DRIVE and HRF")
    engine = load_engine(options.model, "cpu")
    rows = [row for image in manual_rows(options.data, options.sets, engine, options.limit) for row in image]
    table = conform(pd.DataFrame(rows), MASKS).to_pandas()
    measure_table(table[table["image_id"] == table["image_id"].iloc[0]])  # the first call makes more than its own
    met = report(beside(table, rows, options.peers))
    profile(table, options.lines)
    raise SystemExit(int(not (met & scaling(table, options.counts))))


def report(seconds: pd.DataFrame) -> bool:
    """Print medians and ratios; whether those that are asked for are reached."""
    columns = seconds.drop(columns=["image_id", "whole"], errors="ignore")
    print(f"CPU seconds an image, {len(seconds)} images")
    print(columns.describe().loc[["min", "25%", "50%", "75%", "max"]].round(3).to_string())
    met = bool(columns["ours"].median() <= SECONDS)
    for program, least in LEAST.items():
        if program in columns:
            ratio = (columns[program] / columns["ours"])[seconds["whole"]].dropna()
            print(
                f"{program} over ours, median of pairs with disc and fovea: {ratio.median():.1f} (asked: {least}; "
                f"{len(ratio)} images)"
            )
            met &= bool(ratio.median() >= least)
    return met


def scaling(table: pd.DataFrame, counts: list[int]) -> bool:
    """Print memory, CPU seconds by number of images, and what two workers gain; whether memory is small enough."""
    runs = {count: workers(table, count, 1) for count in counts}
    print("\nimages, CPU seconds an image, peak memory (MB), wall seconds with start-up")
    for count, (answers, wall) in runs.items():
        print(f"  {count:3d} {answers[0]['seconds'] / count:.3f} {answers[0]['after_mb']:.0f} {wall:.1f}")
    both, wall = workers(table, counts[-1], 2)
    one = runs[counts[-1]]
    extra = np.mean([a["seconds"] for a in both]) / one[0][0]["seconds"]
    print(f"two workers, {counts[-1]} images each: {2 * one[1] / wall:.2f} x by wall time; CPU an image {extra:.2f} x")
    peak = max(a["after_mb"] for a in both)
    return bool(peak <= MEGABYTES)


if __name__ == "__main__":
    main()
