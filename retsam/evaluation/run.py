"""Hold a model against a data set's annotations, in the photograph's own pixels."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from retsam import metrics
from retsam.datasets import Case, Dataset, get_dataset
from retsam.errors import UserError
from retsam.evaluation.seen import held_out as kept_apart
from retsam.evaluation.seen import seen_warning
from retsam.io.frames import FramedImage
from retsam.io.images import ImageError, read_image
from retsam.quality import THRESHOLD, score
from retsam.status import Status
from retsam.tables import conform
from retsam.taxonomy import TREES
from retsam.weights import DEFAULT_MODEL

if TYPE_CHECKING:
    from retsam.segmentation.engine import SegmentationEngine

log = logging.getLogger(__name__)

SCORES = ("dice", "iou", "accuracy", "sensitivity", "specificity", "auc", "aupr", "cldice", "distance_dd")

METRICS = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # official part: train, test, or all for a set without parts
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        *(pa.field(name, pa.float64()) for name in SCORES),
        pa.field("n_positive_px", pa.int64()),  # truth pixels in the region; null where the truth is no mask
    ]
)
"""One row per image and target. What a row cannot have is missing; see :func:`evaluate` for what a failure scores."""

GRADABILITY = "gradability"
ALL_IMAGES = "__all__"
"""image_id of the one row that holds what only exists over a whole set: the AUC of an image-level label."""


@dataclass(frozen=True)
class _Found:
    """A prediction in the photograph's pixels; a target that is in no mapping was not found.

    Attributes
    ----------
    field_of_view : (height, width) bool
    masks : mapping of str to (height, width) bool
    probability : mapping of str to (height, width) float32
    points : mapping of str to (x, y)
    has_probability : bool
        False for a human observer, whose masks give no AUC.
    """

    field_of_view: NDArray[np.bool_]
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    probability: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    has_probability: bool = True


def evaluate(
    dataset: str,
    root: str | Path,
    *,
    split: str | None = None,
    held_out: bool = False,
    engine: "SegmentationEngine | None" = None,
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    frame_size: int = 1024,
    flips: bool = False,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Evaluate a model on a public data set.

    The photograph goes through the canonical frame; masks and probabilities are brought back and compared in the
    photograph's own pixels, inside the set's own field-of-view mask, or inside the detected one where a set has none;
    in a set of crops without an edge of the field (``Dataset.frame``), in the whole crop.

    Parameters
    ----------
    dataset : str
        A name of ``retsam.datasets.DATASETS``.
    root : path-like
        Folder of the set in its official layout.
    split : {'train', 'val', 'test', 'all'}, optional
        Default: the official test part if it is there, otherwise everything that is there.
    held_out : bool
        Only the photographs that the header of the model's weights names as kept apart for a test.
    engine : SegmentationEngine, optional
        Default: ``load_engine(model, device)``.
    model : str
        Engine name or weights; or a human observer of the set (``observer2`` for DRIVE).
    device : str
        auto, cpu or cuda.
    frame_size : int
        Pixels, a multiple of 64.
    flips : bool
        Of the engine that is loaded; see ``load_engine``.
    progress : callable, optional
        Called with the number of photographs done so far.

    Returns
    -------
    DataFrame
        Columns of ``METRICS``, one row per photograph and annotated target that the model declares.

        A photograph without a detectable fundus, or a target that was not found, is scored as an empty mask with
        probability 0: Dice 0, AUC 0.5. A point that was not found has distance NaN and counts as a miss in
        :func:`summarise`. An image-level quality set gives one row per photograph with accuracy, and sensitivity (of a
        gradable one) or specificity (of another) as 0 or 1 at the default threshold, and a last row ``__all__`` with
        their means, auc and aupr.

    Raises
    ------
    UserError
        If the data set, a file of it or the model cannot be used, or no photographs were kept apart. A benchmark with
        holes is no benchmark: a damaged photograph stops it too.
    """
    adapter = get_dataset(dataset)
    cases = adapter.cases(root, split or ("all" if held_out else None))
    cases = _unseen(adapter, cases, engine.name if engine else model, held_out, given=engine is not None)
    if all(case.gradable is not None for case in cases):
        return _table(adapter, _quality_rows(adapter, cases, frame_size, progress))
    predict, declared = _predictor(adapter, cases, engine, model, device, frame_size, flips=flips)
    return _table(adapter, _scored(adapter, cases, predict, declared, progress))


