"""Files of weights on the command line: list, verify; which photographs a network has seen."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from typer.testing import CliRunner  # noqa: E402

from retsam.cli import app  # noqa: E402
from retsam.datasets import Case  # noqa: E402
from retsam.errors import UserError  # noqa: E402
from retsam.evaluation import evaluate  # noqa: E402
from retsam.evaluation.seen import relative, role_of  # noqa: E402
from retsam.segmentation import engine  # noqa: E402
from retsam.segmentation.network.checkpoint import Metadata, TargetRecord, save  # noqa: E402
from retsam.segmentation.network.model import RetSAM  # noqa: E402
from retsam.segmentation.weights import find_weights, metadata_of, shipped, verify  # noqa: E402
from retsam.taxonomy import TARGETS  # noqa: E402
from retsam.training.recipe import SMOKE  # noqa: E402
from tests.annotated import make_drive, make_hrf  # noqa: E402

DATA = (
    {"set": "hrf", "split": "all", "licence": "CC", "role": "train", "n": 1},
    {"set": "hrf", "split": "all", "licence": "CC", "role": "validation", "n": 1, "images": ["01_dr"]},
    {"set": "hrf", "split": "all", "licence": "CC", "role": "test", "n": 1, "images": ["02_dr"]},
    {"set": "drive", "split": "train", "licence": "R", "role": "train", "n": 2},
)
LEVELS = {"vessel": "annotated", "optic_disc": "annotated", "drusen": "label_validated"}


def metadata(data=DATA):
    targets = {name: TargetRecord(LEVELS.get(name, "phantom"), 0.5, {}) for name in TARGETS}
    return Metadata("smoke", targets, data, ({"stage": "unify"},), "none", "0")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that knows nothing."""
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save(path, SMOKE, RetSAM(SMOKE).state_dict(), metadata())
    return path


