"""Measure the biomarkers of one shard from its masks."""

from retsam import tables
from retsam.biomarkers import biomarkers_schema, measure_table
from retsam.logs import job_log, progress_lines

with job_log(snakemake.log[0]):
    masks = tables.read_table(snakemake.input.masks)
    quality = tables.read_table(snakemake.input.quality)
    measured = measure_table(masks, quality, progress=progress_lines(masks["image_id"].nunique(), "measure"))
    tables.write_table(measured, snakemake.output[0], biomarkers_schema())
