"""Prediction from many biomarkers: discrimination and calibration."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retsam.report import style
from retsam.report.inputs import ReportInputs
from retsam.status import Status

SETS = {"age_sex": "Age and sex", "biomarkers": "Biomarkers", "both": "Both"}
"""Model sets of a prediction, with their names in print."""

COLOURS = {"age_sex": style.ORANGE, "biomarkers": style.GREEN, "both": style.BLUE}


def prediction(inputs: ReportInputs, outcome: str) -> Figure | None:
    """Receiver operating curves and calibration of the prediction of one outcome, out of sample.

    Returns
    -------
    Figure or None
        7.2 inches wide; None where the outcome was not predicted.
    """
    table, points = inputs.prediction.get(outcome), inputs.prediction_curves.get(outcome)
    if table is None or points is None or not drawn_sets(table, points):
        return None
    with style.styled():
        figure = style.new_figure(3.5)
        roc = figure.add_axes((0.075, 0.14, 0.39, 0.76))
        calibration = figure.add_axes((0.585, 0.14, 0.39, 0.76))
        draw_roc(roc, table, points)
        roc.legend(loc="lower right", title="AUC (95% CI)", title_fontsize=7.2, fontsize=6.9, handlelength=1.3,
                   borderaxespad=0.2)  # fmt: skip
        draw_calibration(calibration, table, points)
        title = inputs.outcome_label(outcome)
        figure.text(0.08 / style.WIDTH, 1 - 0.14 / 3.5, title, size=9.5, weight="bold", va="center")
    return figure


def drawn_sets(table: pd.DataFrame, points: pd.DataFrame) -> list[str]:
    """Model sets with an AUC and points of a curve, those known to us first."""
    fitted = table[table["status"].eq(Status.OK) & table["auc"].notna()]["set"].astype(str).tolist()
    there = set(points["set"].astype(str))
    return sorted((s for s in fitted if s in there), key=lambda s: [*SETS, s].index(s))


def draw_roc(axes: Axes, table: pd.DataFrame, points: pd.DataFrame) -> None:
    """Sensitivity against the share of false alarms, one line a model set, labelled with its AUC."""
    axes.plot([0, 1], [0, 1], color="#c3c9d0", lw=0.8, ls=(0, (4, 2)))
    rows = {str(r["set"]): r for r in table.to_dict("records")}
    for name in drawn_sets(table, points):
        part = _points(points, name, "roc")
        r = rows[name]
        label = f"{SETS.get(name, name)}: {r['auc']:.2f} ({r['low']:.2f}–{r['high']:.2f})"
        axes.plot(part["x"], part["y"], color=COLOURS.get(name, style.PURPLE), lw=1.4, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="1 − specificity", ylabel="Sensitivity", aspect="equal")


def draw_calibration(axes: Axes, table: pd.DataFrame, points: pd.DataFrame) -> None:
    """Observed share against predicted risk, one line a model set, with its calibration slope in the legend."""
    axes.plot([0, 1], [0, 1], color="#c3c9d0", lw=0.8, ls=(0, (4, 2)))
    rows, reach = {str(r["set"]): r for r in table.to_dict("records")}, 0.0
    for name in drawn_sets(table, points):
        part, colour = _points(points, name, "calibration"), COLOURS.get(name, style.PURPLE)
        slope = float(rows[name].get("slope", math.nan))
        label = SETS.get(name, name) + (f": slope {slope:.2f}" if math.isfinite(slope) else "")
        if {"low", "high"} <= set(part) and part[["low", "high"]].notna().all(axis=None):
            axes.vlines(part["x"], part["low"], part["high"], color=colour, lw=0.8, alpha=0.55)
            reach = max(reach, float(part["high"].to_numpy(float).max(initial=0.0)))
        axes.plot(part["x"], part["y"], color=colour, marker="o", ms=3.2, lw=1.0, label=label)
        reach = max(reach, float(part[["x", "y"]].to_numpy(float).max(initial=0.0)))
    top = min(1.0, 1.04 * reach) if reach > 0 else 1.0
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="Predicted risk", ylabel="Observed share", aspect="equal")
    legend = axes.legend(loc="upper left", fontsize=6.9, handlelength=1.3, borderaxespad=0.2, frameon=True)
    legend.get_frame().set(lw=0, fc="white", alpha=0.8)


def _points(points: pd.DataFrame, name: str, curve: str) -> pd.DataFrame:
    return points[points["set"].eq(name) & points["curve"].eq(curve)]
