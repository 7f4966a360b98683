"""Agreement with other programs on the same masks: PVBM and VascX beside this package.

    python benchmarks/peer_agreement.py ../shared/data --peers /tmp/peers/bin/python [--sets drive hrf] [--out FOLDER]

Masks are the manual arteries and veins of DRIVE and HRF in frames of 1024 px (a pixel marked as crossing belongs to
both); what a set does not annotate, disc and fovea, is taken from an engine (``--model``). Every program gets the same
masks. The peers live in an environment of their own and are called in a process of their own
(``benchmarks/peer_programs.py``); without ``--peers`` the script says how to make one.

Prints a table of correlations, and the images that lie farthest from the line. All values go to ``FOLDER/values.csv``;
a second run measures only what is not in there. Which program is right where they differ: ``peer_shapes.py``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from retsam.biomarkers.registry import REGISTRY
from retsam.biomarkers.table import measure_table
from retsam.datasets import Case, Dataset, get_dataset
from retsam.geometry import Frame
from retsam.io.images import read_image
from retsam.io.masks import decode, encode
from retsam.segmentation import load_engine
from retsam.segmentation.engine import SegmentationEngine
from retsam.status import Status
from retsam.tables import MASKS, conform
from retsam.taxonomy import FOV

FOLDERS = {"drive": "DRIVE", "hrf": "HRF"}
SIZE = 1024
HOW = """\
The peers go into an environment of their own, outside this repository:
    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
    /tmp/peers/bin/pip install PVBM retinalysis-vascx
then give --peers /tmp/peers/bin/python"""

Mask = NDArray[np.bool_]
Row = dict[str, Any]
Programs = Mapping[str, Mapping[str, Any]]
"""Names and settings of the functions of ``peer_programs.py``."""

PVBM: dict[str, Any] = {"n_rotations": 25, "optimize": True, "min_proba": 0.0001, "maxproba": 0.9999}
"""As in PVBM's tutorial."""
PROGRAMS: Programs = {"pvbm_mask": PVBM, "pvbm_skeleton": PVBM, "vascx": {"feature_set": "full_v3"}}


@dataclass(frozen=True)
class Pair:
    """A biomarker of ours and the column of a peer that means the same.

    Attributes
    ----------
    ours, theirs : str
        ``theirs`` is ``program.column``.
    bar : float
        Pearson correlation that is asked for; 0 for a pair that is only shown.
    in_px : bool
        Ours is in disc diameters, theirs in pixels.
    """

    ours: str
    theirs: str
    bar: float = 0.0
    in_px: bool = False


def _pairs() -> list[Pair]:
    pairs = []
    for ours, theirs, short in (("artery", "arteries", "crae"), ("vein", "veins", "crve")):
        pairs += [
            Pair(f"{ours}_fd_box_skeleton", f"pvbm_skeleton.{ours}_skeleton_D0", 0.95),
            Pair(f"{ours}_fd_box_mask", f"pvbm_mask.{ours}_mask_D0", 0.95),
            Pair(f"{ours}_fd_information_skeleton", f"pvbm_skeleton.{ours}_skeleton_D1"),
            Pair(f"{ours}_fd_correlation_skeleton", f"pvbm_skeleton.{ours}_skeleton_D2"),
            Pair(f"{ours}_tortuosity_arc_chord_median", f"vascx.md_tort_dist_{theirs}", 0.85),
            Pair(f"{ours}_tortuosity_arc_chord_length_weighted", f"vascx.lw_tort_dist_{theirs}", 0.85),
            Pair(f"{ours}_density_superior", f"vascx.vd_hf_superior_{theirs}", 0.85),
            Pair(f"{ours}_density_inferior", f"vascx.vd_hf_inferior_{theirs}", 0.85),
            Pair(f"{short}_knudtson", f"vascx.full_cre_{theirs}", 0.85, in_px=True),
            Pair(f"{ours}_calibre_median", f"vascx.md_diam_{theirs}", in_px=True),
            Pair(f"{ours}_calibre_length_weighted", f"vascx.lw_diam_{theirs}", in_px=True),
            Pair(f"{short}_knudtson_temporal", f"vascx.temporal_cre_{theirs}", in_px=True),
            Pair(f"{short}_knudtson_nasal", f"vascx.nasal_cre_{theirs}", in_px=True),
            Pair(f"{ours}_tortuosity_resolved_length_weighted", f"vascx.lw_tort_dist_vessels_{theirs}"),
            Pair(f"{ours}_branching_angle_mean", f"vascx.mn_bifangle_{theirs}"),
        ]
    return [*pairs, Pair("disc_fovea_distance", "vascx.disc_fovea_distance_center_retina", in_px=True)]


# Masks


