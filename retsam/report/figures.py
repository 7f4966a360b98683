"""Figures of a cohort: forest plots, the flow of images, the distribution of gradability."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.ticker import MaxNLocator

from retsam.report import style
from retsam.report.inputs import ReportInputs, counted, family_label, model_label
from retsam.report.tables import count, interval, q_value, ratio, reason_label
from retsam.report.truth import Estimate, Pair, models_of, pairs, status_of
from retsam.status import Status
from retsam.tables import write_bytes

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
class _Estimate:
    """One line of a forest plot; `y` in inches below the top of the axes."""

    y: float
    model: str
    odds: float
    low: float
    high: float
    q: float
    definitional: bool


@dataclass(frozen=True)
class _Layout:
    """Where everything of a forest plot goes, in inches below the top of the axes; families by their headings."""

    estimates: list[_Estimate]
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
            return _message(f"{title}\nNo association could be estimated.".strip())
        layout = _arrange(shown, models)
        colours = _model_colours(models)
        head, foot = 0.62 if title else 0.3, 0.62 + 0.15 * bool(note)
        figure = style.new_figure(layout.height + head + foot)
        axes = _forest_axes(figure, layout, head, foot)
        limit = axis_limit(table) if limit is None else limit
        _draw_rows(axes, layout, labels or {})
        for estimate in layout.estimates:
            _draw_estimate(axes, estimate, colours[estimate.model], limit, alpha)
        _draw_axis(axes, limit, layout.height)
        handles = _handles(models, colours, alpha)
        if any(e.definitional for e in layout.estimates):
            handles.append(Line2D([], [], color=style.MUTED, marker="D", ms=4.0, lw=0, label="† definitional"))
        _draw_heads(figure, handles, title, note)
    return figure


def _model_colours(models: Sequence[str]) -> dict[str, str]:
    """Colour of each model; the most adjusted one is always the same blue."""
    palette = style.MODEL_COLOURS
    return {model: palette[i % len(palette)] for i, model in enumerate(reversed(models))}


def _arrange(shown: pd.DataFrame, models: Sequence[str]) -> _Layout:
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
                estimates.append(_Estimate(position, model, r["or"], r["ci_low"], r["ci_high"], r["q"], flag))
            bottom = y + GAP + LINE * len(present)
            names.append((y, bottom, str(biomarker), bool(rows["definitional"].any())))
            y = bottom
        y += 0.06
    return _Layout(estimates, families, names, y)


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


def _forest_axes(figure: Figure, layout: _Layout, head: float, foot: float) -> Axes:
    width, height = figure.get_size_inches()
    box = (AXIS_START / width, foot / height, (AXIS_END - AXIS_START) / width, layout.height / height)
    axes = figure.add_axes(box)
    axes.set_ylim(layout.height, 0)
    return axes


def _x(inches: float) -> float:
    """Axes fraction of a horizontal position on the page."""
    return (inches - AXIS_START) / (AXIS_END - AXIS_START)


def _draw_rows(axes: Axes, layout: _Layout, labels: Mapping[str, str]) -> None:
    across = axes.get_yaxis_transform()
    for y, family in layout.families:
        axes.text(_x(LEFT), y, family, transform=across, va="center", weight="bold", size=8)
    for i, (top, bottom, name, flag) in enumerate(layout.names):
        if i % 2 == 0:
            left, right = _x(LEFT - 0.04), _x(Q_COLUMN + 0.04)
            band = Rectangle((left, top), right - left, bottom - top, transform=across, color=style.PANEL, lw=0)
            band.set(clip_on=False, zorder=0)
            axes.add_patch(band)
        label = labels.get(name, name) + " †" * flag
        lines = textwrap.wrap(label, 34, max_lines=2, placeholder=" …")
        size = 7.3 if len(lines) == 1 or bottom - top > 0.3 else 6.4
        axes.text(
            _x(LEFT + 0.1),
            (top + bottom) / 2,
            "\n".join(lines),
            transform=across,
            va="center",
            size=size,
            linespacing=1.1,
        )


def _draw_estimate(axes: Axes, e: _Estimate, colour: str, limit: float, alpha: float) -> None:
    _draw_interval(axes, e, colour, limit, alpha)
    _print_numbers(axes, e.y, interval(e.odds, e.low, e.high), q_value(e.q), "bold" if e.q < alpha else "normal")


def _draw_interval(axes: Axes, e: _Estimate, colour: str, limit: float, alpha: float, marker: str = "o") -> None:
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


def _print_numbers(axes: Axes, y: float, odds: str, last: str, weight: str = "normal") -> None:
    """Print one line of the two columns at the right of a forest plot."""
    for x, text in ((OR_COLUMN, odds), (Q_COLUMN, last)):
        axes.text(
            _x(x), y, text, transform=axes.get_yaxis_transform(), va="center", ha="right", size=7.0, weight=weight,
            color=style.INK,
        )  # fmt: skip


def _log(value: float, otherwise: float) -> float:
    return math.log(value) if 0 < value < math.inf else otherwise


def _draw_axis(axes: Axes, limit: float, height: float) -> None:
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


def _draw_heads(figure: Figure, handles: Sequence[Line2D], title: str, note: str, last: str = "q") -> None:
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


def _handles(models: Sequence[str], colours: Mapping[str, str], alpha: float) -> list[Line2D]:
    """Legend of models and significance."""
    handles = [Line2D([], [], color=colours[m], marker="o", ms=4.6, lw=1.1, label=model_label(m)) for m in models]
    handles.append(Line2D([], [], color=style.MUTED, marker="o", ms=4.6, lw=0, label=f"q < {alpha:g}"))
    handles.append(Line2D([], [], color=style.MUTED, marker="o", mfc="white", ms=4.6, lw=0, label=f"q ≥ {alpha:g}"))
    return handles


def _message(text: str) -> Figure:
    """Figure that holds nothing but a sentence."""
    figure = style.new_figure(1.1)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=style.MUTED, size=9, linespacing=1.6)
    return figure


def flow(stages: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Mapping[str, int]] | None = None) -> Figure:
    """Flow diagram in the manner of STROBE: a box a stage, what was removed before it at its side, the outcomes below.

    A stage between the first and the last at which nothing was removed has no box.

    Parameters
    ----------
    stages : sequence of mappings
        stage, label, n_images, n_eyes, n_participants, removed (reason -> number of images).
    outcomes : mapping, optional
        Printed name -> {cases, controls, unknown}, four boxes a row.
    """
    with style.styled():
        if not stages:
            return _message("No stage was recorded.")
        stages = [
            s for i, s in enumerate(stages) if i in (0, len(stages) - 1) or any((s.get("removed") or {}).values())
        ]
        boxes = [_stage_lines(stage) for stage in stages]
        sides = [_removed_lines(stage.get("removed") or {}) for stage in stages]
        heights = [0.17 * len(lines) + 0.16 for lines in boxes]
        gaps = [0.0] + [max(0.3, 0.15 * len(side) + 0.26 if side else 0.0) for side in sides[1:]]
        below = [_outcome_lines(name, counts) for name, counts in (outcomes or {}).items()]
        spine = sum(heights) + sum(gaps)
        total = spine + 0.1 + sum(0.34 + _row_height(row) for row in _fours(below))
        figure = style.new_figure(total)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, style.WIDTH), ylim=(total, 0))
        axes.axis("off")
        y = 0.05
        for lines, side, height, gap in zip(boxes, sides, heights, gaps, strict=True):
            if gap:
                _arrow(axes, (SPINE, y), (SPINE, y + gap))
                _side_box(axes, y + gap / 2, side)
            y += gap
            _box(axes, 0.08, y, 2 * SPINE - 0.16, height, lines, 0.17, "white")
            y += height
        _outcome_boxes(axes, y, below)
    return figure


SPINE = 1.9  # inches from the left to the middle of the flow's main column


def _fours(boxes: Sequence[list[tuple[str, str]]]) -> list[Sequence[list[tuple[str, str]]]]:
    return [boxes[i : i + 4] for i in range(0, len(boxes), 4)]


def _row_height(row: Sequence[list[tuple[str, str]]]) -> float:
    return 0.15 * max(len(lines) for lines in row) + 0.14


def _side_box(axes: Axes, middle: float, lines: Sequence[tuple[str, str]]) -> None:
    if lines:
        height = 0.15 * len(lines) + 0.12
        _arrow(axes, (SPINE, middle), (4.02, middle))
        _box(axes, 4.02, middle - height / 2, 3.1, height, lines, 0.15, style.PANEL)


def _outcome_boxes(axes: Axes, y: float, below: Sequence[list[tuple[str, str]]]) -> None:
    """Rows of at most four boxes, joined to the main column by a bar."""
    width, step = 1.69, 1.783
    for row in _fours(below):
        middles = [0.08 + width / 2 + i * step for i in range(len(row))]
        ends = [min(*middles, SPINE), max(*middles, SPINE)]
        axes.plot(ends, [y + 0.14] * 2, color=style.MUTED, lw=0.8, solid_capstyle="butt")
        axes.plot([SPINE] * 2, [y, y + 0.14], color=style.MUTED, lw=0.8, solid_capstyle="butt")
        for middle, lines in zip(middles, row, strict=True):
            _arrow(axes, (middle, y + 0.14), (middle, y + 0.34))
            _box(axes, middle - width / 2, y + 0.34, width, _row_height(row), lines, 0.15, "white")
        y += 0.34 + _row_height(row)


def _outcome_lines(name: str, counts: Mapping[str, int]) -> list[tuple[str, str]]:
    title = [(line, "bold") for line in textwrap.wrap(name, 22)[:3]]
    words = (("cases", "with"), ("controls", "without"), ("unknown", "unknown"))
    return [*title, *((f"{int(counts[key]):,} {word}", "normal") for key, word in words if counts.get(key) is not None)]


def _stage_lines(stage: Mapping[str, Any]) -> list[tuple[str, str]]:
    title = [(line, "bold") for line in textwrap.wrap(str(stage.get("label") or stage.get("stage")), 50)]
    units = (("n_images", "photograph"), ("n_eyes", "eye"), ("n_participants", "participant"))
    counts = [count(stage[key], unit) for key, unit in units if stage.get(key) is not None]
    return [*title, (" · ".join(counts), "normal")]


def _removed_lines(removed: Mapping[str, int]) -> list[tuple[str, str]]:
    parts = sorted(((int(n), reason_label(reason)) for reason, n in removed.items() if n), key=lambda p: (-p[0], p[1]))
    if not parts:
        return []
    head = f"{sum(n for n, _ in parts):,} removed"
    lines = [line for n, reason in parts for line in textwrap.wrap(f"{n:,}  {reason}", 50, subsequent_indent="    ")]
    return [(head, "bold"), *((line, "normal") for line in lines)]


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    lines: Sequence[tuple[str, str]],
    step: float,
    fill: str,
) -> None:
    axes.add_patch(Rectangle((x, y), width, height, fc=fill, ec=style.MUTED, lw=0.7))
    top = y + (height - step * len(lines)) / 2 + step / 2
    for i, (text, weight) in enumerate(lines):
        axes.text(x + 0.1, top + i * step, text, va="center", weight=weight, size=7.8 if step > 0.16 else 7.2)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, lw=0.8, color=style.MUTED, shrinkA=0, shrinkB=0)
    )


def gradability(quality: pd.DataFrame, threshold: float) -> Figure:
    """Histogram of gradability, 0 to 1 in steps of 0.025, with the threshold.

    Parameters
    ----------
    quality : DataFrame
        Columns gradability (0-1 or NaN), gradable and scored (bool); rows that are not scored are left out.
    threshold : float
        Drawn as a line, 0-1.
    """
    scored = quality[quality["scored"] & np.isfinite(quality["gradability"].astype(float))]
    with style.styled():
        if scored.empty:
            return _message("No photograph has a gradability.")
        passed = scored["gradable"].astype(bool)
        values = scored["gradability"].astype(float)
        figure = style.new_figure(2.3)
        axes = figure.add_axes((0.085, 0.19, 0.9, 0.68))
        axes.hist(
            [values[~passed], values[passed]], bins=np.linspace(0, 1, 41).tolist(), stacked=True,
            color=[style.ORANGE, style.BLUE], edgecolor="white", linewidth=0.4,
            label=[f"ungradable ({(~passed).sum():,})", f"gradable ({passed.sum():,})"],
        )  # fmt: skip
        axes.axvline(threshold, color=style.INK, lw=0.9, ls=(0, (4, 2)), label=f"threshold ({threshold:g})")
        axes.set(xlim=(0, 1), xlabel="Gradability", ylabel="Photographs")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.1)
    return figure


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
            return _message(f"{title}\nNo biomarker has a true effect on an outcome analysed here.".strip())
        models, limit = models_of(inputs), _truth_limit(found)
        layout, tops = _truth_layout(inputs, found)
        colours = _model_colours(models)
        head, foot = 0.62 if title else 0.3, 0.62
        figure = style.new_figure(layout.height + head + foot)
        axes = _forest_axes(figure, layout, head, foot)
        _draw_rows(axes, layout, {})
        for pair, y in zip(found, tops, strict=True):
            _draw_pair(axes, pair, y, colours, limit, inputs.alpha)
        _draw_axis(axes, limit, layout.height)
        handles = [Line2D([], [], color=style.INK, marker="D", ms=5.0, lw=1.0, ls=DOTTED, label="Truth")]
        if inputs.true_values is not None:
            square = Line2D([], [], color=style.MUTED, marker="s", ms=4.2, lw=1.1, label="From true values")
            handles.append(square)
        _draw_heads(figure, [*handles, *_handles(models, colours, inputs.alpha)], title, "", "covers")
    return figure


DOTTED = (0, (1, 1.6))


def _truth_layout(inputs: ReportInputs, found: Sequence[Pair]) -> tuple[_Layout, list[float]]:
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
    return _Layout([], families, names, y + 0.06), tops


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
    _print_numbers(axes, y, ratio(pair.truth), "truth")
    for i, (model, e, marker, q) in enumerate(lines, start=1):
        line = _Estimate(y + i * LINE, model, e.odds, e.low, e.high, q, False)
        _draw_interval(axes, line, colours[model], limit, alpha, marker)
        _print_numbers(axes, line.y, interval(e.odds, e.low, e.high), "yes" if e.covers(pair.truth) else "no")
    if not pair.found:
        axes.text(
            _x(Q_COLUMN), y + (1 + len(known)) * LINE, status_of(pair), transform=axes.get_yaxis_transform(),
            va="center", ha="right", size=7.0, color=style.MUTED,
        )  # fmt: skip


def flow_of(inputs: ReportInputs) -> Figure:
    """Flow diagram of a report, with the outcomes that were analysed at the level of the models."""
    level = "eyes" if inputs.unit == "eye" else "participants"
    recorded = inputs.flow.get("outcomes") or {}
    counts = {f"{inputs.outcome_label(o)} ({level})": recorded[o][level] for o in inputs.associations if o in recorded}
    return flow(inputs.stages, counts)


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
