"""A shard of photographs in, the table of their masks out."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam.errors import UserError
from retsam.io.frames import FramedImage, iter_frames
from retsam.io.masks import encode
from retsam.segmentation.engine import Prediction, SegmentationEngine
from retsam.status import Status
from retsam.tables import MASKS
from retsam.taxonomy import FOV, TARGETS

log = logging.getLogger(__name__)

A = TypeVar("A")
B = TypeVar("B")


def segment_table(
    shard: pd.DataFrame,
    root: Path,
    engine: SegmentationEngine,
    *,
    frame_size: int = 1024,
    targets: Sequence[str] | None = None,
    batch_size: int | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Segment every photograph of a shard.

    Parameters
    ----------
    shard : DataFrame
        Columns of ``tables.SHARD``.
    root : Path
        Folder that relative paths start from.
    engine : SegmentationEngine
        From :func:`retsam.segmentation.load_engine`.
    frame_size : int
        Side of the canonical frame in pixels, a multiple of 64.
    targets : sequence of str, optional
        Keep only these; the default is all that the engine declares. Those that it does not declare give no rows.
    batch_size : int, optional
        Frames per call of the engine; its ``preferred_batch`` by default.
    workers : int
        Threads that read photographs, and that predict if the engine allows it. Results do not depend on it.
    progress : callable, optional
        Called with the number of photographs done so far.

    Returns
    -------
    DataFrame
        Columns of ``tables.MASKS``. For each photograph, in the shard's order: a row ``fov``, then one row per target
        in the order of ``taxonomy.TARGETS`` with status ok or not_visible. A photograph that cannot be used has one row
        ``fov`` with its reason; so has one on which the engine fails (status failed, reason in the log).

    Raises
    ------
    UserError
        A name in `targets` that is no target at all.
    """
    kept = _kept_targets(engine, targets)
    rows: list[dict[str, Any]] = []
    done = 0
    with ThreadPoolExecutor(max_workers=max(workers, 1) if engine.concurrent else 1) as pool:
        frames = iter_frames(shard, root, frame_size, workers)
        # An engine finds out in use how many frames suit it.
        chunks = _chunks(frames, lambda: batch_size or engine.preferred_batch)
        ahead = workers if engine.concurrent else 1
        for image_rows in _in_order(pool, lambda chunk: _segment_chunk(chunk, engine, kept), chunks, ahead):
            rows.extend(row for image in image_rows for row in image)
            for _ in image_rows:
                done += 1
                if progress is not None:
                    progress(done)
    return pd.DataFrame(rows, columns=MASKS.names)


def _kept_targets(engine: SegmentationEngine, targets: Sequence[str] | None) -> list[str]:
    unknown = [name for name in targets or () if name not in TARGETS]
    if unknown:
        raise UserError(f"no target {unknown[0]!r}; the targets are {', '.join(TARGETS)}.")
    return [name for name in TARGETS if name in engine.targets and (targets is None or name in targets)]


def _chunks(items: Iterable[FramedImage], size: Callable[[], int]) -> Iterator[list[FramedImage]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size())):
        yield chunk


def _in_order(pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A], ahead: int) -> Iterator[B]:
    """Map over threads, results in order, at most `ahead` + 1 items in memory (``Executor.map`` would take all)."""
    pending: deque[Future[B]] = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _segment_chunk(chunk: list[FramedImage], engine: SegmentationEngine, kept: list[str]) -> list[list[dict[str, Any]]]:
    """Rows of each photograph of a batch."""
    usable = [framed for framed in chunk if framed.status == Status.OK]
    predictions = iter(_predict(usable, engine))
    return [_rows(framed, next(predictions) if framed.status == Status.OK else None, engine, kept) for framed in chunk]


def _predict(frames: list[FramedImage], engine: SegmentationEngine) -> list[Prediction | None]:
    """Predictions, None where the engine failed: a failing batch is repeated frame by frame to find the culprit."""
    if not frames:
        return []
    images: NDArray[np.uint8] = np.stack([framed.image for framed in frames if framed.image is not None])
    fov: NDArray[np.bool_] = np.stack([framed.fov for framed in frames if framed.fov is not None])
    try:
        return list(engine.predict(images, fov))
    except Exception:
        if len(frames) > 1:
            return [result for framed in frames for result in _predict([framed], engine)]
        log.exception("segmentation of %s failed", frames[0].image_id)
        return [None]


def _rows(
    framed: FramedImage, prediction: Prediction | None, engine: SegmentationEngine, kept: list[str]
) -> list[dict[str, Any]]:
    """Rows of one photograph, ``fov`` first."""
    base = {"image_id": framed.image_id, "eye": framed.eye, "um_per_px": framed.um_per_px}
    if framed.frame is None or framed.fov is None:
        return [base | {"target": FOV, "status": str(framed.status)}]
    base |= framed.frame.as_row()
    if prediction is None:
        return [base | {"target": FOV, "status": str(Status.FAILED)}]
    first = base | {
        "target": FOV,
        "status": str(Status.OK),
        "rle": encode(framed.fov),
        "area_px": np.count_nonzero(framed.fov),
    }
    return [first, *(base | _target_row(name, prediction, engine) for name in kept)]


def _target_row(name: str, prediction: Prediction, engine: SegmentationEngine) -> dict[str, Any]:
    row: dict[str, Any] = {
        "target": name,
        "status": str(prediction.status[name]),
        "evidence": str(engine.targets[name]),
    }
    if prediction.status[name] != Status.OK:
        return row
    mask = prediction.masks[name]
    row |= {"rle": encode(mask), "area_px": np.count_nonzero(mask)}
    if name in prediction.probability and row["area_px"]:
        row["probability"] = float(prediction.probability[name][mask].mean(dtype=np.float64))
    if name in prediction.points:
        row["x"], row["y"] = map(float, prediction.points[name])
    return row
