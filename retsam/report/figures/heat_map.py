"""Biomarkers against diseases in one picture."""

import math
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from retsam.report import style
from retsam.report.figures.effects import (
    by_strength,
    effect_text,
    effect_word,
    is_slope,
    last_rows,
    placed,
    strongest_of_families,
)
from retsam.report.inputs import ReportInputs, family_label, model_label
from retsam.report.tables import count

DIVERGING = LinearSegmentedColormap.from_list("retsam", [style.BLUE, "#ffffff", style.VERMILION])
"""Less, none, more: told apart with any colour vision, and white prints as nothing."""

MOST = 38
"""Biomarkers of a heat map; with more, the strongest of each family."""

ROW, HEAD = 0.158, 0.22  # inches: a biomarker, the heading of a family
NAMES = 3.05  # inches for the names
EDGE = 0.12  # inches of hatching
UPRIGHT = 0.75  # inches of a column from which its heading is not turned
WIDE_CELLS = 4
"""Up to so many outcomes, a cell has room for the interval."""


def cells_of(inputs: ReportInputs) -> pd.DataFrame:
    """What a heat map shows: of each outcome and biomarker the row of the most adjusted model.

    Returns
    -------
    DataFrame
        Association rows with ``at``, ``low``, ``high``, ``z`` and ``slope``; see
        :func:`retsam.report.figures.effects.placed`.
    """
    parts = [
        last_rows(placed(table), inputs.model_names(table)).assign(outcome=outcome, slope=is_slope(table))
        for outcome, table in inputs.associations.items()
    ]
    return pd.concat([p for p in parts if len(p)], ignore_index=True) if any(map(len, parts)) else pd.DataFrame()


def heatmap(inputs: ReportInputs, most: int = MOST) -> Figure | None:
    """Heat map of biomarkers by outcomes: colour is the signed z of the most adjusted model, numbers where q < alpha.

    A hatched edge marks definitional pairs, grey cells could not be estimated. Families in the order of the tables, in
    them the strongest first.

    Parameters
    ----------
    inputs : ReportInputs
    most : int
        Biomarkers to show; of more, the strongest of each family over all outcomes.

    Returns
    -------
    Figure or None
        7.2 inches wide; None where nothing could be estimated.
    """
    cells = cells_of(inputs)
    if cells.empty:
        return None
    ranked = by_strength(cells).drop_duplicates("biomarker")
    shown = strongest_of_families(ranked, most)
    order = {str(f): i for i, f in enumerate(dict.fromkeys(cells["family"]))}
    ranked = ranked[ranked["biomarker"].isin(shown)]
    ranked = ranked.sort_values("family", key=lambda f: f.map(order).astype(float), kind="stable")
    limit = colour_limit(cells.loc[cells["biomarker"].isin(shown), "z"].to_numpy(float))
    with style.styled():
        return _draw(inputs, cells, ranked, limit, cells["biomarker"].nunique())


def colour_limit(z: np.ndarray) -> float:
    """Z score at which the colour is full: that of nearly all cells, 3 to 12."""
    return float(np.clip(math.ceil(np.quantile(np.abs(z), 0.95)), 3, 12))


def _draw(inputs: ReportInputs, cells: pd.DataFrame, ranked: pd.DataFrame, limit: float, total: int) -> Figure:
    outcomes = list(inputs.associations)
    families = ranked["family"].nunique()
    body = ROW * len(ranked) + HEAD * families
    width = min((style.WIDTH - NAMES - 0.1) / len(outcomes), 1.4)
    head, foot = 0.5 if width >= UPRIGHT else 1.5, 0.62
    figure = style.new_figure(body + head + foot)
    height = figure.get_size_inches()[1]
    axes = figure.add_axes((0, foot / height, 1, body / height))
    axes.set(xlim=(0, style.WIDTH), ylim=(body, 0))
    axes.axis("off")
    for i, outcome in enumerate(outcomes):
        label, turned = inputs.outcome_label(outcome), 0 if width >= UPRIGHT else 90
        lines = textwrap.wrap(label, 20 if turned else int(width * 15), max_lines=2 if turned else 3, placeholder=" …")
        axes.text(NAMES + (i + 0.5) * width, -0.06, "\n".join(lines), ha="center", va="bottom", size=7.3, weight="bold",
                  rotation=turned)  # fmt: skip
    known = {(str(r["biomarker"]), r["outcome"]): r for r in cells.to_dict("records")}
    y, previous = 0.0, None
    for r in ranked.to_dict("records"):
        name = str(r["biomarker"])
        if r["family"] != previous:
            previous = r["family"]
            axes.text(0.08, y + HEAD / 2 + 0.02, family_label(str(previous)).split(":")[0], va="center", size=7.6,
                      weight="bold")  # fmt: skip
            y += HEAD
        label = inputs.biomarker_label(name)
        axes.text(NAMES - 0.08, y + ROW / 2, label, ha="right", va="center", size=6.9 if len(label) < 48 else 6.1)
        for i, outcome in enumerate(outcomes):
            box = (NAMES + i * width, y, width, ROW)
            _cell(axes, box, known.get((name, outcome)), limit, inputs.alpha, len(outcomes))
        y += ROW
    _legend(figure, inputs, limit, foot, bool(cells["definitional"].any()), len(ranked), total)
    return figure


