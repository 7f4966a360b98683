"""Tables of other programs in our layout, as far as they mean the same; see ``peers`` for what that is."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from retsam.biomarkers.biomarker import FINDINGS
from retsam.biomarkers.peers import ID_COLUMNS, NOT_MICROMETRES, PEERS, UNKNOWN, WITHOUT_SCALE, PeerColumn, find
from retsam.biomarkers.registry import REGISTRY
from retsam.datasets.files import RASTER
from retsam.errors import UserError
from retsam.status import Status

log = logging.getLogger(__name__)

JSON_NAME = "quantitative_analysis.json"
_JSON_ID = ID_COLUMNS["retsam-json"][0]


@dataclass(frozen=True)
class Imported:
    """What came of a peer's file.

    Attributes
    ----------
    table : DataFrame
        ``image_id``, ``status``, then NAME and NAME__status of each biomarker taken: NaN and ``not_assessed`` where the
        peer has no value. ``status`` is ok where the image has any.
    taken : DataFrame
        Columns ``column``, ``ours``, ``conversion``, ``note``.
    refused : DataFrame
        Columns ``column``, ``reason``; in the order of the file.
    """

    table: pd.DataFrame
    taken: pd.DataFrame
    refused: pd.DataFrame


def import_table(
    peer: str, path: str | Path, *, um_per_px: float | None = None, id_column: str | None = None
) -> Imported:
    """Read a peer's file and keep what means the same as one of our biomarkers.

    Parameters
    ----------
    peer : str
        Key of ``peers.PEERS``.
    path : path-like
        CSV, Parquet or JSON; for ``retsam-json`` also a folder: each ``quantitative_analysis.json`` below it is read.
    um_per_px : float, optional
        Micrometres per unit of the peer's lengths: of the pixels of the picture that it measured, or 1 where the file
        is in micrometres already. Without it lengths are refused.
    id_column : str, optional
        Column that names the photograph, where it is none of ``peers.ID_COLUMNS``.

    Returns
    -------
    Imported
        Image ids are the peer's names without the extension of an image file. A negative number is missing, and so is
        a 0 of anything but a finding; an image without any number but 0 has none. Of several JSON files one that cannot
        be used is said in the log and has no numbers either; its folder names the image.

    Raises
    ------
    UserError
        If there is no such peer or file, it is no table of this peer, or it names an image twice or not at all.
    """
    if peer not in PEERS:
        raise UserError(f"no peer {peer!r}; known are {', '.join(PEERS)}.")
    path = Path(path)
    source = _read_json(path) if peer == "retsam-json" else _read_table(path, id_column)
    key = _id_column(source, peer, path, id_column)
    entries = {column: find(peer, column) for column in map(str, source.columns) if column != key}
    if not any(entries.values()):
        raise UserError(f"{path.name} has no column of {peer}; expected is {PEERS[peer]}.")
    taken, refused = _sorted_out(entries, source, um_per_px)
    values = {str(e.ours): _values(source, column, e, um_per_px) for column, e in taken.items()}
    return Imported(
        _table(_image_ids(source[key], path), values),
        pd.DataFrame([(c, e.ours, e.how, e.note) for c, e in taken.items()], columns=_TAKEN),
        pd.DataFrame(refused, columns=["column", "reason"]),
    )


_TAKEN = ["column", "ours", "conversion", "note"]


def _read_json(path: Path) -> pd.DataFrame:
    """One row for each file, its leaves as columns."""
    files = sorted(path.rglob(JSON_NAME)) if path.is_dir() else [path]
    if not files:
        raise UserError(f"no {JSON_NAME} below {path}; give the folder that RetSAM wrote, or one such file.")
    rows = []
    for file in files:
        row: dict[str, Any] = {}
        try:
            row = _analysis(file)
        except UserError as error:
            if len(files) == 1:
                raise
            log.warning("%s", error)
        rows.append(row | {_JSON_ID: row.get(_JSON_ID) or file.parent.name})
    return pd.DataFrame(rows)


def _analysis(file: Path) -> dict[str, Any]:
    """Leaves of one file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{_short(file)} cannot be read as JSON; make it again or take it away.") from error
    if not isinstance(content, dict) or "measurements" not in content:
        raise UserError(f"{_short(file)} has no 'measurements'; give a {JSON_NAME} of RetSAM.")
    return dict(_leaves(content))


