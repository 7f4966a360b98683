"""Figures of a cohort, one module a purpose; each function gives a matplotlib Figure.

``flow_chart``   what was left out, stage by stage
``quality``      distribution of gradability
``effects``      places of estimates on an axis, and which of many are shown
``forest_plot``  odds ratios with intervals, models side by side
``truth_plot``   estimates of a simulated cohort beside the truth
``files``        all of them as files
"""

from retsam.report.figures.effects import TICKS, WIDEST, axis_limit
from retsam.report.figures.files import write_figures
from retsam.report.figures.flow_chart import flow, flow_of
from retsam.report.figures.forest_plot import forest, forest_of, forest_panels
from retsam.report.figures.quality import gradability
from retsam.report.figures.truth_plot import truth_forest

__all__ = [
    "TICKS",
    "WIDEST",
    "axis_limit",
    "flow",
    "flow_of",
    "forest",
    "forest_of",
    "forest_panels",
    "gradability",
    "truth_forest",
    "write_figures",
]
