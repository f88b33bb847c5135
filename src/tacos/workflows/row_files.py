"""Rows of the page as files: JSON lines, and CSV that no spreadsheet executes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from tacos.visible_text import escape_formula

COLUMNS = (
    "id",
    "source",
    "state",
    "reason",
    "rank",
    "score",
    "value",
    "correctness",
    "length",
    "cluster",
    "topic",
    "tags",
    "faults",
    "instruction",
    "response",
)
DIGITS = 4
SEPARATOR = "; "
"""Between the tags of a CSV cell."""


def write_jsonl(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """A line for each row."""
    for row in rows:
        ordered = {name: _round(row[name]) for name in COLUMNS}
        yield orjson.dumps(ordered, option=orjson.OPT_APPEND_NEWLINE)


def write_csv(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """A header, and a line for each row. A cell that a spreadsheet would take for a formula begins
    with an apostrophe.
    """
    yield _write_line(COLUMNS)
    for row in rows:
        yield _write_line([_write_cell(row[name]) for name in COLUMNS])


def _write_line(cells: Iterable[Any]) -> bytes:
    """One line of CSV."""
    line = io.StringIO()
    # With "\n" as its line end the writer leaves a bare "\r" unquoted, which ends a row, too.
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _write_cell(value: Any) -> Any:
    """A value as a cell; numbers stay numbers."""
    if isinstance(value, list):
        value = SEPARATOR.join(map(str, value))
    return escape_formula(value) if isinstance(value, str) else _round(value)


def _round(value: Any) -> Any:
    """Scores without the digits that only their storage gave them."""
    return round(value, DIGITS) if isinstance(value, float) else value
