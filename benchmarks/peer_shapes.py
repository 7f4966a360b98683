"""Which program is right: drawn shapes of known truth, measured by this package, PVBM and VascX.

    python benchmarks/peer_shapes.py --peers /tmp/peers/bin/python

Straight vessels of one width that run out from a disc (central equivalents, arc/chord 1), arcs of circles (arc/chord),
arcs with twigs and straight forks (arc/chord of resolved vessels) and the classical fractals. See ``peer_agreement.py``
for the environment of the peers.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peer_agreement import HOW, PVBM, SIZE, Mask, Programs, Row, mask_rows, peers

from retsam.biomarkers.calibre import FORMULAS, central_equivalent
from retsam.biomarkers.table import measure_table
from retsam.geometry import Frame
from retsam.tables import MASKS, conform

DISC, FOVEA, RADIUS = (650.0, 511.5), (250.0, 511.5), 80.0  # a right eye, fovea 2.5 disc diameters from the disc
ANGLES = np.arange(0, 360, 45.0)

Truth = Mapping[str, float]


@dataclass(frozen=True)
class Shape:
    """Arteries and veins of known values.

    Attributes
    ----------
    name : str
    artery, vein : (size, size) bool
    truth : dict of str to float
        By quantity; see :func:`_read`.
    programs : dict
        Who measures it.
    """

    name: str
    artery: Mask
    vein: Mask
    truth: Truth
    programs: Programs


def grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (size, size) of the pixels about the disc's centre."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    return x - DISC[0], y - DISC[1]


def spokes(width: float, turn: float) -> Mask:
    """Straight vessels from the disc's centre outwards."""
    x, y = grid()
    mask = np.zeros((SIZE, SIZE), bool)
    for angle in np.radians(ANGLES + turn):
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        mask |= (along > 0) & (np.abs(across) <= width / 2)
    return mask & (np.hypot(x, y) < 340)


def arcs(width: float, radius: float, length: float, turn: float) -> Mask:
    """Arcs of circles that leave the disc's margin at right angles to it."""
    x, y = grid()
    mask = np.zeros((SIZE, SIZE), bool)
    for angle in np.radians(ANGLES + turn):
        u, v = x * np.cos(angle) + y * np.sin(angle) - RADIUS, y * np.cos(angle) - x * np.sin(angle)
        swept = np.arctan2(u, radius - v) * radius  # the circle's centre lies to one side of the vessel's start
        mask |= (np.abs(np.hypot(u, v - radius) - radius) <= width / 2) & (swept >= -1) & (swept <= length)
    return mask


def twigs(width: float, radius: float, length: float, turn: float) -> Mask:
    """Arcs of :func:`arcs` with three side branches each, too short to count as vessels."""
    mask = arcs(width, radius, length, turn)
    for angle in np.radians(ANGLES + turn):
        for along in length * np.array([0.25, 0.5, 0.75]):
            turned = along / radius
            u, v = RADIUS + radius * np.sin(turned), radius * (1 - np.cos(turned))
            start = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
            mask |= rod(start, angle + turned - np.radians(60), 26, 4)  # to the outer side
    return mask


def forks(width: float, stem: float, length: float, half: float, turn: float) -> Mask:
    """Straight vessels from the disc's margin that divide once, by `half` degrees to either side."""
    mask = np.zeros((SIZE, SIZE), bool)
    for angle in np.radians(ANGLES + turn):
        way = np.array([np.cos(angle), np.sin(angle)])
        mask |= rod(RADIUS * way, angle, stem, width)
        for side in (-1, 1):
            mask |= rod((RADIUS + stem) * way, angle + side * np.radians(half), length, 0.8 * width)
    return mask


def rod(start: Sequence[float] | NDArray[np.float64], angle: float, length: float, width: float) -> Mask:
    """A straight piece of vessel; `start` is given from the disc's centre."""
    x, y = grid()
    u, v = x - start[0], y - start[1]
    along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    return (along > -1) & (along < length) & (np.abs(across) <= width / 2)


def carpet(level: int) -> Mask:
    """Sierpinski carpet of side 3^level, in the middle of the frame."""
    mask = np.ones((1, 1), bool)
    cell = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    for _ in range(level):
        mask = np.kron(mask, cell)
    return _placed(mask)


def triangle(level: int) -> Mask:
    """Sierpinski triangle of side 2^level, in the middle of the frame."""
    mask = np.ones((1, 1), bool)
    for _ in range(level):
        mask = np.kron(mask, np.array([[1, 0], [1, 1]], bool))
    return _placed(mask)


def _placed(mask: Mask) -> Mask:
    whole, low = np.zeros((SIZE, SIZE), bool), (SIZE - len(mask)) // 2
    whole[low : low + len(mask), low : low + len(mask)] = mask
    return whole