def evaluate_cases(
    adapter: Dataset,
    cases: list[Case],
    engine: "SegmentationEngine",
    frame_size: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[pd.DataFrame, pd.Series]:
    """Evaluate an engine on chosen photographs of a set.

    Parameters
    ----------
    adapter : Dataset
    cases : list of Case
    engine : SegmentationEngine
    frame_size : int
        Pixels, a multiple of 64.
    progress : callable, optional
        Called with the number of photographs done so far.

    Returns
    -------
    DataFrame
        As :func:`evaluate`.
    Series of float
        For each of its rows what a guess would score that looks at nothing: Dice of marking the whole region, or, for a
        point, the distance (disc diameters) of the middle of the field of view; NaN where there is nothing to find.
    """
    predict, declared = _predictor(adapter, cases, engine, engine.name, engine.device, frame_size)
    rows = _scored(adapter, cases, predict, declared, progress)
    return _table(adapter, rows), pd.Series([row["chance"] for row in rows], dtype=float)


def _unseen(adapter: Dataset, cases: list[Case], model: str, held_out: bool, *, given: bool) -> list[Case]:
    """Cases to evaluate on: those kept apart, or all of them with a warning about those that the network has seen.

    An engine that the caller gives has no header.
    """
    from retsam.segmentation.weights import metadata_of

    metadata = None if given else metadata_of(model)
    if held_out:
        return kept_apart(metadata, model, adapter.name, cases)
    if metadata is not None and (warning := seen_warning(metadata, adapter.name, cases)):
        log.warning(warning)
    return cases


def _scored(
    adapter: Dataset,
    cases: list[Case],
    predict: Callable[[Case], _Found],
    declared: set[str],
    progress: Callable[[int], None] | None,
) -> list[dict[str, Any]]:
    rows = []
    for done, case in enumerate(cases, start=1):
        rows += _score_case(adapter, case, predict(case), declared)
        if progress is not None:
            progress(done)
    return rows


def _table(adapter: Dataset, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with the columns and types of :data:`METRICS`."""
    table = pd.DataFrame([{"dataset": adapter.name, **row} for row in rows], columns=METRICS.names)
    table["n_positive_px"] = table["n_positive_px"].astype("Int64")
    return conform(table, METRICS).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def _predictor(
    adapter: Dataset,
    cases: list[Case],
    engine: "SegmentationEngine | None",
    model: str,
    device: str,
    frame_size: int,
    *,
    flips: bool = False,
) -> tuple[Callable[[Case], _Found], set[str]]:
    """Function that predicts a case, and the targets that it declares."""
    observers = {name for case in cases for name in case.observers}
    if engine is None and model in observers:
        targets = {target for case in cases for target in case.observers.get(model, ())}
        return lambda case: _observed(adapter, case, model), targets
    if engine is None:
        from retsam.segmentation import load_engine

        engine = load_engine(model, device=device, flips=flips)
    annotated = {target for case in cases for target in (*case.masks, *case.points)}
    if not annotated:
        raise UserError(f"{adapter.name} has labels of whole photographs only; nothing to hold a segmentation against.")
    declared = annotated & set(engine.targets)
    if not declared:
        raise UserError(
            f"model {engine.name!r} has none of the targets of {adapter.name}: {', '.join(sorted(annotated))}."
        )
    return lambda case: _segmented(adapter, case, engine, frame_size), declared


def _read(adapter: Dataset, case: Case) -> NDArray[np.uint8]:
    try:
        return adapter.prepare(read_image(case.photograph))
    except ImageError as error:
        raise UserError(f"{adapter.name}: photograph {error}") from error


def _framed(adapter: Dataset, case: Case, pixels: NDArray[np.uint8], frame_size: int) -> FramedImage:
    framed = adapter.frame(pixels, frame_size, case.image_id)
    if framed.status != Status.OK:
        log.warning("%s %s: %s; scored as nothing found", adapter.name, case.image_id, framed.message)
    return framed


def _segmented(adapter: Dataset, case: Case, engine: "SegmentationEngine", frame_size: int) -> _Found:
    """Run the engine on one photograph and bring what it found back."""
    pixels = _read(adapter, case)
    framed = _framed(adapter, case, pixels, frame_size)
    if framed.frame is None or framed.image is None or framed.fov is None:
        return _Found(np.ones(pixels.shape[:2], bool))
    frame = framed.frame
    (prediction,) = engine.predict(framed.image[None], framed.fov[None])
    targets = {*case.masks, *case.points}
    found = {t for t in targets if prediction.status.get(t) == Status.OK}
    return _Found(
        frame.unwarp_mask(framed.fov),
        {t: frame.unwarp_mask(prediction.masks[t]) for t in found if t in prediction.masks},
        {t: frame.unwarp(prediction.probability[t]) for t in targets if t in prediction.probability},
        {t: _pair(frame.to_photo(prediction.points[t])) for t in found if t in prediction.points},
    )


def _observed(adapter: Dataset, case: Case, observer: str) -> _Found:
    """A human observer's masks in place of a prediction."""
    shape = _shape(_read(adapter, case))
    masks = {target: mask.read(shape)[0] for target, mask in case.observers[observer].items()}
    return _Found(np.ones(shape, bool), masks, has_probability=False)


def _shape(pixels: NDArray) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def _pair(xy: NDArray[np.float64]) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])


