"""Checkpoints: what is written is what is read, and a file that is something else is refused in one sentence."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")
tensors = pytest.importorskip("safetensors.torch")

from retsam.errors import UserError  # noqa: E402
from retsam.segmentation.network.checkpoint import Metadata, TargetRecord, load, read_metadata, save  # noqa: E402
from retsam.segmentation.network.config import NetworkConfig  # noqa: E402
from retsam.segmentation.network.model import RetSAM  # noqa: E402

TINY = NetworkConfig(
    "test",
    detail_size=128,
    context_size=64,
    embed_dim=16,
    depth=2,
    num_heads=2,
    window_size=2,
    global_blocks=(1,),
    neck_channels=8,
    widths=(4, 4, 4, 8, 8),
)

METADATA = Metadata(
    name="test",
    targets={
        "vessel": TargetRecord("annotated", 0.4, {"dice": 0.8}),
        "fovea": TargetRecord("phantom", 0.25, {}),
    },
    data=({"set": "phantom", "split": "train", "licence": "MIT", "role": "train", "n": 3},),
    stages=({"steps": 10, "augmentation": {"contrast": [0.4, 1.4]}},),
    licence="MIT",
    version="0.1",
)


@pytest.fixture
def weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RetSAM(TINY).state_dict()


@pytest.fixture
def path(tmp_path, weights):
    save(tmp_path / "w.safetensors", TINY, weights, METADATA)
    return tmp_path / "w.safetensors"


def rewrite(path, header=None, **changed):
    """Write the file again with other tensors (None drops one) or another header."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        text = file.metadata()["retsam"]
    content = tensors.load_file(path) | changed
    content = {name: tensor for name, tensor in content.items() if tensor is not None}
    stored = {"retsam": json.dumps(header(json.loads(text)) if header else json.loads(text))}
    tensors.save_file(content, path, metadata=stored)


def test_round_trip(path, weights):
    found = load(path)
    assert found.config == TINY
    assert found.metadata == METADATA
    floats = {name: t for name, t in weights.items() if t.is_floating_point()}
    assert found.weights.keys() == floats.keys()
    for name, tensor in floats.items():
        assert found.weights[name].dtype == torch.float32
        # Half precision has 11 significant bits; below 2**-14 its steps are of one size.
        assert ((found.weights[name] - tensor).abs() <= 2.0**-11 * tensor.abs() + 2.0**-25).all(), name


def test_judged_figures_are_kept_and_older_files_have_none(tmp_path, path, weights):
    row = {"set": "drive", "part": "test", "target": "vessel", "measure": "dice", "value": 0.8, "low": None, "n": 1}
    save(tmp_path / "judged.safetensors", TINY, weights, replace(METADATA, judged=(row,)))
    assert load(tmp_path / "judged.safetensors").metadata.judged == (row,)
    rewrite(path, lambda header: header)
    assert read_metadata(path) == METADATA
    assert read_metadata(path).judged == ()


def test_the_network_comes_back(path, weights):
    original = RetSAM(TINY)
    original.load_state_dict(weights)
    found = load(path).network()
    assert not found.training
    inputs = (
        torch.rand(1, 3, 128, 128),
        torch.ones(1, 1, 128, 128),
        torch.rand(1, 3, 64, 64),
        torch.ones(1, 1, 64, 64),
        torch.tensor([[0.0, 0.0, 1.0, 1.0]]),
    )
    with torch.no_grad():
        expected, got = original.eval()(*inputs), found(*inputs)
    torch.testing.assert_close(got.fine, expected.fine, rtol=0.01, atol=0.01)
    torch.testing.assert_close(got.wide, expected.wide, rtol=0.01, atol=0.01)


def test_bytes_and_hash_are_deterministic(tmp_path, weights):
    first = save(tmp_path / "a.safetensors", TINY, weights, METADATA)
    backwards = dict(reversed(weights.items()))
    turned = replace(METADATA, targets=dict(reversed(METADATA.targets.items())))
    second = save(tmp_path / "new" / "b.safetensors", TINY, backwards, turned)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "new" / "b.safetensors").read_bytes()
    assert first == second == load(tmp_path / "a.safetensors").sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "new"]


def test_saving_the_weights_of_another_network_is_refused(tmp_path, weights):
    with pytest.raises(ValueError, match=r"misshapen .*instead of"):
        save(tmp_path / "w.safetensors", replace(TINY, neck_channels=16), weights, METADATA)
    with pytest.raises(ValueError, match="not finite in half precision"):
        save(tmp_path / "w.safetensors", TINY, weights | {"up8.below.weight": torch.full((8, 8, 3, 3), 1e6)}, METADATA)
    assert not list(tmp_path.iterdir())


def test_metadata_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="is no target"):
        replace(METADATA, targets={"vessels": TargetRecord("phantom", 0.5, {})})
    with pytest.raises(ValueError, match="hearsay"):
        TargetRecord("hearsay", 0.5, {})
    with pytest.raises(ValueError, match="between 0 and 1"):
        TargetRecord("phantom", 1.5, {})


def test_key_report(path):
    rewrite(
        path,
        **{
            "up8.below.weight": None,
            "up8.above.weight": torch.zeros(2),
            "up4.below.weight": torch.zeros(3),
        },
    )
    with pytest.raises(UserError) as error:
        load(path)
    message = str(error.value)
    assert "1 missing (up8.below.weight)" in message
    assert "1 unexpected (up8.above.weight)" in message
    assert "1 misshapen (up4.below.weight (3,) instead of (4, 8, 3, 3))" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda h: h | {"format": 99}, "has format 99"),
        (lambda h: h | {"config": h["config"] | {"colour": "blue"}}, "describes no network"),
        (lambda h: h | {"metadata": {}}, "describes no network"),
        (lambda h: [], "describes no network"),
        (lambda h: h | {"config": h["config"] | {"depth": "two"}}, "no network can be built"),
    ],
)
def test_header_of_another_kind(path, change, expected):
    rewrite(path, change)
    with pytest.raises(UserError, match=expected) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_other_files_are_refused_in_one_sentence(path, tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    pickled = tmp_path / "pickled.safetensors"
    torch.save({"x": torch.zeros(2), "y": Evil()}, pickled)
    short = tmp_path / "short.safetensors"
    short.write_bytes(path.read_bytes()[:-10])
    stub = tmp_path / "stub.safetensors"
    stub.write_bytes(path.read_bytes()[:100])
    empty = tmp_path / "empty.safetensors"
    empty.write_bytes(b"")
    for file in (pickled, short, stub, empty):
        with pytest.raises(UserError, match=r"no whole safetensors file") as error:
            load(file)
        assert "\n" not in str(error.value)
    bare = tmp_path / "bare.safetensors"
    tensors.save_file({"x": torch.zeros(2)}, bare)
    with pytest.raises(UserError, match="no description"):
        load(bare)
    with pytest.raises(UserError, match="no file of weights"):
        load(tmp_path / "absent.safetensors")
