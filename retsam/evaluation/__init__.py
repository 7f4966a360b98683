"""How good a model is on public benchmarks: metrics, data set adapters, one evaluation loop."""

from retsam.evaluation.datasets import DATASETS, get_dataset
from retsam.evaluation.run import METRICS, evaluate, summarise, summary_text

__all__ = ["DATASETS", "METRICS", "evaluate", "get_dataset", "summarise", "summary_text"]
