"""Which biomarkers say the same."""

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from retsam.report import style
from retsam.report.figures.effects import placed
from retsam.report.figures.heat_map import DIVERGING
from retsam.report.inputs import ReportInputs
from retsam.report.tables import count
from retsam.taxonomy import Evidence

MOST = 48
"""Rows of a correlation map; more biomarkers are grouped, each group by its most central member."""

MOST_EYES = 20_000
"""Eyes that correlations are computed from; of more, evenly spread ones."""

FEWEST = 20
"""Eyes with both values that a correlation needs."""


def correlation(inputs: ReportInputs, most: int = MOST) -> Figure | None:
    """Rank correlations between biomarkers over the eyes, similar ones side by side.

    Biomarkers validated on synthetic images only, constant ones and those with fewer than :data:`FEWEST` values are
    left out. More than `most` are cut into so many groups by complete linkage on 1 - abs(r); a group is shown by the
    member closest to all others of it.

    Returns
    -------
    Figure or None
        7.2 inches wide; None with fewer than two biomarkers.
    """
    names = _names(inputs)
    if len(names) < 2:
        return None
    rows = np.unique(np.linspace(0, len(inputs.eyes) - 1, min(len(inputs.eyes), MOST_EYES)).astype(int))
    r = rank_correlations(inputs.eyes[names].iloc[rows].apply(pd.to_numeric, errors="coerce").to_numpy(float))
    order, sizes = grouped(r, most)
    labels = [
        inputs.biomarker_label(names[i]) + f" (+{size - 1})" * (size > 1) for i, size in zip(order, sizes, strict=True)
    ]
    with style.styled():
        return _draw(r[np.ix_(order, order)], labels, len(names), len(rows))


def _names(inputs: ReportInputs) -> list[str]:
    """Biomarkers with values that vary, in the order of the registry; without associations, whatever the eyes hold."""
    shown = [placed(table)["biomarker"] for table in inputs.associations.values()]
    tested = set(pd.concat(shown)) if shown else set(inputs.biomarkers)
    phantom = {
        str(name)
        for table in inputs.associations.values()
        for name in table.loc[table["evidence"].eq(Evidence.PHANTOM).fillna(False).astype(bool), "biomarker"]
    }
    present = [n for n in inputs.biomarkers if n in inputs.eyes and n in (tested or set(inputs.biomarkers)) - phantom]
    return [name for name in present if _varies(inputs.eyes[name])]


def _varies(column: pd.Series) -> bool:
    """Whether there are enough values, and not all the same."""
    values = pd.to_numeric(column, errors="coerce").dropna()
    return len(values) >= FEWEST and bool(values.max() > values.min())


def rank_correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations of ranks over the rows that have both values.

    Parameters
    ----------
    values : (n, k) array
        NaN where a value is missing. Ranks are those among all values of a column.

    Returns
    -------
    (k, k) array
        Between -1 and 1; 0 where fewer than :data:`FEWEST` rows have both, or nothing varies. Without missing values
        Spearman's.
    """
    known = np.isfinite(values)
    ranks = np.where(known, rankdata(values, axis=0, nan_policy="omit"), 0.0)
    centre = np.where(known, ranks - ranks.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)
    centre /= max(float(np.abs(centre).max()), 1.0)
    mask = known.astype(float)
    n, sums, squares = mask.T @ mask, centre.T @ mask, (centre**2).T @ mask
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = centre.T @ centre - sums * sums.T / n
        spread = squares - sums**2 / n
        r = cross / np.sqrt(spread * spread.T)
    usable = (n >= FEWEST) & (np.minimum(spread, spread.T) > 1e-12 * n)
    r = np.where(usable & np.isfinite(r), np.clip(r, -1, 1), 0.0)
    np.fill_diagonal(r, 1.0)
    return (r + r.T) / 2


def grouped(r: NDArray[np.float64], most: int) -> tuple[list[int], list[int]]:
    """Order rows so that similar ones are neighbours, one for each group where there are too many.

    Parameters
    ----------
    r : (k, k) array
        Correlations, k at least 2.
    most : int
        Groups at most.

    Returns
    -------
    order : list of int
        Rows to show.
    sizes : list of int
        Members of the group that each stands for, itself included.
    """
    apart = 1 - np.abs(r)
    tree = linkage(squareform(apart, checks=False), "complete")
    if len(r) <= most:
        return [int(i) for i in leaves_list(optimal_leaf_ordering(tree, squareform(apart, checks=False)))], [1] * len(r)
    group = fcluster(tree, most, "maxclust")
    members = [np.flatnonzero(group == g) for g in np.unique(group)]
    centres = np.array([m[np.argmin(apart[np.ix_(m, m)].sum(axis=1))] for m in members])
    order, _ = grouped(r[np.ix_(centres, centres)], most)
    return [int(centres[i]) for i in order], [len(members[i]) for i in order]


def _draw(r: NDArray[np.float64], labels: list[str], total: int, eyes: int) -> Figure:
    side = min(max(0.105 * len(labels), 1.6), 4.35)
    left, bottom = 2.75, 0.5
    height = side + bottom + 0.12
    figure = style.new_figure(height)
    axes = figure.add_axes((left / style.WIDTH, bottom / height, side / style.WIDTH, side / height))
    axes.pcolormesh(r, cmap=DIVERGING, vmin=-1, vmax=1, edgecolors="white", linewidth=0.25)
    axes.set(ylim=(len(r), 0))
    size = min(6.8, 70 * side / len(labels))
    axes.set_yticks(np.arange(len(r)) + 0.5, labels, size=size)
    axes.set_xticks([])
    axes.tick_params(length=0, pad=2)
    for label in axes.get_yticklabels():
        label.set_fontsize(min(size, 6.8 * 46 / max(len(label.get_text()), 46)))
    axes.spines[:].set_visible(False)
    bar = figure.add_axes((left / style.WIDTH, (bottom - 0.16) / height, 1.4 / style.WIDTH, 0.08 / height))
    figure.colorbar(ScalarMappable(Normalize(-1, 1), DIVERGING), cax=bar, orientation="horizontal").outline.set_visible(  # type: ignore[operator]
        False
    )
    bar.set_xticks([-1, 0, 1], ["−1", "0", "1"])
    bar.tick_params(length=2, labelsize=6.8)
    words = f"Rank correlation over {count(eyes, 'eye')}."
    if len(labels) < total:
        words += f" {total} biomarkers in {len(labels)} groups; each by its most central member (+ others)."
    figure.text(0.08 / style.WIDTH, 0.09 / height, words, size=6.8, color=style.MUTED, va="center")
    return figure
