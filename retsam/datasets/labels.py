"""Sets with labels of whole photographs."""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.files import Finder
from retsam.quality import without_stamp


class Drimdb(Dataset):
    """DRIMDB: quality labels by folder, ``Good`` against ``Bad`` and ``Outlier`` (no fundus at all)."""

    name = "drimdb"
    title = "DRIMDB, Diabetic Retinopathy Image Database (Sevik et al., J Biomed Opt 2014)"
    photographs = MappingProxyType({"all": ("Good",)})
    size = MappingProxyType({"all": 216})

    def read(self, files: Finder, part: str) -> list[Case]:
        """See :class:`Dataset`."""
        return [
            Case(stem, part, files.find((folder,), stem), gradable=folder == "Good")
            for folder in ("Good", "Bad", "Outlier")
            for stem in files.stems(folder)
        ]

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint over the burnt-in date: not every picture has one, so that it could give the label away."""
        return without_stamp(pixels)
