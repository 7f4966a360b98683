"""How often there is a value, and how repeatable it is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retsam.agreement import Agreement, agreement
from retsam.biomarkers.reliability import SOURCES
from retsam.biomarkers.reliability import reliability as published
from retsam.report import style
from retsam.report.figures.effects import by_strength, strongest_of_families
from retsam.report.figures.heat_map import cells_of
from retsam.report.inputs import ReportInputs, family_label
from retsam.report.tables import count, reason_label, used_biomarkers
from retsam.status import Status

BARS = 36
"""Bars of the missingness figure; more sets of biomarkers are left to the table."""

REASONS = (style.ORANGE, style.PURPLE, style.VERMILION, style.GREEN, "#56B4E9")
"""Colours of the most frequent reasons; the others share a grey."""

ROWS = 38
"""Biomarkers of the reliability figure; of more, the strongest of each family."""

FEWEST_PAIRS = 10
"""Persons with both eyes that an intraclass correlation of this cohort needs."""

LINE, HEAD = 0.16, 0.21  # inches
NAMES = 3.1  # inches


def status_shares(inputs: ReportInputs) -> pd.DataFrame:
    """Share of the photographs by status, biomarkers with equal counts in one row.

    Returns
    -------
    DataFrame
        Index: first biomarker of each set; columns: statuses (shares, 0-1, ok first) and ``members``, the size of
        the set. The least available first. Empty without statuses.
    """
    images = inputs.images
    names = [n for n in used_biomarkers(inputs) if f"{n}__status" in images]
    if not names or images.empty:
        return pd.DataFrame()
    counts = pd.DataFrame({n: images[f"{n}__status"].fillna("unknown").astype(str).value_counts() for n in names}).T
    counts = counts.reindex(names).fillna(0).astype(int)
    totals = counts.sum().to_dict()
    reasons = sorted((str(c) for c in counts if c != Status.OK), key=lambda c: (-totals[c], c))
    counts = counts.reindex(columns=[Status.OK.value, *reasons], fill_value=0)
    members = counts.groupby(list(counts.columns), sort=False)[Status.OK.value].transform("size")
    kept = counts.assign(members=members)[~counts.duplicated()]
    shares = kept.drop(columns="members") / len(images)
    return shares.assign(members=kept["members"]).sort_values(Status.OK.value, kind="stable")


def missingness(inputs: ReportInputs, most: int = BARS) -> Figure | None:
    """Share of the photographs with a value of each biomarker, and why others have none; the least available first.

    Biomarkers that are there and missing in the same numbers share a bar.

    Returns
    -------
    Figure or None
        7.2 inches wide; None where no status was recorded.
    """
    shares = status_shares(inputs)
    if shares.empty:
        return None
    shown = shares.head(most)
    reasons = [str(c) for c in shown if c not in (Status.OK, "members") and shown[c].any()]
    body, foot = LINE * len(shown), 0.78
    height = body + foot + 0.12
    with style.styled():
        figure = style.new_figure(height)
        axes = figure.add_axes((NAMES / style.WIDTH, foot / height, (style.WIDTH - NAMES - 0.15) / style.WIDTH,
                                body / height))  # fmt: skip
        parts = {"computed": shown[Status.OK.value]}
        parts |= {reason_label(c): shown[c] for c in reasons[: len(REASONS)]}
        if reasons[len(REASONS) :]:
            parts["other"] = shown[reasons[len(REASONS) :]].sum(axis=1)
        start = np.zeros(len(shown))
        for (name, share), colour in zip(parts.items(), (style.BLUE, *REASONS, "#9aa3ad"), strict=False):
            colour = "#9aa3ad" if name == "other" else colour
            axes.barh(np.arange(len(shown)), 100 * share, left=100 * start, height=0.74, color=colour, label=name)
            start = start + share.to_numpy(float)
        labels = [inputs.biomarker_label(str(n)) + f" (+{k - 1})" * (k > 1) for n, k in shown["members"].items()]
        _rows(axes, labels, (0, 100))
        axes.set_xlabel("Share of the photographs, %")
        figure.legend(loc="lower left", bbox_to_anchor=(0, 0.14 / height), ncols=4, handlelength=1.0,
                      columnspacing=1.2, handletextpad=0.4)  # fmt: skip
        note = "(+n): with as many more biomarkers that are missing in the same numbers." * bool(
            shown["members"].max() > 1
        )
        if len(shown) < len(shares):
            note += f" The {len(shown)} least available of {len(shares)} sets; all are in the table."
        figure.text(0.08 / style.WIDTH, 0.09 / height, note, size=6.8, color=style.MUTED, va="center")
    return figure


def _rows(axes: Axes, labels: Sequence[str], limits: tuple[float, float]) -> None:
    """Names at the left of horizontal rows, the first at the top."""
    axes.set(ylim=(len(labels) - 0.5, -0.5), xlim=limits)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, pad=3)
    axes.spines["left"].set_visible(False)
    for label in axes.get_yticklabels():
        label.set_fontsize(6.9 if len(label.get_text()) < 50 else 6.1)


def between_eyes(eyes: pd.DataFrame, names: Sequence[str]) -> dict[str, Agreement]:
    """Agreement of right and left eye of a person (of a visit, where there are several).

    Parameters
    ----------
    eyes : DataFrame
        Participant_id, eye (OD, OS), visit (optional) and a column for each name.
    names : sequence of str
    """
    if not {"participant_id", "eye"} <= set(eyes):
        return {}
    visit = eyes["visit"] if "visit" in eyes else pd.Series(None, index=eyes.index, dtype=object)
    key = [eyes["participant_id"].astype(str), visit.astype(object).where(visit.notna(), "").astype(str)]
    one = ~pd.concat([*key, eyes["eye"].astype(object)], axis=1).duplicated()
    right, left = (
        eyes.loc[one & eyes["eye"].eq(side), list(names)].set_axis(
            pd.MultiIndex.from_arrays([k[one & eyes["eye"].eq(side)] for k in key])
        )
        for side in ("OD", "OS")
    )
    both = right.index.intersection(left.index)
    right, left = right.loc[both], left.loc[both]
    return {name: agreement(right[name], left[name]) for name in names}


def reliability(inputs: ReportInputs, most: int = ROWS) -> Figure | None:
    """Intraclass correlations with their intervals: two observers of one photograph, and the two eyes of a person.

    Dots of this cohort are right against left eye, where :data:`FEWEST_PAIRS` persons have both; the eyes of a person
    differ, so that these are lower bounds of repeatability. Other sources are those of ``retsam/biomarkers``.

    Returns
    -------
    Figure or None
        7.2 inches wide; None where no figure is known.
    """
    rows = _reliability_rows(inputs, most)
    if rows.empty:
        return None
    sources = list(dict.fromkeys(rows["source"]))
    names = list(dict.fromkeys(rows["biomarker"]))
    heads = rows.drop_duplicates("biomarker")["family"].nunique()
    body, foot = LINE * len(names) + HEAD * heads, 0.8
    height = body + foot + 0.1
    with style.styled():
        figure = style.new_figure(height)
        axes = figure.add_axes((NAMES / style.WIDTH, foot / height, (style.WIDTH - NAMES - 0.15) / style.WIDTH,
                                body / height))  # fmt: skip
        axes.set(xlim=(-0.25, 1.0), ylim=(body, 0))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        for x in (0, 0.5, 0.75, 0.9):
            axes.axvline(x, color="#d5d9de", lw=0.7, zorder=0)
        y, previous = 0.0, None
        for name in names:
            part = rows[rows["biomarker"] == name]
            if part["family"].iloc[0] != previous:
                previous = part["family"].iloc[0]
                _at_left(
                    axes, y + HEAD / 2, family_label(str(previous)).split(":")[0], weight="bold", size=7.6, start=True
                )
                y += HEAD
            label = inputs.biomarker_label(name)
            _at_left(axes, y + LINE / 2, label, size=6.9 if len(label) < 50 else 6.1)
            for r in part.to_dict("records"):
                shift = (sources.index(r["source"]) - (len(sources) - 1) / 2) * 0.05
                colour = style.MODEL_COLOURS[sources.index(r["source"])]
                axes.plot([max(r["low"], -0.25), min(r["high"], 1.0)], [y + LINE / 2 + shift] * 2, color=colour, lw=0.9,
                          alpha=0.75)  # fmt: skip
                if r["icc"] > -0.25:
                    axes.plot([r["icc"]], [y + LINE / 2 + shift], "o", ms=3.4, color=colour)
            y += LINE
        axes.set_xlabel("Intraclass correlation (95% CI)")
        handles = [
            Line2D([], [], color=style.MODEL_COLOURS[i], marker="o", ms=3.6, lw=0.9, label=s)
            for i, s in enumerate(sources)
        ]
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0.14 / height), ncols=1, borderaxespad=0.2)
        total = rows.attrs["total"]
        if len(names) < total:
            note = f"{len(names)} of {count(total, 'biomarker')}: those most strongly associated in each family."
            figure.text(0.08 / style.WIDTH, 0.09 / height, note, size=6.8, color=style.MUTED, va="center")
    return figure


def _at_left(axes: Axes, y: float, text: str, size: float, weight: str = "normal", start: bool = False) -> None:
    width = style.WIDTH - NAMES - 0.15
    x = (0.08 - NAMES) / width if start else -0.02
    axes.text(x, y, text, transform=axes.get_yaxis_transform(), ha="left" if start else "right", va="center", size=size,
              weight=weight)  # fmt: skip


def _reliability_rows(inputs: ReportInputs, most: int) -> pd.DataFrame:
    """Biomarker, family, source, n, icc, low, high of what is shown; ``attrs["total"]`` is how many there are."""
    known = published()
    names = [n for n in used_biomarkers(inputs) if n in inputs.biomarkers]
    own = [n for n in names if n in inputs.eyes and pd.to_numeric(inputs.eyes[n], errors="coerce").notna().any()]
    there = [n for n in names if n in own or n in set(known["biomarker"])]
    chosen = _chosen(inputs, there, most)
    eyes = between_eyes(inputs.eyes, [n for n in chosen if n in own])
    pairs = {n: a for n, a in eyes.items() if a.n >= FEWEST_PAIRS}
    source = f"Right and left eye, this cohort (up to {max((a.n for a in pairs.values()), default=0):,} persons)"
    cohort = [
        {"biomarker": n, "source": source, "n": a.n, "icc": a.icc, "low": a.low, "high": a.high}
        for n, a in pairs.items()
    ]
    rows = pd.concat(
        [pd.DataFrame(cohort), known.assign(source=known["source"].map(lambda s: SOURCES[s].split(":")[0]))],
        ignore_index=True,
    )
    rows = rows[rows["biomarker"].isin(chosen) & rows["icc"].notna()]
    order = {name: i for i, name in enumerate(chosen)}
    rows = rows.assign(
        family=[inputs.biomarkers[n].family for n in rows["biomarker"]],
        order=rows["biomarker"].map(order).astype(float),
    ).sort_values("order", kind="stable")
    rows.attrs["total"] = len(there)
    return rows


def _chosen(inputs: ReportInputs, names: list[str], most: int) -> list[str]:
    """Biomarkers to show, family by family; where not all fit, those with the strongest association."""
    if not names:
        return []
    cells = cells_of(inputs)
    strength: dict[str, float] = {}
    if len(cells):
        strongest = by_strength(cells).drop_duplicates("biomarker")
        strength = dict(zip(strongest["biomarker"], strongest["size"], strict=True))
    ranked = pd.DataFrame({"biomarker": names, "family": [inputs.biomarkers[n].family for n in names]})
    ranked = ranked.assign(size=[strength.get(n, 0.0) for n in names]).sort_values(
        "size", ascending=False, kind="stable"
    )
    shown = set(strongest_of_families(ranked, most))
    families = list(dict.fromkeys(inputs.biomarkers[n].family for n in names))
    return sorted((n for n in names if n in shown), key=lambda n: families.index(inputs.biomarkers[n].family))
