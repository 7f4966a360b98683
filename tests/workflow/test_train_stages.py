"""The stages of training one after the other from the command line, and as rules that no study runs unasked."""

import re
import subprocess
import sys

import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.phantom import render  # noqa: E402
from retsam.segmentation.network import checkpoint  # noqa: E402
from tests.workflow.conftest import Study, simulated  # noqa: E402

pytestmark = pytest.mark.workflow

RECIPE = """
preset: smoke
frame_size: 64
crop: 64
batch: 2
sources:
  - {name: phantom, count: 3, validation: 1, seed: 3}
schedule: {steps: 2, warmup: 1, validate_every: 1, mixed: false}
experts:
  vessels: {targets: [vessel, artery, vein], steps: 1}
pseudo: {agreement: 0.0, targets: [vessel, artery, vein]}
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a recipe and photographs."""
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    (tmp_path / "photographs").mkdir()
    for seed in (1, 2):
        Image.fromarray(render(seed, 96).image).save(tmp_path / "photographs" / f"p{seed}.png")
    return tmp_path


def retsam(folder, *more, code=0):
    command = [sys.executable, "-m", "retsam", "train", *map(str, more)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def test_stages_in_a_row(folder):
    how = ("--config", "tiny.yaml", "--device", "cpu")
    said = retsam(folder, "experts", *how, "--out", "experts", "--cache", "cache", "--workers", 1)
    assert "expert vessels: vessel, artery, vein" in said
    retsam(folder, "pseudo-label", *how, "--experts", "experts", "--images", "photographs", "--out", "p.parquet")
    assert (folder / "p.json").is_file()

    source = "  - {name: pseudo, file: p.parquet}\nschedule"
    (folder / "more.yaml").write_text(RECIPE.replace("schedule", source, 1))
    how = ("--device", "cpu", "--cache", "cache", "--workers", 1)
    retsam(folder, "unify", "--config", "more.yaml", "--out", "unify", *how)
    retsam(folder, "adapt", "--config", "tiny.yaml", "--initial", "unify/weights.safetensors", "--out", "adapt", *how)
    found = checkpoint.load(folder / "adapt" / "weights.safetensors").metadata
    assert [stage["stage"] for stage in found.stages] == ["unify", "adapt"]
    assert [(row["set"], row["split"], row["role"], row["n"]) for row in found.data] == [
        ("phantom", "synthetic", "train", 2),
        ("phantom", "synthetic", "validation", 1),
        ("pseudo", "pseudo-labels", "train", 2),
    ]
    labels = found.data[2]["pseudo_labels"]
    assert (labels["kept"], labels["experts"][0]["name"]) == (2, "vessels")
    assert str(folder) not in str(found)
    said = retsam(folder, "adapt", "--config", "tiny.yaml", "--initial", "no", "--out", "x", code=2)
    assert "no weights at no to start from" in said


def jobs(done):
    """Rule -> number of jobs of a dry run's table."""
    text = done.stdout + done.stderr
    return {rule: int(n) for rule, n in re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE) if rule != "total"}


def test_rules_follow_the_configuration(folder):
    study = Study(folder)
    simulated(study.manifest.parent, 1)
    study.configure(training={"recipe": "tiny.yaml", "photographs": "photographs", "adapt": "tiny.yaml"})
    assert not any(rule.startswith("train_") for rule in jobs(study.snakemake("-n")))
    chain = {"train_experts": 1, "train_pseudo_label": 1, "train_unify": 1, "train_adapt": 1}
    done = study.snakemake("-n", "--", "train_adapt")
    assert jobs(done) == chain
    assert "gpu=1" in done.stdout + done.stderr
    study.configure(training={"recipe": "smoke"})
    assert jobs(study.snakemake("-n", "--", "train_unify")) == {"train_unify": 1}
    study.configure()
    done = study.snakemake("-n", "--", "train_unify", check=False)
    assert done.returncode
    assert "set 'training: {recipe: ...}'" in done.stdout + done.stderr
