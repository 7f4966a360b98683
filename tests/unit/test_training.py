"""Labelled frames, views, batches and the loop, at sizes at which a step takes milliseconds."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.datasets import Case, MaskFile, get_dataset  # noqa: E402
from retsam.datasets.annotation import artery, vein  # noqa: E402
from retsam.errors import UserError  # noqa: E402
from retsam.segmentation.network.config import FINE, WIDE, NetworkConfig  # noqa: E402
from retsam.segmentation.network.model import RetSAM  # noqa: E402
from retsam.taxonomy import TARGETS  # noqa: E402
from retsam.training.augment import NONE, Augmentation  # noqa: E402
from retsam.training.batches import Sampler, make_batch  # noqa: E402
from retsam.training.frames import LabelledFrame, pack  # noqa: E402
from retsam.training.losses import LossWeights  # noqa: E402
from retsam.training.sources import case_frame, phantom_frame  # noqa: E402
from retsam.training.trainer import Schedule, Trainer  # noqa: E402

TINY = NetworkConfig(
    "test",
    detail_size=128,
    context_size=64,
    embed_dim=32,
    depth=2,
    num_heads=4,
    window_size=4,
    global_blocks=(1,),
    neck_channels=16,
    widths=(4, 8, 8, 8, 16),
)
SIZE = 128


def round_fov(size=SIZE):
    at = (np.arange(size) + 0.5) / size * 2 - 1
    return at[:, None] ** 2 + at[None] ** 2 <= 0.98


def blob(x, y, radius, size=SIZE):
    at = np.arange(size)
    return (at[None] - x) ** 2 + (at[:, None] - y) ** 2 <= radius**2


def dotted(name="a", source="dots", x=70, y=50, **more) -> LabelledFrame:
    """A grey eye with one bright dot, annotated as an exudate, as a disc and as the fovea."""
    fov, dot = round_fov(), blob(x, y, 6)
    image = np.where(dot[..., None], 230, 100).astype(np.uint8) * fov[..., None].astype(np.uint8)
    image = np.broadcast_to(image, (SIZE, SIZE, 3)).copy()
    masks = {"hard_exudate": dot, "optic_disc": dot, "drusen": np.zeros_like(dot)}
    return pack(name, source, image, fov, masks, {"fovea": (x, y)}, **more)


def batch_of(frames, augmentation=NONE, seed=0, crop=SIZE, config=TINY):
    return make_batch(frames, torch.Generator().manual_seed(seed), config, crop, augmentation)


def centre_of(values):
    """Centre of mass x, y of a map (H, W) in fractions of its side."""
    values = values.double()
    at = (torch.arange(len(values)).double() + 0.5) / len(values)
    return np.array(
        [float((values * at[None]).sum() / values.sum()), float((values * at[:, None]).sum() / values.sum())]
    )


def test_frame_gives_back_what_was_packed():
    fov, rng = round_fov(), np.random.default_rng(0)
    mask = rng.random((SIZE, SIZE)) < 0.5
    open_ = rng.random((SIZE, SIZE)) < 0.1
    image = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    frame = pack("x", "s", image, fov, {"vessel": mask, "drusen": ~fov}, {"fovea": (60.5, 40.0)}, open_)
    assert np.array_equal(frame.mask("vessel"), mask & fov)
    assert not frame.mask("drusen").any()
    assert np.array_equal(frame.mask("uncertain"), open_ & fov)
    assert frame.known == {"vessel", "drusen", "fovea"}
    assert frame.points == {"fovea": (60.5, 40.0)}
    assert frame.packed["vessel"].nbytes == SIZE * SIZE // 8
    for target in ("vein", "fovea"):
        with pytest.raises(KeyError):
            frame.mask(target)


def test_a_point_out_of_view_is_known_to_be_nowhere():
    frame = pack("x", "s", np.zeros((SIZE, SIZE, 3), np.uint8), round_fov(), {}, {"fovea": (1.0, 1.0)})
    assert frame.known == {"fovea"}
    assert not frame.points
    wide = batch_of([frame]).wide
    assert wide.targets == ("fovea",)
    assert wide.labels.max() == 0
    assert wide.known.min() == 1


@pytest.mark.parametrize(
    ("masks", "points"),
    [({"vesel": round_fov()}, {}), ({"fovea": round_fov()}, {}), ({}, {"vessel": (1, 1)})],
)
def test_wrong_targets_are_refused(masks, points):
    with pytest.raises(ValueError, match="no target"):
        pack("x", "s", np.zeros((SIZE, SIZE, 3), np.uint8), round_fov(), masks, points)


def test_masks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="a mask is"):
        pack("x", "s", np.zeros((SIZE, SIZE, 3), np.uint8), round_fov(), {"vessel": round_fov(64)})


def test_no_augmentation_shows_the_frame_itself():
    frame = dotted()
    batch = batch_of([frame])
    expected = torch.from_numpy(frame.image.copy()).permute(2, 0, 1).float() / 255
    assert torch.allclose(batch.picture[0], expected, atol=1e-4)
    assert torch.equal(batch.fov[0, 0] > 0, torch.from_numpy(frame.fov))
    assert batch.fine.targets == ("hard_exudate", "drusen")
    assert batch.wide.targets == ("optic_disc", "fovea")
    assert torch.equal(batch.fine.labels[0, 0] > 0.5, torch.from_numpy(frame.mask("hard_exudate")))
    assert batch.context.shape == (1, 3, 64, 64)


MOVES = {
    "rotation": replace(NONE, rotation=180.0),
    "mirror": replace(NONE, mirror=True),
    "stretch": replace(NONE, stretch=0.2),
    "magnification": replace(NONE, magnification=(0.7, 1.3)),
    "all": Augmentation(grey=0.0),
}


@pytest.mark.parametrize("augmentation", MOVES.values(), ids=MOVES)
def test_picture_and_labels_move_together(augmentation):
    """The bright dot stays on its label at both resolutions, and the fovea's heat map on the dot."""
    augmentation = replace(augmentation, noise=0.0, light=0.0)
    seen = 0
    for seed in range(8):
        batch = batch_of([dotted()], augmentation, seed, crop=96)
        label, disc, heat = batch.fine.labels[0, 0], batch.wide.labels[0, 0], batch.wide.labels[0, 1]
        edge = torch.cat(
            [label[0], label[-1], label[:, 0], label[:, -1], batch.fine.labels[0, 0][batch.fov[0, 0] == 0]]
        )
        if label.sum() < 40 or edge.max() > 0:  # out of the crop, or cut by it
            continue
        seen += 1
        green = batch.picture[0, 1]
        median = green[batch.fov[0, 0] > 0].median()
        bright = (green - median).clamp_min(0) * (label > 0.01)
        assert ((green > median + 0.5 * (green.max() - median)) & (label < 0.01)).sum() == 0
        for other in (bright, disc, heat):
            assert np.abs(centre_of(other) - centre_of(label)).max() < 1.5 / 96
    assert seen >= 2


