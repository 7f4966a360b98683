"""Photographs to tensors: SAM's own normalisation for the encoder, a local one for the detail branch.

The local mean is taken inside the field of view only and removed, then one scale is applied to the whole photograph: a
vessel looks the same in the bright and in the dark part of a picture, under any camera's colour cast.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from retsam.segmentation.network.encoder import MEAN, STD

COARSE = 16
"""The local mean is computed on cells of this many context pixels ..."""
NEIGHBOURS = 3
"""... averaged over this many cells across, so over about 48 of 512 px: a tenth of the frame."""
SMALLEST_SCALE = 0.02
"""Contrast of a picture without any, so that noise is not blown up."""


class Statistics(NamedTuple):
    """Light of a photograph: local mean colour (B, 3, h, w) on a coarse grid, and its contrast (B, 1, 1, 1), 0-1."""

    mean: torch.Tensor
    scale: torch.Tensor


def statistics(context: torch.Tensor, fov: torch.Tensor) -> Statistics:
    """Measure the light of whole frames.

    Parameters
    ----------
    context : (B, 3, S, S) float tensor
        Red, green, blue, 0-1.
    fov : (B, 1, S, S) float tensor
        1 inside the field of view; what lies outside has no influence.

    Returns
    -------
    Statistics
    """
    weight = F.avg_pool2d(fov, COARSE)
    total = F.avg_pool2d(context * fov, COARSE)
    half = NEIGHBOURS // 2
    near = [F.avg_pool2d(x, NEIGHBOURS, stride=1, padding=half) for x in (total, weight)]
    whole = total.sum(dim=(2, 3), keepdim=True) / weight.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    mean = torch.where(near[1] > 0.02, near[0] / near[1].clamp_min(1e-6), whole)
    spread = F.interpolate(mean, size=context.shape[2:], mode="bilinear", align_corners=False)
    rest = (context - spread) * fov
    pixels = fov.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1.0) * context.shape[1]
    scale = ((rest**2).sum(dim=(1, 2, 3), keepdim=True) / pixels).sqrt().clamp_min(SMALLEST_SCALE)
    return Statistics(mean, scale)


def detail_input(picture: torch.Tensor, fov: torch.Tensor, light: Statistics, box: torch.Tensor) -> torch.Tensor:
    """Six channels for the detail branch: locally normalised colour, and the local mean colour that was removed.

    Parameters
    ----------
    picture : (B, 3, h, w) float tensor
        Crop of the frame, 0-1.
    fov : (B, 1, h, w) float tensor
    light : Statistics
        Of the whole frame.
    box : (B, 4) float tensor
        Left, top, right, bottom of the crop as fractions of the frame.

    Returns
    -------
    (B, 6, h, w) float tensor
        Zero outside the field of view.
    """
    mean = sample_box(light.mean, box, picture.shape[2:])
    local = (picture - mean) / light.scale
    return torch.cat([local.clamp(-8.0, 8.0), 2.0 * mean - 1.0], dim=1) * fov


def encoder_input(context: torch.Tensor, fov: torch.Tensor) -> torch.Tensor:
    """SAM's normalisation of whole frames (B, 3, S, S), 0-1, which are black outside the field of view."""
    mean, std = (torch.tensor(x, dtype=context.dtype, device=context.device)[:, None, None] for x in (MEAN, STD))
    return (255.0 * context * fov - mean) / std


def sample_box(x: torch.Tensor, box: torch.Tensor, size: torch.Size | tuple[int, int]) -> torch.Tensor:
    """Look at maps of whole frames through crops.

    Parameters
    ----------
    x : (B, C, H, W) float tensor
    box : (B, 4) float32 tensor
        Left, top, right, bottom as fractions of the frame.
    size : (int, int)
        Height and width of the result, pixels.

    Returns
    -------
    (B, C, *size) tensor
        Bilinear samples at the pixel centres of the crops.
    """
    height, width = size
    left, top, right, bottom = (box[:, i, None] for i in range(4))
    across = (torch.arange(width, device=x.device, dtype=box.dtype) + 0.5) / width
    down = (torch.arange(height, device=x.device, dtype=box.dtype) + 0.5) / height
    u = 2.0 * (left + (right - left) * across) - 1.0
    v = 2.0 * (top + (bottom - top) * down) - 1.0
    grid = torch.stack(torch.broadcast_tensors(u[:, None, :], v[:, :, None]), dim=3)
    # bfloat16 could not tell neighbouring pixels apart, so the sampling is done in float32.
    seen = F.grid_sample(x.float(), grid.float(), mode="bilinear", padding_mode="border", align_corners=False)
    return seen.to(x.dtype)
