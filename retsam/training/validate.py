"""How good a network is on whole frames: what training keeps the best weights, thresholds and evidence by."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from retsam import metrics
from retsam.segmentation.network.config import CHANNELS, HEADS
from retsam.segmentation.network.model import RetSAM
from retsam.taxonomy import TARGETS, Evidence
from retsam.training.augment import NONE
from retsam.training.batches import make_batch
from retsam.training.frames import IGNORE, POINTS, UNCERTAIN, LabelledFrame
from retsam.training.sources import PHANTOM

THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)
HALF = int(np.flatnonzero(THRESHOLDS == 0.5)[0])

POINT = 0.2
"""Threshold of points: validation photographs that show no fovea are too few to choose it by."""

SYNTHETIC = 0.1
"""Weight in the score of a target that only phantoms judge."""

DISC_OF_FIELD = 0.154
"""Disc diameter as a share of the field of view's, where a frame has no disc mask (IDRiD, mean of 54)."""

MARGIN = 0.01
"""Dice above chance from which a target counts as found at all."""

GROUP = {target: head.name for head in HEADS for target in head.targets}
LESIONS = tuple(name for name, target in TARGETS.items() if target.group.startswith("lesion"))
FINDINGS = tuple(name for name, target in TARGETS.items() if target.group != "anatomy")
TREES = ("vessel",)


@dataclass(frozen=True)
class Score:
    """One target on one frame; what does not apply is NaN.

    Attributes
    ----------
    source, target : str
    dice : (len(THRESHOLDS),) float
        NaN where the target is absent.
    area : (len(THRESHOLDS),) float
        Marked and true pixels together, over those of the field of view: the denominator of ``dice``.
    chance : float
        Dice of marking the whole field of view; for a point, the distance of the frame's centre.
    auc, aupr : float
    distance : float
        Of a point, disc diameters.
    """

    source: str
    target: str
    dice: NDArray[np.float64]
    area: NDArray[np.float64]
    chance: float = math.nan
    auc: float = math.nan
    aupr: float = math.nan
    distance: float = math.nan

    @property
    def absent(self) -> bool:
        """Whether the frame is known to show nothing of the target; what is marked is then a false alarm."""
        return self.target not in POINTS and bool(np.isnan(self.dice[0]))


@dataclass(frozen=True)
class TargetResult:
    """What validation says about one target.

    Attributes
    ----------
    threshold : float
        Probability with the best mean Dice, on real photographs if any of them has the target; ``POINT`` for a point.
        False alarms count: to what is marked of a finding on each photograph that has it, the mean of what is marked on
        those that do not is added, as if every second eye had none.
    evidence : str
        Value of ``taxonomy.Evidence``.
    value : float
        What enters the score, 0-1: average precision for lesions, for a point 1 minus its mean distance (at most 1 disc
        diameter), Dice for the rest; mean over sources, over phantoms only if no real photograph has the target. NaN if
        none has it.
    metrics : mapping of str to float
        ``SOURCE/METRIC``.
    """

    threshold: float
    evidence: str
    value: float
    metrics: Mapping[str, float]

    @property
    def real(self) -> bool:
        """Whether any real photograph that was judged has the target."""
        return any(key.endswith("/n") and key != f"{PHANTOM}/n" for key in self.metrics)


@dataclass(frozen=True)
class Report:
    """Validation of one network, by target; targets that no validation frame knows are left out."""

    targets: Mapping[str, TargetResult]

    @property
    def score(self) -> float:
        """Weighted mean over task groups of the mean over their targets, 0-1; 0 where nothing could be judged.

        A target that only phantoms judge counts ``SYNTHETIC`` beside 1 of the others, and a group as its targets do on
        average: a handful of phantoms must not outvote the photographs.
        """
        groups = defaultdict(list)
        for target, result in self.targets.items():
            if math.isfinite(result.value):
                groups[GROUP[target]].append((result.value, 1.0 if result.real else SYNTHETIC))
        parts = [np.array(pairs).T for pairs in groups.values()]
        weights = [weight.mean() for _, weight in parts]
        means = [np.average(value, weights=weight) for value, weight in parts]
        return float(np.average(means, weights=weights)) if parts else 0.0

    def flat(self) -> dict[str, float]:
        """One row of the learning curve: ``score`` and ``TARGET/SOURCE/METRIC``."""
        rows = {f"{target}/{key}": v for target, result in self.targets.items() for key, v in result.metrics.items()}
        return {"score": self.score, **rows}


