"""The engine without weights: ridges, brightness and geometry. It stays for good as the baseline row."""

import numpy as np
from numpy.typing import NDArray

from retsam.segmentation.classical.fovea import find_fovea
from retsam.segmentation.classical.optic_disc import Disc, find_disc
from retsam.segmentation.classical.vessels import segment_vessels, vessel_response
from retsam.segmentation.engine import Prediction
from retsam.status import Status
from retsam.taxonomy import Evidence


class ClassicalEngine:
    """Vessels, optic disc and fovea without learned weights; see :class:`retsam.segmentation.SegmentationEngine`."""

    name = "classical"
    weights_hash = ""
    device = "cpu"
    targets = {
        "vessel": Evidence.ANNOTATED,
        "optic_disc": Evidence.ANNOTATED,
        "fovea": Evidence.ANNOTATED,
    }
    thresholds = {"vessel": 0.5, "optic_disc": 0.5, "fovea": 0.5}
    preferred_batch = 1
    concurrent = True

    def predict(self, images: NDArray[np.uint8], fov: NDArray[np.bool_]) -> list[Prediction]:
        """Segment a batch, frame by frame.

        Parameters
        ----------
        images : (B, S, S, 3) uint8
        fov : (B, S, S) bool
        """
        return [_predict_one(image, inside) for image, inside in zip(images, fov, strict=True)]


def _predict_one(image: NDArray[np.uint8], fov: NDArray[np.bool_]) -> Prediction:
    size = fov.shape[0]
    status = dict.fromkeys(ClassicalEngine.targets, Status.NOT_VISIBLE)
    found = Prediction(status)
    response, _ = vessel_response(image, fov)
    probability, mask = segment_vessels(response, fov)
    found.probability["vessel"] = probability
    if mask.any():
        status["vessel"], found.masks["vessel"] = Status.OK, mask
    disc = find_disc(image, fov, response)
    if disc is None:
        return found
    _add_ellipse(found, "optic_disc", disc, fov)
    fovea = find_fovea(image, fov, response, disc)
    if fovea is not None:
        x, y, confidence = fovea
        _add_ellipse(found, "fovea", Disc(x, y, disc.diameter, disc.diameter, confidence), fov)
        found.points["fovea"] = (x * size - 0.5, y * size - 0.5)
    return found


def _add_ellipse(found: Prediction, target: str, ellipse: Disc, fov: NDArray[np.bool_]) -> None:
    """Enter an ellipse as mask, probability (its confidence, with a soft edge) and point."""
    size = fov.shape[0]
    y, x = (np.arange(size, dtype=np.float32) + 0.5) / size - np.float32([[ellipse.y], [ellipse.x]])
    radius = np.hypot(x[None, :] / (0.5 * ellipse.width), y[:, None] / (0.5 * ellipse.height))
    mask = (radius <= 1) & fov
    if not mask.any():
        return
    soft = ellipse.confidence / (1 + np.exp(np.clip((radius - 1) / 0.05, -30, 30)))
    found.status[target] = Status.OK
    found.masks[target] = mask
    found.probability[target] = np.where(fov, soft, 0).astype(np.float32)
    rows, cols = np.nonzero(mask)
    found.points[target] = (float(cols.mean()), float(rows.mean()))