def test_context_is_the_view_that_the_crop_is_cut_from():
    for seed in range(4):
        batch = batch_of([dotted()], replace(NONE, rotation=90.0, magnification=(0.8, 1.1)), seed, crop=64)
        label = batch.fine.labels[0, 0]
        if label.sum() < 100:
            continue
        left, top, right, _ = batch.box[0].tolist()
        expected = np.array([left, top]) + centre_of(label) * (right - left)
        dot = (batch.context[0, 1] - 0.5).clamp_min(0)
        assert np.abs(centre_of(dot) - expected).max() < 1.5 / 64


def test_uncertain_pixels_do_not_count_for_artery_and_vein():
    fov, left_open = round_fov(), blob(64, 64, 10)
    masks = {t: blob(64, 64, 12) for t in ("vessel", "artery", "vein")}
    frame = pack("x", "s", np.full((SIZE, SIZE, 3), 90, np.uint8), fov, masks, uncertain=left_open)
    plain = dotted()
    fine = batch_of([frame, plain]).fine
    valid = dict(zip(fine.targets, fine.valid[0], strict=True))
    assert torch.equal(valid["vessel"] > 0, torch.from_numpy(fov))
    assert torch.equal(valid["artery"] > 0, torch.from_numpy(fov & ~left_open))
    assert torch.equal(fine.valid[1, 0] > 0, torch.from_numpy(plain.fov))


def test_only_known_targets_take_part():
    other = pack("b", "s", np.full((SIZE, SIZE, 3), 90, np.uint8), round_fov(), {"vessel": blob(64, 64, 5)})
    batch = batch_of([dotted(), other])
    assert batch.fine.targets == ("vessel", "hard_exudate", "drusen")
    assert batch.fine.known.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert batch.wide.known.tolist() == [[1, 1], [0, 0]]


def sampler(frames=None, share=None, **more):
    frames = frames or [dotted("a", "one"), dotted("b", "one", 40, 60), dotted("c", "two", 60, 90)]
    share = share or {"one": 1.0, "two": 3.0}
    return Sampler(frames, share, TINY, **{"batch": 2, "crop": 64, "augmentation": Augmentation(), "seed": 3, **more})


def test_batches_depend_on_seed_and_step_alone():
    a, b = sampler(), sampler()
    a.at(0)
    for step in (5, 2):
        x, y = a.at(step), b.at(step)
        assert all(torch.equal(p, q) for p, q in zip(x.inputs, y.inputs, strict=True))
        assert torch.equal(x.fine.labels, y.fine.labels)
        assert torch.equal(x.wide.labels, y.wide.labels)
    assert not torch.equal(a.at(2).picture, a.at(3).picture)
    assert not torch.equal(a.at(2).picture, sampler(seed=4).at(2).picture)


