"""All figures of a report as files."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from matplotlib.figure import Figure

from retsam.report import style
from retsam.report.figures.availability import missingness, reliability
from retsam.report.figures.correlation_map import correlation
from retsam.report.figures.curves import prediction
from retsam.report.figures.flow_chart import flow_of
from retsam.report.figures.forest_plot import forest_of
from retsam.report.figures.groups import distributions
from retsam.report.figures.heat_map import heatmap
from retsam.report.figures.quality import gradability
from retsam.report.figures.robustness import sensitivity, shape
from retsam.report.figures.truth_plot import truth_forest
from retsam.report.figures.volcano_plot import volcano
from retsam.report.inputs import ReportInputs
from retsam.report.truth import pairs
from retsam.tables import write_bytes

OF_COHORT: dict[str, Callable[[ReportInputs], Figure | None]] = {
    "flow": flow_of,
    "gradability": lambda inputs: gradability(inputs.gradings, inputs.threshold),
    "missingness": missingness,
    "heatmap": heatmap,
    "correlation": correlation,
    "reliability": reliability,
}
"""Figures of a cohort, by the names of their files."""

OF_OUTCOME: dict[str, Callable[[ReportInputs, str], Figure | None]] = {
    "forest": forest_of,
    "volcano": volcano,
    "distributions": distributions,
    "shape": shape,
    "sensitivity": sensitivity,
    "prediction": prediction,
}
"""Figures of an outcome; the outcome is the rest of the file's name."""


def every_figure(inputs: ReportInputs) -> Iterator[tuple[str, Figure]]:
    """Draw one figure after the other; those with nothing to show are left out.

    Yields
    ------
    str, Figure
        Name of the file without suffix: of :data:`OF_COHORT`, ``truth`` where it is known, and
        ``KIND_OUTCOME`` of :data:`OF_OUTCOME`. Characters of an outcome other than letters, digits, ``-``, ``_`` and
        ``.`` become ``_``, and a name that is taken gets one more.
    """
    for name, draw in OF_COHORT.items():
        figure = draw(inputs)
        if figure is not None:
            yield name, figure
    if inputs.truth is not None:
        yield "truth", truth_forest(inputs, pairs(inputs), title="Truth and estimate")
    taken: set[str] = set()
    for outcome in inputs.associations:
        ending = re.sub(r"[^\w.-]", "_", outcome)
        while ending in taken:
            ending += "_"
        taken.add(ending)
        for kind, draw_one in OF_OUTCOME.items():
            figure = draw_one(inputs, outcome)
            if figure is not None:
                yield f"{kind}_{ending}", figure


def write_figures(inputs: ReportInputs, folder: str | Path) -> list[Path]:
    """Write every figure as SVG and as PNG (300 dpi).

    Parameters
    ----------
    inputs : ReportInputs
    folder : path-like
        Made where it does not exist.

    Returns
    -------
    list of Path
        Those of :func:`every_figure`, each .svg then .png.
    """
    paths = []
    for name, figure in every_figure(inputs):
        for suffix, content in ((".svg", style.svg_text(figure)), (".png", style.png_bytes(figure))):
            path = Path(folder) / f"{name}{suffix}"
            write_bytes(content, path)
            paths.append(path)
    return paths
