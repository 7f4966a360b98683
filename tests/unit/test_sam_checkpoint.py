"""Encoders from SAM, MedSAM and SAM-Med2D checkpoints, on small ones in the official layouts; none is downloaded."""

import json
from dataclasses import replace
from functools import partial

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from safetensors.torch import save_file  # noqa: E402
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # noqa: E402

from retsam.errors import UserError  # noqa: E402
from retsam.segmentation.network.config import PRESETS, NetworkConfig  # noqa: E402
from retsam.segmentation.network.encoder import MEAN, STD, build_encoder  # noqa: E402
from retsam.segmentation.network.model import RetSAM  # noqa: E402
from retsam.segmentation.network.sam import infer_form, load_sam, read_tensors, resize_relative  # noqa: E402

TINY = NetworkConfig(
    "test",
    detail_size=128,
    context_size=128,
    embed_dim=32,
    depth=2,
    num_heads=4,
    window_size=3,
    global_blocks=(1,),
    neck_channels=16,
    widths=(4, 8, 8, 8, 16),
)
SIZE = 128


def vit(size=SIZE, window=3, global_blocks=(1,), width=32, depth=2):
    """segment-anything's encoder, small, every tensor of it random."""
    encoder = ImageEncoderViT(
        img_size=size,
        embed_dim=width,
        depth=depth,
        num_heads=4,
        out_chans=16,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=global_blocks,
    )
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return encoder.eval()


def sam(size=SIZE, **more):
    """Build a whole SAM, small: its state dict has the official names."""
    prompts = PromptEncoder(16, (size // 16, size // 16), (size, size), 16)
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=16, mlp_dim=32, num_heads=2),
        transformer_dim=16,
    )
    return Sam(vit(size, **more), prompts, decoder)


@pytest.fixture(scope="module")
def stock():
    torch.manual_seed(0)
    return sam()


@pytest.fixture(scope="module")
def checkpoint(stock, tmp_path_factory):
    path = tmp_path_factory.mktemp("sam") / "sam_vit_test.pth"
    torch.save(stock.state_dict(), path)
    return path


def loaded_encoder(path, config=TINY, pixels=None):
    encoder = build_encoder(config)
    found = load_sam(path, config, pixels)
    weights = {k.removeprefix("image_encoder."): v for k, v in found.weights.items()}
    problems = encoder.load_state_dict(weights, strict=False)
    assert not problems.unexpected_keys
    assert {f"image_encoder.{k}" for k in problems.missing_keys} == set(found.report.missing)
    return encoder.eval(), found


def test_the_encoder_of_a_checkpoint_is_segment_anythings_exactly(stock, checkpoint):
    encoder, found = loaded_encoder(checkpoint)
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(encoder(x), stock.image_encoder(x))
    encoder_names = {k for k in stock.state_dict() if k.startswith("image_encoder.")}
    assert set(found.report.loaded) == encoder_names
    assert not (found.report.resized or found.report.missing or found.report.unexpected)
    assert set(found.report.ignored) == set(stock.state_dict()) - encoder_names
    assert found.form.global_blocks == (1,)
    assert not found.form.adapters
    assert len(found.sha256) == 64
    json.dumps(found.report.as_dict())


def test_a_network_starts_from_it(checkpoint):
    model = RetSAM(TINY)
    found = load_sam(checkpoint, TINY)
    problems = model.load_state_dict(found.weights, strict=False)
    assert not problems.unexpected_keys
    assert not any(k.startswith("image_encoder.") for k in problems.missing_keys)


