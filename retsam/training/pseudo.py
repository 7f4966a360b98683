"""Pseudo-labels: what experts see in photographs that nobody annotated, kept only where they agree with themselves.

Every expert looks at a photograph in eight views: as it is, mirrored, upside down and both, and the same magnified.
What it marks is brought back into the frame, and each view has a vote. A target of a photograph is kept if the views
agree (mean Dice of all pairs; for a point, how near the places are), and pixels on which they do not agree count for
nothing.
"""

import itertools
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from retsam import metrics
from retsam.datasets.files import RASTER, natural
from retsam.errors import UserError
from retsam.io.frames import iter_frames
from retsam.io.manifest import read_manifest
from retsam.planning import report_problems
from retsam.segmentation.network.checkpoint import Checkpoint, load
from retsam.segmentation.network.config import CHANNELS
from retsam.status import Status
from retsam.tables import write_bytes
from retsam.taxonomy import TARGETS, Evidence
from retsam.training.data import compress, write_packed
from retsam.training.frames import POINTS, LabelledFrame, pack
from retsam.training.recipe import PseudoRecipe, Recipe
from retsam.training.stages import WEIGHTS, find_device
from retsam.training.validate import DISC_OF_FIELD, probabilities

log = logging.getLogger(__name__)

TABLES = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq")
"""Suffixes of a manifest."""

MIRRORS = tuple(itertools.product((1, -1), (1, -1)))
"""Steps along rows and columns: as it is, mirrored, upside down, both."""

Maps = Mapping[str, NDArray[np.float32]]
Predict = Callable[[NDArray[np.uint8], NDArray[np.bool_]], Maps]
Masks = NDArray[np.bool_]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Expert:
    """One network and what it is asked for.

    Attributes
    ----------
    name, sha256 : str
    thresholds : mapping of str to float
        Of the targets that it is asked for.
    predict : callable
        Image (S, S, 3) uint8 and field of view (S, S) bool to probability maps (S, S) of those targets.
    """

    name: str
    sha256: str
    thresholds: Mapping[str, float]
    predict: Predict


