"""What a network can do on photographs that it never saw: every set at hand, measured once, written into its header."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from retsam.datasets import DATASETS, Case, Dataset, get_dataset
from retsam.errors import UserError
from retsam.evaluation.image_level import AREA, CDR, PROBABILITY, auc_interval, image_table, person_of, sample
from retsam.evaluation.run import evaluate_cases, summarise
from retsam.evaluation.seen import is_used, relative, role_of
from retsam.segmentation import load_engine
from retsam.status import Status
from retsam.taxonomy import TARGETS, TREES, Evidence

if TYPE_CHECKING:
    from retsam.segmentation.network.checkpoint import Metadata, TargetRecord

log = logging.getLogger(__name__)

Row = dict[str, Any]
Say = Callable[[str], None]
Show = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

MEASURES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(TREES, ("dice", "auc", "accuracy", "sensitivity", "specificity", "cldice")),
    **dict.fromkeys(("optic_disc", "optic_cup"), ("dice",)),
    "fovea": ("distance_dd", "within_0.5_dd"),
}
"""Measures of anatomy; those of everything else are :data:`OF_FINDINGS`."""

OF_FINDINGS = ("aupr", "dice")

BURDENS: Mapping[str, tuple[str, ...]] = {
    "dr": ("microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot"),
    "myopia": ("tessellation", "peripapillary_atrophy", "diffuse_atrophy", "patchy_atrophy"),
    "amd": ("drusen",),
}
"""Findings whose summed area should separate eyes with a disease from eyes without it."""

BRIGHT = ("hard_exudate", "cotton_wool_spot", "drusen")

ALL, TEST, HELD_OUT, SAMPLE = "all", "test", "held-out", "sample"

SEPARATES = 0.6
"""Lower bound of an image-level AUC from which a target counts as validated by labels."""

MARGIN = 0.01
"""Dice above chance from which a target counts as found at all, as in training."""


@contextmanager
def _silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


def judge(
    weights: Path,
    data: Path,
    out: Path,
    *,
    device: str = "auto",
    frame_size: int | None = None,
    odir_limit: int | None = None,
    scores: Path | None = None,
    say: Say = log.info,
    show: Show = _silent,
) -> tuple[Mapping[str, Any], ...]:
    """Measure a network on all unseen photographs at hand and write the figures and levels of evidence into its header.

    Of every set: the official test part, which is never trained on; what the header names as kept apart for a test; of
    a set that had no part in training and has no test part, everything. Sets that are not there are left out with a
    line each.

    Parameters
    ----------
    weights : Path
        Checkpoint of a network.
    data : Path
        Folder around the data sets.
    out : Path
        Checkpoint to write: the same weights.
    device : str
        auto, cpu or cuda.
    frame_size : int, optional
        Pixels, a multiple of 64; that of the network by default.
    odir_limit : int, optional
        About so many eyes of ODIR-5K, for a quick run.
    scores : Path, optional
        CSV that keeps the numbers of single photographs, so that a run that was stopped goes on.
    say : callable
        Takes lines.
    show : callable
        Gives a progress bar, called with a title and the number of photographs.

    Returns
    -------
    tuple of mappings
        Rows as in ``Metadata.judged``.

    Raises
    ------
    UserError
        If the weights or the folder cannot be used, or nothing there is unseen.
    """
    from retsam.segmentation.network.checkpoint import load, save

    if not data.is_dir():
        raise UserError(f"no folder {data}; give the folder around the data sets.")
    found = load(weights)
    judging = _Judging(found.metadata, load_engine(str(weights), device=device), data, say, show)
    judging.frame_size = frame_size or found.config.detail_size
    for adapter in DATASETS.values():
        judging.by_pixels(adapter)
    judging.by_bright_lesions(scores)
    judging.by_diseases(scores, odir_limit)
    if not judging.rows:
        raise UserError(f"nothing in {data} can judge {found.metadata.name}; see docs/datasets.md for the layouts.")
    targets = judging.records()
    save(out, found.config, found.weights, replace(found.metadata, targets=targets, judged=tuple(judging.rows)))
    return tuple(judging.rows)


class _Judging:
    """Measures by one set after the other and keeps the figures.

    Attributes
    ----------
    rows : list of dict
        As in ``Metadata.judged``.
    pixels : mapping of str to list of (float, float)
        By target, what it scored in each set against real pixel labels, and what a guess would have: Dice, or minus the
        distance of a point.
    """

    def __init__(self, metadata: "Metadata", engine: Any, data: Path, say: Say, show: Show) -> None:
        self.metadata, self.engine, self.data, self.say, self.show = metadata, engine, data, say, show
        self.frame_size = 1024
        self.rows: list[Row] = []
        self.pixels: dict[str, list[tuple[float, float]]] = defaultdict(list)
        unknown = sorted({row["set"] for row in metadata.data} - {*DATASETS, "phantom"})
        if unknown:
            say(f"trained on {', '.join(unknown)}, whose photographs cannot be told here: see that none is judged by")

    # Pixels

    def by_pixels(self, adapter: Dataset) -> None:
        """Judge by the masks and points of one set."""
        if not set(adapter.targets) & set(self.engine.targets):
            return
        try:
            for part, cases in self._parts(adapter).items():
                with self.show(f"{adapter.name} {part}", len(cases)) as shown:
                    table, chance = evaluate_cases(adapter, cases, self.engine, self.frame_size, shown)
                self._note_pixels(adapter.name, part, table, chance)
        except UserError as error:
            self.say(f"not judged: {_short(error)}")

    def _parts(self, adapter: Dataset) -> dict[str, list[Case]]:
        """Unseen photographs of a set, by what they are.

        Raises
        ------
        UserError
            If the set is not there, or nothing of it is unseen.
        """
        cases = self._cases(adapter)
        roles = [role_of(self.metadata, adapter.name, case) for case in cases]
        listed = list(zip(cases, roles, strict=True))
        parts = {
            TEST: [case for case, role in listed if case.split == "test" and role in ("unseen", "test")],
            HELD_OUT: [case for case, role in listed if case.split != "test" and role == "test"],
        }
        if kin := relative(self.metadata, adapter.name):
            raise UserError(f"{adapter.name} shares photographs with {kin}, which had a part in training.")
        if not any(parts.values()) and not is_used(self.metadata, adapter.name):
            parts = {ALL: cases}
        if not any(parts.values()):
            raise UserError(f"{adapter.name}: no photograph there is unseen.")
        return {part: chosen for part, chosen in parts.items() if chosen}

    def _cases(self, adapter: Dataset) -> list[Case]:
        from retsam.training.data import dataset_root

        return adapter.cases(dataset_root(adapter.name, self.data), "all")

    def _note_pixels(self, name: str, part: str, table: pd.DataFrame, chance: pd.Series) -> None:
        for row in summarise(table.assign(split=part)).to_dict("records"):
            target, measure = row["target"], row["metric"]
            if measure in MEASURES.get(target, OF_FINDINGS):
                interval = row["ci_low"], row["ci_high"]
                self._note(name, part, target, measure, (row["mean"], *interval), row["n"])
        for target, group in table.assign(chance=chance).groupby("target", sort=False):
            if target in TARGETS and (held := _against_chance(str(target), group)):
                self.pixels[str(target)].append(held)

    def _note(self, name: str, part: str, target: str, measure: str, value: tuple[float, float, float], n: int) -> None:
        mean, low, high = (round(float(v), 4) if math.isfinite(v) else None for v in value)
        if mean is None:
            return
        row = {"set": name, "part": part, "target": target, "measure": measure, "value": mean}
        self.rows.append({**row, "low": low, "high": high, "n": int(n)})
        self.say(row_text(self.rows[-1]))

    # Whole photographs

    def by_bright_lesions(self, scores: Path | None) -> None:
        """Judge by HEI-MED's photographs with and without bright lesions."""
        adapter = get_dataset("hei_med")
        try:
            ((part, cases),) = self._parts(adapter).items()
            table = self._numbers(adapter, cases, scores)
        except UserError as error:
            self.say(f"not judged by whole photographs: {error}")
            return
        self._note_burden(adapter.name, part, cases, table, "bright_lesion", BRIGHT, alone=False)

    def by_diseases(self, scores: Path | None, limit: int | None) -> None:
        """Judge by ODIR-5K's diagnoses of eyes of people of whom no eye was seen."""
        adapter = get_dataset("odir")
        try:
            everyone = self._cases(adapter)
            seen = {person_of(c) for c in everyone if role_of(self.metadata, "odir", c) in ("train", "validation")}
            cases = sample([case for case in everyone if person_of(case) not in seen], limit)
            if not cases:
                raise UserError("odir: no person there is unseen.")
            table = self._numbers(adapter, cases, scores)
        except UserError as error:
            self.say(f"not judged by whole photographs: {error}")
            return
        part = ALL if len(cases) == len(everyone) else SAMPLE if limit and limit < len(everyone) else HELD_OUT
        for disease, members in BURDENS.items():
            self._note_burden(adapter.name, part, cases, table, disease, members, alone=True)
        if CDR in table:
            self._note_auc(adapter.name, part, cases, table[CDR], "optic_cup", "glaucoma", "cdr")

    def _numbers(self, adapter: Dataset, cases: list[Case], scores: Path | None) -> pd.DataFrame:
        with self.show(f"{adapter.name} whole photographs", len(cases)) as shown:
            table = image_table(adapter, cases, self.engine, self.frame_size, scores, shown)
        if lost := int((table["status"] != str(Status.OK)).sum()):
            self.say(f"{adapter.name}: {lost} of {len(table)} photographs show no fundus or cannot be read; left out")
        return table

    def _note_burden(
        self,
        name: str,
        part: str,
        cases: list[Case],
        table: pd.DataFrame,
        label: str,
        members: tuple[str, ...],
        *,
        alone: bool,
    ) -> None:
        """Note how well the sum over some findings separates by a label, and each of them alone if asked for."""
        there = tuple(target for target in members if f"{AREA}_{target}" in table)
        groups = [there, *((target,) for target in there if alone and len(there) > 1)]
        for group in (group for group in groups if group):
            for kind in (AREA, PROBABILITY):
                score = table[[f"{kind}_{target}" for target in group]].sum(axis=1, skipna=False)
                self._note_auc(name, part, cases, score, "+".join(group), label, kind)

    def _note_auc(
        self, name: str, part: str, cases: list[Case], score: pd.Series, target: str, label: str, kind: str
    ) -> None:
        values = score.to_numpy(float)
        used = np.array([label in case.labels for case in cases]) & np.isfinite(values)
        chosen = [case for case, use in zip(cases, used, strict=True) if use]
        truth, people = [case.labels[label] for case in chosen], [person_of(case) for case in chosen]
        self._note(name, part, target, f"auc_{label}_{kind}", auc_interval(values[used], truth, people), len(chosen))

    # Evidence

    def records(self) -> dict[str, "TargetRecord"]:
        """Records of all targets with the evidence that the figures give; without any they stay as they are."""
        records = {}
        for target, record in self.metadata.targets.items():
            level = evidence(record.evidence, self.pixels.get(target, []), image_level_bound(self.rows, target))
            if level != record.evidence:
                self.say(f"evidence of {target}: {record.evidence} -> {level}")
            records[target] = replace(record, evidence=str(level))
        return records


