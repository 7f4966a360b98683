"""A trained network as a segmentation engine."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from retsam.errors import UserError
from retsam.segmentation.engine import Prediction
from retsam.segmentation.network.checkpoint import Checkpoint, load
from retsam.segmentation.network.fast import keep_memory, prepare
from retsam.segmentation.network.findings import find
from retsam.segmentation.network.maps import FrameMaps, to_size
from retsam.segmentation.network.model import whole_frame_box
from retsam.taxonomy import TARGETS, Evidence

BATCH = 8
"""Frames at a time on a GPU where the encoder sees 512 pixels; fewer where it sees more."""


class NetworkEngine:
    """A network with the targets of its checkpoint; see :class:`retsam.segmentation.SegmentationEngine`.

    Frames of any size are brought to the size that the network is made for, and what it says back to theirs. On a CPU
    every frame goes through the network by itself, so that it gives the same bytes in any batch; on a GPU frames share
    a batch and agree to rounding.

    Parameters
    ----------
    checkpoint : Checkpoint
    device : str
        ``auto`` (the first GPU, otherwise the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
    dtype : torch.dtype, optional
        That the network computes in. Default: ``bfloat16`` where the processor has instructions for it, otherwise
        ``float16`` on a GPU and ``float32`` on a CPU.

    Raises
    ------
    UserError
        For a GPU that is not there.
    """

    concurrent: bool = False

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", dtype: torch.dtype | None = None) -> None:
        records, config = checkpoint.metadata.targets, checkpoint.config
        provided = [name for name in TARGETS if name in records]
        self.name: str = checkpoint.metadata.name
        self.weights_hash: str = checkpoint.sha256
        self.device: str = _device(device)
        self.targets: Mapping[str, Evidence] = MappingProxyType({n: Evidence(records[n].evidence) for n in provided})
        self.thresholds: Mapping[str, float] = MappingProxyType({n: records[n].threshold for n in provided})
        self.dtype = dtype or _dtype(self.device)
        fitting = max(1, round(BATCH * (512 / config.context_size) ** 2))
        self.preferred_batch: int = 1 if self.device == "cpu" else fitting
        self._config = config
        self._limit = self.preferred_batch  # frames that fit; shrinks where the GPU runs out of memory
        if self.device == "cpu":
            keep_memory()
        self._model = prepare(checkpoint.network().to(self.device), self.dtype)

    def predict(self, images: NDArray[np.uint8], fov: NDArray[np.bool_]) -> list[Prediction]:
        """Segment a batch; see :meth:`retsam.segmentation.SegmentationEngine.predict`.

        Raises
        ------
        RuntimeError
            If the network's answer is not finite; out of memory with a single frame.
        """
        found: list[Prediction] = []
        while len(found) < len(images):
            part = slice(len(found), len(found) + self._limit)
            maps = self._maps_or_none(images[part], fov[part])
            if maps is None:
                self._limit = max(1, min(self._limit, len(images) - len(found)) // 2)
                torch.cuda.empty_cache()
                continue
            found += [find(m, self.thresholds, inside, m.reaches) for m, inside in zip(maps, fov[part], strict=True)]
        return found

    def _maps_or_none(self, images: NDArray[np.uint8], fov: NDArray[np.bool_]) -> list[FrameMaps] | None:
        """Maps of each frame; None where several frames do not fit into memory."""
        try:
            return self._maps(images, fov)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
            return None

    @torch.inference_mode()
    def _maps(self, images: NDArray[np.uint8], fov: NDArray[np.bool_]) -> list[FrameMaps]:
        detail = self._config.detail_size
        inside = torch.from_numpy(np.ascontiguousarray(fov)).to(self.device)[:, None].float()
        frames = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)
        picture, seen = _resized(frames.float() / 255.0 * inside, inside, detail)
        context, context_seen = _resized(picture, seen, self._config.context_size)
        box = whole_frame_box(len(images), self.device)
        logits = self._model(picture, seen, context, context_seen, box)
        try:
            parts = zip(logits.fine, logits.wide, inside[:, 0], strict=True)
            return [FrameMaps(list(self.targets), fine, wide, within) for fine, wide, within in parts]
        except FloatingPointError as error:
            raise RuntimeError(f"the network {self.name} gave numbers that are not finite in {self.dtype}") from error


def open_engine(path: str | Path, device: str = "auto") -> NetworkEngine:
    """Load a checkpoint as an engine; parameters as in :class:`NetworkEngine`."""
    return NetworkEngine(load(path), device)


def _resized(picture: torch.Tensor, fov: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture (B, 3, S, S) and field of view (B, 1, S, S) at another size; black outside the field."""
    if picture.shape[2] == size:
        return picture, fov
    fov = (to_size(fov, size) > 0.5).float()
    return to_size(picture, size) * fov, fov


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = wanted.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UserError(f"no GPU {wanted!r} that torch can use here; use --device cpu or auto.")
    return wanted


def _dtype(device: str) -> torch.dtype:
    """Fastest type that the device computes in by itself."""
    if device != "cpu":
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    # Elsewhere bfloat16 is emulated and slower than float32; torch has no public question for it.
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return torch.bfloat16 if any(getattr(torch.cpu, name, bool)() for name in asked) else torch.float32
