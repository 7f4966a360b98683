"""Prediction of one outcome from many biomarkers.

In:  the eyes and participants tables.
Out: prediction/OUTCOME.parquet, one row per set (age and sex, biomarkers, both): area under the curve, calibration;
     OUTCOME_curves.parquet, points of both curves; OUTCOME_weights.parquet, coefficients over the folds.
"""


rule predict_outcome:
    input:
        eyes=f"{RESULTS}/cohort/eyes.parquet",
        participants=f"{RESULTS}/cohort/participants.parquet",
        given=GIVEN_MASKS or [],
        weights=ancient(WEIGHTS) if WEIGHTS else [],
    output:
        performance=ensure(f"{RESULTS}/prediction/{{outcome}}.parquet", non_empty=True),
        curves=ensure(
            f"{RESULTS}/prediction/{{outcome}}_curves.parquet", non_empty=True
        ),
        weights=ensure(
            f"{RESULTS}/prediction/{{outcome}}_weights.parquet", non_empty=True
        ),
    log:
        f"{LOGS}/predict_outcome/{{outcome}}.log",
    benchmark:
        f"{BENCHMARKS}/predict_outcome/{{outcome}}.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        model=Path(CONFIG.segmentation.model).name,
        unit=CONFIG.association.unit,
        settings=CONFIG.prediction.model_dump(mode="json", exclude={"enabled"}),
    script:
        "../../scripts/predict_outcome.py"
