"""A stage that starts from weights: they must fit, frozen parts stay, and the header tells of both stages."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.errors import UserError  # noqa: E402
from retsam.segmentation.network import checkpoint  # noqa: E402
from retsam.segmentation.network.config import HEADS  # noqa: E402
from retsam.segmentation.network.model import SHARED  # noqa: E402
from retsam.training.initial import check_frozen, joined_rows, read_initial, starting_weights  # noqa: E402
from retsam.training.recipe import parse_recipe  # noqa: E402
from retsam.training.stages import adapt, train_experts, unify  # noqa: E402


def recipe(**more):
    values = {
        "preset": "smoke",
        "frame_size": 64,
        "crop": 64,
        "batch": 2,
        "sources": [{"name": "phantom", "count": 4, "validation": 1, "seed": 3}],
        "schedule": {"steps": 2, "warmup": 1, "validate_every": 1, "mixed": False},
    }
    return parse_recipe(values | more)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Weights of a first stage."""
    folder = tmp_path_factory.mktemp("first")
    return unify(recipe(), folder / "run", device="cpu", cache=folder / "cache", workers=1)


def test_second_stage_starts_from_the_first_and_leaves_frozen_parts(first, tmp_path):
    said = []
    source = {"name": "phantom", "count": 4, "validation": 1, "seed": 3, "targets": ["vessel"]}
    second = recipe(initial=str(first), frozen=["image_encoder"], sources=[source])
    path = unify(second, tmp_path / "run", device="cpu", workers=1, say=said.append)
    old, new = checkpoint.load(first), checkpoint.load(path)
    same = {name: torch.equal(tensor, new.weights[name]) for name, tensor in old.weights.items()}
    assert all(equal for name, equal in same.items() if name.startswith("image_encoder."))
    assert not all(same.values())
    assert [stage["stage"] for stage in new.metadata.stages] == ["unify", "unify"]
    assert new.metadata.stages[1]["initial"] == old.sha256
    assert new.metadata.stages[0] == old.metadata.stages[0]
    assert set(new.metadata.targets) == set(old.metadata.targets)
    lost = new.metadata.targets["optic_disc"]
    assert (lost.evidence, lost.threshold) == ("phantom", old.metadata.targets["optic_disc"].threshold)
    assert not lost.metrics
    assert any("no frame of this stage shows them" in line for line in said)
    assert str(tmp_path) not in str(new.metadata)
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]["initial"] == old.sha256


