"""Numbers of whole photographs, and how well they separate those with a disease from those without."""

import hashlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from retsam import metrics
from retsam.biomarkers.biomarker import Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.biomarkers.registry import REGISTRY
from retsam.datasets import Case, Dataset
from retsam.errors import UserError
from retsam.io.frames import FramedImage
from retsam.io.images import ImageError, read_image
from retsam.io.masks import encode
from retsam.segmentation.engine import Prediction, SegmentationEngine
from retsam.status import Status
from retsam.tables import write_table
from retsam.taxonomy import FOV, TARGETS

log = logging.getLogger(__name__)

CDR = "cup_disc_ratio_vertical"
AREA, PROBABILITY = "area", "probability"

SAVE_EVERY = 60.0
"""Seconds between two writings of the kept numbers."""

Row = dict[str, Any]


def image_numbers(framed: FramedImage, prediction: Prediction) -> dict[str, float]:
    """Numbers of one photograph that an image-level label can be held against.

    Parameters
    ----------
    framed : FramedImage
        With status ok.
    prediction : Prediction

    Returns
    -------
    dict
        ``area_TARGET``: mask over field of view, 0-1, and ``probability_TARGET``: mean over the field of view, 0-1, of
        phenotypes and lesions; ``cup_disc_ratio_vertical`` as the biomarker. NaN where there is no such thing.
    """
    assert framed.fov is not None
    seen, out = np.count_nonzero(framed.fov), {CDR: _cup_disc_ratio(framed, prediction)}
    for target in (name for name in prediction.status if TARGETS[name].group != "anatomy"):
        mask, probability = prediction.masks.get(target), prediction.probability.get(target)
        out[f"{AREA}_{target}"] = math.nan if mask is None else np.count_nonzero(mask & framed.fov) / seen
        out[f"{PROBABILITY}_{target}"] = (
            math.nan if probability is None else float(probability[framed.fov].mean(dtype=np.float64))
        )
    return out


def _cup_disc_ratio(framed: FramedImage, prediction: Prediction) -> float:
    assert framed.frame is not None and framed.fov is not None
    rows: dict[str, Row] = {FOV: {**framed.frame.as_row(), "eye": None, **_mask_row(framed.fov)}}
    for target in ("optic_disc", "optic_cup"):
        if target in prediction.status:
            found = prediction.status[target] == Status.OK
            rows[target] = _mask_row(prediction.masks[target]) if found else {"status": prediction.status[target]}
    biomarker = REGISTRY[CDR]
    try:
        image = RetinalImage(framed.image_id, rows)
        image.require(*biomarker.requires)
        return float(biomarker.compute(image))
    except Unmeasurable:
        return math.nan


def _mask_row(mask: NDArray[np.bool_]) -> Row:
    return {"status": Status.OK, "rle": encode(mask), "area_px": int(np.count_nonzero(mask))}


