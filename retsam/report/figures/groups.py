"""Values of the strongest biomarkers in people with and without an outcome."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from retsam.report import style
from retsam.report.figures.effects import effect_text, is_slope, last_rows, placed, strongest
from retsam.report.inputs import ReportInputs, model_label
from retsam.report.tables import q_value

PANELS, ABREAST = 8, 4
FEWEST = 5
"""Values that a group needs to be drawn."""

CELLS = 256
"""Steps of a density."""

MOST_LEVELS = 6
"""A graded outcome with more levels than this is cut into quarters, as a continuous one is."""


def distributions(inputs: ReportInputs, outcome: str, most: int = PANELS) -> Figure | None:
    """Values by group of the strongest biomarkers of one outcome, a panel each, one value a participant.

    The shape is the density of the values, the box their quartiles with the median. Ordered grades have a group each,
    continuous outcomes are cut at their quartiles.

    Returns
    -------
    Figure or None
        7.2 inches wide; None without values of participants, or where nothing could be estimated.
    """
    people = inputs.participants
    names = strongest(inputs, outcome, most, people.columns) if outcome in people else []
    if not names:
        return None
    table = inputs.associations[outcome]
    slope, groups = is_slope(table), groups_of(people[outcome])
    last = last_rows(placed(table), inputs.model_names(table))
    rows = {str(r["biomarker"]): r for r in last.to_dict("records")}
    down = -(-len(names) // ABREAST)
    height = 2.05 * down + 0.5
    with style.styled():
        figure = style.new_figure(height)
        for i, name in enumerate(names):
            r = rows[name]
            left, bottom = (i % ABREAST) / ABREAST + 0.06, (height - 0.25 - 2.05 * (i // ABREAST + 1) + 0.42) / height
            axes = figure.add_axes((left, bottom, 1 / ABREAST - 0.07, 1.12 / height))
            squeezed = r.get("transform") == "log1p"
            _panel(axes, people[name], groups, squeezed)
            unit = inputs.biomarkers[name].unit if name in inputs.biomarkers else ""
            effect = f"{effect_text(r['at'], r['low'], r['high'], slope)}, q {q_value(r['q'])}".replace("q <", "q < ")
            _titles(axes, inputs.biomarker_label(name) + " †" * bool(r["definitional"]), unit, effect)
        _heading(figure, inputs, outcome, slope, any(rows[n]["definitional"] for n in names))
    return figure


def groups_of(values: pd.Series) -> dict[str, NDArray[np.bool_]]:
    """Groups of participants by their outcome: name -> rows; unknown outcomes are in none.

    Parameters
    ----------
    values : Series
        0 and 1, ordered grades, or a continuous trait; NaN where it is unknown.
    """
    number = pd.to_numeric(values, errors="coerce").astype(float)
    levels = np.unique(number.dropna())
    if set(levels) <= {0.0, 1.0}:
        return {"without": (number == 0).to_numpy(bool), "with": (number == 1).to_numpy(bool)}
    if len(levels) <= MOST_LEVELS:
        return {f"{level:g}": (number == level).to_numpy(bool) for level in levels}
    cuts = np.quantile(number.dropna(), [0.25, 0.5, 0.75])
    part = np.searchsorted(cuts, number.to_numpy(float), side="left")
    known = number.notna().to_numpy(bool)
    return {f"Q{i + 1}": known & (part == i) for i in range(4)}


def density(values: NDArray[np.float64], low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaussian kernel density on a grid, by binning: its cost does not grow with the number of values.

    Parameters
    ----------
    values : (n,) array
        Finite.
    low, high : float
        Ends of the grid; values beyond them count at the ends.

    Returns
    -------
    grid, density : (CELLS,) arrays
        The density is at most 1. The width of the kernel is Silverman's, at least one step.

    References
    ----------
    Silverman BW (1986). Density estimation for statistics and data analysis. Chapman & Hall, London, section 3.4.
    """
    edges = np.linspace(low, high, CELLS + 1)
    counts = np.histogram(np.clip(values, low, high), edges)[0].astype(float)
    step = (high - low) / CELLS
    quartiles = np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.34
    spread = min(s for s in (float(values.std()), float(quartiles)) if s > 0) if values.std() > 0 else 0.0
    width = max(0.9 * spread * len(values) ** -0.2, step)
    offsets = step * np.arange(-CELLS, CELLS + 1)
    smooth = np.convolve(counts, np.exp(-0.5 * (offsets / width) ** 2))[CELLS : 2 * CELLS]
    return (edges[:-1] + edges[1:]) / 2, smooth / smooth.max()


