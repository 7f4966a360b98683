"""What storing does to a photograph: fewer pixels, and JPEG. Archives of screening programmes are small and compressed.

The quantisation of JPEG is done on the device in float32; what it leaves out (subsampled colour, entropy coding, which
loses nothing) does not change what a network sees of it.

References
----------
ITU-T T.81 (1992), annex K: example tables. The scaling by a quality of 1-100 is that of the Independent JPEG Group.
"""

import math

import torch
import torch.nn.functional as F

BLOCK = 8

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * BLOCK for _ in range(4)),
)

TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Rows: luminance, blue and red difference of a colour (ITU-R BT.601, full range)."""


def store(picture: torch.Tensor, factor: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Store pictures with fewer pixels as JPEG and enlarge them again.

    Parameters
    ----------
    picture : (B, 3, h, w) float tensor
        Red, green, blue, 0-1.
    factor : (B,) float tensor
        By how much the sides shrink; at least 1.
    quality : (B,) float tensor
        1-100; 0 leaves a picture as it is.

    Returns
    -------
    (B, 3, h, w) float tensor
        0-1.
    """
    return torch.stack([_store(p, float(f), float(q)) for p, f, q in zip(picture, factor, quality, strict=True)])


def _store(picture: torch.Tensor, factor: float, quality: float) -> torch.Tensor:
    if quality <= 0.0:
        return picture
    size = picture.shape[1:]
    small = [max(math.ceil(side / factor), BLOCK) for side in size]
    shrunk = F.interpolate(picture[None], size=small, mode="bilinear", antialias=True, align_corners=False)
    coded = jpeg(shrunk, quality)
    return F.interpolate(coded, size=size, mode="bilinear", align_corners=False)[0].clamp(0.0, 1.0)


def jpeg(picture: torch.Tensor, quality: float) -> torch.Tensor:
    """Quantise pictures (B, 3, h, w), 0-1, as JPEG of a quality of 1-100 does; colour is not subsampled."""
    to_ycc = torch.tensor(TO_YCC, dtype=picture.dtype, device=picture.device)
    height, width = picture.shape[2:]
    padded = F.pad(255.0 * picture - 128.0, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, padded)
    rows, columns = (side // BLOCK for side in ycc.shape[2:])
    blocks = ycc.reshape(len(ycc), 3, rows, BLOCK, columns, BLOCK)
    basis = _basis(picture)
    steps = _steps(quality, picture)[None, :, None, :, None, :]
    waves = torch.einsum("ui,bcrikj,vj->bcrukv", basis, blocks, basis)
    blocks = torch.einsum("ui,bcrukv,vj->bcrikj", basis, (waves / steps).round() * steps, basis)
    rgb = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), blocks.reshape_as(ycc))
    return ((rgb[:, :, :height, :width] + 128.0) / 255.0).clamp(0.0, 1.0)


def _basis(like: torch.Tensor) -> torch.Tensor:
    """Orthonormal cosine transform (8, 8): rows are waves."""
    place = torch.arange(BLOCK, dtype=like.dtype, device=like.device)
    waves = torch.cos(math.pi / BLOCK * (place[None, :] + 0.5) * place[:, None]) * math.sqrt(2.0 / BLOCK)
    return torch.cat([waves[:1] / math.sqrt(2.0), waves[1:]])


def _steps(quality: float, like: torch.Tensor) -> torch.Tensor:
    """Steps (3, 8, 8) of the quantisation of luminance and both colours."""
    tables = torch.tensor([LUMINANCE, CHROMINANCE, CHROMINANCE], dtype=like.dtype, device=like.device)
    scale = 5000.0 / quality if quality < 50.0 else 200.0 - 2.0 * quality
    return ((tables * scale + 50.0) / 100.0).floor().clamp(1.0, 255.0)
