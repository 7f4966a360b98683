"""Cohort tables with known values in place of measured ones."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def replace_values(
    eyes: pd.DataFrame, participants: pd.DataFrame, values: pd.DataFrame, names: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put the values of another table in place of measured ones, by the rules that the cohort follows.

    An eye gets the value of the image that represents it, a participant's visit the mean of its eyes that have one.

    Parameters
    ----------
    eyes, participants : DataFrame
        Tables of :class:`retsam.cohort.Cohort`.
    values : DataFrame
        Column image_id, unique, and a column for each name.
    names : sequence of str
        Biomarkers to replace; one that the tables lack is added.

    Returns
    -------
    eyes, participants : DataFrame
        The same rows in the same order. NaN where there is no value; NAME__status, which tells of the measurement, is
        left out.
    """
    names = list(dict.fromkeys(names))
    gone = [column for name in names for column in (name, f"{name}__status")]
    of_image = values.set_index("image_id")[names].astype(float)
    of_eye = of_image.reindex(eyes["image_id"]).set_axis(eyes.index)
    codes: dict[tuple, int] = {}
    of_visit = of_eye.groupby(_visits(eyes, codes)).mean()
    of_participant = of_visit.reindex(_visits(participants, codes)).set_axis(participants.index)
    return tuple(  # type: ignore[return-value]
        pd.concat([table.drop(columns=gone, errors="ignore"), new], axis=1)
        for table, new in ((eyes, of_eye), (participants, of_participant))
    )


def _visits(table: pd.DataFrame, codes: dict[tuple, int]) -> np.ndarray:
    """An integer per (participant, visit), known ones first; new ones are added to the codes."""
    keys = table[["participant_id", "visit"]].astype(object).itertuples(index=False)
    known = (tuple(None if pd.isna(part) else part for part in key) for key in keys)
    return np.array([codes.setdefault(key, len(codes)) for key in known], dtype=int)
