"""What a report is made from, and the words for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from retsam.biomarkers.biomarker import FAMILIES
from retsam.status import Status
from retsam.taxonomy import Evidence


class BiomarkerEntry(Protocol):
    """The part of a biomarker's registry entry that the report prints."""

    @property
    def name(self) -> str:
        """Column name."""

    @property
    def label(self) -> str:
        """Name in print."""

    @property
    def family(self) -> str:
        """Group of related biomarkers."""

    @property
    def unit(self) -> str:
        """Unit of the values."""

    @property
    def definition(self) -> str:
        """One sentence that says how the value is computed."""

    @property
    def reference(self) -> str:
        """Publication that the definition follows."""

    @property
    def evidence(self) -> str:
        """Minimum-evidence rule: below it there is no value."""


@dataclass(frozen=True)
class Thumbnail:
    """One small picture of the sample gallery.

    Attributes
    ----------
    image_id : str
    caption : str
        What the picture shows and why it was chosen; also its alternative text.
    data : bytes
        Encoded JPEG or PNG, without metadata.
    targets : tuple of str
        What is outlined, for the legend.
    """

    image_id: str
    caption: str
    data: bytes
    targets: tuple[str, ...] = ()

    @property
    def media_type(self) -> str:
        """``image/png`` or ``image/jpeg``, from the first bytes."""
        return "image/png" if self.data.startswith(b"\x89PNG") else "image/jpeg"


OUTCOME_LABELS = {
    "dr": "Diabetic retinopathy",
    "amd": "Age-related macular degeneration",
    "glaucoma": "Glaucoma",
    "myopia": "Pathologic myopia",
}
"""Names of the four standard outcome columns."""

MODEL_LABELS = {"crude": "Crude", "age_sex": "Age and sex", "full": "Fully adjusted"}
"""Names of the usual models; others are printed as they are."""


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report says, in memory.

    Attributes
    ----------
    cohort : str
        Name of the cohort; any text.
    images, eyes, participants : DataFrame
        Tables of :class:`retsam.cohort.Cohort`. Used of them: image_id, quality_status, gradability (0-1), gradable
        (bool) and ``NAME__status`` of each biomarker in ``images``; covariates and outcomes (0, 1, NaN) in
        ``participants``.
    flow : mapping
        Account of the cohort. Used of it: stages, a list of {stage, label, n_images, n_eyes, n_participants, removed
        (reason -> number of images)}; outcomes, name -> {eyes, participants} -> {cases, controls, unknown}; notes, a
        list of sentences.
    associations : mapping
        Outcome -> main rows of an association table, see :func:`main_rows`. May be empty.
    biomarkers : mapping
        Name -> entry, as ``retsam.biomarkers.REGISTRY`` holds them; see :class:`BiomarkerEntry`.
    analyses : mapping
        Outcome -> whole association table: also quartiles, splines, interactions, strata and sensitivity analyses.
        An outcome that is left out has none of these.
    prediction, prediction_curves, prediction_weights : mapping
        Outcome -> tables of the prediction from many biomarkers: one row a model set; points of its curves; its
        coefficients. An outcome that is left out was not predicted.
    quality : DataFrame, optional
        Image_id, status, gradability and gradable of every image; by default read from ``images``.
    thumbnails : sequence of Thumbnail
    provenance, config : mapping
        Nested values are printed as they are; absolute paths are cut to their last part.
    outcome_labels : mapping
        Outcome column -> name in print; added to :data:`OUTCOME_LABELS`.
    models : mapping
        Model -> covariates, in the order of adjustment. The last one that an association table holds is the one
        that the summary counts.
    covariates : sequence of str
        Participant columns of Table 1, besides age and sex.
    threshold : float
        Gradability from which a photograph counts as gradable, 0-1.
    policy : str
        ``exclude``, ``flag`` or ``none``: what happens to ungradable photographs.
    unit : str
        Rows of the association models: ``eye`` or ``participant``.
    alpha : float
        Significance threshold on q.
    title : str, optional
        Heading; by default the cohort's name.
    truth : DataFrame, optional
        True coefficients of a simulated cohort, see :func:`retsam.report.truth.read_truth`; with them the report has
        a section that holds the estimates against them.
    true_values : DataFrame, optional
        Image_id and true values of biomarkers, see :func:`retsam.report.truth.read_true_values`.
    true_associations : mapping
        Outcome -> association table of the same models, fitted to those true values in place of the measured ones;
        that section then shows them between truth and estimate.
    """

    cohort: str
    images: pd.DataFrame
    eyes: pd.DataFrame
    participants: pd.DataFrame
    flow: Mapping[str, Any]
    associations: Mapping[str, pd.DataFrame]
    biomarkers: Mapping[str, BiomarkerEntry]
    analyses: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    prediction: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    prediction_curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    prediction_weights: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    quality: pd.DataFrame | None = None
    thumbnails: Sequence[Thumbnail] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    outcome_labels: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    covariates: Sequence[str] = ("age", "sex")
    threshold: float = 0.5
    policy: str = "exclude"
    unit: str = "eye"
    alpha: float = 0.05
    title: str | None = None
    truth: pd.DataFrame | None = None
    true_values: pd.DataFrame | None = None
    true_associations: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def stages(self) -> Sequence[Mapping[str, Any]]:
        """Stages of the flow; empty where none were recorded."""
        return self.flow.get("stages") or []

    @property
    def gradings(self) -> pd.DataFrame:
        """Image_id, status, gradability, gradable and scored (bool) of every image; the status of the quality step.

        A picture that is no fundus photograph may have a gradability; it is not `scored`, and never `gradable`.
        """
        table = self.quality
        if table is None:
            status = "quality_status" if "quality_status" in self.images else "status"
            table = self.images.drop(columns="status", errors="ignore").rename(columns={status: "status"})
        scored = table["status"].isin([Status.OK, Status.UNGRADABLE])
        gradable = scored & table["gradable"].eq(True)
        return table[["image_id", "status", "gradability"]].assign(gradable=gradable, scored=scored)

    def every_row(self, outcome: str) -> pd.DataFrame:
        """Association rows of an outcome, those of every analysis and term; the main ones where no others are known."""
        return self.analyses.get(outcome, self.associations[outcome])

    def kind(self, outcome: str) -> str:
        """Kind of an outcome: ``binary``, ``ordinal`` or ``continuous``."""
        table = self.associations[outcome]
        return str(table["kind"].iloc[0]) if "kind" in table and len(table) else "binary"

    def outcome_label(self, outcome: str) -> str:
        """Name of an outcome in print."""
        return {**OUTCOME_LABELS, **self.outcome_labels}.get(outcome, outcome)

    def biomarker_label(self, name: str) -> str:
        """Name of a biomarker in print; its column's name where the registry does not know it."""
        return self.biomarkers[name].label if name in self.biomarkers else name

    def model_names(self, table: pd.DataFrame) -> list[str]:
        """Models of one association table, from the least to the most adjusted."""
        present = list(dict.fromkeys(table["model"]))
        declared = [model for model in (*self.models, *MODEL_LABELS) if model in present]
        return list(dict.fromkeys([*declared, *present]))

    def primary_model(self, table: pd.DataFrame) -> str | None:
        """The most adjusted model of an association table; None for an empty one."""
        names = self.model_names(table)
        return names[-1] if names else None