LAYOUTS = {
    "flat": lambda state: state,
    "model": lambda state: {"model": state},
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "parallel": lambda state: {f"module.{k}": v for k, v in state.items()},
    "both": lambda state: {"model": {f"module.{k}": v for k, v in state.items()}},
    "compiled": lambda state: {f"_orig_mod.{k}": v for k, v in state.items()},
    "half": lambda state: {k: v.half() for k, v in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_encoder(stock, tmp_path, layout):
    torch.save(layout(stock.state_dict()), tmp_path / "x.pth")
    found = load_sam(tmp_path / "x.pth", TINY)
    for name, tensor in stock.state_dict().items():
        if name.startswith("image_encoder."):
            assert torch.allclose(found.weights[name], tensor, atol=2e-3)
            assert found.weights[name].dtype == torch.float32


def test_safetensors_old_files_and_encoders_alone(stock, tmp_path):
    state = stock.state_dict()
    alone = stock.image_encoder.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    torch.save(alone, tmp_path / "c.pth")
    for name in ("a.safetensors", "b.pth", "c.pth"):
        weights = load_sam(tmp_path / name, TINY).weights
        assert all(torch.equal(weights[f"image_encoder.{k}"], v) for k, v in alone.items())


class Adapter(torch.nn.Module):
    """Tensors of SAM-Med2D's adapter under its official names."""

    def __init__(self, width):
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.channel = torch.nn.Sequential(
            torch.nn.Linear(width, width // 4, bias=False),
            torch.nn.ReLU(),
            torch.nn.Linear(width // 4, width, bias=False),
            torch.nn.Sigmoid(),
        )
        self.spatial = torch.nn.Sequential(
            torch.nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            torch.nn.ReLU(),
            torch.nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False),
            torch.nn.ReLU(),
        )


MED2D = replace(TINY, context_size=64)


@pytest.fixture(scope="module")
def med2d(tmp_path_factory):
    """As SAM-Med2D saves it: a smaller size, adapters, a level ``model`` and a whole optimizer beside it."""
    torch.manual_seed(1)
    model = sam(64)
    for block in model.image_encoder.blocks:
        block.Adapter = Adapter(32)
    optimizer = torch.optim.Adam(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    path = tmp_path_factory.mktemp("med2d") / "sam-med2d_test.pth"
    torch.save({"model": model.state_dict(), "optimizer": optimizer}, path)
    return path, model


def test_sam_med2d_with_its_adapters_and_its_optimizer(med2d):
    path, model = med2d
    with pytest.raises(Exception, match="Weights only"):
        torch.load(path, weights_only=True)
    encoder, found = loaded_encoder(path, replace(MED2D, adapters="sam_med2d"), pixels="sam")
    assert found.form.adapters
    assert len([k for k in found.report.loaded if ".Adapter." in k]) == 12
    assert not (found.report.missing or found.report.resized or found.report.unexpected)
    state = encoder.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in model.image_encoder.state_dict().items())


def test_adapters_of_a_file_are_left_out_where_the_network_has_none(med2d):
    path, model = med2d
    encoder, found = loaded_encoder(path, MED2D, pixels="sam")
    assert len(found.report.unexpected) == 12
    assert all(".Adapter." in k for k in found.report.unexpected)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(encoder(x), model.image_encoder(x))  # stock blocks do not use them either


@pytest.mark.parametrize("kind", ["bottleneck", "sam_med2d"])
def test_new_adapters_do_not_disturb_what_was_loaded(stock, checkpoint, kind):
    encoder, found = loaded_encoder(checkpoint, replace(TINY, adapters=kind))
    assert found.report.missing
    assert all(".Adapter." in k for k in found.report.missing)
    x = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(encoder(x), stock.image_encoder(x))


def test_another_size_resizes_positions_by_kind_of_block(stock, checkpoint):
    larger = replace(TINY, context_size=256)
    _, found = loaded_encoder(checkpoint, larger)
    state = stock.image_encoder.state_dict()
    assert set(found.report.resized) == {
        f"image_encoder.{k}" for k in ("pos_embed", "blocks.1.attn.rel_pos_h", "blocks.1.attn.rel_pos_w")
    }
    windowed = "blocks.0.attn.rel_pos_h"
    assert torch.equal(found.weights[f"image_encoder.{windowed}"], state[windowed])
    assert found.weights["image_encoder.blocks.1.attn.rel_pos_h"].shape == (31, 8)
    positions = found.weights["image_encoder.pos_embed"]
    assert positions.shape == (1, 16, 16, 32)
    assert torch.allclose(positions.mean((1, 2)), state["pos_embed"].mean((1, 2)), atol=0.02)


def test_resized_relative_positions_are_what_sam_makes_of_them_itself(stock, checkpoint):
    """SAM resizes relative positions while it runs; ours are resized once, and the output is the same."""
    encoder, _ = loaded_encoder(checkpoint, replace(TINY, context_size=192))
    other = vit(192)
    other.load_state_dict(
        {k: v for k, v in encoder.state_dict().items() if "rel_pos" not in k}
        | {k: v for k, v in other.state_dict().items() if "rel_pos" in k}
    )
    for block, source in zip(other.blocks, stock.image_encoder.blocks, strict=True):
        block.attn.rel_pos_h, block.attn.rel_pos_w = source.attn.rel_pos_h, source.attn.rel_pos_w
    x = torch.randn(1, 3, 192, 192)
    with torch.no_grad():
        assert torch.allclose(encoder(x), other(x), atol=1e-5)
    ramp = torch.linspace(0, 1, 15)[:, None]
    assert torch.allclose(resize_relative(resize_relative(ramp, 31), 15)[3:-3], ramp[3:-3], atol=0.02)


def test_pixels_of_another_convention_are_put_into_the_patch_embedding(stock, checkpoint):
    """An encoder that was given 0-1, or blue for red, gives the same for a photograph that is normalised as ours."""
    rgb = torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64) * 255
    mean, std = (torch.tensor(x, dtype=torch.float64)[:, None, None] for x in (MEAN, STD))
    ours = ((rgb - mean) / std).float()
    theirs = {"sam": ours, "medsam": (rgb / 255).float(), "sam_med2d": ((rgb.flip(1) - mean) / std).float()}
    for pixels, x in theirs.items():
        encoder, _ = loaded_encoder(checkpoint, pixels=pixels)
        with torch.no_grad():
            assert torch.allclose(encoder(ours), stock.image_encoder(x), atol=1e-4), pixels


def test_a_file_with_adapters_is_taken_as_sam_med2d(med2d):
    path, _ = med2d
    by_itself, asked = load_sam(path, MED2D).weights, load_sam(path, MED2D, "sam_med2d").weights
    assert all(torch.equal(by_itself[k], asked[k]) for k in asked)
    name = "image_encoder.patch_embed.proj.weight"
    assert not torch.equal(load_sam(path, MED2D, "sam").weights[name], asked[name])


@pytest.mark.parametrize("name", ["retsam-b", "retsam-l", "retsam-h"])
def test_official_shapes_are_recognised(name):
    config = PRESETS[name]
    with torch.device("meta"):
        shapes = build_encoder(config).state_dict()
    form = infer_form(shapes)
    assert form.preset == name
    assert form.grid == 64
    assert form.global_blocks == config.global_blocks
    assert tuple(shapes["blocks.0.attn.rel_pos_h"].shape) == (27, config.embed_dim // config.num_heads)


def changed(state, change):
    return {k: v for k, v in ((k, change(k, v)) for k, v in state.items()) if v is not None}


MISTAKES = {
    "lacks 3 tensors": (lambda k, v: None if ".neck.1." in k or k.endswith("1.mlp.lin1.bias") else v, TINY),
    "(neck.1.weight, neck.1.bias)": (lambda k, v: None if ".neck.1." in k else v, TINY),
    "1 tensors of another shape": (lambda k, v: v[:5] if k.endswith("0.norm1.bias") else v, TINY),
    "not finite": (lambda k, v: v * float("nan") if k.endswith("0.norm1.bias") else v, TINY),
    "no image encoder of SAM": (lambda k, v: None if "patch_embed" in k else v, TINY),
    "64 wide, 2 blocks": (lambda k, v: v, replace(TINY, embed_dim=64)),
    "no preset has this form": (lambda k, v: v, PRESETS["retsam-b"]),
    "global attention in blocks 1, test in 0": (lambda k, v: v, replace(TINY, global_blocks=(0,))),
    "is not SAM's": (lambda k, v: v[..., :14, :14] if "patch_embed.proj.w" in k else v, TINY),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items(), ids=MISTAKES)
def test_gaps_are_one_sentence(stock, tmp_path, message, mistake):
    change, config = mistake
    torch.save(changed(stock.state_dict(), change), tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"x\.pth") as caught:
        load_sam(tmp_path / "x.pth", config)
    assert message in str(caught.value)


def test_a_wrong_preset_names_the_right_one(tmp_path):
    with torch.device("meta"):
        shapes = build_encoder(replace(PRESETS["retsam-b"], context_size=64)).state_dict()
    torch.save({k: torch.zeros(()).expand(v.shape) for k, v in shapes.items()}, tmp_path / "b.pth")
    with pytest.raises(UserError, match="use preset: retsam-b"):
        load_sam(tmp_path / "b.pth", PRESETS["retsam-l"])


class Trap:
    """What an attacker would put into a file: reading it would run a program."""

    ran = False

    def __reduce__(self):
        return _spring, ()


def _spring():
    Trap.ran = True
    return {}


def test_no_code_of_a_file_is_run(stock, tmp_path):
    torch.save({"model": stock.state_dict(), "trap": Trap()}, tmp_path / "x.pth")
    assert len(read_tensors(tmp_path / "x.pth")) == len(stock.state_dict())
    assert not Trap.ran


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_files_of_another_kind_are_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="no checkpoint that can be read safely"):
        read_tensors(tmp_path / name)


def test_other_contents_and_no_file_are_one_sentence(tmp_path):
    torch.save([1, 2], tmp_path / "x.pth")
    with pytest.raises(UserError, match="holds a list"):
        read_tensors(tmp_path / "x.pth")
    with pytest.raises(UserError, match="no checkpoint at"):
        read_tensors(tmp_path / "y.pth")
