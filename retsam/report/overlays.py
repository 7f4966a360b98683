"""Sample photographs with the outlines of what was found, small enough to embed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam.io import frames
from retsam.io.masks import decode
from retsam.report.inputs import Thumbnail
from retsam.status import Status
from retsam.taxonomy import FOV, TARGETS

SIDE = 320
"""Side of one thumbnail, pixels."""

_SHIFT = 4  # OpenCV draws at 1/16 pixel


def thumbnail(
    image: NDArray[np.uint8],
    masks: Mapping[str, NDArray[np.bool_]],
    points: Mapping[str, tuple[float, float]] | None = None,
    *,
    side: int = SIDE,
    quality: int = 85,
) -> bytes:
    """Draw outlines on a photograph and shrink it.

    Parameters
    ----------
    image : (S, S, 3) uint8 RGB
        Photograph in its canonical frame.
    masks : mapping of str to (S, S) bool
        Target -> mask; outlined in the target's colour of ``taxonomy.TARGETS``, in the order of that list.
    points : mapping of str to (x, y), optional
        Target -> frame pixels; drawn as a cross.
    side : int
        Side of the result, pixels.
    quality : int
        JPEG quality, 1-100.

    Returns
    -------
    bytes
        JPEG without metadata; the same input gives the same bytes.
    """
    return _jpeg(_draw(image, masks, points or {}, side), quality)


def _shrink(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    how = cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(image, (side, side), interpolation=how), dtype=np.uint8)


def _draw(
    image: NDArray[np.uint8],
    masks: Mapping[str, NDArray[np.bool_]],
    points: Mapping[str, tuple[float, float]],
    side: int,
) -> NDArray[np.uint8]:
    canvas = _shrink(image, side)
    scale = side / image.shape[0]
    for name in (t for t in TARGETS if t in masks):
        contours, _ = cv2.findContours(masks[name].astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        lines = [np.round(((c + 0.5) * scale - 0.5) * 2**_SHIFT).astype(np.int32) for c in contours]
        cv2.polylines(canvas, lines, True, TARGETS[name].colour, _thickness(name), cv2.LINE_AA, _SHIFT)
    for name in (t for t in TARGETS if t in points):
        x, y = (np.asarray(points[name], float) + 0.5) * scale - 0.5
        centre = (round(float(x)), round(float(y)))
        cv2.drawMarker(canvas, centre, TARGETS[name].colour, cv2.MARKER_CROSS, side // 24, 1, cv2.LINE_AA)
    return canvas


def _thickness(name: str) -> int:
    return 1 if TARGETS[name].group == "anatomy" and name in {"vessel", "artery", "vein"} else 2


def _jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape} as JPEG")
    return data.tobytes()


def choose_samples(images: pd.DataFrame, n: int = 12) -> dict[str, str]:
    """Choose photographs that show the range of a cohort, the worst included; no chance is involved.

    A third each: the best gradable ones, the gradable ones nearest to the threshold, and the lowest and highest of the
    ungradable ones; what a group lacks is filled with gradable ones evenly spaced in gradability, then with others.

    Parameters
    ----------
    images : DataFrame
        Columns image_id, gradability (0-1), gradable (bool) and, where known, quality_status. Without a finite
        gradability, or where the quality step says that something is wrong (no fundus, unreadable), a row is not shown.
    n : int
        At most so many.

    Returns
    -------
    dict of str to str
        image_id -> why it was chosen, in the order of display (best first); independent of the row order.
    """
    usable = images[np.isfinite(images["gradability"].astype(float))]
    if "quality_status" in usable:
        usable = usable[usable["quality_status"].isin([Status.OK, Status.UNGRADABLE])]
    ranked = usable.sort_values(["gradability", "image_id"], ascending=[False, True], kind="stable")
    passed = ranked["gradable"].astype(bool)
    good, bad = ranked.loc[passed, "image_id"].tolist(), ranked.loc[~passed, "image_id"].tolist()
    third = max(n // 3, 1)
    spaced = np.linspace(0, len(good) - 1, 2 * n).astype(int).tolist() if good else []
    groups = (
        ("best gradability", good[:third]),
        ("ungradable, lowest gradability", bad[::-1][: (third + 1) // 2]),
        ("gradable, nearest to the threshold", good[::-1][:third]),
        ("ungradable, nearest to the threshold", bad[: third // 2]),
        ("gradable, in between", [good[i] for i in spaced]),
        ("gradable, in between", good),
        ("ungradable", bad),
    )
    chosen: dict[str, str] = {}
    for reason, ids in groups:
        for image_id in ids:
            if len(chosen) < n:
                chosen.setdefault(image_id, reason)
    return {image_id: chosen[image_id] for image_id in (*good, *bad) if image_id in chosen}


FEWEST = 20
"""With fewer values of a biomarker than this none is called extreme."""

FAR = 5.0
"""A value is far from the others beyond so many robust standard deviations from the median."""


def extreme_samples(
    images: pd.DataFrame, names: Sequence[str], n: int, labels: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Choose photographs with the most extreme values, where errors of segmentation show first; no chance is involved.

    First the photograph with the most values far from those of the others, then the highest and the lowest value of
    each biomarker in turn.

    Parameters
    ----------
    images : DataFrame
        Columns image_id and, of each biomarker, NAME (float) and NAME__status. Rows with ``included`` false are left
        out.
    names : sequence of str
        Biomarkers, the most important first; those without a column, with fewer than :data:`FEWEST` values or with
        one value throughout are passed over.
    n : int
        At most so many.
    labels : mapping, optional
        Biomarker -> name in print.

    Returns
    -------
    dict of str to str
        image_id -> why it was chosen; independent of the row order.
    """
    rows = images[images["included"].eq(True)] if "included" in images else images
    rows = rows.sort_values("image_id", kind="stable")
    ids = rows["image_id"].astype(str).tolist()
    values = {b: rows[b].where(rows[f"{b}__status"] == Status.OK).to_numpy(float) for b in names if b in rows}
    values = {b: v for b, v in values.items() if np.isfinite(v).sum() >= FEWEST and np.nanmin(v) < np.nanmax(v)}
    chosen = _farthest(ids, np.column_stack(list(values.values()))) if values else {}
    for name, column in values.items():
        label = (labels or {}).get(name, name)
        for place, word in ((int(np.nanargmax(column)), "highest"), (int(np.nanargmin(column)), "lowest")):
            chosen.setdefault(ids[place], f"{word} {label}, {column[place]:.3g}")
    return dict(list(chosen.items())[: max(n, 0)])


