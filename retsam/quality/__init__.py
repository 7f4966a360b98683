"""Image quality: features of a framed photograph, one calibrated gradability, one row per image."""

from retsam.quality.features import FEATURES, Feature, measure
from retsam.quality.stamp import DRIMDB_STAMP, without_stamp
from retsam.quality.table import QUALITY, THRESHOLD, quality_table, score

__all__ = [
    "DRIMDB_STAMP",
    "FEATURES",
    "QUALITY",
    "THRESHOLD",
    "Feature",
    "measure",
    "quality_table",
    "score",
    "without_stamp",
]
