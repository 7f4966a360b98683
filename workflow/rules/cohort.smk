"""Cohort tables.

In:  the manifest in normal form, quality and biomarkers of all shards.
Out: cohort/images.parquet (one row per manifest row), eyes.parquet, participants.parquet, flow.json.
"""


rule cohort:
    input:
        plan=f"{RESULTS}/manifest/plan.json",
        images=f"{RESULTS}/manifest/images.parquet",
        quality=shards_of("quality"),
        biomarkers=shards_of("biomarkers"),
    output:
        images=ensure(f"{RESULTS}/cohort/images.parquet", non_empty=True),
        eyes=ensure(f"{RESULTS}/cohort/eyes.parquet", non_empty=True),
        participants=ensure(f"{RESULTS}/cohort/participants.parquet", non_empty=True),
        flow=f"{RESULTS}/cohort/flow.json",
    log:
        f"{LOGS}/cohort.log",
    benchmark:
        f"{BENCHMARKS}/cohort.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        policy=CONFIG.quality.policy,
        asymmetry=CONFIG.asymmetry,
    script:
        "../../scripts/cohort.py"
