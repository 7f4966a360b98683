"""Multiple testing."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control


def q_values(p: ArrayLike) -> np.ndarray:
    """Benjamini-Hochberg q values.

    Parameters
    ----------
    p : (n,) array-like of float
        p values, 0-1; NaN where nothing was tested.

    Returns
    -------
    (n,) float64 array
        ``q_(i) = min over j >= i of p_(j) m / j``, m being the number of p values that are not NaN; NaN stays NaN.

    References
    ----------
    Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate. J R Stat Soc B 57, 289-300.
    """
    values = np.asarray(p, dtype=float)
    q = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    if tested.any():
        q[tested] = false_discovery_control(values[tested], method="bh")
    return q
