"""Masks out of a run, in the photograph's own pixels: PNG files, COCO JSON, overlays.

Layouts (``NAME`` is the image_id made safe as a file name; ``images.csv`` maps one to the other)::

    png      OUT/NAME/TARGET.png    binary, 0 or 255, one per target and ``fov``: nothing is lost where targets overlap
             OUT/NAME/labels.png    indexed with a palette, values and colours of ``labels.csv``, drawn in that order: a
                                    later target covers an earlier one; for a quick look
             OUT/points.csv         image_id, target, x, y of point targets, photograph pixels
             OUT/labels.csv         value, target, red, green, blue
    coco     OUT/annotations.json   one file: images, categories (ids of the taxonomy), an RLE annotation per image
                                    and target with bbox and area; loads with pycocotools
    overlay  OUT/NAME.jpg           the photograph with vessels tinted, other targets outlined, points as crosses

Each layout also writes OUT/images.csv: image_id, name, status, message, width, height. Files are written under a
temporary name and renamed; they hold pixels only (no EXIF). Equal input gives equal bytes.
"""

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from retsam import __version__
from retsam.errors import UserError
from retsam.geometry import Frame
from retsam.io.images import ImageError, read_image
from retsam.io.manifest import read_manifest
from retsam.io.masks import decode
from retsam.status import MEANING, Status
from retsam.tables import MASKS, write_bytes
from retsam.taxonomy import FOV, TARGETS, TREES

Format = Literal["png", "coco", "overlay"]


@dataclass(frozen=True)
class ExportSummary:
    """What an export did.

    Attributes
    ----------
    images : int
        Images written.
    skipped : tuple of (image_id, message)
        Images without masks (or, for overlays, without their photograph), each with the reason.
    """

    images: int
    skipped: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        text = f"{self.images} images written"
        if self.skipped:
            image_id, message = self.skipped[0]
            text += f", {len(self.skipped)} left out (first: {image_id}: {message}; all are in images.csv)"
        return text


@dataclass(frozen=True)
class _Picture:
    """Masks of one image in the photograph's pixels.

    Attributes
    ----------
    image_id, name : str
        ``name`` is safe as a file name.
    frame : Frame
    masks : dict of str to (height, width) bool
        In taxonomy order, ``fov`` first.
    points : dict of str to (x, y)
    rows : dict of str to dict
        Table row by target.
    """

    image_id: str
    name: str
    frame: Frame
    masks: dict[str, NDArray[np.bool_]] = field(repr=False)
    points: dict[str, tuple[float, float]]
    rows: dict[str, dict[str, Any]] = field(repr=False)


class _Writer(Protocol):
    def write(self, picture: _Picture) -> str | None:
        """Write one image; returns why it could not be, or None."""

    def close(self) -> None:
        """Write what covers all images."""


