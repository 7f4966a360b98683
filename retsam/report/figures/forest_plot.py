"""Forest plots: effects on one outcome with their intervals, odds ratios on a log axis."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from retsam.report import style
from retsam.report.figures.effects import (
    axis_limit,
    axis_title,
    by_strength,
    effect_text,
    is_slope,
    last_rows,
    placed,
    set_effect_axis,
    strongest_of_families,
)
from retsam.report.inputs import ReportInputs, counted, family_label, model_label
from retsam.report.tables import count, q_value

PAGE = 9.7
"""Height of a page in inches, less its margins and a caption; no forest plot is higher."""

LINE = 0.155  # inches per estimate
GAP = 0.09  # inches between biomarkers
LEFT, AXIS_START, AXIS_END, OR_COLUMN, Q_COLUMN = 0.08, 2.3, 5.0, 6.5, 7.14  # inches


@dataclass(frozen=True)
class Line:
    """One line of a forest plot; `y` in inches below the top of the axes, the others as on its axis (log odds)."""

    y: float
    model: str
    at: float
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
    outcome is defined by). Families in the order of the table, in them the largest effect of the last model first.
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
        Half width of the axis in log odds (slopes: the outcome's unit); by default from the intervals,
        see :func:`axis_limit`.

    Returns
    -------
    Figure
        7.2 inches wide, as high as it needs to be. With nothing to draw: a figure that says so.
    """
    shown, slope = placed(table), is_slope(table)
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
        for e in layout.estimates:
            draw_interval(axes, e, colours[e.model], limit, alpha)
            text = effect_text(e.at, e.low, e.high, slope)
            print_numbers(axes, e.y, text, q_value(e.q), "bold" if e.q < alpha else "normal")
        draw_axis(axes, limit, layout.height, slope)
        handles = legend_handles(models, colours, alpha)
        if any(e.definitional for e in layout.estimates):
            handles.append(Line2D([], [], color=style.MUTED, marker="D", ms=4.0, lw=0, label="† definitional"))
        draw_heads(figure, handles, title, note, slope=slope)
    return figure


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """Colour of each model; the most adjusted one is always the same blue."""
    palette = style.MODEL_COLOURS
    return {model: palette[i % len(palette)] for i, model in enumerate(reversed(models))}


def _arrange(shown: pd.DataFrame, models: Sequence[str]) -> Layout:
    strongest = last_rows(shown, models)
    last = dict(zip(strongest["biomarker"], strongest["at"], strict=True))
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
                estimates.append(Line(position, model, r["at"], r["low"], r["high"], r["q"], flag))
            bottom = y + GAP + LINE * len(present)
            names.append((y, bottom, str(biomarker), bool(rows["definitional"].any())))
            y = bottom
        y += 0.06
    return Layout(estimates, families, names, y)


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


def draw_interval(axes: Axes, e: Line, colour: str, limit: float, alpha: float, marker: str = "o") -> None:
    """Draw one estimate with its interval; what lies beyond the axis is an arrow."""
    low, high = max(e.low, -limit), min(e.high, limit)
    if low < high:
        axes.plot([low, high], [e.y, e.y], color=colour, lw=1.1, solid_capstyle="butt", zorder=2)
    for arrow, end, cut in (("<", -limit, e.low < -limit), (">", limit, e.high > limit)):
        if cut:
            axes.plot([end], [e.y], arrow, color=colour, ms=3.6, clip_on=False, zorder=3)
    if abs(e.at) <= limit:
        axes.plot(
            [e.at], [e.y], "D" if e.definitional else marker, ms=4.0 if e.definitional else 4.6, mew=0.9,
            mec=colour, mfc=colour if e.q < alpha else "white", zorder=4,
        )  # fmt: skip


def print_numbers(axes: Axes, y: float, odds: str, last: str, weight: str = "normal") -> None:
    """Print one line of the two columns at the right of a forest plot."""
    for x, text in ((OR_COLUMN, odds), (Q_COLUMN, last)):
        axes.text(
            page_x(x), y, text, transform=axes.get_yaxis_transform(), va="center", ha="right", size=7.0, weight=weight,
            color=style.INK,
        )  # fmt: skip


def draw_axis(axes: Axes, limit: float, height: float, slope: bool = False) -> None:
    """Axis of effects from ``-limit`` to ``limit``, and the line of no effect."""
    set_effect_axis(axes, limit, slope)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.vlines(0, 0, height, color=style.MUTED, lw=0.8, zorder=1)
    axes.set_xlabel(axis_title(slope))


def draw_heads(
    figure: Figure, handles: Sequence[Line2D], title: str, note: str, last: str = "q", slope: bool = False
) -> None:
    """Title, headings of the two columns at the right, legend and note."""
    width, height = figure.get_size_inches()

    def put(x: float, down: float, text: str, **kwargs: Any) -> None:
        figure.text(x / width, 1 - down / height, text, va="center", **kwargs)

    row = 0.08
    if title:
        put(LEFT, 0.14, title, size=9.5, weight="bold")
        row = 0.4
    put(OR_COLUMN, row + 0.1, "β (95% CI)" if slope else "OR (95% CI)", size=7.5, ha="right", color=style.MUTED)
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
        Family -> panel, without title and at most :data:`PAGE` high: the strongest of a family that is larger. Empty
        where there is nothing to draw.
    """
    table = inputs.associations[outcome]
    rows = placed(table)
    if rows.empty:
        return {}
    return {
        str(family): _page(inputs, table, rows[rows["family"] == family], "", axis_limit(table))
        for family in dict.fromkeys(rows["family"])
    }


def forest_of(inputs: ReportInputs, outcome: str) -> Figure:
    """Forest plot of one outcome of a report, all families on one page: the strongest of each where not all fit."""
    table = inputs.associations[outcome]
    return _page(inputs, table, placed(table), inputs.outcome_label(outcome), None)


def _page(inputs: ReportInputs, table: pd.DataFrame, rows: pd.DataFrame, title: str, limit: float | None) -> Figure:
    """Forest plot of some rows of an outcome's table, at most a page high, that says what it leaves out."""
    models = inputs.model_names(table)
    ranked = by_strength(last_rows(rows, models))
    families, each = rows["family"].nunique(), GAP + LINE * max(len(models), 1)
    free = PAGE - (0.62 if title else 0.3) - 0.77
    room = int((free - 0.32 * families) / each)
    shown = strongest_of_families(ranked, room)
    if room < families:  # one of each of the strongest families
        shown = ranked.drop_duplicates("family")["biomarker"].head(max(int(free / (each + 0.32)), 1)).tolist()
    part = rows[rows["biomarker"].isin(shown)]
    hidden = table.loc[~counted(table), "biomarker"].nunique() if title else 0
    notes = []
    if len(shown) < len(ranked):
        which = "the strongest of each family" if room >= families else f"the strongest of {len(shown)} families"
        notes.append(f"{len(shown)} of {count(len(ranked), 'biomarker')}, {which}; all are in the table.")
    if hidden:
        notes.append(f"{count(hidden, 'biomarker')} not shown in at least one model; see the table.")
    labels = {name: inputs.biomarker_label(name) for name in shown}
    return forest(part, models, title=title, alpha=inputs.alpha, note=" ".join(notes), labels=labels, limit=limit)
