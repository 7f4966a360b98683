"""Stages of training, each from a recipe to files of weights: ``experts``, ``unify``, ``adapt``.

The stage between the first two, which labels photographs, is in ``pseudo``.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from retsam import __version__
from retsam.datasets import DATASETS
from retsam.errors import UserError
from retsam.segmentation.network import checkpoint
from retsam.segmentation.network.checkpoint import Checkpoint, Metadata, TargetRecord
from retsam.segmentation.network.model import RetSAM
from retsam.taxonomy import TARGETS, Evidence
from retsam.training.augment import Augmentation
from retsam.training.batches import Sampler
from retsam.training.data import Parts, about_packed, load_parts
from retsam.training.initial import check_frozen, joined_rows, note_keys, read_initial, read_sam, starting_weights
from retsam.training.losses import LossWeights
from retsam.training.parallel import join
from retsam.training.recipe import Recipe
from retsam.training.sources import PHANTOM
from retsam.training.trainer import CURVE, Schedule, Trainer, Weights
from retsam.training.validate import Report, validate

log = logging.getLogger(__name__)

RECIPE, WEIGHTS, PICTURE = "recipe.json", "weights.safetensors", "curve.png"

LINE_EVERY = 20.0
"""Seconds between lines about the loss."""

ADAPT_RATE = 1e-4
"""Learning rate of the stage ``adapt``: small, because it starts from what is nearly right."""

LICENCE = "research and education, as the terms of the data sets ask; the code's licence does not cover the weights"

Say = Callable[[str], None]


def unify(recipe: Recipe, out: Path, **how: Any) -> Path:
    """Train one network for every target on all sources of a recipe; ``how`` is as in :func:`train`."""
    return train(recipe, out, {"stage": "unify"}, **how)


def train_experts(
    recipe: Recipe, out: Path, *, cache: Path | None = None, say: Say = log.info, **how: Any
) -> list[Path]:
    """Train the networks of a recipe's block ``experts``, one after the other, each in its own folder.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder around the runs; one that was stopped goes on.
    cache : Path, optional
        Folder of packed frames; ``out / "cache"`` by default. All experts share it.
    say : callable
        Takes lines.
    **how
        As in :func:`train`.

    Returns
    -------
    list of Path
        The files of weights, in the order of the block.

    Raises
    ------
    UserError
        If the recipe has no such block, or as :func:`train` does.
    """
    if not recipe.experts:
        raise UserError("the recipe has no block 'experts'; name them there, each with its targets (docs/training.md).")
    files = []
    for name in recipe.experts:
        say(f"expert {name}: {', '.join(recipe.experts[name].targets)}")
        stage = {"stage": "expert", "expert": name}
        files.append(train(recipe.expert(name), out / name, stage, cache=cache or out / "cache", say=say, **how))
    return files


def adapt(recipe: Recipe, initial: str, out: Path, **how: Any) -> Path:
    """Go on training from weights with a frozen encoder, for photographs of another kind.

    Parameters
    ----------
    recipe : Recipe
        ``frozen`` is the encoder and the learning rate :data:`ADAPT_RATE`, unless it says otherwise.
    initial : str
        File of weights or shipped name.
    out : Path
        Folder of the run.
    **how
        As in :func:`train`.

    Returns
    -------
    Path
        The file of weights.
    """
    changes: dict[str, Any] = {"initial": initial}
    if "frozen" not in recipe.model_fields_set:
        changes["frozen"] = ("image_encoder",)
    if "learning_rate" not in recipe.schedule.model_fields_set:
        changes["schedule"] = recipe.schedule.model_copy(update={"learning_rate": ADAPT_RATE})
    return train(recipe.model_copy(update=changes), out, {"stage": "adapt"}, **how)


def train(
    recipe: Recipe,
    out: Path,
    stage: Mapping[str, str],
    *,
    device: str | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    say: Say = log.info,
    show: Callable[[int], None] = lambda done: None,
) -> Path:
    """Train one network as a recipe says.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder of the run: ``recipe.json``, ``curve.csv``, ``curve.png``, ``state.pt``, ``best.pt`` and, at the end,
        ``weights.safetensors``. A run that was stopped goes on in it.
    stage : mapping
        What the header of the weights says of the stage beside its settings and score.
    device : str, optional
        The recipe's by default.
    cache : Path, optional
        Folder of packed frames; ``out / "cache"`` by default.
    workers : int, optional
        Processes that make frames.
    say : callable
        Takes lines.
    show : callable
        Takes the number of steps done.

    Returns
    -------
    Path
        The file of weights.

    Raises
    ------
    UserError
        For a device that is not there, a folder that holds a run of another recipe, or data that are missing.
    """
    group, place = join(find_device(device or recipe.device))
    initial, encoder = read_initial(recipe), read_sam(recipe, out)
    check_frozen(recipe)
    with group.in_turn():
        _claim(recipe, out)
        if encoder is not None:
            note_keys(encoder, out)
            say(f"encoder of {encoder.name}: {encoder.report}")
        parts = load_parts(recipe, cache or out / "cache", workers, say)
    say(f"{len(parts.train)} frames to train on, {len(parts.validation)} to validate on; device {place}")
    reporter = _Reporter(recipe.schedule.steps, say, show, out)

    def judge(model: RetSAM) -> dict[str, float]:
        return reporter.validated(validate(model, parts.validation, place)).flat()

    trainer = Trainer(
        out,
        recipe.network,
        _sampler(recipe, parts),
        Schedule(**recipe.schedule.model_dump()),
        LossWeights(**recipe.loss.model_dump()),
        judge,
        place,
        starting_weights(initial, encoder, recipe.branches),
        recipe.frozen,
        after_step=reporter.step,
        group=group,
        loaders=recipe.loaders,
        compiled=recipe.compile,
    )
    if trainer.progress.step:
        say(f"goes on after step {trainer.progress.step}")
    reporter.restart(trainer.progress.step)
    weights = trainer.run()
    if not group.first:
        return out / WEIGHTS
    return _finish(recipe, stage, parts, initial, weights, place, out, say)


def find_device(name: str) -> str:
    """Device to train on; ``auto`` is the first GPU if there is one.

    Raises
    ------
    UserError
        If the name is none, or the device is not there.
    """
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise UserError(f"no device {name!r}; use auto, cpu, cuda or cuda:N.")
    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda" and (not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count()):
        raise UserError(f"there is no device {name!r} here; use cpu or auto.")
    return name


def _claim(recipe: Recipe, out: Path) -> None:
    """Note the recipe in the folder, or see that it is the one that was noted there."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give a folder.")
    path = out / RECIPE
    if path.exists():
        noted = json.loads(path.read_text(encoding="utf-8"))
        if noted["digest"] != recipe.digest():
            now, then = recipe.settings(), noted["recipe"]
            differ = [k for k in sorted({*now, *then}) if now.get(k) != then.get(k)]
            raise UserError(f"{out} holds a run of another recipe ({', '.join(differ)} differ); give another folder.")
    out.mkdir(parents=True, exist_ok=True)
    content = {"digest": recipe.digest(), "recipe": recipe.settings()}
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


