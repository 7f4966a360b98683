"""Segmentation metrics on one image, each over the pixels of a region (the field of view).

Conventions of every function here
----------------------------------
- ``prediction`` and ``truth`` are (H, W) bool, ``probability`` is (H, W) float in 0-1, ``region`` is (H, W) bool and
  limits everything to its pixels; None means all pixels. Results are Python floats.
- Empty masks, as in MONAI's ``ignore_empty``: a score about the target (Dice, IoU, sensitivity, average precision,
  clDice) is NaN where the *truth* is empty inside the region, so that the mean over images skips it; false alarms on
  such images show in specificity and accuracy. An empty *prediction* of a truth that is there scores 0.
- An empty region gives NaN.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.morphology import skeletonize

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of one comparison, and the scores that follow from them.

    Attributes
    ----------
    tp, fp, fn, tn : int
        True and false positives, false and true negatives.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float:
        """See :func:`dice`."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn) if self.tp + self.fn else math.nan

    @property
    def iou(self) -> float:
        """See :func:`iou`."""
        return _ratio(self.tp, self.tp + self.fp + self.fn) if self.tp + self.fn else math.nan

    @property
    def accuracy(self) -> float:
        """See :func:`accuracy`."""
        return _ratio(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    @property
    def sensitivity(self) -> float:
        """See :func:`sensitivity`."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """See :func:`specificity`."""
        return _ratio(self.tn, self.tn + self.fp)


def confusion(prediction: Mask, truth: Mask, region: Mask | None = None) -> Confusion:
    """Count agreeing and disagreeing pixels inside the region.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _check(prediction, truth, region)
    inside = np.ones(truth.shape, bool) if region is None else region
    positive = truth & inside
    n_inside, n_positive = int(np.count_nonzero(inside)), int(np.count_nonzero(positive))
    n_predicted = int(np.count_nonzero(prediction & inside))
    tp = int(np.count_nonzero(prediction & positive))
    return Confusion(tp, n_predicted - tp, n_positive - tp, n_inside - n_predicted - n_positive + tp)


def dice(prediction: Mask, truth: Mask, region: Mask | None = None) -> float:
    """Dice coefficient 2 TP / (2 TP + FP + FN), 0-1; NaN where the truth is empty, 0 for an empty prediction of it."""
    return confusion(prediction, truth, region).dice


def iou(prediction: Mask, truth: Mask, region: Mask | None = None) -> float:
    """Jaccard index TP / (TP + FP + FN), 0-1; NaN where the truth is empty, 0 for an empty prediction of it."""
    return confusion(prediction, truth, region).iou


def accuracy(prediction: Mask, truth: Mask, region: Mask | None = None) -> float:
    """Pixel accuracy (TP + TN) / all, 0-1; defined for an empty truth, NaN only for an empty region."""
    return confusion(prediction, truth, region).accuracy


def sensitivity(prediction: Mask, truth: Mask, region: Mask | None = None) -> float:
    """Sensitivity (recall) TP / (TP + FN), 0-1; NaN where the truth is empty."""
    return confusion(prediction, truth, region).sensitivity


def specificity(prediction: Mask, truth: Mask, region: Mask | None = None) -> float:
    """Specificity TN / (TN + FP), 0-1; defined for an empty truth, NaN where the truth fills the region."""
    return confusion(prediction, truth, region).specificity


def auc(score: ArrayLike, truth: ArrayLike, region: Mask | None = None) -> float:
    """Area under the receiver operating characteristic, exact, by ranks.

    The share of (positive, negative) pairs that the score orders correctly, ties counted half (Mann-Whitney).

    Parameters
    ----------
    score : array of float, any shape
        Higher means more likely positive; need not be calibrated.
    truth : array of bool, same shape
    region : array of bool, same shape, optional

    Returns
    -------
    float
        0-1, 0.5 for a constant score; NaN where either class is missing.
    """
    positive, negative = _split(score, truth, region)
    if positive.size == 0 or negative.size == 0:
        return math.nan
    below = np.searchsorted(negative, positive, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(negative, positive, side="right").sum(dtype=np.int64)
    return float((below + not_above) / (2.0 * positive.size * negative.size))


def average_precision(score: ArrayLike, truth: ArrayLike, region: Mask | None = None) -> float:
    """Area under the precision-recall curve as average precision, without interpolation.

    The sum over distinct thresholds of (gain in recall) x precision, as in scikit-learn's ``average_precision_score``
    and the IDRiD challenge's AUPR.

    Parameters
    ----------
    score, truth, region
        As for :func:`auc`.

    Returns
    -------
    float
        0-1, the prevalence for a constant score; NaN where the truth is empty, 1 where it fills the region.
    """
    positive, negative = _split(score, truth, region)
    if positive.size == 0:
        return math.nan
    thresholds, counts = np.unique(positive, return_counts=True)  # ascending; only these change the recall
    tp = np.cumsum(counts[::-1])[::-1]
    fp = negative.size - np.searchsorted(negative, thresholds, side="left")
    return float(np.sum(counts * (tp / (tp + fp))) / positive.size)


def dice_curve(
    probability: NDArray[np.floating], truth: Mask, thresholds: NDArray[np.floating], region: Mask | None = None
) -> NDArray[np.float64]:
    """Dice at many thresholds in one pass.

    Parameters
    ----------
    probability : (H, W) float
    truth, region : (H, W) bool
    thresholds : (N,) float
        Ascending; a pixel is positive where its probability reaches the threshold.

    Returns
    -------
    (N,) float64
        As :func:`dice` of ``probability >= threshold``; all NaN where the truth is empty.
    """
    positive, negative = _split(probability, truth, region)
    if positive.size == 0:
        return np.full(len(thresholds), math.nan)
    tp = positive.size - np.searchsorted(positive, thresholds, side="left")
    fp = negative.size - np.searchsorted(negative, thresholds, side="left")
    return 2.0 * tp / (positive.size + tp + fp)


def cldice(prediction: Mask, truth: Mask, region: Mask | None = None) -> float:
    """Centreline Dice: overlap of each mask's skeleton with the other mask, for connected thin trees.

    Harmonic mean of topology precision |S(P) & T| / |S(P)| and topology sensitivity |S(T) & P| / |S(T)|, where S is the
    skeleton (scikit-image, Zhang-Suen), taken inside the region.

    Returns
    -------
    float
        0-1; NaN where the truth is empty, 0 for an empty prediction of it.

    References
    ----------
    Shit S. et al., "clDice - a novel topology-preserving loss function for tubular structure segmentation", CVPR 2021.
    """
    _check(prediction, truth, region)
    if region is not None:
        prediction, truth = prediction & region, truth & region
    if not truth.any():
        return math.nan
    if not prediction.any():
        return 0.0
    of_prediction, of_truth = skeletonize(prediction), skeletonize(truth)
    precision = np.count_nonzero(of_prediction & truth) / np.count_nonzero(of_prediction)
    recall = np.count_nonzero(of_truth & prediction) / np.count_nonzero(of_truth)
    return _ratio(2 * precision * recall, precision + recall) if precision + recall else 0.0


def point_distance(prediction: tuple[float, float] | None, truth: tuple[float, float], unit: float) -> float:
    """Distance between two points in a given unit.

    Parameters
    ----------
    prediction : (x, y) in pixels, or None where the structure was not found
    truth : (x, y) in pixels
    unit : float
        Length of the unit in pixels (a disc diameter gives ``distance_dd``).

    Returns
    -------
    float
        At least 0; NaN where nothing was predicted - a miss, which a summary has to count as one.
    """
    if prediction is None:
        return math.nan
    return math.dist(prediction, truth) / unit


def centroid(mask: Mask) -> tuple[float, float]:
    """Mean x, y of a mask's pixels; NaN, NaN where it is empty."""
    rows, cols = np.nonzero(mask)
    return (float(cols.mean()), float(rows.mean())) if rows.size else (math.nan, math.nan)


def equivalent_diameter(mask: Mask) -> float:
    """Diameter in pixels of the circle with the mask's area, 2 sqrt(area / pi)."""
    return 2.0 * math.sqrt(np.count_nonzero(mask) / math.pi)


def score_mask(
    prediction: Mask, probability: NDArray[np.floating] | None, truth: Mask, region: Mask, *, tree: bool
) -> dict[str, float]:
    """All mask metrics of one target on one image.

    Parameters
    ----------
    prediction, truth, region : (H, W) bool
    probability : (H, W) float or None
        None gives NaN for auc and aupr.
    tree : bool
        Whether the target is a connected thin tree; clDice is NaN for anything else, where it says nothing.

    Returns
    -------
    dict
        dice, iou, accuracy, sensitivity, specificity, auc, aupr, cldice (each as its function says) and n_positive_px,
        the number of truth pixels in the region.
    """
    c = confusion(prediction, truth, region)
    return {
        "dice": c.dice,
        "iou": c.iou,
        "accuracy": c.accuracy,
        "sensitivity": c.sensitivity,
        "specificity": c.specificity,
        "auc": math.nan if probability is None else auc(probability, truth, region),
        "aupr": math.nan if probability is None else average_precision(probability, truth, region),
        "cldice": cldice(prediction, truth, region) if tree else math.nan,
        "n_positive_px": c.tp + c.fn,
    }


def _check(prediction: Mask, truth: Mask, region: Mask | None) -> None:
    if prediction.shape != truth.shape or (region is not None and region.shape != truth.shape):
        shapes = [None if mask is None else mask.shape for mask in (prediction, truth, region)]
        raise ValueError(f"prediction, truth and region must have one shape, got {shapes}")


def _split(score: ArrayLike, truth: ArrayLike, region: Mask | None) -> tuple[NDArray, NDArray]:
    """Sorted scores of the positives and of the negatives."""
    values, labels = np.asarray(score), np.asarray(truth, bool)
    if values.shape != labels.shape or (region is not None and region.shape != labels.shape):
        raise ValueError(f"score {values.shape} and truth {labels.shape} must have the region's shape")
    if region is None:
        return np.sort(values[labels]), np.sort(values[~labels])
    return np.sort(values[labels & region]), np.sort(values[~labels & region])


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else math.nan
