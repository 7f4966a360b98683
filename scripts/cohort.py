"""Shards to images, eyes and participants, with the flow that accounts for every image."""

from pathlib import Path

from retsam import tables
from retsam.biomarkers import REGISTRY, exposures
from retsam.cohort import build_cohort, write_cohort
from retsam.logs import job_log
from retsam.planning import read_plan

with job_log(snakemake.log[0]):
    plan = read_plan(snakemake.input.plan)
    adjusted = [name for columns in plan.models.values() for name in columns]
    cohort = build_cohort(
        tables.read_table(snakemake.input.images),
        tables.read_tables(snakemake.input.quality),
        tables.read_tables(snakemake.input.biomarkers),
        policy=snakemake.params.policy,
        biomarker_names=list(REGISTRY),
        outcomes=plan.outcomes,
        kinds=plan.kinds,
        covariates=list(dict.fromkeys([*plan.covariates, *adjusted, *plan.modifiers])),
        asymmetry=[b.name for b in exposures()] if snakemake.params.asymmetry else [],
    )
    write_cohort(cohort, Path(snakemake.output.images).parent)
    for stage in cohort.flow["stages"]:
        print(stage)
