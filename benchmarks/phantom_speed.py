"""Phantoms a second on one core; run by hand: OMP_NUM_THREADS=1 python benchmarks/phantom_speed.py [--count 24].

A phantom is grown, painted, photographed, encoded as JPEG, drawn as truth masks in the frame and encoded as run
lengths, as ``retsam simulate`` does. CPU seconds of the process, so other work on the machine matters less.
"""

import argparse
import time

import cv2
import numpy as np

from retsam.io.masks import encode
from retsam.phantom.compose import Streams, photograph, sit


def measure(size: int, count: int) -> dict[str, float]:
    """Mean CPU seconds of each step."""
    spent = dict.fromkeys(("grow and aim", "paint and photograph", "JPEG", "truth masks", "run lengths"), 0.0)
    for seed in range(count):
        marks = [time.process_time()]
        sitter = sit(Streams.of(seed), size)
        marks.append(time.process_time())
        phantom = photograph(sitter)
        marks.append(time.process_time())
        cv2.imencode(".jpg", np.ascontiguousarray(phantom.image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 92])
        marks.append(time.process_time())
        truth = phantom.truth(size)
        marks.append(time.process_time())
        for mask in truth.values():
            encode(mask)
        marks.append(time.process_time())
        for step, seconds in zip(spent, np.diff(marks), strict=True):
            spent[step] += float(seconds) / count
    return spent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=24)
    count = parser.parse_args().count
    cv2.setNumThreads(1)
    measure(512, 1)
    for size in (512, 1024):
        spent = measure(size, count)
        parts = ", ".join(f"{step} {1000 * seconds:.0f}" for step, seconds in spent.items())
        print(f"{size} px: {1 / sum(spent.values()):.2f} phantoms/s a core; ms: {parts}")


if __name__ == "__main__":
    main()
