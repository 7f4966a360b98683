"""Masks as COCO run-length counts, one string each, in one Parquet table per shard."""

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco


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
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode("ascii")


def decode(rle: str, size: int) -> NDArray[np.bool_]:
    """Invert :func:`encode`; returns (size, size) bool."""
    return coco.decode({"size": [size, size], "counts": rle.encode("ascii")}).astype(bool)
