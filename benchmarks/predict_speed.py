"""Seconds a photograph takes from its file to the rows of the table of masks, by part, with a network.

By hand: ``python benchmarks/predict_speed.py PHOTOGRAPH...``, on a machine that does nothing else. Without ``--model``
the weights are random with the form of retsam-tiny: the network takes as long as with trained ones, but nothing is
found, so what comes after it is cheaper.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from retsam.io.frames import frame_pixels
from retsam.io.images import read_image
from retsam.segmentation import load_engine, segment_table
from retsam.segmentation.network.checkpoint import Metadata, TargetRecord, save
from retsam.segmentation.network.config import CHANNELS, PRESETS
from retsam.segmentation.network.engine import NetworkEngine
from retsam.segmentation.network.findings import find
from retsam.segmentation.network.model import RetSAM
from retsam.segmentation.predictor import _rows


def random_weights(path: Path) -> None:
    """Write weights of retsam-tiny that nothing was learnt by, for every target."""
    torch.manual_seed(0)
    config = PRESETS["retsam-tiny"]
    records = {name: TargetRecord("phantom", 0.5, {}) for name in CHANNELS}
    save(path, config, RetSAM(config).state_dict(), Metadata("random", records, (), (), "Apache-2.0", "0"))


def parts(path: Path, engine: NetworkEngine, size: int) -> dict[str, float]:
    """Seconds of each part for one photograph."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable):
        start = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - start
        return result

    pixels = timed("read", lambda: read_image(path))
    framed = timed("frame", lambda: frame_pixels(pixels, size, image_id=path.stem))
    (maps,) = timed("network", lambda: engine._maps(framed.image[None], framed.fov[None]))
    found = timed("findings", lambda: find(maps, engine.thresholds, framed.fov, maps.reaches))
    timed("rows", lambda: _rows(framed, found, engine, list(engine.targets)))
    return seconds | {"sum": sum(seconds.values())}


def shard_of(photographs: list[Path]) -> pd.DataFrame:
    """Rows of ``tables.SHARD``."""
    rows = {"image_id": [str(i) for i in range(len(photographs))], "path": [str(p.resolve()) for p in photographs]}
    fixed = {"manifest_row": 1, "eye": None, "um_per_px": float("nan"), "file_bytes": 1, "status": "ok"}
    return pd.DataFrame(rows).assign(**fixed)


def main() -> None:
    """Print both tables."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("photographs", nargs="+", type=Path)
    asked.add_argument("--model", help="name or file of weights; default: random ones")
    asked.add_argument("--device", default="auto")
    asked.add_argument("--frame-size", type=int, default=1024)
    asked.add_argument("--repeat", type=int, default=4, help="times that the photographs are taken")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        random = Path(folder) / "random.safetensors"
        if not options.model:
            random_weights(random)
        shard = shard_of(options.photographs * options.repeat)
        for flips in (False, True):
            engine = load_engine(options.model or str(random), options.device, flips=flips)
            print(f"\n{engine.name} on {engine.device}, {engine.settings}, {torch.get_num_threads()} threads")
            parts(options.photographs[0], engine, options.frame_size)  # the first call makes more than its own
            each = [parts(path, engine, options.frame_size) for path in options.photographs * options.repeat]
            print(pd.DataFrame(each).agg(["min", "median", "max"]).round(3).to_string())
            for workers in (1, 2):
                start = time.perf_counter()
                segment_table(shard, Path(), engine, frame_size=options.frame_size, workers=workers)
                took = (time.perf_counter() - start) / len(shard)
                print(f"end to end, {workers} workers: {took:.3f} s a photograph, {1 / took:.1f} a second")


if __name__ == "__main__":
    main()
