"""The dial against the gradability model that the package ships: what the phantom says is bad, the model finds bad."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from retsam import quality
from retsam.io.frames import frame_pixels
from retsam.phantom import render
from retsam.phantom.camera import CAMERAS, GRADABLE_FROM

GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, fill the dial evenly


def gradability(image: np.ndarray) -> float:
    """Gradability of a photograph, 0 where no field of view is found."""
    return float(np.nan_to_num(quality.score(frame_pixels(image, 512, image_id="phantom"))["gradability"]))


@pytest.fixture(scope="module")
def judged() -> pd.DataFrame:
    """Forty healthy eyes on all cameras: ``dial`` and ``probability``."""
    cameras = sorted(CAMERAS)
    rows = []
    for k in range(40):
        dial = (k * GOLDEN) % 1.0
        phantom = render(600 + k, 512, camera=cameras[k % len(cameras)], quality=dial, diseases=())
        rows.append((phantom.camera, dial, gradability(phantom.image), phantom.gradable))
    return pd.DataFrame(rows, columns=["camera", "dial", "probability", "gradable"])


def test_gradability_falls_with_the_dial(judged: pd.DataFrame) -> None:
    assert spearmanr(1.0 - judged["dial"], judged["probability"]).statistic <= -0.8


def test_the_ends_of_the_dial_are_what_they_say(judged: pd.DataFrame) -> None:
    called = judged["probability"] >= quality.THRESHOLD
    assert called[judged["dial"] >= 0.6].mean() >= 0.9
    assert called[judged["dial"] <= 0.15].mean() <= 0.1


def test_the_phantoms_own_verdict_is_the_models_in_most_cases(judged: pd.DataFrame) -> None:
    assert (judged["gradable"] == (judged["dial"] >= GRADABLE_FROM)).all()
    assert (judged["gradable"] == (judged["probability"] >= quality.THRESHOLD)).mean() >= 0.8


def test_one_eye_falls_step_by_step() -> None:
    dials = np.linspace(0.0, 1.0, 5)
    order = []
    for seed, camera in enumerate(("round45", "cut50", "tab50")):
        scores = [gradability(render(seed, 320, camera=camera, quality=q, diseases=()).image) for q in dials]
        order.append(spearmanr(1.0 - dials, scores).statistic)
        assert scores[0] < 0.5 < scores[-1]
    assert np.median(order) <= -0.9


def test_the_dial_leaves_the_truth_as_it_is() -> None:
    best, *rest = (render(7, 160, camera="round45", quality=q, diseases=()) for q in (1.0, GRADABLE_FROM, 0.3, 0.0))
    for worse in rest:
        for name in set(best.masks) - {"artifact"}:
            np.testing.assert_array_equal(worse.masks[name], best.masks[name])
    assert [p.gradable for p in (best, *rest)] == [True, True, False, False]
