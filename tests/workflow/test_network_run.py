"""The workflow with a file of weights: where it comes from is recorded, and other weights segment anew."""

import json
import re

import pytest

from retsam import tables
from retsam.segmentation import DEFAULT_MODEL
from tests.workflow.conftest import Study, simulated

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.segmentation.network.checkpoint import Metadata, TargetRecord, save  # noqa: E402
from retsam.segmentation.network.model import RetSAM  # noqa: E402
from retsam.training.recipe import SMOKE  # noqa: E402

pytestmark = pytest.mark.workflow

MASKS = "results/tiny/masks/00000.parquet"
TARGETS = ("--", MASKS, "results/tiny/provenance.json")


def write(path, seed):
    """Random weights; returns their hash."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = RetSAM(SMOKE).state_dict()
    return save(path, SMOKE, weights, Metadata("net", {"vessel": TargetRecord("phantom", 0.5, {})}, (), (), "MIT", "0"))


def planned(done):
    """Rules that a dry run would run."""
    return set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stdout + done.stderr, flags=re.MULTILINE))


def test_weights_are_an_input_of_the_segmentation(tmp_path):
    study = Study(tmp_path)
    simulated(study.manifest.parent, 2)
    weights = tmp_path / "net.safetensors"
    sha256 = write(weights, 1)
    study.configure(segmentation={"model": "net.safetensors", "flips": True})
    study.snakemake(*TARGETS)
    made = tables.read_metadata(tmp_path / MASKS)
    assert made["model"] == "net" and made["weights_sha256"] == sha256 and made["flips"] == "true"
    record = json.loads((study.results / "provenance.json").read_text())
    assert record["weights_sha256"] == {"net": sha256}
    assert set(tables.read_table(tmp_path / MASKS)["target"]) == {"fov", "vessel"}

    weights.touch()  # the same ones, installed anew
    assert planned(study.snakemake("-n", *TARGETS)) == set()
    write(weights, 2)
    assert planned(study.snakemake("-n", *TARGETS)) == {"segment_shard", "provenance"}


def test_the_default_model_needs_no_key(tmp_path):
    """Whatever it is, a study of the defaults finds it."""
    study = Study(tmp_path)
    simulated(study.manifest.parent, 1)
    study.configure(segmentation={})
    study.snakemake("--", MASKS)
    assert tables.read_metadata(tmp_path / MASKS)["model"] == DEFAULT_MODEL
