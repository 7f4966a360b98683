"""Segmentation: engines that find structures in canonical frames, and the table of masks of a shard."""

from retsam.segmentation.engine import Prediction, SegmentationEngine, load_engine
from retsam.segmentation.predictor import segment_table

__all__ = ["Prediction", "SegmentationEngine", "load_engine", "segment_table"]
