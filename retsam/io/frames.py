"""Photographs brought into the canonical frame, one by one or as a stream over a shard."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam.field import find_field, make_frame
from retsam.geometry import Frame
from retsam.io.images import ImageError, read_image
from retsam.status import Status


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
    """
    key = image_id if image_id is not None else path.stem
    try:
        pixels = read_image(path)
    except ImageError as error:
        return FramedImage(key, error.status, str(error), eye, um_per_px)
    return frame_pixels(pixels, frame_size, image_id=key, eye=eye, um_per_px=um_per_px)


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
    """
    try:
        field = find_field(pixels)
    except ImageError as error:
        return FramedImage(image_id, error.status, str(error), eye, um_per_px)
    frame = make_frame(pixels.shape[1], pixels.shape[0], field, frame_size)
    return FramedImage(
        image_id, Status.OK, "", eye, um_per_px, frame, frame.warp(pixels), frame.warp(field.mask)
    )


def iter_frames(shard: pd.DataFrame, root: Path, frame_size: int, workers: int = 1) -> Iterator[FramedImage]:
    """Stream a shard in its order; decoding runs ahead in threads, at most two images per worker in memory.

    Parameters
    ----------
    shard : DataFrame
        Columns of ``tables.SHARD``.
    root : Path
        Folder that relative paths start from.
    workers : int
        Decoding threads.
    """

    def job(row: dict) -> FramedImage:
        eye = row["eye"] if isinstance(row["eye"], str) else None
        scale = float(row["um_per_px"]) if pd.notna(row["um_per_px"]) else None
        if row["status"] != Status.OK:
            return FramedImage(row["image_id"], Status(row["status"]), "", eye, scale)
        return load_frame(root / row["path"], frame_size, image_id=row["image_id"], eye=eye, um_per_px=scale)

    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        pending: deque = deque()
        for row in shard.to_dict("records"):
            pending.append(pool.submit(job, row))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
