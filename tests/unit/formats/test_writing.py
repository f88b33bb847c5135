"""Outputs: the suffix decides, rows keep their fields, and a target is old, absent or complete."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest

from tacos.errors import OutputError
from tacos.formats import reading, writing
from tacos.formats.json_rows import decode_rows
from tacos.store import files

ROWS = [
    {
        "output": "Añ “1”\n",
        "instruction": 'a,"b"\r',
        "meta": {"k": [1, None]},
        "n": 3,
        "x": 1.5,
        "ok": True,
    },
    {
        "output": "",
        "instruction": "c",
        "meta": {"k": []},
        "n": -1,
        "x": None,
        "ok": False,
    },
]
RAW = [orjson.dumps(row).decode() for row in ROWS]


def read(path: Path) -> list[dict]:
    return [row for batch in reading.read_rows(path) for _, row in batch.rows]


@pytest.mark.parametrize("packed", ["", ".gz", ".zst", ".bz2", ".xz"])
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "rows", [RAW, ROWS, [raw.encode() for raw in RAW]], ids=["text", "dicts", "bytes"]
)
def test_rows_come_back_as_they_were(
    tmp_path: Path, rows: list, suffix: str, packed: str
) -> None:
    path = writing.write_rows(rows, tmp_path / f"out{suffix}{packed}")
    assert [list(row.items()) for row in read(path)] == [
        list(row.items()) for row in ROWS
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".csv.zst"])
def test_cells_hold_texts_as_they_are_and_json_for_the_rest(
    tmp_path: Path, suffix: str
) -> None:
    path = writing.write_rows([*RAW, '{"extra": "e"}'], tmp_path / f"out{suffix}")
    empty = {"output": "", "instruction": "", "meta": "", "n": "", "x": "", "ok": ""}
    assert read(path) == [
        {
            **ROWS[0],
            "meta": '{"k":[1,null]}',
            "n": "3",
            "x": "1.5",
            "ok": "true",
            "extra": "",
        },
        {**ROWS[1], "meta": '{"k":[]}', "n": "-1", "x": "", "ok": "false", "extra": ""},
        {**empty, "extra": "e"},
    ]


def test_json_is_an_array_with_one_row_per_line_and_readable_letters(
    tmp_path: Path,
) -> None:
    path = writing.write_rows(['{"a":"ñ"}', {"b": 1}], tmp_path / "out.json")
    assert path.read_text("utf-8") == '[\n{"a":"ñ"},\n{"b":1}\n]\n'
    assert json.loads(writing.write_rows([], tmp_path / "none.json").read_text()) == []


def test_equal_rows_give_equal_bytes_also_when_compressed(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    for name in ("out.jsonl.gz", "out.json.zst", "out.parquet"):
        one = writing.write_rows(ROWS, tmp_path / name).read_bytes()
        assert one == writing.write_rows(ROWS, tmp_path / "later" / name).read_bytes()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def failing() -> Iterator[str]:
        yield RAW[0]
        raise KeyboardInterrupt

    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        writing.write_rows(failing(), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_text("old")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    writing.write_rows(RAW, tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert read(tmp_path / "real.jsonl") == ROWS


def test_devices_are_written_to_not_replaced() -> None:
    files.check_writable("/dev/null")
    files.write_text("text", "/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    "name, said",
    [
        ("absent/out.json", "does not exist; make it first"),
        ("folder.json", "is a folder"),
        ("out", "unknown output format; use one of .json, .jsonl"),
        ("out.xlsx", "unknown output format"),
        ("x" * 300 + ".json", "cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_written_is_known_before_the_run(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    for act in (
        writing.check_rows_writable,
        lambda path: writing.write_rows(RAW, path),
    ):
        with pytest.raises(OutputError, match=said) as caught:
            act(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["folder.json"]


def test_a_file_system_that_refuses_is_said_in_one_line() -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        files.check_writable("/proc/out.html")


def test_parquet_refuses_a_column_of_texts_and_numbers(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError,
        match=r"no type for all values of the column 'a' \(a number, a text\): write \.jsonl instead",
    ):
        writing.write_rows([{"a": 1}, {"a": "x"}], tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == []


def test_the_sidecar_lies_beside_the_output(tmp_path: Path) -> None:
    scores = pl.DataFrame(
        {"id": ["x:0", "x:1"], "score": [1.5, None], "tags": [["a", "b"], []]}
    )
    for name, sidecar in {
        "out.json.gz": "out.json.gz.scores.jsonl",
        "out.parquet": "out.parquet.scores.parquet",
    }.items():
        path = writing.write_sidecar(scores, tmp_path / name)
        assert path.name == sidecar
        assert read(path) == scores.to_dicts()


def test_scores_become_columns_on_request() -> None:
    scores = pl.DataFrame({"rank": [2, 1], "tags": [["a"], []]})
    made = list(
        writing.add_score_columns(['{"q":"x"}', {"q": "y", "tacos_rank": 9}], scores)
    )
    assert decode_rows(made) == [
        {"q": "x", "tacos_rank": 2, "tacos_tags": ["a"]},
        {"q": "y", "tacos_rank": 1, "tacos_tags": []},
    ]


def test_text_files_are_utf_8(tmp_path: Path) -> None:
    assert (
        files.write_text("“ñ”", tmp_path / "report.html").read_bytes() == "“ñ”".encode()
    )


def test_packed_files_open_with_the_usual_tools(tmp_path: Path) -> None:
    path = writing.write_rows(RAW, tmp_path / "out.jsonl.gz")
    assert [
        json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()
    ] == ROWS
