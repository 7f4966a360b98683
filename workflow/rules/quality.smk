"""Image quality control.

In:  one shard table and its photographs.
Out: quality/NNNNN.parquet, one row per image: status, gradability, features, frame.
"""


rule quality_shard:
    input:
        shard=shard_table,
    output:
        ensure(f"{RESULTS}/quality/{{shard}}.parquet", non_empty=True),
    log:
        f"{LOGS}/quality/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/quality/{{shard}}.tsv"
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        threshold=CONFIG.quality.threshold,
    script:
        "../../scripts/quality_shard.py"
