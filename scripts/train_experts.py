"""Train one network per task group, and list their files of weights."""

import json
import os
from pathlib import Path

import torch

from retsam.logs import job_log
from retsam.tables import write_bytes
from retsam.training.recipe import read_recipe, run_folder
from retsam.training.stages import train_experts

with job_log(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    recipe = read_recipe(snakemake.input.recipe)
    training = Path(snakemake.output[0]).parent
    folder = run_folder(training, "experts", *(recipe.expert(name).digest() for name in recipe.experts))
    files = train_experts(recipe, folder, cache=training / "cache", workers=snakemake.threads, say=print)
    listed = {file.parent.name: os.path.relpath(file, training) for file in files}
    write_bytes(json.dumps(listed, indent=2) + "\n", snakemake.output[0])
