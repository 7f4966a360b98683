"""Places of optic disc and fovea in tables."""

import logging
from pathlib import Path

import pandas as pd

from retsam.datasets.files import Finder
from retsam.errors import UserError

log = logging.getLogger(__name__)

Points = dict[str, tuple[float, float]]


def read_centres(path: Path) -> Points:
    """Rows image, x, y of a markup table; IDRiD's official files end in hundreds of empty rows and columns.

    Raises
    ------
    UserError
        If a coordinate is not a number.
    """
    if not path.is_file():  # already recorded as missing
        return {}
    return _points(path, pd.read_csv(path, dtype=str, encoding="utf-8-sig").iloc[:, :3])


def read_foveas(files: Finder, folder: tuple[str, ...]) -> Points:
    """Foveas by stem of the photograph, from the one CSV table of a folder whose name speaks of the fovea.

    Challenges give them as ``.xlsx``, which is not read here: export it to CSV beside it. Without one there are no
    points, and a line in the log says so.

    Parameters
    ----------
    files : Finder
    folder : tuple of str

    Returns
    -------
    mapping of str to (x, y)
        Keys in lower case, numbers padded to four digits; rows at (0, 0) mean that no fovea is visible, and are left
        out.

    Raises
    ------
    UserError
        If a column is missing or a coordinate is not a number.
    """
    path = files.optional_table(folder, "fovea")
    if path is None:
        sheet = files.optional_table(folder, "fovea", ".xlsx")
        if sheet is not None:
            log.info("%s: foveas are left out; export %s to CSV beside it to have them", files.name, sheet.name)
        return {}
    table = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    columns = {str(name).strip().casefold().replace(" ", "_"): name for name in table.columns}
    names = [columns[key] for key in ("imgname", "image", "filename", "data") if key in columns][:1]
    wanted = [*names, *(columns[key] for key in ("fovea_x", "fovea_y") if key in columns)]
    if len(wanted) != 3:
        raise UserError(f"{path.name} needs the columns ImgName, Fovea_X and Fovea_Y; it has {', '.join(columns)}.")
    return {_key(name): xy for name, xy in _points(path, table[wanted]).items() if xy != (0, 0)}


def _key(name: str) -> str:
    stem = name.rsplit(".", 1)[0].casefold()
    return stem.zfill(4) if stem.isdigit() else stem


def _points(path: Path, table: pd.DataFrame) -> Points:
    """Columns name, x, y."""
    table = table.dropna(how="any")
    numbers = table.iloc[:, 1:].apply(pd.to_numeric, errors="coerce")
    for row in table.index[numbers.isna().any(axis=1)]:
        raise UserError(f"{path.name}, row {row + 2}: the coordinates of {table.iloc[:, 0][row]!r} are not numbers.")
    return {
        name.strip(): (float(x), float(y))
        for name, x, y in zip(table.iloc[:, 0], numbers.iloc[:, 0], numbers.iloc[:, 1], strict=True)
    }
