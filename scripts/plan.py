"""Read the manifest and cut it into shards."""

from pathlib import Path

from retsam.config import parse_config
from retsam.logs import job_log
from retsam.planning import make_plan, report_problems

with job_log(snakemake.log[0]) as say:
    config = parse_config({key: value for key, value in snakemake.config.items() if key != "photographs"})
    plan, manifest = make_plan(config, Path(snakemake.input.manifest), Path(snakemake.output.plan).parent)
    say(f"manifest: {plan.n_images} images in {plan.n_shards} shards; outcomes: {', '.join(plan.outcomes) or 'none'}")
    report_problems(manifest, say)
