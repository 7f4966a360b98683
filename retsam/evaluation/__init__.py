"""How good a model is on public benchmarks: metrics, one evaluation loop."""

from retsam.evaluation.run import METRICS, evaluate, summarise, summary_text

__all__ = ["METRICS", "evaluate", "summarise", "summary_text"]