def test_shares_decide_how_often_a_source_is_seen():
    drawn = [i for step in range(400) for i in sampler().indices(step)]
    counts = np.bincount(drawn, minlength=3) / len(drawn)
    assert np.allclose(counts, [0.125, 0.125, 0.75], atol=0.05)
    assert {i for step in range(50) for i in sampler(share={"one": 1.0}).indices(step)} == {0, 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": {"three": 1.0}}, "no frame is from 'three'"),
        ({"share": {"one": 0.0}}, "no source has a share"),
        ({"crop": 60}, "crop is 60"),
        ({"crop": 256}, "crop is 256"),
    ],
)
def test_samplers_that_cannot_work_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        sampler(**change)


def test_schedule_warms_up_and_falls():
    schedule = Schedule(100, learning_rate=1.0, warmup=10)
    rates = [schedule.rate(i) for i in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[99] == pytest.approx(0.01, abs=1e-3)
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert schedule.decay(0) < 0.2 < 0.99 < schedule.decay(100_000)


SHORT = Schedule(8, learning_rate=1e-2, warmup=2, validate_every=4, mixed=False)


def trainer(folder, schedule=SHORT, validate=lambda model: {"score": 0.0}, **more):
    return Trainer(folder, TINY, sampler(), schedule, LossWeights(), validate, **more)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_focused_crops_show_what_is_marked():
    """A small mark that most crops would miss; with a focus of 1 every crop has it, as the view does."""
    mark = np.zeros((SIZE, SIZE), bool)
    mark[20:23, 40:43] = True
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    frame = pack("idrid-a", "idrid", image, np.ones((SIZE, SIZE), bool), {"cotton_wool_spot": mark, "vessel": ~mark})
    wide = replace(NONE, magnification=(0.8, 1.0), rotation=180.0, mirror=True)
    shown = {}
    for focus in (0.0, 1.0):
        draws = Sampler([frame], {"idrid": 1.0}, TINY, 1, SIZE // 4, wide, 5, focus)
        batches = [draws.at(step) for step in range(40)]
        spots = [b.fine.labels[0, b.fine.targets.index("cotton_wool_spot")] for b in batches]
        shown[focus] = np.mean([bool((spot > 0.3).any()) for spot in spots])
    assert shown[1.0] == 1.0
    assert shown[0.0] < 0.5


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_ends_in_the_same_weights(tmp_path):
    whole = trainer(tmp_path / "whole", validate=lambda model: {"score": 1.0})
    whole.run()

    killed = trainer(tmp_path / "killed", validate=lambda model: {"score": 1.0})
    step = killed._step

    def fatal(number, batch):
        if number == 6:
            raise Killed
        return step(number, batch)

    killed._step = fatal
    with pytest.raises(Killed):
        killed.run()
    torch.rand(7)  # the state of the global generator must not matter
    resumed = trainer(tmp_path / "killed", validate=lambda model: {"score": 1.0})
    assert resumed.progress.step == 4
    resumed.run()
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert same(resumed.average, whole.average)
    assert not same(whole.average, whole.model.state_dict())
    curves = [pd.read_csv(tmp_path / name / "curve.csv").drop(columns="seconds") for name in ("whole", "killed")]
    pd.testing.assert_frame_equal(*curves)
    assert list(curves[0]["step"]) == [4, 8]


def test_a_finished_run_is_left_as_it_is(tmp_path):
    first = trainer(tmp_path, replace(SHORT, steps=2)).run()
    again = trainer(tmp_path, replace(SHORT, steps=2))
    assert again.finished
    assert same(again.run(), first)


def test_the_best_averaged_weights_are_kept_and_patience_ends_a_run(tmp_path):
    scores, seen = iter([0.5, 0.8, 0.7, 0.6, 0.9]), []

    def validate(model):
        assert not model.training
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"score": next(scores), "dice": 0.1}

    run = trainer(tmp_path, replace(SHORT, steps=50, validate_every=2, patience=2), validate)
    best = run.run()
    assert run.progress.step == 8
    assert same(best, seen[1])
    assert len(pd.read_csv(tmp_path / "curve.csv")) == 4
    stored = torch.load(tmp_path / "best.pt", weights_only=True)
    assert NetworkConfig.from_dict(stored["config"]) == TINY
    assert trainer(tmp_path, replace(SHORT, steps=50, validate_every=2, patience=2)).finished
    last = trainer(tmp_path, replace(SHORT, steps=50, validate_every=2, patience=2, keep="last"))
    assert same(last.run(), seen[3])


@pytest.mark.parametrize("frozen", [("image_encoder",), ("detail", "heads.vessels", "fusion.gate")])
def test_frozen_parts_stay_as_they_are_batch_statistics_too(tmp_path, frozen):
    run = trainer(tmp_path, replace(SHORT, steps=2, validate_every=2), frozen=frozen)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.run()
    for name, value in run.model.state_dict().items():
        if any(name == f or name.startswith(f + ".") for f in frozen):
            assert torch.equal(value, before[name]), name
    for name in ("up8.below.weight", "up8.norm.running_mean"):
        assert not torch.equal(run.model.state_dict()[name], before[name])
    with pytest.raises(ValueError, match="another run"):
        trainer(tmp_path)


def test_a_frozen_name_that_fits_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="named 'encoder'"):
        trainer(tmp_path, frozen=("encoder",))


