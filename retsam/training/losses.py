"""Losses for partial labels: what a data set does not annotate never counts, neither as foreground nor as background.

Shapes throughout: logits and labels (B, T, H, W), labels 0-1; ``known`` (B, T), 1 where a sample annotates a target;
``valid`` (B, 1 or T, H, W), 1 where a pixel counts. All losses are at least 0.

References
----------
Wei 2024, doi 10.18280/mmep.111024 (batch-size dynamic Dice: which labels enter is decided per batch).
Lin 2017, Focal loss, arXiv:1708.02002.
Shit 2021, clDice, arXiv:2003.07311 (soft skeleton, topology precision and sensitivity).
Wang 2026, RetSAM, arXiv:2602.07012 (artery-vein consistency).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from retsam.segmentation.network.config import CHANNELS, FINE, HEADS
from retsam.segmentation.network.model import Logits
from retsam.training.batches import Batch, Plane

SMOOTH = 1.0
"""Pixels added to both sides of a ratio."""

MINOR = frozenset(
    t for head in HEADS if head.name in ("phenotypes", "vessel_signs", "other_lesions") for t in head.targets
)
"""Targets that no annotated photograph shows."""

THINNING = 4
"""Steps of thinning at half the resolution: vessels up to 16 pixels wide become lines."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; 0 leaves a term out.

    Attributes
    ----------
    dice, cross_entropy, cldice, consistency : float
    per_image : bool
        Dice of each sample by itself (batch-size dynamic Dice); False pools the batch, for ablation.
    focal_gamma : float
        Above 0 the cross-entropy is focal.
    minor : float
        Weight of the targets that only phantoms show, beside 1 for the others; a phantom knows more of them than of
        all others together.
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    cldice: float = 0.2
    consistency: float = 0.1
    per_image: bool = True
    focal_gamma: float = 0.0
    minor: float = 0.2


TERMS = ("dice", "cross_entropy", "cldice", "consistency")


