"""The population that phantoms are drawn from: one documented row per parameter.

A :class:`Parameter` turns a standard score into a value, so that a parameter can be drawn on its own or follow a score
that is correlated with age, the fellow eye or a disease. A table is a tuple of rows; each part of the generator keeps
its own, the camera's are here, and :func:`table_markdown` prints them for the documentation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

Distribution = Literal["uniform", "normal", "lognormal", "logit-normal"]


@dataclass(frozen=True)
class Parameter:
    """How one parameter varies in the population.

    Attributes
    ----------
    name : str
        Unique in its table.
    unit : str
        Empty for a pure number.
    distribution : str
        ``uniform`` from ``a`` to ``b``; ``normal`` with mean ``a`` and standard deviation ``b``; ``lognormal`` with
        median ``a`` and standard deviation ``b`` of the natural logarithm; ``logit-normal`` with median ``a`` (0-1) and
        standard deviation ``b`` of the logit.
    a, b : float
        See above; ``b`` is positive.
    meaning : str
        What it is.
    source : str
        Where the numbers come from; "by eye" where they were set beside real photographs.
    low, high : float
        Values beyond them are moved to them.
    """

    name: str
    unit: str
    distribution: Distribution
    a: float
    b: float
    meaning: str
    source: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Refuse numbers that give no distribution."""
        wrong = {
            "uniform": self.b <= self.a,
            "normal": self.b <= 0,
            "lognormal": self.a <= 0 or self.b <= 0,
            "logit-normal": not 0 < self.a < 1 or self.b <= 0,
        }
        if self.distribution not in wrong:
            raise ValueError(f"{self.name}: distribution is {self.distribution!r}; known are {list(wrong)}")
        if wrong[self.distribution] or self.low >= self.high:
            raise ValueError(
                f"{self.name}: {self.a}, {self.b} within {self.low} to {self.high} is no {self.distribution}"
            )

    def at(self, score: float) -> float:
        """Value at a standard score: 0 is the median, and standard normal scores give the stated distribution."""
        if self.distribution == "uniform":
            value = self.a + (self.b - self.a) * float(ndtr(score))
        elif self.distribution == "normal":
            value = self.a + self.b * score
        elif self.distribution == "lognormal":
            value = self.a * math.exp(self.b * score)
        else:
            value = 1.0 / (1.0 + math.exp(-(math.log(self.a / (1.0 - self.a)) + self.b * score)))
        return float(min(max(value, self.low), self.high))


Table = Sequence[Parameter]


def sample(rng: np.random.Generator, table: Table, scores: Mapping[str, float] | None = None) -> dict[str, float]:
    """Draw every parameter of a table.

    Parameters
    ----------
    rng : Generator
        One normal number per row is taken, whatever ``scores`` says.
    table : sequence of Parameter
    scores : mapping of str to float, optional
        Standard scores to use in place of the drawn ones.

    Returns
    -------
    dict of str to float
        In the order of the table.

    Raises
    ------
    ValueError
        For a score of a parameter that the table does not have.
    """
    given = dict(scores or {})
    unknown = set(given) - {row.name for row in table}
    if unknown:
        raise ValueError(f"unknown parameters {sorted(unknown)}; known are {[row.name for row in table]}")
    drawn = rng.standard_normal(len(table)).tolist()
    return {row.name: row.at(given.get(row.name, score)) for row, score in zip(table, drawn, strict=True)}


