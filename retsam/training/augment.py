"""Random views of labelled frames: geometry, light, colour and lens, batched in torch.

What differs between cameras decides how a model does on photographs it never saw: magnification (fields of 30 to 60
degrees make a vessel twice as wide in the frame), contrast, colour and sharpness. So those vary widely here.
"""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Augmentation:
    """How much views vary.

    Attributes
    ----------
    magnification : tuple of float
        Range, drawn uniformly on a log scale; 1 leaves the field of view as wide as the frame.
    rotation : float
        Largest angle, degrees.
    stretch : float
        Largest relative difference between the axes.
    mirror : bool
        Left-right and up-down.
    contrast : tuple of float
        Range of the factor on the difference from the local mean.
    gain, gamma : float
        Standard deviation of the logarithm, per channel and of all.
    light : float
        Standard deviation of the logarithm of a linear slope of light over the frame.
    blur : float
        Largest standard deviation, pixels of the crop.
    noise : float
        Largest standard deviation, 0-1.
    grey : float
        Probability of a picture without colour.
    coarse : float
        Largest factor by which stored pictures are smaller than the frame; 1 for none.
    quality : tuple of float
        Range of their JPEG quality, 1-100.
    stored : float
        Probability of a picture that was stored so; 0 for none.
    """

    magnification: tuple[float, float] = (0.7, 2.1)
    rotation: float = 180.0
    stretch: float = 0.08
    mirror: bool = True
    contrast: tuple[float, float] = (0.4, 1.4)
    gain: float = 0.12
    gamma: float = 0.2
    light: float = 0.2
    blur: float = 1.5
    noise: float = 0.03
    grey: float = 0.05
    coarse: float = 2.2
    quality: tuple[float, float] = (40.0, 95.0)
    stored: float = 0.0


NONE = Augmentation((1.0, 1.0), 0.0, 0.0, False, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""No change but the crop."""


def draw_affine(generator: torch.Generator, batch: int, augmentation: Augmentation) -> torch.Tensor:
    """Draw maps (B, 2, 3) from a view to its frame, in coordinates from -1 to 1."""
    a = augmentation
    low, high = (math.log(x) for x in a.magnification)
    zoom = torch.exp(low + (high - low) * torch.rand(batch, generator=generator))
    angle = math.radians(a.rotation) * (2.0 * torch.rand(batch, generator=generator) - 1.0)
    stretch = torch.exp(a.stretch * (2.0 * torch.rand(batch, generator=generator) - 1.0))
    flip = torch.where(torch.rand(batch, 2, generator=generator) < 0.5, -1.0, 1.0) if a.mirror else torch.ones(batch, 2)
    place = 2.0 * torch.rand(batch, 2, generator=generator) - 1.0
    c, s = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    size = torch.stack([stretch / zoom, 1.0 / (stretch * zoom)], 1)
    matrix = turn * (size * flip)[:, None, :]
    # A magnified view may look at any part of the field of view; a whole one stays centred.
    shift = place * (1.0 - 1.0 / zoom).clamp_min(0.0)[:, None] * 0.8
    return torch.cat([matrix, shift[:, :, None]], dim=2)


def sample(frames: torch.Tensor, affine: torch.Tensor, box: torch.Tensor, side: int) -> torch.Tensor:
    """Look at frames through views.

    Parameters
    ----------
    frames : (B, C, S, S) float tensor
    affine : (B, 2, 3) float tensor
        Maps from a view to its frame, see :func:`draw_affine`.
    box : (B, 4) float tensor
        Part of each view: left, top, right, bottom as fractions of it.
    side : int
        Pixels.

    Returns
    -------
    (B, C, side, side) tensor
        Bilinear samples, 0 outside the frame.
    """
    u, v = 2.0 * _places(box, side) - 1.0
    uv = torch.stack(torch.broadcast_tensors(u[:, None, :], v[:, :, None]), dim=3)
    grid = uv @ affine[:, None, :, :2].transpose(2, 3) + affine[:, None, None, :, 2]
    return F.grid_sample(frames, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def round_field(box: torch.Tensor, side: int) -> torch.Tensor:
    """Part ``box`` of the circle that a camera shows of a magnified view, (B, 1, side, side), 0 or 1."""
    u, v = 2.0 * _places(box, side) - 1.0
    return ((u[:, None, :] ** 2 + v[:, :, None] ** 2) <= 1.0).float()[:, None]


def _places(box: torch.Tensor, side: int) -> torch.Tensor:
    """Pixel centres (2, B, side), across and down, of parts of a view, as fractions of the view."""
    step = (torch.arange(side, device=box.device, dtype=torch.float32) + 0.5) / side
    return torch.stack([box[:, i, None] + (box[:, i + 2] - box[:, i])[:, None] * step for i in (0, 1)])


@dataclass(frozen=True)
class Light:
    """One drawn change of light and colour, to be applied to a crop and to its whole view alike."""

    contrast: torch.Tensor
    gain: torch.Tensor
    gamma: torch.Tensor
    slope: torch.Tensor
    grey: torch.Tensor

    @classmethod
    def draw(cls, generator: torch.Generator, batch: int, augmentation: Augmentation) -> "Light":
        """Draw for a batch."""
        a = augmentation

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(batch, *shape, generator=generator)

        low, high = a.contrast
        contrast = low + (high - low) * torch.rand(batch, 1, 1, 1, generator=generator)
        gain = torch.exp(a.gain * normal(3, 1, 1) + a.gain * normal(1, 1, 1))
        return cls(
            contrast,
            gain,
            torch.exp(a.gamma * normal(1, 1, 1)),
            a.light * normal(2, 1, 1),
            torch.rand(batch, 1, 1, 1, generator=generator) < a.grey,
        )

    def to(self, device: torch.device) -> "Light":
        """Return the same on another device."""
        return Light(*(getattr(self, field.name).to(device) for field in fields(self)))

    def __getitem__(self, rows: list[int]) -> "Light":
        """Part of a batch."""
        return Light(*(getattr(self, field.name)[rows] for field in fields(self)))

    def apply(self, picture: torch.Tensor, mean: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
        """Change pictures.

        Parameters
        ----------
        picture, mean : (B, 3, h, h) float tensor
            Colours 0-1, and their local mean.
        box : (B, 4) float tensor
            Part of the view that is seen.

        Returns
        -------
        (B, 3, h, h) float tensor
            0-1.
        """
        out = mean + self.contrast * (picture - mean)
        out = torch.where(self.grey, out[:, 1:2].expand_as(out), out)
        u, v = _places(box, picture.shape[2]) - 0.5
        shade = torch.exp(self.slope[:, 0:1] * u[:, None, None, :] + self.slope[:, 1:2] * v[:, None, :, None])
        return (out.clamp(1e-4, 1.0) ** self.gamma * self.gain * shade).clamp(0.0, 1.0)


RADIUS = 5
"""Pixels that a blur reaches."""


def soften(picture: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur pictures (B, 3, h, w), each by its own Gaussian of ``sigma`` (B,) pixels, at most 2.5."""
    place = torch.arange(-RADIUS, RADIUS + 1, device=picture.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (place / sigma.clamp_min(0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    batch, channels, height, width = picture.shape
    flat = F.pad(picture, (RADIUS,) * 4, mode="replicate").reshape(
        1, batch * channels, height + 2 * RADIUS, width + 2 * RADIUS
    )
    for k in (kernel[:, None, None, :], kernel[:, None, :, None]):
        flat = F.conv2d(flat, k, groups=batch * channels)
    return flat.reshape(batch, channels, height, width)
