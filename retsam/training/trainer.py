"""The training loop: mixed precision, averaged weights, cosine schedule, validation; goes on after a kill."""

import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from retsam.errors import UserError
from retsam.segmentation.network.config import NetworkConfig
from retsam.segmentation.network.fast import keep_memory
from retsam.segmentation.network.model import SHARED, Logits, RetSAM
from retsam.training.batches import Batch, Sampler
from retsam.training.losses import TERMS, LossWeights, loss_terms
from retsam.training.parallel import ALONE, Group, share_statistics

log = logging.getLogger(__name__)

STATE, BEST, CURVE = "state.pt", "best.pt", "curve.csv"

COMPILER = ("torch._dynamo", "torch._inductor")
"""Modules of the errors of ``torch.compile``."""

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes
    ----------
    steps : int
    learning_rate : float
        Peak; reached after ``warmup`` steps, then falling as a cosine to 1 %.
    weight_decay : float
    warmup : int
    clip : float
        Largest norm of the gradient.
    ema : float
        Decay of the average of the weights, which is what is validated and kept; smaller in the first steps.
    validate_every : int
        Steps; the state is saved as often, so that a kill loses at most so many.
    patience : int
        Validations without improvement after which training stops; 0 never.
    mixed : bool
        bfloat16 in the network, float32 in weights and losses.
    keep : {"best", "last"}
        Averaged weights that the run ends with: those of the best validation, or those of the last step. Where a few
        photographs judge a target their score moves more from one validation to the next than training moves it.
    """

    steps: int
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: int = 200
    clip: float = 1.0
    ema: float = 0.999
    validate_every: int = 500
    patience: int = 0
    mixed: bool = True
    keep: str = "best"

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        along = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(along, 1.0))))

    def decay(self, step: int) -> float:
        """Decay of the averaged weights at a step; the average of a short run must not remember its start."""
        return min(self.ema, (step + 1) / (step + 10))


@dataclass
class Progress:
    """How far a run is.

    Attributes
    ----------
    step : int
        Steps done.
    best : float
        Best score so far.
    stale : int
        Validations since then.
    """

    step: int = 0
    best: float = -math.inf
    stale: int = 0


class Trainer:
    """One run in a folder; made again with the same arguments it goes on where the last one was killed.

    The folder holds ``state.pt`` (weights, averaged weights, optimizer, progress), ``best.pt`` (the network's form and
    its best averaged weights) and ``curve.csv`` (one row for each validation). On a CPU, a run that was killed and
    resumed ends in the same bytes as an undisturbed one. Several processes that torchrun started do together what one
    would do; only the first validates and writes.

    Parameters
    ----------
    folder : Path
    config : NetworkConfig
    sampler : Sampler
    schedule : Schedule
    weights : LossWeights
    validate : callable
        ``RetSAM -> dict of str to float``; its entry ``score`` decides which weights are kept. Called with the averaged
        weights, in evaluation mode.
    device : str
    initial : dict, optional
        Weights to start from instead of random ones; what is not in it stays random.
    frozen : tuple of str
        Names of modules or parameters, dotted, that stay as they are. Batch normalisation inside them keeps its running
        statistics too: otherwise a frozen module would still change with every batch.
    after_step : callable, optional
        Told the number of steps done and the terms of the last one's loss, which are still on the device.
    group : Group
        Processes that train together.
    loaders : int
        Threads that make batches, as many ahead; the result does not depend on it.
    compiled : bool
        Whether torch compiles the network; the result then differs by rounding.

    Raises
    ------
    ValueError
        If the folder has a run of another network or with other frozen parts, a frozen name fits nothing, or initial
        weights are not the network's.
    UserError
        If several processes cannot do what was asked for, or torch cannot compile the network.
    """

    def __init__(
        self,
        folder: Path,
        config: NetworkConfig,
        sampler: Sampler,
        schedule: Schedule,
        weights: LossWeights,
        validate: Callable[[RetSAM], Mapping[str, float]],
        device: str = "cpu",
        initial: Weights | None = None,
        frozen: tuple[str, ...] = (),
        after_step: Callable[[int, Mapping[str, torch.Tensor]], None] | None = None,
        group: Group = ALONE,
        loaders: int = 1,
        compiled: bool = False,
    ) -> None:
        _check_group(group, sampler, weights)
        self.folder, self.config, self.schedule = folder, config, schedule
        self.sampler = replace(sampler, rank=group.rank, ranks=group.ranks)
        self.group, self.loaders = group, loaders
        self.weights, self.validate, self.device, self.frozen = weights, validate, torch.device(device), frozen
        self.after_step = after_step
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sampler.seed)
            self.model = RetSAM(config)
        _start(self.model, initial or {})
        share_statistics(self.model, group)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        group.spread(self.model.state_dict().values())
        _freeze(self.model, frozen)
        self.network = torch.compile(self.model) if compiled else self.model
        self.heads = None if compiled or group.ranks > 1 else _learning(self.model)
        self.average: Weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(_groups(self.model, schedule.weight_decay), lr=schedule.learning_rate)
        self.progress = Progress()
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        if group.agreed(self.progress.step) != [self.progress.step]:
            raise UserError(f"{folder} is not the same for all processes; give a folder that every machine has.")

    def run(self) -> Weights:
        """Train to the end, or until validation has not improved for too long.

        Returns
        -------
        dict of str to tensor
            The averaged weights that the schedule keeps.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite; the saved state is from before.
        """
        if self.device.type == "cpu":
            keep_memory()
        started, losses = time.monotonic(), []
        for step, batch in self._batches():
            losses.append(self._step(step, batch))
            self.progress.step = step + 1
            if self.after_step is not None:
                self.after_step(self.progress.step, losses[-1])
            if self.progress.step % self.schedule.validate_every == 0 or self.progress.step == self.schedule.steps:
                self._check(losses, time.monotonic() - started)
                started, losses = time.monotonic(), []
        if self.schedule.keep == "last":
            return self.average
        best = torch.load(self.folder / BEST, map_location=self.device, weights_only=True)
        return best["weights"]

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or patience has run out."""
        progress, schedule = self.progress, self.schedule
        return progress.step >= schedule.steps or 0 < schedule.patience <= progress.stale

    def _batches(self) -> Iterator[tuple[int, Batch]]:
        """Batches from the present step on; the next ones are made while one is trained on."""
        made: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(self.loaders) as pool:
            while not self.finished:
                step = self.progress.step
                for following in range(step + len(made), min(step + self.loaders + 1, self.schedule.steps)):
                    made.append(pool.submit(self.sampler.at, following, self.device))
                yield step, made.popleft().result()
            pool.shutdown(cancel_futures=True)

    def _step(self, step: int, batch: Batch) -> dict[str, torch.Tensor]:
        """Take one step; returns the terms of the loss."""
        self._training_mode()
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.schedule.mixed):
            logits = self._predict(batch)
        loss, terms = self._loss(logits, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.sum_gradients(self.model.parameters())
        nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        self.optimizer.step()
        self._update_average(self.schedule.decay(step))
        return terms

    def _predict(self, batch: Batch) -> Logits:
        try:
            return self.network(*batch.inputs, heads=self.heads)
        except Exception as error:
            if self.network is self.model or not type(error).__module__.startswith(COMPILER):
                raise
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(f"torch cannot compile the network here ({reason}); set compile: false.") from error

    def _loss(self, logits: Logits, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of this process's part of a batch, and the terms of the whole batch, without gradient."""
        terms = loss_terms(logits, batch, self.weights)
        if self.group.ranks == 1:
            values = {name: term.value() for name, term in terms.items()}
            return torch.stack(list(values.values())).sum(), {name: v.detach() for name, v in values.items()}
        zero = logits.fine.new_zeros((), dtype=torch.float32)
        here = [terms[name].count.float() if name in terms else zero for name in TERMS]
        labelled = [zero + bool(plane.targets) for plane in (batch.fine, batch.wide)]
        counts, used = self.group.sum(torch.stack([*here, *labelled])).split([len(TERMS), len(labelled)])
        shares = {name: term.value(counts[TERMS.index(name)]) for name, term in terms.items()}
        loss = torch.stack([zero, *shares.values()]).sum()
        # Every process takes the same way back through the network, also where its own part has no such labels:
        # batch statistics are exchanged on it.
        for maps, some in zip(logits, used.tolist(), strict=True):
            loss = loss + 0.0 * maps.float().sum() if some else loss
        whole = self.group.sum(torch.stack([shares[name].detach() if name in shares else zero for name in TERMS]))
        return loss, {name: whole[i] for i, name in enumerate(TERMS) if counts[i] > 0}

    def _training_mode(self) -> None:
        self.model.train()
        for name, module in self.model.named_modules():
            if _covers(self.frozen, name):
                module.eval()

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        """Move the averaged weights and running statistics towards the present ones; counters are copied."""
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1.0 - decay)
            else:
                self.average[name].copy_(value)

    def _check(self, losses: list[dict[str, torch.Tensor]], seconds: float) -> None:
        """Validate the averaged weights, keep the best, write the curve and the state."""
        rows = [{name: float(term) for name, term in terms.items()} for terms in losses]
        if not all(math.isfinite(value) for row in rows for value in row.values()):
            raise FloatingPointError(f"the loss is not finite before step {self.progress.step}; lower learning_rate")
        if self.group.first:
            self._judge(rows, seconds)
        best, stale = self.group.agreed(self.progress.best, self.progress.stale)
        self.progress.best, self.progress.stale = best, int(stale)

    def _judge(self, rows: list[dict[str, float]], seconds: float) -> None:
        """Validate; ``rows`` are the terms of the loss of the steps since the last time."""
        with torch.random.fork_rng(devices=[]):
            model = RetSAM(self.config)
        model.load_state_dict(self.average)
        metrics = self.validate(model.to(self.device, memory_format=torch.channels_last).eval())  # type: ignore[call-overload]
        if metrics["score"] > self.progress.best:
            self.progress.best, self.progress.stale = float(metrics["score"]), 0
            _save({"config": self.config.as_dict(), "weights": self.average}, self.folder / BEST)
        else:
            self.progress.stale += 1
        self._write_curve(
            {"seconds": round(seconds, 1), **{str(k): v for k, v in pd.DataFrame(rows).mean().items()}, **metrics}
        )
        _save(self._state(), self.folder / STATE)

    def _write_curve(self, row: dict[str, float]) -> None:
        """Add a row; rows of steps that a resumed run repeats are replaced."""
        log.info("step %d: %s", self.progress.step, json.dumps({k: round(v, 4) for k, v in row.items()}))
        path = self.folder / CURVE
        new = pd.DataFrame([{"step": self.progress.step, **row}])
        if path.exists():
            old = pd.read_csv(path)
            new = pd.concat([old[old["step"] < self.progress.step], new])
        unfinished = path.with_suffix(".tmp")
        new.to_csv(unfinished, index=False)
        unfinished.replace(path)

    def _state(self) -> dict[str, Any]:
        return {
            "config": self.config.as_dict(),
            "frozen": self.frozen,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }

    def _resume(self) -> None:
        path = self.folder / STATE
        if not path.exists():
            return
        saved = torch.load(path, map_location=self.device, weights_only=True)
        if saved["config"] != self.config.as_dict() or tuple(saved["frozen"]) != self.frozen:
            raise ValueError(f"{path} is of another run (network or frozen parts differ); give another folder")
        self.model.load_state_dict(saved["model"])
        self.average = saved["average"]
        self.optimizer.load_state_dict(saved["optimizer"])
        self.progress = Progress(**saved["progress"])
        log.info("resumed at step %d", self.progress.step)


def _check_group(group: Group, sampler: Sampler, weights: LossWeights) -> None:
    if group.ranks > 1 and not weights.per_image:
        raise UserError("loss.per_image: false pools the whole batch; train on one process, without torchrun.")
    if group.ranks > sampler.batch:
        raise UserError(f"a batch of {sampler.batch} is less than one crop for each of {group.ranks} processes.")


def _start(model: RetSAM, initial: Weights) -> None:
    """Load weights, of the whole network or of parts of it."""
    unexpected = model.load_state_dict(initial, strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"nothing in the network is named {unexpected[0]!r}")


def _covers(frozen: tuple[str, ...], name: str) -> bool:
    """Whether a dotted name is one of the frozen ones or lies below one."""
    return any(name == f or name.startswith(f + ".") for f in frozen)


def _freeze(model: RetSAM, frozen: tuple[str, ...]) -> None:
    names = [name for name, _ in (*model.named_parameters(), *model.named_modules())]
    for entry in frozen:
        if entry not in names:
            raise ValueError(f"nothing in the network is named {entry!r}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not _covers(frozen, name))


def _learning(model: RetSAM) -> frozenset[str] | None:
    """Heads that something on the way to can learn, None for all: what is frozen throughout need not be computed."""
    if any(parameter.requires_grad for parameter in model.image_encoder.parameters()):
        return None
    ways = {name: (head, *(model.path(name).get_submodule(n) for n in SHARED)) for name, head in model.heads.items()}
    return frozenset(n for n, way in ways.items() if any(p.requires_grad for part in way for p in part.parameters()))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases, scales and positions."""
    free = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in free if p.ndim > 1 and "pos" not in name]
    plain = [p for name, p in free if not (p.ndim > 1 and "pos" not in name)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def _save(content: dict[str, Any], path: Path) -> None:
    """Write atomically: a kill leaves the former file."""
    unfinished = path.with_suffix(".tmp")
    torch.save(content, unfinished)
    unfinished.replace(path)
