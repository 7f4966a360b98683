"""Frames of a recipe: made once, kept compressed in a folder that can be carried to another machine, and split.

A cache has one Parquet file per source, named after the source and a hash of what its frames depend on. Frames always
pass through the compressed form, so that a run gives the same with a cache as without one.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from retsam.datasets import Case, Dataset, get_dataset
from retsam.datasets.own import OwnSet
from retsam.errors import UserError
from retsam.training.frames import LabelledFrame
from retsam.training.recipe import Recipe, SourceRecipe, packed_file
from retsam.training.sources import PHANTOM, case_frame, phantom_frame

log = logging.getLogger(__name__)

FORMAT = 1
"""Changes whenever frames are made or stored differently; older caches are then made anew."""

JPEG_QUALITY, WEBP_QUALITY = 92, 85

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("size", pa.int32(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),  # JPEG with colours at full resolution, or WebP
        pa.field("fov", pa.binary(), nullable=False),  # bits, zlib
        pa.field("known", pa.list_(pa.string()), nullable=False),
        pa.field("masks", pa.list_(pa.string()), nullable=False),
        pa.field("bits", pa.list_(pa.binary()), nullable=False),  # of each of masks: bits, zlib
        pa.field("points", pa.list_(pa.string()), nullable=False),
        pa.field("places", pa.list_(pa.float64()), nullable=False),  # x, y of each of points
    ]
)

PERSON = pa.field("person", pa.string())
"""Column that only files of sets with people have; files without it are read all the same."""

ABOUT = "retsam"
"""Key of the header of a file of packed frames that is not part of a cache."""

SAME = 5.0
"""Two photographs are one if their thumbnails differ by less than this, grey levels on average.

Copies in IDRiD's two parts differ by 0.3 to 0.6, with another crop by 3.8; the most alike of different eyes by 4.4.
"""

Say = Callable[[str], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """Frames of a recipe.

    Attributes
    ----------
    train, validation, test : tuple of LabelledFrame
        No photograph is in two of them. The test's are never looked at in training.
    licence : mapping of str to str
        By source.
    split : mapping of str to str
        Official part of each source.
    """

    train: tuple[LabelledFrame, ...]
    validation: tuple[LabelledFrame, ...]
    test: tuple[LabelledFrame, ...] = ()
    licence: Mapping[str, str] = field(default_factory=dict)
    split: Mapping[str, str] = field(default_factory=dict)


def load_parts(recipe: Recipe, cache: Path | None = None, workers: int | None = None, say: Say = log.info) -> Parts:
    """Load all frames of a recipe and split them.

    Parameters
    ----------
    recipe : Recipe
    cache : Path, optional
        Folder of the cache; what is not in it is made and added. None keeps nothing.
    workers : int, optional
        Processes that make frames; as many as there are cores by default.
    say : callable
        Takes a line about what happens.

    Raises
    ------
    UserError
        If a data set or a file of it is missing, or every photograph of a source would be validation.
    """
    frames: dict[str, list[LabelledFrame]] = {}
    for source in recipe.sources:
        rows = source_rows(recipe, source, cache, workers, say)
        frames[source.name] = _restricted([unpack(row, source.name) for row in rows], source)
    held = held_back(sorted(recipe.sources, key=lambda source: source.file is not None), frames, say)
    for source in recipe.sources:
        if source.file is not None:  # a photograph that is held back has better labels than these
            frames[source.name] = [frame for frame in frames[source.name] if frame.name not in held]
    everything = [frame for part in frames.values() for frame in part]
    trained = {source.name for source in recipe.sources if source.role == "train"}
    train = tuple(f for f in everything if f.name not in held and f.source in trained)
    for source in recipe.sources:
        if source.role == "train" and source.share and not any(f.source == source.name for f in train):
            raise UserError(
                f"{source.name}: validation and test take all {len(frames[source.name])} photographs; lower them."
            )
    validation, test = (tuple(f for f in everything if held.get(f.name) == role) for role in ("validation", "test"))
    return Parts(train, validation, test, *({s.name: of(s) for s in recipe.sources} for of in (_licence, _split)))


def pack_cache(
    recipe: Recipe, cache: Path, workers: int | None = None, say: Say = log.info, *, phantoms: bool = False
) -> list[Path]:
    """Make the cache of a recipe, or what is missing of it; returns its files. Phantoms can be made anywhere."""
    sources = [s for s in recipe.sources if s.file is None and (phantoms or s.name != PHANTOM)]
    for source in sources:
        source_rows(recipe, source, cache, workers, say)
    return [cache_file(recipe, source, cache) for source in sources]


def source_rows(recipe: Recipe, source: SourceRecipe, cache: Path | None, workers: int | None, say: Say) -> list[Row]:
    """Compressed frames of one source, from its own file or from the cache if they are there."""
    if source.file is not None:
        rows = read_packed(packed_file(source.file), source.name, recipe.frame_size)
        say(f"{source.name}: {len(rows)} frames from {source.file}")
        return rows
    path = cache_file(recipe, source, cache) if cache else None
    if path and path.is_file():
        rows = _read(path)
        say(f"{source.name}: {len(rows)} frames from {path}")
        return rows
    started = time.monotonic()
    rows = _make(recipe, source, workers, say)
    say(f"{source.name}: {len(rows)} frames made in {time.monotonic() - started:.0f} s")
    if path:
        write_packed(rows, path)
        say(f"{source.name}: {path.stat().st_size / 1e6:.1f} MB kept in {path}")
    return rows


def cache_file(recipe: Recipe, source: SourceRecipe, cache: Path) -> Path:
    """File of a source in a cache; the data's folder does not enter its name, so that it can be carried around."""
    content = json.dumps({"format": FORMAT, **source.content(recipe.frame_size)}, sort_keys=True)
    return cache / f"{source.name}-{recipe.frame_size}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.parquet"


