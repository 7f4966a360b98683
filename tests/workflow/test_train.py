"""``retsam train``: a tiny run from the command line, killed and resumed, ends in a file of weights."""

import subprocess
import sys
import time

import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

pytestmark = pytest.mark.workflow

RECIPE = """
preset: smoke
frame_size: 64
crop: 64
batch: 2
sources: [{name: phantom, count: 4, validation: 1, seed: 3}]
schedule: {steps: 12, warmup: 2, validate_every: 3, mixed: false}
"""


def start(folder, *more):
    command = [sys.executable, "-m", "retsam", "train", *map(str, more)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def retsam(folder, *more):
    process = start(folder, *more)
    return process.communicate(timeout=120)[0], process.returncode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a recipe and its cache."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "tiny.yaml").write_text(RECIPE)
    said, code = retsam(folder, "pack", "--config", "tiny.yaml", "--cache", "frames", "--phantoms", "--workers", 1)
    assert code == 0, said
    assert "1 files" in said
    return folder


def test_killed_and_resumed(folder):
    from retsam.segmentation.network import checkpoint

    options = ("unify", "--config", "tiny.yaml", "--out", "run", "--cache", "frames", "--device", "cpu")
    process = start(folder, *options, "--steps", 3000)  # long enough to be killed on its way
    deadline = time.monotonic() + 60
    while not (folder / "run" / "state.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    said = process.communicate()[0]
    assert (folder / "run" / "state.pt").exists(), said
    assert not (folder / "run" / "weights.safetensors").exists()
    done = int(pd.read_csv(folder / "run" / "curve.csv")["step"].max())

    said, code = retsam(folder, *options, "--steps", done + 6)
    assert code == 0, said
    assert "goes on after step" in said
    assert "4 frames from frames" in said
    steps = pd.read_csv(folder / "run" / "curve.csv")["step"].tolist()
    assert steps == list(range(3, done + 7, 3))
    assert (folder / "run" / "curve.png").stat().st_size > 1000

    found = checkpoint.load(folder / "run" / "weights.safetensors")
    assert found.config.preset == "smoke"
    assert {record.evidence for record in found.metadata.targets.values()} == {"phantom"}
    assert {"vessel", "optic_disc", "fovea"} <= set(found.metadata.targets)
    assert [(row["set"], row["role"], row["n"]) for row in found.metadata.data] == [
        ("phantom", "train", 3),
        ("phantom", "validation", 1),
    ]
    assert str(folder) not in str(found.metadata)
    found.network()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--config", "none.yaml", "--out", "x"), "no recipe at none.yaml"),
        (("--config", "tiny.yaml", "--out", "tiny.yaml"), "is a file"),
        (("--config", "tiny.yaml", "--out", "x", "--device", "gpu"), "no device 'gpu'"),
        (("--config", "smoke", "--out", "run"), "run of another recipe"),
    ],
)
def test_mistakes_are_one_sentence(folder, more, message):
    said, code = retsam(folder, "unify", *more)
    assert code == 2
    assert message in said
    assert "Traceback" not in said
