"""The whole network: encoder and detail branch, fused, with one decoder per task group."""

from collections.abc import Collection, Sequence
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

SHARED = ("detail", "fusion", "up8", "up4")
"""Parts that heads share, unless they have a branch of their own."""


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


class Path(nn.Module):
    """From pixels and the encoder's features to a quarter of the resolution.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        w, neck = config.widths, config.neck_channels
        skips = _skips(config)
        self.detail = DetailBranch(INPUT_CHANNELS, w) if config.detail else None
        self.fusion: nn.Module | None = None
        if config.detail:
            self.fusion = FusionBlock(neck, w[4]) if config.fusion else PlainSum(neck, w[4])
        self.up8 = UpBlock(neck, skips[3], w[3])
        self.up4 = UpBlock(w[3], skips[2], w[2])

    def quarter(
        self, seen: torch.Tensor, features: torch.Tensor, here: torch.Tensor
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor | None]]:
        """Fused features at a quarter of the resolution, and the skips of the detail branch.

        Parameters
        ----------
        seen : (B, INPUT_CHANNELS, h, w) tensor
        features : (B, neck, S / 16, S / 16) tensor
            The encoder's, of the whole frame.
        here : (B, neck, h / 16, w / 16) tensor
            The same at the crop's place.
        """
        skips: Sequence[torch.Tensor | None] = [None] * 5
        if self.detail is not None and self.fusion is not None:
            maps = self.detail(seen)
            here, skips = self.fusion(here, maps[4], features.mean(dim=(2, 3))), maps
        return self.up4(self.up8(here, skips[3]), skips[2]), skips


class RetSAM(Path):
    """Every target of one photograph in one pass.

    The encoder sees the whole frame at ``context_size``; the detail branch sees a crop of it at full resolution (the
    whole frame in prediction). The encoder's features are sampled at the crop's place and fused with the detail
    branch's deepest ones; a shared decoder leads to a quarter of the resolution, and from there every group of
    ``config.HEADS`` has its own. The heads of ``config.branches`` share the encoder only.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.config = config
        self.image_encoder = build_encoder(config)
        self.heads = nn.ModuleDict({head.name: _decoder(head, config.widths, _skips(config)) for head in HEADS})
        self.branches = nn.ModuleDict({name: Path(config) for name in config.branches})

    def forward(
        self,
        picture: torch.Tensor,
        fov: torch.Tensor,
        context: torch.Tensor,
        context_fov: torch.Tensor,
        box: torch.Tensor,
        heads: Collection[str] | None = None,
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
        heads : collection of str, optional
            Heads to compute, all by default; the logits of the others are :data:`PRIOR` everywhere.

        Returns
        -------
        Logits
            In the dtype of the parameters, or of autocast.
        """
        dtype = self.up8.below.weight.dtype
        height, width = picture.shape[2:]
        features = self.image_encoder(encoder_input(context, context_fov).to(dtype))
        here = sample_box(features, box, (height // STRIDE, width // STRIDE))
        seen = detail_input(picture, fov, statistics(context, context_fov), box)
        seen = seen.to(dtype, memory_format=torch.channels_last)
        wanted = [head for head in HEADS if heads is None or head.name in heads]
        out: dict[str, torch.Tensor] = {}
        shared = [head.name for head in wanted if head.name not in self.branches]
        for names in (shared, *([name] for name in self.branches if name in {head.name for head in wanted})):
            if names:
                quarter, skips = self.path(names[0]).quarter(seen, features, here)
                out |= {name: self.heads[name](quarter, skips) for name in names}
        for head in HEADS:
            if head.name not in out:
                shape = (len(picture), len(head.targets), height // head.stride, width // head.stride)
                out[head.name] = here.new_full(shape, PRIOR)
        fine, wide = (torch.cat([out[h.name] for h in HEADS if h.stride == s], dim=1) for s in (1, WIDE_STRIDE))
        return Logits(fine, wide)

    def path(self, head: str) -> Path:
        """Return the path that leads to a head: its own, or the one that the others share."""
        if head not in self.branches:
            return self
        own = self.branches[head]
        assert isinstance(own, Path)
        return own


def _skips(config: NetworkConfig) -> Sequence[int]:
    return config.widths if config.detail else (0,) * len(config.widths)


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
