"""Record versions and hashes of this run."""

import hashlib
import json
from pathlib import Path

from retsam.config import parse_config
from retsam.logs import job_log
from retsam.planning import read_plan
from retsam.provenance import provenance
from retsam.segmentation import load_engine
from retsam.tables import write_bytes

with job_log(snakemake.log[0]):
    config = parse_config(snakemake.params.config)
    if snakemake.input.given:
        with Path(snakemake.input.given).open("rb") as handle:
            weights = {"given masks": hashlib.file_digest(handle, "sha256").hexdigest()}
    else:
        engine = load_engine(snakemake.input.weights or config.segmentation.model, device="cpu")
        weights = {engine.name: engine.weights_hash}
    record = provenance(config, read_plan(snakemake.input.plan).manifest_sha256, weights=weights)
    write_bytes(json.dumps(record, indent=2) + "\n", snakemake.output[0])