def export(
    masks: str | Path | Iterable[str | Path],
    to: Format,
    out: str | Path,
    *,
    photographs: str | Path | None = None,
    targets: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> ExportSummary:
    """Write masks in the photograph's own pixels; the layouts are described at the top of this module.

    Parameters
    ----------
    masks : path-like or iterable of path-like
        Masks tables, or folders of them (``results/COHORT/masks``).
    to : {'png', 'coco', 'overlay'}
    out : path-like
        Folder; made if needed, files of the same name are replaced.
    photographs : path-like, optional
        Manifest that leads to the photographs. Needed for overlays; in COCO it gives each image its file name.
    targets : sequence of str, optional
        Names of the taxonomy, or ``fov``. Default: all that the tables hold.
    progress : callable, optional
        Called with the number of images done so far.

    Returns
    -------
    ExportSummary
        An image without masks is never an error: it is named there and in ``images.csv`` with its reason.

    Raises
    ------
    UserError
        If an argument, a table or the manifest cannot be used.
    """
    paths = _tables(masks)
    wanted = _wanted(targets)
    files = _photographs(photographs) if photographs is not None else None
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give a folder to write into.")
    names = safe_names(_image_ids(paths))
    writer = _writer(to, out, files)
    records: list[dict[str, Any]] = []
    for table in map(_read, paths):
        for image_id, rows in table.groupby("image_id", sort=False):
            records.append(_export_one(str(image_id), names[str(image_id)], rows, wanted, writer))
            if progress is not None:
                progress(len(records))
    writer.close()
    columns = ["image_id", "name", "status", "message", "width", "height"]
    index = pd.DataFrame(records, columns=columns).astype({"width": "Int64", "height": "Int64"})
    write_bytes(index.to_csv(index=False, lineterminator="\n"), out / "images.csv")
    skipped = tuple((r["image_id"], r["message"]) for r in records if r["message"])
    return ExportSummary(len(records) - len(skipped), skipped)


def _export_one(image_id: str, name: str, rows: pd.DataFrame, wanted: Sequence[str], writer: _Writer) -> dict[str, Any]:
    """Write one image; returns its row of images.csv."""
    fov = rows[rows["target"] == FOV]
    status = Status(str(fov["status"].iloc[0])) if len(fov) else Status.FAILED
    record: dict[str, Any] = {"image_id": image_id, "name": name, "status": status, "message": ""}
    if status != Status.OK:
        return {**record, "message": MEANING[status] if len(fov) else "its masks have no row for the field of view"}
    frame = Frame.from_row(fov.iloc[0])
    record |= {"width": frame.width, "height": frame.height}
    records = [{str(column): value for column, value in row.items()} for row in rows.to_dict("records")]
    found = {row["target"]: row for row in records if row["status"] == Status.OK and pd.notna(row["rle"])}
    kept = {target: found[target] for target in wanted if target in found}
    picture = _Picture(
        image_id,
        name,
        frame,
        {target: frame.unwarp_mask(decode(row["rle"], frame.frame_size)) for target, row in kept.items()},
        {target: _point(frame, row) for target, row in kept.items() if pd.notna(row["x"]) and pd.notna(row["y"])},
        kept,
    )
    reason = writer.write(picture)
    return {**record, "message": reason or ""}


def _point(frame: Frame, row: Mapping[str, Any]) -> tuple[float, float]:
    x, y = frame.to_photo([row["x"], row["y"]])
    return round(float(x), 3), round(float(y), 3)


# --- what comes in ----------------------------------------------------------------------------------------------------


def _tables(masks: str | Path | Iterable[str | Path]) -> list[Path]:
    """Parquet files in the order given, folders opened in order of name."""
    given = [masks] if isinstance(masks, str | Path) else list(masks)
    paths: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            inside = sorted(path.glob("*.parquet"))
            if not inside:
                raise UserError(f"no .parquet table in the folder {path}; give what `retsam segment` wrote.")
            paths += inside
        elif path.is_file():
            paths.append(path)
        else:
            raise UserError(f"no table at {path}; make it with `retsam segment`.")
    if not paths:
        raise UserError("no masks table given; make one with `retsam segment`.")
    return list(dict.fromkeys(path.resolve() for path in paths))


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path.name} is not a Parquet table; give what `retsam segment` wrote.") from error
    missing = [name for name in MASKS.names if name not in file.schema_arrow.names]
    if missing:
        raise UserError(f"{path.name} is no masks table (no column {missing[0]!r}); give what `retsam segment` wrote.")
    return file


def _read(path: Path) -> pd.DataFrame:
    return _open(path).read(columns=MASKS.names).to_pandas()


def _image_ids(paths: Iterable[Path]) -> list[str]:
    """Every image_id once; one that two tables hold would overwrite its own files."""
    owner: dict[str, Path] = {}
    for path in paths:
        for image_id in _open(path).read(columns=["image_id"])["image_id"].unique().to_pylist():
            if image_id in owner:
                tables = f"{owner[image_id].name} and {path.name}"
                raise UserError(f"image_id {image_id!r} is in both {tables}; export them into different folders.")
            owner[image_id] = path
    return list(owner)


def _wanted(targets: Sequence[str] | None) -> list[str]:
    """Targets to write in drawing order, ``fov`` first."""
    known = [FOV, *TARGETS]
    if targets is None:
        return known
    for name in targets:
        if name not in known:
            raise UserError(f"{name!r} is not a target; known are {', '.join(known)}.")
    return [name for name in known if name in targets]


@dataclass(frozen=True)
class _Photographs:
    """Photographs of a manifest: path as written in it, by image_id, and the folder that paths start from."""

    root: Path
    paths: dict[str, str]

    def read(self, picture: _Picture) -> NDArray[np.uint8] | str:
        """Pixels of an image's photograph, or why there are none."""
        path = self.paths.get(picture.image_id)
        if path is None:
            return "the manifest has no such image_id"
        try:
            pixels = read_image(self.root / path)
        except ImageError as error:
            return str(error)
        expected = (picture.frame.height, picture.frame.width)
        if pixels.shape[:2] != expected:
            sizes = f"{pixels.shape[1]}x{pixels.shape[0]} pixels, its masks were made from {expected[1]}x{expected[0]}"
            return f"the photograph has {sizes}"
        return pixels