@pytest.fixture
def package(tmp_path, monkeypatch, weights):
    """A package that ships these weights."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "smoke.safetensors").write_bytes(weights.read_bytes())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  smoke.safetensors\n")
    monkeypatch.setattr(engine, "WEIGHTS", folder)
    return folder


def run(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, UserError):
        return 2, str(done.exception)
    return done.exit_code, done.output


def test_list(package, weights):
    code, text = run("weights", "list")
    assert code == 0
    parameters = sum(p.numel() for p in RetSAM(SMOKE).parameters())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    n = len(TARGETS)
    assert f"{parameters / 1e6:.2f} M parameters, sha256 {digest}, {n} targets" in text
    assert f"(2 annotated, 1 label_validated, {n - 3} phantom)" in text


def test_an_empty_package(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "WEIGHTS", tmp_path)
    assert run("weights", "list") == (0, "no weights are part of the package\n")
    assert run("weights", "verify") == (2, "no weights are part of the package; give a file.")
    assert run("weights", "verify", "best")[1].startswith("no weights named 'best': none are shipped")
    assert metadata_of("classical") is None


def test_shipped_weights_are_whole_and_small():
    files = shipped()
    if not files:
        pytest.skip("no weights are part of the package yet")
    for path in files:
        found = verify(path)
        assert found.parameters <= 8e6
        assert found.bytes <= 16e6


def test_verify(package, weights):
    for arguments in ((), ("smoke",), (weights,)):
        code, text = run("weights", "verify", *arguments)
        assert code == 0
        assert text.startswith("OK smoke: ")


def test_a_changed_shipped_file_is_told(package):
    path = package / "smoke.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"smoke\.safetensors is not the file that was shipped"):
        verify(path)
    (package / "SHA256SUMS").write_text("")
    with pytest.raises(UserError, match="not listed in SHA256SUMS"):
        verify(path)
    (package / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="SHA256SUMS is missing"):
        verify(path)


def test_a_damaged_file_is_told(tmp_path, weights):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(weights.read_bytes()[:-100])
    code, text = run("weights", "verify", path)
    assert code == 2
    assert text == "cut.safetensors is no whole safetensors file; download it or train it again."
    with pytest.raises(UserError, match="no file of weights at"):
        find_weights(str(tmp_path / "absent.safetensors"))


def test_numbers_that_are_not_finite_are_told(tmp_path, weights):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(weights, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, tmp_path / "nan.safetensors", metadata=header)
    with pytest.raises(UserError, match=f"{name} has values that are not finite"):
        verify(tmp_path / "nan.safetensors")


def case(image_id, split):
    return Case(image_id, split, Path(image_id))


def test_roles():
    found = {name: role_of(metadata(), "hrf", case(name, "all")) for name in ("01_dr", "02_dr", "10_h")}
    assert found == {"01_dr": "validation", "02_dr": "test", "10_h": "train"}
    assert role_of(metadata(), "drive", case("21_training", "train")) == "train"
    assert role_of(metadata(), "drive", case("01_test", "test")) == "unseen"
    assert role_of(metadata(), "stare", case("im0001", "all")) == "unseen"


def test_photographs_of_two_parts_may_have_one_name():
    rows = ({**DATA[2], "set": "idrid_localization", "split": "train", "images": ["IDRiD_001"]},)
    assert role_of(metadata(rows), "idrid_localization", case("IDRiD_001", "train")) == "test"
    assert role_of(metadata(rows), "idrid_localization", case("IDRiD_001", "test")) == "unseen"


def test_what_a_later_stage_trained_on_is_not_held_out():
    again = (*DATA, {"set": "hrf", "split": "all", "licence": "CC", "role": "train", "n": 3})
    assert role_of(metadata(again), "hrf", case("02_dr", "all")) == "train"


def test_sets_that_share_photographs():
    assert relative(metadata(), "idrid") is None
    related = ({**DATA[0], "set": "idrid_localization"},)
    assert relative(metadata(related), "idrid") == "idrid_localization"
    assert relative(metadata(related), "idrid_localization") is None


def evaluated(weights, tmp_path, dataset, root, *options):
    arguments = ["--model", weights, "--device", "cpu", "--frame-size", "256", "--out", tmp_path / "m.csv"]
    return run("evaluate", dataset, root, *arguments, *options)


def test_held_out_photographs_alone(tmp_path, weights):
    code, text = evaluated(weights, tmp_path, "hrf", make_hrf(tmp_path), "--held-out")
    assert code == 0, text
    rows = np.genfromtxt(tmp_path / "m.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert set(rows["image_id"].ravel()) == {"02_dr"}
    assert "not unseen" not in text


def test_photographs_that_are_not_unseen_are_counted(tmp_path, weights, caplog):
    evaluate("hrf", make_hrf(tmp_path / "h"), model=str(weights), device="cpu", frame_size=128)
    assert "hrf: 2 of 3 photographs are not unseen by smoke (1 trained on, 1 used to choose weights" in caplog.text
    caplog.clear()
    evaluate("drive", make_drive(tmp_path / "d"), model=str(weights), device="cpu", frame_size=128)
    assert "not unseen" not in caplog.text


def test_held_out_needs_a_list(tmp_path, weights):
    root = make_drive(tmp_path)
    code, text = evaluated(weights, tmp_path, "drive", root, "--held-out")
    assert (code, text) == (2, "smoke kept no photographs of drive apart for a test; leave --held-out away.")
    with pytest.raises(UserError, match="model 'classical' has no list"):
        evaluate("drive", root, model="classical", held_out=True)
    (tmp_path / "h").mkdir()
    hrf = make_hrf(tmp_path / "h")
    for path in (tmp_path / "h").rglob("02_dr*"):
        path.unlink()
    with pytest.raises(UserError, match="none of the photographs that smoke kept apart"):
        evaluate("hrf", hrf, model=str(weights), held_out=True)
