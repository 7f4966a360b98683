"""Judging: what is unseen is measured, and only that; the figures and the levels of evidence follow from it."""

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from typer.testing import CliRunner  # noqa: E402

from retsam.cli import app  # noqa: E402
from retsam.datasets import Case, get_dataset  # noqa: E402
from retsam.errors import UserError  # noqa: E402
from retsam.evaluation import judge as module  # noqa: E402
from retsam.evaluation.image_level import auc_interval, image_table, sample  # noqa: E402
from retsam.evaluation.judge import evidence, image_level_bound, judge  # noqa: E402
from retsam.metrics import auc  # noqa: E402
from retsam.segmentation.engine import Prediction  # noqa: E402
from retsam.segmentation.network.checkpoint import Metadata, TargetRecord, load, save  # noqa: E402
from retsam.segmentation.network.model import RetSAM  # noqa: E402
from retsam.status import Status  # noqa: E402
from retsam.taxonomy import TARGETS, Evidence  # noqa: E402
from retsam.training.recipe import SMOKE  # noqa: E402
from tests.annotated import (  # noqa: E402
    circle,
    make_drishti_gs,
    make_drive,
    make_hei_med,
    make_hrf,
    make_idrid_localization,
    make_odir,
    photograph,
)
from tests.annotated import save as save_image  # noqa: E402

DATA = (
    {"set": "hrf", "split": "all", "licence": "CC", "role": "train", "n": 1},
    {"set": "hrf", "split": "all", "licence": "CC", "role": "validation", "n": 1, "images": ["01_dr"]},
    {"set": "hrf", "split": "all", "licence": "CC", "role": "test", "n": 1, "images": ["02_dr"]},
    {"set": "drive", "split": "train", "licence": "R", "role": "train", "n": 2},
    {"set": "idrid", "split": "train", "licence": "CC", "role": "train", "n": 2},
    {"set": "phantom", "split": "synthetic", "licence": "", "role": "train", "n": 2},
)
TARGET_NAMES = ("vessel", "optic_disc", "optic_cup", "fovea", "hard_exudate", "drusen", "tessellation")


@dataclass
class ColourEngine:
    """Knows vessels, disc and fovea by their colour; yellow is exudate, green is drusen; a dark cup in every disc."""

    name: str = "colour"
    weights_hash: str = "0123456789abcdef"
    device: str = "cpu"
    preferred_batch: int = 2
    targets: dict = field(default_factory=lambda: dict.fromkeys(TARGET_NAMES, Evidence.PHANTOM))
    seen: int = 0

    def predict(self, images: np.ndarray, fov: np.ndarray) -> list[Prediction]:
        self.seen += len(images)
        return [self._one(image.astype(int), inside) for image, inside in zip(images, fov, strict=True)]

    def _one(self, image: np.ndarray, fov: np.ndarray) -> Prediction:
        red, green, blue = image[..., 0], image[..., 1], image[..., 2]
        disc = (green > 170) & (blue > 120)
        rows, columns = np.nonzero(disc)
        at = np.arange(len(fov))
        masks = {
            "vessel": (blue - red > 110) & fov,
            "optic_disc": disc,
            "optic_cup": disc & (np.hypot(at[None] - columns.mean(), at[:, None] - rows.mean()) < 4),
            "fovea": np.zeros_like(fov),
            "hard_exudate": (red > 200) & (green > 200) & (blue < 80),
            "drusen": (red < 80) & (green > 150) & (blue < 80),
            "tessellation": np.zeros_like(fov),
        }
        points = {"fovea": (len(fov) / 2, len(fov) / 2)}
        maps = {name: mask.astype(np.float32) for name, mask in masks.items()}
        return Prediction(dict.fromkeys(masks, Status.OK), masks, maps, points)


