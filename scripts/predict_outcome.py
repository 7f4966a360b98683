"""Prediction of one outcome from many biomarkers."""

from retsam import tables
from retsam.association.prediction import PREDICTION, PREDICTION_CURVES, PREDICTION_WEIGHTS, predict
from retsam.biomarkers import exposures
from retsam.logs import job_log
from retsam.segmentation import given_evidence
from retsam.segmentation.weights import evidence_of

with job_log(snakemake.log[0]):
    given = snakemake.input.given
    model = snakemake.input.weights or snakemake.params.model
    made = predict(
        tables.read_table(snakemake.input.eyes),
        tables.read_table(snakemake.input.participants),
        snakemake.wildcards.outcome,
        biomarkers=exposures(),
        unit=snakemake.params.unit,
        evidence=given_evidence(given) if given else evidence_of(model),
        **snakemake.params.settings,
    )
    tables.write_table(made.performance, snakemake.output.performance, PREDICTION)
    tables.write_table(made.curves, snakemake.output.curves, PREDICTION_CURVES)
    tables.write_table(made.weights, snakemake.output.weights, PREDICTION_WEIGHTS)
    print(made.performance[["set", "auc", "low", "high", "status"]].to_string(index=False))