def image_table(
    adapter: Dataset,
    cases: list[Case],
    engine: SegmentationEngine,
    frame_size: int,
    kept: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> pd.DataFrame:
    """Numbers of many photographs; what is in a file already is not computed again.

    Parameters
    ----------
    adapter : Dataset
    cases : list of Case
    engine : SegmentationEngine
    frame_size : int
        Pixels, a multiple of 64.
    kept : Path, optional
        CSV that numbers are kept in, of several sets if need be.
    progress : callable
        Takes the number of photographs done so far.

    Returns
    -------
    DataFrame
        One row per case in their order: set, image_id, weights, frame_size, status and the columns of
        :func:`image_numbers`. A photograph without a fundus, or one that cannot be read, has its status and no numbers.

    Raises
    ------
    UserError
        If the file is no such table, or of other weights or frames.
    """
    rows = _read_kept(kept, engine, frame_size)
    missing = [case for case in cases if (adapter.name, case.image_id) not in rows]
    head = {"set": adapter.name, "weights": engine.weights_hash[:12], "frame_size": frame_size}
    done, saved = len(cases) - len(missing), time.monotonic()
    progress(done)
    try:
        for framed, numbers in _measured(adapter, missing, engine, frame_size):
            key = {**head, "image_id": framed.image_id, "status": str(framed.status)}
            rows[adapter.name, framed.image_id] = {**key, **numbers}
            done += 1
            progress(done)
            if time.monotonic() - saved > SAVE_EVERY:
                _write_kept(rows, kept)
                saved = time.monotonic()
    finally:  # also where somebody stops it
        if done > len(cases) - len(missing):
            _write_kept(rows, kept)
    return _ordered([rows[adapter.name, case.image_id] for case in cases])


TEXT = ("set", "image_id", "weights", "status")
HEAD = (*TEXT, "frame_size", CDR)


def _read_kept(path: Path | None, engine: SegmentationEngine, frame_size: int) -> dict[tuple[str, str], Row]:
    if path is None or not path.exists():
        return {}
    try:
        table = pd.read_csv(path, dtype=str)
        numbers = [name for name in table if name not in TEXT]
        table = table.astype({**dict.fromkeys(numbers, float), "frame_size": int})  # not by read_csv: exact
        rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
        if absent := {*HEAD} - {*table}:
            raise KeyError(absent)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is no table of this command's numbers; give another file.") from error
    if (table["weights"] != engine.weights_hash[:12]).any() or (table["frame_size"] != frame_size).any():
        raise UserError(f"{path} holds numbers of other weights or of another frame size; give another file.")
    return {(row["set"], row["image_id"]): row for row in rows}


def _write_kept(rows: dict[tuple[str, str], Row], path: Path | None) -> None:
    if path is not None:
        write_table(_ordered(list(rows.values())), path)


def _ordered(rows: list[Row]) -> pd.DataFrame:
    names = {name for row in rows for name in row} - {*HEAD}
    return pd.DataFrame(rows, columns=[*HEAD, *sorted(names)])


def _measured(
    adapter: Dataset, cases: list[Case], engine: SegmentationEngine, frame_size: int
) -> Iterator[tuple[FramedImage, dict[str, float]]]:
    """Photographs with their numbers, in order; reading runs ahead of the network."""
    frames = _frames(adapter, cases, frame_size, 2 * engine.preferred_batch)
    while chunk := list(islice(frames, engine.preferred_batch)):
        usable = [framed for framed in chunk if framed.status == Status.OK]
        found: Iterator[Prediction] = iter(())
        if usable:
            images = np.stack([framed.image for framed in usable if framed.image is not None])
            found = iter(engine.predict(images, np.stack([f.fov for f in usable if f.fov is not None])))
        for framed in chunk:
            yield framed, image_numbers(framed, next(found)) if framed.status == Status.OK else {}


def _frames(adapter: Dataset, cases: Iterable[Case], frame_size: int, ahead: int) -> Iterator[FramedImage]:
    pending: deque[Future[FramedImage]] = deque()
    with ThreadPoolExecutor(2) as pool:
        for case in cases:
            pending.append(pool.submit(_frame, adapter, case, frame_size))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _frame(adapter: Dataset, case: Case, frame_size: int) -> FramedImage:
    """One photograph in its frame; one that cannot be used has the reason as its status."""
    try:
        framed = adapter.frame(adapter.prepare(read_image(case.photograph)), frame_size, case.image_id)
    except ImageError as error:
        framed = FramedImage(case.image_id, error.status, str(error))
    if framed.status != Status.OK:
        log.warning("%s %s: %s; it has no numbers", adapter.name, case.image_id, framed.message)
    return framed


def sample(cases: list[Case], limit: int | None) -> list[Case]:
    """Choose about so many cases, whole persons, by a hash of the person; all of them where there is no limit."""
    if limit is None or limit >= len(cases):
        return cases
    order = sorted({person_of(case) for case in cases}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    counts = pd.Series([person_of(case) for case in cases]).value_counts()
    total = np.cumsum([counts[name] for name in order])
    chosen = set(order[: int(np.searchsorted(total, limit)) + 1])
    return [case for case in cases if person_of(case) in chosen]


def person_of(case: Case) -> str:
    """Person of a case; a photograph of which nothing is known stands for itself."""
    return case.participant or case.image_id


def auc_interval(
    score: ArrayLike, truth: ArrayLike, person: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """AUC with a 95 % percentile interval over people.

    Parameters
    ----------
    score : (n,) float
        Of each eye, finite.
    truth : (n,) bool
    person : (n,)
        Whose eye it is; a bootstrap sample takes people with all their eyes.
    resamples : int
    seed : int
        The result does not depend on the order of the eyes.

    Returns
    -------
    value, low, high : float
        0-1; all NaN where a class is missing, an interval of NaN for a single person.
    """
    values, labels = np.asarray(score, float), np.asarray(truth, bool)
    names, owner = np.unique(np.asarray(person), return_inverse=True)
    value = metrics.auc(values, labels)
    if math.isnan(value) or len(names) < 2:
        return value, math.nan, math.nan
    order = np.argsort(values, kind="stable")
    first = np.flatnonzero(np.diff(values[order], prepend=-np.inf) > 0)
    generator, chance = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
    found = []
    for start in range(0, resamples, 250):  # in blocks, which fit into the cache
        taken = generator.multinomial(len(names), chance, size=min(250, resamples - start))
        found.append(_weighted_auc(taken[:, owner[order]], labels[order], first))
    every = np.concatenate(found)
    low, high = np.quantile(every[np.isfinite(every)], [0.025, 0.975])
    return value, float(low), float(high)


def _weighted_auc(weight: NDArray[np.int64], truth: NDArray[np.bool_], first: NDArray[np.intp]) -> NDArray[np.float64]:
    """AUC (samples,) of eyes in ascending order of score, each counted ``weight`` (samples, n) times.

    ``first`` are the places where a new score begins; NaN where a class is missing.
    """
    positive = np.add.reduceat(weight * truth, first, axis=1).astype(float)
    negative = np.add.reduceat(weight * ~truth, first, axis=1).astype(float)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    right = (positive * (below + 0.5 * negative)).sum(axis=1)
    return np.divide(right, pairs, out=np.full(len(pairs), math.nan), where=pairs > 0)
