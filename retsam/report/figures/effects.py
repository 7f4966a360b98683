"""Estimates on an axis: log odds ratios, or slopes of continuous outcomes; and which of them are shown first."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import norm

from retsam.report.inputs import ReportInputs, counted, has_odds_ratio
from retsam.report.tables import DASH, interval, ratio

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0,
         100.0)  # fmt: skip
"""Odds ratios that may be printed below a log axis; closed under reciprocals, nearly."""

WIDEST = math.log(20)
"""Half width of a forest axis is at most this in log odds; what lies beyond is an arrow."""

NARROWEST = math.log(1.25)

FURTHEST = 38.0
"""Standard deviations from zero at which a p value is 0 in double precision; z scores end here."""


def is_slope(table: pd.DataFrame) -> bool:
    """Whether the rows of one outcome are slopes: none of those with an estimate has an odds ratio."""
    shown = table[counted(table)]
    return len(shown) > 0 and not has_odds_ratio(shown).any()


def placed(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that figures hold, with their places on an axis.

    Parameters
    ----------
    table : DataFrame
        Association rows of one outcome; those without an estimate, or with no evidence but synthetic images, are left
        out.

    Returns
    -------
    DataFrame
        The rows, and ``at``, ``low``, ``high``: log odds, or the outcome's unit where the rows are slopes. A limit
        that does not exist is infinite.
    """
    shown = table[counted(table)]
    if is_slope(shown):
        at, low, high = (pd.to_numeric(shown[c]).to_numpy(float) for c in ("beta", "beta_low", "beta_high"))
    else:
        shown = shown[has_odds_ratio(shown)]
        with np.errstate(divide="ignore", invalid="ignore"):
            at, low, high = (np.log(pd.to_numeric(shown[c]).to_numpy(float)) for c in ("or", "ci_low", "ci_high"))
    return shown.assign(at=at, low=np.where(np.isnan(low), -np.inf, low), high=np.where(np.isnan(high), np.inf, high))


