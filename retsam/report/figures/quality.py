"""Quality of the photographs."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retsam.report import style


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
            return style.message("No photograph has a gradability.")
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
