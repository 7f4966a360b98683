"""Training by several processes or loaders, compiled, from a SAM checkpoint: what stays the same stays the same."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from segment_anything.modeling import ImageEncoderViT  # noqa: E402

from retsam.errors import UserError  # noqa: E402
from retsam.segmentation.network import checkpoint  # noqa: E402
from retsam.training import parallel  # noqa: E402
from retsam.training.augment import Augmentation  # noqa: E402
from retsam.training.batches import Sampler, unpack_bits  # noqa: E402
from retsam.training.frames import pack  # noqa: E402
from retsam.training.losses import LossWeights  # noqa: E402
from retsam.training.parallel import Group  # noqa: E402
from retsam.training.recipe import RecipeError, parse_recipe  # noqa: E402
from retsam.training.stages import unify  # noqa: E402
from retsam.training.trainer import Schedule, Trainer  # noqa: E402

SIZE = 64
RECIPE = {
    "preset": "smoke",
    "frame_size": SIZE,
    "crop": SIZE,
    "batch": 3,
    "sources": [{"name": "phantom", "count": 4, "validation": 1, "seed": 3}],
    "schedule": {"steps": 6, "warmup": 2, "validate_every": 3, "mixed": False, "learning_rate": 1e-3},
}
SHORT = Schedule(4, learning_rate=1e-2, warmup=2, validate_every=4, mixed=False)


def recipe(**more):
    return parse_recipe(RECIPE | more)


def frames(count=3):
    """Bright blobs on grey; each frame knows something else."""
    rng = np.random.default_rng(0)
    fov = np.ones((SIZE, SIZE), bool)
    known = ({"vessel", "optic_disc"}, {"hard_exudate"}, {"optic_disc", "hard_exudate", "drusen"})
    out = []
    for i in range(count):
        image = rng.integers(60, 160, (SIZE, SIZE, 3), dtype=np.uint8)
        masks = {target: rng.random((SIZE, SIZE)) < 0.1 for target in sorted(known[i % 3])}
        out.append(pack(f"dots-{i}", "dots", image, fov, masks, {"fovea": (20.0 + i, 30.0)} if i else None))
    return out


def sampler(**more):
    return Sampler(frames(), {"dots": 1.0}, recipe().network, **{"batch": 3, "crop": 32, "seed": 5} | more)


draws = partial(sampler, augmentation=Augmentation(), focus=0.5)


def trained(folder, **more):
    run = Trainer(folder, recipe().network, draws(), SHORT, LossWeights(), lambda model: {"score": 1.0}, **more)
    run.run()
    return run.model.state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Weights after a few steps of one process with one loader."""
    return trained(tmp_path_factory.mktemp("alone"))


def test_the_number_of_loaders_changes_nothing(alone, tmp_path):
    assert same(trained(tmp_path, loaders=3), alone)


def test_a_compiled_network_takes_the_steps(alone, tmp_path, monkeypatch):
    calls = []

    def compiled(model):
        return lambda *inputs, **more: calls.append(1) or model(*inputs, **more)

    monkeypatch.setattr(torch, "compile", compiled)
    assert same(trained(tmp_path, compiled=True), alone)
    assert len(calls) == SHORT.steps


def test_a_network_that_cannot_be_compiled_is_one_sentence(tmp_path, monkeypatch):
    problem = type("NoCompiler", (RuntimeError,), {"__module__": "torch._inductor.exc"})

    def failing(*inputs, **more):
        raise problem("no C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", lambda model: failing)
    with pytest.raises(UserError, match=r"\(no C\+\+ compiler\); set compile: false"):
        trained(tmp_path, compiled=True)


@pytest.mark.parametrize("ranks", [2, 3])
def test_parts_of_a_batch_are_what_they_are_in_the_whole(ranks):
    for step in range(3):
        whole = draws().at(step)
        for rank in range(ranks):
            part = replace(draws(), rank=rank, ranks=ranks).at(step)
            for a, b in zip(part.inputs, whole.inputs, strict=True):
                assert torch.allclose(a, b[rank::ranks], atol=1e-6)
            assert set(part.fine.targets) <= set(whole.fine.targets)
            for target in part.fine.targets:
                one, all_ = (p.labels[:, p.targets.index(target)] for p in (part.fine, whole.fine))
                assert torch.equal(one, all_[rank::ranks])


def test_bits_are_unpacked_on_a_device_as_numpy_does():
    masks = np.random.default_rng(1).random((3, 24, 24)) < 0.3
    packed = torch.from_numpy(np.stack([np.packbits(mask) for mask in masks]))
    assert np.array_equal(unpack_bits(packed, 24).numpy(), masks)


