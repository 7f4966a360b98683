"""One figure for a manuscript: flow, forest plots of all outcomes, heat map, ROC curves."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retsam.report import style
from retsam.report.figures.curves import draw_roc, drawn_sets
from retsam.report.figures.effects import (
    axis_limit,
    by_strength,
    is_slope,
    placed,
    set_effect_axis,
    strongest_of_families,
)
from retsam.report.figures.flow_chart import draw_flow, flow_chart, outcome_counts
from retsam.report.figures.heat_map import DIVERGING, cells_of, colour_limit
from retsam.report.figures.robustness import draw_names, draw_points
from retsam.report.inputs import ReportInputs, model_label

FOREST_ROWS, HEAT_ROWS = 12, 26
FLOW_SCALE = 0.76
COLUMNS = 5
"""Outcomes abreast in the forest plots; the heat map holds all."""

ROCS = 4
UPRIGHT = 4
"""Outcomes up to which the headings of the heat map are not turned."""
FOREST_NAMES, HEAT_NAMES, HEAT_WIDTH = 2.35, 2.1, 4.2  # inches
LINE, CELL = 0.165, 0.112  # inches: a row of the forest plots, of the heat map


def multi_panel(inputs: ReportInputs) -> Figure | None:
    """Flow diagram, forest plots of the most adjusted model, heat map and ROC curves of a cohort on one page.

    Parameters
    ----------
    inputs : ReportInputs
        Tables only; neither photographs nor masks are read.

    Returns
    -------
    Figure or None
        7.2 inches wide; panels without anything to show are left out, and None where there is none.
    """
    chart, cells = flow_chart(inputs.stages, outcome_counts(inputs)), cells_of(inputs)
    outcomes = [o for o in inputs.associations if len(cells) and cells["outcome"].eq(o).any()]
    names = paper_biomarkers(cells, FOREST_ROWS)
    rows = paper_biomarkers(cells, HEAT_ROWS)
    predicted = [o for o in inputs.prediction if _predicted(inputs, o)][:ROCS]
    head = 0.6 if len(outcomes) <= UPRIGHT else 0.85
    heights = [
        FLOW_SCALE * chart.height + 0.3 if chart else 0.0,
        LINE * len(names) + 0.85 if names else 0.0,
        max(CELL * len(rows) + head + 0.4 if rows else 0.0, 3.9 if len(predicted) > 2 else 2.1 if predicted else 0.0),
    ]
    if not any(heights):
        return None
    with style.styled():
        figure = style.new_figure(sum(heights))
        tops = np.cumsum([0.0, *heights[:2]])
        letters = iter("ABCD")
        if chart:
            _letter(figure, next(letters), 0.0, tops[0])
            box = (0.2, tops[0] + 0.1, FLOW_SCALE * style.WIDTH, FLOW_SCALE * chart.height)
            draw_flow(_axes(figure, *box), chart, FLOW_SCALE)
        if names:
            _letter(figure, next(letters), 0.0, tops[1])
            _forests(figure, inputs, names, outcomes[:COLUMNS], tops[1] + 0.45)
            _letter(figure, next(letters), 0.0, tops[2])
            _heat(figure, inputs, cells, rows, outcomes, tops[2] + head)
        if predicted:
            left = HEAT_WIDTH + 0.1 if rows else 0.0
            _letter(figure, next(letters), left, tops[2])
            _rocs(figure, inputs, predicted, left + 0.25, tops[2] + 0.35)
    return figure


def paper_biomarkers(cells: pd.DataFrame, most: int) -> list[str]:
    """Biomarkers of a manuscript's panels: the strongest of each family over all outcomes, families together.

    Definitional pairs do not make a biomarker strong: it is ranked by its other outcomes, if it has any.

    Parameters
    ----------
    cells : DataFrame
        From :func:`retsam.report.figures.heat_map.cells_of`.
    most : int
    """
    if cells.empty:
        return []
    flag = cells["definitional"].astype(bool)
    ranked = pd.concat([by_strength(cells[~flag]), by_strength(cells[flag])]).drop_duplicates("biomarker")
    shown = set(strongest_of_families(ranked, most))
    families = {str(f): i for i, f in enumerate(dict.fromkeys(cells["family"]))}
    kept = ranked[ranked["biomarker"].isin(shown)]
    kept = kept.sort_values("family", key=lambda f: f.map(families).astype(float), kind="stable")
    return [str(name) for name in kept["biomarker"]]


def _predicted(inputs: ReportInputs, outcome: str) -> bool:
    table, points = inputs.prediction[outcome], inputs.prediction_curves.get(outcome)
    return points is not None and bool(drawn_sets(table, points))


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes by inches from the upper left corner of the page."""
    page = figure.get_size_inches()[1]
    return figure.add_axes((left / style.WIDTH, 1 - (top + height) / page, width / style.WIDTH, height / page))


def _letter(figure: Figure, letter: str, left: float, top: float) -> None:
    y = 1 - (top + 0.11) / figure.get_size_inches()[1]
    figure.text((left + 0.06) / style.WIDTH, y, letter, size=10, weight="bold", va="center")


