"""The network: shapes, names, what each part does and does not change. Tiny sizes, random weights."""

import copy
from dataclasses import replace
from functools import partial

import pytest

torch = pytest.importorskip("torch")
sam = pytest.importorskip("segment_anything.modeling.image_encoder")

from retsam.segmentation.network.config import CHANNELS, FINE, HEADS, PRESETS, WIDE, NetworkConfig  # noqa: E402
from retsam.segmentation.network.encoder import BottleneckAdapter, SamMed2dAdapter, build_encoder  # noqa: E402
from retsam.segmentation.network.fast import prepare  # noqa: E402
from retsam.segmentation.network.fusion import FusionBlock, PlainSum  # noqa: E402
from retsam.segmentation.network.model import PRIOR, SHARED, Logits, RetSAM, whole_frame_box  # noqa: E402
from retsam.segmentation.network.normalise import detail_input, sample_box, statistics  # noqa: E402
from retsam.taxonomy import TARGETS  # noqa: E402

TINY = NetworkConfig(
    "test",
    detail_size=256,
    context_size=128,
    embed_dim=32,
    depth=2,
    num_heads=4,
    window_size=4,
    global_blocks=(1,),
    neck_channels=16,
    widths=(4, 4, 8, 8, 16),
)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def frames(size=256, context=128, batch=1):
    """Smooth pictures with a round field of view, and the same smaller for the encoder."""
    coarse = torch.rand(batch, 3, size // 16, size // 16)
    picture = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    picture = (0.8 * picture + 0.2 * torch.rand(batch, 3, size, size)).clamp(0, 1)
    at = (torch.arange(size) + 0.5) / size * 2 - 1
    fov = ((at[:, None] ** 2 + at[None] ** 2) <= 1.0).float().expand(batch, 1, size, size)
    small = torch.nn.functional.avg_pool2d(picture, size // context)
    small_fov = (torch.nn.functional.avg_pool2d(fov, size // context) > 0.5).float()
    return picture * fov, fov, small * small_fov, small_fov


def with_spread_statistics(model):
    """Give a network gates and running statistics as if it had been trained."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        if isinstance(module, FusionBlock):
            torch.nn.init.uniform_(module.gate, -1, 1)
            torch.nn.init.normal_(module.channel.weight, std=3.0)
            torch.nn.init.normal_(module.project.weight, std=1.0)
    return model.eval()


def test_a_branch_changes_its_own_head_only():
    plain, branched = RetSAM(TINY), RetSAM(replace(TINY, branches=("vessels",)))
    with_spread_statistics(plain)
    shared = plain.state_dict()
    branch = {f"branches.vessels.{n}": t for n, t in shared.items() if n.split(".")[0] in SHARED}
    branched.load_state_dict(shared | branch)
    branched.eval()
    views = (*frames(), whole_frame_box(1))
    with torch.no_grad():
        before = plain(*views)
        same = branched(*views)
        assert torch.equal(before.fine, same.fine) and torch.equal(before.wide, same.wide)
        branched.branches["vessels"].up4.below.weight.add_(0.3)
        other = branched(*views)
        folded = prepare(branched)(*views)
    differ = [c for c, a, b in zip(FINE, before.fine[0], other.fine[0], strict=True) if not torch.equal(a, b)]
    assert differ == ["vessel", "artery", "vein"]
    assert torch.equal(before.wide, other.wide)
    torch.testing.assert_close(folded.fine, other.fine, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="no head is named 'vessel'"):
        replace(TINY, branches=("vessel",))


@pytest.mark.parametrize("branches", [(), ("vessels",)])
def test_only_the_heads_that_are_asked_for_are_computed(branches):
    model = with_spread_statistics(RetSAM(replace(TINY, branches=branches)))
    views = (*frames(), whole_frame_box(1))
    with torch.no_grad():
        full, part = model(*views), model(*views, heads={"vessels", "disc_fovea"})
    known = {"vessel", "artery", "vein", "optic_disc", "optic_cup", "fovea"}
    for names, a, b in ((FINE, full.fine[0], part.fine[0]), (WIDE, full.wide[0], part.wide[0])):
        for name, whole, some in zip(names, a, b, strict=True):
            assert torch.equal(some, whole if name in known else torch.full_like(some, PRIOR))


def test_every_target_has_one_channel_in_a_fixed_order():
    assert sorted(CHANNELS) == sorted(TARGETS)
    assert tuple(t for head in HEADS for t in head.targets) == CHANNELS == FINE + WIDE
    assert CHANNELS[:3] == ("vessel", "artery", "vein")


def test_logits_have_their_own_resolution_and_come_in_the_order_of_the_channels():
    model = RetSAM(TINY).eval()
    for head in HEADS:  # make every channel say its own number
        out = model.heads[head.name].out
        torch.nn.init.zeros_(out.weight)
        out.bias.data = torch.tensor([float(CHANNELS.index(t)) for t in head.targets])
    picture, fov, context, context_fov = frames(batch=2)
    logits = model(picture[:, :, :128, :64], fov[:, :, :128, :64], context, context_fov, whole_frame_box(2))
    assert logits.fine.shape == (2, len(FINE), 128, 64)
    assert logits.wide.shape == (2, len(WIDE), 32, 16)
    assert logits.full().shape == (2, len(CHANNELS), 128, 64)
    assert torch.allclose(logits.full().mean((0, 2, 3)), torch.arange(len(CHANNELS)).float())


def test_a_crop_says_what_the_whole_frame_says_there():
    """Away from the crop's border; equal to rounding, since both see the same context."""
    model = with_spread_statistics(RetSAM(TINY))
    picture, fov, context, context_fov = frames()
    cut = slice(32, 256)
    box = torch.tensor([[32 / 256, 32 / 256, 1.0, 1.0]])
    with torch.no_grad():
        whole = model(picture, fov, context, context_fov, whole_frame_box(1)).full()
        crop = model(picture[..., cut, cut], fov[..., cut, cut], context, context_fov, box).full()
    border = 112  # what the deepest convolutions and the enlargements reach
    inner = (slice(None), slice(None), slice(border, 224), slice(border, 224))
    spread = whole[..., cut, cut][inner].std(dim=(2, 3)).mean()
    assert (whole[..., cut, cut][inner] - crop[inner]).abs().max() < 1e-3 * spread


def test_prediction_does_not_see_what_lies_outside_the_field():
    model = with_spread_statistics(RetSAM(TINY))
    picture, fov, context, context_fov = frames()
    with torch.no_grad():
        a = model(picture, fov, context, context_fov, whole_frame_box(1)).full()
        b = model(picture + 0.7 * (1 - fov), fov, context + 0.7 * (1 - context_fov), context_fov, whole_frame_box(1))
    assert torch.allclose(a, b.full(), atol=1e-5)


def test_fusion_with_a_closed_gate_returns_the_transformers_features_bit_by_bit():
    block = FusionBlock(16, 8)
    t, c = torch.randn(2, 16, 4, 4), torch.randn(2, 8, 4, 4)
    assert torch.equal(block(t, c, t.mean((2, 3))), t)
    torch.nn.init.constant_(block.gate, 0.5)
    assert not torch.allclose(block(t, c, t.mean((2, 3))), t)


def test_plain_sum_is_a_sum():
    block = PlainSum(16, 8)
    t, c = torch.randn(2, 16, 4, 4), torch.randn(2, 8, 4, 4)
    assert torch.equal(block(t, c, t.mean((2, 3))), t + block.project(c))


def stock_encoder(config):
    return sam.ImageEncoderViT(
        img_size=config.context_size,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        out_chans=config.neck_channels,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=config.window_size,
        global_attn_indexes=config.global_blocks,
    )


def test_the_encoder_is_the_one_of_segment_anything():
    stock, ours = stock_encoder(TINY), build_encoder(TINY)
    assert {k: v.shape for k, v in stock.state_dict().items()} == {k: v.shape for k, v in ours.state_dict().items()}
    stock.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 128, 128)
    assert torch.equal(stock(x), ours(x))
    names = {k.removeprefix("image_encoder.") for k in RetSAM(TINY).state_dict() if k.startswith("image_encoder.")}
    assert names == set(stock.state_dict())


def test_sam_med2d_adapters_add_six_tensors_a_block_with_their_names():
    plain, adapted = (build_encoder(replace(TINY, adapters=kind)).state_dict() for kind in ("none", "sam_med2d"))
    added = {name: tuple(adapted[name].shape) for name in sorted(set(adapted) - set(plain))}
    expected = {
        "norm.weight": (32,),
        "norm.bias": (32,),
        "channel.0.weight": (8, 32),
        "channel.2.weight": (32, 8),
        "spatial.0.weight": (32, 32, 3, 3),
        "spatial.2.weight": (32, 32, 4, 4),
    }
    assert added == {f"blocks.{i}.Adapter.{k}": shape for i in range(2) for k, shape in expected.items()}
    assert set(plain) < set(adapted)


def test_bottleneck_adapters_start_as_identity_and_then_change_the_output():
    plain, adapted = build_encoder(TINY), build_encoder(replace(TINY, adapters="bottleneck"))
    missing, unexpected = adapted.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert missing
    assert all(".Adapter." in name for name in missing)
    x = torch.randn(1, 3, 128, 128)
    assert torch.equal(plain(x), adapted(x))
    torch.nn.init.normal_(adapted.blocks[0].Adapter.up.weight)
    assert not torch.allclose(plain(x), adapted(x))


def test_a_copy_of_an_adapted_encoder_uses_its_own_adapters():
    encoder = build_encoder(replace(TINY, adapters="bottleneck"))
    twin = copy.deepcopy(encoder)
    torch.nn.init.normal_(twin.blocks[0].Adapter.up.weight)
    x = torch.randn(1, 3, 128, 128)
    assert not torch.allclose(encoder(x), twin(x))


def test_bottleneck_adapter_keeps_the_shape():
    x = torch.randn(2, 3, 5, 16)
    assert torch.equal(BottleneckAdapter(16)(x), torch.zeros_like(x))


SWITCHES = [
    {"detail": False},
    {"fusion": False},
    {"adapters": "bottleneck"},
    {"adapters": "sam_med2d"},
    {"use_abs_pos": False},
]


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_switches_for_ablation(switch):
    """Each gives another network of the same output, all of whose parameters learn."""
    config = replace(TINY, **switch)
    model = with_spread_statistics(RetSAM(config))
    for module in model.modules():
        if isinstance(module, BottleneckAdapter):  # its first layer learns once the second has left zero
            torch.nn.init.normal_(module.up.weight)
        elif isinstance(module, SamMed2dAdapter):  # as above: its normalisation
            torch.nn.init.ones_(module.norm.weight)
    assert set(model.state_dict()) != set(RetSAM(TINY).state_dict())
    logits = model(*frames(), whole_frame_box(1))
    assert logits.full().shape == (1, len(CHANNELS), 256, 256)
    sum(x.square().sum() for x in logits).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_without_the_detail_branch_the_crop_has_no_influence():
    model = RetSAM(replace(TINY, detail=False)).eval()
    picture, fov, context, context_fov = frames()
    a, b = (model(x, fov, context, context_fov, whole_frame_box(1)).fine for x in (picture, 1 - picture))
    assert torch.equal(a, b)


def test_the_shipped_preset_is_small_enough():
    assert sum(p.numel() for p in RetSAM(PRESETS["retsam-tiny"]).parameters()) <= 8_000_000


def test_larger_presets_have_sams_own_encoder():
    with torch.device("meta"):
        encoder = build_encoder(PRESETS["retsam-b"])
    assert sum(p.numel() for p in encoder.parameters()) == 89_670_912
    assert encoder.blocks[2].attn.rel_pos_h.shape == (127, 64)
    assert encoder.blocks[0].attn.rel_pos_h.shape == (27, 64)


def test_config_goes_through_json_values_and_refuses_nonsense():
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY.as_dict().items()}
    assert NetworkConfig.from_dict(values) == TINY
    with pytest.raises(TypeError):
        NetworkConfig.from_dict({**values, "heads": 3})
    with pytest.raises(ValueError, match="context_size is 100"):
        replace(TINY, context_size=100)


def test_prepared_network_gives_the_same_logits_to_rounding():
    model = with_spread_statistics(RetSAM(replace(TINY, adapters="bottleneck")))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    args = (*frames(), whole_frame_box(1))
    with torch.no_grad():
        expected = model(*args).full()
        exact = prepare(model)(*args).full()
        rough = prepare(model, torch.bfloat16)(*args).full()
    assert torch.allclose(exact, expected, atol=1e-4)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - expected).abs().mean() < 0.02 * expected.std() + 0.02
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in prepare(model).modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_normalisation_does_not_see_gain_nor_what_lies_outside_the_field():
    picture, fov, context, context_fov = frames()
    box = whole_frame_box(1)

    def local(gain, outside):
        light = statistics(gain * context + outside * (1 - context_fov), context_fov)
        return detail_input(gain * picture + outside * (1 - fov), fov, light, box)[:, :3]

    reference = local(1.0, 0.0)
    assert torch.allclose(local(0.5, 0.0), reference, atol=1e-3)
    assert torch.allclose(local(1.0, 0.9), reference, atol=1e-5)
    assert (reference * (1 - fov)).abs().max() == 0
    inside = reference[fov.expand_as(reference) > 0]
    assert abs(float(inside.mean())) < 0.1
    assert 0.5 < float(inside.std()) < 2.0


def test_sampling_a_box_is_cutting_where_pixels_coincide_in_any_dtype():
    x = torch.arange(64 * 64.0).reshape(1, 1, 64, 64) / 4096
    box = torch.tensor([[0.25, 0.5, 0.5, 0.75]])
    assert torch.allclose(sample_box(x, box, (16, 16)), x[..., 32:48, 16:32], atol=1e-6)
    rough = sample_box(x.bfloat16(), box, (16, 16))
    assert torch.allclose(rough.float(), x[..., 32:48, 16:32], atol=2e-3)


def test_full_enlarges_the_wide_planes_in_place():
    logits = Logits(torch.zeros(1, len(FINE), 16, 16), torch.zeros(1, len(WIDE), 4, 4))
    logits.wide[0, 0, 1, 2] = 1.0
    full = logits.full()[0, len(FINE)]
    assert full[5:7, 9:11].min() > full[:, :6].max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_says_what_the_cpu_says():
    model = with_spread_statistics(RetSAM(TINY))
    args = (*frames(), whole_frame_box(1))
    with torch.no_grad():
        expected = model(*args).full()
        got = prepare(model).cuda()(*(x.cuda() for x in args)).full().cpu()
    assert torch.allclose(got, expected, atol=1e-2)
