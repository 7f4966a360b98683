"""Masks that lie in a folder of pictures: one subfolder for each target, in the photographs' own pixels.

Without a photograph nothing tells the field of view. It comes from pictures of it (or the photographs themselves); else
it is the whole picture. It is never guessed from the masks: what fills them would then decide what densities and
coverages are measured against, and that from one photograph to the next.
"""

import difflib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam.datasets.files import Finder, natural
from retsam.errors import UserError
from retsam.field import Field, check_frame_size, find_field, make_frame
from retsam.geometry import Frame
from retsam.io.images import ImageError, read_image
from retsam.io.masks import encode
from retsam.status import Status
from retsam.tables import MASKS
from retsam.taxonomy import FOV, TARGETS

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Palette = Mapping[tuple[int, int, int], tuple[str, ...]]


def _grey(*levels: tuple[str, ...]) -> Palette:
    """Labels 0, 1, 2 ... as grey levels."""
    return {(level, level, level): targets for level, targets in enumerate(levels)}


_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_RED, _GREEN, _BLUE, _MIDDLE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
_ARTERY, _VEIN, _BOTH = ("artery", "vessel"), ("vein", "vessel"), ("artery", "vein", "vessel")
_DISC, _CUP = ("optic_disc",), ("optic_disc", "optic_cup")

CODES: Mapping[str, Mapping[str, Palette]] = MappingProxyType(
    {
        "rite": {"artery_vein": {_BLACK: (), _RED: _ARTERY, _BLUE: _VEIN, _GREEN: _BOTH, _WHITE: ("vessel",)}},
        "green-uncertain": {
            "artery_vein": {_BLACK: (), _RED: _ARTERY, _BLUE: _VEIN, _GREEN: ("vessel",), _WHITE: ("vessel",)}
        },
        "refuge": {"disc_cup": {_WHITE: (), _MIDDLE: _DISC, _BLACK: _CUP}},
        "refuge-inverted": {"disc_cup": {_BLACK: (), _MIDDLE: _DISC, _WHITE: _CUP}},
        "labels": {"artery_vein": _grey((), _ARTERY, _VEIN, _BOTH), "disc_cup": _grey((), _DISC, _CUP)},
    }
)
"""What a colour means, by the code's name and the subfolder of its pictures; a palette's first colour is background."""

DEFAULT_CODES = ("rite", "refuge")
"""Codes of subfolders for which none is named."""

CODED = tuple(dict.fromkeys(folder for code in CODES.values() for folder in code))
"""Subfolders of colour-coded pictures."""

NEAR = 64  # levels from a colour of the palette within which a pixel has that colour, at most
MAX_OFF = 0.1  # part of the pixels that may have none: soft edges
BINARY = 0.99  # part of the pixels of a field-of-view mask that are dark or bright


class _BadMask(Exception):
    """A file that cannot be used: one sentence."""


@dataclass(frozen=True)
class _Layout:
    """A folder of masks.

    Attributes
    ----------
    files : Finder
    plain : tuple of str
        Targets with a subfolder of their own.
    coded : dict of str to Palette
        Colour-coded subfolders.
    fov : Finder and its subfolder, or None
    """

    files: Finder
    plain: tuple[str, ...]
    coded: Mapping[str, Palette]
    fov: tuple[Finder, tuple[str, ...]] | None

    def stems(self) -> list[str]:
        """Names of the photographs that have any mask, in natural order."""
        found: dict[str, str] = {}
        for folder in (*self.plain, *self.coded):
            for stem in self.files.stems(folder):
                found.setdefault(stem.casefold(), stem)
        return sorted(found.values(), key=natural)