def _short(error: UserError) -> str:
    """A message without its list of missing files, since the folder may be another set's of a similar layout."""
    what, *where = str(error).split(" missing under ")
    return f"{what} missing under {where[0].split(': ')[0]}, if that is meant to be it." if where else what


def _against_chance(target: str, group: pd.DataFrame) -> tuple[float, float] | None:
    """Mean score of a target in one set and what a guess would have; None where nothing was to be found."""
    group = group[group["chance"].notna()]
    if not len(group):
        return None
    if group["dice"].notna().any():
        return float(group["dice"].mean()), float(group["chance"].mean()) + MARGIN
    if target != "fovea":  # the place of a disc alone says nothing about its outline
        return None
    distance = group["distance_dd"].fillna(group["chance"])  # one that was not found is as good as a guess
    return -float(distance.mean()), -float(group["chance"].mean())


def evidence(before: str, pixels: list[tuple[float, float]], bound: float | None) -> str:
    """Level of evidence of one target.

    Parameters
    ----------
    before : str
        Level that training gave it, which stays where nothing was measured now.
    pixels : list of (float, float)
        For each set with real pixel labels, the score and what a guess would have.
    bound : float or None
        Lower bound of the AUC, 0-1, by which it alone separates photographs by an image-level label.

    Returns
    -------
    str
        Value of :class:`retsam.taxonomy.Evidence`.
    """
    if pixels and np.mean([score for score, _ in pixels]) > np.mean([guess for _, guess in pixels]):
        return Evidence.ANNOTATED.value
    if not pixels and before == Evidence.ANNOTATED:
        return before
    if bound is not None:
        return (Evidence.LABEL_VALIDATED if bound > SEPARATES else Evidence.PHANTOM).value
    return Evidence.PHANTOM.value if pixels else before


def image_level_bound(rows: list[Row], target: str) -> float | None:
    """Best lower bound of the AUC of a target's own area; None where it was not measured."""
    bounds = [
        row["low"]
        for row in rows
        if row["target"] == target
        and row["measure"].startswith("auc_")
        and row["measure"].endswith(f"_{AREA}")
        and row["low"] is not None
    ]
    return max(bounds) if bounds else None


def row_text(row: Mapping[str, Any]) -> str:
    """One row as a line for a terminal."""
    interval = "" if row["low"] is None else f" ({row['low']:.4f} to {row['high']:.4f})"
    return f"{row['set']} {row['part']}, {row['target']}, {row['measure']}: {row['value']:.4f}{interval}, n {row['n']}"
