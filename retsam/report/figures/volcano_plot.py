"""Effect against p value, one point a biomarker."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import MaxNLocator

from retsam.report import style
from retsam.report.figures.effects import (
    axis_limit,
    axis_title,
    by_strength,
    is_slope,
    last_rows,
    placed,
    set_effect_axis,
)
from retsam.report.inputs import ReportInputs, model_label

NAMED = 8
"""Biomarkers that are named at each side."""

HIGHEST = 50.0
"""Top of the axis of -log10 p at most; what lies beyond is an arrow."""

MARGIN = 2.0  # inches at each side for the names
HEIGHT = 3.8  # inches


def volcano(inputs: ReportInputs, outcome: str) -> Figure | None:
    """Volcano plot of one outcome, of the most adjusted model that each biomarker has an estimate of.

    Points with q < alpha are filled, definitional pairs are diamonds; the strongest of either side are named. What
    lies beyond an axis is drawn at its border as a triangle.

    Returns
    -------
    Figure or None
        7.2 inches wide; None where nothing could be estimated.
    """
    table = inputs.associations[outcome]
    rows = last_rows(placed(table), inputs.model_names(table))
    if rows.empty:
        return None
    slope, limit = is_slope(table), axis_limit(table)
    with np.errstate(divide="ignore"):
        heights = -np.log10(pd.to_numeric(rows["p"]).fillna(1.0).to_numpy(float))
    top = min(max(float(heights.max()) * 1.08, 2.0), HIGHEST)
    rows = rows.assign(x=np.clip(rows["at"], -limit, limit), y=np.minimum(heights, top), beyond=heights > top)
    with style.styled():
        figure = style.new_figure(HEIGHT)
        width = style.WIDTH - 2 * MARGIN
        axes = figure.add_axes((MARGIN / style.WIDTH, 0.68 / HEIGHT, width / style.WIDTH, 2.6 / HEIGHT))
        axes.set_ylim(0, top)
        set_effect_axis(axes, limit, slope)
        axes.axvline(0, color=style.MUTED, lw=0.7, zorder=1)
        axes.set_xlabel(axis_title(slope).replace(" (95% CI)", ""))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.text(-0.02, 1.05, "−log10 p", transform=axes.transAxes, ha="right", size=7.5)
        for label in axes.get_yticklabels():
            label.set_bbox({"fc": "white", "lw": 0, "pad": 0.8, "alpha": 0.9})
        _points(axes, rows, inputs.alpha)
        for side in (-1, 1):
            part = by_strength(rows[np.sign(rows["at"]) == side])
            _names(inputs, axes, part[part["q"] < inputs.alpha].head(NAMED), side, top)
        _legend(figure, inputs, table, rows)
    return figure


def _points(axes: Axes, rows: pd.DataFrame, alpha: float) -> None:
    """One scatter for each kind of point, the strongest on top."""
    small, flag = rows["q"].lt(alpha), rows["definitional"].astype(bool)
    colour = np.where(~small, style.MUTED, np.where(rows["at"] > 0, style.VERMILION, style.BLUE))
    outside = rows["beyond"] | (rows["at"].abs() > rows["x"].abs())
    for marker, kind in (("o", ~flag & ~outside), ("D", flag & ~outside), ("^", outside)):
        for chosen in (kind & ~small, kind & small):
            face = list(colour[chosen]) if (chosen & small).any() else "none"
            axes.scatter(rows.loc[chosen, "x"], rows.loc[chosen, "y"], s=11 if marker == "D" else 13, marker=marker,
                         facecolors=face, edgecolors=list(colour[chosen]), linewidths=0.7, clip_on=False,
                         zorder=3)  # fmt: skip


def _names(inputs: ReportInputs, axes: Axes, part: pd.DataFrame, side: int, top: float) -> None:
    """Names in the margin beside their points, from top to bottom as the points are, joined by thin lines."""
    part = part.sort_values(["y", "biomarker"], ascending=[False, True])
    places = _apart(part["y"].to_numpy(float) / top, 0.115)
    x = 1.05 if side > 0 else -0.14
    for (_, r), place in zip(part.iterrows(), places, strict=True):
        words = inputs.biomarker_label(str(r["biomarker"])) + " †" * bool(r["definitional"])
        text = "\n".join(textwrap.wrap(words, 29, max_lines=2, placeholder=" …"))
        axes.text(x, place, text, transform=axes.transAxes, size=6.3, va="center", linespacing=1.05,
                  ha="left" if side > 0 else "right")  # fmt: skip
        line = ConnectionPatch(
            (r["x"], r["y"]), (x - 0.01 * side, place), "data", "axes fraction", axesA=axes, axesB=axes
        )
        line.set(color=style.MUTED, alpha=0.6, lw=0.4, clip_on=False, zorder=2)
        axes.add_artist(line)


def _apart(places: np.ndarray, least: float) -> np.ndarray:
    """Positions from top to bottom, moved as little as needed to be `least` apart and between 0 and 1."""
    steps = least * np.arange(len(places))
    down = np.minimum.accumulate(np.minimum(places, 1.0) + steps) - steps
    short = len(places) - 1 - np.arange(len(places))
    return np.maximum(down, least * short)


def _legend(figure: Figure, inputs: ReportInputs, table: pd.DataFrame, rows: pd.DataFrame) -> None:
    def mark(colour: str, label: str, marker: str = "o", filled: bool = True) -> Line2D:
        face = colour if filled else "none"
        return Line2D([], [], color=colour, marker=marker, mfc=face, ms=4.2, lw=0, label=label)

    handles = [
        mark(style.VERMILION, f"higher, q < {inputs.alpha:g}"), mark(style.BLUE, f"lower, q < {inputs.alpha:g}"),
        mark(style.MUTED, f"q ≥ {inputs.alpha:g}", filled=False),
    ]  # fmt: skip
    if rows["definitional"].any():
        handles.append(mark(style.MUTED, "† definitional", "D"))
    if (rows["beyond"] | (rows["at"].abs() > rows["x"].abs())).any():
        handles.append(mark(style.MUTED, "beyond the axis", "^", filled=False))
    model = model_label(inputs.primary_model(table) or "")
    title = f"{inputs.outcome_label(str(table['outcome'].iloc[0]))}: {model.lower()}"
    figure.text(0.08 / style.WIDTH, 1 - 0.14 / HEIGHT, title, size=9.5, weight="bold", va="center")
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.0), ncols=len(handles),
                  handletextpad=0.2, columnspacing=1.2, borderaxespad=0.1)  # fmt: skip
