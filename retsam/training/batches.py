"""Batches of random views of labelled frames, the same for the same seed and step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F

from retsam.segmentation.network.config import FINE, WIDE, WIDE_STRIDE, NetworkConfig
from retsam.segmentation.network.model import whole_frame_box
from retsam.segmentation.network.normalise import sample_box, statistics
from retsam.training.augment import Augmentation, Light, draw_affine, round_field, sample, soften
from retsam.training.frames import IGNORE, POINTS, UNCERTAIN, LabelledFrame
from retsam.training.storage import store

FOVEA_SIGMA = 0.012
"""Standard deviation of the fovea's heat map, in frame sides (about a twelfth of a disc diameter)."""

UNSURE = ("artery", "vein")
"""Targets that pixels left open by the annotators do not count for."""

SPREAD = frozenset({"vessel", "artery", "vein", "tessellation", UNCERTAIN, IGNORE})
"""What nearly every crop shows."""

ROUND = (1.15, 0.7)
"""A view magnified by at least the first has, with the second as probability, a round field of its own."""


@dataclass(frozen=True)
class Plane:
    """Labels of one resolution, of those targets only that some frame of the batch annotates.

    Attributes
    ----------
    targets : tuple of str
    labels : (B, len(targets), h, w) float tensor
        0-1.
    known : (B, len(targets)) float tensor
        1 where the frame annotates the target.
    valid : (B, 1 or len(targets), h, w) float tensor
        1 where a pixel counts.
    """

    targets: tuple[str, ...]
    labels: torch.Tensor
    known: torch.Tensor
    valid: torch.Tensor


