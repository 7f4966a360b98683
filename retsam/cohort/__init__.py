"""Shard tables to images, eyes and participants, with a flow that accounts for every image."""

from retsam.cohort.build import Cohort, build_cohort, has_ungradable, regrade
from retsam.cohort.replace import replace_values
from retsam.cohort.store import table_schema, write_cohort

__all__ = [
    "Cohort",
    "build_cohort",
    "has_ungradable",
    "regrade",
    "replace_values",
    "table_schema",
    "write_cohort",
]
