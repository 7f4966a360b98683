"""Figures of a cohort, one module a purpose; each function gives a matplotlib Figure, or None with nothing to draw.

``flow_chart``       what was left out, stage by stage
``quality``          distribution of gradability
``availability``     missing values and repeatability of the biomarkers
``correlation_map``  which biomarkers say the same
``effects``          places of estimates on an axis, and which of many are shown
``forest_plot``      effects with intervals, models side by side
``heat_map``         biomarkers by outcomes
``volcano_plot``     effect against p value
``groups``           values in people with and without an outcome
``robustness``       other analyses, and quarters of a biomarker
``curves``           prediction: ROC and calibration
``multipanel``       one figure for a manuscript
``truth_plot``       estimates of a simulated cohort beside the truth
``files``            all of them as files
"""

from retsam.report.figures.availability import missingness, reliability
from retsam.report.figures.correlation_map import correlation
from retsam.report.figures.curves import prediction
from retsam.report.figures.effects import TICKS, WIDEST, axis_limit
from retsam.report.figures.files import write_figures
from retsam.report.figures.flow_chart import flow, flow_of
from retsam.report.figures.forest_plot import forest, forest_of, forest_panels
from retsam.report.figures.groups import distributions
from retsam.report.figures.heat_map import heatmap
from retsam.report.figures.multipanel import multi_panel
from retsam.report.figures.quality import gradability
from retsam.report.figures.robustness import sensitivity, shape
from retsam.report.figures.truth_plot import truth_forest
from retsam.report.figures.volcano_plot import volcano

__all__ = [
    "TICKS",
    "WIDEST",
    "axis_limit",
    "correlation",
    "distributions",
    "flow",
    "flow_of",
    "forest",
    "forest_of",
    "forest_panels",
    "gradability",
    "heatmap",
    "missingness",
    "multi_panel",
    "prediction",
    "reliability",
    "sensitivity",
    "shape",
    "truth_forest",
    "volcano",
    "write_figures",
]
