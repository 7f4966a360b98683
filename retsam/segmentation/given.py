"""Masks that were made elsewhere: the rows of a shard, from one table of the whole study.

Corrected masks, another program's, or a simulation's truth. No photograph is opened: the frame is that of the table.
"""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from retsam.errors import UserError
from retsam.status import Status
from retsam.tables import MASKS, conform
from retsam.taxonomy import FOV, TARGETS, Evidence

log = logging.getLogger(__name__)

_ORDER = {name: place for place, name in enumerate((FOV, *TARGETS))}
_WEAKEST_FIRST = tuple(reversed(Evidence))


def given_masks(
    shard: pd.DataFrame, masks: str | Path, *, frame_size: int = 1024, targets: list[str] | None = None
) -> pd.DataFrame:
    """Take the masks of a shard from a table; only its images' rows are brought into memory.

    Parameters
    ----------
    shard : DataFrame
        Columns of ``tables.SHARD``.
    masks : path-like
        Parquet file with the columns of ``tables.MASKS``; rows of other images are ignored.
    frame_size : int
        Side of the frame in pixels that the study is measured in, a multiple of 64.
    targets : list of str, optional
        Keep only these; the default is all.

    Returns
    -------
    DataFrame
        Columns of ``tables.MASKS``, laid out as :func:`retsam.segmentation.segment_table` does: images in the shard's
        order, ``fov`` first. Eye and scale are the manifest's, everything else the table's. An image without a ``fov``
        row has one with status ``not_segmented``, one with a bad manifest row keeps that status.

    Raises
    ------
    UserError
        If the table cannot be read, lacks a column, names a target that does not exist or a target of an image twice,
        or its frames have another size.
    """
    path = Path(masks)
    table = _read(path, shard["image_id"].astype(str).tolist())
    _check(table, path, frame_size)
    wanted = set(TARGETS if targets is None else targets)
    table = table[table["target"].isin([FOV, *wanted])]
    of_image = {key: rows for key, rows in table.groupby("image_id", sort=False)}
    parts = [_rows_of(row, of_image.get(row["image_id"])) for row in shard.to_dict("records")]
    return conform(pd.concat(parts, ignore_index=True), MASKS).to_pandas() if parts else MASKS.empty_table().to_pandas()


def given_evidence(masks: str | Path) -> dict[str, str]:
    """Weakest evidence level of each target in a table of masks; targets that carry none are left out.

    Parameters
    ----------
    masks : path-like
        Parquet file with the columns of ``tables.MASKS``.
    """
    found: dict[str, set[str]] = {}
    for batch in _open(Path(masks)).to_batches(columns=["target", "evidence"]):
        for row in batch.to_pandas().dropna().drop_duplicates().itertuples():
            found.setdefault(row.target, set()).add(row.evidence)
    return {name: next(str(e) for e in _WEAKEST_FIRST if e in levels) for name, levels in sorted(found.items())}


def _open(path: Path) -> ds.Dataset:
    """Open a table of masks without reading its rows."""
    if not path.is_file():
        raise UserError(f"no table of masks at {path.name}; give a Parquet file as 'retsam segment' makes it.")
    try:
        table = ds.dataset(path, format="parquet")
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path.name} is no Parquet file ({str(error).splitlines()[0]}); export it again.") from error
    missing = [name for name in MASKS.names if name not in table.schema.names]
    if missing:
        raise UserError(f"{path.name} has no column {missing[0]!r}; lay it out as 'retsam segment' does.")
    return table


def _read(path: Path, image_ids: list[str]) -> pd.DataFrame:
    """Rows of these images. The range lets Arrow skip parts of the file by their statistics."""
    source = _open(path)
    key, names = pc.field("image_id"), pa.array(image_ids, pa.string())
    span = (key >= min(image_ids, default="")) & (key <= max(image_ids, default=""))
    try:
        return source.to_table(columns=MASKS.names, filter=span & key.isin(names)).cast(MASKS).to_pandas()
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{path.name}: {str(error).splitlines()[0]}; lay it out as 'retsam segment' does.") from error


def _check(table: pd.DataFrame, path: Path, frame_size: int) -> None:
    unknown = sorted(set(table["target"]) - set(_ORDER))
    if unknown:
        raise UserError(f"{path.name}: {unknown[0]!r} is no target; known are {', '.join(TARGETS)}.")
    twice = table[table.duplicated(["image_id", "target"])]
    if len(twice):
        first = twice.iloc[0]
        raise UserError(f"{path.name}: image {first['image_id']!r} has {first['target']!r} twice; keep one row.")
    sizes = sorted({int(size) for size in table["frame_size"].dropna()} - {frame_size})
    if sizes:
        raise UserError(
            f"{path.name} holds masks of frame size {sizes[0]}, the study's is {frame_size}; "
            f"set frame_size: {sizes[0]} or make the masks again."
        )


def _rows_of(image: dict[Any, Any], rows: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of one image in the order of the taxonomy, ``fov`` first."""
    status = Status(image["status"])
    if status is Status.OK and (rows is None or FOV not in set(rows["target"])):
        log.warning("%s: the given masks have no row 'fov' of this image", image["image_id"])
        status = Status.NOT_SEGMENTED
    if status is not Status.OK or rows is None:
        nothing = {**dict.fromkeys(MASKS.names), "target": FOV, "status": status.value}
        rows = pd.DataFrame([nothing], dtype=object)
    rows = rows.sort_values("target", key=lambda names: names.map(_ORDER), kind="stable")
    return rows.assign(image_id=image["image_id"], eye=image["eye"], um_per_px=image["um_per_px"])