def _cell(
    axes: Axes, box: tuple[float, float, float, float], r: dict[Any, Any] | None, limit: float, alpha: float, n: int
) -> None:
    """One cell: colour, hatching and, where q is below the threshold, the effect."""
    x, y, width, height = box
    fill = "#e3e6ea" if r is None else DIVERGING(0.5 + float(np.clip(r["z"] / limit, -1, 1)) / 2)
    axes.add_patch(Rectangle((x, y), width, height, fc=fill, ec="#dfe3e8", lw=0.5))
    if r is None:
        return
    if r["definitional"]:
        axes.add_patch(Rectangle((x, y), EDGE, height, fc=fill, ec=style.INK, lw=0, hatch="//////", alpha=0.6))
        x, width = x + EDGE, width - EDGE
    if r["q"] < alpha:
        whole = effect_text(r["at"], r["low"], r["high"], bool(r["slope"]))
        text = whole if n <= WIDE_CELLS else effect_word(r["at"], bool(r["slope"]))
        colour = "white" if abs(r["z"]) > 0.85 * limit else style.INK
        if n <= 2 * WIDE_CELLS:
            axes.text(x + width / 2, y + height / 2, text, ha="center", va="center_baseline", size=6.2, color=colour)
        else:
            axes.plot([x + width / 2], [y + height / 2], "o", ms=2.6, color=colour)


def _legend(
    figure: Figure, inputs: ReportInputs, limit: float, foot: float, definitional: bool, shown: int, total: int
) -> None:
    """Colour bar, what the marks mean, and how many biomarkers were left out."""
    height = figure.get_size_inches()[1]
    bar = figure.add_axes((0.2 / style.WIDTH, (foot - 0.22) / height, 0.23, 0.09 / height))
    mapped = ScalarMappable(Normalize(-limit, limit), DIVERGING)
    figure.colorbar(mapped, cax=bar, orientation="horizontal").outline.set_visible(False)  # type: ignore[operator]
    bar.set_xticks([-limit, 0, limit], [f"≤ −{limit:g}", "0", f"≥ {limit:g}"])
    bar.tick_params(length=2, labelsize=6.8)
    models = {model_label(m) for t in inputs.associations.values() if (m := inputs.primary_model(t)) is not None}
    text = f"Signed z, model {' / '.join(sorted(models)).lower()}; numbers where q < {inputs.alpha:g}: effect per SD."
    if len(inputs.associations) > 2 * WIDE_CELLS:
        text = text.replace("numbers where", "a dot where").replace(": effect per SD", "")
    figure.text(0.3, (foot - 0.18) / height, text, size=6.8, color=style.MUTED, va="center")
    if shown < total:
        more = f"{shown} of {count(total, 'biomarker')}: the strongest of each family; all are in the tables."
        figure.text(0.3, (foot - 0.34) / height, more, size=6.8, color=style.MUTED, va="center")
    patches = [Patch(fc="#e3e6ea", label="not estimable")]
    if definitional:
        patches.insert(0, Patch(fc="white", ec=(0, 0, 0, 0.4), lw=0.4, hatch="////", label="definitional"))
    figure.legend(
        handles=patches, loc="lower left", bbox_to_anchor=(0.285, 0.0), ncols=2, handlelength=1.4, borderaxespad=0.1
    )
