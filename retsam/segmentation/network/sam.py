"""SAM's image encoder from a user's checkpoint: SAM, MedSAM or SAM-Med2D, fitted to the size of our frames.

References
----------
Kirillov 2023, Segment Anything, arXiv:2304.02643. Ma 2024, MedSAM, doi 10.1038/s41467-024-44824-z.
Cheng 2023, SAM-Med2D, arXiv:2308.16184.
"""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from retsam.errors import UserError
from retsam.segmentation.network.config import PRESETS, NetworkConfig
from retsam.segmentation.network.encoder import MEAN, STD, build_encoder

PREFIX = "image_encoder."
ADAPTER = ".Adapter."
PARTS = ("patch_embed.", "pos_embed", "blocks.", "neck.")
"""What an encoder's own names begin with, in a file that holds nothing else."""

LEVELS = ("model", "state_dict")
"""Keys under which training programs put the tensors."""

WRAPPERS = ("module.", "model.", "_orig_mod.")
"""What parallel training and compilation put before every name."""

PATCH = (3, 16, 16)
_REPORTED = 3

Pixels = Literal["sam", "medsam", "sam_med2d"]
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class KeyReport:
    """What became of the tensors of a checkpoint, by name; names are the network's, with ``image_encoder.``.

    Attributes
    ----------
    loaded : tuple of str
        Taken as they are.
    resized : tuple of str
        Positions, taken at another size.
    missing : tuple of str
        Of the network's encoder, not in the file; they keep the values they started with. Adapters only.
    unexpected : tuple of str
        In the file's encoder, of no use here: adapters of a network without them.
    ignored : tuple of str
        Other parts of the file: prompt encoder and mask decoder.
    """

    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    ignored: tuple[str, ...]

    def as_dict(self) -> dict[str, list[str]]:
        """Lists, for JSON."""
        return {kind: list(names) for kind, names in asdict(self).items()}

    def __str__(self) -> str:
        return ", ".join(f"{len(names)} {kind}" for kind, names in asdict(self).items())


@dataclass(frozen=True)
class Form:
    """Form of an encoder, as the shapes of its tensors tell it.

    Attributes
    ----------
    embed_dim, depth, num_heads, neck_channels : int
    grid : int
        Tokens along one side; 0 without an absolute position embedding.
    global_blocks : tuple of int or None
        None where windows are as large as the grid, so that shapes do not tell.
    adapters : bool
        Those of SAM-Med2D.
    """

    embed_dim: int
    depth: int
    num_heads: int
    neck_channels: int
    grid: int
    global_blocks: tuple[int, ...] | None
    adapters: bool

    @property
    def preset(self) -> str | None:
        """Name of the preset with such an encoder, if there is one."""
        for name, config in PRESETS.items():
            if _sizes(config) == _sizes(self):
                return name
        return None


@dataclass(frozen=True)
class SamEncoder:
    """Encoder of a checkpoint, fitted to a network.

    Attributes
    ----------
    name : str
        Of the file.
    weights : dict of str to float32 tensor
        Under the network's names, ``image_encoder.`` included; a part of its state dict.
    report : KeyReport
    form : Form
        Of the file.
    sha256 : str
        Of the file.
    """

    name: str
    weights: Tensors
    report: KeyReport
    form: Form
    sha256: str


def load_sam(path: str | Path, config: NetworkConfig, pixels: Pixels | None = None) -> SamEncoder:
    """Read the image encoder of a SAM checkpoint for a network of the same form, at the network's size.

    Parameters
    ----------
    path : path-like
        Checkpoint of SAM, MedSAM or SAM-Med2D (``.pth``, read without running any code of it), or safetensors with
        the same names.
    config : NetworkConfig
    pixels : str, optional
        How the file's network was given its photographs: ``sam`` normalised; ``medsam`` 0-1; ``sam_med2d`` normalised
        with red and blue exchanged. The difference is put into the patch embedding, so that ours are normalised for
        all. By default ``sam_med2d`` for a file with adapters, otherwise ``sam``.

    Returns
    -------
    SamEncoder

    Raises
    ------
    UserError
        If the file cannot be read safely, is of another form, or lacks a tensor.
    """
    path = Path(path)
    encoder, others = _encoder_tensors(read_tensors(path), path.name)
    form = infer_form(encoder, path.name)
    _check_form(form, config, path.name)
    weights, names = _fit(encoder, config, path.name)
    _take_pixels(weights, pixels or ("sam_med2d" if form.adapters else "sam"))
    loaded, resized, missing, unexpected = (tuple(PREFIX + name for name in kind) for kind in names)
    report = KeyReport(loaded, resized, missing, unexpected, tuple(others))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    renamed = {PREFIX + name: tensor for name, tensor in weights.items()}
    return SamEncoder(path.name, renamed, report, form, digest)


