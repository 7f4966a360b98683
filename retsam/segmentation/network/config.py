"""What a network is built from, as data: a checkpoint stores it and rebuilds its own network from it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, Self

from retsam.taxonomy import TARGETS

Adapters = Literal["none", "bottleneck", "sam_med2d"]


@dataclass(frozen=True)
class Head:
    """One task group and its decoder.

    Attributes
    ----------
    name : str
    targets : tuple of str
        One channel each.
    stride : int
        1: a decoder of its own up to full resolution, for what is a few pixels wide. 4: predicted at a quarter of the
        resolution and enlarged bilinearly, for what is wide.
    """

    name: str
    targets: tuple[str, ...]
    stride: Literal[1, 4]


HEADS: tuple[Head, ...] = (
    Head("vessels", ("vessel", "artery", "vein"), 1),
    Head("lesions", ("microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot", "drusen"), 1),
    Head("disc_fovea", ("optic_disc", "optic_cup", "fovea"), 4),
    Head("phenotypes", ("tessellation", "peripapillary_atrophy", "diffuse_atrophy", "patchy_atrophy"), 4),
    Head("vessel_signs", ("av_nicking", "venous_beading", "vascular_sheathing", "venous_tortuosity"), 4),
    Head(
        "other_lesions",
        (
            "laser_spot",
            "patchy_hemorrhage",
            "epiretinal_membrane",
            "macular_hole",
            "artifact",
            "retinal_scar",
            "edema",
            "pigmentary_change",
            "fibrous_proliferation",
            "vitreous_degeneration",
            "choroidal_atrophy",
            "myelinated_nerve_fiber",
            "unknown_abnormality",
        ),
        4,
    ),
)
"""Task-decoupled decoders: every target of the taxonomy belongs to exactly one."""

FINE: tuple[str, ...] = tuple(target for head in HEADS if head.stride == 1 for target in head.targets)
WIDE: tuple[str, ...] = tuple(target for head in HEADS if head.stride == 4 for target in head.targets)
"""Targets predicted at full and at a quarter of the resolution, in the order of the network's output channels."""

WIDE_STRIDE = 4

CHANNELS: tuple[str, ...] = FINE + WIDE
"""All targets in the order of the network's output channels."""

if sorted(CHANNELS) != sorted(TARGETS):
    raise RuntimeError("every target of the taxonomy needs exactly one head")


@dataclass(frozen=True)
class NetworkConfig:
    """Form of a network.

    Attributes
    ----------
    preset : str
    detail_size : int
        Side of the frame that the detail branch is made for, pixels.
    context_size : int
        Side of the whole frame as the encoder sees it, pixels, a multiple of 16.
    embed_dim, depth, num_heads, window_size : int
        Of the vision transformer.
    global_blocks : tuple of int
        Blocks with global attention.
    use_abs_pos : bool
        Absolute position embedding; SAM's checkpoints have one.
    neck_channels : int
        Width of the encoder's output and of the fused features.
    widths : tuple of int
        Channels of the detail branch at strides 1, 2, 4, 8 and 16.
    branches : tuple of str
        Heads of :data:`HEADS` with a detail branch, fusion and decoder of their own, that share nothing with the others
        but the encoder.
    detail, fusion : bool
        Off for ablation: no detail branch; a plain sum in place of the fusion block.
    adapters : str
        ``none``, ``bottleneck`` (light) or ``sam_med2d`` (the published form).
    """

    preset: str
    detail_size: int = 1024
    context_size: int = 512
    embed_dim: int = 128
    depth: int = 8
    num_heads: int = 4
    window_size: int = 8
    global_blocks: tuple[int, ...] = (3, 7)
    use_abs_pos: bool = True
    neck_channels: int = 128
    widths: tuple[int, int, int, int, int] = (16, 32, 64, 128, 192)
    branches: tuple[str, ...] = ()
    detail: bool = True
    fusion: bool = True
    adapters: Adapters = "none"

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.branches) - {head.name for head in HEADS}):
            raise ValueError(f"branches: no head is named {unknown[0]!r}")
        for name in ("detail_size", "context_size"):
            if getattr(self, name) % 16:
                raise ValueError(f"{name} is {getattr(self, name)}, no multiple of 16")
        if self.adapters == "sam_med2d" and self.context_size % 32:
            raise ValueError(f"context_size is {self.context_size}; these adapters need a multiple of 32")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what :meth:`as_dict` wrote; keys that this version does not know are an error.

        Raises
        ------
        TypeError
            For an unknown key.
        """
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**kept)


def _sam(preset: str, embed_dim: int, depth: int, num_heads: int, global_blocks: tuple[int, ...]) -> NetworkConfig:
    """Return a preset whose encoder takes SAM's own checkpoint (1024 px, windows of 14, neck of 256)."""
    return NetworkConfig(
        preset,
        context_size=1024,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        window_size=14,
        global_blocks=global_blocks,
        neck_channels=256,
        widths=(16, 32, 64, 128, 192),
    )


PRESETS: Mapping[str, NetworkConfig] = MappingProxyType(
    {
        "retsam-tiny": NetworkConfig("retsam-tiny"),
        "retsam-b": _sam("retsam-b", 768, 12, 12, (2, 5, 8, 11)),
        "retsam-l": _sam("retsam-l", 1024, 24, 16, (5, 11, 17, 23)),
        "retsam-h": _sam("retsam-h", 1280, 32, 16, (7, 15, 23, 31)),
    }
)
"""Networks by name; ``retsam-tiny`` is shipped with weights, the others start from a user's SAM checkpoint."""