def make_odir_of(root: Path, people: int) -> Path:
    """Two eyes of each person; every third person has drusen and AMD, in both eyes."""
    rows = []
    for person in range(people):
        ill = person % 3 == 0
        for side in ("left", "right"):
            pixels = photograph()
            if ill:
                pixels[circle(75, 110, 4 + person % 4)] = (20, 220, 20)
            save_image(root / f"images/{person}_{side}.png", pixels)
            rows.append(f"{person}_{side},P{person},images/{person}_{side}.png,0,{int(ill)},,{int(person == 1)}")
    text = "\n".join(["image_id,participant_id,path,dr,amd,glaucoma,myopia", *rows])
    (root / "manifest.csv").write_text(text + "\n")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder of several sets."""
    root = tmp_path_factory.mktemp("data")
    for name, maker in {"D": make_drive, "H": make_hrf, "HM": make_hei_med, "L": make_idrid_localization}.items():
        (root / name).mkdir()
        maker(root / name)
    make_drishti_gs(root / "G")
    exudate = photograph()
    exudate[circle(60, 60, 3)] = (240, 230, 30)
    save_image(root / "HM/images/00000003.jpg", exudate)
    (root / "O").mkdir()
    make_odir_of(root / "O", 9)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    targets = {name: TargetRecord("phantom", 0.5, {"drive/dice": 0.1}) for name in TARGET_NAMES}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        metadata = Metadata("smoke", targets, DATA, ({"stage": "unify"},), "none", "0")
        save(path, SMOKE, RetSAM(SMOKE).state_dict(), metadata)
    return path


@pytest.fixture(scope="module")
def judged(data, weights, tmp_path_factory):
    """Rows, lines and file of one judging by an engine that can see colours."""
    folder, lines, bars = tmp_path_factory.mktemp("judged"), [], []
    engine = ColourEngine()

    @contextmanager
    def show(what, total):
        bars.append((what, total))
        yield lambda done: None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_engine", lambda name, device: engine)
        rows = judge(
            weights,
            data,
            folder / "j.safetensors",
            frame_size=256,
            scores=folder / "s.csv",
            say=lines.append,
            show=show,
        )
    return rows, lines, folder, bars


def row_of(rows, name, target, measure):
    (row,) = [r for r in rows if (r["set"], r["target"], r["measure"]) == (name, target, measure)]
    return row


def test_only_what_is_unseen_is_judged(judged):
    rows, lines, _, bars = judged
    parts = {(row["set"], row["part"], row["n"]) for row in rows if row["measure"] == "dice"}
    assert parts == {
        ("drive", "test", 3),
        ("hrf", "held-out", 1),
        ("drishti_gs", "test", 2),
        ("hei_med", "all", 1),  # of the three photographs one has an exudate
    }
    assert "not judged: idrid_localization shares photographs with idrid, which had a part in training." in lines
    assert any(line.startswith("not judged: stare: no folder has its layout") for line in lines)
    assert any(line.startswith("not judged: origa: ") and line.endswith("if that is meant to be it.") for line in lines)
    assert ("drive test", 3) in bars
    assert ("odir whole photographs", 18) in bars


def test_figures(judged):
    rows, *_ = judged
    vessel = row_of(rows, "drive", "vessel", "dice")
    assert vessel["value"] > 0.9
    assert vessel["low"] <= vessel["value"] <= vessel["high"]
    assert row_of(rows, "hrf", "vessel", "dice")["low"] is None  # a single photograph has no interval
    assert {row["measure"] for row in rows if (row["set"], row["target"]) == ("drive", "vessel")} == {
        "dice",
        "auc",
        "accuracy",
        "sensitivity",
        "specificity",
        "cldice",
    }
    assert row_of(rows, "hei_med", "hard_exudate", "aupr")["value"] > 0.5
    bright = row_of(rows, "hei_med", "hard_exudate+drusen", "auc_bright_lesion_area")
    assert (bright["value"], bright["n"]) == (0.75, 3)  # one of two marked photographs shows it
    amd = row_of(rows, "odir", "drusen", "auc_amd_area")
    assert (amd["value"], amd["low"], amd["n"], amd["part"]) == (1.0, 1.0, 18, "all")
    assert row_of(rows, "odir", "tessellation", "auc_myopia_probability")["value"] == 0.5
    assert not [row for row in rows if "glaucoma" in row["measure"]]  # nobody's label is known


def test_the_file_holds_the_figures_and_the_evidence(judged, weights):
    rows, lines, folder, _ = judged
    before, after = load(weights), load(folder / "j.safetensors")
    assert after.metadata.judged == rows
    assert all((after.weights[name] == tensor).all() for name, tensor in before.weights.items())
    assert after.metadata.data == before.metadata.data
    levels = {name: record.evidence for name, record in after.metadata.targets.items()}
    assert levels == {
        "vessel": "annotated",
        "optic_disc": "annotated",
        "optic_cup": "annotated",
        "hard_exudate": "annotated",
        "drusen": "label_validated",
        "tessellation": "phantom",
        "fovea": "phantom",
    }
    assert after.metadata.targets["vessel"].metrics == before.metadata.targets["vessel"].metrics
    assert "evidence of drusen: phantom -> label_validated" in lines


def test_kept_numbers_are_not_computed_again(judged, data):
    _, _, folder, _ = judged
    cases, engine = get_dataset("odir").cases(data / "O"), ColourEngine()
    table = image_table(get_dataset("odir"), cases, engine, 256, folder / "s.csv")
    assert engine.seen == 0
    pd.testing.assert_frame_equal(
        table[["image_id", "area_drusen", "cup_disc_ratio_vertical"]],
        image_table(get_dataset("odir"), cases, ColourEngine(), 256)[
            ["image_id", "area_drusen", "cup_disc_ratio_vertical"]
        ],
    )
    assert table["cup_disc_ratio_vertical"].between(0.1, 0.9).all()
    assert set(pd.read_csv(folder / "s.csv")["set"]) == {"odir", "hei_med"}
    with pytest.raises(UserError, match="numbers of other weights or of another frame size"):
        image_table(get_dataset("odir"), cases, replace(engine, weights_hash="f" * 64), 256, folder / "s.csv")


def test_what_was_measured_before_a_stop_is_kept(tmp_path, data):
    cases = get_dataset("odir").cases(data / "O")

    def stop(done):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_table(get_dataset("odir"), cases, ColourEngine(), 256, tmp_path / "s.csv", stop)
    engine = ColourEngine()
    image_table(get_dataset("odir"), cases, engine, 256, tmp_path / "s.csv")
    assert engine.seen == 18 - 5


def test_photographs_that_cannot_be_used_have_no_numbers(tmp_path):
    root = make_odir(tmp_path)
    save_image(root / "images/1_left.jpg", np.zeros((150, 180, 3), np.uint8))
    (root / "images/1_right.jpg").write_bytes(b"no image")
    table = image_table(get_dataset("odir"), get_dataset("odir").cases(root), ColourEngine(), 256, tmp_path / "s.csv")
    assert set(table["status"]) <= {"no_fundus", "unreadable", "too_small"}
    assert "area_drusen" not in table


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is no table of this command's numbers"):
        image_table(get_dataset("odir"), [], ColourEngine(), 256, tmp_path / "s.csv")


def test_people_that_were_trained_on_do_not_judge(data, weights, tmp_path, monkeypatch):
    only = tmp_path / "data"
    only.mkdir()
    (only / "O").symlink_to(data / "O")
    monkeypatch.setattr(module, "load_engine", lambda name, device: ColourEngine())
    seen = {"set": "odir", "split": "all", "licence": "", "role": "train", "n": 2}
    found = load(weights)
    held = [f"{person}_{side}" for person in range(1, 9) for side in ("left", "right")]
    held.remove("8_left")  # seen, so that the other eye of person 8 may not judge either
    kept = {**seen, "role": "test", "images": held}
    save(tmp_path / "o.safetensors", SMOKE, found.weights, replace(found.metadata, data=(seen, kept)))
    rows = judge(tmp_path / "o.safetensors", only, tmp_path / "j.safetensors", frame_size=256)
    assert {(row["part"], row["n"]) for row in rows} == {("held-out", 14)}
    few = ({**seen, "images": ["1_left", "1_right"]}, {**kept, "n": 1, "images": ["2_left"]})  # of 9 people
    save(tmp_path / "o.safetensors", SMOKE, found.weights, replace(found.metadata, data=few))
    rows = judge(tmp_path / "o.safetensors", only, tmp_path / "j.safetensors", frame_size=256)
    assert {(row["part"], row["n"]) for row in rows} == {("held-out", 16)}
    save(tmp_path / "o.safetensors", SMOKE, found.weights, replace(found.metadata, data=(seen,)))
    with pytest.raises(UserError, match="can judge smoke"):
        judge(tmp_path / "o.safetensors", only, tmp_path / "j.safetensors", frame_size=256)


def test_a_quick_look_takes_whole_people():
    cases = [Case(f"{p}_{side}", "all", Path(), participant=f"P{p}") for p in range(40) for side in ("left", "right")]
    chosen = sample(cases, 10)
    assert len(chosen) == 10
    assert pd.Series([case.participant for case in chosen]).value_counts().eq(2).all()
    assert chosen == [case for case in cases if case in sample(cases[::-1], 10)]
    assert sample(cases, None) == sample(cases, 500) == cases


def test_auc_and_its_interval_over_people():
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.random(150) < 0.4, 2)
    score = np.round(rng.normal(truth * 1.0, 1.0), 1)  # with ties
    person = np.repeat(np.arange(150), 2)
    value, low, high = auc_interval(score, truth, person)
    assert value == auc(score, truth)
    assert low < value < high
    draws, generator = [], np.random.default_rng(5)
    for _ in range(400):
        eyes = np.concatenate([[2 * p, 2 * p + 1] for p in generator.integers(150, size=150)])
        draws.append(auc(score[eyes], truth[eyes]))
    assert (low, high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.015)
    order = rng.permutation(300)
    assert auc_interval(score[order], truth[order], person[order]) == pytest.approx((value, low, high))
    # Both eyes alike: they are one observation, and the interval has to be as wide as that of one eye of each.
    double = auc_interval(np.repeat(score[::2], 2), truth, person)
    assert double == pytest.approx(auc_interval(score[::2], truth[::2], person[::2]))


def test_an_auc_without_both_classes_is_none():
    assert all(math.isnan(v) for v in auc_interval([0.1, 0.2], [True, True], [1, 2]))
    value, low, _ = auc_interval([0.1, 0.2], [False, True], [1, 1])
    assert value == 1.0
    assert math.isnan(low)


@pytest.mark.parametrize(
    ("before", "pixels", "bound", "after"),
    [
        ("phantom", [(0.5, 0.1)], None, "annotated"),
        ("annotated", [(0.05, 0.1)], None, "phantom"),
        ("annotated", [(0.05, 0.1)], 0.7, "label_validated"),
        ("annotated", [], None, "annotated"),
        ("annotated", [], 0.4, "annotated"),
        ("phantom", [], 0.61, "label_validated"),
        ("phantom", [], 0.6, "phantom"),
        ("label_validated", [], 0.55, "phantom"),
        ("label_validated", [], None, "label_validated"),
    ],
)
def test_evidence(before, pixels, bound, after):
    assert evidence(before, pixels, bound) == after


def test_chance_is_beaten_by_as_much_as_in_training():
    from retsam.training.validate import MARGIN

    assert module.MARGIN == MARGIN


def test_a_target_is_validated_by_its_own_area_only():
    row = {"set": "odir", "part": "all", "value": 0.8, "low": 0.75, "high": 0.85, "n": 9}
    rows = [
        {**row, "target": "drusen", "measure": "auc_amd_probability"},
        {**row, "target": "tessellation+diffuse_atrophy", "measure": "auc_myopia_area"},
        {**row, "target": "vessel", "measure": "auc"},
    ]
    assert [image_level_bound(rows, target) for target in TARGETS] == [None] * len(TARGETS)
    rows.append({**row, "target": "drusen", "measure": "auc_amd_area"})
    assert image_level_bound(rows, "drusen") == 0.75


def test_on_the_command_line(tmp_path, data, weights):
    only = tmp_path / "data"
    only.mkdir()
    for name in ("D", "O"):
        (only / name).symlink_to(data / name)
    out = tmp_path / "judged.safetensors"
    arguments = ["weights", "judge", weights, "--data", only, "--out", out, "--device", "cpu", "--odir-limit", 4]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "drive test, vessel, dice: " in done.output
    rows = load(out).metadata.judged
    assert {row["part"] for row in rows if row["set"] == "odir"} == {"sample"}
    done = CliRunner().invoke(
        app, [str(argument) for argument in [*arguments[:4], tmp_path / "absent", *arguments[5:]]]
    )
    assert isinstance(done.exception, UserError)
    assert "no folder" in str(done.exception)