def _score_case(adapter: Dataset, case: Case, found: _Found, declared: set[str]) -> list[dict[str, Any]]:
    """Rows of one photograph: its mask targets, then its point targets."""
    shape = _shape(found.field_of_view)
    region = case.fov.read(shape)[0] if case.fov else found.field_of_view
    rows = []
    for target in (t for t in case.masks if t in declared):
        truth, counted = case.masks[target].read(shape)
        scores = _score_mask(target, found, truth, region & counted)
        chance = _chance(truth & region & counted, region & counted)
        rows.append({"split": case.split, "image_id": case.image_id, "target": target, **scores, "chance": chance})
    for target in (t for t in case.points if t in declared):
        unit = _disc_diameter(adapter, case, shape)
        distance = metrics.point_distance(found.points.get(target), case.points[target], unit)
        middle = metrics.point_distance(metrics.centroid(found.field_of_view), case.points[target], unit)
        scores = {"distance_dd": distance, "chance": middle}
        rows.append({"split": case.split, "image_id": case.image_id, "target": target, **scores})
    return rows


def _chance(truth: NDArray[np.bool_], region: NDArray[np.bool_]) -> float:
    """Dice of marking the whole region; NaN where the truth is empty."""
    positive = np.count_nonzero(truth)
    return 2.0 * positive / (positive + np.count_nonzero(region)) if positive else math.nan


def _disc_diameter(adapter: Dataset, case: Case, shape: tuple[int, int]) -> float:
    """Pixels: the photograph's own disc in the truth, or the set's mean; NaN where there is neither."""
    disc = case.masks.get("optic_disc")
    if disc is not None and (truth := disc.read(shape)[0]).any():
        return metrics.equivalent_diameter(truth)
    return (adapter.disc_diameter or math.nan) * shape[1]


def _score_mask(target: str, found: _Found, truth: NDArray[np.bool_], region: NDArray[np.bool_]) -> dict[str, float]:
    """Scores of one mask; for an optic disc also the distance of its centre in units of its true diameter."""
    prediction = found.masks.get(target, np.zeros(truth.shape, bool))
    probability = found.probability.get(target)
    if probability is None and found.has_probability and target not in found.masks:
        probability = np.zeros(truth.shape, np.float32)
    scores = metrics.score_mask(prediction, probability, truth, region, tree=target in TREES)
    if target == "optic_disc" and truth.any():
        centre = found.points.get(target) or (metrics.centroid(prediction) if prediction.any() else None)
        unit = metrics.equivalent_diameter(truth)
        scores["distance_dd"] = metrics.point_distance(centre, metrics.centroid(truth), unit)
    return scores


