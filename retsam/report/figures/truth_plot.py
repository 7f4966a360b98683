"""Estimates of a simulated cohort beside the truth."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retsam.report import style
from retsam.report.figures.effects import axis_limit
from retsam.report.figures.forest_plot import (
    GAP,
    LINE,
    Q_COLUMN,
    Layout,
    Line,
    draw_axis,
    draw_heads,
    draw_interval,
    draw_rows,
    forest_axes,
    legend_handles,
    model_colours,
    page_x,
    print_numbers,
)
from retsam.report.inputs import ReportInputs
from retsam.report.tables import interval, ratio
from retsam.report.truth import Estimate, Pair, models_of, status_of
from retsam.status import Status


def truth_forest(inputs: ReportInputs, found: Sequence[Pair], title: str = "") -> Figure:
    """Forest plot of a simulated cohort: the true odds ratio of each pair as a diamond, below it the estimates.

    Where true values are known, the first line is the estimate from them by the most adjusted model that has one, a
    square; circles are estimates from photographs. A dotted line goes from the diamond through the estimates of its
    pair: an interval that it crosses covers the truth.

    Parameters
    ----------
    inputs : ReportInputs
        With ``truth``.
    found : sequence of Pair
        See :func:`retsam.report.truth.pairs`; outcomes are the groups, in this order.
    title : str
        Above the plot.

    Returns
    -------
    Figure
        7.2 inches wide. With nothing to draw: a figure that says so.
    """
    with style.styled():
        if not found:
            return style.message(f"{title}\nNo biomarker has a true effect on an outcome analysed here.".strip())
        models, limit = models_of(inputs), _truth_limit(found)
        layout, tops = _truth_layout(inputs, found)
        colours = model_colours(models)
        head, foot = 0.62 if title else 0.3, 0.62
        figure = style.new_figure(layout.height + head + foot)
        axes = forest_axes(figure, layout, head, foot)
        draw_rows(axes, layout, {})
        for pair, y in zip(found, tops, strict=True):
            _draw_pair(axes, pair, y, colours, limit, inputs.alpha)
        draw_axis(axes, limit, layout.height)
        handles = [Line2D([], [], color=style.INK, marker="D", ms=5.0, lw=1.0, ls=DOTTED, label="Truth")]
        if inputs.true_values is not None:
            square = Line2D([], [], color=style.MUTED, marker="s", ms=4.2, lw=1.1, label="From true values")
            handles.append(square)
        draw_heads(figure, [*handles, *legend_handles(models, colours, inputs.alpha)], title, "", "covers")
    return figure


DOTTED = (0, (1, 1.6))


def _truth_layout(inputs: ReportInputs, found: Sequence[Pair]) -> tuple[Layout, list[float]]:
    """Rows of a truth forest, and where the lines of each pair begin: truth first, then a line an estimate."""
    families: list[tuple[float, str]] = []
    names: list[tuple[float, float, str, bool]] = []
    tops: list[float] = []
    y, previous = 0.0, None
    for pair in found:
        if pair.outcome != previous:
            y += 0.06 * bool(names)
            families.append((y + 0.14, inputs.outcome_label(pair.outcome)))
            y, previous = y + 0.26, pair.outcome
        bottom = y + GAP + LINE * (1 + len(_from_true(pair)) + max(len(pair.found), 1))
        names.append((y, bottom, inputs.biomarker_label(pair.biomarker), False))
        tops.append(y + GAP / 2)
        y = bottom
    return Layout([], families, names, y + 0.06), tops


def _from_true(pair: Pair) -> list[tuple[str, Estimate]]:
    """The most adjusted model with an estimate from true values, and that estimate; empty where none has one."""
    return list(pair.true_found.items())[-1:]


def _truth_limit(found: Sequence[Pair]) -> float:
    """Half width of the axis: as for any forest, but every true odds ratio fits."""
    lines = [(e.odds, e.low, e.high) for pair in found for _, e in [*_from_true(pair), *pair.found.items()]]
    lines += [(pair.truth,) * 3 for pair in found]
    table = pd.DataFrame(lines, columns=["or", "ci_low", "ci_high"]).assign(status=Status.OK, evidence="")
    return max(axis_limit(table), *(1.08 * abs(math.log(pair.truth)) for pair in found))


def _draw_pair(axes: Axes, pair: Pair, y: float, colours: Mapping[str, str], limit: float, alpha: float) -> None:
    truth, y = math.log(pair.truth), y + LINE / 2
    known = _from_true(pair)
    lines = [*((m, e, "s", 0.0) for m, e in known), *((m, e, "o", e.q) for m, e in pair.found.items())]
    if lines:
        axes.plot([truth] * 2, [y, y + LINE * (len(lines) + 0.4)], color=style.INK, lw=1.0, ls=DOTTED, zorder=1.5)
    axes.plot([truth], [y], "D", color=style.INK, ms=5.0, zorder=5)
    print_numbers(axes, y, ratio(pair.truth), "truth")
    for i, (model, e, marker, q) in enumerate(lines, start=1):
        line = Line(y + i * LINE, model, _log(e.odds), _log(e.low), _log(e.high), q, False)
        draw_interval(axes, line, colours[model], limit, alpha, marker)
        print_numbers(axes, line.y, interval(e.odds, e.low, e.high), "yes" if e.covers(pair.truth) else "no")
    if not pair.found:
        axes.text(
            page_x(Q_COLUMN), y + (1 + len(known)) * LINE, status_of(pair), transform=axes.get_yaxis_transform(),
            va="center", ha="right", size=7.0, color=style.MUTED,
        )  # fmt: skip


def _log(odds: float) -> float:
    """Logarithm that knows 0 and infinity; a limit that does not exist is infinite."""
    return math.log(odds) if 0 < odds < math.inf else -math.inf if odds <= 0 else math.inf
