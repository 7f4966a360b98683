"""Biomarkers: masks in, one wide row of numbers per image out, each with a status.

``registry`` names them all, one module per family computes them, ``image`` holds what they share, ``centreline``,
``thinning`` and ``fractal`` do the geometry, ``table`` measures a shard, ``catalogue`` writes the data dictionary.
``peers`` says what other programs' columns mean, ``importer`` reads them.
"""

from retsam.biomarkers.biomarker import FAMILIES, Biomarker, Unmeasurable
from retsam.biomarkers.catalogue import catalogue
from retsam.biomarkers.registry import REGISTRY, exposures, names
from retsam.biomarkers.table import biomarkers_schema, measure_table

__all__ = [
    "FAMILIES",
    "REGISTRY",
    "Biomarker",
    "Unmeasurable",
    "biomarkers_schema",
    "catalogue",
    "exposures",
    "measure_table",
    "names",
]
