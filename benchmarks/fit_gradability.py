"""Fit retsam/quality/gradability.json; run by hand where the public photographs are at hand.

    RETSAM_DATA=../shared/data python benchmarks/fit_gradability.py [--write]

What it uses (folders under RETSAM_DATA, each in its publisher's layout):

- photographs taken as gradable: DRIVE, HRF, IDRiD, Drishti-GS1 and the ``normal fundus`` eyes of ODIR-5K; a share of
  them also under four of the degradations below, each at a random severity with the target probability it stands for;
- DRIMDB Good and Bad (gradable or not) and Outlier (no fundus), its burnt-in time stamp painted over;
- pictures of other things: procedural ones (noise, gradients, text, eyes from outside, textures, rooms) and the public
  sample pictures that scikit-image, scikit-learn and matplotlib install.

HEI-MED (licence), RIM-ONE (disc crops) and the rest of ODIR-5K (every third eye is read) are for validation only. Each
source has the same total weight, and the same share of it is gradable. Validation leaves whole sources out; the figure
to trust is the AUC on DRIMDB of a model that never saw DRIMDB.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from retsam import quality
from retsam.io.frames import frame_pixels
from retsam.io.images import read_image
from retsam.quality import features
from retsam.quality.gradability import Logistic, Model, Term

Picture = NDArray[np.uint8]
RASTER = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".ppm"}

# feature: transform, sign that physics allows, and the range (in the feature's own unit) over which it counts
GRADABLE = {
    "vessel_visibility": ("identity", 1, 0.0, 1.0),
    "vessel_contrast": ("log", 1, 0.03, 0.25),
    "vessel_cnr": ("log", 1, 1.0, 5.0),
    "sharpness": ("log", 1, 0.25, 1.5),
    "illumination_cv": ("identity", -1, 0.03, 0.7),
    "saturated_fraction": ("root", -1, 0.0, 0.2),
    "noise": ("log", -1, 0.005, 0.25),
    "brightness": ("log", 1, 15.0, 60.0),
}
# The ranges start where fundus photographs end, in colour or red-free: within their usual range these say nothing.
FUNDUS = {
    "coarse_gradient": ("identity", -1, 4.0, 7.0),
    "contrast": ("identity", -1, 0.12, 0.35),
    "colour_redness": ("identity", 1, 0.25, 0.45),
    "colour_blue_red": ("identity", -1, 1.0, 1.3),
    "vessel_visibility": ("identity", 1, 0.0, 0.5),
}
Ranges = dict[str, tuple[str, int, float, float]]
PENALTY = 0.001  # on squared coefficients (per standard deviation of the feature), against the mean log loss
GRADABLE_SHARE = 0.85  # of the training weight: between a balanced set and a screening programme


def photographs(data: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield source, label (gradable, ungradable, no_fundus, unknown) and path."""
    for folder, label in (("Good", "gradable"), ("Bad", "ungradable"), ("Outlier", "no_fundus")):
        yield from (("DRIMDB", label, p) for p in rasters(data / "DRIMDB" / folder))
    plain = {
        "DRIVE": "DRIVE/*/images",
        "HRF": "HRF/images",
        "IDRiD": "IDRiD/*/1. Original Images/*",
        "Drishti-GS1": "Drishti-GS1_files/Training/Images",
        "HEI-MED": "HEI-MED/images",
    }
    for source, pattern in plain.items():
        for folder in sorted(data.glob(pattern)):
            yield from ((source, "gradable", p) for p in rasters(folder))
    table = pd.read_csv(data / "ODIR-5K" / "manifest.csv")
    for path, words in zip(table["path"][::3], table["keywords"][::3], strict=True):
        yield "ODIR-5K", "gradable" if words == "normal fundus" else "unknown", data / "ODIR-5K" / path


def rasters(folder: Path) -> list[Path]:
    """Image files of a folder and its subfolders in a fixed order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in RASTER)


# --- degradations: each takes a picture, its field of view, a severity 0-1 and a generator ----------------------------


def veil(
    picture: Picture, fov: NDArray[np.bool_], change: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Picture:
    """Apply a change inside the field of view only: the camera's mask stays black."""
    changed = np.clip(np.rint(change(picture.astype(np.float32))), 0, 255).astype(np.uint8)
    return np.where(fov[..., None], changed, picture)


