"""The whole network: encoder and detail branch, fused, with one decoder per task group."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from retsam.segmentation.network.config import FINE, HEADS, WIDE_STRIDE, Head, NetworkConfig
from retsam.segmentation.network.detail import ConvBlock, DetailBranch, UpBlock, enlarge
from retsam.segmentation.network.encoder import build_encoder
from retsam.segmentation.network.fusion import FusionBlock, PlainSum
from retsam.segmentation.network.normalise import detail_input, encoder_input, sample_box, statistics

INPUT_CHANNELS = 6
STRIDE = 16
PRIOR = -2.0
"""Logit that every target starts from: most pixels are background."""


class Logits(NamedTuple):
    """What the network says.

    Attributes
    ----------
    fine : (B, len(FINE), h, w) tensor
    wide : (B, len(WIDE), h / 4, w / 4) tensor
        Kept at the resolution at which it is predicted: enlarging two dozen maps costs as much as the decoders do.
    """

    fine: torch.Tensor
    wide: torch.Tensor

    def full(self) -> torch.Tensor:
        """All at full resolution, (B, len(CHANNELS), h, w), in the order of ``config.CHANNELS``."""
        return torch.cat([self.fine, enlarge(self.wide, WIDE_STRIDE)], dim=1)


class RetSAM(nn.Module):
    """Every target of one photograph in one pass.

    The encoder sees the whole frame at ``context_size``; the detail branch sees a crop of it at full resolution (the
    whole frame in prediction). The encoder's features are sampled at the crop's place and fused with the detail
    branch's deepest ones; a shared decoder leads to a quarter of the resolution, and from there every group of
    ``config.HEADS`` has its own.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        w, neck = config.widths, config.neck_channels
        skips = w if config.detail else (0,) * len(w)
        self.image_encoder = build_encoder(config)
        self.detail = DetailBranch(INPUT_CHANNELS, w) if config.detail else None
        self.fusion: nn.Module | None = None
        if config.detail:
            self.fusion = FusionBlock(neck, w[4]) if config.fusion else PlainSum(neck, w[4])
        self.up8 = UpBlock(neck, skips[3], w[3])
        self.up4 = UpBlock(w[3], skips[2], w[2])
        self.heads = nn.ModuleDict({head.name: _decoder(head, w, skips) for head in HEADS})

    def forward(
        self,
        picture: torch.Tensor,
        fov: torch.Tensor,
        context: torch.Tensor,
        context_fov: torch.Tensor,
        box: torch.Tensor,
    ) -> Logits:
        """Predict logits.

        Parameters
        ----------
        picture : (B, 3, h, w) float32 tensor
            Crops, red, green, blue, 0-1; sides multiples of 16.
        fov : (B, 1, h, w) float32 tensor
            1 inside the field of view; what lies outside has no influence.
        context, context_fov : (B, 3, S, S) and (B, 1, S, S) float32 tensors
            The whole frames, S the context size.
        box : (B, 4) float32 tensor
            Where each crop lies: left, top, right, bottom as fractions of the frame.

        Returns
        -------
        Logits
            In the dtype of the parameters, or of autocast.
        """
        dtype = self.up8.below.weight.dtype
        height, width = picture.shape[2:]
        features = self.image_encoder(encoder_input(context, context_fov).to(dtype))
        fused = sample_box(features, box, (height // STRIDE, width // STRIDE))
        skips: Sequence[torch.Tensor | None] = [None] * len(self.config.widths)
        if self.detail is not None and self.fusion is not None:
            seen = detail_input(picture, fov, statistics(context, context_fov), box)
            maps = self.detail(seen.to(dtype, memory_format=torch.channels_last))
            fused, skips = self.fusion(fused, maps[4], features.mean(dim=(2, 3))), maps
        quarter = self.up4(self.up8(fused, skips[3]), skips[2])
        out = {head.name: self.heads[head.name](quarter, skips) for head in HEADS}
        fine, wide = (torch.cat([out[h.name] for h in HEADS if h.stride == s], dim=1) for s in (1, WIDE_STRIDE))
        return Logits(fine, wide)


def _decoder(head: Head, widths: Sequence[int], skips: Sequence[int]) -> nn.Module:
    return FineDecoder(head, widths, skips) if head.targets[0] in FINE else WideDecoder(head, widths)


class FineDecoder(nn.Module):
    """From a quarter of the resolution to the whole, with the skips of the detail branch.

    Parameters
    ----------
    head : Head
    widths, skips : sequence of int
        Channels of the decoder and of the skips at each stride.
    """

    def __init__(self, head: Head, widths: Sequence[int], skips: Sequence[int]) -> None:
        super().__init__()
        self.up2 = UpBlock(widths[2], skips[1], widths[1])
        self.up1 = UpBlock(widths[1], skips[0], widths[0])
        self.out = _last(widths[0], head)

    def forward(self, quarter: torch.Tensor, skips: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """(B, widths[2], h/4, w/4) and the skips to logits (B, targets, h, w)."""
        return self.out(self.up1(self.up2(quarter, skips[1]), skips[0]))


class WideDecoder(nn.Module):
    """At a quarter of the resolution; parameters as in :class:`FineDecoder`."""

    def __init__(self, head: Head, widths: Sequence[int]) -> None:
        super().__init__()
        self.block = ConvBlock(widths[2], widths[2])
        self.out = _last(widths[2], head)

    def forward(self, quarter: torch.Tensor, skips: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """(B, widths[2], h/4, w/4) to logits (B, targets, h/4, w/4)."""
        return self.out(self.block(quarter))


def _last(before: int, head: Head) -> nn.Conv2d:
    out = nn.Conv2d(before, len(head.targets), 1)
    nn.init.constant_(out.bias, PRIOR)  # type: ignore[arg-type]
    return out


def whole_frame_box(batch: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Return the box (B, 4) of a crop that is the whole frame."""
    return torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device).expand(batch, 4)
