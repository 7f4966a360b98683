"""The manifest: the user's table of images, read leniently row by row and strictly as a table.

A bad *table* (no file, no rows, no ``image_id`` or ``path`` column) is a :class:`ManifestError` that lists every
problem at once. A bad *row* never stops anything: it keeps its place, gets a status, and is named among the problems.
"""

import csv
import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from retsam.errors import UserError
from retsam.status import Status

REQUIRED = ("image_id", "path")
OPTIONAL = ("participant_id", "eye", "age", "sex", "visit", "camera", "site", "um_per_px")
OUTCOMES = ("dr", "amd", "glaucoma", "myopia")
"""Columns taken as outcomes when the configuration names none."""

ALIASES = {
    "image_id": ("image", "id", "imageid", "image_name", "filename_id"),
    "path": ("file", "filename", "filepath", "file_path", "image_path"),
    "participant_id": ("patient_id", "patient", "subject", "subject_id", "participant", "eid", "person_id"),
    "eye": ("laterality", "side"),
    "um_per_px": ("resolution", "res", "pixel_size", "scale"),
}
EYES = {"od": "OD", "os": "OS", "r": "OD", "l": "OS", "right": "OD", "left": "OS", "re": "OD", "le": "OS"}
SEXES = {"f": "f", "female": "f", "woman": "f", "m": "m", "male": "m", "man": "m"}
UNKNOWN = {"", "na", "n/a", "nan", "none", "null", "unknown", "?", "."}

AGE_RANGE = (0.0, 120.0)
SCALE_RANGE = (0.5, 100.0)  # um per pixel: from 20,000 px photographs to 256 px thumbnails


class ManifestError(UserError):
    """The table as a whole cannot be used; the message lists every problem, one a line."""


@dataclass(frozen=True)
class Problem:
    """Something in the manifest that its owner should know.

    Attributes
    ----------
    row : int
        Data row, 1 is the first after the header; 0 for the table.
    column : str
    message : str
        One sentence with the fix.
    """

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        where = f"row {self.row}, " if self.row else ""
        return f"{where}column {self.column}: {self.message}"


@dataclass(frozen=True)
class Manifest:
    """A manifest in normal form.

    Attributes
    ----------
    images : DataFrame
        One row per manifest row, in its order: manifest_row (int, from 1), image_id (unique), participant_id, eye
        (OD, OS or None), visit, camera, site, age (years), sex (f, m or None), um_per_px (micrometres), path
        (relative to ``root`` where possible), file_bytes (-1: no such file), status, message; then the user's other
        columns, outcomes as 0.0, 1.0 or NaN.
    root : Path
        Folder that relative paths start from.
    outcomes : tuple of str
        Outcome columns.
    problems : tuple of Problem
    """

    images: pd.DataFrame
    root: Path
    outcomes: tuple[str, ...]
    problems: tuple[Problem, ...]


def header(path: Path) -> list[str]:
    """Column names of a manifest without reading its rows.

    Raises
    ------
    ManifestError
        If the file is missing, a folder, empty or of an unknown type.
    """
    _check_file(path)
    if path.suffix.lower() in {".parquet", ".pq"}:
        try:
            return list(pq.read_schema(path).names)
        except OSError as error:
            raise ManifestError(f"{path.name}: not a readable Parquet file ({error}); export it again.") from error
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as handle:
        first = next(csv.reader(handle, delimiter=_delimiter(path)), [])
    return [name.strip() for name in first]


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ManifestError(f"{path.name} is a folder; give the table itself (CSV, TSV or Parquet).")
    if not path.is_file():
        raise ManifestError(f"no manifest at {path}; give a CSV, TSV or Parquet table with columns image_id and path.")
    if path.stat().st_size == 0:
        raise ManifestError(
            f"{path.name} is empty; it needs a header line with at least image_id and path, and one row per image."
        )


def _delimiter(path: Path) -> str:
    if path.suffix.lower() in {".tsv", ".tab"}:
        return "\t"
    with path.open(encoding="utf-8-sig", errors="replace") as handle:
        first = handle.readline()
    return max(",;\t", key=first.count)


def _read(path: Path) -> pd.DataFrame:
    """All columns as stripped text (None where empty), column names stripped."""
    names = header(path)
    if path.suffix.lower() in {".parquet", ".pq"}:
        table = pd.read_parquet(path)
    else:
        try:
            table = pd.read_csv(
                path, sep=_delimiter(path), dtype=str, keep_default_na=False, skip_blank_lines=True,
                encoding="utf-8-sig", encoding_errors="replace", index_col=False,
            )  # fmt: skip
        except pd.errors.ParserError as error:
            raise ManifestError(f"{path.name}: {str(error).strip()}; quote cells that hold the separator.") from error
    table.columns = pd.Index(names)
    return pd.DataFrame({name: _text(table[name]) for name in dict.fromkeys(names)}, dtype=object)


