"""Train one network for every target, also on the pseudo-labels if there are any."""

from pathlib import Path

import torch

from retsam.logs import job_log
from retsam.tables import write_bytes
from retsam.training.recipe import read_recipe, run_folder
from retsam.training.stages import unify

with job_log(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    recipe = read_recipe(snakemake.input.recipe)
    if snakemake.input.pseudo:
        recipe = recipe.with_pseudo_labels(snakemake.input.pseudo)
    training = Path(snakemake.output[0]).parent
    folder = run_folder(training, "unify", recipe.digest())
    weights = unify(recipe, folder, cache=training / "cache", workers=snakemake.threads, say=print)
    write_bytes(weights.read_bytes(), snakemake.output[0])
