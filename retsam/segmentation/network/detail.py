"""Convolutional detail branch: what a 16-pixel patch cannot see, vessels and microaneurysms of a few pixels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class ConvBlock(nn.Sequential):
    """``count`` times 3x3 convolution, batch normalisation, ReLU."""

    def __init__(self, before: int, after: int, count: int = 1) -> None:
        layers: list[nn.Module] = []
        for number in range(count):
            layers += [
                nn.Conv2d(before if number == 0 else after, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class DetailBranch(nn.Module):
    """Features at strides 1, 2, 4, 8 and 16.

    Parameters
    ----------
    channels : int
        Of the input.
    widths : sequence of int
        Channels at each stride.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        before = [channels, *widths[:-1]]
        self.levels = nn.ModuleList([ConvBlock(b, a, 2) for b, a in zip(before, widths, strict=True)])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, channels, H, W), sides multiples of 16, to five maps (B, widths[i], H / 2**i, W / 2**i)."""
        out = []
        for number, level in enumerate(self.levels):
            x = level(F.max_pool2d(x, 2) if number else x)
            out.append(x)
        return out


class UpBlock(nn.Module):
    """Twice the resolution: ``ReLU(BN(enlarge(conv(x)) + conv(skip)))``.

    The sum does what a convolution of both maps together would do, but what comes from below is convolved where it is
    small, and no wide map of full resolution is ever made.

    Parameters
    ----------
    below, after : int
        Channels of the input and of the output.
    skip : int
        Channels of the skip; 0 for none.
    """

    def __init__(self, below: int, skip: int, after: int) -> None:
        super().__init__()
        self.below = nn.Conv2d(below, after, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(skip, after, 3, padding=1, bias=False) if skip else None
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
        """(B, below, H, W) and (B, skip, 2H, 2W) to (B, after, 2H, 2W)."""
        out = enlarge(self.below(x), 2)
        if self.skip is not None and skip is not None:
            out += self.skip(skip)
        return F.relu(self.norm(out), inplace=True)


def enlarge(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Enlarge (B, C, H, W) bilinearly, pixel areas aligned."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