def folder_masks(
    folder: str | Path,
    *,
    colours: Sequence[str] = (),
    fov: str | Path | None = None,
    um_per_px: float | None = None,
    frame_size: int = 1024,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Bring the masks of a folder into the canonical frame, as a table.

    Layout: ``TARGET/NAME.png`` (any raster format), TARGET a name of the taxonomy and NAME that of the photograph;
    bright where the target is. Of ``fovea`` the middle of what is marked counts, be it a point or a circle.
    Colour-coded pictures lie in ``artery_vein`` and ``disc_cup``, see :data:`CODES`. A folder ``fov`` is that of `fov`
    by default.

    Parameters
    ----------
    folder : path-like
    colours : sequence of str
        Keys of :data:`CODES`; the first that speaks of a subfolder counts, :data:`DEFAULT_CODES` come last.
    fov : path-like, optional
        Folder of field-of-view masks, or of the photographs, of the same names. Without it the field of view is the
        whole picture.
    um_per_px : float, optional
        Micrometres per pixel of the masks, all of one scale.
    frame_size : int
        Side of the frame in pixels, a multiple of 64.
    progress : callable, optional
        Called with the number of photographs done.

    Returns
    -------
    DataFrame
        Columns of ``tables.MASKS``; ``fov`` first, then the targets of the subfolders in the order of the taxonomy, and
        ``vessel`` as artery or vein where it has none of its own. A target without a file has no row (it is
        ``not_segmented``). A file that cannot be used is said in the log: its targets have status ``failed``; without
        a usable field of view the photograph has one row with the reason.

    Raises
    ------
    UserError
        If a folder is missing, or named after no target, or a target comes from two folders, or there is no such code.
    """
    check_frame_size(frame_size)
    layout = _layout(Path(folder), colours, None if fov is None else Path(fov))
    rows: list[dict[str, Any]] = []
    for done, stem in enumerate(layout.stems(), start=1):
        base = {"image_id": stem, "um_per_px": um_per_px}
        rows += [base | row for row in _image_rows(layout, stem, frame_size)]
        if progress is not None:
            progress(done)
    return pd.DataFrame(rows, columns=MASKS.names)


def _layout(folder: Path, colours: Sequence[str], fov: Path | None) -> _Layout:
    """Check the folders against the taxonomy and the codes."""
    for path in (folder, *([fov] if fov else [])):
        if not path.is_dir():
            raise UserError(f"no folder {path}; give a folder of pictures.")
    files = Finder("masks", folder)
    names = files.folders()
    for name in names:
        if name not in (*TARGETS, *CODED, FOV):
            near = difflib.get_close_matches(name, (*TARGETS, *CODED, FOV), n=1)
            hint = f"rename it to {near[0]!r}" if near else f"known are {', '.join((*CODED, FOV, *TARGETS))}"
            raise UserError(f"{folder / name} is named after no target; {hint}.")
    plain = tuple(name for name in TARGETS if name in names)
    coded = {name: _palette(name, colours) for name in CODED if name in names}
    if not plain and not coded:
        raise UserError(f"{folder} has no folder of masks; lay it out as TARGET/NAME.png, for example artery/0001.png.")
    for name, palette in coded.items():
        for target in sorted({t for targets in palette.values() for t in targets} & set(plain) - {"vessel"}):
            raise UserError(f"{target} comes from {folder / target} and from {folder / name}; keep one of the two.")
    inside = (files, (FOV,)) if FOV in names else None
    layout = _Layout(files, plain, coded, (Finder("fov", fov), ()) if fov else inside)
    if not layout.stems():
        raise UserError(f"no pictures in the folders of {folder}; put masks there, as TARGET/NAME.png.")
    return layout


def _palette(folder: str, colours: Sequence[str]) -> Palette:
    """Palette of a colour-coded subfolder."""
    unknown = [name for name in colours if name not in CODES]
    if unknown:
        raise UserError(f"no colour code {unknown[0]!r}; known are {', '.join(CODES)}.")
    return next(CODES[name][folder] for name in (*colours, *DEFAULT_CODES) if folder in CODES[name])


def _image_rows(layout: _Layout, stem: str, frame_size: int) -> list[dict[str, Any]]:
    """Rows of one photograph; whatever is wrong becomes a status, and a sentence in the log."""
    pictures, bad = _pictures(layout, stem)
    try:
        field = _field(layout, stem, pictures.values())
    except ImageError as error:
        log.warning("%s: %s", stem, error)
        return [{"target": FOV, "status": str(error.status)}]
    height, width = field.mask.shape
    masks: dict[str, Mask] = {}
    for folder, pixels in pictures.items():
        try:
            _check_size(pixels, width, height)
            masks |= _coded(pixels, layout.coded[folder]) if folder in layout.coded else {folder: _marked(pixels)}
        except _BadMask as error:
            log.warning("%s/%s %s", folder, stem, error)
            bad |= _targets(layout, folder)
    if "vessel" not in masks and "vessel" not in bad and {"artery", "vein"} <= set(masks):
        masks["vessel"] = masks["artery"] | masks["vein"]
    return _rows(masks, bad, make_frame(width, height, field, frame_size), field)


def _pictures(layout: _Layout, stem: str) -> tuple[dict[str, Pixels], set[str]]:
    """Pictures by subfolder, colour-coded ones first, and targets of those that cannot be read."""
    pictures: dict[str, Pixels] = {}
    bad: set[str] = set()
    for folder in (*layout.coded, *layout.plain):
        path = layout.files.optional((folder,), stem)
        if path is None:
            continue
        try:
            pictures[folder] = read_image(path)
        except ImageError as error:
            log.warning("%s/%s", folder, error)
            bad |= _targets(layout, folder)
    return pictures, bad


def _targets(layout: _Layout, folder: str) -> set[str]:
    """Targets that a subfolder alone provides."""
    if folder not in layout.coded:
        return {folder}
    return {target for targets in layout.coded[folder].values() for target in targets} - set(layout.plain)


def _field(layout: _Layout, stem: str, pictures: Iterable[Pixels]) -> Field:
    """Field of view of one photograph."""
    if layout.fov is not None:
        files, folder = layout.fov
        path = files.optional(folder, stem)
        if path is None:
            where = "/".join((files.root.name, *folder))
            message = f"no picture {stem}.* in {where}; add its field-of-view mask or the photograph"
            raise ImageError(Status.MISSING_FILE, message)
        return _seen(read_image(path))
    sizes = Counter(pixels.shape[:2] for pixels in pictures)
    if not sizes:
        raise ImageError(Status.UNREADABLE, "none of its masks can be read; export them again")
    (height, width), _ = sizes.most_common(1)[0]
    return _whole(width, height)


def _seen(pixels: Pixels) -> Field:
    """Field of view of a photograph, or of a mask of it."""
    values = pixels.max(axis=2)
    top = max(int(values.max()), 1)
    if ((values <= 0.05 * top) | (values >= 0.95 * top)).mean() < BINARY:
        return find_field(pixels)
    mask = values >= top / 2
    if mask.all():
        return _whole(mask.shape[1], mask.shape[0])
    return replace(find_field(np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255)), mask=mask)


def _whole(width: int, height: int) -> Field:
    """Field of view that is the whole picture, in the smallest circle around it."""
    return Field(np.ones((height, width), bool), (width - 1) / 2, (height - 1) / 2, float(np.hypot(width, height)) / 2)


def _check_size(pixels: Pixels, width: int, height: int) -> None:
    if pixels.shape[:2] != (height, width):
        found = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise _BadMask(f"is {found}, not {width}x{height}; save all in the photograph's own pixels")


def _marked(pixels: Pixels) -> Mask:
    """What reaches half of the brightest value that such a file can have, 1 or 255."""
    top = int(pixels.max())
    if 1 < top < 128:
        raise _BadMask(f"has {top} as its brightest value; save 255, or 1, where the target is")
    marked = pixels.max(axis=2) >= (128 if top > 1 else 1)
    if marked[[0, 0, -1, -1], [0, -1, 0, -1]].all():
        raise _BadMask("is bright in all four corners; save the target bright and the rest dark")
    bits = (pixels[marked] >= 128) @ np.array([4, 2, 1]) if top > 1 else np.zeros(0, int)
    shares = np.bincount(bits, minlength=8) / max(bits.size, 1)
    if np.count_nonzero(shares > 0.01) > 1:
        raise _BadMask(f"has several colours; put colour-coded pictures into {' or '.join(CODED)}, see --colours")
    return marked


def _coded(pixels: Pixels, palette: Palette) -> dict[str, Mask]:
    """Masks of a colour-coded picture; a pixel has the nearest colour of the palette."""
    colours = np.array(list(palette), np.int16)
    apart = np.abs(colours[:, None] - colours[None]).max(axis=2)
    near = min(NEAR, int(apart[apart > 0].min()) // 2)
    signed = pixels.astype(np.int16)
    distance = np.stack([np.abs(signed - colour).max(axis=2) for colour in colours])
    nearest = distance.argmin(axis=0)
    border = np.concatenate([nearest[0], nearest[-1], nearest[:, 0], nearest[:, -1]])
    if (distance.min(axis=0) > near).mean() > MAX_OFF or (border == 0).mean() < 0.5:
        raise _BadMask("has other colours than its code says; name its code with --colours")
    targets = dict.fromkeys(target for names in palette.values() for target in names)
    members = {t: [place for place, names in enumerate(palette.values()) if t in names] for t in targets}
    return {target: np.isin(nearest, places) for target, places in members.items()}


def _rows(masks: Mapping[str, Mask], bad: set[str], frame: Frame, field: Field) -> list[dict[str, Any]]:
    """Rows of a photograph with a frame."""
    fov = frame.warp(field.mask)
    rows = [{"target": FOV, "status": str(Status.OK), **_stored(fov)}]
    for target in TARGETS:
        if target in bad:
            rows.append({"target": target, "status": str(Status.FAILED)})
        elif target in masks:
            rows.append({"target": target, **_target(target, masks[target], frame, fov)})
    return [frame.as_row() | row for row in rows]


def _target(target: str, mask: Mask, frame: Frame, fov: Mask) -> dict[str, Any]:
    if target != "fovea":
        return {"status": str(Status.OK), **_stored(frame.warp(mask) & fov)}
    if not mask.any():
        return {"status": str(Status.NOT_VISIBLE)}
    y, x = (float(places.mean()) for places in np.nonzero(mask))  # a point may be lost in the frame's pixels
    place = dict(zip("xy", map(float, frame.to_frame([x, y])), strict=True))
    return {"status": str(Status.OK), **_stored(frame.warp(mask) & fov), **place}


def _stored(mask: Mask) -> dict[str, Any]:
    return {"rle": encode(mask), "area_px": np.count_nonzero(mask)}
