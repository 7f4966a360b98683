"""Tables between the steps: Arrow schemas, deterministic bytes, atomic writes.

A step hands a pandas DataFrame to :func:`write_table`, which casts it to a declared Arrow schema (a missing column or a
wrong type is an error at once), writes to a temporary name and renames. Equal content gives equal bytes.
"""

import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 16384
"""Rows of a Parquet row group: the part of a large table that must be read to get at a few of its images."""

KEY = pa.field("image_id", pa.string(), nullable=False)
STATUS = pa.field("status", pa.string(), nullable=False)

SHARD = pa.schema(
    [
        KEY,
        pa.field("manifest_row", pa.int64(), nullable=False),  # 1 is the first data row
        pa.field("path", pa.string()),  # relative to the manifest's folder where possible
        pa.field("eye", pa.string()),  # OD, OS or null
        pa.field("um_per_px", pa.float64()),  # of the photograph
        pa.field("file_bytes", pa.int64()),  # -1: no such file when planned
        STATUS,  # ok, bad_row, duplicate_id
    ]
)
"""One row per image of a shard; the only part of the manifest that image work depends on."""

FRAME_COLUMNS = [
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("frame_size", pa.int32()),
    pa.field("crop_x", pa.int32()),
    pa.field("crop_y", pa.int32()),
    pa.field("crop_side", pa.int32()),
    pa.field("fov_x", pa.float64()),
    pa.field("fov_y", pa.float64()),
    pa.field("fov_radius", pa.float64()),
]
"""The photograph's size and its canonical frame (see ``geometry.Frame``), photograph pixels; null if there is none."""

MASKS = pa.schema(
    [
        KEY,
        pa.field("target", pa.string(), nullable=False),
        STATUS,
        pa.field("evidence", pa.string()),
        pa.field("rle", pa.string()),  # COCO compressed counts at frame_size x frame_size
        pa.field("area_px", pa.int64()),  # in frame pixels
        pa.field("probability", pa.float64()),  # mean over the mask, 0-1
        pa.field("x", pa.float64()),  # point targets, frame pixels
        pa.field("y", pa.float64()),
        pa.field("eye", pa.string()),
        pa.field("um_per_px", pa.float64()),  # of the photograph
        *FRAME_COLUMNS,
    ]
)
"""One row per image and target, ``fov`` included; an image without a frame has one row, ``fov``, with its reason."""


def conform(table: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Cast a DataFrame to an Arrow schema, extra columns dropped.

    Raises
    ------
    pyarrow.ArrowInvalid, KeyError
        If a column is missing or cannot be cast.
    """
    return pa.Table.from_pandas(table, schema=schema, preserve_index=False).replace_schema_metadata(None)


def to_bytes(
    table: pd.DataFrame | pa.Table, schema: pa.Schema | None = None, metadata: Mapping[str, str] | None = None
) -> bytes:
    """Parquet bytes of a table; the same content gives the same bytes."""
    if isinstance(table, pd.DataFrame):
        arrow = conform(table, schema) if schema is not None else pa.Table.from_pandas(table, preserve_index=False)
    else:
        arrow = table
    arrow = arrow.replace_schema_metadata({k: metadata[k] for k in sorted(metadata)} if metadata else None)
    sink = io.BytesIO()
    pq.write_table(arrow, sink, compression="zstd", write_statistics=True, row_group_size=ROW_GROUP)
    return sink.getvalue()


def write_bytes(content: bytes | str, path: str | Path, *, only_if_changed: bool = False) -> bool:
    """Write a file under a temporary name and rename it.

    Parameters
    ----------
    content : bytes or str
        Text is written as UTF-8.
    path : path-like
        Folders are made.
    only_if_changed : bool
        Leave an equal file alone, so that its modification time does not trigger work.

    Returns
    -------
    bool
        Whether the file was written.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    if only_if_changed and path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def write_table(
    table: pd.DataFrame | pa.Table,
    path: str | Path,
    schema: pa.Schema | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    only_if_changed: bool = False,
) -> bool:
    """Write a table as Parquet (or CSV where the name ends in .csv), atomically.

    Parameters
    ----------
    table : DataFrame or pyarrow.Table
    path : path-like
    schema : pyarrow.Schema, optional
        Cast to it first; see :func:`conform`.
    metadata : mapping of str, optional
        Provenance, stored in the Parquet schema.
    only_if_changed : bool
        See :func:`write_bytes`.
    """
    if Path(path).suffix == ".csv":
        frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
        frame = conform(frame, schema).to_pandas() if schema is not None else frame
        return write_bytes(frame.to_csv(index=False, lineterminator="\n"), path, only_if_changed=only_if_changed)
    return write_bytes(to_bytes(table, schema, metadata), path, only_if_changed=only_if_changed)


def read_table(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read one Parquet (or .csv) table as a DataFrame."""
    if Path(path).suffix == ".csv":
        return pd.read_csv(path, usecols=columns)
    return pq.ParquetFile(path).read(columns=columns).to_pandas()


def read_metadata(path: str | Path) -> dict[str, str]:
    """Provenance that a Parquet table was written with; empty if there is none."""
    found = pq.read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if key not in (b"pandas", b"ARROW:schema")}


def read_tables(paths: Iterable[str | Path], columns: list[str] | None = None) -> pd.DataFrame:
    """Concatenate shard tables in the order given."""
    parts = [pq.ParquetFile(p).read(columns=columns) for p in paths]
    return pa.concat_tables(parts, promote_options="permissive").to_pandas()