def torchrun(folder, *command):
    """Run something by two processes; returns what they said."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, *map(str, command)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


COMPARED = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from test_trainer_parallel import LossWeights, Trainer, SHORT, draws, recipe
from retsam.segmentation.network.model import RetSAM
from retsam.training import trainer
from retsam.training.parallel import ALONE, join

trainer.RetSAM = lambda config: RetSAM(config).double()
score = lambda model: {"score": 1.0}
group = join("cpu")[0]
for name, who in (("two", group), ("one", ALONE)):
    for steps in (3, 6) if who is group or group.first else ():
        schedule = replace(SHORT, steps=steps, learning_rate=1e-3, validate_every=3)
        run = Trainer(Path(name), recipe().network, draws(), schedule, LossWeights(), score, group=who)
        if steps == 3 and who is ALONE:
            torch.save(run.model.state_dict(), "start.pt")
        run.run()
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path):
    """Six steps, resumed after three, with batches of 3 in parts of 2 and 1 that know different targets.

    In float64: an untrained network's gradient in float32 is itself uncertain by about a percent, whatever the order of
    its sums. Batch statistics are those of the whole batch on both sides.
    """
    (tmp_path / "compared.py").write_text(COMPARED)
    torchrun(tmp_path, "compared.py")
    one, two = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("one", "two"))
    start = torch.load(tmp_path / "start.pt", weights_only=True)
    assert one["progress"] == two["progress"]
    assert one["progress"]["step"] == 6
    for kind in ("model", "average"):
        assert distance(one[kind], two[kind]) < 1e-4 * distance(one[kind], start)
    curves = [pd.read_csv(tmp_path / name / "curve.csv").drop(columns="seconds") for name in ("one", "two")]
    pd.testing.assert_frame_equal(*curves, rtol=1e-5)


def distance(a, b):
    """Root of the sum of squared differences of all weights and batch statistics."""
    return sum(float((a[k].double() - b[k].double()).square().sum()) for k in a if a[k].is_floating_point()) ** 0.5


@pytest.mark.slow
def test_torchrun_trains_and_only_the_first_process_speaks(tmp_path):
    (tmp_path / "r.yaml").write_text(json.dumps(RECIPE))
    said = torchrun(
        tmp_path,
        "-m",
        "retsam",
        "train",
        "unify",
        "--config",
        "r.yaml",
        "--out",
        "run",
        "--device",
        "cpu",
        "--steps",
        2,
    )
    assert said.count("3 frames to train on") == 1
    assert said.count("best weights") == 1
    assert list(pd.read_csv(tmp_path / "run" / "curve.csv")["step"]) == [2]
    checkpoint.load(tmp_path / "run" / "weights.safetensors").network()


@pytest.mark.parametrize(
    ("group", "weights", "message"),
    [(Group(0, 4), LossWeights(), "less than one crop"), (Group(1, 2), LossWeights(per_image=False), "per_image")],
)
def test_what_several_processes_cannot_do_is_one_sentence(tmp_path, group, weights, message):
    with pytest.raises(UserError, match=message):
        Trainer(tmp_path, recipe().network, draws(), SHORT, weights, lambda model: {"score": 1.0}, group=group)


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [("cuda:1", 4, "one GPU"), ("cuda", 1, "there are 1 GPUs here, fewer than processes")],
)
def test_every_process_needs_a_gpu_of_its_own(monkeypatch, device, gpus, message):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError, match=message):
        parallel.join(device)


def test_one_process_is_no_group(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert parallel.join("cuda:2") == (parallel.ALONE, "cuda:2")


@pytest.fixture
def sam_file(tmp_path):
    """A checkpoint of the encoder that the smoke network has, for another size, with a decoder beside it."""
    network = recipe().network
    encoder = ImageEncoderViT(
        img_size=2 * network.context_size,
        embed_dim=network.embed_dim,
        depth=network.depth,
        num_heads=network.num_heads,
        out_chans=network.neck_channels,
        use_rel_pos=True,
        window_size=network.window_size,
        global_attn_indexes=network.global_blocks,
    )
    state = {f"image_encoder.{k}": v for k, v in encoder.state_dict().items()}
    torch.save(state | {"mask_decoder.iou_token.weight": torch.zeros(1, 16)}, tmp_path / "sam.pth")
    return tmp_path / "sam.pth"


def test_a_recipe_starts_from_a_sam_checkpoint(sam_file, tmp_path):
    said = []
    values = {"sam": str(sam_file), "frozen": ["image_encoder"], "schedule": {**RECIPE["schedule"], "steps": 1}}
    path = unify(recipe(**values), tmp_path / "run", device="cpu", workers=1, say=said.append)
    found, before = checkpoint.load(path), torch.load(sam_file, weights_only=True)
    kept = "image_encoder.blocks.0.attn.qkv.weight"
    assert torch.equal(found.weights[kept], before[kept].half().float())
    keys = json.loads((tmp_path / "run" / "sam_keys.json").read_text())
    assert "image_encoder.pos_embed" in keys["resized"]
    assert keys["ignored"] == ["mask_decoder.iou_token.weight"]
    assert found.metadata.stages[0]["sam"] == keys["sha256"]
    assert str(tmp_path) not in str(found.metadata)
    assert any(line.startswith("encoder of sam.pth: ") for line in said)


def test_recipes_of_checkpoints(sam_file):
    plain = recipe()
    assert recipe(compile=True, loaders=4).digest() == plain.digest()
    assert recipe(sam=str(sam_file)).digest() != plain.digest()
    assert recipe(sam=str(sam_file)).digest() != recipe(sam=str(sam_file), sam_pixels="medsam").digest()
    assert recipe(context_size=96).network.context_size == 96
    for more, message in (
        ({"sam": "a.pth", "initial": "b.safetensors"}, "give one of them"),
        ({"sam_pixels": "medsam"}, "give that too"),
        ({"context_size": 100}, "multiple of 32"),
        ({"loaders": 0}, "greater than or equal to 1"),
    ):
        with pytest.raises(RecipeError, match=message):
            recipe(**more)
    with pytest.raises(UserError, match="no checkpoint at"):
        recipe(sam="nowhere.pth").digest()
