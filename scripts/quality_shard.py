"""Score the photographs of one shard."""

from pathlib import Path

from retsam import tables
from retsam.logs import job_log, progress_lines
from retsam.quality import QUALITY, quality_table

with job_log(snakemake.log[0]):
    shard = tables.read_table(snakemake.input.shard)
    quality = quality_table(
        shard,
        Path(snakemake.config["photographs"]),
        threshold=snakemake.params.threshold,
        workers=snakemake.threads,
        progress=progress_lines(len(shard), "quality"),
    )
    tables.write_table(quality, snakemake.output[0], QUALITY)
