"""SAM's image encoder as the ``segment-anything`` package has it, with optional adapters.

References
----------
Kirillov 2023, Segment Anything, arXiv:2304.02643 (encoder).
Cheng 2023, SAM-Med2D, arXiv:2308.16184 (adapter beside each MLP).
"""

from functools import partial
from typing import Any

import torch
from segment_anything.modeling.image_encoder import ImageEncoderViT
from torch import nn

from retsam.segmentation.network.config import Adapters, NetworkConfig

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""SAM's normalisation of red, green and blue, 0-255."""


def build_encoder(config: NetworkConfig) -> ImageEncoderViT:
    """Return an encoder of (B, 3, S, S) to (B, neck_channels, S/16, S/16), S the context size."""
    encoder = ImageEncoderViT(
        img_size=config.context_size,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        out_chans=config.neck_channels,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_abs_pos=config.use_abs_pos,
        use_rel_pos=True,
        window_size=config.window_size,
        global_attn_indexes=config.global_blocks,
    )
    if encoder.pos_embed is not None:
        nn.init.trunc_normal_(encoder.pos_embed, std=0.02)
    add_adapters(encoder, config.adapters, config.embed_dim)
    return encoder


def add_adapters(encoder: ImageEncoderViT, kind: Adapters, width: int) -> None:
    """Put an adapter beside the MLP of every block: ``x + MLP(n(x)) + Adapter(n(x))``.

    The names of all other tensors stay those of SAM's checkpoints; the adapter is ``blocks.N.Adapter``.
    """
    if kind == "none":
        return
    for block in encoder.blocks:
        block.Adapter = BottleneckAdapter(width) if kind == "bottleneck" else SamMed2dAdapter(width)
        block.mlp.register_forward_hook(partial(_add_adapter, block.Adapter))


def _add_adapter(adapter: nn.Module, module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
    return output + adapter(inputs[0])


class BottleneckAdapter(nn.Module):
    """A light adapter: down to an eighth of the width and back, zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, max(width // 8, 8))
        self.up = nn.Linear(max(width // 8, 8), width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) to the same."""
        return self.up(torch.nn.functional.gelu(self.down(x)))


class SamMed2dAdapter(nn.Module):
    """SAM-Med2D's adapter: channel gate, then a strided convolution and its transpose, skip and normalisation.

    The published form: 6 tensors, none with a bias but the normalisation's, whose scale is 0 at the start, so that an
    encoder without adapters of its own is not disturbed.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channel = nn.Sequential(
            nn.Linear(width, width // 4, bias=False), nn.ReLU(), nn.Linear(width // 4, width, bias=False), nn.Sigmoid()
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )
        self.norm = nn.LayerNorm(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C), H and W even, to the same."""
        gated = x * self.channel(x.mean(dim=(1, 2)))[:, None, None, :]
        return self.norm(x + self.spatial(gated.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
