"""A network as an engine: what every engine promises, with random weights; and what is done after the network."""

import inspect
import math
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")
pytest.importorskip("safetensors")

from typer.testing import CliRunner  # noqa: E402

from retsam import cli  # noqa: E402
from retsam.cli import app  # noqa: E402
from retsam.config import parse_config  # noqa: E402
from retsam.errors import UserError  # noqa: E402
from retsam.evaluation import evaluate  # noqa: E402
from retsam.io.frames import load_frame  # noqa: E402
from retsam.io.masks import decode  # noqa: E402
from retsam.phantom import render  # noqa: E402
from retsam.segmentation import DEFAULT_MODEL, SegmentationEngine, load_engine, segment_table  # noqa: E402
from retsam.segmentation import engine as engines  # noqa: E402
from retsam.segmentation.network.checkpoint import Metadata, TargetRecord, load, save  # noqa: E402
from retsam.segmentation.network.config import CHANNELS, FINE, HEADS, WIDE, NetworkConfig  # noqa: E402
from retsam.segmentation.network.engine import NetworkEngine  # noqa: E402
from retsam.segmentation.network.findings import DEFAULT_DIAMETER, circle, disc_part, find, peak  # noqa: E402
from retsam.segmentation.network.maps import FrameMaps  # noqa: E402
from retsam.segmentation.network.model import RetSAM, whole_frame_box  # noqa: E402
from retsam.segmentation.weights import evidence_of  # noqa: E402
from retsam.status import Status  # noqa: E402
from retsam.tables import MASKS, conform, read_metadata, read_table  # noqa: E402
from retsam.taxonomy import TARGETS, Evidence  # noqa: E402

SIZE = 128

TINY = NetworkConfig(
    "test",
    detail_size=SIZE,
    context_size=64,
    embed_dim=16,
    depth=2,
    num_heads=2,
    window_size=2,
    global_blocks=(1,),
    neck_channels=8,
    widths=(4, 4, 4, 8, 8),
)

# Written in another order than the taxonomy's, and not all of it.
DECLARED = ("drusen", "fovea", "vein", "optic_cup", "vessel", "optic_disc", "artery", "tessellation", "hemorrhage")


