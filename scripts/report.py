"""The cohort report and its figures, from stored tables and the masks of the photographs shown."""

import dataclasses
from pathlib import Path

from retsam import tables
from retsam.association import associate
from retsam.cohort import replace_values
from retsam.logs import job_log
from retsam.planning import Plan, read_plan
from retsam.provenance import made_by
from retsam.report.figures import write_figures
from retsam.report.html import build_report
from retsam.report.inputs import ReportInputs, main_rows
from retsam.report.overlays import choose_samples, extreme_samples, render_samples
from retsam.report.stored import read_stored
from retsam.report.tables import leading, used_biomarkers
from retsam.report.truth import read_true_values, read_truth, terms


def chosen_samples(inputs: ReportInputs, n: int) -> dict[str, str]:
    """Photographs to show and why: two thirds by quality, the others by the values of the biomarkers that matter."""
    first = [name for outcome in inputs.associations for name in leading(inputs, outcome, 1)]
    names = list(dict.fromkeys([*first, *used_biomarkers(inputs)]))
    extreme = extreme_samples(inputs.images, names, n // 3, {b: inputs.biomarker_label(b) for b in names})
    chosen = choose_samples(inputs.images, n - len(extreme))
    both = {i: f"{chosen[i]}; {why}" for i, why in extreme.items() if i in chosen}
    return chosen | extreme | both


def samples(inputs: ReportInputs, results: Path) -> list:
    """Thumbnails of the chosen photographs; only the shards that hold them are read."""
    chosen = chosen_samples(inputs, snakemake.params.samples)
    rows = inputs.images.loc[inputs.images["image_id"].isin(list(chosen)), "manifest_row"]
    shards = [f"{index:05d}.parquet" for index in sorted(set((rows - 1) // snakemake.params.shard_size))]
    if not shards:
        return []
    masks = tables.read_tables([results / "masks" / name for name in shards])
    manifest = tables.read_tables([results / "manifest" / "shards" / name for name in shards])
    return render_samples(masks, manifest, Path(snakemake.config["photographs"]), chosen)


def true_associations(inputs: ReportInputs, plan: Plan, settings: dict) -> dict:
    """Association tables of the same models and rows, with true values in place of measured ones."""
    made = {}
    keys = ("unit", "participant", "method", "transform", "min_events", "events_per_parameter")
    for outcome in plan.outcomes:
        names = [name for name in terms(inputs.truth, outcome) if name in inputs.true_values]
        eyes, participants = replace_values(inputs.eyes, inputs.participants, inputs.true_values, names)
        table = associate(
            eyes,
            participants,
            outcome,
            biomarkers=names,
            models=plan.models,
            kind=plan.kinds[outcome],
            **{key: settings[key] for key in keys},
        )
        made[outcome] = main_rows(table)
    return made


def with_truth(inputs: ReportInputs, plan: Plan) -> ReportInputs:
    """The inputs with what a simulated cohort was drawn from, where that was given."""
    if not snakemake.input.truth:
        return inputs
    inputs = dataclasses.replace(inputs, truth=read_truth(snakemake.input.truth))
    if not snakemake.input.true_values:
        return inputs
    inputs = dataclasses.replace(inputs, true_values=read_true_values(snakemake.input.true_values))
    fitted = true_associations(inputs, plan, inputs.config["association"])
    return dataclasses.replace(inputs, true_associations=fitted)


with job_log(snakemake.log[0]):
    results = Path(snakemake.input.provenance).parent
    inputs = read_stored(results)
    made = made_by(map(tables.read_metadata, snakemake.input.masks))
    inputs = dataclasses.replace(inputs, provenance={**inputs.provenance, "segmentation": made})
    if not snakemake.input.prediction:  # tables of an earlier run may lie there
        inputs = dataclasses.replace(inputs, prediction={}, prediction_curves={}, prediction_weights={})
    inputs = with_truth(inputs, read_plan(snakemake.input.plan))
    inputs = dataclasses.replace(inputs, thumbnails=samples(inputs, results))
    write_figures(inputs, snakemake.output.figures)
    tables.write_bytes(build_report(inputs), snakemake.output.html)