def shapes(rotations: int = 25) -> list[Shape]:
    """All shapes, with what is true of them; `rotations` are PVBM's."""
    vascx: Programs = {"vascx": {"feature_set": "full_v3"}}
    pvbm: Programs = {"pvbm_mask": PVBM | {"n_rotations": rotations, "optimize": rotations > 1}}
    out = []
    for width in (7.0, 10.0, 14.0):
        equal = np.full(6, width)
        truth = {
            "artery cre": central_equivalent(equal, FORMULAS["artery", "knudtson"]),
            "vein cre": central_equivalent(equal, FORMULAS["vein", "knudtson"]),
            **{f"{t} {q}": v for t in ("artery", "vein") for q, v in (("width", width), ("arc/chord", 1.0))},
        }
        out.append(Shape(f"spokes {width:g} px", spokes(width, 0), spokes(width, 22.5), truth, vascx))
    for radius in (400.0, 200.0, 120.0):
        length = 240.0
        ratio = length / (2 * radius * np.sin(length / (2 * radius)))
        truth = {f"{t} arc/chord": ratio for t in ("artery", "vein")}
        drawn = (arcs(8, radius, length, turn) for turn in (0, 22.5))
        out.append(Shape(f"arcs, radius {radius:g} px", *drawn, truth, vascx))
        drawn = (twigs(8, radius, length, turn) for turn in (0, 22.5))
        resolved = {f"{t} resolved": ratio for t in ("artery", "vein")}
        out.append(Shape(f"arcs with twigs, radius {radius:g} px", *drawn, resolved, vascx))
    stem, daughter = 100.0, 140.0
    for half in (20.0, 35.0):
        bent = stem + daughter
        chord = np.hypot(stem + daughter * np.cos(np.radians(half)), daughter * np.sin(np.radians(half)))
        ratio = (bent**2 / chord + daughter) / (bent + daughter)  # one daughter goes on, the other begins
        resolved = {f"{t} resolved": ratio for t in ("artery", "vein")}
        drawn = (forks(8, stem, daughter, half, turn) for turn in (0, 22.5))
        out.append(Shape(f"forks, {half:g} degrees", *drawn, resolved, vascx))
    fractals: tuple[tuple[str, Callable[[int], Mask], int, float], ...] = (
        ("Sierpinski carpet", carpet, 6, np.log(8) / np.log(3)),
        ("Sierpinski triangle", triangle, 9, np.log(3) / np.log(2)),
    )
    for name, draw, level, dimension in fractals:
        truth = {f"{t} D0": dimension for t in ("artery", "vein")}
        out.append(Shape(name, draw(level), draw(level).T, truth, pvbm))
    line = _placed(np.eye(900, dtype=bool))
    out.append(Shape("diagonal line", line, line[::-1], {"artery D0": 1.0, "vein D0": 1.0}, pvbm))
    return out


def _read(name: str, program: str) -> dict[str, str]:
    """Columns of a program by quantity of one tree."""
    plural, short = {"artery": ("arteries", "crae"), "vein": ("veins", "crve")}[name]
    return {
        "ours": {
            "cre": f"{short}_knudtson",
            "width": f"{name}_calibre_median",
            "arc/chord": f"{name}_tortuosity_arc_chord_median",
            "resolved": f"{name}_tortuosity_resolved_length_weighted",
            "D0": f"{name}_fd_box_mask",
        },
        "vascx": {
            "cre": f"full_cre_{plural}",
            "width": f"md_diam_{plural}",
            "arc/chord": f"md_tort_dist_{plural}",
            "resolved": f"lw_tort_dist_vessels_{plural}",
        },
        "pvbm_mask": {"D0": f"{name}_mask_D0"},
    }[program]


def rows_of(shape: Shape) -> list[Row]:
    """Rows of ``tables.MASKS``; the field of view is the whole frame."""
    x, y = grid()
    frame = Frame(SIZE, SIZE, SIZE, 0, 0, SIZE, (SIZE - 1) / 2, (SIZE - 1) / 2, SIZE / 2)
    masks = {"artery": shape.artery, "vein": shape.vein, "vessel": shape.artery | shape.vein}
    masks["optic_disc"] = np.hypot(x, y) <= RADIUS
    return mask_rows(shape.name, frame, np.ones((SIZE, SIZE), bool), masks, FOVEA)


def main() -> None:
    """Print truth and what each program measures, widths in px."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--peers", type=Path, help="python of the environment with PVBM and VascX")
    asked.add_argument("--rotations", type=int, default=25, help="of PVBM")
    asked.add_argument("--only", help="shapes whose name holds this")
    options = asked.parse_args()
    if options.peers is None:
        raise SystemExit(HOW)
    lines = []
    with tempfile.TemporaryDirectory() as folder, peers(options.peers, Path(folder)) as running:
        for shape in (s for s in shapes(options.rotations) if (options.only or "") in s.name):
            rows = rows_of(shape)
            answer = running.measure(rows, shape.programs)
            for program, result in answer.items():
                if "error" in result:
                    print(f"{shape.name}: {program}: {result['error']}", file=sys.stderr)
            values = {program: result.get("values", {}) for program, result in answer.items()}
            values["ours"] = measure_table(conform(pd.DataFrame(rows), MASKS).to_pandas()).iloc[0].to_dict()
            for key, truth in shape.truth.items():
                tree, quantity = key.split(" ")
                unit = 2 * RADIUS if quantity in ("cre", "width") else 1.0
                line: Row = {"shape": shape.name, "what": key, "truth": truth}
                for program, found in values.items():
                    column = _read(tree, program).get(quantity)
                    scale = unit if program == "ours" else 1.0
                    line[program.split("_")[0]] = found.get(column, np.nan) * scale if column else np.nan
                lines.append(line)
    print(pd.DataFrame(lines).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
