"""The strongest associations seen otherwise: in other analyses, and over the quarters of a biomarker."""

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retsam.report import style
from retsam.report.figures.effects import axis_limit, axis_title, is_slope, placed, set_effect_axis, strongest
from retsam.report.inputs import ReportInputs, model_label
from retsam.report.tables import q_value

ROWS = 12
COLUMNS = 5
"""Analyses abreast; further ones go into a block below."""

PANELS, ABREAST = 8, 4
LINE = 0.2  # inches
NAMES = 2.35  # inches

ANALYSES = {
    "main": "Main",
    "all_gradabilities": "All gradabilities",
    "gradable_only": "Gradable only",
    "one_eye": "One eye a person",
}
"""Analyses with names of their own; see :func:`analysis_label` for the others."""

QUARTERS = ("q2_vs_q1", "q3_vs_q1", "q4_vs_q1")


def analysis_label(analysis: str) -> str:
    """Name of an analysis in print: ``without_site:A`` is "Without site A", ``stratum:sex=f`` is "sex = f"."""
    kind, _, rest = analysis.partition(":")
    if kind.startswith("without_") and rest:
        return f"Without {kind.removeprefix('without_')} {rest}"
    if kind == "stratum" and rest:
        return rest.replace("=", " = ", 1)
    return ANALYSES.get(analysis, analysis.replace("_", " ").capitalize())


def sensitivity(inputs: ReportInputs, outcome: str, most: int = ROWS) -> Figure | None:
    """The strongest biomarkers of one outcome in every analysis, side by side on the same axis.

    The main analysis is a grey band and line behind each of the others.

    Returns
    -------
    Figure or None
        7.2 inches wide; None where there is no other analysis.
    """
    table = inputs.every_row(outcome)
    model = inputs.primary_model(inputs.associations[outcome])
    if "analysis" not in table or model is None:
        return None
    rows = placed(table[table["term"].eq("per_sd") & table["model"].eq(model)])
    analyses = [a for a in dict.fromkeys(rows["analysis"]) if a != "main"]
    names = strongest(inputs, outcome, most)
    rows = rows[rows["biomarker"].isin(names)]
    if not analyses or rows.empty:
        return None
    blocks = [analyses[i : i + COLUMNS] for i in range(0, len(analyses), COLUMNS)]
    block = LINE * len(names) + 0.62
    height = 0.3 + block * len(blocks) + 0.2
    limit, slope = axis_limit(rows), is_slope(rows)
    with style.styled():
        figure = style.new_figure(height)
        width = min((style.WIDTH - NAMES - 0.1) / max(map(len, blocks)), 1.6)
        for i, members in enumerate(blocks):
            bottom = height - 0.3 - block * (i + 1) + 0.26
            for j, analysis in enumerate(members):
                box = (NAMES + j * width, bottom, width - 0.1, LINE * len(names))
                axes = figure.add_axes((box[0] / style.WIDTH, box[1] / height, box[2] / style.WIDTH, box[3] / height))
                _analysis(axes, rows, analysis, names, limit, slope, inputs.alpha)
                if j == 0:
                    draw_names(inputs, axes, names, rows)
        _words(figure, inputs, outcome, model, slope)
    return figure