def _forests(figure: Figure, inputs: ReportInputs, names: list[str], outcomes: list[str], top: float) -> None:
    """Panel of forest plots: a column an outcome, each on an axis of its own."""
    width = min((style.WIDTH - FOREST_NAMES - 0.1) / len(outcomes), 1.6)
    place = {name: i for i, name in enumerate(names)}
    models = set()
    for i, outcome in enumerate(outcomes):
        table = inputs.associations[outcome]
        model = inputs.primary_model(table) or ""
        models.add(model_label(model).lower())
        rows = placed(table[table["model"].eq(model)])
        shown = rows[rows["biomarker"].isin(names)]
        axes = _axes(figure, FOREST_NAMES + i * width, top, width - 0.1, LINE * len(names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        limit = axis_limit(shown)
        set_effect_axis(axes, limit, is_slope(table), apart=0.42)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(labelsize=6.4, length=2, pad=1.5)
        axes.axvline(0, color=style.MUTED, lw=0.7, zorder=1)
        label = textwrap.wrap(inputs.outcome_label(outcome), int(width * 16), max_lines=2, placeholder=" …")
        axes.set_title("\n".join(label), size=6.6, weight="bold", pad=3)
        draw_points(axes, shown, place, limit, inputs.alpha)
        if i == 0:
            draw_names(inputs, axes, names, rows.assign(definitional=False))
    words = f"Effect per SD (95% CI), model {' / '.join(sorted(models))}; filled: q < {inputs.alpha:g}; "
    words += "diamond: definitional."
    height = figure.get_size_inches()[1]
    figure.text(
        FOREST_NAMES / style.WIDTH, 1 - (top + LINE * len(names) + 0.28) / height, words, size=6.6, color=style.MUTED
    )


def _heat(
    figure: Figure, inputs: ReportInputs, cells: pd.DataFrame, names: list[str], outcomes: list[str], top: float
) -> None:
    """Panel of z scores: colour, a dot where q is below the threshold, a ring round it for definitional pairs."""
    width = min((HEAT_WIDTH - HEAT_NAMES - 0.1) / len(outcomes), 0.45)
    axes = _axes(figure, HEAT_NAMES, top, width * len(outcomes), CELL * len(names))
    cells = cells[cells["biomarker"].isin(names)]
    z = cells.pivot_table(index="biomarker", columns="outcome", values="z", sort=False).reindex(
        index=names, columns=outcomes
    )
    limit = colour_limit(cells["z"].to_numpy(float))
    axes.set_facecolor("#e3e6ea")
    axes.pcolormesh(np.ma.masked_invalid(z.to_numpy(float)), cmap=DIVERGING, vmin=-limit, vmax=limit,
                    edgecolors="#dfe3e8", linewidth=0.4)  # fmt: skip
    axes.set(ylim=(len(names), 0), xlim=(0, len(outcomes)))
    for r in cells[cells["q"].lt(inputs.alpha)].to_dict("records"):
        x, y = outcomes.index(r["outcome"]) + 0.5, names.index(r["biomarker"]) + 0.5
        axes.plot([x], [y], "D" if r["definitional"] else "o", ms=2.4, color=style.INK, mew=0)
    axes.set_yticks(np.arange(len(names)) + 0.5, [inputs.biomarker_label(n) for n in names])
    for label in axes.get_yticklabels():
        label.set_fontsize(float(np.clip(265 / max(len(label.get_text()), 1), 4.6, 6.2)))
    turned = len(outcomes) > UPRIGHT
    heads = [
        textwrap.wrap(inputs.outcome_label(o), 16 if turned else 12, max_lines=2 if turned else 3, placeholder=" …",
                      break_long_words=False)
        for o in outcomes
    ]  # fmt: skip
    places = np.arange(len(outcomes)) + 0.5
    axes.set_xticks(places, ["\n".join(lines) for lines in heads], size=5.2, rotation=90 if turned else 0)
    axes.tick_params(length=0, pad=2, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    words = f"Signed z, full colour at ±{limit:g}; dot: q < {inputs.alpha:g}; diamond: definitional."
    height = figure.get_size_inches()[1]
    figure.text(0.06 / style.WIDTH, 1 - (top + CELL * len(names) + 0.2) / height, words, size=6.6, color=style.MUTED)


def _rocs(figure: Figure, inputs: ReportInputs, outcomes: list[str], left: float, top: float) -> None:
    """Panel of ROC curves, two abreast."""
    side = 1.12
    lines: dict[str, Line2D] = {}
    for i, outcome in enumerate(outcomes):
        axes = _axes(figure, left + 0.12 + (i % 2) * (side + 0.27), top + (i // 2) * (side + 0.6), side, side)
        draw_roc(axes, inputs.prediction[outcome], inputs.prediction_curves[outcome])
        axes.set(xlabel="", ylabel="")
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.tick_params(labelsize=5.8, length=2, pad=1)
        label = textwrap.wrap(inputs.outcome_label(outcome), 19, max_lines=2, placeholder=" …")
        axes.set_title("\n".join(label), size=6.6, weight="bold", pad=3)
        known = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
        for j, line in enumerate(known):
            name, area = str(line.get_label()).split(": ", 1)
            lines.setdefault(name, line)
            axes.text(1.0, 0.03 + 0.1 * (len(known) - 1 - j), area, size=5.4, ha="right", color=line.get_color())
    height = figure.get_size_inches()[1]
    y = 1 - (top + -(-len(outcomes) // 2) * (side + 0.6) - 0.1) / height
    words = "Sensitivity against 1 − specificity; AUC (95% CI)"
    figure.text((left + 0.12) / style.WIDTH, y - 0.12 / height, words, size=6.2, color=style.MUTED)
    handles = [Line2D([], [], color=line.get_color(), lw=1.4, label=name) for name, line in lines.items()]
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=((left + 0.05) / style.WIDTH, y), ncols=len(handles),
        fontsize=6.2, handlelength=1.1, columnspacing=0.9, handletextpad=0.4, borderaxespad=0.0,
    )  # fmt: skip