METHOD_LABELS = {
    "logit_cluster": "logit, clustered",
    "logit": "logit",
    "firth": "Firth",
    "firth_one_row": "Firth, one row",
    "gee_exchangeable": "GEE",
    "ordinal_cluster": "proportional odds, clustered",
    "ordinal": "proportional odds",
    "linear_cluster": "linear, clustered",
    "linear": "linear",
}
"""Names of the estimators of ``retsam.association``; others are printed as they are."""


def family_label(family: str) -> str:
    """Heading of a family of biomarkers."""
    return FAMILIES.get(family, family.replace("_", " ").capitalize())


def model_label(model: str) -> str:
    """Name of a model in print."""
    return MODEL_LABELS.get(model, model)


def counted(table: pd.DataFrame) -> pd.Series:
    """Rows of an association table that figures and counts hold: estimable, on more evidence than synthetic images."""
    return estimable(table) & ~table["evidence"].eq(Evidence.PHANTOM).fillna(False).astype(bool)


def estimable(table: pd.DataFrame) -> pd.Series:
    """Rows of an association table that hold an estimate: status ok and a positive, finite odds ratio or a slope."""
    return (table["status"] == Status.OK) & (has_odds_ratio(table) | has_slope(table))


def has_odds_ratio(table: pd.DataFrame) -> pd.Series:
    """Rows with a positive, finite odds ratio: outcomes with two values or ordered grades."""
    return table["or"].gt(0) & table["or"].lt(float("inf"))


def has_slope(table: pd.DataFrame) -> pd.Series:
    """Rows with a finite difference of means per standard deviation: continuous outcomes."""
    beta = table.get("beta")
    return pd.Series(False, index=table.index) if beta is None else beta.abs().lt(float("inf"))


def main_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the main analysis per standard deviation, what every figure and count shows unless it says otherwise.

    Parameters
    ----------
    table : DataFrame
        An association table; without the columns ``analysis`` and ``term`` all its rows are main rows.
    """
    keep = pd.Series(True, index=table.index)
    for column, value in (("analysis", "main"), ("term", "per_sd")):
        if column in table:
            keep &= table[column].eq(value)
    return table[keep].reset_index(drop=True)