def random_network():
    """Random weights; on a phantom, every map is above one half on half of the frame."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = RetSAM(TINY).eval()
        for head in model.heads.values():
            torch.nn.init.normal_(head.out.weight, std=3.0)
            torch.nn.init.zeros_(head.out.bias)
    picture = torch.from_numpy(render(0, SIZE).image.copy()).permute(2, 0, 1)[None, :, :SIZE, :SIZE] / 255.0
    fov = (picture.amax(1, keepdim=True) > 0.05).float()
    small, small_fov = (torch.nn.functional.avg_pool2d(x, 2) for x in (picture, fov))
    with torch.no_grad():
        logits = model(picture, fov, small, small_fov.round(), whole_frame_box(1)).full()[0]
        for head in HEADS:
            at = [CHANNELS.index(name) for name in head.targets]
            model.heads[head.name].out.bias.copy_(-logits[at].flatten(1).quantile(0.5, dim=1))
    return model


def write(path, **thresholds):
    """Save them, with 0.5 as the threshold unless told."""
    records = {name: TargetRecord("phantom", thresholds.get(name, 0.5), {}) for name in DECLARED}
    records["vessel"] = replace(records["vessel"], evidence="annotated")
    return save(path, TINY, random_network().state_dict(), Metadata("test", records, (), (), "MIT", "0"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    write(folder / "tiny.safetensors")
    write(folder / "blind.safetensors", **dict.fromkeys(DECLARED, 1.0))
    for seed in range(3):
        Image.fromarray(render(seed, SIZE).image).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    return load_engine(str(folder / "tiny.safetensors"), device="cpu")


@pytest.fixture(scope="module")
def blind(folder):
    return load_engine(str(folder / "blind.safetensors"), device="cpu")


def frames(folder, size=SIZE):
    framed = [load_frame(folder / f"{seed}.png", size) for seed in range(3)]
    return np.stack([f.image for f in framed]), np.stack([f.fov for f in framed])


def assert_same(a, b):
    assert a.status == b.status and a.points == b.points
    for kind in ("masks", "probability"):
        left, right = getattr(a, kind), getattr(b, kind)
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def test_what_it_declares(engine, folder):
    assert isinstance(engine, SegmentationEngine)
    assert list(engine.targets) == list(engine.thresholds) == [name for name in TARGETS if name in DECLARED]
    assert engine.targets["vessel"] is Evidence.ANNOTATED and engine.targets["drusen"] is Evidence.PHANTOM
    assert (engine.name, engine.device, engine.preferred_batch, engine.concurrent) == ("test", "cpu", 1, False)
    assert engine.weights_hash == load(folder / "tiny.safetensors").sha256


@pytest.mark.parametrize("size", [64, SIZE, 192])
def test_contract_of_a_prediction(engine, folder, size):
    images, fov = frames(folder, size)
    for found, inside in zip(engine.predict(images, fov), fov, strict=True):
        assert list(found.status) == list(engine.targets)
        ok = [name for name in found.status if found.status[name] == Status.OK]
        assert set(found.masks) == set(ok)
        assert {"vessel", "artery", "vein", "tessellation", "drusen", "hemorrhage", *ok} == set(found.probability)
        for mask in found.masks.values():
            assert mask.shape == (size, size) and mask.dtype == bool and not mask[~inside].any()
        for values in found.probability.values():
            assert values.shape == (size, size) and values.dtype == np.float32
            assert values.min() >= 0 and values.max() <= 1 and not values[~inside].any()
        assert set(found.points) == {"optic_disc", "fovea"} & set(ok)
        x, y = found.points["fovea"]
        assert found.masks["fovea"][round(y), round(x)]
        if "optic_cup" in ok:
            assert not (found.masks["optic_cup"] & ~found.masks["optic_disc"]).any()
        for name in ("artery", "vein"):
            assert not (found.masks[name] & ~found.masks["vessel"]).any()
        np.testing.assert_array_equal(found.masks["drusen"], (found.probability["drusen"] > 0.5) & inside)


def test_another_size_shifts_nothing(folder):
    """Every pixel doubled: averaging gives the same frame back, so the maps differ by their enlargement alone."""
    engine = NetworkEngine(load(folder / "tiny.safetensors"), "cpu", torch.float32)
    images, fov = frames(folder)
    small = engine.predict(images[:1], fov[:1])[0]
    large = engine.predict(*(x[:1].repeat(2, axis=1).repeat(2, axis=2) for x in (images, fov)))[0]
    centre = slice(SIZE // 4, 3 * SIZE // 4)
    for name in ("vessel", "tessellation"):
        again = large.probability[name].reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
        errors = [
            np.abs(np.roll(again, shift, axis=1) - small.probability[name])[centre, centre].mean()
            for shift in (0, 1, -1)
        ]
        assert errors[0] < 0.03 and errors[0] < min(errors[1:]), (name, errors)


def test_no_mask_is_trivial(engine, folder):
    """Otherwise the tests here would look at nothing."""
    images, fov = frames(folder)
    found = engine.predict(images[:1], fov[:1])[0]
    for name, mask in found.masks.items():
        assert 0 < mask.sum() < fov[0].sum(), name
    assert {"optic_disc", "fovea", "vessel", "drusen"} <= set(found.masks)


def test_nothing_found(blind, folder):
    images, fov = frames(folder)
    found = blind.predict(images[:1], fov[:1])[0]
    seen = {"tessellation", "drusen", "hemorrhage"}
    assert {name for name, status in found.status.items() if status == Status.OK} == seen
    assert set(found.status.values()) == {Status.OK, Status.NOT_VISIBLE}
    assert set(found.masks) == seen and not any(mask.any() for mask in found.masks.values())
    assert set(found.probability) == seen | {"vessel", "artery", "vein"}
    assert found.points == {}


def test_batch_and_the_outside_have_no_influence(engine, folder):
    images, fov = frames(folder)
    together = engine.predict(images, fov)
    noisy = images.copy()
    noisy[~fov] = 200
    for number, found in enumerate(together):
        part = slice(number, number + 1)
        assert_same(found, engine.predict(images[part], fov[part])[0])
        assert_same(found, engine.predict(noisy[part], fov[part])[0])
    assert engine.predict(images[:0], fov[:0]) == []


def test_out_of_memory_halves_the_batch(folder, monkeypatch):
    engine = NetworkEngine(load(folder / "tiny.safetensors"), "cpu", torch.float32)
    images, fov = frames(folder)
    expected = engine.predict(images, fov)
    asked, whole = [], engine._model.forward

    def small(picture, *rest):
        asked.append(len(picture))
        if len(picture) > room:
            raise torch.OutOfMemoryError("too much")
        return whole(picture, *rest)

    monkeypatch.setattr(engine, "preferred_batch", 4)
    monkeypatch.setattr(engine._model, "forward", small)
    room = 1
    for found, wanted in zip(engine.predict(images, fov), expected, strict=True):
        assert found.status == wanted.status
    assert asked == [3, 1, 1, 1]
    room = 0
    with pytest.raises(torch.OutOfMemoryError):
        engine.predict(images, fov)


def test_batch_grows_as_long_as_it_fits(folder, monkeypatch):
    engine = NetworkEngine(load(folder / "tiny.safetensors"), "cpu", torch.float32)
    images, fov = (np.repeat(x[:1], 9, axis=0) for x in frames(folder))
    asked = []

    def small(images, fov):
        asked.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError("too much")
        return []

    monkeypatch.setattr(engine, "_largest", 64)
    monkeypatch.setattr(engine, "_maps", small)
    for count in (1, 2, 2, 4, 2, 2):
        engine._learn(count, fitted=engine._maps_or_none(images[:count], fov[:count]) is not None)
    assert asked == [1, 2, 2, 4, 2, 2]
    assert engine.preferred_batch == 2


def test_flips_are_the_mean_of_the_mirror_images(folder):
    checkpoint = load(folder / "tiny.safetensors")
    single, averaged = (NetworkEngine(checkpoint, "cpu", torch.float32, flips=flips) for flips in (False, True))
    assert averaged.settings == {"dtype": "float32", "flips": "true"} and single.settings["flips"] == "false"
    images, fov = (x[:1] for x in frames(folder))
    (found,) = averaged.predict(images, fov)
    parts = []
    for down, across in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        (part,) = single.predict(images[:, ::down, ::across], fov[:, ::down, ::across])
        parts.append(part.probability["vessel"][::down, ::across])
    np.testing.assert_allclose(found.probability["vessel"], np.mean(parts, axis=0), rtol=0, atol=1e-5)
    assert np.ptp(parts, axis=0).max() > 0.01  # the images do differ
    (mirrored,) = averaged.predict(images[:, :, ::-1], fov[:, :, ::-1])
    for name in ("vessel", "tessellation"):
        same = mirrored.probability[name][:, ::-1]
        np.testing.assert_allclose(found.probability[name], same, rtol=0, atol=1e-5)


def test_compilation_is_used_and_its_failure_costs_a_warning(folder, monkeypatch, caplog):
    images, fov = (x[:1] for x in frames(folder))
    checkpoint, used = load(folder / "tiny.safetensors"), []
    (expected,) = NetworkEngine(checkpoint, "cpu", torch.float32).predict(images, fov)

    def good(model):
        return lambda *inputs: used.append(1) or model(*inputs)

    def bad(model):
        def run(*inputs):
            raise RuntimeError("no compiler")

        return run

    for how, calls in ((good, 2), (bad, 0)):
        used.clear()
        monkeypatch.setattr(torch, "compile", how)
        engine = NetworkEngine(checkpoint, "cpu", torch.float32, compile=True)
        for _ in range(2):
            assert_same(engine.predict(images, fov)[0], expected)
        assert len(used) == calls
    assert [record.message for record in caplog.records] == [
        "torch.compile failed (RuntimeError); the network runs without it"
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine whose GPU cannot be used")
def test_a_gpu_that_fails_leaves_the_cpu(folder, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    engine = load_engine(str(folder / "tiny.safetensors"))
    assert engine.device == "cpu" and engine.preferred_batch == 1
    assert "the GPU cannot be used" in caplog.text
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises((RuntimeError, AssertionError)):
        load_engine(str(folder / "tiny.safetensors"), "cuda")


def test_types_agree(folder):
    images, fov = frames(folder)
    checkpoint = load(folder / "tiny.safetensors")
    exact, fast = (NetworkEngine(checkpoint, "cpu", t).predict(images, fov) for t in (torch.float32, torch.bfloat16))
    for a, b in zip(exact, fast, strict=True):
        assert np.abs(a.probability["vessel"] - b.probability["vessel"]).mean() < 0.02


def test_a_network_that_overflows_fails_aloud(folder, monkeypatch):
    engine = NetworkEngine(load(folder / "tiny.safetensors"), "cpu", torch.float32)
    engine._model.up8.below.weight.fill_(float("nan"))
    images, fov = frames(folder)
    with pytest.raises(RuntimeError, match="not finite in"):
        engine.predict(images, fov)


def test_maps_are_made_when_they_are_asked_for(engine, blind, folder, monkeypatch):
    """What is nowhere is not enlarged; what is enlarged is what it would be if all were."""
    images, fov = frames(folder, 192)
    made, make = [], FrameMaps._make
    monkeypatch.setattr(FrameMaps, "_make", lambda self, name: made.append(name) or make(self, name))
    found = blind.predict(images[:1], fov[:1])[0]
    assert made == []
    other = engine.predict(images[:1], fov[:1])[0]
    assert set(made) == set(DECLARED)
    for name in found.probability:
        np.testing.assert_array_equal(found.probability[name], other.probability[name])
    with pytest.raises(KeyError):
        found.probability["optic_disc"]


@pytest.mark.parametrize("size", [32, 64, 96])
def test_maps_are_those_of_the_formula(size):
    torch.manual_seed(3)
    fine, wide = torch.randn(len(FINE), 64, 64), torch.randn(len(WIDE), 16, 16)
    inside = (torch.rand(size, size) > 0.3).float()
    maps = FrameMaps(("fovea", "vessel"), fine, wide, inside)
    assert list(maps) == ["fovea", "vessel"] and "vein" not in maps
    resize = partial(torch.nn.functional.interpolate, size=(size, size))
    how = {"mode": "bilinear", "align_corners": False}
    heat = resize(wide[None], **how)[0, WIDE.index("fovea")].sigmoid() * inside
    vessel = resize(fine[None].sigmoid(), **({"mode": "area"} if size < 64 else how))[0, FINE.index("vessel")] * inside
    np.testing.assert_allclose(maps["fovea"], heat, rtol=0, atol=1e-6)
    np.testing.assert_allclose(maps["vessel"], vessel, rtol=0, atol=1e-6)
    for name in maps:
        top = float(maps[name].max())
        assert maps.reaches(name, np.nextafter(np.float32(top), np.float32(0))) and not maps.reaches(name, 1.0)
    with pytest.raises(FloatingPointError):
        FrameMaps(("vessel",), torch.full_like(fine, torch.inf), wide, inside)


def test_findings_do_not_depend_on_what_is_looked_at(folder):
    images, fov = frames(folder)
    engine = load_engine(str(folder / "tiny.safetensors"), device="cpu")
    maps = engine._maps(images[:1], fov[:1])[0]
    for threshold in (0.2, 0.5, 0.8, 0.97):
        at = dict.fromkeys(maps, threshold)
        assert_same(find(maps, at, fov[0], maps.reaches), find(dict(maps), at, fov[0]))


def test_segment_table(engine, folder):
    rows = {
        "image_id": ["0", "1", "gone"],
        "manifest_row": [1, 2, 3],
        "path": ["0.png", "1.png", "gone.png"],
        "eye": None,
        "um_per_px": np.nan,
        "file_bytes": 1,
        "status": "ok",
    }
    table = segment_table(pd.DataFrame(rows), folder, engine, frame_size=192, batch_size=2)
    assert conform(table, MASKS).num_rows == 2 * (1 + len(DECLARED)) + 1
    assert table.loc[table["image_id"] == "gone", "status"].tolist() == ["missing_file"]
    first = table[table["image_id"] == "0"].set_index("target")
    assert first.index.tolist() == ["fov", *engine.targets]
    fov = decode(first.loc["fov", "rle"], 192)
    for name in ("vessel", "drusen", "fovea"):
        mask = decode(first.loc[name, "rle"], 192)
        assert mask.any() and not (mask & ~fov).any()
        assert first.loc[name, "probability"] > 0
    assert first.loc["fovea", ["x", "y"]].notna().all()


def test_command_line(folder, tmp_path):
    out = tmp_path / "masks.parquet"
    weights = str(folder / "tiny.safetensors")
    arguments = ["segment", str(folder / "0.png"), "--model", weights, "--frame-size", "256", "--out", str(out)]
    for more, flips in (((), "false"), (("--flips",), "true")):
        done = CliRunner().invoke(app, [*arguments, "--device", "cpu", *more])
        assert done.exit_code == 0, done.output
        assert set(read_table(out)["target"]) == {"fov", *DECLARED}
        said = read_metadata(out)
        assert (said["flips"], said["model"], said["device"]) == (flips, "test", "cpu")


def test_default_model_is_one_constant():
    """Of commands, functions and studies alike; it is there, and a study of the defaults names it."""
    assert DEFAULT_MODEL in engines.models()
    assert parse_config({}).segmentation.model == DEFAULT_MODEL
    for function in (load_engine, evaluate):
        assert DEFAULT_MODEL in {p.default for p in inspect.signature(function).parameters.values()}
    for command in (cli.segment, cli.evaluate):
        assert inspect.signature(command).parameters["model"].default == DEFAULT_MODEL


def test_evidence_is_read_without_torch(folder):
    """Associations are computed in an environment that has none."""
    path = folder / "tiny.safetensors"
    assert evidence_of(str(path)) == {name: str(level) for name, level in load_engine(str(path)).targets.items()}
    assert list(evidence_of("classical")) == ["vessel", "optic_disc", "fovea"]
    code = (
        "import sys; from retsam.segmentation.weights import evidence_of;"
        f"evidence_of({str(path)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for text in (b"", b"hello, this is no such file"):
        (folder / "other.safetensors").write_bytes(text)
        with pytest.raises(UserError, match=r"other\.safetensors has no header that describes a RetSAM network"):
            evidence_of(str(folder / "other.safetensors"))
    (folder / "other.safetensors").unlink()


def test_names_and_files(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(engines, "WEIGHTS", tmp_path)
    with pytest.raises(UserError, match=r"no segmentation model 'retsam-b'; the models are classical, or give a file"):
        load_engine("retsam-b")
    with pytest.raises(UserError, match="no file of weights"):
        load_engine(str(folder / "none.safetensors"))
    with pytest.raises(UserError, match="no whole safetensors file"):
        (folder / "text.safetensors").write_text("hello")
        load_engine(str(folder / "text.safetensors"))
    with pytest.raises(UserError, match="no GPU 'cuda:99'"):
        load_engine(str(folder / "tiny.safetensors"), "cuda:99")
    monkeypatch.setattr(engines, "WEIGHTS", folder)
    assert engines.models() == ["blind", "classical", "text", "tiny"]
    assert load_engine("tiny", "cpu").targets


def heat(x, y, height=0.9, size=256):
    at = np.arange(size)
    distance = np.hypot((at - x)[None], (at - y)[:, None])
    return (height * np.exp(-0.5 * (distance / (0.012 * size)) ** 2)).astype(np.float32)


@pytest.mark.parametrize("place", [(100.0, 60.0), (100.3, 60.7), (31.49, 200.5)])
def test_peak_is_exact_to_a_fraction_of_a_pixel(place):
    fov = np.ones((256, 256), bool)
    values = heat(*place)
    values[40, 180] = 1.0  # a single bright pixel is no fovea
    assert peak(values, 0.5, fov) == pytest.approx(place, abs=0.05)
    assert peak(values, 0.9, fov) is None
    assert peak(np.zeros((256, 256), np.float32), 0.0, fov) is None


@pytest.mark.parametrize("side", [-1, 1])
def test_of_two_fovea_like_places_the_one_at_the_usual_distance_is_taken(side):
    """The higher peak lies above the disc; the other 2.5 disc diameters beside it, 7 degrees down, in either eye."""
    size, diameter = 256, 36.0
    fov = np.ones((size, size), bool)
    disc_at = (128.0 - side * 45.0, 120.0)
    disc = circle(disc_at, diameter, fov)
    turn = math.radians(7.0)
    usual = (disc_at[0] + side * 2.5 * diameter * math.cos(turn), disc_at[1] + 2.5 * diameter * math.sin(turn))
    odd = (disc_at[0], disc_at[1] - 2.5 * diameter)
    maps = {
        "optic_disc": disc.astype(np.float32),
        "fovea": np.maximum(0.6 * heat(*usual), 0.9 * heat(*odd)).astype(np.float32),
    }
    thresholds = {"optic_disc": 0.5, "fovea": 0.3}
    assert find(maps, thresholds, fov).points["fovea"] == pytest.approx(usual, abs=0.5)
    without = {"fovea": maps["fovea"]}
    assert find(without, thresholds, fov).points["fovea"] == pytest.approx(odd, abs=0.1)
    alone = maps | {"fovea": (0.9 * heat(*odd)).astype(np.float32)}
    assert find(alone, thresholds, fov).points["fovea"] == pytest.approx(odd, abs=0.5)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_faint_fovea_counts_at_its_usual_place_only(side):
    size, diameter = 256, 30.0
    fov = circle((127.5, 127.5), 250.0, np.ones((size, size), bool))
    disc_at = (127.5 - side * 50.0, 120.0)
    disc = circle(disc_at, diameter, fov).astype(np.float32)
    usual, beyond = ((disc_at[0] + sign * side * 2.5 * diameter, 128.0) for sign in (1, -1))
    thresholds = {"optic_disc": 0.5, "fovea": 0.3}

    def found(heat_map):
        return find({"optic_disc": disc, "fovea": heat_map}, thresholds, fov).points.get("fovea")

    assert found(heat(*usual, 1e-3)) == pytest.approx(usual, abs=0.5)
    assert found(heat(*usual, 1e-8)) is None
    assert found(heat(disc_at[0], 128.0 - 2.5 * diameter, 1e-3)) is None  # above the disc
    assert found(heat(*beyond, 1e-3)) is None  # the disc's other side is at the field's border
    cut = find({"optic_disc": disc, "fovea": heat(*usual, 1e-3)}, thresholds, fov & ~circle(usual, 24.0, fov))
    assert "fovea" not in cut.points  # where the usual place is out of view, a rest of it is no fovea


def test_peak_stays_inside_the_field():
    fov = np.zeros((256, 256), bool)
    fov[:, 128:] = True
    x, y = peak(heat(126.0, 100.0) * fov, 0.3, fov)
    assert fov[round(y), round(x)] and y == pytest.approx(100, abs=0.5)


def test_disc_is_one_part_without_holes():
    disc = np.zeros((64, 64), bool)
    disc[10:31, 10:31] = True
    whole = disc.copy()
    disc[15:20, 15:20] = False
    disc[50:54, 50:54] = True
    heat = np.ones(disc.shape, np.float32)
    np.testing.assert_array_equal(disc_part(disc, heat, None), whole)
    assert not disc_part(np.zeros((64, 64), bool), heat[:64, :64], None).any()
    assert disc_part(np.ones((64, 64), bool), heat[:64, :64], None).all()


def test_a_disc_is_round_and_crossed_by_vessels():
    """A larger, brighter reflex at the edge of the field: long, and no vessel runs into it."""
    fov = np.ones((256, 256), bool)
    disc = circle((100.0, 120.0), 36.0, fov)
    reflex = np.zeros_like(fov)
    reflex[20:120, 225:256] = True
    heat = np.where(disc, 0.9, np.where(reflex, 0.95, 0.0)).astype(np.float32)
    vessels = np.zeros_like(fov)
    vessels[:, 98:104] = True
    assert np.count_nonzero(reflex) > np.count_nonzero(disc)
    np.testing.assert_array_equal(disc_part(disc | reflex, heat, vessels), disc)
    np.testing.assert_array_equal(disc_part(disc | reflex, heat, None), disc)
    np.testing.assert_array_equal(disc_part(reflex, heat, vessels), reflex)
    specks = np.zeros_like(fov)
    specks[200:203, 98:101] = True  # sure, square and all vessel, but far too small
    np.testing.assert_array_equal(disc_part(disc | specks, np.where(specks, 1.0, heat), vessels), disc)


def test_findings_of_a_drawn_frame():
    fov = np.ones((256, 256), bool)
    disc = circle((60.0, 128.0), 40.0, fov)
    maps = {
        "vessel": np.zeros((256, 256), np.float32),
        "artery": np.float32(0.8) * circle((200.0, 50.0), 6.0, fov),
        "optic_disc": np.float32(0.8) * disc,
        "optic_cup": np.float32(0.8) * circle((75.0, 128.0), 20.0, fov),
        "fovea": heat(160.0, 130.0),
    }
    maps = {name: values.astype(np.float32) for name, values in maps.items()}
    found = find(maps, dict.fromkeys(maps, 0.5), fov)
    assert set(found.status.values()) == {Status.OK}
    np.testing.assert_array_equal(found.masks["vessel"], found.masks["artery"])
    np.testing.assert_array_equal(found.masks["optic_cup"], (maps["optic_cup"] > 0) & disc)
    assert found.points == {
        "optic_disc": pytest.approx((60.0, 128.0), abs=0.01),
        "fovea": pytest.approx((160.0, 130.0), abs=0.05),
    }
    assert found.masks["fovea"].sum() == pytest.approx(disc.sum(), rel=0.03)
    alone = find({"fovea": maps["fovea"]}, {"fovea": 0.5}, fov)
    assert alone.masks["fovea"].sum() == pytest.approx(np.pi / 4 * (256 * DEFAULT_DIAMETER) ** 2, rel=0.03)
