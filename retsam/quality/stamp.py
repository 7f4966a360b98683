"""The time stamp that DRIMDB's camera burnt into every photograph, painted over."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

DRIMDB_STAMP: Final = (566, 4, 688, 27)
"""x0, y0, x1, y1 (end excluded) in a 760 x 570 photograph of DRIMDB; the two larger files carry no stamp."""


def without_stamp(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint over the time stamp of a DRIMDB photograph, so that no score can read the date or its presence.

    Each column is filled by linear interpolation between the pixels above and below the rectangle.

    Parameters
    ----------
    image : (570, 760, 3) uint8
        An image of any other size is returned as it is.

    Returns
    -------
    (570, 760, 3) uint8
        A copy.
    """
    if image.shape[:2] != (570, 760):
        return image
    x0, y0, x1, y1 = DRIMDB_STAMP
    above = image[y0 - 3 : y0, x0:x1].mean(0)
    below = image[y1 : y1 + 3, x0:x1].mean(0)
    weight = np.linspace(0, 1, y1 - y0)[:, None, None]
    filled = image.copy()
    filled[y0:y1, x0:x1] = np.rint(above * (1 - weight) + below * weight)
    return filled
