"""Files that are not quite what their names say: read, or refused in one line that names them.

Each test is a case of `../shared/cases` and its brothers.
"""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from tacos.errors import InputError
from tacos.formats.reading import read_rows
from tacos.formats.rows import RowBatch

ROWS = [
    {"instruction": f"Name {number}.", "output": f"“{number}” it is,\nas said."}
    for number in range(30)
]
BOM = b"\xef\xbb\xbf"


def read_all(path: Path | str) -> list[dict]:
    """The rows of a file without a broken one."""
    batches = list(read_rows(path, 7))
    assert not any(batch.rejects for batch in batches)
    return [row for batch in batches for _, row in batch.rows]


def read_broken(path: Path) -> RowBatch:
    (batch,) = read_rows(path)
    return batch


def list_reasons(path: Path) -> set[str]:
    return {reject.reason for reject in read_broken(path).rejects}


def lines(rows: list[dict]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def csv(rows: list[dict]) -> bytes:
    return pl.DataFrame(rows).write_csv().encode()


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_byte_order_marks_between_joined_files_are_skipped(
    tmp_path: Path, suffix: str
) -> None:
    """bom_middle: a row was lost for the false reason "not UTF-8"."""
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(BOM + lines(ROWS[:5]) + BOM + lines(ROWS[5:]))
    assert read_all(path) == ROWS
    printed = [json.dumps(row, indent=1).encode() for row in ROWS]
    path.write_bytes(BOM.join(printed))
    assert read_all(path) == ROWS


def test_joined_csv_files_keep_their_rows(tmp_path: Path) -> None:
    """bom_middle, as CSV: the second header is no row, and the mark no part of a cell."""
    path = tmp_path / "rows.csv"
    path.write_bytes(BOM + csv(ROWS[:5]) + BOM + csv(ROWS[5:]))
    batch = read_broken(path)
    assert [row for _, row in batch.rows] == ROWS
    assert [reject.reason for reject in batch.rejects] == ["the header again"]


@pytest.mark.parametrize(
    "content, suffix, reason",
    [
        (b'{"a": 1},\n{"a": 2},\n', ".jsonl", "a comma at the end of the line"),
        (b'{"a": 1},\n{"a": 2}\n', ".json", "a comma between objects that are not in a list"),
        (b"{'a': 1}\n{'a': None}\n", ".jsonl", "a Python dict, not JSON (write it with json.dumps)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_named(
    content: bytes, suffix: str, reason: str, tmp_path: Path
) -> None:
    """concat_comma."""
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    assert list_reasons(path) == {f"malformed JSON: {reason}"}


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


@pytest.mark.parametrize(
    "content, problem",
    [
        (POINTER, "is a Git LFS pointer, not the data: fetch the data with `git lfs pull`"),
        (b"/annex/objects/MD5-s9--00\n", "is a git-annex pointer, not the data"),
        (b"<!DOCTYPE html>\n<html>\n", "is a web page, not the data: download the file itself"),
        (b"<?xml version='1.0'?><Error/>", "is an XML document, such as a server's error"),
    ],
    ids=["lfs", "annex", "html", "xml"],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".json", ".csv", ""])
def test_what_stands_for_the_data_is_named(
    content: bytes, problem: str, suffix: str, tmp_path: Path
) -> None:
    """lfs_pointer."""
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_all(path)


def arrow_stream(rows: list[dict]) -> bytes:
    """A stream of several batches, as `datasets` saves it."""
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def arrow_file(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_ipc(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("make", [arrow_stream, arrow_file])
@pytest.mark.parametrize("suffix", [".arrow", ".feather", ""])
def test_arrow_is_read(
    make: object, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x_stream: what `datasets` saves was "not text"."""
    rows = [{**row, "nested": {"tags": ["a", str(n)]}} for n, row in enumerate(ROWS)]
    path = tmp_path / f"rows{suffix}"
    content = make(rows)
    path.write_bytes(content)
    assert read_all(path) == rows
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert read_all("-") == rows


def test_an_arrow_stream_has_dictionaries_and_many_batches(tmp_path: Path) -> None:
    """x_stream, as pyarrow writes it."""
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pylist(ROWS)
    kinds = pyarrow.array(["a", "b", "c"] * 10).dictionary_encode()
    table = table.append_column("kind", kinds)
    path = tmp_path / "rows.arrow"
    with pyarrow.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    found = read_all(path)
    assert found == table.to_pylist()


@pytest.mark.parametrize("make", [arrow_stream, arrow_file])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_arrow_file_is_one_line(
    make: object, share: float, tmp_path: Path
) -> None:
    path = tmp_path / "rows.arrow"
    content = make(ROWS)
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="not a readable Arrow file") as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def test_one_object_that_holds_everything_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """by_id, of many rows: it was called truncated."""
    monkeypatch.setattr("tacos.formats.json_rows.MAX_ROW", 1000)
    monkeypatch.setattr("tacos.formats.compression.CHUNK", 500)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({str(n): row for n, row in enumerate(ROWS)}))
    with pytest.raises(InputError, match="or one object holds all rows") as caught:
        read_all(path)
    assert "truncated" not in str(caught.value)


def test_lists_of_messages_in_a_list_are_rows(tmp_path: Path) -> None:
    """lines_are_lists, as one JSON array."""
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([talk, talk]))
    assert read_all(path) == [{"messages": talk}] * 2
    path.write_text("[1, 2]\n[3, 4]\n")
    assert list_reasons(path) == {"a list where an object {...} should be"}


def test_a_folder_is_read_and_an_empty_file_in_it_is_named(tmp_path: Path) -> None:
    """x_stream: the folder that `save_to_disk` makes."""
    (tmp_path / "state.txt").touch()
    (tmp_path / "data-00000-of-00001.arrow").touch()
    with pytest.raises(
        InputError, match=r"data-00000-of-00001\.arrow is empty: give a file with"
    ):
        read_all(tmp_path)