def read_tensors(path: str | Path) -> Tensors:
    """Tensors of a checkpoint by name, without what training programs put around them; no code of the file is run.

    Raises
    ------
    UserError
        If there is no such file, or it is no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; give a .pth or .safetensors file of SAM, MedSAM or SAM-Med2D.")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, LookupError) as error:
        raise UserError(f"{path.name} is no checkpoint that can be read safely; download it again.") from error
    while isinstance(content, Mapping) and (level := next((k for k in LEVELS if _is_level(content, k)), None)):
        content = content[level]
    if not isinstance(content, Mapping):
        raise UserError(f"{path.name} holds a {type(content).__name__}, no tensors by name; give a checkpoint of SAM.")
    return {_unwrapped(str(k)): v.detach() for k, v in content.items() if isinstance(v, torch.Tensor)}


class _Inert:
    """Stands for whatever else a checkpoint holds, an optimizer for instance: takes anything, does nothing."""

    def __new__(cls, *args: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _no_default(*args: Any) -> dict[Any, Any]:
    """Stands for ``collections.defaultdict``."""
    return {}


def _unpickle(path: Path) -> Any:
    """Read with ``weights_only``; names of classes that it would refuse become :class:`_Inert`."""
    zipped = zipfile.is_zipfile(path)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
    stand_ins: list[Any] = [(_no_default if n == "collections.defaultdict" else _Inert, n) for n in names]
    with torch.serialization.safe_globals(stand_ins):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _is_level(content: Mapping[Any, Any], key: str) -> bool:
    return isinstance(content.get(key), Mapping)


def _unwrapped(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def _encoder_tensors(tensors: Tensors, name: str) -> tuple[Tensors, list[str]]:
    """Tensors of the encoder without its prefix, and names of the others."""
    prefix = PREFIX if any(k.startswith(PREFIX) for k in tensors) else ""
    encoder = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix or PARTS)}
    if "patch_embed.proj.weight" not in encoder:
        raise UserError(f"{name} holds no image encoder of SAM (no {PREFIX}patch_embed.proj.weight).")
    return encoder, [k for k in tensors if not k.startswith(prefix or PARTS)]


def infer_form(encoder: Mapping[str, torch.Tensor], name: str = "the checkpoint") -> Form:
    """Tell the form of an encoder from the shapes of its tensors.

    Parameters
    ----------
    encoder : mapping of str to tensor
        Names without ``image_encoder.``.
    name : str
        For messages.

    Raises
    ------
    UserError
        If its patches are not those of SAM.
    """
    patch = tuple(encoder["patch_embed.proj.weight"].shape)
    if patch[1:] != PATCH:
        raise UserError(f"{name}: patch embedding {patch} is not SAM's (width, {', '.join(map(str, PATCH))}).")
    numbers = {int(k.split(".")[1]) for k in encoder if k.startswith("blocks.") and k.split(".")[1].isdecimal()}
    depth = max(numbers, default=-1) + 1
    relative = [tuple(encoder[k].shape) if k in encoder else (0, 0) for k in (_relative(i) for i in range(depth))]
    width = next((shape[-1] for shape in relative if shape[-1]), 0)
    grid = encoder["pos_embed"].shape[1] if "pos_embed" in encoder and encoder["pos_embed"].ndim == 4 else 0
    large = tuple(i for i, shape in enumerate(relative) if shape[0] == 2 * grid - 1)
    neck = encoder.get("neck.0.weight")
    return Form(
        embed_dim=patch[0],
        depth=depth,
        num_heads=patch[0] // width if width else 0,
        neck_channels=neck.shape[0] if neck is not None else 0,
        grid=grid,
        global_blocks=large if grid and len({shape[0] for shape in relative}) > 1 else None,
        adapters=any(ADAPTER in k for k in encoder),
    )


def _relative(block: int) -> str:
    return f"blocks.{block}.attn.rel_pos_h"


def _sizes(form: Form | NetworkConfig) -> tuple[int, ...]:
    return form.embed_dim, form.depth, form.num_heads, form.neck_channels


def _described(form: Form | NetworkConfig) -> str:
    return "{} wide, {} blocks, {} heads, neck of {}".format(*_sizes(form))


def _check_form(form: Form, config: NetworkConfig, name: str) -> None:
    told = [s for s, found in zip(_sizes(config), _sizes(form), strict=True) if found]
    if told != [found for found in _sizes(form) if found]:
        hint = (
            f"use preset: {form.preset}" if form.preset else f"no preset has this form, {config.preset} needs another"
        )
        raise UserError(
            f"{name} holds an encoder {_described(form)}; {config.preset} has {_described(config)}; {hint}."
        )
    if form.global_blocks is not None and form.global_blocks != config.global_blocks:
        raise UserError(
            f"{name} has global attention in blocks {_numbers(form.global_blocks)}, "
            f"{config.preset} in {_numbers(config.global_blocks)}; give a checkpoint of the same form."
        )


def _numbers(blocks: tuple[int, ...]) -> str:
    return ", ".join(map(str, blocks)) or "none"


def _fit(encoder: Tensors, config: NetworkConfig, name: str) -> tuple[Tensors, tuple[list[str], ...]]:
    """Fit tensors to a network; also names that were loaded, resized, missing and unexpected."""
    with torch.device("meta"):  # shapes only, no memory
        wanted = {k: tuple(v.shape) for k, v in build_encoder(config).state_dict().items()}
    weights: Tensors = {}
    loaded: list[str] = []
    resized: list[str] = []
    wrong: list[str] = []
    for key, shape in wanted.items():
        if key not in encoder:
            continue
        fitted = _fitted(key, encoder[key], shape)
        if fitted is None:
            wrong.append(f"{key} is {tuple(encoder[key].shape)}, not {shape}")
            continue
        if not bool(torch.isfinite(fitted).all()):
            raise UserError(f"{name}: {PREFIX}{key} has values that are not finite; download the checkpoint again.")
        weights[key] = fitted
        (loaded if tuple(encoder[key].shape) == shape else resized).append(key)
    missing = [key for key in wanted if key not in encoder]
    if gaps := [key for key in missing if ADAPTER not in key]:
        raise UserError(f"{name} lacks {len(gaps)} tensors of its image encoder ({_listed(gaps)}).")
    if wrong:
        raise UserError(f"{name} has {len(wrong)} tensors of another shape ({_listed(wrong, '; ')}).")
    return weights, (loaded, resized, missing, [key for key in encoder if key not in wanted])


def _fitted(key: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor | None:
    """Float32 copy of a tensor in a shape; None where it cannot have it."""
    if not tensor.is_floating_point():
        return None
    tensor = tensor.float()
    if tuple(tensor.shape) == shape:
        return tensor.clone()
    if tensor.ndim != len(shape) or tensor.shape[-1] != shape[-1] or not all(tensor.shape):
        return None
    if key == "pos_embed":
        return resize_positions(tensor, shape[1], shape[2])
    return resize_relative(tensor, shape[0]) if key.endswith(("attn.rel_pos_h", "attn.rel_pos_w")) else None


def resize_positions(positions: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize an absolute position embedding (1, h, w, C) to (1, height, width, C), bicubic."""
    maps = positions.permute(0, 3, 1, 2)
    return F.interpolate(maps, (height, width), mode="bicubic", align_corners=False).permute(0, 2, 3, 1).contiguous()