def test_training_starts_from_given_weights(tmp_path):
    weights = {k: v + 0.01 if v.dtype.is_floating_point else v for k, v in RetSAM(TINY).state_dict().items()}
    assert same(trainer(tmp_path, initial=weights).model.state_dict(), weights)


def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(tmp_path):
    run = trainer(tmp_path, replace(SHORT, learning_rate=math.inf))
    with pytest.raises(FloatingPointError):
        run.run()
    assert not (tmp_path / "state.pt").exists()


def test_a_small_network_learns_two_frames_by_heart(tmp_path):
    frames = [phantom_frame(seed, SIZE, diseases={}, camera="round45") for seed in (0, 1)]
    draws = Sampler(frames, {"phantom": 1.0}, TINY, 2, SIZE, NONE, 0)
    schedule = Schedule(40, learning_rate=4e-2, warmup=4, validate_every=8)
    Trainer(tmp_path, TINY, draws, schedule, LossWeights(minor=1.0), lambda model: {"score": 0.0}).run()
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert curve["dice"].iloc[-1] < 0.75 * curve["dice"].iloc[0]
    assert curve["cross_entropy"].iloc[-1] < 0.4 * curve["cross_entropy"].iloc[0]


def test_everything_is_known_of_a_phantom():
    frame = phantom_frame(5, SIZE, findings=("hard_exudate",), diseases={}, camera="round45")
    assert frame.source == "phantom"
    assert frame.known == set(TARGETS)
    assert frame.mask("hard_exudate").any()
    assert np.array_equal(frame.mask("vessel"), frame.mask("artery") | frame.mask("vein"))
    x, y = frame.points["fovea"]
    assert frame.fov[round(y), round(x)]
    assert set(batch_of([frame]).fine.targets) == set(FINE)
    assert set(batch_of([frame]).wide.targets) == set(WIDE)


def test_case_without_vessels_takes_them_from_arteries_and_veins(tmp_path):
    """Crossings that the annotators left open are vessel, and count for neither artery nor vein."""
    photo = np.zeros((150, 160, 3), np.uint8)
    photo[blob(80, 75, 70, 160)[:150]] = (160, 90, 50)
    colours = np.zeros_like(photo)
    colours[70:74, 40:120] = (255, 0, 0)
    colours[40:110, 78:82] = (0, 0, 255)
    colours[70:74, 78:82] = (0, 255, 0)
    Image.fromarray(photo).save(tmp_path / "p.png")
    Image.fromarray(colours).save(tmp_path / "av.png")
    masks = {"artery": MaskFile(tmp_path / "av.png", artery), "vein": MaskFile(tmp_path / "av.png", vein)}
    frame = case_frame(
        get_dataset("drive"), Case("p", "all", tmp_path / "p.png", masks=masks, points={"fovea": (60, 75)}), 128
    )
    assert frame.name == "drive-p"
    assert frame.known == {"vessel", "artery", "vein", "fovea"}
    union = frame.mask("artery") | frame.mask("vein") | frame.mask("uncertain")
    assert np.array_equal(frame.mask("vessel"), union)
    assert frame.mask("uncertain").any()
    x, y = frame.points["fovea"]
    assert abs(x - 128 * (60 - 10) / 140) < 3
    assert abs(y - 64) < 3


def test_unreadable_photographs_are_one_clear_error(tmp_path):
    (tmp_path / "p.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="drive-p"):
        case_frame(get_dataset("drive"), Case("p", "all", tmp_path / "p.png"), 128)


@pytest.mark.data
def test_a_real_photograph_and_its_vessels(data_root):
    root = data_root / "DRIVE"
    if not root.is_dir():
        pytest.skip("no DRIVE")
    dataset = get_dataset("drive")
    case = dataset.cases(root, "train")[0]
    frame = case_frame(dataset, case, 256)
    vessel = frame.mask("vessel")
    assert frame.known >= {"vessel"}
    assert 0.06 < vessel.sum() / frame.fov.sum() < 0.2
    green = frame.image[..., 1].astype(float)
    assert green[vessel].mean() < green[frame.fov & ~vessel].mean() - 5  # vessels are darker where they are marked
