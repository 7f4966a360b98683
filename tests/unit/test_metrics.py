"""Segmentation metrics: closed forms, agreement with scikit-learn, empty masks, regions."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score

from retsam import metrics

checked = settings(deadline=None, derandomize=True, max_examples=80)


def squares() -> tuple[np.ndarray, np.ndarray]:
    """Two 4x4 squares that share 8 pixels, in 10x10."""
    prediction, truth = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    prediction[2:6, 2:6] = True
    truth[2:6, 4:8] = True
    return prediction, truth


def test_closed_form():
    prediction, truth = squares()
    assert metrics.confusion(prediction, truth) == metrics.Confusion(tp=8, fp=8, fn=8, tn=76)
    assert metrics.dice(prediction, truth) == 16 / 32
    assert metrics.iou(prediction, truth) == 8 / 24
    assert metrics.accuracy(prediction, truth) == 84 / 100
    assert metrics.sensitivity(prediction, truth) == 8 / 16
    assert metrics.specificity(prediction, truth) == 76 / 84


def test_only_the_region_counts():
    prediction, truth = squares()
    region = np.zeros((10, 10), bool)
    region[:, 4:6] = True  # 20 pixels, of which the 8 shared ones are all positive
    assert metrics.confusion(prediction, truth, region) == metrics.Confusion(tp=8, fp=0, fn=0, tn=12)
    probability = np.where(prediction, 0.9, 0.1)
    scores = metrics.score_mask(prediction, probability, truth, region, tree=True)
    assert [scores[name] for name in ("dice", "iou", "accuracy", "auc", "aupr", "cldice")] == [1.0] * 6
    assert scores["n_positive_px"] == 8
    assert math.isnan(metrics.score_mask(prediction, None, truth, region, tree=False)["cldice"])


@pytest.mark.parametrize("name", ["dice", "iou", "sensitivity", "cldice"])
def test_empty_truth_is_undefined_and_empty_prediction_is_zero(name):
    metric = getattr(metrics, name)
    prediction, truth = squares()
    empty = np.zeros_like(truth)
    assert math.isnan(metric(prediction, empty))
    assert math.isnan(metric(empty, empty))
    assert metric(empty, truth) == 0.0
    outside = ~(prediction | truth)
    assert math.isnan(metric(prediction, truth, outside))  # empty inside the region


def test_accuracy_and_specificity_hold_for_an_empty_truth():
    prediction, truth = squares()
    empty = np.zeros_like(truth)
    assert metrics.accuracy(prediction, empty) == metrics.specificity(prediction, empty) == 84 / 100
    assert math.isnan(metrics.specificity(prediction, ~empty))
    assert math.isnan(metrics.accuracy(prediction, truth, empty))  # no pixel to compare


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        metrics.dice(np.zeros((3, 3), bool), np.zeros((3, 4), bool))
    with pytest.raises(ValueError, match="shape"):
        metrics.auc(np.zeros((3, 3)), np.zeros((3, 4), bool))


def test_auc_closed_forms():
    assert metrics.auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75  # 3 of 4 pairs in order
    assert metrics.auc([0.5] * 6, [True, True, False, False, False, False]) == 0.5
    assert metrics.auc([0, 1, 2, 3], [True, True, False, False]) == 0.0
    assert math.isnan(metrics.auc([0.2, 0.3], [True, True]))
    assert math.isnan(metrics.auc([0.2, 0.3], [False, False]))


def test_average_precision_closed_forms():
    # ranked: hit, miss, hit -> recall gains 1/2 at precision 1 and 1/2 at precision 2/3
    assert metrics.average_precision([0.9, 0.8, 0.7], [True, False, True]) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert metrics.average_precision([0.5] * 8, [True, *[False] * 7]) == 1 / 8
    assert math.isnan(metrics.average_precision([0.1, 0.2], [False, False]))
    assert metrics.average_precision([0.1, 0.2], [True, True]) == 1.0


labelled = st.integers(2, 200).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, n, elements=st.sampled_from([0, 0.1, 0.25, 0.5, 0.5001, 1])), arrays(bool, n)
    )
)


@checked
@given(labelled)
def test_ranked_metrics_agree_with_scikit_learn(data):
    score, truth = data
    if truth.any():
        expected = average_precision_score(truth, score)
        assert metrics.average_precision(score, truth) == pytest.approx(expected, abs=1e-12)
    if truth.any() and not truth.all():
        assert metrics.auc(score, truth) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


masks = st.integers(1, 12).flatmap(
    lambda n: st.tuples(arrays(bool, (n, n)), arrays(bool, (n, n)), arrays(bool, (n, n)))
)


@checked
@given(masks)
def test_relations_between_metrics(data):
    prediction, truth, region = data
    dice, iou = metrics.dice(prediction, truth, region), metrics.iou(prediction, truth, region)
    if (truth & region).any():
        assert iou == pytest.approx(dice / (2 - dice))
        expected = jaccard_score(truth[region], prediction[region])
        assert iou == pytest.approx(expected)
        assert 0 <= metrics.cldice(prediction, truth, region) <= 1
        assert metrics.cldice(truth, truth, region) == 1.0
    whole = metrics.confusion(prediction, truth)
    inside, outside = metrics.confusion(prediction, truth, region), metrics.confusion(prediction, truth, ~region)
    assert whole.tp == inside.tp + outside.tp
    assert whole.tn == inside.tn + outside.tn
    assert metrics.accuracy(prediction, truth) == pytest.approx(metrics.accuracy(~prediction, ~truth))


def test_cldice_judges_connection_not_width():
    truth = np.zeros((60, 60), bool)
    truth[28:31, 5:55] = True
    thick = np.zeros_like(truth)
    thick[26:33, 5:55] = True
    broken = truth.copy()
    broken[:, 20:40] = False
    assert metrics.cldice(thick, truth) > 0.95 > metrics.dice(thick, truth) + 0.3
    assert metrics.cldice(broken, truth) < metrics.cldice(thick, truth) - 0.1
    assert metrics.cldice(np.roll(truth, 20, axis=0), truth) == 0.0


def test_points():
    assert metrics.point_distance((3.0, 4.0), (0.0, 0.0), 10.0) == 0.5
    assert math.isnan(metrics.point_distance(None, (0.0, 0.0), 10.0))


def test_centroid_and_diameter_of_a_disc():
    y, x = np.mgrid[:200, :300]
    disc = np.hypot(x - 140, y - 90) <= 40
    assert metrics.centroid(disc) == (140.0, 90.0)
    assert metrics.equivalent_diameter(disc) == pytest.approx(80, rel=0.01)
    assert all(math.isnan(v) for v in metrics.centroid(np.zeros((4, 4), bool)))


def test_auc_of_a_million_pixels_against_its_closed_form():
    rng = np.random.default_rng(0)
    truth = rng.random((1000, 1000)) < 0.1
    score = rng.random((1000, 1000)).astype(np.float32) + truth * np.float32(0.3)
    region = np.ones_like(truth)
    auc = metrics.auc(score, truth, region)
    # uniform scores shifted by d: P(X + d > Y) = 1 - (1 - d)^2 / 2
    assert auc == pytest.approx(1 - 0.7**2 / 2, abs=0.002)


def test_dice_curve_is_dice_at_every_threshold():
    rng = np.random.default_rng(5)
    truth, region = rng.random((20, 20)) < 0.3, rng.random((20, 20)) < 0.8
    probability = np.round(0.5 * rng.random((20, 20)) + 0.3 * truth, 2)
    thresholds = np.array([0.1, 0.31, 0.5, 0.77])
    expected = [metrics.dice(probability >= t, truth, region) for t in thresholds]
    assert np.allclose(metrics.dice_curve(probability, truth, thresholds, region), expected)
    assert np.isnan(metrics.dice_curve(probability, np.zeros_like(truth), thresholds)).all()