def _analysis(
    axes: Axes, rows: pd.DataFrame, analysis: str, names: list[str], limit: float, slope: bool, alpha: float
) -> None:
    """One column: the main estimate as a band, this analysis' as a point with its interval."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    set_effect_axis(axes, limit, slope, apart=0.42)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=6.4, length=2, pad=1.5)
    axes.axvline(0, color=style.MUTED, lw=0.7, zorder=1)
    axes.set_title("\n".join(textwrap.wrap(analysis_label(analysis), 16, max_lines=2)), size=6.9, weight="bold", pad=3)
    place = {name: i for i, name in enumerate(names)}
    for r in rows[rows["analysis"].eq("main")].to_dict("records"):
        y = place[r["biomarker"]]
        ends = np.clip([r["low"], r["high"]], -limit, limit)
        axes.fill_betweenx([y - 0.36, y + 0.36], *ends, color="#e3e6ea", lw=0, zorder=0)
        axes.plot([np.clip(r["at"], -limit, limit)] * 2, [y - 0.36, y + 0.36], color="#9aa3ad", lw=1.0, zorder=1)
    draw_points(axes, rows[rows["analysis"].eq(analysis)], place, limit, alpha)


def draw_points(axes: Axes, rows: pd.DataFrame, place: Mapping[str, int], limit: float, alpha: float) -> None:
    """Estimates with their intervals, each in the row of its biomarker; filled where q is below `alpha`.

    Parameters
    ----------
    axes : Axes
    rows : DataFrame
        From :func:`retsam.report.figures.effects.placed`.
    place : mapping
        Biomarker -> y.
    limit : float
        Half width of the axis; intervals end at it, points beyond it are left out.
    alpha : float
    """
    for r in rows.to_dict("records"):
        y, colour = place[r["biomarker"]], style.BLUE
        axes.plot(np.clip([r["low"], r["high"]], -limit, limit), [y, y], color=colour, lw=1.1, zorder=2)
        if abs(r["at"]) <= limit:
            marker, size = ("D", 3.2) if r["definitional"] else ("o", 3.8)
            face = colour if pd.notna(r["q"]) and r["q"] < alpha else "white"
            axes.plot([r["at"]], [y], marker, ms=size, mfc=face, mec=colour, mew=0.9, zorder=3)


def draw_names(inputs: ReportInputs, axes: Axes, names: list[str], rows: pd.DataFrame) -> None:
    """Names of biomarkers at the left of their rows, in two lines where they are long."""
    flags = dict(zip(rows["biomarker"], rows["definitional"].astype(bool), strict=True))
    for y, name in enumerate(names):
        words = inputs.biomarker_label(name) + " †" * flags.get(name, False)
        text = "\n".join(textwrap.wrap(words, 42, max_lines=2, placeholder=" …"))
        axes.text(-0.06, y, text, transform=axes.get_yaxis_transform(), ha="right", va="center", size=6.6 if "\n" not in
                  text else 5.9, linespacing=1.0)  # fmt: skip


def _words(figure: Figure, inputs: ReportInputs, outcome: str, model: str, slope: bool) -> None:
    height = figure.get_size_inches()[1]
    title = f"{inputs.outcome_label(outcome)}: {model_label(model).lower()}"
    figure.text(0.08 / style.WIDTH, 1 - 0.14 / height, title, size=9.5, weight="bold", va="center")
    text = f"{axis_title(slope)}. Filled: q < {inputs.alpha:g}. Grey: the main analysis. † definitional pair."
    figure.text(0.08 / style.WIDTH, 0.09 / height, text, size=6.8, color=style.MUTED, va="center")


def shape(inputs: ReportInputs, outcome: str, most: int = PANELS) -> Figure | None:
    """Effects of the quarters of the strongest biomarkers against the first, with trend and test of non-linearity.

    Returns
    -------
    Figure or None
        7.2 inches wide; None where there are no quarters.
    """
    table = inputs.every_row(outcome)
    model = inputs.primary_model(inputs.associations[outcome])
    if "term" not in table or model is None:
        return None
    main = table[table["analysis"].eq("main") & table["model"].eq(model)]
    quarters = placed(main[main["term"].isin(QUARTERS)])
    there = set(quarters["biomarker"])
    names = strongest(inputs, outcome, most, there)
    if not names:
        return None
    quarters = quarters[quarters["biomarker"].isin(names)]
    limit, slope = axis_limit(quarters), is_slope(quarters)
    down = -(-len(names) // ABREAST)
    height = 1.95 * down + 0.6
    with style.styled():
        figure = style.new_figure(height)
        for i, name in enumerate(names):
            left, bottom = (i % ABREAST) / ABREAST + 0.05, (height - 0.3 - 1.95 * (i // ABREAST + 1) + 0.36) / height
            axes = figure.add_axes((left, bottom, 1 / ABREAST - 0.065, 1.08 / height))
            _quarters(axes, quarters[quarters["biomarker"].eq(name)], limit, slope)
            _heading(axes, inputs, main[main["biomarker"].eq(name)], name)
        title = f"{inputs.outcome_label(outcome)}: {model_label(model).lower()}"
        figure.text(0.08 / style.WIDTH, 1 - 0.14 / height, title, size=9.5, weight="bold", va="center")
        what = "Difference" if slope else "Odds ratio (log scale)"
        text = f"{what} of each quarter against the first, 95% CI; p of trend over the quarters and of non-linearity."
        figure.text(0.08 / style.WIDTH, 0.09 / height, text, size=6.8, color=style.MUTED, va="center")
    return figure


def _quarters(axes: Axes, rows: pd.DataFrame, limit: float, slope: bool) -> None:
    """First quarter at zero effect, the others with their intervals."""
    axes.axhline(0, color=style.MUTED, lw=0.7, zorder=1)
    axes.plot([1], [0], "s", ms=3.6, color=style.MUTED, zorder=3)
    for r in rows.to_dict("records"):
        x = 2 + QUARTERS.index(r["term"])
        axes.plot([x, x], np.clip([r["low"], r["high"]], -limit, limit), color=style.BLUE, lw=1.1, zorder=2)
        if abs(r["at"]) <= limit:
            axes.plot([x], [r["at"]], "o", ms=4.0, color=style.BLUE, zorder=3)
    set_effect_axis(axes, limit, slope, apart=0.3, which="y")
    axes.set_xlim(0.5, 4.5)
    axes.set_xticks([1, 2, 3, 4], ["Q1", "Q2", "Q3", "Q4"])
    axes.tick_params(labelsize=6.4, length=2, pad=1.5)


def _heading(axes: Axes, inputs: ReportInputs, rows: pd.DataFrame, name: str) -> None:
    tests = {t: pd.to_numeric(rows.loc[rows["term"].eq(t), "p"]).dropna() for t in ("trend", "nonlinear")}
    parts = [f"{word} {q_value(float(p.iloc[0]))}" for (_, p), word in zip(tests.items(), ("trend", "non-linear"),
             strict=True) if len(p)]  # fmt: skip
    flag = bool(rows["definitional"].astype(bool).any())
    lines = textwrap.wrap(inputs.biomarker_label(name) + " †" * flag, 24, max_lines=3, placeholder=" …")
    axes.set_title("\n".join(lines), size=6.9, weight="bold", loc="left", x=-0.14, pad=12, linespacing=1.05)
    if parts:
        axes.text(
            -0.14, 1.03, "p " + ", ".join(parts), transform=axes.transAxes, size=6.4, color=style.MUTED, va="bottom"
        )
