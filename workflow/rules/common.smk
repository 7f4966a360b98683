"""Configuration and the names that all stages share. No rule here.

In:  config.yaml and the user's --configfile.
Out: CONFIG (typed), RESULTS, LOGS, BENCHMARKS, and input functions over the plan.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from retsam.config import ConfigError, parse_config
from retsam.planning import read_plan
from retsam.weights import FOLDER, SUFFIX

# One process per job: numeric libraries must not start a thread per core of the machine in each.
for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
):
    os.environ.setdefault(variable, "1")

try:
    CONFIG = parse_config(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{CONFIG.cohort}"
LOGS = f"logs/{CONFIG.cohort}"
BENCHMARKS = f"{RESULTS}/benchmarks"


def study_file(name, hint):
    """A file of the study: relative to the working directory, else to the configuration file that names it."""
    folders = [
        Path.cwd(),
        *(
            Path(path).resolve().parent
            for path in reversed(workflow.overwrite_configfiles)
        ),
    ]
    candidates = [folder / name for folder in folders]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        looked = " or ".join(dict.fromkeys(str(path.parent) for path in candidates))
        logger.warning(f"No file {Path(name).name!r} in {looked}: {hint}.")
        return name
    return str(found) if Path(name).is_absolute() else os.path.relpath(found)


MANIFEST = study_file(
    CONFIG.manifest,
    "set 'manifest' in the configuration to a CSV, TSV or Parquet table with columns image_id and path "
    "('retsam simulate demo --participants 60 --seed 1' makes one)",
)
TRUTH = CONFIG.report.truth and study_file(
    CONFIG.report.truth,
    "set 'report: {truth: ...}' to the truth/coefficients.csv that 'retsam simulate' wrote, or leave it out",
)
# 'retsam simulate' writes the true values beside the coefficients; a table of coefficients alone will do.
TRUE_VALUES = TRUTH and Path(TRUTH).with_name("biomarkers.parquet")
TRUE_VALUES = str(TRUE_VALUES) if TRUE_VALUES and TRUE_VALUES.is_file() else None
GIVEN_MASKS = CONFIG.segmentation.masks and study_file(
    CONFIG.segmentation.masks,
    "set 'segmentation: {masks: ...}' to a Parquet table as 'retsam segment' makes it, or leave it out",
)


def model_weights():
    """File of the model's weights, the study's own or part of the package; None where there is none to read."""
    model = CONFIG.segmentation.model
    if GIVEN_MASKS:
        return None
    if model.endswith(SUFFIX):
        return study_file(
            model,
            "set 'segmentation: {model: ...}' to a file of weights, or to a name that 'retsam weights list' shows",
        )
    shipped = FOLDER / f"{model}{SUFFIX}"
    return str(shipped) if shipped.is_file() else None


WEIGHTS = model_weights()


@cache
def weights_sha256():
    """What a job knows weights by: their content, so that the same ones installed anew compute nothing again."""
    if WEIGHTS is None or not Path(WEIGHTS).is_file():
        return None
    with Path(WEIGHTS).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# Where the photographs are is no property of a result: scripts take it from here and not from params, so that a moved
# study computes nothing again.
config["photographs"] = str(Path(MANIFEST).parent)


def get_plan():
    """The plan, once the manifest has been read; until then Snakemake knows that more is to come."""
    return read_plan(checkpoints.plan.get().output.plan)


def shard_table(wildcards):
    """Table of one shard; not an output of the plan, so that an unchanged one triggers nothing."""
    get_plan()
    return f"{RESULTS}/manifest/shards/{wildcards.shard}.parquet"


def training_file(key, kind):
    """Input function: what the block 'training' names by a key, a study's file or a shipped recipe or weights."""

    def file(wildcards):
        from retsam.training.recipe import RECIPES

        name = getattr(CONFIG.training, key)
        if name is None:
            raise WorkflowError(
                f"set 'training: {{{key}: ...}}' in the configuration (docs/training.md)"
            )
        folder, suffix = {
            "recipe": (RECIPES, ".yaml"),
            "weights": (FOLDER, SUFFIX),
            "photographs": (Path(), None),
        }[kind]
        shipped = folder / f"{name}{suffix}"
        if suffix and shipped.is_file() and not Path(name).is_file():
            return str(shipped)
        return study_file(
            name,
            f"set 'training: {{{key}: ...}}' in the configuration to a file that is there",
        )

    return file


def shards_of(stage):
    """Input function: the tables of a stage over all shards."""

    def tables(wildcards):
        return [f"{RESULTS}/{stage}/{name}.parquet" for name in get_plan().shards]

    return tables


def association_tables(wildcards):
    """The association table of each outcome."""
    return [
        f"{RESULTS}/association/{outcome}.parquet" for outcome in get_plan().outcomes
    ]


def prediction_tables(suffix=""):
    """Input function: tables of each 0/1 outcome with this suffix ('', '_curves', '_weights'); none if not wanted."""

    def tables(wildcards):
        if not CONFIG.prediction.enabled:
            return []
        plan = get_plan()
        outcomes = [name for name in plan.outcomes if plan.kinds[name] == "binary"]
        return [
            f"{RESULTS}/prediction/{outcome}{suffix}.parquet" for outcome in outcomes
        ]

    return tables


wildcard_constraints:
    shard=r"\d{5}",
    outcome=r"[^/]+",