def _short(file: Path) -> str:
    """Name with its folder, as all such files have one name."""
    return f"{file.parent.name}/{file.name}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths with dots and values of what is no list or mapping."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _read_table(path: Path, id_column: str | None) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"no file {path}; give the table that the program wrote.")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
            return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
        names = [name for known in ID_COLUMNS.values() for name in known] + [id_column or ""]
        return pd.read_csv(path, dtype=dict.fromkeys(names, str))
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path.name} is no table ({reason}); give it as the program wrote it.") from error


def _id_column(source: pd.DataFrame, peer: str, path: Path, given: str | None) -> str:
    names = (given,) if given else ID_COLUMNS[peer]
    found = next((name for name in names if name in source), None)
    if found is None:
        raise UserError(f"{path.name} has no column {names[0]!r} with the photographs' names; name it with --id.")
    return found


def _image_ids(names: pd.Series, path: Path) -> list[str]:
    if names.isna().any():
        raise UserError(
            f"{path.name}: row {int(np.argmax(names.isna())) + 1} names no photograph; fill in {names.name!r}."
        )
    ids = [_stem(str(name)) for name in names]
    twice = next((key for place, key in enumerate(ids) if key in ids[:place]), None) if len({*ids}) < len(ids) else None
    if twice is not None:
        raise UserError(f"{path.name} has photograph {twice!r} twice; keep one row of each.")
    return ids


def _stem(name: str) -> str:
    """File name without folder and extension of an image."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    suffix = Path(base).suffix
    return base.removesuffix(suffix) if suffix.lower() in (*RASTER, ".dcm") else base


def _sorted_out(
    entries: dict[str, PeerColumn | None], source: pd.DataFrame, um_per_px: float | None
) -> tuple[dict[str, PeerColumn], list[tuple[str, str]]]:
    """Columns to take, and those to refuse with the reason."""
    taken: dict[str, PeerColumn] = {}
    refused = []
    for column, entry in entries.items():
        reason = _refusal(column, entry, source, um_per_px)
        if entry is not None and not reason:
            before = next((c for c, e in taken.items() if e.ours == entry.ours), None)
            reason = f"{entry.ours} is taken from {before}" if before else ""
        if reason or entry is None:
            refused.append((column, reason.replace("`", "")))
        else:
            taken[column] = entry
    return taken, refused


def _refusal(column: str, entry: PeerColumn | None, source: pd.DataFrame, um_per_px: float | None) -> str:
    """Why a column is not taken; empty if it is."""
    if entry is None:
        return UNKNOWN
    if entry.ours is None:
        return entry.note
    if entry.conversion == "length" and um_per_px is None:
        return WITHOUT_SCALE
    if entry.conversion == "um" and um_per_px != 1:
        return NOT_MICROMETRES
    if entry.over and entry.over not in source:
        return f"needs {entry.over}, which the file does not have"
    if source[column].notna().any() and pd.to_numeric(source[column], errors="coerce").isna().all():
        return "holds no numbers"
    return ""


def _numbers(column: pd.Series) -> pd.Series:
    """Numbers above or at 0; NaN for all else."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    return numbers.where(np.isfinite(numbers) & (numbers >= 0))


def _values(source: pd.DataFrame, column: str, entry: PeerColumn, um_per_px: float | None) -> pd.Series:
    """Our values: NaN where the peer has none."""
    values = _numbers(source[column])
    if not set(REGISTRY[str(entry.ours)].requires) <= FINDINGS:
        values = values.where(values > 0)
    if entry.over:
        divisor = _numbers(source[entry.over])
        values = values / divisor.where(divisor > 0)
    return values * um_per_px if entry.conversion == "length" and um_per_px else values


def _table(image_ids: list[str], values: dict[str, pd.Series]) -> pd.DataFrame:
    """Our layout; columns in the order of the registry."""
    numbers = pd.DataFrame({name: values[name].to_numpy() for name in REGISTRY if name in values}, index=image_ids)
    numbers = numbers.where((numbers > 0).any(axis=1), np.nan)  # nothing but zeros is a failed analysis
    some = numbers.notna().any(axis=1)
    columns: dict[str, Any] = {"image_id": image_ids, "status": np.where(some, Status.OK, Status.NOT_ASSESSED)}
    for name in map(str, numbers):
        columns[name] = numbers[name].to_numpy()
        columns[f"{name}__status"] = np.where(numbers[name].notna(), Status.OK, Status.NOT_ASSESSED)
    return pd.DataFrame(columns)
