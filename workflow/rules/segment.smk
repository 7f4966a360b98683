"""Segmentation.

In:  one shard table and its photographs, and the model's weights if it has any; or the study's table of given masks (segmentation.masks).
Out: masks/NNNNN.parquet, one row per image and target: status, COCO run lengths, points, frame.
"""


rule segment_shard:
    input:
        shard=shard_table,
        given=GIVEN_MASKS or [],
        weights=ancient(WEIGHTS) if WEIGHTS else [],
    output:
        ensure(f"{RESULTS}/masks/{{shard}}.parquet", non_empty=True),
    log:
        f"{LOGS}/segment/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/segment/{{shard}}.tsv"
    conda:
        "../../envs/segmentation.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        model=Path(CONFIG.segmentation.model).name,
        weights=lambda wildcards: weights_sha256(),
        flips=CONFIG.segmentation.flips,
        compile=CONFIG.segmentation.compile,
        targets=CONFIG.segmentation.targets,
        frame_size=CONFIG.frame_size,
    script:
        "../../scripts/segment_shard.py"
