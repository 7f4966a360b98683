"""Long tables in parts that can be folded away, one a group of rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from retsam.report.tables import DisplayTable, Row, count

MOST_OPEN = 150
"""Rows up to which every part is open when the page is."""


@dataclass(frozen=True)
class Fold:
    """One part: its name, what it holds in a few words, and its rows."""

    name: str
    contents: str
    table: DisplayTable


@dataclass(frozen=True)
class FoldedTable:
    """A table and its parts; without groups of rows there is no part."""

    table: DisplayTable
    folds: tuple[Fold, ...]
    open: bool


def fold(table: DisplayTable, strong: str = "") -> FoldedTable:
    """Cut a table at its group rows.

    Parameters
    ----------
    table : DisplayTable
        Its group rows name the rows that follow.
    strong : str
        What a strong row is, for the line that is seen of a folded part; empty leaves their number out.

    Returns
    -------
    FoldedTable
        Open where the table has at most :data:`MOST_OPEN` rows.
    """
    parts = tuple(
        Fold(
            name,
            _contents(rows, strong),
            replace(
                table, key=f"{table.key}-{i}", caption=f"{table.caption.rstrip('.')}: {name}.", rows=rows, notes=()
            ),
        )
        for i, (name, rows) in enumerate(_groups(table), start=1)
    )
    return FoldedTable(table, parts, sum(not row.group for row in table.rows) <= MOST_OPEN)


def _groups(table: DisplayTable) -> Iterator[tuple[str, tuple[Row, ...]]]:
    starts = [i for i, row in enumerate(table.rows) if row.group]
    for start, end in zip(starts, [*starts[1:], len(table.rows)], strict=True):
        yield table.rows[start].cells[0], table.rows[start + 1 : end]


def _contents(rows: tuple[Row, ...], strong: str) -> str:
    """Number of biomarkers, and of those that have a strong row."""
    starts = [i for i, row in enumerate(rows) if row.span]
    blocks = [rows[a:b] for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]
    found = sum(any(row.strong for row in block) for block in blocks)
    return count(len(blocks), "biomarker") + f", {found} {strong}" * bool(strong)