def validate(model: RetSAM, frames: Sequence[LabelledFrame], device: torch.device | str = "cpu") -> Report:
    """Hold a network against whole frames.

    Parameters
    ----------
    model : RetSAM
        In evaluation mode, on the device.
    frames : sequence of LabelledFrame
    device : torch.device or str

    Returns
    -------
    Report
    """
    with ThreadPoolExecutor(4) as pool:
        waiting: list[Future[list[Score]]] = []
        for frame in frames:
            waiting.append(pool.submit(frame_scores, frame, probabilities(model, frame, device)))
        scores = [score for future in waiting for score in future.result()]
    return summarise(scores)


@torch.inference_mode()
def probabilities(
    model: RetSAM, frame: LabelledFrame, device: torch.device | str = "cpu"
) -> dict[str, NDArray[np.float32]]:
    """Probability maps (S, S) of the targets that a frame knows."""
    known = [target for target in CHANNELS if target in frame.known]
    bare = replace(frame, known=frozenset(), packed={}, points={})  # labels are not looked through the view
    views = torch.Generator().manual_seed(0)
    inputs = make_batch([bare], views, model.config, frame.size, NONE, device).inputs
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        logits = model(*inputs).full()[0]
    maps = torch.sigmoid(logits[[CHANNELS.index(target) for target in known]].float()).cpu().numpy()
    return dict(zip(known, maps, strict=True))


def frame_scores(frame: LabelledFrame, maps: Mapping[str, NDArray[np.float32]]) -> list[Score]:
    """Scores of one frame; pixels that the annotators left open do not count for arteries and veins."""
    out: list[Score | None] = []
    counted = frame.fov & ~frame.mask(IGNORE)
    for target, probability in maps.items():
        if target in POINTS:
            out.append(_point_score(frame, target, probability))
            continue
        region = counted & ~frame.mask(UNCERTAIN) if target in ("artery", "vein") else counted
        truth = frame.mask(target) & region
        if not truth.any() and target not in FINDINGS:
            continue
        share = float(np.count_nonzero(truth) / np.count_nonzero(region))
        dice, area = metrics.dice_curve(probability, truth, THRESHOLDS, region), _marked(probability, region) + share
        if not truth.any():
            out.append(Score(frame.source, target, dice, area))
            continue
        out.append(
            Score(
                frame.source,
                target,
                dice,
                area,
                2.0 * share / (1.0 + share),
                metrics.auc(probability, truth, region) if target in TREES else math.nan,
                metrics.average_precision(probability, truth, region) if target in LESIONS else math.nan,
            )
        )
    return [score for score in out if score is not None]


