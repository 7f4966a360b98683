"""Biomarkers.

In:  masks and quality of one shard.
Out: biomarkers/NNNNN.parquet, one row per image: laterality, and each biomarker with its status.
"""


rule measure_shard:
    input:
        masks=f"{RESULTS}/masks/{{shard}}.parquet",
        quality=f"{RESULTS}/quality/{{shard}}.parquet",
    output:
        ensure(f"{RESULTS}/biomarkers/{{shard}}.parquet", non_empty=True),
    log:
        f"{LOGS}/measure/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/measure/{{shard}}.tsv"
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    script:
        "../../scripts/measure_shard.py"
