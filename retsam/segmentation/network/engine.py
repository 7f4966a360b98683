"""A trained network as a segmentation engine."""

import logging
from collections.abc import Callable, Mapping
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
from retsam.segmentation.network.model import Logits, RetSAM, whole_frame_box
from retsam.taxonomy import TARGETS, Evidence

log = logging.getLogger(__name__)

BATCH = 8
"""Frames at first on a GPU where the encoder sees 512 pixels, fewer where it sees more ..."""
LARGEST_BATCH = 64
"""... and twice as many each time that so many have fitted, up to this."""

MIRRORS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
"""Axes of maps (B, C, h, w) that each mirror image reverses."""
SMALLEST = 1e-7
"""Mean probabilities are kept this far from 0 and 1, so that their logits are finite."""


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
    flips : bool
        Mean of the probabilities of the frame's four mirror images, before anything is compared with a threshold.
    compile : bool
        ``torch.compile``; where that fails, a warning, and the network as it is.

    Attributes
    ----------
    settings : dict of str to str
        What masks depend on besides weights and device: dtype, flips.

    Raises
    ------
    UserError
        For a GPU that is not there.
    """

    concurrent: bool = False

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        *,
        flips: bool = False,
        compile: bool = False,
    ) -> None:
        records, config = checkpoint.metadata.targets, checkpoint.config
        provided = [name for name in TARGETS if name in records]
        self.name: str = checkpoint.metadata.name
        self.weights_hash: str = checkpoint.sha256
        self.targets: Mapping[str, Evidence] = MappingProxyType({n: Evidence(records[n].evidence) for n in provided})
        self.thresholds: Mapping[str, float] = MappingProxyType({n: records[n].threshold for n in provided})
        self.device, self.dtype, self._model = _placed(checkpoint, device, dtype)
        self.settings = {"dtype": str(self.dtype).removeprefix("torch."), "flips": str(flips).lower()}
        on_cpu = self.device == "cpu"
        # Frames that are taken at a time, and the most that are tried.
        self.preferred_batch: int = 1 if on_cpu else max(1, round(BATCH * (512 / config.context_size) ** 2))
        self._largest = 1 if on_cpu else LARGEST_BATCH
        self._config = config
        self._mirrors = MIRRORS if flips else MIRRORS[:1]
        self._compiled: Callable[..., Logits] | None = torch.compile(self._model) if compile else None

    def predict(self, images: NDArray[np.uint8], fov: NDArray[np.bool_]) -> list[Prediction]:
        """Segment a batch; see :meth:`retsam.segmentation.SegmentationEngine.predict`.

        Raises
        ------
        RuntimeError
            If the network's answer is not finite; out of memory with a single frame.
        """
        found: list[Prediction] = []
        while len(found) < len(images):
            part = slice(len(found), len(found) + self.preferred_batch)
            maps = self._maps_or_none(images[part], fov[part])
            self._learn(len(images[part]), fitted=maps is not None)
            for one, inside in zip(maps or (), fov[part], strict=False):
                found.append(find(one, self.thresholds, inside, one.reaches))
        return found

    def _learn(self, tried: int, *, fitted: bool) -> None:
        """Take more frames at a time where so many have fitted, half as many for good where they have not."""
        if not fitted:
            self.preferred_batch = self._largest = max(1, tried // 2)
            torch.cuda.empty_cache()
        elif tried == self.preferred_batch:
            self.preferred_batch = max(tried, min(2 * tried, self._largest))

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
        logits = self._logits((picture, seen, context, context_seen), whole_frame_box(len(images), self.device))
        try:
            parts = zip(logits.fine, logits.wide, inside[:, 0], strict=True)
            return [FrameMaps(list(self.targets), fine, wide, within) for fine, wide, within in parts]
        except FloatingPointError as error:
            raise RuntimeError(f"the network {self.name} gave numbers that are not finite in {self.dtype}") from error

    def _logits(self, views: tuple[torch.Tensor, ...], box: torch.Tensor) -> Logits:
        """Logits of frames, or those of the mean probability of their mirror images."""
        if len(self._mirrors) == 1:
            return self._run(*views, box)
        sums: list[torch.Tensor] = []
        for axes in self._mirrors:
            seen = self._run(*(view.flip(axes) for view in views), box)
            # Each at its own resolution; as logits they go the way of a single image's.
            maps = [part.flip(axes).float().sigmoid_() for part in seen]
            sums = [a.add_(b) for a, b in zip(sums, maps, strict=True)] if sums else maps
        return Logits(*((total / len(self._mirrors)).logit_(eps=SMALLEST) for total in sums))

    def _run(self, *inputs: torch.Tensor) -> Logits:
        if self._compiled is not None:
            try:
                return self._compiled(*inputs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # compilers fail in many ways
                log.warning("torch.compile failed (%s); the network runs without it", type(error).__name__)
                self._compiled = None
        return self._model(*inputs)


def _placed(checkpoint: Checkpoint, wanted: str, dtype: torch.dtype | None) -> tuple[str, torch.dtype, RetSAM]:
    """Device, dtype and the network on it; ``auto`` takes the CPU where the GPU turns out to be unusable."""
    device = _device(wanted)
    if device == "cpu":
        keep_memory()
    try:
        dtype = dtype or _dtype(device)
        return device, dtype, prepare(checkpoint.network().to(device), dtype)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        if wanted != "auto" or device == "cpu":
            raise
        log.warning("the GPU cannot be used (%s); going on with the CPU", str(error).splitlines()[0])
        return _placed(checkpoint, "cpu", None)


def open_engine(path: str | Path, device: str = "auto", *, flips: bool = False, compile: bool = False) -> NetworkEngine:
    """Load a checkpoint as an engine; parameters as in :class:`NetworkEngine`."""
    return NetworkEngine(load(path), device, flips=flips, compile=compile)


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
