"""Feature fusion block: convolutional and transformer features of the same places become one map.

Wei 2024 (doi 10.18280/mmep.111024) joins CNN and transformer features in a fusion block before the decoder; the
equation did not survive in the published text. This is our own form, a gated sum,

    f = t + tanh(g) * s * c',   c' = W c,   s = sigmoid(A [t, c'] + B m)

with transformer features t, convolutional features c, a gate A for every place and a gate B for every channel, and a
number g for every channel that starts at 0: at the start the block returns t unchanged, so that a pretrained encoder is
not disturbed. The channel gate looks at m, the mean of the transformer's features over the whole frame; with a mean
over the crop, a crop and the whole frame would give the same place different predictions.
"""

import torch
from torch import nn


class FusionBlock(nn.Module):
    """Gated sum.

    Parameters
    ----------
    transformer, convolutional : int
        Channels of the two maps.
    """

    def __init__(self, transformer: int, convolutional: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(convolutional, transformer, 1)
        self.place = nn.Conv2d(2 * transformer, transformer, 1)
        self.channel = nn.Linear(transformer, transformer)
        self.gate = nn.Parameter(torch.zeros(transformer))

    def forward(self, t: torch.Tensor, c: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Fuse.

        Parameters
        ----------
        t : (B, transformer, H, W) tensor
        c : (B, convolutional, H, W) tensor
        mean : (B, transformer) tensor
            Mean of the transformer's features over the whole frame.

        Returns
        -------
        (B, transformer, H, W) tensor
        """
        c = self.project(c)
        weight = self.place(torch.cat([t, c], dim=1)) + self.channel(mean)[:, :, None, None]
        return t + torch.tanh(self.gate)[:, None, None] * torch.sigmoid(weight) * c


class PlainSum(nn.Module):
    """What the fusion block is compared with: ``t + W c``; parameters as there."""

    def __init__(self, transformer: int, convolutional: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(convolutional, transformer, 1)

    def forward(self, t: torch.Tensor, c: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Add; arguments as in :meth:`FusionBlock.forward`, ``mean`` is not used."""
        return t + self.project(c)
