"""Segment the photographs of one shard, the model loaded once; or take their masks from the study's given table."""

from pathlib import Path

from retsam import tables
from retsam.logs import job_log, progress_lines
from retsam.segmentation import given_masks, load_engine, origin, segment_table

with job_log(snakemake.log[0]):
    shard = tables.read_table(snakemake.input.shard)
    wanted = {"frame_size": snakemake.params.frame_size, "targets": snakemake.params.targets}
    metadata = None
    if snakemake.input.given:
        masks = given_masks(shard, snakemake.input.given, **wanted)
    else:
        engine = load_engine(
            snakemake.input.weights or snakemake.params.model,
            device="auto",
            flips=snakemake.params.flips,
            compile=snakemake.params.compile,
        )
        metadata = origin(engine)
        print(f"segment: model {engine.name} on {engine.device}")
        masks = segment_table(
            shard,
            Path(snakemake.config["photographs"]),
            engine,
            **wanted,
            workers=snakemake.threads,
            progress=progress_lines(len(shard), "segment"),
        )
    tables.write_table(masks, snakemake.output[0], tables.MASKS, metadata)
