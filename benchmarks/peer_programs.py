"""Run PVBM and VascX on one image at a time; started by peer_agreement.py and measure_speed.py, not by hand.

Runs in the peers' own environment and imports nothing of this package; the peers are called through their public
interfaces only. Each line of standard input names the programs to run, with their settings. The masks of the image lie
as pictures in the folder given as argument; the answer is one line with values and CPU seconds of this process for each
program.
"""

import contextlib
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from skimage.io import imread
from skimage.morphology import skeletonize

Values = dict[str, float]


def pvbm(folder: Path, **fractal: Any) -> Callable[[], Values]:
    """Geometry and multifractal of arteries and veins; D0, D1, D2 and singularity length of the masks."""
    from PVBM.FractalAnalysis import MultifractalVBMs
    from PVBM.GeometryAnalysis import GeometricalVBMs

    place = json.loads((folder / "places.json").read_text())
    (x, y), radius = place["disc"], place["disc_diameter"] / 2
    masks = {t: imread(folder / f"{t}.png").astype(float) for t in ("artery", "vein")}

    def work() -> Values:
        values = {}
        for target, mask in masks.items():
            skeleton = skeletonize(mask > 0).astype(float)
            numbers, _ = GeometricalVBMs().compute_geomVBMs(mask, skeleton, int(x), int(y), int(radius))
            names = ("area", "tortuosity_index", "tortuosity", "length", "angle", "starts", "ends", "crossings")
            values |= dict(zip((f"{target}_{n}" for n in names), numbers, strict=True))
            values |= _dimensions(f"{target}_mask", mask, MultifractalVBMs(**fractal))
        return values

    return work


def pvbm_skeleton(folder: Path, **fractal: Any) -> Callable[[], Values]:
    """Multifractal of the skeletons of arteries and veins."""
    from PVBM.FractalAnalysis import MultifractalVBMs

    masks = {t: imread(folder / f"{t}.png") > 0 for t in ("artery", "vein")}

    def work() -> Values:
        values = {}
        for target, mask in masks.items():
            skeleton = skeletonize(mask, method="lee").astype(bool).astype(float)
            values |= _dimensions(f"{target}_skeleton", skeleton, MultifractalVBMs(**fractal))
        return values

    return work


def pvbm_mask(folder: Path, **fractal: Any) -> Callable[[], Values]:
    """Multifractal of the masks of arteries and veins alone."""
    from PVBM.FractalAnalysis import MultifractalVBMs

    masks = {t: imread(folder / f"{t}.png").astype(float) for t in ("artery", "vein")}

    def work() -> Values:
        values = {}
        for target, mask in masks.items():
            values |= _dimensions(f"{target}_mask", mask, MultifractalVBMs(**fractal))
        return values

    return work


def _dimensions(name: str, mask: np.ndarray, program: Any) -> Values:
    numbers = program.compute_multifractals(mask)
    return dict(zip((f"{name}_{d}" for d in ("D0", "D1", "D2", "singularity")), numbers, strict=False))


def vascx(folder: Path, feature_set: str = "full_v3") -> Callable[[], Values]:
    """A feature set of VascX, reading of its pictures included; missing values are left out."""
    import vascx.fundus.feature_sets  # noqa: F401  (registers the sets)
    from vascx.fundus.retina import Retina
    from vascx.shared.features import FeatureSet

    place = json.loads((folder / "places.json").read_text())
    features = FeatureSet.get_by_name(feature_set)
    roi = imread(folder / "fov.png") > 0

    def work() -> Values:
        retina = Retina.from_file(
            id="image",
            av_path=folder / "av.png",
            vessels_path=folder / "vessel.png",
            disc_path=folder / "optic_disc.png",
            fovea_location=place["fovea"] and tuple(place["fovea"]),
            roi_mask=roi,
        )
        return retina.calc_features(features, naming="canonical")

    return work


def _plain(value: Any) -> float | None:
    """A number as JSON holds it."""
    with contextlib.suppress(TypeError, ValueError):
        number = float(value)
        return number if np.isfinite(number) else None
    return None


def run(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Values and seconds of each program of a request; what it raises becomes ``error``."""
    answer: dict[str, Any] = {}
    programs = {"pvbm": pvbm, "pvbm_mask": pvbm_mask, "pvbm_skeleton": pvbm_skeleton, "vascx": vascx}
    for name, settings in request["programs"].items():
        try:
            work = programs[name](folder, **settings)
            start = time.process_time()
            values = work()
            seconds = time.process_time() - start
            numbers = {str(k): _plain(v) for k, v in values.items()}
            answer[name] = {"seconds": seconds, "values": {k: v for k, v in numbers.items() if v is not None}}
        except Exception as error:
            answer[name] = {"error": f"{type(error).__name__}: {error}"}
    return answer


def main() -> None:
    """Answer requests until standard input ends."""
    sys.setrecursionlimit(100_000)  # PVBM walks along vessels by recursion
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # the peers print
    for line in sys.stdin:
        print(json.dumps(run(Path(sys.argv[1]), json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
