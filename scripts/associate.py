"""Odds ratios of one outcome."""

from retsam import tables
from retsam.association import ASSOCIATION, associate, repeatability
from retsam.biomarkers import exposures
from retsam.biomarkers.reliability import reliability
from retsam.logs import job_log
from retsam.planning import read_plan
from retsam.segmentation import given_evidence
from retsam.segmentation.weights import evidence_of

with job_log(snakemake.log[0]):
    plan = read_plan(snakemake.input.plan)
    given = snakemake.input.given
    model = snakemake.input.weights or snakemake.params.model
    table = associate(
        tables.read_table(snakemake.input.eyes),
        tables.read_table(snakemake.input.participants),
        snakemake.wildcards.outcome,
        biomarkers=exposures(),
        models=plan.models,
        unit=snakemake.params.unit,
        min_events=snakemake.params.min_events,
        events_per_parameter=snakemake.params.events_per_parameter,
        evidence=given_evidence(given) if given else evidence_of(model),
        reliability=repeatability(reliability()),
    )
    tables.write_table(table, snakemake.output[0], ASSOCIATION)
    print(table["status"].value_counts().to_string())