@dataclass(frozen=True)
class Batch:
    """What the network takes, as in ``RetSAM.forward``, and the labels of both its resolutions."""

    picture: torch.Tensor
    fov: torch.Tensor
    context: torch.Tensor
    context_fov: torch.Tensor
    box: torch.Tensor
    fine: Plane
    wide: Plane

    @property
    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Arguments of ``RetSAM.forward``."""
        return self.picture, self.fov, self.context, self.context_fov, self.box


@dataclass(frozen=True)
class Sampler:
    """Draws batches.

    Attributes
    ----------
    frames : sequence of LabelledFrame
        All of one size.
    share : mapping of str to float
        Weight of each source, a source that is not named has none; within a source every frame is as likely.
    config : NetworkConfig
    batch : int
    crop : int
        Side of the detail crops, pixels, a multiple of 16.
    augmentation : Augmentation
    seed : int
    focus : float
        Share of the crops that are laid around something marked.
    rank, ranks : int
        This process, from 0, of so many that share each batch: it makes the samples rank, rank + ranks, ...
    """

    frames: Sequence[LabelledFrame]
    share: Mapping[str, float]
    config: NetworkConfig
    batch: int
    crop: int
    augmentation: Augmentation
    seed: int
    focus: float = 0.0
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        sizes = {frame.size for frame in self.frames}
        if len(sizes) != 1:
            raise ValueError(f"frames of one size are needed, these have {sorted(sizes)}")
        if empty := [frame.name for frame in self.frames if not frame.known]:
            raise ValueError(f"{empty[0]}: nothing is known of this frame")
        if absent := sorted(set(self.share) - {frame.source for frame in self.frames}):
            raise ValueError(f"no frame is from {absent[0]!r}")
        if self.crop % 16 or not 0 < self.crop <= self.config.detail_size:
            raise ValueError(f"crop is {self.crop}: no multiple of 16 up to {self.config.detail_size}")
        if min(self.share.values(), default=0.0) < 0 or sum(self.share.values()) <= 0:
            raise ValueError("no source has a share above 0, or one is negative")

    @cached_property
    def _members(self) -> list[list[int]]:
        """Numbers of the frames of each source, in the order of ``share``."""
        return [[i for i, frame in enumerate(self.frames) if frame.source == name] for name in self.share]

    def indices(self, step: int) -> list[int]:
        """Frames of a step; depends on seed and step alone, so that a resumed run goes on as it would have."""
        rng = np.random.default_rng([self.seed, step])
        weight = np.array(list(self.share.values()), float)
        chosen = rng.choice(len(weight), size=self.batch, p=weight / weight.sum())
        return [int(rng.choice(self._members[source])) for source in chosen]

    def at(self, step: int, device: torch.device | str = "cpu") -> Batch:
        """Batch of a step, or this process's part of it."""
        frames = [self.frames[i] for i in self.indices(step)]
        seed = int(np.random.SeedSequence([self.seed, step, 1]).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(seed)
        rows = range(self.rank, self.batch, self.ranks)
        return make_batch(frames, generator, self.config, self.crop, self.augmentation, device, self.focus, rows)


@dataclass(frozen=True)
class View:
    """How one batch looks at its frames: affine maps, parts of the views, and which views get a round field."""

    affine: torch.Tensor
    box: torch.Tensor
    round: torch.Tensor

    @classmethod
    def draw(
        cls,
        generator: torch.Generator,
        frames: Sequence[LabelledFrame],
        augmentation: Augmentation,
        share: float,
        focus: float,
        rows: Sequence[int],
    ) -> "View":
        """Draw views of frames, whose crops are ``share`` of them wide; ``focus`` of these around something marked.

        All are drawn, and those of ``rows`` returned, so that parts of a batch are what they are in the whole.
        """
        count = len(frames)
        affine = draw_affine(generator, count, augmentation)
        zoom = affine[:, :, :2].det().abs().rsqrt()
        circle = (zoom > ROUND[0]) & (torch.rand(count, generator=generator) < ROUND[1])
        box = _crop_box(generator, count, share)
        if focus > 0.0:
            for row, frame in enumerate(frames):
                draws = torch.rand(5, generator=generator).tolist()
                if row in rows:
                    box[row] = _focused(draws, frame, affine[row], box[row], focus)
        return cls(affine[rows], box[rows], circle[rows])

    def to(self, device: torch.device) -> "View":
        """Return the same on another device."""
        return View(self.affine.to(device), self.box.to(device), self.round.to(device))


def make_batch(
    frames: Sequence[LabelledFrame],
    generator: torch.Generator,
    config: NetworkConfig,
    crop: int,
    augmentation: Augmentation,
    device: torch.device | str = "cpu",
    focus: float = 0.0,
    rows: Sequence[int] | None = None,
) -> Batch:
    """Look at frames through random views; what is seen and what is true move together.

    Parameters
    ----------
    frames : sequence of LabelledFrame
        All of one size.
    generator : torch.Generator
        On the CPU, so that every device sees the same views; only the grain of a picture is drawn on the device.
    config : NetworkConfig
    crop : int
        Side of the detail crops, pixels.
    augmentation : Augmentation
    device : torch.device or str
    focus : float
        Share of the crops that are laid around something marked.
    rows : sequence of int, optional
        Samples to make; the others are drawn all the same, so that a part of a batch is what it is in the whole.

    Returns
    -------
    Batch
        Of ``rows`` only.
    """
    count, device = len(frames), torch.device(device)
    share = crop / config.detail_size
    rows = list(range(count) if rows is None else rows)
    drawn = View.draw(generator, frames, augmentation, share, focus, rows)
    light = Light.draw(generator, count, augmentation)[rows].to(device)
    lens = Lens.draw(generator, count, augmentation, crop, device)[rows]
    frames = [frames[row] for row in rows]
    view, whole = drawn.to(device), whole_frame_box(len(rows), device)
    stack = torch.from_numpy(np.stack([_picture(f) for f in frames])).to(device).float()
    context, context_fov = _seen(stack, view, whole, 1.0, config.context_size)
    picture, fov = _seen(stack, view, view.box, share, crop)
    mean = statistics(context, context_fov).mean
    context = light.apply(context, sample_box(mean, whole, context.shape[2:]), whole) * context_fov
    picture = light.apply(picture, sample_box(mean, view.box, picture.shape[2:]), view.box)
    picture = lens.apply(picture) * fov
    fine = _plane(frames, FINE, drawn, fov)
    wide = _plane(frames, WIDE, drawn, F.avg_pool2d(fov, WIDE_STRIDE).round())
    return Batch(picture, fov, context, context_fov, view.box, fine, wide)


def _picture(frame: LabelledFrame) -> np.ndarray:
    """Red, green, blue and the field of view, 0-255: (4, S, S) uint8."""
    return np.concatenate([frame.image.transpose(2, 0, 1), np.uint8(255) * frame.fov[None]])


def _seen(
    stack: torch.Tensor, view: View, box: torch.Tensor, share: float, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures, 0-1, and fields of view of the part ``box``, ``share`` of it wide, of each view."""
    step = int(stack.shape[2] * share / side)
    if step >= 2:  # bilinear sampling alone would alias
        stack = F.avg_pool2d(stack, step)
    out = sample(stack, view.affine, box, side) / 255.0
    fov = (out[:, 3:] > 0.5).float()
    fov = torch.where(view.round[:, None, None, None], fov * round_field(box, side), fov)
    return out[:, :3] * fov, fov


@dataclass(frozen=True)
class Lens:
    """Blur, grain and storage of the crops of a batch; the first two are small more often than large. None is none."""

    sigma: torch.Tensor | None
    grain: torch.Tensor | None
    storage: torch.Tensor | None

    @classmethod
    def draw(
        cls, generator: torch.Generator, count: int, augmentation: Augmentation, side: int, device: torch.device
    ) -> "Lens":
        """Draw for a batch of crops; the grain, much larger than all else, where it is used."""
        sigma = augmentation.blur * torch.rand(count, generator=generator) ** 2
        strength = augmentation.noise * torch.rand(count, 1, 1, 1, generator=generator) ** 2
        grain = storage = None
        if augmentation.stored > 0.0:
            chance, shrunk, kept = torch.rand(3, count, generator=generator)
            low, high = augmentation.quality
            quality = (low + (high - low) * kept) * (chance < augmentation.stored)
            storage = torch.stack([1.0 + (augmentation.coarse - 1.0) * shrunk, quality], dim=1)
        if augmentation.noise > 0.0:
            if device.type != "cpu":
                seed = int(torch.randint(2**62, (), generator=generator))
                generator = torch.Generator(device).manual_seed(seed)
            normal = torch.randn(count, 3, side, side, generator=generator, device=device)
            grain = strength.to(device) * normal
        return cls(sigma.to(device) if augmentation.blur > 0.0 else None, grain, storage)

    def __getitem__(self, rows: list[int]) -> "Lens":
        """Part of a batch."""
        return Lens(*(None if x is None else x[rows] for x in (self.sigma, self.grain, self.storage)))

    def apply(self, picture: torch.Tensor) -> torch.Tensor:
        """Change pictures (B, 3, side, side)."""
        if self.sigma is not None:
            picture = soften(picture, self.sigma)
        if self.grain is not None:
            picture = picture + self.grain
        picture = picture.clamp(0.0, 1.0)
        return picture if self.storage is None else store(picture, *self.storage.T)


def _crop_box(generator: torch.Generator, count: int, share: float) -> torch.Tensor:
    """Random squares inside the view, whose side is a fraction of it; a little more often in the middle."""
    place = 0.5 * (torch.rand(count, 2, generator=generator) + torch.rand(count, 2, generator=generator))
    corner = place * (1.0 - share)
    return torch.cat([corner, corner + share], dim=1)


def _focused(
    draws: Sequence[float], frame: LabelledFrame, affine: torch.Tensor, box: torch.Tensor, focus: float
) -> torch.Tensor:
    """Move a crop, by chance, so that a marked place of a random target lies somewhere in its inner half.

    Vessels are everywhere and need no such help; a random crop rarely shows a cotton-wool spot.
    """
    chance, which, pixel, *jitter = draws
    choices = sorted((set(frame.packed) | set(frame.points)) - SPREAD)
    if chance >= focus or not choices:
        return box
    target = choices[int(which * len(choices))]
    if target in frame.points:
        place = torch.tensor(frame.points[target])
    else:
        marked = np.flatnonzero(frame.mask(target))
        place = torch.tensor(divmod(int(marked[int(pixel * len(marked))]), frame.size)[::-1])
    at = 2.0 * (place + 0.5) / frame.size - 1.0
    seen = torch.linalg.solve(affine[:, :2], at - affine[:, 2]) / 2.0 + 0.5
    side = float(box[2] - box[0])
    corner = (seen - side * (0.25 + 0.5 * torch.tensor(jitter))).clamp(0.0, 1.0 - side)
    return torch.cat([corner, corner + side])


def _plane(frames: Sequence[LabelledFrame], order: Sequence[str], view: View, fov: torch.Tensor) -> Plane:
    """Labels of those targets of ``order`` that some frame annotates, where ``fov`` (B, 1, h, h) is the field."""
    targets = tuple(t for t in order if any(t in frame.known for frame in frames))
    labels = fov.new_zeros(len(frames), len(targets), *fov.shape[2:])
    known = torch.tensor([[float(t in frame.known) for t in targets] for frame in frames], device=fov.device)
    open_to_doubt = any(UNCERTAIN in frame.packed for frame in frames) and set(targets) & set(UNSURE)
    valid = fov.repeat(1, len(targets), 1, 1) if open_to_doubt else fov.clone()
    for row, frame in enumerate(frames):
        names = [t for t in (*targets, *((UNCERTAIN,) if open_to_doubt else ()), IGNORE) if t in frame.packed]
        for name, mask in zip(names, _masks(frame, names, view, row, fov), strict=True):
            if name == UNCERTAIN:
                valid[row, [i for i, t in enumerate(targets) if t in UNSURE]] *= (mask < 0.5).float()
            elif name == IGNORE:
                valid[row] *= (mask < 0.5).float()
            else:
                labels[row, targets.index(name)] = mask
        for name in POINTS:
            if name in targets and name in frame.points:
                labels[row, targets.index(name)] = _heat(frame, name, view, row, fov.shape[2])
    return Plane(targets, labels, known.reshape(len(frames), len(targets)), valid)


def _masks(frame: LabelledFrame, names: Sequence[str], view: View, row: int, fov: torch.Tensor) -> torch.Tensor:
    """Masks (len(names), h, h) of one frame as its view shows them, averaged where the view is coarser."""
    side = fov.shape[2]
    if not names:
        return fov.new_zeros(0, side, side)
    if fov.device.type == "cpu":
        masks = torch.from_numpy(np.stack([frame.mask(name).view(np.uint8) for name in names])).float()
    else:  # an eighth to carry over
        packed = torch.from_numpy(np.stack([frame.packed[name] for name in names])).to(fov.device)
        masks = unpack_bits(packed, frame.size).float()
    step = int(frame.size * float(view.box[row, 2] - view.box[row, 0]) / side + 1e-3)
    if step >= 2:
        masks = F.avg_pool2d(masks, step)
    affine, box = view.affine[row, None].to(fov.device), view.box[row, None].to(fov.device)
    return sample(masks[None], affine, box, side)[0]


def unpack_bits(packed: torch.Tensor, side: int) -> torch.Tensor:
    """Bits (N, bytes) uint8, first bit highest, as masks (N, side, side) uint8, 0 or 1."""
    places = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)
    bits = (packed[:, :, None] >> places) & 1
    return bits.flatten(1)[:, : side * side].reshape(len(packed), side, side)


def _heat(frame: LabelledFrame, name: str, view: View, row: int, side: int) -> torch.Tensor:
    """Heat map (side, side) of a point in a view, 1 at its place; on the CPU."""
    affine, box = view.affine[row], view.box[row]
    at = 2.0 * (torch.tensor(frame.points[name]) + 0.5) / frame.size - 1.0
    x, y = (torch.linalg.solve(affine[:, :2], at - affine[:, 2]) / 2.0 + 0.5).tolist()
    spread = FOVEA_SIGMA / math.sqrt(abs(float(affine[:, :2].det())))
    step = (torch.arange(side) + 0.5) / side
    across, down = (box[i] + (box[i + 2] - box[i]) * step for i in (0, 1))
    return torch.exp(-0.5 * ((across[None, :] - x) ** 2 + (down[:, None] - y) ** 2) / spread**2)