def _photographs(manifest: str | Path) -> _Photographs:
    table = read_manifest(manifest)
    usable = table.images[table.images["path"].notna()]
    return _Photographs(table.root, dict(zip(usable["image_id"], usable["path"], strict=True)))


# --- file names -------------------------------------------------------------------------------------------------------

_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{i}" for port in ("com", "lpt") for i in range(10)}  # on Windows
_OWN_FILES = {"images.csv", "points.csv", "labels.csv", "annotations.json"}
_LONGEST = 160  # bytes; file systems allow 255, and endings and temporary names need some


def safe_names(image_ids: Iterable[str]) -> dict[str, str]:
    """File names for image ids, safe on every usual file system and archive.

    Letters and digits of any script, ``-``, ``_``, ``.`` and ``~`` stay; all else becomes ``_``. A name that had to
    change, or that another id shares when case is ignored, gets 8 hex digits of the id's SHA-256: each name depends on
    its own id and on whether such a twin exists, not on any order.

    Parameters
    ----------
    image_ids : iterable of str
        Each once.

    Returns
    -------
    dict
        Name by image_id; distinct also where a file system ignores case.
    """
    plain = {image_id: _plain_name(image_id) for image_id in image_ids}
    shared = Counter(name.casefold() for name in plain.values())
    return {
        image_id: name if name == image_id and shared[name.casefold()] == 1 else f"{name}-{_digest(image_id)}"
        for image_id, name in plain.items()
    }


def _plain_name(image_id: str) -> str:
    name = re.sub(r"[^\w.~-]", "_", unicodedata.normalize("NFC", image_id)).strip(".")
    name = name.encode()[:_LONGEST].decode(errors="ignore")
    taken = name.split(".")[0].casefold() in _DEVICES or name.casefold() in _OWN_FILES
    return f"_{name}" if taken or not name else name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


# --- what goes out ----------------------------------------------------------------------------------------------------


def _writer(to: str, out: Path, photographs: _Photographs | None) -> _Writer:
    if to == "png":
        return _Png(out)
    if to == "coco":
        return _Coco(out, photographs)
    if to == "overlay":
        if photographs is None:
            raise UserError("overlays are drawn on the photographs; give the manifest that lists them.")
        return _Overlay(out, photographs)
    raise UserError(f"{to!r} is not one of png, coco, overlay.")


def _image_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def _palette() -> list[int]:
    colours = np.zeros((256, 3), np.uint8)
    for target in TARGETS.values():
        colours[target.index] = target.colour
    return colours.ravel().tolist()


