"""Figure and table of a manuscript, from stored tables alone."""

from pathlib import Path

from retsam.logs import job_log
from retsam.report.paper import write_paper
from retsam.report.stored import read_stored

with job_log(snakemake.log[0]):
    write_paper(read_stored(Path(snakemake.input.provenance).parent), Path(snakemake.output.figure).parent)
