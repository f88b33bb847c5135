"""The table of formats in the documentation is what writing and reading gives, also for real data."""

from itertools import islice
from pathlib import Path

import pytest
from tests.docs.formats_table import FORMATS, PAGE, insert_table, make_table
from tests.fuzz.checks import read_file

from tacos.formats import reading, writing

N_REAL = 200
FOLDERS = ("corpora", "published_selections")


def test_the_table_of_formats_is_current() -> None:
    page = PAGE.read_text("utf-8")
    table = make_table()
    assert insert_table(page, table) == page, "run python -m tests.docs.formats_table"
    assert "differs" not in table
    assert "refused" not in table


@pytest.mark.data
@pytest.mark.parametrize("suffix", [*FORMATS, ".jsonl.zst", ".parquet.xz"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_rows_say_the_same_in_every_format(
    shared_data: Path, tmp_path: Path, folder: str, suffix: str
) -> None:
    for file in sorted((shared_data / folder).iterdir()):
        batch = next(islice(reading.read_rows(file, N_REAL), 1))
        rows = [row for _, row in batch.rows]
        before, _ = read_file(writing.write_rows(rows, tmp_path / "a.jsonl"), {})
        path = writing.write_rows(rows, tmp_path / f"b{suffix}")
        after, _ = read_file(path, {})
        assert before, file
        for number, row in before.items():
            assert after[number]["turns"] == row["turns"], (file, number)
        assert after.keys() == before.keys(), file