def side_mask(rng: np.random.Generator, part: float, softness: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    """1 on about ``part`` of the picture on a random side, 0 elsewhere, with a soft edge."""
    angle = rng.uniform(0, 2 * np.pi)
    row, column = np.mgrid[: shape[0], : shape[1]] / (shape[0] - 1) * 2 - 1
    along = row * np.sin(angle) + column * np.cos(angle)
    edge = np.quantile(along, 1 - part)
    return (1 / (1 + np.exp(-(along - edge) / softness))).astype(np.float32)[..., None]


def blur(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    return veil(picture, fov, lambda x: cv2.GaussianBlur(x, (0, 0), 0.3 + 6 * severity))


def dark(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    grain = rng.normal(0, 2, picture.shape).astype(np.float32)
    return veil(picture, fov, lambda x: x * 0.97 ** (severity * 110) + grain)


def haze(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    colour = picture[fov].mean(0) * rng.uniform(0.8, 1.4)
    keep = 1 - 0.97 * severity
    return veil(picture, fov, lambda x: keep * cv2.GaussianBlur(x, (0, 0), 0.3 + severity) + (1 - keep) * colour)


def uneven(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    shade = side_mask(rng, 0.05 + 0.9 * severity, 0.15, fov.shape)
    return veil(picture, fov, lambda x: x * (1 - 0.95 * shade) + rng.normal(0, 2, x.shape))


def flare(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    shade = side_mask(rng, 0.05 + 0.9 * severity, 0.12, fov.shape)
    colour = np.array([255, 235, 190], np.float32) * rng.uniform(0.6, 1)
    return veil(picture, fov, lambda x: cv2.GaussianBlur(x, (0, 0), 1) * (1 - 0.97 * shade) + colour * 0.97 * shade)


def noisy(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    return veil(picture, fov, lambda x: x + rng.normal(0, 2 + 70 * severity, x.shape))


def cut(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    shade = side_mask(rng, 0.05 + 0.9 * severity, 0.01, fov.shape)
    return np.where(shade > 0.5, 0, picture).astype(np.uint8)


def overexposed(picture: Picture, fov: NDArray[np.bool_], severity: float, rng: np.random.Generator) -> Picture:
    gain = (40 + 400 * severity) / max(float(picture[..., 1][fov].mean()), 1)
    return veil(picture, fov, lambda x: x * max(gain, 1))


# severities at which a degraded photograph is still gradable, and at which it no longer is; linear between
DEGRADATIONS = {
    blur: (0.2, 0.55),
    dark: (0.35, 0.85),
    haze: (0.4, 0.85),
    uneven: (0.2, 0.6),
    flare: (0.2, 0.6),
    noisy: (0.1, 0.6),
    cut: (0.25, 0.6),
    overexposed: (0.35, 0.7),
}


# --- pictures of other things -----------------------------------------------------------------------------------------


def procedural(count: int, rng: np.random.Generator) -> Iterator[tuple[str, Picture]]:
    """Yield named pictures that are no fundus, in turn of every kind."""
    makers = (noise_picture, gradient_picture, text_picture, outer_eye, texture, blocks, scenery)
    for index in range(count):
        maker = makers[index % len(makers)]
        yield f"{maker.__name__}-{index}", np.clip(maker(rng), 0, 255).astype(np.uint8)


def smooth_noise(rng: np.random.Generator, sigma: float, channels: int = 3, size: int = 512) -> NDArray[np.float32]:
    field = cv2.GaussianBlur(rng.normal(size=(size, size, channels)).astype(np.float32), (0, 0), sigma)
    return (field / field.std()).reshape(size, size, channels)


def noise_picture(rng: np.random.Generator) -> NDArray[np.float32]:
    channels = int(rng.choice([1, 3]))
    return np.broadcast_to(
        rng.uniform(60, 180) + rng.uniform(15, 60) * smooth_noise(rng, rng.choice([0.3, 1, 3]), channels), (512, 512, 3)
    )


def gradient_picture(rng: np.random.Generator) -> NDArray[np.float32]:
    shade = side_mask(rng, rng.uniform(0.2, 0.8), rng.uniform(0.1, 1), (512, 512))
    return rng.uniform(0, 255, 3) * shade + rng.uniform(0, 255, 3) * (1 - shade)


def text_picture(rng: np.random.Generator) -> NDArray[np.float32]:
    page = np.full((512, 512, 3), rng.uniform(200, 255)).astype(np.uint8)
    size = rng.uniform(0.3, 1.2)
    for row in range(20, 512, int(12 + 26 * size)):
        letters = "".join(chr(int(c)) for c in rng.integers(97, 123, 80))
        cv2.putText(
            page, letters, (int(rng.integers(0, 40)), row), cv2.FONT_HERSHEY_SIMPLEX, size, (20, 20, 30), 1 + int(size)
        )
    return page.astype(np.float32)


def outer_eye(rng: np.random.Generator) -> NDArray[np.float32]:
    skin = np.array([200, 150, 125]) * rng.uniform(0.6, 1.1)
    page = np.full((512, 512, 3), skin, np.float32) + 8 * smooth_noise(rng, 6)
    centre = tuple(int(v) for v in rng.integers(200, 310, 2))
    cv2.ellipse(page, centre, (230, int(rng.integers(90, 190))), 0, 0, 360, (225, 215, 210), -1)
    iris = int(rng.integers(60, 110))
    cv2.circle(page, centre, iris, tuple(float(v) for v in rng.uniform(40, 150, 3)), -1)
    cv2.circle(page, centre, int(iris * rng.uniform(0.3, 0.6)), (10, 8, 8), -1)
    for _ in range(int(rng.integers(0, 60))):
        x = int(rng.integers(0, 512))
        cv2.line(page, (x, 60), (x + int(rng.integers(-40, 40)), 130), (30, 20, 15), 2)
    return cv2.GaussianBlur(page, (0, 0), rng.uniform(0.5, 3))


def texture(rng: np.random.Generator) -> NDArray[np.float32]:
    octaves = sum(smooth_noise(rng, 2.0**k, 1) * 2.0 ** (0.8 * k) for k in range(7))
    tint = rng.uniform(0.5, 1.2, 3)
    return tint * (rng.uniform(80, 150) + rng.uniform(20, 45) * octaves / octaves.std())


def blocks(rng: np.random.Generator) -> NDArray[np.float32]:
    page = np.full((512, 512, 3), rng.uniform(0, 255, 3), np.float32)
    for _ in range(int(rng.integers(6, 40))):
        a, b = rng.integers(0, 512, (2, 2))
        cv2.rectangle(page, tuple(map(int, a)), tuple(map(int, b)), tuple(float(v) for v in rng.uniform(0, 255, 3)), -1)
    return cv2.GaussianBlur(page, (0, 0), rng.uniform(0.5, 2)) + rng.normal(0, 3, page.shape)


def scenery(rng: np.random.Generator) -> NDArray[np.float32]:
    """Paint sky over ground with a few upright things between."""
    row = np.linspace(0, 1, 512)[:, None, None]
    sky, ground = rng.uniform((60, 110, 150), (180, 210, 255)), rng.uniform((30, 70, 20), (110, 150, 90))
    page = np.where(row < rng.uniform(0.3, 0.7), sky + 70 * row, ground * (1.5 - row)) + np.zeros((1, 512, 1))
    page = (page + rng.uniform(0, 8) * smooth_noise(rng, 1.5)).astype(np.float32)
    for _ in range(int(rng.integers(0, 9))):
        x, top, width = (int(v) for v in rng.integers((0, 100, 4), (512, 260, 110)))
        cv2.rectangle(page, (x, top), (x + width, 360), tuple(float(v) for v in rng.uniform(20, 170, 3)), -1)
    return cv2.GaussianBlur(page, (0, 0), rng.uniform(0.5, 2))


def samples() -> Iterator[tuple[str, Picture]]:
    """Yield the sample photographs that installed packages bring (none of them an eye)."""
    import matplotlib
    import skimage
    import sklearn

    folders = (
        Path(skimage.__file__).parent / "data",
        Path(sklearn.__file__).parent / "datasets" / "images",
        Path(matplotlib.get_data_path()) / "sample_data",
    )
    for folder in folders:
        for path in rasters(folder):
            if path.stem not in {"retina", "microaneurysms", "multipage", "multipage_rgb"}:
                yield path.stem, read_image(path)


# --- features -------------------------------------------------------------------------------------------------------


def framed_pair(picture: Picture) -> tuple[Picture, NDArray[np.bool_]] | None:
    """Frame a picture at the size of the features; None where no field of view is found."""
    framed = frame_pixels(picture, features.SIDE, image_id="")
    return None if framed.image is None or framed.fov is None else (framed.image, framed.fov)


def rows_of(source: str, label: str, name: str, picture: Picture, rng: np.random.Generator | None) -> Iterator[dict]:
    """Yield the features of a picture and, with a generator, of its degraded copies."""
    found = framed_pair(picture)
    if found is None:
        return
    target = {"gradable": 1.0, "ungradable": 0.0}.get(label, np.nan)
    common = {"source": source, "name": name}
    yield {**common, "kind": label, "severity": 0.0, "target": target, **features.measure(*found)}
    if rng is None:
        return
    grey = np.repeat(found[0][..., 1:2], 3, axis=2)
    yield {**common, "kind": "red_free", "severity": 0.0, "target": np.nan, **features.measure(grey, found[1])}
    for degrade in rng.permutation(list(DEGRADATIONS))[:4]:
        severity, (fine, lost) = rng.uniform(), DEGRADATIONS[degrade]
        again = framed_pair(degrade(*found, severity, rng))
        if again is not None:
            probability = float(np.clip((lost - severity) / (lost - fine), 0, 1))
            yield {
                **common,
                "kind": degrade.__name__,
                "severity": severity,
                "target": probability,
                **features.measure(*again),
            }


def collect(data: Path) -> pd.DataFrame:
    """Measure everything; about 25 minutes on one core."""
    rng = np.random.default_rng(20)
    rows: list[dict] = []
    for index, (source, label, path) in enumerate(photographs(data)):
        picture = read_image(path)
        if source == "DRIMDB":
            picture = quality.without_stamp(picture)
        thin = {"IDRiD": 3, "ODIR-5K": 2}.get(source, 1)
        degrade = label == "gradable" and source not in {"DRIMDB", "HEI-MED"} and index % thin == 0
        rows += rows_of(source, label, path.stem, picture, rng if degrade else None)
        if index % 100 == 0:
            print(f"{index} photographs, {len(rows)} rows", flush=True)
    for name, picture in procedural(210, np.random.default_rng(21)):
        rows += rows_of("procedural", "no_fundus", name, picture, None)
    for name, picture in samples():
        rows += rows_of("samples", "no_fundus", name, picture, None)
        rows += rows_of("samples", "no_fundus", name + " in a circle", in_circle(picture), None)
    return pd.DataFrame(rows)


def in_circle(picture: Picture) -> Picture:
    """Cut the central disc of a picture, as a fundus camera would."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side].copy()
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
    square[np.hypot(row, column) > 0.48 * side] = 0
    return square


# --- fit ------------------------------------------------------------------------------------------------------------


def balanced(source: pd.Series, target: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Weights (n, 2) for target 1 and target 0: every source counts the same, ``share`` of it for target 1."""
    both = np.stack([target, 1 - target], axis=1)
    for name in source.unique():
        rows = (source == name).to_numpy()
        side = both[rows].sum(0)
        both[rows] *= np.array([share, 1 - share]) / np.where(side > 0, side, 1)
    return both / both.sum()


def fit(ranges: Ranges, table: pd.DataFrame, weight: NDArray[np.float64]) -> Logistic:
    """Weighted, ridge-penalised logistic regression whose coefficients keep the sign that physics gives them."""
    terms = [empty_term(name, *spec) for name, spec in ranges.items()]
    x = np.stack([term.scaled(table[term.feature]) for term in terms], axis=1)
    total = weight.sum(1)
    variance = total @ (x - total @ x) ** 2

    def loss(p: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = p[0] + x @ p[1:]
        value = weight[:, 0] @ np.logaddexp(0, -logit) + weight[:, 1] @ np.logaddexp(0, logit)
        residual = total / (1 + np.exp(-logit)) - weight[:, 0]
        penalty = PENALTY * variance * p[1:]
        return float(value + penalty @ p[1:]), np.concatenate([[residual.sum()], x.T @ residual + 2 * penalty])

    bounds = [(None, None), *((0, None) if sign > 0 else (None, 0) for _, sign, _, _ in ranges.values())]
    p = minimize(loss, np.zeros(1 + len(terms)), jac=True, bounds=bounds, method="L-BFGS-B").x
    fitted = (replace(term, coefficient=round(float(c), 4)) for term, c in zip(terms, p[1:], strict=True))
    return Logistic(round(float(p[0]), 4), tuple(fitted))


def empty_term(name: str, transform: str, sign: int, low: float, high: float) -> Term:
    """Make a term without a coefficient from a range in the feature's own unit."""
    ends = Term(name, transform, 0.0, 1.0, 0.0).transformed([low, high])
    return Term(name, transform, *(round(float(v), 4) for v in ends), 0.0)


def fit_gradable(rows: pd.DataFrame) -> Logistic:
    """Fit P(gradable | fundus) on the rows that have a target."""
    return fit(GRADABLE, rows, balanced(rows["source"], rows["target"].to_numpy(), GRADABLE_SHARE))


def fit_fundus(rows: pd.DataFrame) -> Logistic:
    """Fit P(fundus); pooled over sources, because one source shows either fundus or something else."""
    is_fundus = (rows["kind"] != "no_fundus").to_numpy(float)
    return fit(FUNDUS, rows, balanced(pd.Series("all", rows.index), is_fundus, 0.5))


def train(table: pd.DataFrame, leave_out: frozenset[str] = frozenset()) -> Model:
    """Fit both parts on everything but the sources left out and the validation-only photographs."""
    use = table[~table["source"].isin({"HEI-MED", *leave_out})]
    certain = use[(use["kind"] != "unknown") & (use["severity"] < 0.6)]
    return Model(fundus=fit_fundus(certain), gradable=fit_gradable(use[use["target"].notna()]))


def scores(model: Model, table: pd.DataFrame) -> NDArray[np.float64]:
    """Gradability of each row."""
    return np.array([model.gradability(row) for row in table.to_dict("records")])


def drimdb_auc(model: Model, table: pd.DataFrame) -> float:
    """AUC of Good against Bad and Outlier; a picture without a field of view would score 0."""
    rows = table[table["source"] == "DRIMDB"]
    return float(roc_auc_score(rows["kind"] == "gradable", scores(model, rows)))


def grouped_auc(table: pd.DataFrame, folds: int = 5) -> float:
    """DRIMDB AUC with its own photographs in the training folds, each scored by a model that did not see it."""
    rows = np.flatnonzero(table["source"] == "DRIMDB")
    fold = np.random.default_rng(0).permutation(len(rows)) % folds
    score = np.empty(len(rows))
    for k in range(folds):
        held = rows[fold == k]
        score[fold == k] = scores(train(table.drop(index=table.index[held])), table.iloc[held])
    return float(roc_auc_score(table["kind"].to_numpy()[rows] == "gradable", score))


def validate(table: pd.DataFrame) -> dict[str, float]:
    """Figures of leave-one-source-out models, printed and returned."""
    out = {"drimdb_auc_leave_drimdb_out": drimdb_auc(train(table, frozenset({"DRIMDB"})), table)}
    out["drimdb_auc_cross_validated"] = grouped_auc(table)
    for source in ("DRIVE", "HRF", "IDRiD", "Drishti-GS1", "HEI-MED", "ODIR-5K"):
        rows = table[(table["source"] == source) & table["kind"].isin(["gradable", "unknown"])]
        model = train(table, frozenset({source}))
        out[f"gradable_share_{source}_left_out"] = float(np.mean(scores(model, rows) >= quality.THRESHOLD))
    fundus = table[~table["kind"].isin(["no_fundus"])]
    for source in ("DRIMDB", "samples", "procedural"):
        model = train(table, frozenset({source}))
        rows = table[(table["source"] == source) & (table["kind"] == "no_fundus")]
        out[f"no_fundus_found_{source}_left_out"] = float(
            np.mean([model.is_no_fundus(r) for r in rows.to_dict("records")])
        )
    model = train(table)
    for kind in ("gradable", "unknown", "ungradable", "red_free"):
        rows = fundus[fundus["kind"] == kind]
        out[f"no_fundus_false_alarm_{kind}"] = float(np.mean([model.is_no_fundus(r) for r in rows.to_dict("records")]))
    return {name: round(value, 4) for name, value in out.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RETSAM_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, help="Parquet file that keeps the measured features between runs")
    parser.add_argument("--write", action="store_true", help="replace the model that the package ships")
    args = parser.parse_args()
    if args.cache and args.cache.is_file():
        table = pd.read_parquet(args.cache)
    else:
        table = collect(args.data)
        if args.cache:
            table.to_parquet(args.cache)
    figures = validate(table)
    print(json.dumps(figures, indent=2))
    model = train(table)
    trained = table[(table["source"] != "HEI-MED") & (table["target"].notna() | (table["kind"] == "no_fundus"))]
    provenance = {
        "fitted_by": "benchmarks/fit_gradability.py",
        "rows_by_source": trained.groupby("source").size().to_dict(),
        "photographs_by_source": trained[trained["severity"] == 0].groupby("source").size().to_dict(),
        "penalty": PENALTY,
        "validation": figures,
    }
    print(json.dumps(model.as_dict(), indent=2))
    if args.write:
        path = Path(quality.__file__).with_name("gradability.json")
        path.write_text(json.dumps({"provenance": provenance, **model.as_dict()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