def _marked(probability: NDArray[np.float32], region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share (len(THRESHOLDS),) of a region whose probability reaches each threshold."""
    inside = np.sort(probability[region])
    return 1.0 - np.searchsorted(inside, THRESHOLDS, side="left") / inside.size


def _point_score(frame: LabelledFrame, target: str, probability: NDArray[np.float32]) -> Score | None:
    if target not in frame.points:
        return None
    truth, unit = frame.points[target], DISC_OF_FIELD * frame.size
    if "optic_disc" in frame.packed:
        unit = metrics.equivalent_diameter(frame.mask("optic_disc"))
    row, column = np.unravel_index(int(np.argmax(np.where(frame.fov, probability, -1.0))), frame.fov.shape)
    centre, nothing = ((frame.size - 1) / 2, (frame.size - 1) / 2), np.full(len(THRESHOLDS), math.nan)
    return Score(
        frame.source,
        target,
        nothing,
        nothing,
        chance=metrics.point_distance(centre, truth, unit),
        distance=metrics.point_distance((float(column), float(row)), truth, unit),
    )


def summarise(scores: Sequence[Score]) -> Report:
    """Gather the scores of all frames by target."""
    by_target: dict[str, list[Score]] = defaultdict(list)
    alarms: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        (alarms if score.absent else by_target)[score.target].append(score)
    return Report({t: _result(t, by_target[t], alarms[t]) for t in CHANNELS if t in by_target})


def _result(target: str, scores: Sequence[Score], alarms: Sequence[Score]) -> TargetResult:
    sources = sorted({score.source for score in scores})
    judged = [name for name in sources if name != PHANTOM] or sources
    parts = {name: [score for score in scores if score.source == name] for name in sources}
    of_source = {name: _source_metrics(target, part) for name, part in parts.items()}
    threshold = POINT
    if target not in POINTS:
        false = [score.area for score in alarms if (score.source == PHANTOM) == (judged == [PHANTOM])]
        alarm = np.mean(false, axis=0) if false else np.zeros(len(THRESHOLDS))
        dice = {name: [s.dice * s.area / (s.area + alarm) for s in part] for name, part in parts.items()}
        at = int(np.argmax(np.mean([np.mean(dice[name], axis=0) for name in judged], axis=0)))
        threshold = float(THRESHOLDS[at])
        for name, part in parts.items():
            of_source[name]["dice"] = float(np.mean([score.dice[at] for score in part]))
    rows = {f"{name}/{key}": value for name, part in of_source.items() for key, value in part.items()}
    rows |= _false_alarms(alarms, threshold)
    value = float(np.mean([_value(target, of_source[name]) for name in judged]))
    evidence = Evidence.ANNOTATED if _beats_chance(target, [of_source[n] for n in judged if n != PHANTOM]) else None
    return TargetResult(threshold, str(evidence or Evidence.PHANTOM), value, rows)


def _false_alarms(alarms: Sequence[Score], threshold: float) -> dict[str, float]:
    """Number of photographs of each source that have none of the target, and the mean share that is marked there."""
    at = int(np.argmin(np.abs(THRESHOLDS - threshold)))
    sources = sorted({score.source for score in alarms})
    marked = {name: [score.area[at] for score in alarms if score.source == name] for name in sources}
    return {
        f"{name}/{key}": value
        for name, shares in marked.items()
        for key, value in (("n_without", float(len(shares))), ("marked_without", float(np.mean(shares))))
    }


def _source_metrics(target: str, scores: Sequence[Score]) -> dict[str, float]:
    """Means over the frames of one source."""

    def mean(read: Callable[[Score], float]) -> float:
        return float(np.mean([read(score) for score in scores]))

    out = {"n": float(len(scores)), "chance": mean(lambda s: s.chance)}
    if target in POINTS:
        near = mean(lambda s: float(s.distance <= 0.5))
        bounded = mean(lambda s: min(s.distance, 1.0))
        return out | {"distance_dd": mean(lambda s: s.distance), "within_half_dd": near, "bounded_dd": bounded}
    out["dice_at_half"] = mean(lambda s: s.dice[HALF])
    if target in TREES:
        out["auc"] = mean(lambda s: s.auc)
    if target in LESIONS:
        out["aupr"] = mean(lambda s: s.aupr)
    return out


def _value(target: str, values: Mapping[str, float]) -> float:
    if target in POINTS:
        return 1.0 - values["bounded_dd"]
    return values["aupr"] if target in LESIONS else values["dice"]


def _beats_chance(target: str, sources: Sequence[Mapping[str, float]]) -> bool:
    """Whether real annotations agree, on average over their sources, better than a guess that looks at nothing."""
    if not sources:
        return False
    chance = np.mean([values["chance"] for values in sources])
    if target in POINTS:
        return bool(np.mean([values["distance_dd"] for values in sources]) < chance)
    return bool(np.mean([values["dice"] for values in sources]) > chance + MARGIN)
