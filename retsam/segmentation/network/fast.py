"""A trained network made ready for prediction: normalisation folded into the convolutions, one dtype throughout.

Under autocast a third of the time on a CPU goes into copies between dtypes, and batch normalisation passes over the
largest maps once more; a network that is cast as a whole does neither.
"""

import copy
import ctypes
import sys
from functools import cache

import torch
from torch import nn

from retsam.segmentation.network.detail import ConvBlock, UpBlock
from retsam.segmentation.network.model import RetSAM

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 1 << 30  # bytes; above any map


def prepare(model: RetSAM, dtype: torch.dtype = torch.float32) -> RetSAM:
    """Return a copy of a network for prediction.

    Parameters
    ----------
    model : RetSAM
        Stays as it is.
    dtype : torch.dtype
        ``float32`` gives the same logits to rounding; ``bfloat16`` and ``float16`` are faster where the processor has
        them. The photograph's light is measured in float32 all the same, so inputs stay float32.

    Returns
    -------
    RetSAM
        In evaluation mode, channels last, without gradients; its state dict differs from the original's.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, ConvBlock):
            _fold_block(module)
        elif isinstance(module, UpBlock):
            _fold_up(module)
    return model.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]


@cache
def keep_memory() -> None:
    """Tell the C library to keep freed memory for this process, once.

    By default every large map is a mapping of its own, given back when it is freed; filling the next one's fresh pages
    with zeros takes a fifth of a prediction on a CPU. Nothing happens where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(parameter, _LARGEST)


def _fold_block(block: ConvBlock) -> None:
    for number, module in enumerate(block):
        if isinstance(module, nn.BatchNorm2d):
            block[number - 1] = _folded(block[number - 1], module, with_shift=True)
            block[number] = nn.Identity()


def _fold_up(block: UpBlock) -> None:
    """Both convolutions take the scale; the shift goes to one of them, through the enlargement it stays what it is."""
    block.below = _folded(block.below, block.norm, with_shift=True)
    if block.skip is not None:
        block.skip = _folded(block.skip, block.norm, with_shift=False)
    block.norm = nn.Identity()  # type: ignore[assignment]


def _folded(convolution: nn.Module, norm: nn.BatchNorm2d, *, with_shift: bool) -> nn.Conv2d:
    """Return the convolution with the normalisation's scale, and with its shift as a bias."""
    assert isinstance(convolution, nn.Conv2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    before, after = convolution.in_channels, convolution.out_channels
    out = nn.Conv2d(before, after, 3, padding=1, bias=with_shift, device=scale.device)
    with torch.no_grad():
        out.weight.copy_(convolution.weight * scale[:, None, None, None])
        if out.bias is not None:
            out.bias.copy_(norm.bias - norm.running_mean * scale)
    return out.requires_grad_(False)
