"""JSON Lines: one object per line; blank lines are no rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tacos.errors import InputError
from tacos.formats import json_rows
from tacos.formats.json_rows import RowText
from tacos.formats.rows import Item, RawRow


def read_json_lines(chunks: Iterable[bytes], name: str) -> Iterator[Item]:
    """Rows of a JSON Lines file. Raises `InputError` for a line longer than `json_rows.MAX_ROW`."""
    return map(json_rows.parse_json_row, split_lines(chunks, name))


def encode_json_lines(rows: Iterable[RawRow]) -> Iterator[bytes]:
    """One line per row."""
    for row in rows:
        yield json_rows.encode_json_row(row) + b"\n"


def split_lines(chunks: Iterable[bytes], name: str) -> Iterator[RowText]:
    """One piece per line that is not blank."""
    line = 1
    rest = b""
    for chunk in chunks:
        rest += chunk
        # The last line may go on in the next chunk.
        *complete_lines, rest = rest.split(b"\n")
        for text in complete_lines:
            stripped = text.strip()
            if stripped:
                yield RowText(line, stripped)
            line += 1
        if len(rest) > json_rows.MAX_ROW:
            raise InputError(
                f"{name}: line {line} is longer than {json_rows.MAX_ROW >> 20} MiB; "
                "give one row per line, or a JSON array in a .json file"
            )
    last = rest.strip()
    if last:
        yield RowText(line, last)
