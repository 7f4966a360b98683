"""Probability maps of one frame, made from the network's logits when they are asked for.

Of the three dozen targets most are nowhere in a given frame: a look at the highest logit tells, and enlarging such a
map, with all that follows, is work for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from retsam.segmentation.network.config import CHANNELS, FINE

MARGIN = 1e-5
"""By how much rounding can raise a probability in enlargement at most, with room to spare."""


class FrameMaps(Mapping[str, NDArray[np.float32]]):
    """Probabilities by target, each (S, S) float32, 0-1, 0 outside the field of view.

    Parameters
    ----------
    targets : sequence of str
        Those that are provided, in the order to list them.
    fine : (len(FINE), h, w) tensor
    wide : (len(WIDE), h / 4, w / 4) tensor
        Logits in any dtype; they stay where they are.
    inside : (S, S) float32 tensor
        1 inside the field of view, 0 outside.

    Raises
    ------
    FloatingPointError
        If a logit is not finite.
    """

    def __init__(self, targets: Sequence[str], fine: torch.Tensor, wide: torch.Tensor, inside: torch.Tensor) -> None:
        self._targets = targets
        self._inside = inside
        self._logits = dict(zip(CHANNELS, (*fine, *wide), strict=True))
        self._highest = dict(zip(CHANNELS, _highest(fine) + _highest(wide), strict=True))
        self._made: dict[str, NDArray[np.float32]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if name not in self._targets:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def reaches(self, name: str, threshold: float) -> bool:
        """Whether the map may exceed a threshold anywhere; True is no promise, False is."""
        return self._highest[name] + MARGIN > threshold

    @torch.inference_mode()
    def _make(self, name: str) -> NDArray[np.float32]:
        channel, size = self._logits[name].float().contiguous()[None, None], len(self._inside)
        # Wide maps are enlarged before the logistic function, as in training.
        maps = to_size(channel.sigmoid(), size) if name in FINE else to_size(channel, size).sigmoid_()
        return np.asarray((maps[0, 0] * self._inside).cpu().numpy())


def _highest(maps: torch.Tensor) -> list[float]:
    """Highest probability of each channel of logits (channels, h, w)."""
    # Channels lie side by side in memory: whole rows are compared first, many times faster than channel by channel.
    count, height, width = maps.shape
    rows = maps.movedim(0, -1).reshape(height, width * count)
    lowest, highest = (x.view(width, count) for x in (rows.amin(dim=0), rows.amax(dim=0)))
    if not bool(torch.isfinite(lowest).all() & torch.isfinite(highest).all()):
        raise FloatingPointError("logits are not finite")
    return highest.amax(dim=0).float().sigmoid().tolist()


def to_size(maps: torch.Tensor, size: int) -> torch.Tensor:
    """Maps (B, C, S, S) at another size: averages where they shrink, bilinear where they grow."""
    if maps.shape[2] == size:
        return maps
    if maps.shape[2] > size:
        return F.interpolate(maps, size=(size, size), mode="area")
    return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)
