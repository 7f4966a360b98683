"""The adapters by name."""

import difflib

from retsam.datasets.dataset import Dataset
from retsam.datasets.disc_cup import G1020, DrishtiGs, Gamma, Origa, Papila, Refuge, RimOne
from retsam.datasets.labels import Drimdb, Odir
from retsam.datasets.lesions import Ddr, EOphtha, Fgadr, HeiMed, Idrid
from retsam.datasets.localisation import IdridLocalization
from retsam.datasets.macula import Adam, Palm
from retsam.datasets.vessels import ChaseDb1, Drive, Fives, Hrf, Iostar, LesAv, Stare
from retsam.errors import UserError

_VESSELS = (Drive(), Stare(), ChaseDb1(), Hrf(), LesAv(), Fives(), Iostar())
_DISC_CUP = (Refuge(), DrishtiGs(), RimOne(), Origa(), G1020(), Papila(), Gamma())
_LESIONS = (Idrid(), Ddr(), EOphtha(), Fgadr(), HeiMed(), Palm(), Adam())
_OTHER = (IdridLocalization(), Drimdb(), Odir())

DATASETS: dict[str, Dataset] = {d.name: d for d in (*_VESSELS, *_DISC_CUP, *_LESIONS, *_OTHER)}
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
