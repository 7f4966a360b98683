"""Associations of biomarkers with one outcome.

In:  the eyes and participants tables.
Out: association/OUTCOME.parquet, one row per biomarker and adjustment set: odds ratio per SD, interval, p, q, status.
"""


rule associate:
    input:
        plan=f"{RESULTS}/manifest/plan.json",
        eyes=f"{RESULTS}/cohort/eyes.parquet",
        participants=f"{RESULTS}/cohort/participants.parquet",
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
        unit=CONFIG.association.unit,
        min_events=CONFIG.association.min_events,
        events_per_parameter=CONFIG.association.events_per_parameter,
    script:
        "../../scripts/associate.py"
