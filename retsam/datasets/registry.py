"""The adapters by name."""

import difflib

from retsam.datasets.dataset import Dataset
from retsam.datasets.labels import Drimdb
from retsam.datasets.lesions import Idrid
from retsam.datasets.localisation import IdridLocalization
from retsam.datasets.vessels import Drive, Hrf
from retsam.errors import UserError

DATASETS: dict[str, Dataset] = {d.name: d for d in (Drive(), Hrf(), Idrid(), IdridLocalization(), Drimdb())}
"""Adapters by name."""


def get_dataset(name: str) -> Dataset:
    """Look an adapter up.

    Raises
    ------
    UserError
        If the name is not known; the message lists the known names.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name.lower(), DATASETS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"unknown data set {name!r}: {hint}known are {', '.join(sorted(DATASETS))}.")
    return DATASETS[name]
