"""The engine without weights: ridges, brightness and geometry. It stays for good as the baseline row."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from retsam.segmentation.classical.fovea import find_fovea
from retsam.segmentation.classical.optic_disc import Ellipse, find_disc
from retsam.segmentation.classical.vessels import segment_vessels, vessel_response
from retsam.segmentation.engine import Prediction
from retsam.status import Status
from retsam.taxonomy import Evidence

EDGE = 0.05
"""Softness of the edge of disc and macula in probability maps, in radii."""


class ClassicalEngine:
    """Vessels, optic disc and fovea without learned weights; see :class:`retsam.segmentation.SegmentationEngine`."""

    name: str = "classical"
    weights_hash: str = ""
    device: str = "cpu"
    targets: Mapping[str, Evidence] = MappingProxyType(
        {"vessel": Evidence.ANNOTATED, "optic_disc": Evidence.ANNOTATED, "fovea": Evidence.ANNOTATED}
    )
    thresholds: Mapping[str, float] = MappingProxyType({"vessel": 0.5, "optic_disc": 0.5, "fovea": 0.5})
    preferred_batch: int = 1
    concurrent: bool = True

    def predict(self, images: NDArray[np.uint8], fov: NDArray[np.bool_]) -> list[Prediction]:
        """Segment a batch, frame by frame; see :meth:`retsam.segmentation.SegmentationEngine.predict`."""
        return [_predict_one(image, inside) for image, inside in zip(images, fov, strict=True)]


def _predict_one(image: NDArray[np.uint8], fov: NDArray[np.bool_]) -> Prediction:
    response = vessel_response(image, fov)
    probability, mask = segment_vessels(response, fov)
    maps = {"vessel": probability}
    found = Prediction(dict.fromkeys(ClassicalEngine.targets, Status.NOT_VISIBLE), probability=maps)
    if mask.any():
        found.status["vessel"], found.masks["vessel"] = Status.OK, mask
    disc = find_disc(image, fov, response)
    if disc is None:
        return found
    if _add_ellipse(found, maps, "optic_disc", disc, fov):
        rows, cols = np.nonzero(found.masks["optic_disc"])
        found.points["optic_disc"] = (float(cols.mean()), float(rows.mean()))
    macula = find_fovea(image, fov, response, disc)
    if macula is not None and _add_ellipse(found, maps, "fovea", macula, fov):
        found.points["fovea"] = (macula.x * fov.shape[1] - 0.5, macula.y * fov.shape[0] - 0.5)
    return found


def _add_ellipse(
    found: Prediction, maps: dict[str, NDArray[np.float32]], target: str, ellipse: Ellipse, fov: NDArray[np.bool_]
) -> bool:
    """Enter an ellipse as mask and probability (confidence, with a soft edge); False if none of it is in view."""
    x, y = ((np.arange(side, dtype=np.float32) + 0.5) / side for side in fov.shape[::-1])
    across = (x - np.float32(ellipse.x)) / np.float32(0.5 * ellipse.width)
    down = (y - np.float32(ellipse.y)) / np.float32(0.5 * ellipse.height)
    radius = np.hypot(across[None, :], down[:, None])
    mask = (radius <= 1) & fov
    if not mask.any():
        return False
    soft = ellipse.confidence / (1 + np.exp(np.clip((radius - 1) / EDGE, -30, 30)))
    found.status[target], found.masks[target] = Status.OK, mask
    maps[target] = np.where(fov, soft, 0).astype(np.float32)
    return True
