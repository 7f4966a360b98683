"""Forest plots: odds ratios of one outcome with their intervals on a log axis."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from retsam.report import style
from retsam.report.inputs import ReportInputs, counted, family_label, model_label
from retsam.report.tables import count, interval, q_value

TICKS = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.33,
    0.5,
    0.67,
    0.8,
    0.9,
    1.0,
    1.1,
    1.25,
    1.5,
    2.0,
    3.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
)
"""Odds ratios that may be printed below a log axis; closed under reciprocals, nearly."""

WIDEST = math.log(20)
"""Half width of a forest axis is at most this; what lies beyond is an arrow."""

LINE = 0.155  # inches per estimate
GAP = 0.09  # inches between biomarkers
LEFT, AXIS_START, AXIS_END, OR_COLUMN, Q_COLUMN = 0.08, 2.3, 5.0, 6.5, 7.14  # inches


@dataclass(frozen=True)
class Line:
    """One line of a forest plot; `y` in inches below the top of the axes."""

    y: float
    model: str
    odds: float
    low: float
    high: float
    q: float
    definitional: bool


@dataclass(frozen=True)
class Layout:
    """Where everything of a forest plot goes, in inches below the top of the axes; families by their headings."""

    estimates: list[Line]
    families: list[tuple[float, str]]
    names: list[tuple[float, float, str, bool]]  # top, bottom, biomarker, definitional
    height: float


def forest(
    table: pd.DataFrame,
    models: Sequence[str],
    *,
    title: str = "",
    alpha: float = 0.05,
    note: str = "",
    labels: Mapping[str, str] | None = None,
    limit: float | None = None,
) -> Figure:
    """Forest plot of one outcome: all biomarkers, the models one below the other, on a log axis.

    Colour is the model, a filled marker is q < `alpha`, a diamond a definitional pair (the biomarker measures what the
    outcome is defined by). Families in the order of the table, in them the largest odds ratio of the last model first.
    Intervals are cut at the border of the axis, with an arrow.

    Parameters
    ----------
    table : DataFrame
        Columns of an association table, of one outcome; rows without an estimate, or with no evidence but synthetic
        images, are left out.
    models : sequence of str
        From the least to the most adjusted.
    title, note : str
        Above and below the plot.
    alpha : float
        Threshold on q.
    labels : mapping, optional
        Biomarker -> name in print.
    limit : float, optional
        Half width of the axis in log odds; by default from the intervals, see :func:`axis_limit`.

    Returns
    -------
    Figure
        7.2 inches wide, as high as it needs to be. With nothing to draw: a figure that says so.
    """
    shown = table[counted(table)]
    with style.styled():
        if shown.empty:
            return style.message(f"{title}\nNo association could be estimated.".strip())
        layout = _arrange(shown, models)
        colours = model_colours(models)
        head, foot = 0.62 if title else 0.3, 0.62 + 0.15 * bool(note)
        figure = style.new_figure(layout.height + head + foot)
        axes = forest_axes(figure, layout, head, foot)
        limit = axis_limit(table) if limit is None else limit
        draw_rows(axes, layout, labels or {})
        for estimate in layout.estimates:
            _draw_estimate(axes, estimate, colours[estimate.model], limit, alpha)
        draw_axis(axes, limit, layout.height)
        handles = legend_handles(models, colours, alpha)
        if any(e.definitional for e in layout.estimates):
            handles.append(Line2D([], [], color=style.MUTED, marker="D", ms=4.0, lw=0, label="† definitional"))
        draw_heads(figure, handles, title, note)
    return figure


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """Colour of each model; the most adjusted one is always the same blue."""
    palette = style.MODEL_COLOURS
    return {model: palette[i % len(palette)] for i, model in enumerate(reversed(models))}


def _arrange(shown: pd.DataFrame, models: Sequence[str]) -> Layout:
    last = dict(zip(shown["biomarker"], shown["or"], strict=True))  # of the most adjusted model that has an estimate
    for model in models:
        rows = shown[shown["model"] == model]
        last |= dict(zip(rows["biomarker"], rows["or"], strict=True))
    estimates, families, names, y = [], [], [], 0.0
    for family in dict.fromkeys(shown["family"]):
        part = shown[shown["family"] == family]
        families.append((y + 0.14, family_label(str(family)).split(":")[0]))
        y += 0.26
        order = sorted(dict.fromkeys(part["biomarker"]), key=lambda name: (-last[name], str(name)))
        for biomarker in order:
            rows = part[part["biomarker"] == biomarker].set_index("model")
            present = [m for m in models if m in rows.index]
            for i, model in enumerate(present):
                r = rows.loc[model]
                position = y + GAP / 2 + LINE * (i + 0.5)
                flag = bool(r["definitional"])
                estimates.append(Line(position, model, r["or"], r["ci_low"], r["ci_high"], r["q"], flag))
            bottom = y + GAP + LINE * len(present)
            names.append((y, bottom, str(biomarker), bool(rows["definitional"].any())))
            y = bottom
        y += 0.06
    return Layout(estimates, families, names, y)


def axis_limit(table: pd.DataFrame) -> float:
    """Half width of a forest axis in log odds: every interval fits but those far longer than most.

    Parameters
    ----------
    table : DataFrame
        Association rows of one outcome; those that are not drawn do not count.

    Returns
    -------
    float
        Between log 1.25 and :data:`WIDEST`.
    """
    shown = table[counted(table)]
    points = np.abs(np.log(shown["or"].to_numpy(float)))
    limits = shown[["ci_low", "ci_high"]].to_numpy(float).ravel()
    ends = np.abs(np.log(limits[np.isfinite(limits) & (limits > 0)]))
    values = np.concatenate([points, ends])
    if not len(values):
        return math.log(1.25)
    most = max(float(np.quantile(part, share)) for part, share in ((ends, 0.8), (points, 0.9)) if len(part))
    reach = float(values[values <= 2 * most].max(initial=0.0))
    return min(max(reach * 1.08, math.log(1.25)), WIDEST)


def forest_axes(figure: Figure, layout: Layout, head: float, foot: float) -> Axes:
    """Axes between the names and the numbers, one unit of y an inch; `head` and `foot` in inches."""
    width, height = figure.get_size_inches()
    box = (AXIS_START / width, foot / height, (AXIS_END - AXIS_START) / width, layout.height / height)
    axes = figure.add_axes(box)
    axes.set_ylim(layout.height, 0)
    return axes


def page_x(inches: float) -> float:
    """Axes fraction of a horizontal position on the page."""
    return (inches - AXIS_START) / (AXIS_END - AXIS_START)


def draw_rows(axes: Axes, layout: Layout, labels: Mapping[str, str]) -> None:
    """Print the headings of families and the names of biomarkers, every second one on a band."""
    across = axes.get_yaxis_transform()
    for y, family in layout.families:
        axes.text(page_x(LEFT), y, family, transform=across, va="center", weight="bold", size=8)
    for i, (top, bottom, name, flag) in enumerate(layout.names):
        if i % 2 == 0:
            left, right = page_x(LEFT - 0.04), page_x(Q_COLUMN + 0.04)
            band = Rectangle((left, top), right - left, bottom - top, transform=across, color=style.PANEL, lw=0)
            band.set(clip_on=False, zorder=0)
            axes.add_patch(band)
        label = labels.get(name, name) + " †" * flag
        lines = textwrap.wrap(label, 34, max_lines=2, placeholder=" …")
        size = 7.3 if len(lines) == 1 or bottom - top > 0.3 else 6.4
        axes.text(
            page_x(LEFT + 0.1),
            (top + bottom) / 2,
            "\n".join(lines),
            transform=across,
            va="center",
            size=size,
            linespacing=1.1,
        )


def _draw_estimate(axes: Axes, e: Line, colour: str, limit: float, alpha: float) -> None:
    draw_interval(axes, e, colour, limit, alpha)
    print_numbers(axes, e.y, interval(e.odds, e.low, e.high), q_value(e.q), "bold" if e.q < alpha else "normal")


def draw_interval(axes: Axes, e: Line, colour: str, limit: float, alpha: float, marker: str = "o") -> None:
    """Draw one estimate with its interval; what lies beyond the axis is an arrow."""
    low, high = max(_log(e.low, -math.inf), -limit), min(_log(e.high, math.inf), limit)
    if low < high:
        axes.plot([low, high], [e.y, e.y], color=colour, lw=1.1, solid_capstyle="butt", zorder=2)
    for arrow, end, cut in (
        ("<", -limit, _log(e.low, -math.inf) < -limit),
        (">", limit, _log(e.high, math.inf) > limit),
    ):
        if cut:
            axes.plot([end], [e.y], arrow, color=colour, ms=3.6, clip_on=False, zorder=3)
    if abs(math.log(e.odds)) <= limit:
        axes.plot(
            [math.log(e.odds)], [e.y], "D" if e.definitional else marker, ms=4.0 if e.definitional else 4.6, mew=0.9,
            mec=colour, mfc=colour if e.q < alpha else "white", zorder=4,
        )  # fmt: skip


def print_numbers(axes: Axes, y: float, odds: str, last: str, weight: str = "normal") -> None:
    """Print one line of the two columns at the right of a forest plot."""
    for x, text in ((OR_COLUMN, odds), (Q_COLUMN, last)):
        axes.text(
            page_x(x), y, text, transform=axes.get_yaxis_transform(), va="center", ha="right", size=7.0, weight=weight,
            color=style.INK,
        )  # fmt: skip


def _log(value: float, otherwise: float) -> float:
    return math.log(value) if 0 < value < math.inf else otherwise


def draw_axis(axes: Axes, limit: float, height: float) -> None:
    """Log axis from ``-limit`` to ``limit`` with odds ratios below it, and the line of no effect."""
    axes.set_xlim(-limit, limit)
    inside = [t for t in TICKS if abs(math.log(t)) <= limit * 1.001]
    apart = 0.17 * limit  # keep labels from touching
    ticks: list[float] = [1.0]
    for tick in sorted(inside, key=lambda t: (_awkwardness(t, limit), abs(math.log(t)), t)):
        if all(abs(math.log(tick / other)) > apart for other in ticks):
            ticks.append(tick)
    ticks.sort()
    axes.set_xticks([math.log(t) for t in ticks], [f"{t:g}" for t in ticks])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.vlines(0, 0, height, color=style.MUTED, lw=0.8, zorder=1)
    axes.set_xlabel("Odds ratio per SD (95% CI), log scale")


def _awkwardness(tick: float, limit: float) -> int:
    """Prefer 0.5, 2 and the decades on wide axes; take any on narrow ones."""
    return 0 if limit < math.log(2) or tick in {0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0} else 1


def draw_heads(figure: Figure, handles: Sequence[Line2D], title: str, note: str, last: str = "q") -> None:
    """Title, headings of the two columns at the right, legend and note."""
    width, height = figure.get_size_inches()

    def put(x: float, down: float, text: str, **kwargs: Any) -> None:
        figure.text(x / width, 1 - down / height, text, va="center", **kwargs)

    row = 0.08
    if title:
        put(LEFT, 0.14, title, size=9.5, weight="bold")
        row = 0.4
    put(OR_COLUMN, row + 0.1, "OR (95% CI)", size=7.5, ha="right", color=style.MUTED)
    put(Q_COLUMN, row + 0.1, last, size=7.5, ha="right", color=style.MUTED)
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 0.14 * bool(note) / height), ncols=len(handles),
        handlelength=1.4, columnspacing=1.3, handletextpad=0.5, borderaxespad=0.3,
    )  # fmt: skip
    if note:
        figure.text(LEFT / width, 0.09 / height, note, size=6.8, color=style.MUTED, va="center")


def legend_handles(models: Sequence[str], colours: Mapping[str, str], alpha: float) -> list[Line2D]:
    """Legend of models and significance."""
    handles = [Line2D([], [], color=colours[m], marker="o", ms=4.6, lw=1.1, label=model_label(m)) for m in models]
    handles.append(Line2D([], [], color=style.MUTED, marker="o", ms=4.6, lw=0, label=f"q < {alpha:g}"))
    handles.append(Line2D([], [], color=style.MUTED, marker="o", mfc="white", ms=4.6, lw=0, label=f"q ≥ {alpha:g}"))
    return handles


def forest_panels(inputs: ReportInputs, outcome: str) -> dict[str, Figure]:
    """Forest plot of one outcome of a report in one panel a family, all on the same axis, for pages that break.

    Returns
    -------
    dict of str to Figure
        Family -> panel, without title; empty where there is nothing to draw.
    """
    table = inputs.associations[outcome]
    shown = table[counted(table)]
    if shown.empty:
        return {}
    labels = {name: inputs.biomarker_label(name) for name in inputs.biomarkers}
    models, limit = inputs.model_names(table), axis_limit(table)
    return {
        str(family): forest(part, models, alpha=inputs.alpha, labels=labels, limit=limit)
        for family, part in ((f, shown[shown["family"] == f]) for f in dict.fromkeys(shown["family"]))
    }


def forest_of(inputs: ReportInputs, outcome: str) -> Figure:
    """Forest plot of one outcome of a report, all families in one figure."""
    table = inputs.associations[outcome]
    hidden = table.loc[~counted(table), "biomarker"].nunique()
    note = f"{count(hidden, 'biomarker')} not shown in at least one model; see the table." if hidden else ""
    title = inputs.outcome_label(outcome)
    labels = {name: inputs.biomarker_label(name) for name in inputs.biomarkers}
    return forest(table, inputs.model_names(table), title=title, alpha=inputs.alpha, note=note, labels=labels)
