"""The study's questions, typed. One model from which the JSON schema and the commented config.yaml are generated.

Science only: cores, devices, partitions and the like are runtime settings and live in Snakemake profiles.
``python -m retsam.config`` rewrites ``config.yaml`` and ``workflow/schemas/config.schema.json``; a test fails if they
drift.
"""

import difflib
import json
import textwrap
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from retsam.errors import UserError
from retsam.weights import DEFAULT_MODEL


class ConfigError(UserError):
    """The configuration cannot be used; the message lists every problem, one a line, each with its fix."""


def _slug(value: str) -> str:
    bad = sorted({c for c in value if c in '/\\\0*{}[]?"\n\r\t' or ord(c) < 32})
    if not value.strip() or value.strip() != value or value.startswith((".", "-")) or bad:
        what = f"has {' '.join(repr(c) for c in bad)}" if bad else "is empty or starts or ends oddly"
        raise ValueError(f"is the name of a folder under results/ and {what}; use letters, digits, - and _")
    return value


def _multiple_of_64(value: int) -> int:
    if value % 64:
        raise ValueError(f"must be a multiple of 64, nearest is {max(256, round(value / 64) * 64)}")
    return value


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class QualityConfig(_Block):
    """Which photographs are good enough."""

    policy: Literal["exclude", "flag", "none"] = Field(
        "exclude",
        description="What happens to ungradable photographs: 'exclude' leaves them out of the cohort tables, "
        "'flag' keeps "
        "and marks them, 'none' ignores gradability.",
    )
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Photographs with a gradability (calibrated probability, 0-1) below this are ungradable.",
    )


class SegmentationConfig(_Block):
    """Which model finds the structures."""

    model: str = Field(
        DEFAULT_MODEL,
        min_length=1,
        description="Segmentation model: a name ('retsam weights list'; 'classical' needs no weights and finds vessel, "
        "optic_disc and fovea) or a .safetensors file of weights, found as the manifest is.",
    )
    flips: bool = Field(
        False,
        description="Networks only: mean probability of each photograph's four mirror images, at four times the cost.",
    )
    compile: bool = Field(
        False, description="Networks only: torch.compile, worth its start where a shard has hundreds of photographs."
    )
    targets: list[str] | None = Field(
        None, description="Targets to keep, for example [vessel, optic_disc]; null keeps all that the model provides."
    )
    masks: str | None = Field(
        None,
        min_length=1,
        description="Table of masks made elsewhere (Parquet, as 'retsam segment' makes it), taken in place of the "
        "model's: corrected masks, or a simulation's truth; found as the manifest is.",
    )


def _no_single(value: int) -> int:
    if value == 1:
        raise ValueError("one imputed data set tells nothing of the uncertainty; use 0 for none, or 20")
    return value


class AssociationConfig(_Block):
    """How biomarkers are held against outcomes."""

    unit: Literal["eye", "participant"] = Field(
        "eye",
        description="Row of the models: 'eye' (cluster-robust by participant) or 'participant' (mean of the "
        "eyes, any eye "
        "affected).",
    )
    participant: Literal["mean", "worse"] = Field(
        "mean",
        description="With unit participant: the mean of the eyes, or of presence, number and area of findings the "
        "larger value ('worse'); of other biomarkers it is not known which eye is worse.",
    )
    ordinal: list[str] = Field(
        [],
        description="Columns of grades (0, 1, 2, ...), outcomes beside 'outcomes': proportional odds; the highest "
        "grade counts for an eye and a participant.",
    )
    continuous: list[str] = Field(
        [],
        description="Columns of continuous traits, outcomes beside 'outcomes': linear models; the mean counts for an "
        "eye and a participant.",
    )
    models: dict[str, list[str]] | None = Field(
        None,
        description="Adjustment sets, declared beforehand: name -> covariates. null means crude: [], age_sex: "
        "those of age "
        "and sex among 'covariates', and full: all of 'covariates' if there are more.",
    )
    method: Literal["cluster", "gee"] = Field(
        "cluster",
        description="Where participants have several rows: maximum likelihood with a cluster-robust variance, or "
        "generalised estimating equations with an exchangeable correlation (0/1 outcomes).",
    )
    transform: Literal["auto", "none", "log1p", "rank_normal"] = Field(
        "auto",
        description="Scale of the biomarkers: 'auto' takes log(1 + value) where all values are at least 0 and their "
        "skewness exceeds 2, as numbers and areas of findings do (docs/analyses.md).",
    )
    families: dict[str, list[str]] | None = Field(
        None,
        description="Families within which q values are computed: name -> biomarkers; null, and all biomarkers not "
        "named here: those of the catalogue.",
    )
    min_events: int = Field(10, ge=2, description="Fewer cases (or controls) than this and no odds ratio is printed.")
    events_per_parameter: float = Field(
        10,
        ge=0,
        description="With fewer participants with (or without) the outcome per model term than this, Firth's penalised "
        "likelihood on one eye per participant replaces the cluster-robust model; 0 keeps it wherever it converges.",
    )
    quartiles: bool = Field(True, description="Also each quarter of a biomarker against the lowest, and the trend.")
    nonlinearity: bool = Field(True, description="Also test a restricted cubic spline against the straight line.")
    interactions: list[str] = Field(
        [], description="Covariates that may modify the associations, for example [sex]: one test each."
    )
    strata: list[str] = Field(
        [],
        description="Columns of the cohort tables within which the models are fitted anew, for example [sex, age]; "
        "more than five different numbers are cut at their median.",
    )
    sensitivity: list[Literal["all_gradabilities", "one_eye", "leave_one_site_out"]] = Field(
        ["all_gradabilities", "one_eye"],
        description="Models fitted anew with the other side of the quality filter (ungradable photographs taken in or, "
        "where the policy keeps them, left out), on the most gradable eye of each participant, without each site. Any "
        "of: all_gradabilities, one_eye, leave_one_site_out.",
    )
    imputations: Annotated[int, AfterValidator(_no_single)] = Field(
        0,
        ge=0,
        le=1000,
        description="Data sets with imputed covariates, pooled as an analysis beside complete cases; 0 for none, 20 "
        "where covariates are missing.",
    )