def _sampler(recipe: Recipe, parts: Parts) -> Sampler:
    share = {s.name: s.share for s in recipe.sources if s.role == "train" and s.share > 0}
    frames = [frame for frame in parts.train if frame.source in share and frame.known]
    augmentation = Augmentation(**recipe.augmentation.model_dump())
    return Sampler(frames, share, recipe.network, recipe.batch, recipe.crop, augmentation, recipe.seed, recipe.focus)


class _Reporter:
    """Says how training goes: lines about loss and speed, one about each validation, the picture of the curve."""

    def __init__(self, steps: int, say: Say, show: Callable[[int], None], out: Path) -> None:
        self.steps, self.say, self.show, self.out = steps, say, show, out
        self.restart(0)

    def restart(self, step: int) -> None:
        self.last, self.since = step, time.monotonic()

    def step(self, done: int, terms: Mapping[str, torch.Tensor]) -> None:
        self.show(done)
        seconds = time.monotonic() - self.since
        if seconds < LINE_EVERY and done % 1000 and done != self.steps:
            return
        losses = ", ".join(f"{name} {float(term):.3f}" for name, term in terms.items())
        self.say(f"step {done}/{self.steps}: {(done - self.last) / max(seconds, 1e-9):.2f} steps/s, {losses}")
        self.restart(done)

    def validated(self, report: Report) -> Report:
        self.say(f"validation: {describe(report)}")
        draw_curve(self.out)
        self.restart(self.last)
        return report


def describe(report: Report) -> str:
    """One line about a validation: the score, then each target that real photographs judge."""
    real = [t for t, r in report.targets.items() if r.real]
    named = real or [t for t in ("vessel", "optic_disc", "fovea") if t in report.targets]
    values = ", ".join(f"{target} {report.targets[target].value:.3f}" for target in named)
    return f"score {report.score:.4f} ({values})"


