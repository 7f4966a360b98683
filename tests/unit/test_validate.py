"""Validation: perfect maps score 1, guesses score as guesses, thresholds and evidence follow real photographs."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.segmentation.network.model import RetSAM  # noqa: E402
from retsam.training.frames import pack  # noqa: E402
from retsam.training.recipe import SMOKE  # noqa: E402
from retsam.training.validate import THRESHOLDS, Score, frame_scores, probabilities, summarise, validate  # noqa: E402

SIZE = 128
TARGETS = ("vessel", "optic_disc", "microaneurysm")


def round_fov():
    at = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    return at[:, None] ** 2 + at[None] ** 2 <= 0.98


def blob(x, y, radius):
    at = np.arange(SIZE)
    return (at[None] - x) ** 2 + (at[:, None] - y) ** 2 <= radius**2


def frame(source="drive", targets=TARGETS, fovea=(90.0, 60.0)):
    masks = {"vessel": blob(64, 64, 30), "optic_disc": blob(40, 60, 10), "microaneurysm": blob(80, 80, 3)}
    image = np.full((SIZE, SIZE, 3), 120, np.uint8)
    points = {"fovea": fovea} if fovea else {}
    return pack(f"{source}-1", source, image, round_fov(), {t: masks[t] for t in targets}, points)


def truth_maps(of, high=0.9, low=0.1):
    maps = {t: np.where(of.mask(t), high, low).astype(np.float32) for t in of.known if t != "fovea"}
    x, y = of.points["fovea"]
    return maps | {"fovea": blob(x, y, 0).astype(np.float32)}


def report_of(*pairs):
    return summarise([score for of, maps in pairs for score in frame_scores(of, maps)])


def test_perfect_maps():
    report = report_of((frame(), truth_maps(frame())))
    assert report.score == pytest.approx(1.0)
    vessel = report.targets["vessel"].metrics
    assert (vessel["drive/dice"], vessel["drive/dice_at_half"], vessel["drive/auc"]) == (1.0, 1.0, 1.0)
    assert report.targets["microaneurysm"].metrics["drive/aupr"] == 1.0
    fovea = report.targets["fovea"].metrics
    assert fovea["drive/distance_dd"] == 0.0
    assert fovea["drive/within_half_dd"] == 1.0
    assert {r.evidence for r in report.targets.values()} == {"annotated"}
    assert report.flat()["vessel/drive/dice"] == 1.0


def test_a_threshold_is_chosen_where_dice_is_best():
    report = report_of((frame(), truth_maps(frame(), 0.3, 0.12)))
    result = report.targets["vessel"]
    assert 0.12 < result.threshold <= 0.3
    assert result.metrics["drive/dice"] == 1.0
    assert result.metrics["drive/dice_at_half"] == 0.0


def test_real_photographs_decide_where_there_are_any():
    real, phantom = frame(), frame("phantom")
    report = report_of((real, truth_maps(real, 0.3, 0.1)), (phantom, truth_maps(phantom, 0.9, 0.6)))
    assert report.targets["vessel"].threshold <= 0.3
    assert report.targets["vessel"].value == 1.0
    assert report.targets["vessel"].metrics["phantom/dice"] < 1.0


def test_phantoms_alone_are_no_evidence():
    report = report_of((frame("phantom"), truth_maps(frame("phantom"))))
    assert report.score == pytest.approx(1.0)
    assert {result.evidence for result in report.targets.values()} == {"phantom"}


def test_a_guess_is_no_evidence():
    flat = {t: np.full((SIZE, SIZE), 0.97, np.float32) for t in TARGETS}
    flat["fovea"] = blob(10, 60, 3).astype(np.float32)
    report = report_of((frame(), flat))
    assert {result.evidence for result in report.targets.values()} == {"phantom"}
    assert report.targets["vessel"].metrics["drive/dice"] == pytest.approx(
        report.targets["vessel"].metrics["drive/chance"]
    )
    assert report.targets["fovea"].value == 0.0


def test_fovea_is_in_disc_diameters():
    of = frame()
    maps = truth_maps(of) | {"fovea": blob(90 + 10, 60, 0).astype(np.float32)}
    distance = report_of((of, maps)).targets["fovea"].metrics["drive/distance_dd"]
    assert distance == pytest.approx(10 / 20, rel=0.05)
    bare = frame(targets=("vessel",))
    maps = {"fovea": maps["fovea"]}
    assert report_of((bare, maps)).targets["fovea"].metrics["drive/distance_dd"] == pytest.approx(10 / (0.154 * SIZE))


def test_absent_targets_are_not_judged():
    of = replace(frame(), packed={}, points={})
    maps = {t: np.zeros((SIZE, SIZE), np.float32) for t in (*TARGETS, "fovea")}
    assert [score.target for score in frame_scores(of, maps) if not score.absent] == []
    assert report_of((of, maps)).score == 0.0


def test_false_alarms_raise_the_threshold():
    """Half of a lesion is sure (0.9), half is faint (0.3); what is marked on an eye without any is faint too."""
    ill, well = frame(), replace(frame("odir"), packed={}, points={})
    lesion = blob(80, 80, 3)
    left = lesion & (np.arange(SIZE) <= 80)[None]
    found = {"microaneurysm": np.where(left, 0.9, np.where(lesion, 0.3, 0)).astype(np.float32)}
    assert report_of((ill, found)).targets["microaneurysm"].threshold <= 0.3
    marked = np.where(blob(40, 40, 6), 0.3, 0).astype(np.float32)
    result = report_of((ill, found), (well, {"microaneurysm": marked})).targets["microaneurysm"]
    assert 0.3 < result.threshold <= 0.9
    assert result.metrics["drive/dice"] == pytest.approx(2 * left.sum() / (left.sum() + lesion.sum()))
    assert (result.metrics["odir/n_without"], result.metrics["odir/marked_without"]) == (1.0, 0.0)
    assert result.value == report_of((ill, found)).targets["microaneurysm"].value


def test_an_eye_without_a_target_is_no_photograph_that_judges_it():
    """Drusen are on a phantom only; a photograph without any does not make them a target of real photographs."""
    phantom = pack(
        "phantom-1", "phantom", np.zeros((SIZE, SIZE, 3), np.uint8), round_fov(), {"drusen": blob(50, 50, 5)}
    )
    real = replace(phantom, source="odir", packed={})
    maps = {"drusen": np.where(blob(50, 50, 5), 0.9, 0.1).astype(np.float32)}
    report = report_of((phantom, maps), (real, maps))
    assert not report.targets["drusen"].real
    assert report.targets["drusen"].threshold <= 0.9


def test_what_was_left_open_does_not_count_for_arteries():
    fov = round_fov()
    truth, left_open = blob(50, 50, 10), blob(90, 90, 12)
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    of = pack("drive-1", "drive", image, fov, {"artery": truth, "vessel": truth}, {}, left_open)
    maps = dict.fromkeys(("artery", "vessel"), (truth | left_open).astype(np.float32))
    report = report_of((of, maps))
    assert report.targets["artery"].value == 1.0
    assert report.targets["vessel"].value < 0.8


def test_network_is_held_against_frames():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = RetSAM(SMOKE).eval()
    of = frame()
    maps = probabilities(model, of)
    assert set(maps) == set(of.known)
    assert all(m.shape == (SIZE, SIZE) and 0 <= m.min() <= m.max() <= 1 for m in maps.values())
    first, second = validate(model, [of, frame("phantom")]), validate(model, [of, frame("phantom")])
    assert first.flat() == second.flat()
    assert 0 <= first.score <= 1


def test_phantoms_do_not_outvote_photographs():
    """A target right on a photograph and one wrong on a phantom, of two groups: 1 and 0.1 of the weight."""

    def score(source, target, value):
        curve = np.full(len(THRESHOLDS), value)
        return Score(source, target, curve, np.ones_like(curve), chance=0.1, aupr=value)

    report = summarise([score("idrid", "optic_disc", 1.0), score("phantom", "tessellation", 0.0)])
    assert report.score == pytest.approx(1.0 / 1.1)
    same_group = summarise([score("idrid", "hard_exudate", 1.0), score("phantom", "drusen", 0.0)])
    assert same_group.score == pytest.approx(1.0 / 1.1)
