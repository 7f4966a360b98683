"""Photographs brought into the canonical frame, one by one or as a stream over a shard."""

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam.field import check_frame_size, find_field, make_frame
from retsam.geometry import Frame
from retsam.io.images import ImageError, read_image
from retsam.status import MEANING, Status

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FramedImage:
    """One manifest image after reading; everything but id, status and message is None unless status is ok.

    Attributes
    ----------
    image_id : str
    status : Status
    message : str
        One sentence for the user where status is not ok, else empty.
    eye : str or None
        OD or OS.
    um_per_px : float or None
        Of the photograph.
    frame : Frame or None
    image : (frame_size, frame_size, 3) uint8 RGB or None
    fov : (frame_size, frame_size) bool or None
        Field of view.
    """

    image_id: str
    status: Status
    message: str = ""
    eye: str | None = None
    um_per_px: float | None = None
    frame: Frame | None = None
    image: NDArray[np.uint8] | None = None
    fov: NDArray[np.bool_] | None = None


def load_frame(
    path: Path,
    frame_size: int,
    *,
    image_id: str | None = None,
    eye: str | None = None,
    um_per_px: float | None = None,
) -> FramedImage:
    """Read one photograph, find its field of view and warp it; a bad file becomes a status, never an exception.

    Parameters
    ----------
    path : Path
    frame_size : int
        Side of the frame in pixels, a multiple of 64.
    image_id : str, optional
        The file's stem by default.
    eye : str, optional
        OD or OS.
    um_per_px : float, optional
        Of the photograph.

    Returns
    -------
    FramedImage
        With status ``failed`` after an unexpected error, whose traceback is in the log.

    Raises
    ------
    ValueError
        If ``frame_size`` is no positive multiple of 64.
    """
    check_frame_size(frame_size)
    key = image_id if image_id is not None else path.stem
    failed = FramedImage(key, Status.FAILED, "", eye, um_per_px)
    try:
        pixels = read_image(path)
        framed = frame_pixels(pixels, frame_size, image_id=key, eye=eye, um_per_px=um_per_px)
    except ImageError as error:
        return replace(failed, status=error.status, message=str(error))
    except Exception as error:
        log.exception("image %s failed", key)
        return replace(failed, message=f"{path.name}: {_unexpected(error)}")
    return replace(framed, message=f"{path.name}: {framed.message}") if framed.message else framed


def _unexpected(error: Exception) -> str:
    """One sentence on an error that nobody foresaw; no text of the error, which may hold a path."""
    return f"unexpected {type(error).__name__}; see the log, and please report it with this image"


def frame_pixels(
    pixels: NDArray[np.uint8],
    frame_size: int,
    *,
    image_id: str,
    eye: str | None = None,
    um_per_px: float | None = None,
) -> FramedImage:
    """Find the field of view of a photograph that is already in memory and warp it; see :func:`load_frame`.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    frame_size : int
        Side of the frame in pixels, a multiple of 64.
    """
    try:
        field = find_field(pixels)
    except ImageError as error:
        return FramedImage(image_id, error.status, str(error), eye, um_per_px)
    frame = make_frame(pixels.shape[1], pixels.shape[0], field, frame_size)
    return FramedImage(image_id, Status.OK, "", eye, um_per_px, frame, frame.warp(pixels), frame.warp(field.mask))


def iter_frames(shard: pd.DataFrame, root: Path, frame_size: int, workers: int = 1) -> Iterator[FramedImage]:
    """Stream a shard in its order; decoding runs ahead in threads.

    Parameters
    ----------
    shard : DataFrame
        Columns of ``tables.SHARD``.
    root : Path
        Folder that relative paths start from.
    frame_size : int
        Side of the frame in pixels, a multiple of 64.
    workers : int
        Decoding threads.

    Yields
    ------
    FramedImage
        One for each row, whatever is wrong with it. At most two for each worker wait in memory.

    Raises
    ------
    ValueError
        If ``frame_size`` is no positive multiple of 64.
    """
    check_frame_size(frame_size)
    workers = max(workers, 1)
    pool = ThreadPoolExecutor(max_workers=workers)
    pending: deque[Future[FramedImage]] = deque()
    try:
        for row in shard.to_dict("records"):
            if len(pending) == 2 * workers:
                yield pending.popleft().result()
            pending.append(pool.submit(_load_row, row, root, frame_size))
        while pending:
            yield pending.popleft().result()
    finally:  # also where the caller stops early
        pool.shutdown(cancel_futures=True)


def _load_row(row: dict[Any, Any], root: Path, frame_size: int) -> FramedImage:
    """Load one row of a shard."""
    key = str(row["image_id"])
    eye = row["eye"] if isinstance(row["eye"], str) else None
    scale = float(row["um_per_px"]) if pd.notna(row["um_per_px"]) else None
    status = Status(row["status"])
    if status is not Status.OK:
        return FramedImage(key, status, MEANING[status], eye, scale)
    if not isinstance(row["path"], str):
        return FramedImage(key, Status.BAD_ROW, MEANING[Status.BAD_ROW], eye, scale)
    return load_frame(root / row["path"], frame_size, image_id=key, eye=eye, um_per_px=scale)
