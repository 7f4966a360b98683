"""The figures of the page: drawn, named for their downloads, with a caption and a text for screen readers."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from retsam.report import figures, style
from retsam.report.inputs import ReportInputs, counted, family_label, model_label
from retsam.report.truth import Pair

MOST_PANELS = 60
"""With more biomarkers than this the page has one forest plot of the strongest in place of a panel for each family."""

IN_TABLE = "Every number is in the table."


@dataclass(frozen=True)
class Drawing:
    """One picture of a plate.

    Attributes
    ----------
    name : str
        Of the files that it downloads as, without ending.
    title : str
        What it shows, for screen readers and for its buttons.
    svg : Markup
    """

    name: str
    title: str
    svg: Markup


@dataclass(frozen=True)
class Plate:
    """Pictures that share a caption."""

    parts: tuple[Drawing, ...]
    caption: str


def _plate(figure: Figure | None, name: str, title: str, caption: str, more: str = "") -> Plate | None:
    """Plate of one picture; None where there is nothing to draw."""
    return None if figure is None else Plate((_drawing(figure, name, title, more),), caption)


def _drawing(figure: Figure, name: str, title: str, more: str = "") -> Drawing:
    """SVG of a figure under a name that is unique on the page; `title` and `more` are its text for screen readers."""
    # Our own drawing: text in it is outlines, the label is escaped there.
    return Drawing(name, title, Markup(style.inline_svg(figure, name, f"{title}. {more}".strip())))


def flow(inputs: ReportInputs) -> Plate | None:
    """Flow of photographs, eyes and participants."""
    words = [
        f"{stage.get('label')}: {stage.get('n_images'):,} photographs"
        for stage in inputs.stages
        if stage.get("n_images") is not None
    ]
    caption = (
        "Photographs, eyes and participants at each stage; at the right, photographs removed before the stage and why. "
        "Stages at which nothing was removed are left out."
        + " Below, the eyes or participants by outcome."
        * bool(inputs.associations)
    )
    return _plate(figures.flow_of(inputs), "flow", "Flow diagram", caption, f"{'; '.join(words)}.")


def gradability(inputs: ReportInputs) -> Plate | None:
    """Histogram of gradability."""
    more = f"Threshold at {inputs.threshold:g}; the counts are in the table below."
    caption = "Gradability of the photographs that could be scored."
    made = figures.gradability(inputs.gradings, inputs.threshold)
    return _plate(made, "gradability", "Histogram of gradability", caption, more)


def heatmap(inputs: ReportInputs) -> Plate | None:
    """Biomarkers by outcomes."""
    caption = (
        "Biomarkers by outcomes: the colour is the signed z of the most adjusted model, a number where "
        f"q < {inputs.alpha:g}. Hatched: definitional pairs. Grey: not estimable."
    )
    title = "Heat map of biomarkers by outcomes"
    return _plate(figures.heatmap(inputs), "heatmap", title, caption, "Every number is in the tables of the outcomes.")


def missingness(inputs: ReportInputs) -> Plate | None:
    """Share of photographs with a value."""
    caption = "Share of the photographs with a value of each biomarker, and why the others have none."
    title = "Availability of the biomarkers"
    return _plate(figures.missingness(inputs), "missingness", title, caption, IN_TABLE)


def correlation(inputs: ReportInputs) -> Plate | None:
    """Correlations between biomarkers."""
    caption = "Rank correlations between biomarkers over the eyes analysed, similar ones side by side."
    return _plate(figures.correlation(inputs), "correlation", "Correlations between biomarkers", caption)


def reliability(inputs: ReportInputs) -> Plate | None:
    """Repeatability of biomarkers."""
    caption = (
        "Repeatability: intraclass correlations with 95% intervals, of two observers of one photograph and of the two "
        "eyes of a person. The eyes of a person differ, so that these are lower bounds."
    )
    return _plate(figures.reliability(inputs), "reliability", "Repeatability of the biomarkers", caption)


def forest(inputs: ReportInputs, outcome: str, number: int) -> Plate | None:
    """Effects with intervals: a panel a family, or one plot of the strongest where there are many."""
    table, label = inputs.associations[outcome], inputs.outcome_label(outcome)
    more = f"Models {', '.join(model_label(m) for m in inputs.model_names(table))}. {IN_TABLE}"
    caption = f"Biomarkers and {label}: effects per standard deviation with 95% intervals"
    if not counted(table).any():
        return None
    if table["biomarker"].nunique() > MOST_PANELS:
        made = figures.forest_of(inputs, outcome)
        return _plate(made, f"forest-{number}", f"Forest plot, {label}", f"{caption}.", more)
    parts = tuple(
        _drawing(panel, f"forest-{number}-{i}", f"Forest plot, {label}: {family_label(family)}", more)
        for i, (family, panel) in enumerate(figures.forest_panels(inputs, outcome).items(), start=1)
    )
    return Plate(parts, f"{caption}, one panel a family, all on the same axis.")


def volcano(inputs: ReportInputs, outcome: str, number: int) -> Plate | None:
    """Effect against p value."""
    caption = (
        f"Effects on {inputs.outcome_label(outcome)} per standard deviation against their p values, most adjusted "
        f"model. Filled: q < {inputs.alpha:g}; diamond: definitional; triangle: beyond the axis."
    )
    title = f"Volcano plot, {inputs.outcome_label(outcome)}"
    return _plate(figures.volcano(inputs, outcome), f"volcano-{number}", title, caption, IN_TABLE)


def distributions(inputs: ReportInputs, outcome: str, number: int) -> Plate | None:
    """Values by group."""
    caption = (
        "Values of the biomarkers most strongly associated, by group; one value a participant. The shape is their "
        "density, the box their quartiles with the median."
    )
    title = f"Distributions by group, {inputs.outcome_label(outcome)}"
    return _plate(figures.distributions(inputs, outcome), f"distributions-{number}", title, caption)


def shape(inputs: ReportInputs, outcome: str, number: int) -> Plate | None:
    """Quarters of the strongest biomarkers."""
    caption = "Quarters of the biomarkers most strongly associated, against the first; 95% intervals."
    title = f"Effects by quarter, {inputs.outcome_label(outcome)}"
    return _plate(figures.shape(inputs, outcome), f"shape-plot-{number}", title, caption, IN_TABLE)


def sensitivity(inputs: ReportInputs, outcome: str, number: int) -> Plate | None:
    """The strongest biomarkers in every analysis."""
    caption = (
        "The biomarkers most strongly associated, in every analysis, on the same axis; the grey band and line are the "
        "main analysis."
    )
    title = f"Sensitivity analyses, {inputs.outcome_label(outcome)}"
    return _plate(figures.sensitivity(inputs, outcome), f"sensitivity-plot-{number}", title, caption, IN_TABLE)


def prediction(inputs: ReportInputs, outcome: str, number: int) -> Plate | None:
    """Receiver operating curve and calibration."""
    caption = (
        f"Prediction of {inputs.outcome_label(outcome)} in participants that the model did not see: receiver operating "
        "curves, and observed share by predicted risk with 95% intervals."
    )
    title = f"Prediction, {inputs.outcome_label(outcome)}"
    return _plate(figures.prediction(inputs, outcome), f"prediction-plot-{number}", title, caption, IN_TABLE)


def truth(inputs: ReportInputs, found: list[Pair]) -> Plate | None:
    """True and estimated odds ratios of a simulated cohort."""
    if not found:
        return None
    split = inputs.true_values is not None
    square = "a square for the estimate from the true values by the most adjusted model that has one, and circles for "
    caption = (
        "Odds ratios per standard deviation: the true one as a diamond with a dotted line, below it "
        f"{square * split}the estimates of each model{' from the photographs' * split}, with 95% intervals. An "
        f"interval that the dotted line crosses covers the truth. A filled {'circle' if split else 'marker'} is q "
        "below the threshold; an arrow: the interval goes on beyond the axis."
    )
    title = "True odds ratios beside the estimates of each model"
    return _plate(figures.truth_forest(inputs, found), "truth", title, caption, IN_TABLE)
