"""The table of formats and layouts in docs/how-to/data.md, made by writing and reading rows.

    python -m tests.docs.formats_table        (writes it anew)

Rows of each layout of the fuzzer are written in each format, read, and compared: the turns that are
read, and every field.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.checks import read_file
from tests.fuzz.rows import LAYOUTS, Layout, Talk, make_talk

from tacos.errors import TacosError
from tacos.formats import reading, writing

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "data.md"
BEGIN = "<!-- made by python -m tests.docs.formats_table -->\n"
END = "<!-- end -->\n"
FORMATS = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow")
PACKED = ("", ".gz", ".zst", ".bz2", ".xz")
N_ROWS = 6


def make_table() -> str:
    """The table in Markdown."""
    header = " | ".join(f"`{suffix}`" for suffix in FORMATS)
    lines = [f"| Layout | {header} |", "|---" * (len(FORMATS) + 1) + "|"]
    for name, layout in LAYOUTS.items():
        cells = " | ".join(describe_round_trip(layout, suffix) for suffix in FORMATS)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def describe_round_trip(layout: Layout, suffix: str) -> str:
    """What becomes of rows of a layout in a format, however it is compressed."""
    random = Random(1)
    talks = [make_talk(random, layout, number) for number in range(N_ROWS)]
    rows = [layout.write(talk) for talk in talks]
    found = {
        compare_rows(rows, talks, suffix + packed, dict(layout.settings))
        for packed in PACKED
    }
    return " or ".join(sorted(found))


def compare_rows(
    rows: Sequence[Any],
    talks: Sequence[Talk],
    suffix: str,
    settings: dict[str, str],
) -> str:
    """What becomes of rows in a file of this suffix."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        objects = [{"messages": row} if isinstance(row, list) else row for row in rows]
        try:
            writing.write_rows(objects, path)
            kept, rejects = read_file(path, settings)
        except TacosError:
            return "refused"
        read = [row for batch in reading.read_rows(path) for _, row in batch.rows]
    turns = [
        [(turn["role"], turn["text"]) for turn in kept[number]["turns"]]
        for number in sorted(kept)
    ]
    if rejects or turns != [talk.list_turns() for talk in talks]:
        return "**differs**"
    if read == objects:
        return "equal"
    if _drop_nulls(read) == _drop_nulls(objects):
        return "nulls"
    return "JSON" if _decode(read) == _decode(objects) else "**differs**"


def _drop_nulls(value: Any) -> Any:
    """A value without fields that are null."""
    if isinstance(value, dict):
        return {
            name: _drop_nulls(inner)
            for name, inner in value.items()
            if inner is not None
        }
    return [*map(_drop_nulls, value)] if isinstance(value, list) else value


def _decode(rows: Sequence[Any]) -> Any:
    """Rows with what is nested, and numbers, as the JSON of a cell."""
    return [
        {
            name: value
            if isinstance(value, str)
            else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            for name, value in row.items()
        }
        for row in rows
    ]


def insert_table(page: str, table: str) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(insert_table(PAGE.read_text("utf-8"), make_table()), "utf-8")