def test_digest_is_of_the_weights_not_of_their_place(first, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(first.read_bytes())
    assert recipe(initial=str(first)).digest() == recipe(initial=str(copy)).digest()
    assert recipe(initial=str(first)).digest() != recipe().digest()
    assert recipe(frozen=["image_encoder"]).digest() != recipe().digest()
    assert not {"initial", "frozen"} & set(recipe().settings())
    assert recipe().with_initial(str(first)).settings() == recipe(initial=str(first)).settings()
    assert recipe().with_initial(None) == recipe()
    last = {"schedule": {"steps": 9, "warmup": 1, "validate_every": 1, "mixed": False, "keep": "last"}}
    assert recipe(**last).digest() == recipe().digest()
    with pytest.raises(UserError, match="leave one out"):
        recipe(sam="sam.pth").with_initial(str(first))


def test_weights_that_do_not_fit_are_refused(first, tmp_path):
    with pytest.raises(UserError, match="another network than the recipe's") as error:
        read_initial(recipe(preset="retsam-tiny", initial=str(first)))
    assert "embed_dim 32 instead of 128" in str(error.value)
    assert "misshapen" in str(error.value)
    with pytest.raises(UserError, match="fusion True instead of False"):
        unify(recipe(fusion=False, initial=str(first)), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="no weights at none to start from"):
        recipe(initial="none").digest()
    with pytest.raises(UserError, match="did you mean 'image_encoder'"):
        check_frozen(recipe(frozen=["image_encode"]))
    assert read_initial(recipe(frame_size=128, initial=str(first))) is not None


def test_a_branch_starts_as_what_is_shared_and_learns_alone(first, tmp_path):
    rest = [head.name for head in HEADS if head.name != "vessels"]
    frozen = ["image_encoder", *SHARED, *(f"heads.{name}" for name in rest)]
    source = {"name": "phantom", "count": 4, "validation": 1, "seed": 3, "targets": ["vessel"]}
    second = recipe(initial=str(first), branches=["vessels"], frozen=frozen, sources=[source])
    old = checkpoint.load(first)
    began = starting_weights(read_initial(second), None, second.branches)
    for name, tensor in old.weights.items():
        if name.split(".")[0] in SHARED:
            assert torch.equal(began[f"branches.vessels.{name}"], tensor.float())
    new = checkpoint.load(unify(second, tmp_path / "run", device="cpu", workers=1))
    assert new.config.branches == ("vessels",)
    assert all(torch.equal(tensor, new.weights[name]) for name, tensor in old.weights.items() if "vessels" not in name)
    branch = [name for name in new.weights if name.startswith("branches.")]
    changed = [name for name in branch if not torch.equal(began[name].half(), new.weights[name])]
    assert len(changed) > 10
    assert read_initial(recipe(initial=str(tmp_path / "run" / "weights.safetensors"), branches=["vessels"])) is not None
    with pytest.raises(UserError, match="another network"):
        read_initial(recipe(initial=str(tmp_path / "run" / "weights.safetensors")))


def row(name, role, n, images=None, **more):
    return {"set": name, "split": "train", "licence": "L", "role": role, "n": n} | (
        {"images": images} if images else {}
    )


def test_a_photograph_is_unseen_only_if_no_stage_saw_it():
    before = [row("a", "train", 7), row("a", "validation", 1, ["v"]), row("a", "test", 2, ["s", "t"])]
    now = [row("a", "train", 7), row("a", "validation", 1, ["s"]), row("a", "test", 2, ["t", "u"])]
    assert joined_rows(before, now) == [
        row("a", "train", 8),
        row("a", "validation", 1, ["s"]),
        row("a", "test", 1, ["t"]),
    ]
    assert joined_rows(before, before) == before
    other = [row("b", "train", 3), row("b", "test", 1, ["w"])]
    assert joined_rows(before, other) == before + other
    phantoms = [row("phantom", "train", 5), row("phantom", "validation", 2)]
    assert joined_rows([row("phantom", "train", 9)], phantoms) == phantoms


def test_experts_are_networks_of_their_own_that_go_on(tmp_path):
    block = {"vessels": {"targets": ["vessel"]}, "discs": {"targets": ["optic_disc", "fovea"], "steps": 1}}
    said = []
    files = train_experts(recipe(experts=block), tmp_path, device="cpu", workers=1, say=said.append)
    assert [file.parent.name for file in files] == ["vessels", "discs"]
    found = [checkpoint.load(file).metadata for file in files]
    assert [set(metadata.targets) for metadata in found] == [{"vessel"}, {"optic_disc", "fovea"}]
    assert [(m.stages[0]["stage"], m.stages[0]["expert"]) for m in found] == [
        ("expert", "vessels"),
        ("expert", "discs"),
    ]
    assert len(list((tmp_path / "cache").iterdir())) == 1
    before = [file.read_bytes() for file in files]
    said.clear()
    train_experts(recipe(experts=block), tmp_path, device="cpu", workers=1, say=said.append)
    assert [file.read_bytes() for file in files] == before
    assert sum("goes on after step" in line for line in said) == 2
    with pytest.raises(UserError, match="no block 'experts'"):
        train_experts(recipe(), tmp_path / "other", device="cpu")


def test_adapting_freezes_the_encoder_and_goes_slowly(first, tmp_path):
    schedule = {"steps": 2, "warmup": 1, "validate_every": 1, "mixed": False}
    path = adapt(recipe(schedule=schedule), str(first), tmp_path / "run", device="cpu", workers=1)
    old, new = checkpoint.load(first), checkpoint.load(path)
    assert all(torch.equal(t, new.weights[k]) for k, t in old.weights.items() if k.startswith("image_encoder."))
    assert [stage["stage"] for stage in new.metadata.stages] == ["unify", "adapt"]
    assert new.metadata.stages[1]["frozen"] == ["image_encoder"]
    assert new.metadata.stages[1]["schedule"]["learning_rate"] == 1e-4
    with pytest.raises(UserError, match="no weights at nowhere to start from"):
        adapt(recipe(), "nowhere", tmp_path / "other", device="cpu")