def signed_z(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Normal score of the p value with the sign of the effect, of rows from :func:`placed`; 0 without a p value."""
    p = pd.to_numeric(rows["p"]).to_numpy(float)
    score = norm.isf(np.clip(np.where(np.isnan(p), 1.0, p), 0.0, 1.0) / 2)
    return np.sign(rows["at"].to_numpy(float)) * np.minimum(score, FURTHEST)


def axis_limit(table: pd.DataFrame) -> float:
    """Half width of an axis: every interval fits but those far longer than most.

    Parameters
    ----------
    table : DataFrame
        Association rows of one outcome; those that are not drawn do not count.

    Returns
    -------
    float
        Log odds between log 1.25 and :data:`WIDEST`; of slopes, the outcome's unit, positive.
    """
    rows = placed(table)
    points, limits = np.abs(rows["at"].to_numpy(float)), np.abs(rows[["low", "high"]].to_numpy(float)).ravel()
    ends = limits[np.isfinite(limits)]
    values = np.concatenate([points, ends])
    if not len(values):
        return NARROWEST
    most = max(float(np.quantile(part, share)) for part, share in ((ends, 0.8), (points, 0.9)) if len(part))
    reach = 1.08 * float(values[values <= 2 * most].max(initial=0.0))
    if is_slope(table):
        return reach if reach > 0 else 1.0
    return min(max(reach, NARROWEST), WIDEST)


def axis_title(slope: bool) -> str:
    """Words below an axis of effects."""
    return "Difference per SD (95% CI)" if slope else "Odds ratio per SD (95% CI), log scale"


def set_effect_axis(axes: Axes, limit: float, slope: bool, apart: float = 0.17, which: Literal["x", "y"] = "x") -> None:
    """Make an axis one of effects from ``-limit`` to ``limit``, labelled with odds ratios where they are no slopes.

    Parameters
    ----------
    apart : float
        Least distance of two labels, as a share of the limit.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(-limit, limit)
    if slope:
        axis.set_major_locator(MaxNLocator(nbins=max(2, round(1.2 / apart)), symmetric=True))
        return
    inside = [t for t in TICKS if abs(math.log(t)) <= limit * 1.001]
    ticks: list[float] = [1.0]
    for tick in sorted(inside, key=lambda t: (_awkwardness(t, limit), abs(math.log(t)), t)):
        if all(abs(math.log(tick / other)) > apart * limit for other in ticks):
            ticks.append(tick)
    ticks.sort()
    axis.set_ticks([math.log(t) for t in ticks], [f"{t:g}" for t in ticks])


def _awkwardness(tick: float, limit: float) -> int:
    """Prefer 0.5, 2 and the decades on wide axes; take any on narrow ones."""
    return 0 if limit < math.log(2) or tick in {0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0} else 1


def effect_text(at: float, low: float, high: float, slope: bool) -> str:
    """Effect with its interval in print, from places on an axis."""
    if slope:
        return difference(at, low, high)
    return interval(*(math.exp(min(v, 700.0)) for v in (at, low, high)))


def effect_word(at: float, slope: bool) -> str:
    """Effect in print, without its interval."""
    return f"{at:+.2g}" if slope else ratio(math.exp(min(at, 700.0)))


def difference(beta: float, low: float, high: float) -> str:
    """Slope with its interval, to two significant digits of its error: ``0.42 (0.10 to 0.74)``."""
    if math.isnan(beta):
        return DASH
    error = (high - low) / 4
    digits = min(max(1 - math.floor(math.log10(error)), 0), 6) if 0 < error < math.inf else 2
    return f"{beta:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def last_rows(rows: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Of each biomarker the row of the most adjusted model that has one, with ``z``; see :func:`placed`."""
    order = rows["model"].map({model: i for i, model in enumerate(models)}).astype(float)
    last = rows.assign(order=order).sort_values("order", kind="stable").drop_duplicates("biomarker", keep="last")
    return last.drop(columns="order").assign(z=signed_z(last))


def by_strength(last: pd.DataFrame) -> pd.DataFrame:
    """Rows with the largest absolute z first; ties by name."""
    return last.assign(size=last["z"].abs()).sort_values(["size", "biomarker"], ascending=[False, True])


def fair_shares(sizes: Mapping[str, int], most: int) -> dict[str, int]:
    """How many members of each group are shown: as equal as their sizes allow, at least one of each group.

    Parameters
    ----------
    sizes : mapping
        Group -> number of members, none empty.
    most : int
        Members to show in all.
    """
    levels = np.arange(1, max(sizes.values(), default=1) + 1)
    shown = np.minimum(np.array([*sizes.values()], int)[:, None], levels).sum(axis=0)
    fits = max(int((shown <= most).sum()), 1)
    shares = {group: min(size, fits) for group, size in sizes.items()}
    for group, size in sizes.items():  # what is left over goes to the first groups that have more
        if sum(shares.values()) < most and shares[group] < size:
            shares[group] += 1
    return shares


def strongest_of_families(ranked: pd.DataFrame, most: int) -> list[str]:
    """Biomarkers to show where not all fit: the strongest of each family, in the order given.

    Parameters
    ----------
    ranked : DataFrame
        Columns biomarker, family; the strongest first.
    most : int
    """
    sizes = {str(family): int(n) for family, n in ranked["family"].value_counts(sort=False).items()}
    shares = fair_shares(sizes, most)
    place = ranked.groupby("family", sort=False).cumcount()
    return ranked.loc[place < ranked["family"].map(shares).astype(float), "biomarker"].tolist()


def strongest(inputs: ReportInputs, outcome: str, most: int, among: Iterable[str] | None = None) -> list[str]:
    """Biomarkers of one outcome that small panels show, the smallest p value of the most adjusted model first.

    At most a third of them from one family, and definitional pairs after all others, in at most a quarter of the
    places; what these rules leave free is filled regardless.

    Parameters
    ----------
    inputs : ReportInputs
    outcome : str
    most : int
    among : iterable of str, optional
        Biomarkers to choose from; by default all that have an estimate.
    """
    table = inputs.associations[outcome]
    ranked = by_strength(last_rows(placed(table), inputs.model_names(table)))
    ranked = ranked if among is None else ranked[ranked["biomarker"].isin(list(among))]
    flag = ranked["definitional"].astype(bool)
    crowded = ranked.groupby(["family", flag], sort=False).cumcount() >= max(math.ceil(most / 3), 1)
    risks, flagged = ranked[~flag & ~crowded], ranked[flag & ~crowded]
    kept_free = min(len(flagged), most // 4)
    chosen = [*risks["biomarker"][: most - kept_free], *flagged["biomarker"][:kept_free]]
    rest = [name for name in ranked["biomarker"] if name not in chosen]
    chosen += rest[: most - len(chosen)]
    order = {name: i for i, name in enumerate(ranked["biomarker"])}
    flags = dict(zip(ranked["biomarker"], flag, strict=True))
    return sorted(chosen, key=lambda name: (flags[name], order[name]))
