"""Public data sets with annotations, read in their own official folder layouts, for training and for benchmarks.

An adapter is a small class: where the photographs of each official part lie, and which file annotates which photograph.
To add a set, subclass :class:`Dataset`, give ``name``, ``title``, ``photographs`` and ``size``, write
:meth:`Dataset.read`, and put an instance into :data:`DATASETS`.

Files are found by their stem in any raster format and any case of extension (``01_manual1.gif``, ``01_manual1.png``).
What is missing is collected and reported at once, in one error. An annotation folder that is documented as optional may
be absent as a whole; once it is there, it has to be complete.
"""

from retsam.datasets.annotation import MaskFile
from retsam.datasets.dataset import Case, Dataset
from retsam.datasets.registry import DATASETS, get_dataset

__all__ = ["DATASETS", "Case", "Dataset", "MaskFile", "get_dataset"]
