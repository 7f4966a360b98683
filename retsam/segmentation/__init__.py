"""Segmentation: engines that find structures in canonical frames, and the table of masks of a shard."""

from retsam.segmentation.engine import DEFAULT_MODEL, Prediction, SegmentationEngine, load_engine, origin
from retsam.segmentation.given import given_evidence, given_masks
from retsam.segmentation.predictor import segment_table

__all__ = [
    "DEFAULT_MODEL",
    "Prediction",
    "SegmentationEngine",
    "given_evidence",
    "given_masks",
    "load_engine",
    "origin",
    "segment_table",
]
