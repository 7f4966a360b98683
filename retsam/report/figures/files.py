"""All figures of a report as files."""

import re
from pathlib import Path

from retsam.report import style
from retsam.report.figures.flow_chart import flow_of
from retsam.report.figures.forest_plot import forest_of
from retsam.report.figures.quality import gradability
from retsam.report.figures.truth_plot import truth_forest
from retsam.report.inputs import ReportInputs
from retsam.report.truth import pairs
from retsam.tables import write_bytes


def write_figures(inputs: ReportInputs, folder: str | Path) -> list[Path]:
    """Write every figure as SVG and as PNG (300 dpi): flow, gradability, one forest plot an outcome, and the truth.

    Parameters
    ----------
    inputs : ReportInputs
    folder : path-like
        Made where it does not exist.

    Returns
    -------
    list of Path
        ``flow``, ``gradability``, ``truth`` (where it is known) and ``forest_OUTCOME``, each .svg then .png.
        Characters of an outcome other than letters, digits, ``-``, ``_`` and ``.`` become ``_``, and a name that is
        taken gets one more.
    """
    figures = {"flow": flow_of(inputs), "gradability": gradability(inputs.gradings, inputs.threshold)}
    if inputs.truth is not None:
        figures["truth"] = truth_forest(inputs, pairs(inputs), title="Truth and estimate")
    for outcome in inputs.associations:
        name = "forest_" + re.sub(r"[^\w.-]", "_", outcome)
        while name in figures:
            name += "_"
        figures[name] = forest_of(inputs, outcome)
    paths = []
    for name, figure in figures.items():
        for suffix, content in ((".svg", style.svg_text(figure)), (".png", style.png_bytes(figure))):
            path = Path(folder) / f"{name}{suffix}"
            write_bytes(content, path)
            paths.append(path)
    return paths
