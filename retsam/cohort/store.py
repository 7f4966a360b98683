"""Arrow schemas of the cohort tables, and writing them."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from retsam.cohort.build import Cohort
from retsam.tables import FRAME_COLUMNS, write_bytes, write_table

TEXT = (
    "image_id",
    "participant_id",
    "eye",
    "eye_source",
    "visit",
    "camera",
    "site",
    "sex",
    "path",
    "laterality",
    "message",
    "exclusion",
)
COUNTS = ("manifest_row", "n_images", "n_eyes", "file_bytes")
FLAGS = ("gradable", "included", "flagged", "represents_eye")
OPEN_FLAGS = ("laterality_mismatch",)
"""Flags that are null where nothing can be said."""
NEVER_NULL = ("image_id", "participant_id", "manifest_row", "n_images", "n_eyes", "status", *FLAGS)

_FRAME = {field.name: field for field in FRAME_COLUMNS}


def table_schema(table: pd.DataFrame) -> pa.Schema:
    """Arrow schema of a cohort table, stable against what the cells happen to hold.

    Parameters
    ----------
    table : DataFrame
        ``images``, ``eyes`` or ``participants`` of a :class:`Cohort`.

    Returns
    -------
    pyarrow.Schema
        Keys, statuses and text are strings, counts int64, flags bool, frame columns as in ``tables.FRAME_COLUMNS``;
        the user's own numbers are float64 (a column of whole numbers must not change its type when one cell is
        emptied), anything else string.
    """
    return pa.schema([_field(table, str(name)) for name in table.columns])


def _field(table: pd.DataFrame, name: str) -> pa.Field:
    if name in _FRAME:
        return _FRAME[name]
    if name in COUNTS:
        kind = pa.int64()
    elif name in FLAGS + OPEN_FLAGS:
        kind = pa.bool_()
    elif name in TEXT or name == "status" or name.endswith("_status"):
        kind = pa.string()
    else:
        kind = pa.float64() if pd.api.types.is_numeric_dtype(table[name]) else pa.string()
    return pa.field(name, kind, nullable=name not in NEVER_NULL)


def _castable(table: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """Cells of string columns as text, so that a mixed column cannot stop the cast."""
    columns = {}
    for field in schema:
        values = table[field.name]
        if pa.types.is_string(field.type) and values.dtype == object:
            values = values.map(str, na_action="ignore").where(values.notna(), None)
        elif pa.types.is_floating(field.type):
            values = values.astype("float64")
        columns[field.name] = values
    return pd.DataFrame(columns, index=table.index)


def write_cohort(cohort: Cohort, out: str | Path, metadata: Mapping[str, str] | None = None) -> list[Path]:
    """Write images.parquet, eyes.parquet, participants.parquet and flow.json.

    Parameters
    ----------
    cohort : Cohort
    out : path-like
        Folder; made if needed.
    metadata : mapping of str, optional
        Provenance for the Parquet files.

    Returns
    -------
    list of Path
        The four files. Equal cohorts give equal bytes.
    """
    out = Path(out)
    paths = []
    for name in ("images", "eyes", "participants"):
        table = getattr(cohort, name)
        schema = table_schema(table)
        paths.append(out / f"{name}.parquet")
        write_table(_castable(table, schema), paths[-1], schema, metadata)
    paths.append(out / "flow.json")
    write_bytes(json.dumps(cohort.flow, indent=2, ensure_ascii=False) + "\n", paths[-1])
    return paths
