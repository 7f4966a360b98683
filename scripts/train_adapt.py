"""Go on from weights on other photographs, the encoder frozen."""

from pathlib import Path

import torch

from retsam.logs import job_log
from retsam.tables import write_bytes
from retsam.training.recipe import file_hash, read_recipe, run_folder
from retsam.training.stages import adapt

with job_log(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    recipe, initial = read_recipe(snakemake.input.recipe), str(snakemake.input.initial)
    training = Path(snakemake.output[0]).parent
    folder = run_folder(training, "adapt", recipe.digest(), file_hash(Path(initial)))
    weights = adapt(recipe, initial, folder, cache=training / "cache", workers=snakemake.threads, say=print)
    write_bytes(weights.read_bytes(), snakemake.output[0])
