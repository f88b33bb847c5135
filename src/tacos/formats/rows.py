"""The rows that every format is read into and written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tacos.records import OriginalRows, Reject

MAX_RAW = 2_000
"""Characters of a rejected row that are kept."""

Row = dict[str, Any]


class MalformedRow(NamedTuple):
    """A row that cannot be read: its line (from 1; 0 where there are no lines), the problem and the
    row's text.
    """

    line: int
    problem: str
    text: str


Item = Row | MalformedRow
"""What reading a format gives."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Consecutive rows of one file: `rows` are (number from 0, row); the numbers missing there are
    in `rejects`.
    """

    file: str
    first_row: int
    rows: list[tuple[int, Row]]
    rejects: list[Reject]
    original: OriginalRows | None = None
    """The rows with their types, where the file has any."""


RawRow = bytes | str | Mapping[str, Any]
"""What writing a format takes: the JSON text of a row, or a mapping."""


def list_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every field of any row, in order of first appearance."""
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(row))
    return list(columns)
