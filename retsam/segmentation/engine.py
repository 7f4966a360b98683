"""What a segmentation engine is, and how one is found by name.

An engine is loaded once per shard and predicts batches of canonical frames. It declares which targets it provides and
how well each has been validated; what it does not declare is ``not_segmented`` for everything downstream. The
``classical`` engine needs no weights and no torch; a trained network fits the same interface.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retsam import __version__
from retsam.errors import UserError
from retsam.status import Status
from retsam.taxonomy import Evidence
from retsam.weights import DEFAULT_MODEL, SUFFIX
from retsam.weights import FOLDER as WEIGHTS


@dataclass(frozen=True)
class Prediction:
    """What an engine found in one frame of side S.

    Attributes
    ----------
    status : dict of str to Status
        One entry for every target that the engine declares: ``ok`` or ``not_visible``.
    masks : dict of str to (S, S) bool
        For targets with status ok; empty outside the field of view.
    probability : mapping of str to (S, S) float32
        0-1. For dense targets (vessel, lesions) always; for localised ones (disc, fovea) only where status is ok. A map
        may be made only when it is asked for.
    points : dict of str to (x, y)
        Frame pixels, centres at integers: the fovea, the centroid of the disc. For targets with status ok.
    """

    status: dict[str, Status]
    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    probability: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    points: dict[str, tuple[float, float]] = field(default_factory=dict)


@runtime_checkable
class SegmentationEngine(Protocol):
    """Interface of every segmentation model.

    Attributes
    ----------
    name : str
        Of the model, for reports; weights in a file carry their own.
    weights_hash : str
        SHA-256 of the weights; empty for an engine without weights.
    device : str
        Where it computes: ``cpu``, ``cuda`` or ``cuda:N``.
    targets : mapping of str to Evidence
        Declared targets with their evidence level, in the order of ``taxonomy.TARGETS``.
    thresholds : mapping of str to float
        Probability above which a pixel can belong to the mask; 0-1.
    preferred_batch : int
        Frames per call of `predict` that suit the engine and its device; it may change in use.
    concurrent : bool
        Whether `predict` may be called from several threads at a time, with the same results.
    """

    name: str
    weights_hash: str
    device: str
    targets: Mapping[str, Evidence]
    thresholds: Mapping[str, float]
    preferred_batch: int
    concurrent: bool

    def predict(self, images: NDArray[np.uint8], fov: NDArray[np.bool_]) -> list[Prediction]:
        """Segment a batch.

        Parameters
        ----------
        images : (B, S, S, 3) uint8
            Canonical frames, RGB.
        fov : (B, S, S) bool
            Field of view of each.

        Returns
        -------
        list of Prediction
            One per frame; it depends on that frame alone, not on the rest of the batch.
        """
        ...


def _classical(device: str) -> SegmentationEngine:
    from retsam.segmentation.classical import ClassicalEngine

    if device not in ("auto", "cpu"):
        raise UserError(f"the classical engine runs on the CPU, not on {device!r}; use --device cpu or auto.")
    return ClassicalEngine()


ENGINES: dict[str, Callable[[str], SegmentationEngine]] = {"classical": _classical}
"""Engines by name: a factory takes the device as the user wrote it. Factories import what they need when called."""


def models() -> list[str]:
    """Names that :func:`load_engine` knows: engines without weights, and weights that are part of the package."""
    return sorted({*ENGINES, *(path.stem for path in WEIGHTS.glob(f"*{SUFFIX}"))})


def load_engine(
    name: str = DEFAULT_MODEL, device: str = "auto", *, flips: bool = False, compile: bool = False
) -> SegmentationEngine:
    """Load a segmentation engine.

    Parameters
    ----------
    name : str
        One of :func:`models`, or the path of a ``.safetensors`` file of weights.
    device : str
        ``auto`` (the best that the engine can use here), ``cpu``, ``cuda`` or ``cuda:N``.
    flips : bool
        Networks only: mean of the probabilities of the frame's four mirror images, at four times the cost.
    compile : bool
        Networks only: ``torch.compile``; without it, with a warning, where there is no compiler.

    Raises
    ------
    UserError
        Unknown name or device, a device that the engine cannot use, or a file that holds no network.
    """
    kind, _, index = device.partition(":")
    if name not in models() and not name.endswith(SUFFIX):
        raise UserError(
            f"no segmentation model {name!r}; the models are {', '.join(models())}, or give a file *{SUFFIX}."
        )
    if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise UserError(f"no device {device!r}; use auto, cpu, cuda or cuda:N.")
    if name in ENGINES:
        return ENGINES[name](device)
    path = Path(name) if name.endswith(SUFFIX) else WEIGHTS / f"{name}{SUFFIX}"
    return _network(path, device, flips=flips, compile=compile)


def _network(path: Path, device: str, **options: bool) -> SegmentationEngine:
    try:
        from retsam.segmentation.network.engine import open_engine
    except ModuleNotFoundError as error:
        raise UserError(f"{path.name} needs the package {error.name}; run: pip install 'retsam[torch]'.") from error
    return open_engine(path, device, **options)


def origin(engine: SegmentationEngine) -> dict[str, str]:
    """Say what makes masks, for the table that holds them.

    Returns
    -------
    dict of str to str
        retsam (version), model, weights_sha256, device (cpu or cuda), and the engine's own ``settings`` if it has any.
    """
    return {
        "retsam": __version__,
        "model": engine.name,
        "weights_sha256": engine.weights_hash,
        "device": engine.device.partition(":")[0],
        **getattr(engine, "settings", {}),
    }
