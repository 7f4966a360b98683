"""Masks as COCO run-length counts, one string each, in one Parquet table per shard."""

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def encode(mask: NDArray[np.bool_]) -> str:
    """Compress a mask.

    Parameters
    ----------
    mask : (size, size) bool

    Returns
    -------
    str
        COCO compressed counts (column-major runs, pycocotools).
    """
    if not mask.any():
        return _nothing(mask.shape)
    # Its transpose in C order is the mask in Fortran order; OpenCV transposes several times faster than NumPy copies.
    return _counts(cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)).T)


def _counts(mask: NDArray[Any]) -> str:
    from pycocotools import mask as coco  # late: training never writes run lengths

    return coco.encode(np.asfortranarray(mask))["counts"].decode("ascii")


def empty(size: int) -> str:
    """What :func:`encode` writes for a mask of side `size` of which nothing is set."""
    return _nothing((size, size))


@cache
def _nothing(shape: tuple[int, ...]) -> str:
    """Run lengths of a mask of which nothing is set, as most are."""
    return _counts(np.zeros(shape, np.uint8))


def decode(rle: str, size: int) -> NDArray[np.bool_]:
    """Invert :func:`encode`; returns (size, size) bool.

    Raises
    ------
    ValueError
        If the counts do not fill the mask (pycocotools itself would fill the rest with whatever the memory held).
    """
    return paint(runs_of(rle, size), size)


def runs_of(rle: str, size: int) -> NDArray[np.int64]:
    """Lengths (runs,) of the runs of a mask, column by column, background first.

    Raises
    ------
    ValueError
        If they do not fill the mask.
    """
    runs = run_lengths(rle)
    if runs.sum() != size * size or runs.min() < 0:
        raise ValueError(f"not the run lengths of a mask of side {size}; segment this image again")
    return runs


def paint(runs: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Mask (size, size) of the runs of :func:`runs_of`."""
    if runs.size == 1:
        return np.zeros((size, size), bool)
    return cv2.transpose(_columns(runs, size)).view(np.bool_)


def paint_part(runs: NDArray[np.int64], size: int) -> tuple[NDArray[np.bool_], int, int]:
    """Part (h, w) of the mask of some runs that is not empty, and the frame's x and y of its first pixel.

    It may have empty rows above and below. Nothing, (0, 0) pixels, of an empty mask.
    """
    stop = np.cumsum(runs)[1::2]
    first = stop - runs[1::2]
    first, stop = first[stop > first], stop[stop > first]
    if not first.size:
        return np.zeros((0, 0), bool), 0, 0
    left, right = first[0] // size, (stop[-1] - 1) // size + 1
    top, bottom = (first % size).min(), ((stop - 1) % size).max() + 1
    if (first // size != (stop - 1) // size).any():  # a run goes on at the top of the next column
        top, bottom = 0, size
    changes = np.column_stack([first, stop]).ravel()
    part = _columns(np.diff(changes, prepend=left * size, append=right * size), size)[:, top:bottom]
    return cv2.transpose(part).view(np.bool_), int(left), int(top)


def _columns(runs: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Columns (n, size) of the mask that runs fill."""
    return np.repeat((np.arange(runs.size) % 2).astype(np.uint8), runs).reshape(-1, size)


def run_lengths(rle: str) -> NDArray[np.int64]:
    """Lengths of the runs of a compressed string, background first.

    Parameters
    ----------
    rle : str
        Each number is written in groups of five bits, low ones first, as characters from code 48 on; bit 5 says that
        more follow, bit 4 of the last group is the sign. From the fourth on, numbers are differences to the second
        before (the format of the COCO API).

    Returns
    -------
    (runs,) int64
        Empty for text that is no such string.
    """
    codes = np.frombuffer(rle.encode("utf-8"), np.uint8) - np.uint8(48)  # what comes before 48 ends up above 63
    if codes.size == 0 or codes.max() > 63 or codes[-1] & 32:
        return np.zeros(0, np.int64)
    last = np.flatnonzero(codes < 32)
    length = np.diff(last, prepend=-1)
    if length.max() > 12:
        return np.zeros(0, np.int64)
    value = (codes[last] & 31).astype(np.int64)
    value -= (value & 16) << 1
    for back in range(1, int(length.max())):
        longer = np.flatnonzero(length > back)
        value[longer] = (value[longer] << 5) | (codes[last[longer] - back] & 31)
    value[1::2] = np.cumsum(value[1::2])
    value[2::2] = np.cumsum(value[2::2])
    return value