def table_markdown(table: Table) -> str:
    """Return a table as Markdown: one row per parameter, with its 5th, 50th and 95th percentile."""
    lines = [
        "| parameter | unit | distribution | 5 % | median | 95 % | meaning | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        percentiles = " | ".join(f"{row.at(score):.3g}" for score in (-1.6449, 0.0, 1.6449))
        law = f"{row.distribution} ({row.a:g}, {row.b:g})"
        if math.isfinite(row.low) or math.isfinite(row.high):
            law += f" within {row.low:g} to {row.high:g}"
        lines.append(f"| `{row.name}` | {row.unit} | {law} | {percentiles} | {row.meaning} | {row.source} |")
    return "\n".join(lines) + "\n"


BY_EYE = "by eye"

AIM: Table = (
    Parameter(
        "gaze", "", "uniform", 0.0, 1.0, "macula-centred below 0.5, between above, disc-centred above 0.85", BY_EYE
    ),
    Parameter("along", "", "normal", 0.0, 0.06, "how far the aim is off on the disc-fovea line, in its length", BY_EYE),
    Parameter("across", "degree", "normal", 0.0, 0.8, "how far it is off across that line", BY_EYE, -2.4, 2.4),
    Parameter(
        "magnification",
        "",
        "lognormal",
        1.0,
        0.025,
        "factor on the preset's scale: axial length, working distance",
        BY_EYE,
        0.93,
        1.07,
    ),
)
"""Where a photograph looks; see :func:`retsam.phantom.camera.aim`."""

EXPOSURE: Table = (
    Parameter("exposure", "", "lognormal", 1.0, 0.10, "factor on all light", BY_EYE, 0.7, 1.3),
    Parameter("light_x", "radius", "normal", 0.0, 0.22, "centre of the light from the field's, temporal", BY_EYE),
    Parameter("light_y", "radius", "normal", 0.0, 0.22, "the same, downwards", BY_EYE),
    Parameter("vignette", "", "lognormal", 1.0, 0.25, "factor on the preset's loss of light at the rim", BY_EYE),
    Parameter("tint_red", "", "lognormal", 1.0, 0.03, "factor on red", BY_EYE),
    Parameter("tint_blue", "", "lognormal", 1.0, 0.12, "factor on blue", BY_EYE),
    Parameter("focus", "", "lognormal", 1.0, 0.15, "factor on the preset's blur", BY_EYE),
    Parameter("scatter", "", "logit-normal", 0.16, 0.5, "light that the lens and vitreous spread widely", BY_EYE),
    Parameter("glow", "", "logit-normal", 0.06, 0.8, "pale light at one side of the rim", BY_EYE, 0.0, 0.3),
    Parameter("glow_side", "degree", "uniform", 0.0, 360.0, "direction of that side, from temporal", BY_EYE),
    Parameter("grain", "", "lognormal", 1.0, 0.15, "factor on the preset's noise", BY_EYE),
)
"""How a photograph without fault comes out."""

FAULTS: Table = (
    Parameter("dominant", "", "uniform", 0.0, 1.0, "which fault dominates, all alike", BY_EYE),
    Parameter("defocus", "", "uniform", 0.1, 0.4, "share of defocus where another fault dominates", BY_EYE),
    Parameter("motion", "", "uniform", 0.0, 0.3, "share of motion", BY_EYE),
    Parameter("darkness", "", "uniform", 0.1, 0.4, "share of underexposure", BY_EYE),
    Parameter("haze", "", "uniform", 0.1, 0.4, "share of haze, as by a cataract", BY_EYE),
    Parameter("uneven", "", "uniform", 0.1, 0.4, "share of light that misses one side", BY_EYE),
    Parameter("motion_angle", "degree", "uniform", 0.0, 180.0, "direction of motion", BY_EYE),
    Parameter("dark_side", "degree", "uniform", 0.0, 360.0, "direction of the side that the light misses", BY_EYE),
    Parameter("flare", "", "uniform", 0.0, 1.0, "pale light in its place", BY_EYE),
)
"""What a falling quality dial brings; shares are relative to the dominant fault."""

ARTIFACTS: Table = (
    Parameter("lashes", "", "uniform", 0.0, 1.0, "there are some above a threshold that falls with the dial", BY_EYE),
    Parameter("lash_side", "", "uniform", 0.0, 1.0, "at the lower rim below 0.75, else at the upper", BY_EYE),
    Parameter("lash_lean", "", "normal", 0.0, 1.0, "common lean of the lashes", BY_EYE, -2.0, 2.0),
    Parameter("lash_width", "radius", "lognormal", 0.034, 0.25, "half width at the root", BY_EYE, 0.015, 0.05),
    Parameter("lash_opacity", "", "logit-normal", 0.5, 0.5, "opacity of the lashes", BY_EYE),
    Parameter("dust", "", "uniform", 0.0, 1.0, "there is some above a threshold that falls with the dial", BY_EYE),
    Parameter("ghost", "", "uniform", 0.0, 1.0, "reflex of the lens in the middle, as above", BY_EYE),
    Parameter("flare", "", "uniform", 0.0, 1.0, "bright crescent at the rim, as above", BY_EYE),
    Parameter("flare_side", "degree", "uniform", 0.0, 360.0, "where it is, from temporal", BY_EYE),
    Parameter("flare_depth", "radius", "lognormal", 0.22, 0.35, "how far it reaches in", BY_EYE, 0.08, 0.5),
    Parameter("smear", "", "uniform", 0.0, 1.0, "smudge on the lens, as above", BY_EYE),
    Parameter("smear_size", "radius", "lognormal", 0.2, 0.3, "its longer semi-axis", BY_EYE, 0.1, 0.4),
)
"""What lies between retina and sensor; see :func:`retsam.phantom.artifacts.draw_artifacts`."""