def data_root(recipe: Recipe) -> Path:
    """Folder around the data sets: the environment's ``RETSAM_DATA``, or the recipe's."""
    return Path(os.environ.get("RETSAM_DATA") or recipe.data)


def _make(recipe: Recipe, source: SourceRecipe, workers: int | None, say: Say) -> list[Row]:
    """Make frames in processes, in the order of the source."""
    jobs: list[tuple[Any, ...]]
    if source.name == PHANTOM:
        first = source.seed or 0
        jobs = [("", source, recipe.frame_size, str(seed)) for seed in range(first, first + (source.count or 0))]
    else:
        root = Path(source.folder) if source.folder else dataset_root(source.name, data_root(recipe))
        cases = _cases(source, str(root))
        if unknown := sorted(set(source.exclude) - set(cases)):
            raise UserError(f"{source.name}: no photograph {unknown[0]!r} to exclude.")
        if source.absent and not any(case.absent for case in cases.values()):
            raise UserError(
                f"{source.name}: no label there rules anything out; leave 'absent' away (docs/datasets.md)."
            )
        used = [key for key, case in cases.items() if not source.absent or case.masks or case.points or case.absent]
        jobs = [(str(root), source, recipe.frame_size, key) for key in used if key not in source.exclude]
    rows = []
    with _pool(min(workers or _cores(), max(len(jobs) // 4, 1))) as run:
        for row in run(_make_row, jobs):
            rows.append(row)
            if len(rows) % 50 == 0:
                say(f"{source.name}: {len(rows)}/{len(jobs)}")
    return rows


def _make_row(job: tuple[str, SourceRecipe, int, str]) -> Row:
    root, source, frame_size, key = job
    if source.name == PHANTOM:
        frame = phantom_frame(int(key), frame_size, source.size, diseases=source.diseases)
    else:
        frame = case_frame(_dataset(source), _cases(source, root)[key], frame_size, absent=source.absent)
        frame = replace(frame, name=f"{source.name}-{key}", source=source.name)
    return compress(frame, webp=source.webp)


def _dataset(source: SourceRecipe) -> Dataset:
    return OwnSet() if source.folder is not None else get_dataset(source.name)


@lru_cache(maxsize=8)
def _cases(source: SourceRecipe, root: str) -> dict[str, Case]:
    """Cases by image; every process lists them for itself."""
    return {case.image_id: case for case in _dataset(source).cases(root, source.split)}


def dataset_root(name: str, root: Path) -> Path:
    """Folder of one data set in a folder of many: the only one that has its layout.

    Raises
    ------
    UserError
        If no folder has it, or several have.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root} with the data sets; name it as 'data' in the recipe or in RETSAM_DATA.")
    dataset = get_dataset(name)
    fitting, incomplete = [], []
    for path in sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] != "."):
        try:
            dataset.cases(path, "all")
        except UserError as error:
            incomplete += [error] if " missing under " in str(error) else []
            continue
        fitting.append(path)
    if incomplete and not fitting:
        raise incomplete[0]
    if len(fitting) == 1:
        return fitting[0]
    what = "several folders have" if fitting else "no folder has"
    raise UserError(f"{name}: {what} its layout in {root} (docs/datasets.md).")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _pool(workers: int) -> Iterator[Callable[..., Iterable[Row]]]:
    """Yield a ``map`` whose results come in the order of the jobs."""
    if workers <= 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_quiet) as pool:
        yield lambda work, jobs: pool.map(work, jobs, chunksize=2)


def _quiet() -> None:
    """Start a process: one thread, and no warnings that the first process has already given."""
    cv2.setNumThreads(1)
    logging.disable(logging.WARNING)


def compress(frame: LabelledFrame, *, webp: bool = False) -> Row:
    """One row of :data:`SCHEMA`."""
    image = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    if webp:
        options = [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]
    _, coded = cv2.imencode(".webp" if webp else ".jpg", image, options)
    masks, points = sorted(frame.packed), sorted(frame.points)
    return {
        "name": frame.name,
        "size": frame.size,
        "image": coded.tobytes(),
        "fov": zlib.compress(np.packbits(frame.fov).tobytes(), 9),
        "known": sorted(frame.known),
        "masks": masks,
        "bits": [zlib.compress(frame.packed[name].tobytes(), 9) for name in masks],
        "points": points,
        "places": [value for name in points for value in frame.points[name]],
        PERSON.name: frame.person,
    }


def unpack(row: Row, source: str) -> LabelledFrame:
    """Invert :func:`compress`; the image to the accuracy of a JPEG, black outside the field of view."""
    size = row["size"]
    fov = _bits(row["fov"], size * size).reshape(size, size)
    coded = cv2.imdecode(np.frombuffer(row["image"], np.uint8), cv2.IMREAD_COLOR)
    assert coded is not None
    image = np.asarray(cv2.cvtColor(coded, cv2.COLOR_BGR2RGB), np.uint8) * fov[..., None].view(np.uint8)
    packed = {
        name: np.frombuffer(zlib.decompress(bits), np.uint8)
        for name, bits in zip(row["masks"], row["bits"], strict=True)
    }
    places = row["places"]
    points = {name: (places[2 * i], places[2 * i + 1]) for i, name in enumerate(row["points"])}
    return LabelledFrame(row["name"], source, image, fov, frozenset(row["known"]), packed, points, row.get(PERSON.name))


def _bits(data: bytes, count: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(zlib.decompress(data), np.uint8), count=count).astype(bool)


def write_packed(rows: Sequence[Row], path: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write rows atomically, with a few words ``about`` them in the file's header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    schema = SCHEMA.append(PERSON) if any(row.get(PERSON.name) for row in rows) else SCHEMA
    schema = schema.with_metadata({ABOUT: json.dumps(about, sort_keys=True)}) if about else schema
    pq.write_table(pa.Table.from_pylist(list(rows), schema), unfinished, compression="none", use_dictionary=False)
    unfinished.replace(path)


def read_packed(path: Path, source: str, frame_size: int) -> list[Row]:
    """Rows of a file of packed frames, named after the source.

    Raises
    ------
    UserError
        If it cannot be read, is empty, or its frames are of another size.
    """
    try:
        rows = pq.read_table(path, schema=SCHEMA.append(PERSON)).to_pylist()
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} holds no packed frames ({reason}); make it with retsam train pseudo-label.") from None
    if not rows:
        raise UserError(f"{path} holds no frames; see its report, {path.with_suffix('.json').name}.")
    if sizes := sorted({row["size"] for row in rows} - {frame_size}):
        raise UserError(f"{path} holds frames of {sizes[0]} px, the recipe's are {frame_size}; make it anew.")
    return [{**row, "name": f"{source}-{row['name']}"} for row in rows]


def about_packed(path: Path) -> dict[str, Any]:
    """What :func:`write_packed` was told about a file."""
    return dict(json.loads((pq.read_schema(path).metadata or {}).get(ABOUT.encode(), b"{}")))


def _read(path: Path) -> list[Row]:
    try:
        return pq.read_table(path, schema=SCHEMA.append(PERSON)).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]}); delete it.") from None


def _restricted(frames: Sequence[LabelledFrame], source: SourceRecipe) -> list[LabelledFrame]:
    """Forget the targets that the recipe does not use, and frames of which nothing is known then."""
    if source.targets is None:
        return list(frames)
    kept = []
    for frame in frames:
        known = frame.known & set(source.targets)
        packed = {name: bits for name, bits in frame.packed.items() if name not in frame.known - known}
        points = {t: p for t, p in frame.points.items() if t in known}
        kept += [replace(frame, known=known, packed=packed, points=points)] if known else []
    if not kept:
        raise UserError(f"{source.name} annotates none of {', '.join(source.targets)}.")
    return kept


def held_back(
    sources: Sequence[SourceRecipe], frames: Mapping[str, Sequence[LabelledFrame]], say: Say
) -> dict[str, str]:
    """Role, ``validation`` or ``test``, of every frame that is not trained on, by its name.

    A photograph in several sources has the role that the first of them gives it, and so have others of its person.
    """
    held: dict[str, str] = {}
    earlier: list[LabelledFrame] = []
    for source in sources:
        mine = list(frames[source.name])
        real = [] if source.name == PHANTOM else mine
        names = {frame.name for frame in mine}
        follows: dict[str, str] = {}
        for role in ("train", "validation", "test"):
            leaders = {f.name for f in earlier if held.get(f.name, "train") == role}
            follows |= dict.fromkeys(copies_of(leaders, [*earlier, *real]) & names, role)
        if follows:
            say(f"{source.name}: {len(follows)} photographs are also in a source before it, and follow it")
        people = {f.person: follows[f.name] for f in mine if f.person and f.name in follows}
        follows = {f.name: people[f.person] for f in mine if f.person in people} | follows
        free = [frame for frame in mine if frame.name not in follows]
        held |= {name: role for name, role in follows.items() if role != "train"} | kept_apart(free, source)
        earlier += real
    return held


def kept_apart(frames: Sequence[LabelledFrame], source: SourceRecipe) -> dict[str, str]:
    """Frames for validation, then for the test: the first by a hash of their names, whatever their order or number.

    Frames of a person go together, by a hash of the person, so that there may be one more than the recipe says.
    """
    if source.role == "validation":
        return {frame.name: "validation" for frame in frames}
    groups: dict[str, list[str]] = defaultdict(list)
    for frame in frames:
        groups[f"{source.name}/{frame.person}" if frame.person else frame.name].append(frame.name)
    order = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    roles: dict[str, str] = {}
    for role, wanted in (("validation", source.validation), ("test", source.test)):
        count = 0
        while order and count < wanted:
            names = groups[order.pop(0)]
            roles |= dict.fromkeys(names, role)
            count += len(names)
    return roles


def thumbnail(frame: LabelledFrame) -> NDArray[np.float32]:
    """(48 * 48 * 3,) float32 of the field of view, by which two frames are known to show one photograph."""
    rows, columns = (np.flatnonzero(frame.fov.any(axis=axis)) for axis in (1, 0))
    seen = frame.image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.asarray(cv2.resize(seen, (48, 48), interpolation=cv2.INTER_AREA), np.float32).ravel()


def copies_of(held: Iterable[str], frames: Sequence[LabelledFrame]) -> set[str]:
    """Names of frames that show the same photograph as one of those named ``held``, but are not among them."""
    held = set(held)
    mine = [frame for frame in frames if frame.name in held]
    others = [frame for frame in frames if frame.name not in held]
    if not mine or not others:
        return set()
    there = np.stack([thumbnail(frame) for frame in mine])
    return {f.name for f in others if np.abs(there - thumbnail(f)).mean(axis=1).min() < SAME}


def _licence(source: SourceRecipe) -> str:
    if source.file is not None:
        return "that of the photographs that were given"
    return "none needed (synthetic)" if source.name == PHANTOM else _dataset(source).licence


def _split(source: SourceRecipe) -> str:
    if source.file is not None:
        return "pseudo-labels"
    return "synthetic" if source.name == PHANTOM else "all" if source.folder else source.split
