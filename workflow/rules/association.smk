"""Associations of biomarkers with one outcome.

In:  the eyes and participants tables, and the images table for what another quality filter would have kept.
Out: association/OUTCOME.parquet, one row per biomarker, adjustment set, analysis and term: odds ratio or slope,
     interval, p, q, status.
"""


rule associate:
    input:
        plan=f"{RESULTS}/manifest/plan.json",
        eyes=f"{RESULTS}/cohort/eyes.parquet",
        participants=f"{RESULTS}/cohort/participants.parquet",
        images=f"{RESULTS}/cohort/images.parquet",
        given=GIVEN_MASKS or [],
        weights=ancient(WEIGHTS) if WEIGHTS else [],
    output:
        ensure(f"{RESULTS}/association/{{outcome}}.parquet", non_empty=True),
    log:
        f"{LOGS}/associate/{{outcome}}.log",
    benchmark:
        f"{BENCHMARKS}/associate/{{outcome}}.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        model=Path(CONFIG.segmentation.model).name,
        policy=CONFIG.quality.policy,
        settings=CONFIG.association.model_dump(mode="json"),
    script:
        "../../scripts/associate.py"
