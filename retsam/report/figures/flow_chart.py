"""The flow of photographs, in the manner of STROBE."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from retsam.report import style
from retsam.report.inputs import ReportInputs
from retsam.report.tables import count, reason_label


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
    chart = flow_chart(stages, outcomes)
    with style.styled():
        if chart is None:
            return style.message("No stage was recorded.")
        figure = style.new_figure(chart.height)
        draw_flow(figure.add_axes((0, 0, 1, 1)), chart)
    return figure


@dataclass(frozen=True)
class FlowChart:
    """What a flow diagram says, and how high it is in inches."""

    boxes: list[list[tuple[str, str]]]
    sides: list[list[tuple[str, str]]]
    below: list[list[tuple[str, str]]]
    heights: list[float]
    gaps: list[float]
    height: float


def flow_chart(
    stages: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Mapping[str, int]] | None = None
) -> FlowChart | None:
    """Boxes of a flow diagram, see :func:`flow`; None without stages."""
    if not stages:
        return None
    stages = [s for i, s in enumerate(stages) if i in (0, len(stages) - 1) or any((s.get("removed") or {}).values())]
    boxes = [_stage_lines(stage) for stage in stages]
    sides = [_removed_lines(stage.get("removed") or {}) for stage in stages]
    heights = [0.17 * len(lines) + 0.16 for lines in boxes]
    gaps = [0.0] + [max(0.3, 0.15 * len(side) + 0.26 if side else 0.0) for side in sides[1:]]
    below = [_outcome_lines(name, counts) for name, counts in (outcomes or {}).items()]
    height = sum(heights) + sum(gaps) + 0.1 + sum(0.34 + _row_height(row) for row in _fours(below))
    return FlowChart(boxes, sides, below, heights, gaps, height)


def draw_flow(axes: Axes, chart: FlowChart, scale: float = 1.0) -> None:
    """Draw a flow diagram into axes of `scale` times 7.2 inches and its own height."""
    axes.set(xlim=(0, style.WIDTH), ylim=(chart.height, 0))
    axes.axis("off")
    y = 0.05
    for lines, side, height, gap in zip(chart.boxes, chart.sides, chart.heights, chart.gaps, strict=True):
        if gap:
            _arrow(axes, (SPINE, y), (SPINE, y + gap))
            _side_box(axes, y + gap / 2, side)
        y += gap
        _box(axes, 0.08, y, 2 * SPINE - 0.16, height, lines, 0.17, "white")
        y += height
    _outcome_boxes(axes, y, chart.below)
    for text in axes.texts:
        text.set_fontsize(scale * float(text.get_fontsize()))


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
    words = (
        ("cases", "with"), ("controls", "without"), ("above", "above the lowest grade"),
        ("lowest", "of the lowest grade"), ("known", "known"), ("unknown", "unknown"),
    )  # fmt: skip
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


def flow_of(inputs: ReportInputs) -> Figure:
    """Flow diagram of a report, with the outcomes that were analysed at the level of the models."""
    return flow(inputs.stages, outcome_counts(inputs))


def outcome_counts(inputs: ReportInputs) -> dict[str, dict[str, int]]:
    """Printed name -> {cases, controls, unknown} of the outcomes analysed, at the level of the models.

    Ordered grades have {above, lowest, unknown}, continuous outcomes {known, unknown}.
    """
    level = "eyes" if inputs.unit == "eye" else "participants"
    recorded = inputs.flow.get("outcomes") or {}
    made = {}
    for outcome in (o for o in inputs.associations if o in recorded):
        counts, graded = recorded[outcome][level], recorded[outcome].get("kind") == "ordinal"
        words = {"cases": "above", "controls": "lowest"} if graded else {}
        made[f"{inputs.outcome_label(outcome)} ({level})"] = {words.get(key, key): n for key, n in counts.items()}
    return made