def draw_curve(out: Path) -> None:
    """Draw ``curve.png`` from ``curve.csv``: loss and score by step; nothing before there is a row."""
    from matplotlib.figure import Figure

    if not (out / CURVE).exists():
        return
    table = pd.read_csv(out / CURVE)
    terms = [name for name in ("dice", "cross_entropy", "cldice", "consistency") if name in table]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in terms:
        left.plot(table["step"], table[name], marker=".", label=name)
    left.set(xlabel="step", ylabel="term of the loss", ylim=(0, None))
    left.legend(frameon=False)
    right.plot(table["step"], table["score"], marker=".", color="black")
    right.set(xlabel="step", ylabel="validation score", ylim=(0, 1))
    unfinished = out / "curve.tmp"
    figure.savefig(unfinished, dpi=120, format="png")
    unfinished.replace(out / PICTURE)


def _finish(
    recipe: Recipe,
    stage: Mapping[str, str],
    parts: Parts,
    initial: Checkpoint | None,
    weights: Weights,
    device: str,
    out: Path,
    say: Say,
) -> Path:
    """Validate the kept weights once more, for thresholds and evidence, and write them as a checkpoint."""
    model = RetSAM(recipe.network)
    model.load_state_dict(weights)
    report = validate(model.to(device).eval(), parts.validation, device)
    draw_curve(out)
    done = {**stage, "score": round(report.score, 4), **recipe.settings()}
    rows, before = _data_rows(recipe, parts), initial.metadata if initial else None
    if before and (lost := sorted(set(before.targets) - set(shown_targets(parts)))):
        say(f"evidence of {', '.join(lost)} is phantom again: no frame of this stage shows them")
    metadata = checkpoint.Metadata(
        name=recipe.preset,
        targets=target_records(report, parts, before),
        data=tuple(joined_rows(before.data, rows) if before else rows),
        stages=(*(before.stages if before else ()), done),
        licence=LICENCE,
        version=__version__,
    )
    path = out / WEIGHTS
    digest = checkpoint.save(path, recipe.network, weights, metadata)
    say(f"{recipe.schedule.keep} weights: {describe(report)}")
    say(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {digest[:12]}")
    return path


def shown_targets(parts: Parts) -> list[str]:
    """Targets that some training frame shows, in the order of the taxonomy."""
    shown = {target for frame in parts.train for target in (*frame.packed, *frame.points)}
    return [target for target in TARGETS if target in shown]


def target_records(report: Report, parts: Parts, before: Metadata | None = None) -> dict[str, TargetRecord]:
    """Records of the targets that some training frame shows, in the order of the taxonomy.

    Those that only the weights ``before`` this stage learnt keep their threshold, but nothing that was measured: other
    parts of the network may have changed under them.
    """
    shown, earlier = shown_targets(parts), before.targets if before else {}
    records = {}
    for target in TARGETS:
        if target not in shown:
            if target in earlier:
                records[target] = TargetRecord(Evidence.PHANTOM.value, earlier[target].threshold, {})
            continue
        result = report.targets.get(target)
        if result is None:
            records[target] = TargetRecord(Evidence.PHANTOM.value, 0.5, {})
        else:
            kept = {k: round(v, 6) for k, v in result.metrics.items() if np.isfinite(v)}
            records[target] = TargetRecord(result.evidence, result.threshold, kept)
    return records


def _is_part(source: str) -> bool:
    """Whether a set's frames are those few of its photographs of which a label says something."""
    return source in DATASETS and not DATASETS[source].targets


def _data_rows(recipe: Recipe, parts: Parts) -> list[dict[str, Any]]:
    rows = []
    about = {s.name: {"pseudo_labels": about_packed(Path(s.file))} for s in recipe.sources if s.file is not None}
    for role, frames in (("train", parts.train), ("validation", parts.validation), ("test", parts.test)):
        for source in parts.licence:
            names = [frame.name.removeprefix(f"{source}-") for frame in frames if frame.source == source]
            if names:
                known = {"set": source, "split": parts.split[source], "licence": parts.licence[source]}
                labels = about.get(source, {})
                listed = source != PHANTOM and (role != "train" or _is_part(source))
                held = {"images": sorted(names)} if listed else {}
                rows.append({**known, **labels, "role": role, "n": len(names), **held})
    return rows
