"""The model card: made from the header, and in step with the weights that are shipped."""

import re
from dataclasses import replace

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from typer.testing import CliRunner  # noqa: E402

from retsam.cli import app  # noqa: E402
from retsam.evaluation.card import card  # noqa: E402
from retsam.segmentation.engine import WEIGHTS  # noqa: E402
from retsam.segmentation.network.checkpoint import Metadata, TargetRecord, save  # noqa: E402
from retsam.segmentation.network.model import RetSAM  # noqa: E402
from retsam.training.recipe import SMOKE, parse_recipe, read_recipe  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

SHIPPED = WEIGHTS / "retsam-tiny.safetensors"

JUDGED = (
    {"set": "drive", "part": "test", "target": "vessel", "measure": "dice", "value": 0.7654, "low": 0.75, "high": 0.78},
    {"set": "stare", "part": "all", "target": "vessel", "measure": "cldice", "value": 0.7, "low": None, "high": None},
    {
        "set": "odir",
        "part": "all",
        "target": "tessellation+diffuse_atrophy",
        "measure": "auc_myopia_probability",
        "value": 0.61,
        "low": 0.5,
        "high": 0.7,
    },
)

METADATA = Metadata(
    name="smoke",
    targets={
        "vessel": TargetRecord("annotated", 0.45, {"drive/dice": 0.8}),
        "tessellation": TargetRecord("label_validated", 0.5, {}),
        "macular_hole": TargetRecord("phantom", 0.5, {}),
    },
    data=(
        {"set": "drive", "split": "train", "licence": "research | use", "role": "train", "n": 17},
        {"set": "drive", "split": "train", "licence": "research | use", "role": "test", "n": 3, "images": ["21"]},
        {"set": "phantom", "split": "synthetic", "licence": "none needed", "role": "train", "n": 50},
    ),
    stages=({"stage": "unify", "score": 0.1234, **read_recipe("smoke").settings()},),
    licence="none",
    version="0.0",
    judged=tuple({**row, "n": 20} for row in JUDGED),
)


@pytest.fixture(scope="module")
def state():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RetSAM(SMOKE).state_dict()


def written(folder, state, metadata):
    save(folder / "w.safetensors", SMOKE, state, metadata)
    return card(folder / "w.safetensors")


@pytest.fixture(scope="module")
def text(tmp_path_factory, state):
    return written(tmp_path_factory.mktemp("card"), state, METADATA)


def test_every_figure_is_the_headers(text):
    for line in (
        "| drive | train | training | 17 | research \\| use |",
        "| drive | train | kept apart, to judge by | 3 | research \\| use |",
        "| drive | test | vessel | Dice | 0.765 (0.750 to 0.780) | 20 | lwnet 0.828 |",
        "| stare | all | vessel | clDice | 0.700 | 20 |  |",
        "| vessel | anatomy | annotated | 0.45 |",
        "- It learnt from 17 real photographs, with the cameras and of the people of these sets only: drive.",
        "- Without evidence on real photographs (1 of 3 targets): macular_hole.",
        "Of these sets it learnt from other photographs: drive. Sets of which it saw nothing: stare, odir.",
    ):
        assert line in text.splitlines(), line
    assert "| AUC of its mean probability for pathologic myopia | 0.610 (0.500 to 0.700) |" in text
    assert "Validated by labels of whole photographs only: tessellation." in text
    assert "smoke 0.0 segments 3 targets" in text
    assert "0.1234" in text


def test_the_markdown_is_tidy(text):
    assert text.endswith("card judged.safetensors\n")
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]$", text, flags=re.MULTILINE)
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("#"):
            assert not lines[number + 1], line
            assert number == 0 or not lines[number - 1], line
        if line.startswith("|") and not lines[number - 1].startswith("|"):
            columns = line.replace("\\|", "").count("|")
            assert lines[number - 1] == ""
            table = [row for row in lines[number:] if row.startswith("|")][:3]
            assert all(row.replace("\\|", "").count("|") == columns for row in table)


def test_the_recipe_in_it_is_the_stages(text):
    (settings,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert parse_recipe(yaml.safe_load(settings)).settings() == read_recipe("smoke").settings()


def test_weights_that_nobody_judged(tmp_path, state):
    bare = written(tmp_path, state, replace(METADATA, judged=(), targets={"vessel": METADATA.targets["vessel"]}))
    assert "Nobody has judged these weights" in bare
    assert "lwnet" not in bare
    assert "segments 1 target of a" in bare.replace("\n", " ")
    assert "Without evidence" not in bare
    assert "Not provided: artery, vein," in bare
    assert "\n\n\n" not in bare


def test_stages_that_built_on_each_other(tmp_path, state):
    adapt = {"stage": "adapt", "initial": "ab" * 32, "schedule": {"steps": 7}}
    expert = {"stage": "expert", "expert": "vessels"}
    text = written(tmp_path, state, replace(METADATA, stages=(expert, adapt)))
    assert "Stage 1, expert vessels:" in text
    assert "retsam train adapt --config recipe.yaml --initial WEIGHTS --out runs/stage2" in text
    assert "retsam weights judge runs/stage2/weights.safetensors" in text


def test_on_the_command_line(tmp_path, state, text):
    save(tmp_path / "w.safetensors", SMOKE, state, METADATA)
    done = CliRunner().invoke(app, ["weights", "card", str(tmp_path / "w.safetensors")])
    assert done.exit_code == 0
    assert done.output == text


def test_the_card_is_that_of_the_shipped_weights():
    if not SHIPPED.is_file():
        pytest.skip("no weights are part of the package yet")
    stored = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    made = card(SHIPPED)
    assert stored == made, "docs/model-card.md drifted; run: retsam weights card retsam-tiny > docs/model-card.md"
