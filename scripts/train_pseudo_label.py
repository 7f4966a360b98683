"""Label photographs by the experts, where these agree."""

import json
from pathlib import Path

import torch

from retsam.logs import job_log, progress_lines
from retsam.training.pseudo import pseudo_label
from retsam.training.recipe import read_recipe

with job_log(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    listed = Path(snakemake.input.experts)
    experts = [listed.parent / file for file in json.loads(listed.read_text(encoding="utf-8")).values()]
    pseudo_label(
        read_recipe(snakemake.input.recipe),
        experts,
        snakemake.input.photographs,
        Path(snakemake.output.frames),
        workers=snakemake.threads,
        say=print,
        show=progress_lines(None, "pseudo-label"),
    )
