"""Every format, read and written: the table of docs/how-to/data.md says what comes back equal."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from benchmarks.row_generator import generate_rows

from tacos.formats import reading, writing
from tacos.formats.detection import COMPRESSED, SUFFIXES

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
N_ROWS = 300
Row = dict[str, Any]

TEXTS: list[Row] = [
    {"instruction": 'a, "b"\n\tc', "output": " é 漢 \U0001f600 "},
    {"instruction": "", "output": "null"},
    {"instruction": "0012", "output": "x\r\ny; z"},
]
VALUES: list[Row] = [
    {
        "n": 2**60,
        "x": 0.1,
        "ok": True,
        "messages": [{"role": "user", "content": "a"}],
        "nested": {"tags": ["b"]},
    },
    {"n": None, "x": -2.25, "ok": None, "messages": [], "nested": {"tags": None}},
]
TYPES: list[Row] = [
    {"day": date(2024, 2, 29), "price": Decimal("1.50"), "bytes": b"\xff\x00"}
]
COLUMNS = {"Texts": TEXTS, "Numbers, null, nested": VALUES, "Dates, bytes": TYPES}


def list_documented() -> Iterator[tuple[str, dict[str, str]]]:
    """Suffix and cells of each row of the table."""
    page = (ROOT / "docs" / "how-to" / "data.md").read_text("utf-8")
    table = page.partition("| Format |")[2].partition("\n\n")[0]
    header, _, *lines = table.splitlines()
    names = [name.strip() for name in header.split("|")]
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
        row = dict(zip(names, cells, strict=False))
        for suffix in row["Suffixes"].split(", "):
            yield suffix.strip("`"), row


def come_back(rows: list[Row], path: Path) -> bool:
    """Whether rows that are written are read again as they were."""
    writing.write_rows(rows, path)
    found = [row for batch in reading.read_rows(path) for _, row in batch.rows]
    return found == rows


def test_the_table_says_what_comes_back(tmp_path: Path) -> None:
    documented = dict(list_documented())
    assert set(documented) == set(SUFFIXES)
    for suffix, row in documented.items():
        for column, rows in COLUMNS.items():
            path = tmp_path / f"rows{suffix}"
            expected = "equal" if come_back(rows, path) else "as text"
            assert row[column] == expected, (suffix, column)


@pytest.mark.parametrize("packing", COMPRESSED)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".arrow"])
def test_generated_rows_come_back_from_compressed_files(
    suffix: str, packing: str, tmp_path: Path
) -> None:
    rows = [generated.row for generated in generate_rows(N_ROWS)]
    assert come_back(rows, tmp_path / f"rows{suffix}{packing}")


@pytest.mark.data
@pytest.mark.parametrize("folder", ["corpora", "published_selections"])
def test_rows_of_real_files_come_back(folder: str, tmp_path: Path) -> None:
    """In each format that has all of their values."""
    files = sorted((DATA / folder).glob("*.json*"))
    if not files:
        pytest.skip("no data")
    for file in files:
        batches = reading.read_rows(file, N_ROWS)
        rows = [row for batch in islice(batches, 1) for _, row in batch.rows]
        is_flat = all(isinstance(value, str) for row in rows for value in row.values())
        for suffix in SUFFIXES:
            holds_values = suffix not in (".csv", ".tsv")
            if is_flat or holds_values:
                assert come_back(rows, tmp_path / f"rows{suffix}"), (file, suffix)