@dataclass
class Tally:
    """What became of the photographs.

    Attributes
    ----------
    kept, left_out, marked : Counter
        Photographs by target: with a label, with views that do not agree, and with a label that marks something.
    agreement : mapping of str to list of float
        Of each photograph, by target.
    unusable : Counter
        Photographs by status.
    ignored : list of float
        Share of the field of view that counts for nothing, of each photograph that is kept.
    """

    kept: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)
    agreement: dict[str, list[float]] = field(default_factory=dict)
    unusable: Counter[str] = field(default_factory=Counter)
    ignored: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the report."""
        targets = {
            name: {
                "kept": self.kept[name],
                "marked": self.marked[name],
                "left_out": self.left_out[name],
                "agreement": round(float(np.mean(values)), 4),
            }
            for name, values in self.agreement.items()
        }
        ignored = round(float(np.mean(self.ignored)), 4) if self.ignored else 0.0
        return {"kept": len(self.ignored), "unusable": dict(self.unusable), "ignored": ignored, "targets": targets}


def pseudo_label(
    recipe: Recipe,
    experts: Sequence[str | Path],
    images: str | Path,
    out: Path,
    *,
    device: str | None = None,
    workers: int | None = None,
    say: Say = log.info,
    show: Callable[[int], None] = lambda done: None,
) -> Path:
    """Label photographs by experts and pack those of which something is kept.

    Parameters
    ----------
    recipe : Recipe
        Its frame size and its block ``pseudo`` count.
    experts : sequence of path-like
        Files of weights, or folders of runs.
    images : path-like
        A folder of photographs, or a manifest.
    out : Path
        Packed frames (Parquet), a source of a recipe; a report lies beside them as ``.json``.
    device : str, optional
        The recipe's by default.
    workers : int, optional
        Threads that read photographs.
    say : callable
        Takes lines.
    show : callable
        Takes the number of photographs done.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    UserError
        For files that are missing or do not fit, or if nothing at all is kept.
    """
    table, root = photographs(images, say)
    asked = load_experts(recipe, experts, find_device(device or recipe.device))
    for expert in asked:
        say(f"expert {expert.name}: {', '.join(expert.thresholds)}")
    tally, rows = Tally(), []
    for done, framed in enumerate(iter_frames(table, root, recipe.frame_size, workers or 1), 1):
        if framed.image is None or framed.fov is None:
            tally.unusable[str(framed.status)] += 1
        elif frame := label(framed.image_id, framed.image, framed.fov, asked, recipe.pseudo, tally):
            rows.append(compress(frame))
        show(done)
    about = {
        "photographs": len(table),
        "experts": [{"name": e.name, "sha256": e.sha256, "targets": list(e.thresholds)} for e in asked],
        "settings": recipe.pseudo.model_dump(mode="json"),
        **tally.as_dict(),
    }
    write_bytes(json.dumps(about, indent=2).encode() + b"\n", out.with_suffix(".json"))
    for line in _lines(about):
        say(line)
    if not rows:
        raise UserError(f"no label was kept of {len(table)} photographs; lower pseudo.agreement, see the lines above.")
    write_packed(rows, out, about)
    return out


def _lines(about: Mapping[str, Any]) -> Iterator[str]:
    """Report as lines."""
    unusable = ", ".join(f"{n} {status}" for status, n in about["unusable"].items())
    yield f"kept {about['kept']} of {about['photographs']} photographs{f' ({unusable})' if unusable else ''}"
    yield f"{100 * about['ignored']:.1f} % of their fields of view count for nothing"
    for name, row in about["targets"].items():
        what = f"kept on {row['kept']}, where it marks something on {row['marked']}; left out on {row['left_out']}"
        yield f"{name}: {what}; mean agreement {row['agreement']:.3f}"


def photographs(images: str | Path, say: Say = log.info) -> tuple[pd.DataFrame, Path]:
    """Rows of ``tables.SHARD`` of a manifest or of the photographs in a folder, and the folder that paths start from.

    Raises
    ------
    UserError
        If there is neither, or a folder has no photographs.
    """
    path = Path(images)
    if path.suffix.lower() in TABLES:
        manifest = read_manifest(path)
        report_problems(manifest, say)
        return manifest.images, manifest.root
    if not path.is_dir():
        raise UserError(f"no folder or manifest at {path}; give the photographs to label.")
    found = [file for file in path.rglob("*") if file.suffix.lower() in RASTER and file.name[0] != "."]
    files = sorted((file.relative_to(path) for file in found), key=lambda file: natural(file.as_posix()))
    if not files:
        raise UserError(f"no photographs in {path}; give the folder that holds them, or a manifest.")
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else file.as_posix() for file in files]
    rows = {"image_id": names, "path": [file.as_posix() for file in files], "eye": None, "um_per_px": np.nan}
    return pd.DataFrame(rows | {"status": str(Status.OK)}), path


def load_experts(recipe: Recipe, paths: Sequence[str | Path], device: str) -> list[Expert]:
    """Load experts and decide what each is asked for.

    Without ``pseudo.targets`` these are the targets that an expert knows from photographs; what it learnt from phantoms
    alone would teach phantoms.

    Raises
    ------
    UserError
        For files that are missing or made for another frame, or experts that know nothing that is wanted.
    """
    experts, wanted = [], recipe.pseudo.targets
    for path in expert_files(paths):
        found = load(path)
        if found.config.detail_size != recipe.frame_size:
            size = found.config.detail_size
            raise UserError(f"{path} is made for frames of {size} px, the recipe's are {recipe.frame_size}.")
        records = found.metadata.targets
        known = [t for t in CHANNELS if t in records and records[t].evidence != Evidence.PHANTOM]
        asked = known if wanted is None else [t for t in CHANNELS if t in records and t in wanted]
        if asked:
            thresholds = {target: records[target].threshold for target in asked}
            name = path.parent.name if path.name == WEIGHTS else path.stem
            experts.append(Expert(name, found.sha256, thresholds, _predictor(found, asked, device)))
    if not experts:
        raise UserError("the experts know nothing that is wanted from photographs; name targets in 'pseudo.targets'.")
    return experts


def expert_files(paths: Sequence[str | Path]) -> list[Path]:
    """Files of weights: those given, and those of the runs in folders.

    Raises
    ------
    UserError
        If a file is missing, or a folder has no run that is done.
    """
    files = []
    for path in map(Path, paths):
        inside = [path / WEIGHTS, *sorted(path.glob(f"*/{WEIGHTS}"))] if path.is_dir() else [path]
        there = [file for file in inside if file.is_file()]
        if not there:
            raise UserError(f"no file of weights at {path}; give a .safetensors file or the folder of a finished run.")
        files += there
    return files


def _predictor(found: Checkpoint, targets: Sequence[str], device: str) -> Predict:
    model = found.network().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(image: NDArray[np.uint8], fov: NDArray[np.bool_]) -> Maps:
        frame = LabelledFrame("", "", np.ascontiguousarray(image), np.ascontiguousarray(fov), frozenset(targets), {})
        return probabilities(model, frame, device)

    return predict


def label(
    name: str,
    image: NDArray[np.uint8],
    fov: NDArray[np.bool_],
    experts: Sequence[Expert],
    settings: PseudoRecipe,
    tally: Tally,
) -> LabelledFrame | None:
    """Label one photograph.

    Parameters
    ----------
    name : str
    image : (S, S, 3) uint8
    fov : (S, S) bool
    experts : sequence of Expert
        Views of all that know a target vote together.
    settings : PseudoRecipe
    tally : Tally
        Is added to.

    Returns
    -------
    LabelledFrame or None
        With the targets that are kept; None if there are none.
    """
    votes: dict[str, list[Masks]] = {}
    seen: dict[str, list[Masks]] = {}
    places: dict[str, list[tuple[float, float] | None]] = {}
    for expert in experts:
        for maps, inside in views(expert.predict, image, fov, settings.magnification):
            for target, values in maps.items():
                if target in POINTS:
                    places.setdefault(target, []).append(_place(values, inside, expert.thresholds[target]))
                else:
                    votes.setdefault(target, []).append((values > expert.thresholds[target]) & inside)
                    seen.setdefault(target, []).append(inside)
    masks, open_ = {}, np.zeros_like(fov)
    for target in votes:
        mask, doubt, agreed = consensus(np.stack(votes[target]), np.stack(seen[target]), settings.votes)
        absent = TARGETS[target].group == "anatomy" and not mask.any()  # every eye has it
        if _counted(tally, target, agreed, agreed >= settings.agreement and not absent, bool(mask.any())):
            masks[target], open_ = mask, open_ | doubt
    points = {}
    for target, found in places.items():
        place, agreed = meeting_point(found, DISC_OF_FIELD * len(fov))
        if _counted(tally, target, agreed, place is not None and agreed >= settings.agreement, True) and place:
            points[target] = place
    if not masks and not points:
        return None
    tally.ignored.append(float(open_[fov].mean()))
    return pack(name, "", image, fov, masks, points, ignore=open_)


def _counted(tally: Tally, target: str, agreement: float, keep: bool, marked: bool) -> bool:
    tally.agreement.setdefault(target, []).append(agreement)
    (tally.kept if keep else tally.left_out)[target] += 1
    tally.marked[target] += keep and marked
    return keep


def views(
    predict: Predict, image: NDArray[np.uint8], fov: NDArray[np.bool_], magnification: float
) -> Iterator[tuple[Maps, Masks]]:
    """Look at a frame in eight views.

    Yields
    ------
    maps : mapping of str to (S, S) float32
        Probabilities, back in the frame.
    inside : (S, S) bool
        What of the field of view the view shows.
    """
    for zoom in (1.0, magnification):
        picture, field_ = _zoomed(image, zoom), _zoomed(fov.view(np.uint8), zoom, cv2.INTER_NEAREST).view(bool)
        inside = fov & _zoomed(np.ones_like(fov, np.uint8), 1.0 / zoom, cv2.INTER_NEAREST).view(bool)
        for down, across in MIRRORS:
            maps = predict(picture[::down, ::across], field_[::down, ::across])
            yield {name: _zoomed(values[::down, ::across], 1.0 / zoom) for name, values in maps.items()}, inside


def _zoomed(array: NDArray[Any], zoom: float, how: int = cv2.INTER_LINEAR) -> NDArray[Any]:
    """Magnify about the middle, the side as it was; 0 where nothing is known."""
    if zoom == 1.0:
        return array
    centre = (len(array) - 1) / 2.0
    matrix = np.array([[zoom, 0.0, centre * (1.0 - zoom)], [0.0, zoom, centre * (1.0 - zoom)]])
    return np.asarray(cv2.warpAffine(np.ascontiguousarray(array), matrix, array.shape[1::-1], flags=how))


def consensus(votes: Masks, seen: Masks, share: float) -> tuple[Masks, Masks, float]:
    """Mask on which views agree.

    Parameters
    ----------
    votes, seen : (N, S, S) bool
        What each view marks, and what it can see.
    share : float
        Of the views that see a pixel, above 0.5; as many have to mark it, or not to mark it, to decide it.

    Returns
    -------
    mask, doubt : (S, S) bool
        What is marked, and what is left open.
    agreement : float
        Mean Dice of all pairs of views, 0-1, each over what both see; two that mark nothing agree.
    """
    marking = votes.sum(axis=0, dtype=np.float32) / np.maximum(seen.sum(axis=0, dtype=np.float32), 1.0)
    mask = marking >= share
    some = votes.any(axis=0)
    marks, sees = votes[:, some].astype(np.float32), seen[:, some].astype(np.float32)
    sizes = marks @ sees.T
    total = sizes + sizes.T
    dice = np.where(total > 0, 2.0 * (marks @ marks.T) / np.maximum(total, 1.0), 1.0)
    pairs = dice[np.triu_indices(len(votes), 1)]
    return mask, (marking > 1.0 - share) & ~mask, float(pairs.mean()) if len(pairs) else 1.0


def _place(values: NDArray[np.float32], inside: Masks, threshold: float) -> tuple[float, float] | None:
    """Highest place (x, y) of a map, None if it does not reach the threshold."""
    row, column = np.unravel_index(int(np.argmax(np.where(inside, values, -1.0))), values.shape)
    return (float(column), float(row)) if values[row, column] > threshold else None


def meeting_point(
    places: Sequence[tuple[float, float] | None], unit: float
) -> tuple[tuple[float, float] | None, float]:
    """Median of places, and their agreement: 1 minus the mean distance of all pairs, in units, at least 0.

    A view that sees no place agrees with none; where most views see none, there is no place.
    """
    found = [place for place in places if place is not None]
    if 2 * len(found) <= len(places):
        return None, 0.0
    pairs = [
        0.0 if a is None or b is None else max(0.0, 1.0 - metrics.point_distance(a, b, unit))
        for a, b in itertools.combinations(places, 2)
    ]
    x, y = np.median(found, axis=0)
    return (float(x), float(y)), float(np.mean(pairs)) if pairs else 1.0