def _quality_rows(
    adapter: Dataset, cases: list[Case], frame_size: int, progress: Callable[[int], None] | None
) -> list[dict[str, Any]]:
    """One row per photograph and one over all; a photograph without a fundus has gradability 0."""
    gradability = np.zeros(len(cases))
    for i, case in enumerate(cases):
        framed = adapter.frame(_read(adapter, case), frame_size, case.image_id)
        gradability[i] = score(framed)[GRADABILITY] if framed.status == Status.OK else 0.0
        if progress is not None:
            progress(i + 1)
    truth = np.array([case.gradable for case in cases], bool)
    right = (gradability >= THRESHOLD) == truth
    rows: list[dict[str, Any]] = [
        {
            "split": case.split,
            "image_id": case.image_id,
            "target": GRADABILITY,
            "accuracy": float(right[i]),
            "sensitivity" if truth[i] else "specificity": float(right[i]),
        }
        for i, case in enumerate(cases)
    ]
    counts = metrics.confusion(gradability >= THRESHOLD, truth)
    over_all = {
        "accuracy": counts.accuracy,
        "sensitivity": counts.sensitivity,
        "specificity": counts.specificity,
        "auc": metrics.auc(gradability, truth),
        "aupr": metrics.average_precision(gradability, truth),
    }
    return [*rows, {"split": cases[0].split, "image_id": ALL_IMAGES, "target": GRADABILITY, **over_all}]


POINTS = ("optic_disc", "fovea")
WITHIN_DD = (0.5, 1.0)


def summarise(table: pd.DataFrame, *, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Mean, median and interval of each metric over the photographs.

    Parameters
    ----------
    table : DataFrame
        Columns of ``METRICS``, of one or more sets.
    resamples : int
        Bootstrap samples of photographs.
    seed : int
        Of the bootstrap; the result does not depend on the order of rows.

    Returns
    -------
    DataFrame
        dataset, split, target, metric, n (photographs with a value), mean, median, ci_low, ci_high: 95 % percentile
        bootstrap interval of the mean, NaN for a single photograph. For points also the metrics ``within_0.5_dd`` and
        ``within_1_dd``: the share of all photographs, a point that was not found being a miss (``distance_dd`` itself
        is over those found). What only exists over a whole set (row ``__all__``) has no median and no interval.
    """
    rows = []
    for (dataset, split, target), group in table.groupby(["dataset", "split", "target"], sort=False):
        images = group[group["image_id"] != ALL_IMAGES].sort_values("image_id")
        whole = group[group["image_id"] == ALL_IMAGES]
        key = {"dataset": dataset, "split": split, "target": target}
        for name, values in _samples(str(target), images).items():
            if values.size:
                rows.append({**key, "metric": name, **_describe(values, resamples, seed)})
            elif name in whole and whole[name].notna().any():
                nothing = dict.fromkeys(("median", "ci_low", "ci_high"), math.nan)
                rows.append({**key, "metric": name, "n": len(images), "mean": float(whole[name].iloc[0]), **nothing})
    columns = ["dataset", "split", "target", "metric", "n", "mean", "median", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def _samples(target: str, images: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Values by metric, one per photograph that has one."""
    samples = {name: images[name].dropna().to_numpy(float) for name in SCORES}
    if target in POINTS:
        absent = images["n_positive_px"].fillna(1).to_numpy(float) == 0  # no disc in the truth: nothing to find
        distance = images["distance_dd"].to_numpy(float)[~absent]
        for limit in WITHIN_DD:
            samples[f"within_{limit:g}_dd"] = (distance <= limit).astype(float)  # NaN, not found, is a miss
    return samples


def _describe(values: NDArray[np.float64], resamples: int, seed: int) -> dict[str, float]:
    mean, n = float(values.mean()), len(values)
    low = high = math.nan
    if n > 1:
        picks = np.random.default_rng(seed).integers(n, size=(resamples, n))
        low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return {"n": n, "mean": mean, "median": float(np.median(values)), "ci_low": float(low), "ci_high": float(high)}


def summary_text(table: pd.DataFrame) -> str:
    """Table of :func:`summarise` as plain text, one block per set and target, for a terminal."""
    lines = []
    for (dataset, split, target), group in summarise(table).groupby(["dataset", "split", "target"], sort=False):
        lines.append(f"{dataset} {split}, {target}")
        lines.append(f"  {'metric':<14}{'n':>5}{'mean':>9}{'95 % interval':>19}{'median':>9}")
        for row in group.to_dict("records"):
            interval = f"{row['ci_low']:.4f} - {row['ci_high']:.4f}" if math.isfinite(row["ci_low"]) else "-"
            median = f"{row['median']:.4f}" if math.isfinite(row["median"]) else "-"
            lines.append(f"  {row['metric']:<14}{row['n']:>5}{row['mean']:>9.4f}{interval:>19}{median:>9}")
    return "\n".join(lines)
