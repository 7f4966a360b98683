"""Masks of a shard to one wide row of biomarkers per image."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from retsam.biomarkers.biomarker import Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.biomarkers.registry import REGISTRY
from retsam.status import Status
from retsam.tables import KEY, MASKS, STATUS, conform

log = logging.getLogger(__name__)

_HEAD = [
    KEY,
    STATUS,
    pa.field("eye", pa.string()),
    pa.field("laterality", pa.string()),
    pa.field("laterality_source", pa.string()),
    pa.field("laterality_mismatch", pa.bool_()),
]


def biomarkers_schema() -> pa.Schema:
    """Arrow schema of :func:`measure_table`'s result."""
    values = [
        field
        for name in REGISTRY
        for field in (pa.field(name, pa.float64()), pa.field(f"{name}__status", pa.string(), nullable=False))
    ]
    return pa.schema([*_HEAD, *values])


def measure_table(
    masks: pd.DataFrame, quality: pd.DataFrame | None = None, *, progress: Callable[[int], None] | None = None
) -> pd.DataFrame:
    """Measure every biomarker of every image of a shard.

    Parameters
    ----------
    masks : DataFrame
        Columns of ``tables.MASKS``, rows in any order.
    quality : DataFrame, optional
        Columns of ``quality.QUALITY``; without it the family ``quality`` is ``not_assessed``.
    progress : callable, optional
        Called with the number of images done.

    Returns
    -------
    DataFrame
        Columns of :func:`biomarkers_schema`; one row per image in the order of first appearance in `masks`.
        ``status`` is the image's: ok where it has a frame, else the reason, which all its values then share.
        ``eye`` is the manifest's; ``laterality`` comes from disc and fovea, else from the manifest
        (``laterality_source``: disc_fovea, manifest); ``laterality_mismatch`` says whether the two differ.
        For each biomarker NAME is NaN unless NAME__status is ok.

    Raises
    ------
    KeyError, pyarrow.ArrowInvalid
        If a column of ``tables.MASKS`` is missing or of another type.
    """
    _keep_memory()
    by_image: dict[str, dict[str, dict[str, Any]]] = {}
    for record in conform(masks, MASKS).to_pylist():
        by_image.setdefault(record["image_id"], {}).setdefault(record["target"], record)
    judged: dict[str, Any] = {} if quality is None else {r["image_id"]: r for r in quality.to_dict("records")}
    rows = []
    for done, (image_id, targets) in enumerate(by_image.items(), start=1):
        rows.append(_measure_image(image_id, targets, judged.get(image_id)))
        if progress is not None:
            progress(done)
    return _assemble(rows)


def _keep_memory() -> None:
    """Let the C library keep the memory of arrays that are done with for the next ones.

    glibc returns it and takes it again page by page, a few per cent of the time, until one array was this large.
    """
    np.empty(31 << 20, np.uint8)


def _measure_image(
    image_id: str, targets: Mapping[str, Mapping[str, Any]], quality: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Row of one image; whatever goes wrong becomes a status."""
    eye = next((r["eye"] for r in targets.values() if r["eye"]), None)
    row: dict[str, Any] = {"image_id": image_id, "status": Status.OK, "eye": eye}
    try:
        image = RetinalImage(image_id, targets, quality)
        row["laterality"] = image.laterality
        row["laterality_source"] = image.laterality_source
        row["laterality_mismatch"] = image.laterality_mismatch
    except Unmeasurable as missing:
        return _nothing(row, missing.status)
    except Exception:
        log.exception("%s: its rows of the masks table cannot be read", image_id)
        return _nothing(row, Status.FAILED)
    for name, biomarker in REGISTRY.items():
        try:
            image.require(*biomarker.requires)
            value, status = float(biomarker.compute(image)), Status.OK
            if not np.isfinite(value):
                value, status = np.nan, Status.UNDEFINED
        except Unmeasurable as missing:
            value, status = np.nan, missing.status
        except Exception:
            log.exception("%s: %s failed", image_id, name)
            value, status = np.nan, Status.FAILED
        row[name], row[f"{name}__status"] = value, status
    return row


def _nothing(row: dict[str, Any], status: Status) -> dict[str, Any]:
    """Row of an image that cannot be measured at all."""
    values = {key: value for name in REGISTRY for key, value in ((name, np.nan), (f"{name}__status", status))}
    return {**row, "status": status, **values}


def _assemble(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """All columns at once, with the types of the schema."""
    head = {field.name: [_plain(row.get(field.name)) for row in rows] for field in _HEAD}
    columns: dict[str, Any] = dict(pa.table(head, schema=pa.schema(_HEAD)).to_pandas())
    n = len(rows)
    # All statuses are one array, of which each column is a part: an array of its own for each takes ten times as long.
    statuses = pd.array([row[f"{name}__status"].value for name in REGISTRY for row in rows], dtype="str")
    for number, name in enumerate(REGISTRY):
        columns[name] = np.array([row[name] for row in rows], np.float64)
        columns[f"{name}__status"] = statuses[number * n : (number + 1) * n]
    return pd.DataFrame(columns)


def _plain(value: Any) -> Any:
    """A status as plain text; everything else as it is."""
    return value.value if isinstance(value, Status) else value