def _panel(axes: Axes, column: pd.Series, groups: dict[str, NDArray[np.bool_]], squeezed: bool) -> None:
    """Shapes and boxes of one biomarker; values beyond the outer hundredths of all are drawn at their border."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(float)
    scale = _scale(values) if squeezed else 1.0
    values = np.log1p(np.maximum(values, 0) / scale) if squeezed else values
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.005, 0.995]) if len(finite) else (0.0, 1.0)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    reach = 0.06 * (high - low)
    colours = _colours(len(groups))
    labels = []
    for i, (name, rows) in enumerate(groups.items()):
        own = values[rows & np.isfinite(values)]
        labels.append(f"{name}\n{len(own):,}")
        if len(own) >= FEWEST:
            grid, shape = density(own, low - reach, high + reach)
            axes.fill_betweenx(grid, i - 0.4 * shape, i + 0.4 * shape, color=colours[i], alpha=0.32, lw=0)
            first, middle, last = np.quantile(own, [0.25, 0.5, 0.75])
            axes.plot([i, i], [first, last], color=colours[i], lw=3.4, solid_capstyle="butt")
            axes.plot([i], [middle], "o", ms=4.2, mfc="white", mec=colours[i], mew=1.1, zorder=4)
        elif len(own):
            axes.plot(np.full(len(own), i), np.clip(own, low, high), "o", ms=2.6, color=colours[i], mew=0)
    axes.set(xlim=(-0.6, len(groups) - 0.4), ylim=(low - reach, high + reach))
    axes.set_xticks(range(len(groups)), labels)
    axes.tick_params(labelsize=6.4, length=2, pad=1.5)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if squeezed:
        ticks = _squeezed_ticks(scale * float(np.expm1(max(low, 0.0))), scale * float(np.expm1(high)), scale)
        axes.set_yticks(np.log1p(ticks / scale).tolist(), [f"{t:.4g}" for t in ticks])
        axes.set_ylim(low - reach, high + reach)


def _scale(values: NDArray[np.float64]) -> float:
    """What values are divided by before log(1 + x): the median of the positive ones where it is below 1, else 1."""
    positive = values[values > 0]
    return min(float(np.median(positive)), 1.0) if len(positive) else 1.0


def _squeezed_ticks(low: float, high: float, scale: float) -> NDArray[np.float64]:
    """Values from `low` to `high` for an axis of log(1 + x / scale): 0 and decades; round numbers in a narrow range."""
    decades = np.concatenate([[0.0], 10.0 ** np.arange(-9, 9)])
    apart = np.log1p(decades / scale) >= 0.15 * np.log1p(high / scale)
    inside = decades[(decades >= low) & (decades <= high) & (apart | (decades == 0))]
    if len(inside) >= 3 or (len(inside) == 2 and low <= 0):
        return inside
    round_ones = np.array(MaxNLocator(4).tick_values(low, high), dtype=float)
    return round_ones[(round_ones >= low) & (round_ones <= high)]


def _colours(n: int) -> Sequence[str]:
    """Two groups: blue and vermilion; more: one hue from light to dark, for their order."""
    if n <= 2:
        return (style.BLUE, style.VERMILION)
    return [
        f"#{round(170 - 170 * t):02x}{round(205 - 115 * t):02x}{round(235 - 70 * t):02x}" for t in np.linspace(0, 1, n)
    ]


def _titles(axes: Axes, label: str, unit: str, effect: str) -> None:
    lines = textwrap.wrap(label, 24, max_lines=3, placeholder=" …")
    axes.set_title("\n".join(lines), size=6.9, weight="bold", loc="left", x=-0.14, pad=12, linespacing=1.05)
    axes.text(-0.14, 1.03, effect, transform=axes.transAxes, size=6.4, color=style.MUTED, va="bottom")
    if unit:
        axes.set_ylabel(unit, size=6.4, labelpad=1.5)


def _heading(figure: Figure, inputs: ReportInputs, outcome: str, slope: bool, definitional: bool) -> None:
    height = figure.get_size_inches()[1]
    figure.text(0.08 / style.WIDTH, 1 - 0.14 / height, inputs.outcome_label(outcome), size=9.5, weight="bold",
                va="center")  # fmt: skip
    model = model_label(inputs.primary_model(inputs.associations[outcome]) or "").lower()
    what = "difference" if slope else "odds ratio"
    text = f"One value a participant, with the number of participants; {what} per SD of the model {model}."
    if definitional:
        text += " † definitional pair."
    figure.text(0.08 / style.WIDTH, 0.09 / height, text, size=6.8, color=style.MUTED, va="center")