def _text(values: pd.Series | pd.DataFrame) -> pd.Series:
    column = values.iloc[:, 0] if isinstance(values, pd.DataFrame) else values  # doubled headers are refused later
    if pd.api.types.is_float_dtype(column):  # 1.0 read from Parquet is the label 1
        column = column.map(lambda v: None if pd.isna(v) else f"{v:.17g}")
    elif isinstance(column.dtype, pd.BooleanDtype) or column.dtype == bool:
        column = column.map({True: "1", False: "0"})
    text = column.astype(object).where(column.notna(), None)
    return text.map(lambda v: None if v is None else (str(v).strip() or None))


def _nearest(wanted: str, present: Iterable[str]) -> str | None:
    lower = {name.lower(): name for name in present}
    for alias in ALIASES.get(wanted, ()):
        if alias in lower:
            return lower[alias]
    close = difflib.get_close_matches(wanted, list(lower), n=1, cutoff=0.6)
    return lower[close[0]] if close else None


def _table_problems(table: pd.DataFrame, names: list[str], path: Path, needed: Iterable[str]) -> list[str]:
    problems = []
    for name in sorted({n for n in names if names.count(n) > 1}):
        problems.append(f"{path.name}: column {name!r} appears {names.count(name)} times; keep one.")
    for name in needed:
        if name not in names:
            near = _nearest(name, set(names) - set(needed))
            hint = (
                f"rename column {near!r} to {name!r}"
                if near
                else f"add a column {name!r}; present are {', '.join(names) or 'none'}"
            )
            problems.append(f"{path.name}: no column {name!r}; {hint}.")
    if not problems and table.empty:
        problems.append(f"{path.name} has a header but no rows; add one row per image.")
    return problems


def read_manifest(
    path: str | Path, *, outcomes: Iterable[str] | None = None, numeric: Iterable[str] = (), check_files: bool = True
) -> Manifest:
    """Read, check and normalise a manifest.

    Parameters
    ----------
    path : path-like
        CSV (comma or semicolon), TSV or Parquet.
    outcomes : iterable of str, optional
        Outcome columns, coded 0/1 (or no/yes), empty = unknown. Default: those of ``OUTCOMES`` that the manifest has.
    numeric : iterable of str
        Further columns that must be there and be numbers where they can (covariates such as bmi); age and sex are
        always handled.
    check_files : bool
        Look at each file's existence and size.

    Returns
    -------
    Manifest

    Raises
    ------
    ManifestError
        If the table cannot be used; the message lists all its problems, one a line.
    """
    path = Path(path)
    names = header(path)
    table = _read(path)
    chosen = tuple(name for name in OUTCOMES if name in names) if outcomes is None else tuple(outcomes)
    declared = [name for name in numeric if name not in ("age", "sex")]
    errors = _table_problems(table, names, path, (*REQUIRED, *chosen, *declared))
    if errors:
        raise ManifestError("\n".join(errors))

    problems: list[Problem] = []
    _hint_optional(names, problems)
    images = pd.DataFrame({"manifest_row": np.arange(1, len(table) + 1)})
    _identify(table, images, problems)
    images["participant_id"] = _column(table, "participant_id").where(lambda s: s.notna(), images["image_id"])
    images["eye"] = _coded(table, "eye", EYES, "use OD, OS, R, L, right or left", problems)
    for name in ("visit", "camera", "site"):
        images[name] = _column(table, name)
    images["age"] = _number(table, "age", AGE_RANGE, "years", problems)
    images["sex"] = _coded(table, "sex", SEXES, "use f, m, female or male", problems)
    images["um_per_px"] = _number(table, "um_per_px", SCALE_RANGE, "micrometres per pixel", problems)
    root = path.resolve().parent
    images["path"] = _column(table, "path").map(lambda p: _relative(p, root), na_action="ignore")
    images["file_bytes"] = _sizes(images["path"], root) if check_files else 0
    _row_status(images, problems)
    extra = {name: table[name] for name in dict.fromkeys(names) if name not in {*REQUIRED, *OPTIONAL}}
    extra |= {name: _label(table[name], name, problems) for name in chosen}
    extra |= {name: _maybe_number(table[name]) for name in extra if name not in chosen}
    images = pd.concat([images, pd.DataFrame(extra, index=images.index)], axis=1)
    problems.sort(key=lambda p: (p.row, p.column))
    return Manifest(images, root, chosen, tuple(problems))


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name] if name in table else pd.Series([None] * len(table), dtype=object, index=table.index)


def _hint_optional(names: list[str], problems: list[Problem]) -> None:
    for wanted in OPTIONAL:
        aliases = [n for n in names if n.lower() in ALIASES.get(wanted, ()) or n.lower() == wanted]
        if wanted not in names and aliases:
            problems.append(
                Problem(
                    0, aliases[0], f"looks like {wanted!r} and is not used as such; rename it to {wanted!r} if it is."
                )
            )