def manual_rows(
    root: Path, names: Iterable[str], engine: SegmentationEngine, limit: int | None = None, skip: Container[str] = ()
) -> Iterator[list[Row]]:
    """Rows of ``tables.MASKS`` of one photograph after the other: manual masks where there are, else the engine's.

    Parameters
    ----------
    root : Path
        Holds the folders of the sets.
    names : iterable of str
        Of :data:`FOLDERS`; one photograph of each set in turn.
    engine : SegmentationEngine
    limit : int, optional
        So many of each set, evenly spread.
    skip : container of str
        Photographs that are not wanted.
    """
    sets = []
    for name in names:
        dataset = get_dataset(name)
        cases = dataset.cases(root / FOLDERS[name], "all")
        step = max(1, len(cases) // limit) if limit else 1
        sets.append([(dataset, case) for case in cases[::step][:limit]])
    for dataset, case in (pair for turn in zip_longest(*sets) for pair in turn if pair is not None):
        if case.image_id not in skip:
            yield _case_rows(dataset, case, engine)


def _case_rows(dataset: Dataset, case: Case, engine: SegmentationEngine) -> list[Row]:
    pixels = read_image(case.photograph)
    framed = dataset.frame(pixels, SIZE, case.image_id)
    if framed.frame is None or framed.image is None or framed.fov is None:
        raise SystemExit(f"{case.image_id}: {framed.message}")
    (found,) = engine.predict(framed.image[None], framed.fov[None])
    masks = {t: found.masks[t] for t in engine.targets if found.status[t] == Status.OK}
    masks |= {t: framed.frame.warp(mask) & framed.fov for t, mask in _manual(case, pixels.shape[:2]).items()}
    return mask_rows(case.image_id, framed.frame, framed.fov, masks, found.points.get("fovea"), tuple(engine.targets))


def _manual(case: Case, shape: tuple[int, int]) -> dict[str, Mask]:
    """Manual masks in the photograph; what is neither red nor blue belongs to artery and vein."""
    masks = {}
    for target in ("artery", "vein"):
        mask, counted = case.masks[target].read(shape)
        masks[target] = mask | ~counted
    masks["vessel"] = masks["artery"] | masks["vein"]
    if "optic_disc" in case.masks:
        masks["optic_disc"] = case.masks["optic_disc"].read(shape)[0]
    return masks


def mask_rows(
    image_id: str,
    frame: Frame,
    fov: Mask,
    masks: Mapping[str, Mask],
    fovea: tuple[float, float] | None,
    declared: tuple[str, ...] = (),
) -> list[Row]:
    """Rows of ``tables.MASKS`` of one image; declared targets without a mask are ``not_visible``."""
    base = dict.fromkeys(MASKS.names) | {"image_id": image_id} | frame.as_row()
    rows = []
    for target, mask in {FOV: fov, **masks}.items():
        row = base | {"target": target, "status": str(Status.OK), "rle": encode(mask), "area_px": int(mask.sum())}
        if target == "fovea" and fovea is not None:
            row |= {"x": fovea[0], "y": fovea[1]}
        rows.append(row)
    if "fovea" not in masks and fovea is not None:
        rows.append(base | {"target": "fovea", "status": str(Status.OK), "x": fovea[0], "y": fovea[1]})
    lost = [t for t in declared if t not in masks]
    return rows + [base | {"target": t, "status": str(Status.NOT_VISIBLE)} for t in lost]


# Peers


@contextmanager
def peers(python: Path, folder: Path) -> Iterator["Peers"]:
    """Start the peers' process; it ends with the block."""
    script = Path(__file__).with_name("peer_programs.py")
    process = subprocess.Popen(
        [str(python), str(script), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Peers(process, folder)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


class Peers:
    """The peers' process: an image's masks in, values and CPU seconds of each program out."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process = process
        self.folder = folder

    def measure(self, rows: list[Row], programs: Programs) -> dict[str, dict[str, Any]]:
        """Hand over one image, wait for the answer: program to ``seconds`` and ``values``, or ``error``."""
        self._write({row["target"]: row for row in rows})
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps({"programs": programs}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{rows[0]['image_id']}: the peers' process ended; see its message above\n{HOW}")
        answer: dict[str, dict[str, Any]] = json.loads(line)
        return answer

    def _write(self, rows: Mapping[str, Row]) -> None:
        """Pictures as VascX writes them: 1 artery, 2 vein, 3 both; 1 inside for all others."""
        size = rows[FOV]["frame_size"]
        masks = {
            t: decode(rows[t]["rle"], size)
            for t in (FOV, "artery", "vein", "vessel", "optic_disc")
            if t in rows and rows[t]["status"] == Status.OK
        }
        for target, mask in masks.items():
            cv2.imwrite(str(self.folder / f"{target}.png"), mask.astype(np.uint8))
        av = masks["artery"].astype(np.uint8) + 2 * masks["vein"].astype(np.uint8)
        cv2.imwrite(str(self.folder / "av.png"), av)
        y, x = np.nonzero(masks["optic_disc"])
        fovea = rows.get("fovea", {"x": None, "y": None})
        place = {"disc": (x.mean(), y.mean()), "disc_diameter": np.sqrt(4 * x.size / np.pi)}
        place["fovea"] = None if fovea["x"] is None else (fovea["x"], fovea["y"])
        (self.folder / "places.json").write_text(json.dumps(place))


# Comparison


def compare(images: Iterable[list[Row]], path: Path, python: Path, programs: Programs) -> pd.DataFrame:
    """Add the values of all programs on the same masks to a table; columns ``ours.NAME`` and ``program.NAME``."""
    lines = pd.read_csv(path).to_dict("records") if path.is_file() else []
    with tempfile.TemporaryDirectory() as folder, peers(python, Path(folder)) as running:
        for rows in images:
            answer = running.measure(rows, programs)
            lines.append(_ours(rows) | _theirs(rows[0]["image_id"], answer))
            pd.DataFrame(lines).to_csv(path, index=False)
    return pd.DataFrame(lines).set_index("image_id")


def _ours(rows: list[Row]) -> Row:
    table = conform(pd.DataFrame(rows), MASKS).to_pandas()
    start = time.process_time()
    values = measure_table(table).iloc[0]
    seconds = time.process_time() - start
    (disc,) = (row["area_px"] for row in rows if row["target"] == "optic_disc")
    line = {"image_id": rows[0]["image_id"], "disc_diameter": np.sqrt(4 * disc / np.pi), "ours.seconds": seconds}
    return line | {f"ours.{name}": values[name] for name in REGISTRY}


def _theirs(image_id: str, answer: Mapping[str, Mapping[str, Any]]) -> Row:
    line: Row = {}
    for program, result in answer.items():
        if "error" in result:
            print(f"{image_id}: {program}: {result['error']}", file=sys.stderr)
        line |= {f"{program}.{name}": value for name, value in result.get("values", {}).items()}
        line[f"{program}.seconds"] = result.get("seconds")
    seconds = {program: round(result.get("seconds", 0), 2) for program, result in answer.items()}
    print(image_id, seconds, file=sys.stderr, flush=True)
    return line


def correlations(values: pd.DataFrame) -> pd.DataFrame:
    """One row per pair: n, Pearson, Spearman, slope and offset of theirs on ours, mean difference, farthest images."""
    lines = []
    for pair in _pairs():
        if pair.theirs not in values or f"ours.{pair.ours}" not in values:
            continue
        ours = values[f"ours.{pair.ours}"] * (values["disc_diameter"] if pair.in_px else 1)
        both = pd.DataFrame({"x": ours, "y": pd.to_numeric(values[pair.theirs], errors="coerce")}).dropna()
        line: Row = {"ours": pair.ours, "theirs": pair.theirs, "bar": pair.bar, "n": len(both)}
        if len(both) > 2:
            fit = stats.linregress(both["x"], both["y"])
            away = (both["y"] - fit.intercept - fit.slope * both["x"]).abs()
            line |= {
                "pearson": fit.rvalue,
                "spearman": stats.spearmanr(both["x"], both["y"])[0],
                "slope": fit.slope,
                "ours_mean": both["x"].mean(),
                "theirs_mean": both["y"].mean(),
                "farthest": " ".join(away.nlargest(3).index),
            }
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    """Print correlations; exit code 1 if one is below its bar."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path, help="folder with DRIVE and HRF")
    asked.add_argument("--peers", type=Path, help="python of the environment with PVBM and VascX")
    asked.add_argument("--sets", nargs="+", default=list(FOLDERS), choices=list(FOLDERS))
    asked.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=list(PROGRAMS))
    asked.add_argument("--rotations", type=int, default=PVBM["n_rotations"], help="of PVBM; 1 is much cheaper")
    asked.add_argument("--model", default="classical", help="engine for disc and fovea where a set has none")
    asked.add_argument("--limit", type=int, help="photographs of each set")
    asked.add_argument("--out", type=Path, default=Path("agreement"))
    options = asked.parse_args()
    if options.peers is None:
        raise SystemExit(HOW)
    options.out.mkdir(parents=True, exist_ok=True)
    turns = {"n_rotations": options.rotations, "optimize": options.rotations > 1}
    programs = {name: {**PROGRAMS[name], **(turns if "pvbm" in name else {})} for name in options.programs}
    path = options.out / "values.csv"
    done = set(pd.read_csv(path)["image_id"]) if path.is_file() else set()
    images = manual_rows(options.data, options.sets, load_engine(options.model), options.limit, done)
    values = compare(images, path, options.peers, programs)
    table = correlations(values)
    table.to_csv(options.out / "correlations.csv", index=False)
    with pd.option_context("display.width", 250, "display.max_columns", 20, "display.max_colwidth", 60):
        print(table.round(3).to_string(index=False))
    raise SystemExit(int((table["pearson"] < table["bar"]).any()))


if __name__ == "__main__":
    main()