class _Png:
    """Binary PNG per target and one indexed PNG per image."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.points: list[dict[str, Any]] = []
        self.palette = _palette()

    def write(self, picture: _Picture) -> str | None:
        labels = np.zeros((picture.frame.height, picture.frame.width), np.uint8)
        for target, mask in picture.masks.items():
            binary = Image.fromarray(mask.astype(np.uint8) * 255)
            write_bytes(_image_bytes(binary, "png"), self.out / picture.name / f"{target}.png")
            if target in TARGETS:
                labels[mask] = TARGETS[target].index
        indexed = Image.fromarray(labels)
        indexed.putpalette(self.palette)
        write_bytes(_image_bytes(indexed, "png"), self.out / picture.name / "labels.png")
        for target, (x, y) in picture.points.items():
            self.points.append({"image_id": picture.image_id, "target": target, "x": x, "y": y})
        return None

    def close(self) -> None:
        points = pd.DataFrame(self.points, columns=["image_id", "target", "x", "y"])
        write_bytes(points.to_csv(index=False, lineterminator="\n"), self.out / "points.csv")
        rows = [(t.index, t.name, *t.colour) for t in TARGETS.values()]
        labels = pd.DataFrame(rows, columns=["value", "target", "red", "green", "blue"])
        write_bytes(labels.to_csv(index=False, lineterminator="\n"), self.out / "labels.csv")


class _Coco:
    """One COCO JSON; annotations go to disk as they come, so that a large cohort needs little memory."""

    def __init__(self, out: Path, photographs: _Photographs | None) -> None:
        self.photographs = photographs
        self.images: list[dict[str, Any]] = []
        self.annotations = 0
        self.path = out / "annotations.json"
        out.mkdir(parents=True, exist_ok=True)
        self.stream: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=out)  # noqa: SIM115

    def write(self, picture: _Picture) -> str | None:
        frame, number = picture.frame, len(self.images) + 1
        path = self.photographs.paths.get(picture.image_id) if self.photographs else None
        image = {"id": number, "image_id": picture.image_id, "file_name": path or picture.image_id}
        self.images.append({**image, "width": frame.width, "height": frame.height})
        for target, mask in picture.masks.items():
            if target not in TARGETS or not mask.any():
                continue
            self.stream.write(",\n" if self.annotations else "\n")
            self.annotations += 1
            self.stream.write(json.dumps(self._annotation(picture, target, mask, number)))
        return None

    def _annotation(self, picture: _Picture, target: str, mask: NDArray[np.bool_], image: int) -> dict[str, Any]:
        rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
        row = picture.rows[target]
        annotation = {
            "id": self.annotations,
            "image_id": image,
            "category_id": TARGETS[target].index,
            "iscrowd": 0,
            "area": int(mask.sum()),
            "bbox": [float(v) for v in coco.toBbox(rle)],
            "segmentation": {"size": [int(v) for v in rle["size"]], "counts": rle["counts"].decode("ascii")},
            "evidence": row["evidence"],
        }
        if pd.notna(row["probability"]):
            annotation["score"] = round(float(row["probability"]), 6)
        if target in picture.points:
            annotation["point"] = list(picture.points[target])
        return annotation

    def close(self) -> None:
        categories = [{"id": t.index, "name": t.name, "supercategory": t.group} for t in TARGETS.values()]
        rest = {
            "info": {"description": "RetSAM masks in photograph pixels", "version": __version__},
            "licenses": [],
            "categories": categories,
            "images": self.images,
        }
        temporary = self.path.with_name(f".{self.path.name}.tmp-{os.getpid()}")
        with self.stream, temporary.open("w", encoding="utf-8", newline="\n") as file:
            self.stream.seek(0)
            file.write(json.dumps(rest)[:-1] + ', "annotations": [')
            shutil.copyfileobj(self.stream, file)
            file.write("\n]}\n")
        temporary.replace(self.path)


class _Overlay:
    """Photographs with their masks drawn on."""

    def __init__(self, out: Path, photographs: _Photographs) -> None:
        self.out = out
        self.photographs = photographs

    def write(self, picture: _Picture) -> str | None:
        pixels = self.photographs.read(picture)
        if isinstance(pixels, str):
            return pixels
        drawn = Image.fromarray(draw_overlay(pixels, picture.masks, picture.points))
        write_bytes(_image_bytes(drawn, "jpeg", quality=92, subsampling=0), self.out / f"{picture.name}.jpg")
        return None

    def close(self) -> None:
        """Nothing covers all images."""


def draw_overlay(
    photograph: NDArray[np.uint8],
    masks: Mapping[str, NDArray[np.bool_]],
    points: Mapping[str, tuple[float, float]],
    alpha: float = 0.6,
) -> NDArray[np.uint8]:
    """Draw masks and points on a photograph in the taxonomy's colours.

    Parameters
    ----------
    photograph : (H, W, 3) uint8 RGB
    masks : mapping of str to (H, W) bool
        Vessels are tinted, other targets outlined; ``fov`` is left out.
    points : mapping of str to (x, y)
        Pixels; drawn as crosses, the disc's centre (which its outline shows) left out.
    alpha : float
        Strength of the tint, 0-1.

    Returns
    -------
    (H, W, 3) uint8
        A copy.
    """
    out = photograph.copy()
    line = max(1, round(max(photograph.shape[:2]) / 700))
    for target in (t for t in TARGETS if t in masks):
        colour, mask = TARGETS[target].colour, masks[target]
        if target in TREES:  # both outlines of a thin vessel would hide it
            out[mask] = np.rint((1 - alpha) * photograph[mask] + alpha * np.array(colour)).astype(np.uint8)
        else:
            contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(out, contours, -1, colour, line)
    for target, (x, y) in points.items():
        if target != "optic_disc":
            size = max(8, round(max(photograph.shape[:2]) / 50))
            cv2.drawMarker(out, (round(x), round(y)), TARGETS[target].colour, cv2.MARKER_CROSS, size, line + 1)
    return out
