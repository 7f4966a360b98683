"""How much the two eyes of a person differ."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retsam.status import Status


def asymmetry(eyes: pd.DataFrame, visits: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Right against left eye.

    Parameters
    ----------
    eyes : DataFrame
        One row per eye: eye (OD, OS, null), and NAME and NAME__status of each biomarker.
    visits : (n,) int array
        Each row's (participant, visit), from 0 on without gaps.
    names : sequence of str
        Biomarkers; none of signs that mirror each other: the measurements of a left eye are those of its mirror image.

    Returns
    -------
    DataFrame
        One row per (participant, visit), in the order of their numbers. For each biomarker NAME__right_minus_left, in
        its unit; NAME__asymmetry, the absolute difference over the mean of the two magnitudes (0 to 2, 0 is
        symmetric); and NAME__asymmetry__status. Both are NaN where an eye has no value: ``not_assessed`` if there is
        no such eye, else the reason of the right, then of the left eye. Where both are zero the difference is 0 and
        the ratio ``undefined``.
    """
    names = list(names)
    (right, of_right), (left, of_left) = (_side(eyes, visits, names, side) for side in ("OD", "OS"))
    difference, mean = right - left, (np.abs(right) + np.abs(left)) / 2
    relative = np.abs(difference) / np.where(mean > 0, mean, np.nan)
    status = np.where(mean > 0, Status.OK.value, Status.UNDEFINED.value).astype(object)
    status = np.where(np.isnan(left), of_left, status)
    status = np.where(np.isnan(right), of_right, status)
    columns = {}
    for i, name in enumerate(names):
        columns[f"{name}__right_minus_left"] = difference[:, i]
        columns[f"{name}__asymmetry"] = relative[:, i]
        columns[f"{name}__asymmetry__status"] = status[:, i]
    return pd.DataFrame(columns, index=np.arange(len(right)))


def _side(eyes: pd.DataFrame, visits: np.ndarray, names: list[str], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and statuses (visits, names) of the right or of the left eyes."""
    count = int(visits.max(initial=-1)) + 1
    here = eyes["eye"].eq(side).to_numpy()
    value = np.full((count, len(names)), np.nan)
    status = np.full((count, len(names)), Status.NOT_ASSESSED.value, object)
    value[visits[here]] = eyes.loc[here, names].to_numpy(float)
    status[visits[here]] = eyes.loc[here, [f"{name}__status" for name in names]].to_numpy(object)
    return value, status