def _farthest(ids: Sequence[str], values: NDArray[np.float64]) -> dict[str, str]:
    """The row with the most values far from the median, where any is; measured by the median absolute deviation."""
    away = np.abs(values - np.nanmedian(values, axis=0))
    spread = 1.4826 * np.nanmedian(away, axis=0)
    far = (away > FAR * np.where(spread > 0, spread, np.inf)).sum(axis=1)
    place = int(far.argmax())
    known = int(np.isfinite(values[place]).sum())
    return {ids[place]: f"{far[place]} of {known} values far from all others"} if far[place] else {}


def render_samples(
    masks: pd.DataFrame,
    manifest: pd.DataFrame,
    root: Path,
    ids: Mapping[str, str] | Iterable[str],
    *,
    side: int = SIDE,
) -> list[Thumbnail]:
    """Read photographs and draw them beside their overlays.

    Parameters
    ----------
    masks : DataFrame
        Columns of ``tables.MASKS``.
    manifest : DataFrame
        Columns image_id and path.
    root : Path
        Folder that relative paths start from.
    ids : mapping or iterable of str
        Photographs in the order of display; a mapping (see :func:`choose_samples`) gives the reason for the caption.
    side : int
        Side of one picture, pixels; the result is two of them wide.

    Returns
    -------
    list of Thumbnail
        A photograph that cannot be read, or has no frame, is left out.
    """
    reasons = dict(ids) if isinstance(ids, Mapping) else dict.fromkeys(ids, "")
    paths = manifest.drop_duplicates("image_id").set_index("image_id")["path"]
    rows = {
        str(key): part for key, part in masks[masks["image_id"].isin(list(reasons))].groupby("image_id", sort=False)
    }
    pictures = []
    for image_id, reason in reasons.items():
        if image_id in rows and image_id in paths.index:
            picture = _sample(rows[image_id], root / str(paths[image_id]), image_id, reason, side)
            if picture is not None:
                pictures.append(picture)
    return pictures


def _sample(rows: pd.DataFrame, path: Path, image_id: str, reason: str, side: int) -> Thumbnail | None:
    size = rows["frame_size"].dropna()
    if size.empty:
        return None
    framed = frames.load_frame(path, int(size.iloc[0]), image_id=image_id)
    if framed.image is None:
        return None
    records: list[dict[Any, Any]] = rows[(rows["target"] != FOV) & (rows["status"] == Status.OK)].to_dict("records")
    masks = {r["target"]: decode(r["rle"], framed.image.shape[0]) for r in records if isinstance(r["rle"], str)}
    found = {name: mask for name, mask in masks.items() if mask.any()}  # an empty mask is looked for and not found
    points = {r["target"]: (r["x"], r["y"]) for r in records if r["target"] == "fovea" and pd.notna(r["x"])}
    if {"artery", "vein"} <= set(found):
        found.pop("vessel", None)  # the two colours say more
    pair = np.hstack([_shrink(framed.image, side), _draw(framed.image, found, points, side)])
    names = ", ".join(name.replace("_", " ") for name in TARGETS if name in found) or "nothing"
    caption = f"{image_id}: {reason}; found: {names}" if reason else f"{image_id}; found: {names}"
    return Thumbnail(
        image_id, caption, _jpeg(pair, 85), tuple(name for name in TARGETS if name in found or name in points)
    )