class PredictionConfig(_Block):
    """How well many biomarkers together tell who is affected."""

    enabled: bool = Field(
        True,
        description="Predict each outcome from age and sex, from biomarkers and from both, in nested cross-validation "
        "that never splits a person.",
    )
    definitional: bool = Field(
        False, description="Also use biomarkers that measure what the outcome is defined by (lesions for dr)."
    )
    min_events: int = Field(
        20, ge=2, description="With fewer participants with (or without) the outcome than this nothing is predicted."
    )
    max_missing: float = Field(
        0.5, ge=0, lt=1, description="Biomarkers missing in more than this share of the training rows are left out."
    )
    folds: int = Field(5, ge=2, le=20, description="Folds of the outer and of the inner cross-validation.")
    seed: int = Field(1, ge=0, description="Seed of the folds.")


class ReportConfig(_Block):
    """What the report shows."""

    title: str | None = Field(None, description="Heading of the report; null uses the cohort's name.")
    samples: int = Field(12, ge=0, le=100, description="Number of photographs shown with their overlays.")
    truth: str | None = Field(
        None,
        min_length=1,
        description="For simulated cohorts: table of true coefficients (truth/coefficients.csv of 'retsam simulate'), "
        "shown beside the estimates; found as the manifest is. null leaves that section out.",
    )


class TrainingConfig(_Block):
    """Training of a network; no study does it unless asked: snakemake train_unify."""

    recipe: str | None = Field(
        None,
        min_length=1,
        description="Recipe of train_experts, train_pseudo_label and train_unify: a shipped name or a YAML file, found "
        "as the manifest is (docs/training.md).",
    )
    photographs: str | None = Field(
        None,
        min_length=1,
        description="Photographs without labels, a folder or a manifest: train_unify then also trains on what the "
        "recipe's experts agree on in them.",
    )
    adapt: str | None = Field(
        None, min_length=1, description="Recipe of train_adapt, for one's own annotated photographs."
    )
    initial: str | None = Field(
        None,
        min_length=1,
        description="Weights that train_adapt starts from, a shipped name or a file; null takes those of train_unify.",
    )


class Config(_Block):
    """One study."""

    cohort: Annotated[str, AfterValidator(_slug)] = Field(
        "demo", description="Name of the cohort; results go to results/<cohort>/."
    )
    manifest: str = Field(
        "demo/manifest.csv",
        min_length=1,
        description="Table of images (CSV, TSV or Parquet) with columns image_id and path; relative to the working "
        "directory, else to the configuration file.",
    )
    shard_size: int = Field(256, ge=1, le=100_000, description="Images per shard: one job per shard and stage.")
    frame_size: Annotated[int, AfterValidator(_multiple_of_64)] = Field(
        1024,
        ge=256,
        le=4096,
        description="Side of the canonical frame in pixels, a multiple of 64; everything is measured in it.",
    )
    quality: QualityConfig = Field(default_factory=QualityConfig, description="Image quality control.")
    segmentation: SegmentationConfig = Field(default_factory=SegmentationConfig, description="Segmentation.")
    outcomes: list[str] | None = Field(
        None,
        description="Outcome columns of the manifest, coded 0/1, empty = unknown; null takes those of dr, amd, "
        "glaucoma, "
        "myopia that the manifest has.",
    )
    covariates: list[str] | None = Field(
        None,
        description="Adjustment columns of the manifest, or gradability; null takes those of age and sex that the "
        "manifest has.",
    )
    asymmetry: bool = Field(
        False,
        description="Also compare the two eyes of each participant: columns NAME__right_minus_left and NAME__asymmetry "
        "of cohort/participants.parquet for every biomarker.",
    )
    association: AssociationConfig = Field(default_factory=AssociationConfig, description="Association models.")
    prediction: PredictionConfig = Field(
        default_factory=PredictionConfig, description="Prediction from many biomarkers."
    )
    report: ReportConfig = Field(default_factory=ReportConfig, description="The report.")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="Training, only where asked for.")


