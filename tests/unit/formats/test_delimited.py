"""CSV and TSV: a byte order mark is none of a cell's only where a file begins."""

from pathlib import Path

import pytest

from tacos.formats import reading, writing

MARK = "\ufeff"


def read(path: Path) -> tuple[list[dict], list[str]]:
    """The rows of a file, and why others were refused."""
    (batch,) = reading.read_rows(path)
    return [row for _, row in batch.rows], [reject.reason for reject in batch.rejects]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_mark_in_a_cell_stays_there(tmp_path: Path, suffix: str) -> None:
    """It was cut from the first cell of a row, and from every line of a cell of several lines."""
    rows = [
        {"question": f"{MARK}Name three birds.", "answer": f"Wren,\n{MARK}rook, crow."},
        {"question": MARK, "answer": f"{MARK}{MARK}"},
    ]
    path = tmp_path / f"rows{suffix}"
    writing.write_rows(rows, path)
    assert read(path) == (rows, [])


@pytest.mark.parametrize("header", ["question,answer", '"question","answer"'])
def test_the_headers_of_joined_files_may_have_marks(
    tmp_path: Path, header: str
) -> None:
    """`cat a.csv b.csv`, both as Excel writes them."""
    path = tmp_path / "rows.csv"
    path.write_text(f"{MARK}{header}\nq1,a1\n{MARK}{header}\nq2,a2\n", "utf-8")
    rows = [{"question": f"q{i}", "answer": f"a{i}"} for i in (1, 2)]
    assert read(path) == (rows, ["the header again"])