def resize_relative(positions: torch.Tensor, length: int) -> torch.Tensor:
    """Resize relative positions (L, C) to (length, C), linear, as SAM itself does for an input of another size."""
    return F.interpolate(positions.T[None], length, mode="linear", align_corners=False)[0].T.contiguous()


def _take_pixels(weights: Tensors, pixels: Pixels) -> None:
    """Change the patch embedding so that it sees in our normalised pixels what it saw in its own, in place."""
    if pixels == "sam":
        return
    kernel, bias = weights["patch_embed.proj.weight"].double(), weights["patch_embed.proj.bias"].double()
    mean, std = (torch.tensor(x, dtype=torch.float64) for x in (MEAN, STD))
    sums = kernel.sum(dim=(2, 3))
    if pixels == "medsam":  # it saw (std * ours + mean) / 255
        kernel, bias = kernel * (std / 255.0)[:, None, None], bias + sums @ (mean / 255.0)
    else:  # it saw, in place of red, ((std * ours + mean) of blue - mean of red) / std of red, and so on
        kernel, bias = (
            (kernel / std[:, None, None]).flip(1) * std[:, None, None],
            bias + sums @ ((mean.flip(0) - mean) / std),
        )
    weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"] = kernel.float(), bias.float()


def _listed(names: list[str], between: str = ", ") -> str:
    return between.join([*names[:_REPORTED], *(["..."] if len(names) > _REPORTED else [])])