@dataclass(frozen=True)
class Term:
    """A term of the loss before it is divided: parts of a batch add up, in ``total`` and in ``count``.

    Attributes
    ----------
    factor : float
        Its weight in the loss.
    total, count : scalar tensor
        The term is ``factor * total / count``; ``count`` is of samples, or of pixels, and has no gradient.
    """

    factor: float
    total: torch.Tensor
    count: torch.Tensor

    def value(self, count: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weighted term; ``count`` is that of a whole batch of which this is a part."""
        return self.factor * (self.total / (self.count if count is None else count).clamp_min(1))


def compute_loss(logits: Logits, batch: Batch, weights: LossWeights) -> dict[str, torch.Tensor]:
    """Terms of the loss, each already weighted; those that have nothing to say about a batch are left out."""
    return {name: term.value() for name, term in loss_terms(logits, batch, weights).items()}


def loss_terms(logits: Logits, batch: Batch, weights: LossWeights) -> dict[str, Term]:
    """Terms of the loss by name, each of :data:`TERMS` that has something to say about a batch."""
    planes = [
        (logits.fine[:, [FINE.index(t) for t in batch.fine.targets]], batch.fine),
        (logits.wide[:, [CHANNELS.index(t) - len(FINE) for t in batch.wide.targets]], batch.wide),
    ]
    planes = [(values.float(), plane) for values, plane in planes if plane.targets]
    importance = torch.tensor([weights.minor if t in MINOR else 1.0 for _, p in planes for t in p.targets])
    importance = importance.to(logits.fine.device)
    terms: dict[str, Term] = {}
    if weights.dice:
        pairs = [dice_pairs(v, p.labels, p.known, p.valid, per_image=weights.per_image) for v, p in planes]
        terms["dice"] = Term(weights.dice, *_sum_of_samples(pairs, importance))
    if weights.cross_entropy:
        pairs = [cross_entropy_pairs(v, p.labels, p.known, p.valid, weights.focal_gamma) for v, p in planes]
        terms["cross_entropy"] = Term(weights.cross_entropy, *_sum_of_samples(pairs, importance))
    return terms | _vessel_terms(logits.fine.float(), batch.fine, batch.fov, weights)


def _vessel_terms(fine: torch.Tensor, plane: Plane, fov: torch.Tensor, weights: LossWeights) -> dict[str, Term]:
    """Terms on vessels: their topology, and that they are arteries or veins."""
    terms: dict[str, Term] = {}
    vessel, artery, vein = (fine[:, FINE.index(t), None] for t in ("vessel", "artery", "vein"))
    if weights.cldice and "vessel" in plane.targets:
        at = plane.targets.index("vessel")
        rows = plane.known[:, at].nonzero()[:, 0]
        labels, valid = plane.labels[rows, at, None], plane.valid[rows, min(at, plane.valid.shape[1] - 1), None]
        each = soft_cldice_each(vessel[rows], labels, valid)
        terms["cldice"] = Term(weights.cldice, each.sum(), each.new_tensor(len(each)))
    trees = [i for i, t in enumerate(plane.targets) if t in ("vessel", "artery", "vein")]
    if weights.consistency and trees:
        rows = plane.known[:, trees].any(dim=1).nonzero()[:, 0]
        parts = _disagreement(vessel[rows], artery[rows], vein[rows], fov[rows])
        terms["consistency"] = Term(weights.consistency, *parts)
    return terms


def dice_pairs(
    logits: torch.Tensor, labels: torch.Tensor, known: torch.Tensor, valid: torch.Tensor, *, per_image: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch-size dynamic Dice loss: only what is known and present counts.

    Parameters
    ----------
    logits, labels, known, valid : tensors
        See the top of this module.
    per_image : bool
        True takes each sample by itself. False pools the pixels of a target over the batch first (plain batch Dice,
        for ablation).

    Returns
    -------
    loss : (B, T) tensor, (T,) where not ``per_image``
        ``1 - Dice``, in [0, 1].
    weight : tensor of the same shape
        1 where the target is known and present, else 0.
    """
    counts = valid * known[:, :, None, None]
    probability, labels = torch.sigmoid(logits) * counts, labels * counts
    over = (2, 3) if per_image else (0, 2, 3)
    both = (probability * labels).sum(over)
    present = labels.sum(over)
    loss = 1.0 - (2.0 * both + SMOOTH) / (probability.sum(over) + present + SMOOTH)
    return loss, (present > 0).to(loss.dtype)


def cross_entropy_pairs(
    logits: torch.Tensor, labels: torch.Tensor, known: torch.Tensor, valid: torch.Tensor, gamma: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary cross-entropy of each sample and target.

    Parameters
    ----------
    logits, labels, known, valid : tensors
        See the top of this module.
    gamma : float
        Above 0 makes it focal: pixels that are right already count less.

    Returns
    -------
    loss : (B, T) tensor
        Mean over the pixels that count.
    weight : (B, T) tensor
        1 where the target is known, else 0.
    """
    loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    if gamma > 0.0:
        loss = loss * (1.0 - torch.exp(-loss)) ** gamma
    pixels = valid.sum((2, 3))
    return (loss * valid).sum((2, 3)) / pixels.clamp_min(1.0), known * (pixels > 0)


def _disagreement(
    vessel: torch.Tensor, artery: torch.Tensor, vein: torch.Tensor, valid: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over pixels of |P(vessel) - P(artery or vein)|, and their number; logits (B, 1, H, W)."""
    either = torch.maximum(torch.sigmoid(artery), torch.sigmoid(vein))
    return ((torch.sigmoid(vessel) - either).abs() * valid).sum(), valid.sum()


def soft_cldice_each(
    logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor, steps: int = THINNING
) -> torch.Tensor:
    """Return 1 - clDice of one tubular target, computed at half the resolution, where it costs an eighth.

    Parameters
    ----------
    logits, labels, valid : (B, 1, H, W) tensor
        Sides even. The largest of four pixels is kept, so that the thinnest lines stay whole.
    steps : int
        Of thinning, in pixels of half the resolution.

    Returns
    -------
    (B,) tensor
        In [0, 1].
    """
    probability = F.max_pool2d(torch.sigmoid(logits) * valid, 2)
    labels = F.max_pool2d(labels * valid, 2)
    thin_p, thin_l = soft_skeleton(probability, steps), soft_skeleton(labels, steps)
    precision = ((thin_p * labels).sum((1, 2, 3)) + SMOOTH) / (thin_p.sum((1, 2, 3)) + SMOOTH)
    sensitivity = ((thin_l * probability).sum((1, 2, 3)) + SMOOTH) / (thin_l.sum((1, 2, 3)) + SMOOTH)
    return 1.0 - 2.0 * precision * sensitivity / (precision + sensitivity)


def soft_skeleton(x: torch.Tensor, steps: int) -> torch.Tensor:
    """Differentiable skeleton of (B, 1, H, W) maps in 0-1: what each opening loses while the map is eroded."""
    skeleton = torch.zeros_like(x)
    for step in range(steps + 1):
        thinner = _erode(x)
        lost = F.relu(x - F.max_pool2d(thinner, 3, 1, 1))
        skeleton = lost if step == 0 else skeleton + lost * (1.0 - skeleton)
        x = thinner
    return skeleton


def _erode(x: torch.Tensor) -> torch.Tensor:
    lying, standing = -F.max_pool2d(-x, (1, 3), 1, (0, 1)), -F.max_pool2d(-x, (3, 1), 1, (1, 0))
    return torch.minimum(lying, standing)


def _sum_of_samples(
    pairs: list[tuple[torch.Tensor, torch.Tensor]], importance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over samples of the weighted mean over the targets of each, and the number of samples that have any.

    Their ratio is a mean in which all photographs count alike.

    Parameters
    ----------
    pairs : list of two tensors, (B, t) or (t,) each
        Values and their weights, of the targets of each plane; without B they were pooled over the batch.
    importance : (T,) tensor
        Weight of every target, T the sum of all t.
    """
    values = torch.cat([value for value, _ in pairs], dim=-1)
    weight = torch.cat([w for _, w in pairs], dim=-1) * importance
    total = weight.sum(dim=-1)
    mean = (values * weight).sum(dim=-1) / total.clamp_min(1e-6)
    return mean.sum(), (total > 0).sum()
