"""The cohort report and its figures, from stored tables and the masks of the photographs shown."""

import dataclasses
import json
from pathlib import Path

import pandas as pd

from retsam import tables
from retsam.association import associate
from retsam.biomarkers import REGISTRY
from retsam.cohort import replace_values
from retsam.logs import job_log
from retsam.planning import Plan, read_plan
from retsam.provenance import made_by
from retsam.report.figures import write_figures
from retsam.report.html import build_report
from retsam.report.inputs import ReportInputs, main_rows
from retsam.report.overlays import choose_samples, render_samples
from retsam.report.truth import read_true_values, read_truth, terms


def samples(images: pd.DataFrame, results: Path) -> list:
    """Thumbnails of the chosen photographs; only the shards that hold them are read."""
    chosen = choose_samples(images, snakemake.params.samples)
    rows = images.loc[images["image_id"].isin(list(chosen)), "manifest_row"]
    shards = [f"{index:05d}.parquet" for index in sorted(set((rows - 1) // snakemake.params.shard_size))]
    if not shards:
        return []
    masks = tables.read_tables([results / "masks" / name for name in shards])
    manifest = tables.read_tables([results / "manifest" / "shards" / name for name in shards])
    return render_samples(masks, manifest, Path(snakemake.config["photographs"]), chosen)


def true_associations(inputs: ReportInputs, plan: Plan, settings: dict) -> dict[str, pd.DataFrame]:
    """Association tables of the same models and rows, with true values in place of measured ones."""
    made = {}
    for outcome in plan.outcomes:
        names = [name for name in terms(inputs.truth, outcome) if name in inputs.true_values]
        eyes, participants = replace_values(inputs.eyes, inputs.participants, inputs.true_values, names)
        table = associate(
            eyes,
            participants,
            outcome,
            biomarkers=names,
            models=plan.models,
            unit=settings["unit"],
            min_events=settings["min_events"],
            events_per_parameter=settings["events_per_parameter"],
        )
        made[outcome] = main_rows(table)
    return made


with job_log(snakemake.log[0]):
    results = Path(snakemake.input.provenance).parent
    plan = read_plan(snakemake.input.plan)
    provenance = json.loads(Path(snakemake.input.provenance).read_text(encoding="utf-8"))
    provenance["segmentation"] = made_by(map(tables.read_metadata, snakemake.input.masks))
    config = provenance["config"]
    images = tables.read_table(snakemake.input.images)
    analyses = {
        outcome: tables.read_table(path)
        for outcome, path in zip(plan.outcomes, snakemake.input.association, strict=True)
    }
    inputs = ReportInputs(
        cohort=config["cohort"],
        title=config["report"]["title"],
        images=images,
        eyes=tables.read_table(snakemake.input.eyes),
        participants=tables.read_table(snakemake.input.participants),
        flow=json.loads(Path(snakemake.input.flow).read_text(encoding="utf-8")),
        quality=images.drop(columns="status").rename(columns={"quality_status": "status"}),
        associations={outcome: main_rows(table) for outcome, table in analyses.items()},
        analyses=analyses,
        biomarkers=REGISTRY,
        thumbnails=samples(images, results),
        provenance=provenance,
        config=config,
        models=plan.models,
        covariates=plan.covariates,
        threshold=config["quality"]["threshold"],
        policy=config["quality"]["policy"],
        unit=config["association"]["unit"],
        truth=read_truth(snakemake.input.truth) if snakemake.input.truth else None,
        true_values=read_true_values(snakemake.input.true_values) if snakemake.input.true_values else None,
    )
    if inputs.true_values is not None:
        fitted = true_associations(inputs, plan, config["association"])
        inputs = dataclasses.replace(inputs, true_associations=fitted)
    write_figures(inputs, snakemake.output.figures)
    tables.write_bytes(build_report(inputs), snakemake.output.html)