def _identify(table: pd.DataFrame, images: pd.DataFrame, problems: list[Problem]) -> None:
    """Unique image_id per row: an empty one is named after its row, a repeated one gets ``~2``, ``~3``..."""
    ids = table["image_id"]
    missing = ids.isna()
    for row in images.loc[missing, "manifest_row"]:
        problems.append(Problem(int(row), "image_id", "is empty; give each image its own id."))
    ids = ids.where(~missing, "row_" + images["manifest_row"].astype(str))
    repeat = ids.groupby(ids).cumcount()
    first_row = images["manifest_row"].groupby(ids).transform("first")
    for index in images.index[repeat > 0]:
        message = (
            f"{ids[index]!r} is already the id of row {first_row[index]}; give each image its own id (row left out)."
        )
        problems.append(Problem(int(images["manifest_row"][index]), "image_id", message))
    unique = ids.where(repeat == 0, ids + "~" + (repeat + 1).astype(str))
    taken = unique.duplicated()  # a user's own "x~2" may collide with ours
    images["image_id"] = unique.where(~taken, unique + "~row" + images["manifest_row"].astype(str))
    images["status"] = np.where(missing, Status.BAD_ROW, np.where(repeat > 0, Status.DUPLICATE_ID, Status.OK))


def _row_status(images: pd.DataFrame, problems: list[Problem]) -> None:
    no_path = images["path"].isna()
    for row in images.loc[no_path, "manifest_row"]:
        problems.append(
            Problem(int(row), "path", "is empty; give the image file, relative to the manifest or absolute.")
        )
    images.loc[no_path & (images["status"] == Status.OK), "status"] = Status.BAD_ROW
    gone = ~no_path & (images["file_bytes"] < 0)
    for row, path in images.loc[gone, ["manifest_row", "path"]].itertuples(index=False):
        problems.append(
            Problem(
                int(row),
                "path",
                f"no file {path!r}; correct the path (it starts at the manifest's folder) or add the file.",
            )
        )
    first = pd.Series({p.row: str(p) for p in reversed(problems) if p.row}, dtype=object)
    images["message"] = images["manifest_row"].map(first).where(images["status"] != Status.OK, None)


def _relative(path: str, root: Path) -> str:
    """Path as seen from the manifest's folder; no absolute path goes into a table where that can be helped."""
    text = path.replace("\\", "/") if os.sep == "/" and "\\" in path and not (root / path).exists() else path
    if not Path(text).is_absolute():
        return text
    return os.path.relpath(text, root)


def _sizes(paths: pd.Series, root: Path) -> pd.Series:
    def size(path: object) -> int:
        try:
            return (root / str(path)).stat().st_size if isinstance(path, str) else -1
        except (OSError, ValueError):  # ValueError: a NUL byte in the name
            return -1

    return paths.map(size).astype("int64")


def _coded(table: pd.DataFrame, name: str, codes: dict[str, str], fix: str, problems: list[Problem]) -> pd.Series:
    text = _column(table, name)
    lower = text.map(str.lower, na_action="ignore")
    out = lower.map(codes).astype(object)
    wrong = lower.notna() & ~lower.isin(UNKNOWN) & out.isna()
    for index in table.index[wrong]:
        problems.append(
            Problem(int(index) + 1, name, f"{text[index]!r} is not known; {fix}. It is treated as missing.")
        )
    return out.where(out.notna(), None)


def _number(
    table: pd.DataFrame, name: str, limits: tuple[float, float], unit: str, problems: list[Problem]
) -> pd.Series:
    text = _column(table, name)
    value = pd.to_numeric(text, errors="coerce").astype(float)
    known = text.notna() & ~text.map(str.lower, na_action="ignore").isin(UNKNOWN)
    wrong = known & ~value.between(*limits)
    for index in table.index[wrong]:
        span = f"between {limits[0]:g} and {limits[1]:g}"
        message = f"{text[index]!r} is not a number of {unit} {span}; it is treated as missing."
        problems.append(Problem(int(index) + 1, name, message))
    return value.where(~wrong)


def _label(text: pd.Series, name: str, problems: list[Problem]) -> pd.Series:
    words = {"0": 0.0, "1": 1.0, "no": 0.0, "yes": 1.0, "false": 0.0, "true": 1.0, "n": 0.0, "y": 1.0}
    lower = text.map(str.lower, na_action="ignore")
    number = pd.to_numeric(lower, errors="coerce")
    out = lower.map(words).where(~number.isin([0.0, 1.0]), number).astype(float)
    wrong = lower.notna() & ~lower.isin(UNKNOWN) & out.isna()
    for index in text.index[wrong]:
        message = f"{text[index]!r} is not 0 or 1 (empty = unknown); it is treated as unknown."
        problems.append(Problem(int(index) + 1, name, message))
    return out


def _maybe_number(text: pd.Series) -> pd.Series:
    """A column of numbers as floats, any other as text."""
    cleaned = text.where(~text.map(str.lower, na_action="ignore").isin(UNKNOWN), None)
    number = pd.to_numeric(cleaned, errors="coerce")
    return number.astype(float) if (number.notna() == cleaned.notna()).all() and cleaned.notna().any() else text