HINTS = {
    "images": "list the photographs in a table and give it as 'manifest'",
    "samples": "give the table of images as 'manifest'",
    "input": "give the table of images as 'manifest'",
    "name": "the study's name is 'cohort'",
    "output": "results always go to results/<cohort>/ of the working directory; choose it with --directory",
    "outdir": "results always go to results/<cohort>/ of the working directory; choose it with --directory",
    "batch_size": "runtime settings are not part of the study; the batch is found automatically",
    "device": "runtime settings are not part of the study; the device is found automatically",
    "threads": "runtime settings belong to a profile or the command line (--cores)",
    "cores": "runtime settings belong to a profile or the command line (--cores)",
    "gpu": "runtime settings belong to a profile (workflow/profiles/slurm)",
    "partition": "runtime settings belong to a profile (workflow/profiles/slurm)",
    "diseases": "outcome columns are named in 'outcomes'",
    "labels": "outcome columns are named in 'outcomes'",
    "outcome": "the key is 'outcomes', a list",
    "covars": "the key is 'covariates', a list",
    "model": "the segmentation model is 'segmentation: {model: NAME}', adjustment sets are 'association: {models: ..}'",
    "masks": "masks made elsewhere are 'segmentation: {masks: FILE.parquet}'",
    "threshold": "the gradability threshold is 'quality: {threshold: 0.5}'",
    "policy": "the quality policy is 'quality: {policy: exclude}'",
}
"""Hand-written answers to keys that people try."""


def parse_config(values: Mapping[str, Any]) -> Config:
    """Check a configuration mapping.

    Parameters
    ----------
    values : mapping
        As read from YAML.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        With every problem, one a line.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(e) for e in error.errors())) from None


def _explain(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        known = list(_model_at(error["loc"][:-1]).model_fields)
        near = difflib.get_close_matches(key, known, n=1)
        everywhere = [*Config.model_fields, *(f"{b}.{k}" for b in _blocks() for k in _blocks()[b].model_fields)]
        moved = [path for path in everywhere if path.split(".")[-1] == key]
        if near:
            hint = f"did you mean {near[0]!r}?"
        elif key in HINTS:
            hint = HINTS[key] + "."
        elif moved:
            hint = f"it belongs to {moved[0]!r}."
        else:
            hint = f"known keys here are {', '.join(known)}."
        return f"config: unknown key {where!r}; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    return f"config: {where!r} = {error['input']!r}: {message[0].lower() + message[1:]}."


def _blocks() -> dict[str, type[_Block]]:
    return {name: info.annotation for name, info in Config.model_fields.items() if _is_block(info.annotation)}  # type: ignore[misc]


def _is_block(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, _Block)


def _model_at(loc: tuple[Any, ...]) -> type[_Block]:
    return _blocks().get(str(loc[0]), Config) if loc else Config


def config_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the configuration."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def default_yaml() -> str:
    """Commented config.yaml with every key at its default."""
    lines = [
        "# The study's questions; see README.md. Your own file needs only the keys that differ:",
        "#   snakemake --cores all --configfile my.yaml",
        "# This file is generated from retsam/config.py (make config); runtime settings live in profiles.",
        "",
    ]
    for name, info in Config.model_fields.items():
        if _is_block(info.annotation):
            lines += _comment(info, ""), f"{name}:"
            for key, inner in info.annotation.model_fields.items():  # type: ignore[union-attr]
                lines += _comment(inner, "  "), f"  {key}: {_scalar(inner.get_default())}"
        else:
            lines += _comment(info, ""), f"{name}: {_scalar(info.get_default())}"
        lines.append("")
    return "\n".join(lines)


def _comment(info: FieldInfo, indent: str) -> str:
    options = _options(info.annotation)
    text = (info.description or "") + (f" One of: {', '.join(options)}." if options else "")
    return "\n".join(textwrap.wrap(text, 116, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "))


def _options(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(a) for a in get_args(annotation)]
    if get_origin(annotation) in (Union, types.UnionType):
        return [o for a in get_args(annotation) for o in _options(a)]
    return []


def _scalar(value: Any) -> str:
    return (
        "null"
        if value is None
        else json.dumps(value)
        if not isinstance(value, str)
        else yaml.safe_dump(value).splitlines()[0]
    )


def generated_files() -> dict[str, str]:
    """Files at the root of the repository that this module writes: relative path -> text."""
    schema = json.dumps(config_schema(), indent=2) + "\n"
    return {"config.yaml": default_yaml(), "workflow/schemas/config.schema.json": schema}


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    for name, text in generated_files().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")
