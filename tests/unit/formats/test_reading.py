"""Rows come in from any container; what is broken is a value, what is no data set is one clear
line.
"""

import bz2
import errno
import gzip
import io
import json
import lzma
import random
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import orjson
import polars as pl
import pyarrow as pa
import pytest
import zstandard

from tacos.errors import InputError
from tacos.formats import reading
from tacos.formats.compression import CHUNK, decompress_chunks
from tacos.formats.sources import open_source
from tacos.formats.writing import write_rows

ROWS = [
    {"instruction": f"Name {i}.", "input": "", "output": f"Añ “{i}” {{[,\\\n"}
    for i in range(25)
]
ARRAY = json.dumps(ROWS, indent=4).encode()
LINES = b"".join(orjson.dumps(row) + b"\n" for row in ROWS)
PRETTY = "\n".join(
    json.dumps(row, indent=2, ensure_ascii=False) for row in ROWS
).encode()


def read(source: object, batch_size: int = 10) -> list[dict]:
    """All rows of a source that has no broken ones."""
    batches = list(reading.read_rows(source, batch_size))
    assert not any(batch.rejects for batch in batches)
    return [row for batch in batches for _, row in batch.rows]


def problem(source: object) -> str:
    """The one line in which reading ends."""
    with pytest.raises(InputError) as caught:
        list(reading.read_rows(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def csv_text() -> bytes:
    buffer = io.StringIO()
    pl.DataFrame(ROWS).write_csv(buffer)
    return buffer.getvalue().encode()


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(buffer)
    return buffer.getvalue()


CONTAINERS = {
    "rows.json": ARRAY,
    "rows.jsonl": LINES,
    "rows.ndjson": LINES,
    "rows.csv": csv_text(),
    "rows.parquet": parquet_bytes(),
    "array named.jsonl": ARRAY,
    "lines named.json": LINES,
    "objects over several lines.json": PRETTY,
    "no suffix": LINES,
    "other suffix.txt": ARRAY,
}


PACKERS = {
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("suffix", ["", *PACKERS])
def test_every_container_gives_the_same_rows(
    tmp_path: Path, name: str, suffix: str
) -> None:
    content = CONTAINERS[name]
    if suffix:
        content = PACKERS[suffix](content)
    path = tmp_path / f"{name}{suffix}"
    path.write_bytes(content)
    assert read(path) == ROWS


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_of_several_parts_are_read_whole(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    pack = PACKERS[suffix]
    path.write_bytes(pack(LINES) + pack(b"\n" + LINES))
    assert read(path) == [*ROWS, *ROWS]


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_that_are_cut_off_are_one_line(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    content = PACKERS[suffix](random.Random(3).randbytes(5_000).hex().encode())
    path.write_bytes(content[:-40])
    with pytest.raises(InputError, match=r"is (truncated|damaged)[^\n]*fetch"):
        read(path)


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_blanks_come_in_chunks_of_bounded_size(suffix: str) -> None:
    """A zstd file of 90 KB gave its 3 GB of blanks at once."""
    content = PACKERS[suffix](b" " * 50_000_000)
    chunks = list(decompress_chunks(io.BytesIO(content), "blanks"))
    assert max(map(len, chunks)) <= CHUNK
    assert sum(map(len, chunks)) == 50_000_000


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_disk_that_fails_is_no_damage_of_the_packed_file(suffix: str) -> None:
    class FailingDisk(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    content = PACKERS[suffix](random.Random(5).randbytes(5_000))
    with pytest.raises(OSError, match="Input/output error") as caught:
        list(decompress_chunks(FailingDisk(content), "rows"))
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_that_are_damaged_are_one_line(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    content = bytearray(PACKERS[suffix](random.Random(4).randbytes(5_000)))
    content[40:60] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.jsonl[^\n]*$"):
        read(path)


def test_a_text_that_begins_like_bzip2_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"BZh9,instruction,output\n1,q,a\n")
    assert read(path) == [{"BZh9": "1", "instruction": "q", "output": "a"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv"])
def test_byte_order_marks_are_understood(
    tmp_path: Path, name: str, encoding: str
) -> None:
    path = tmp_path / name
    path.write_bytes(CONTAINERS[name].decode().encode(encoding))
    assert read(path) == ROWS


@pytest.mark.parametrize(
    "name", ["rows.json", "rows.csv", "rows.parquet", "lines named.json"]
)
def test_standard_input_tells_its_container_by_itself(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(
        "sys.stdin", SimpleNamespace(buffer=io.BytesIO(CONTAINERS[name]))
    )
    batches = list(reading.read_rows("-", 10))
    assert [row for batch in batches for _, row in batch.rows] == ROWS
    assert batches[0].file == "stdin"


def test_batches_number_rows_from_0_and_name_their_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.json.gz"
    path.write_bytes(gzip.compress(ARRAY))
    batches = list(reading.read_rows(path, 10))
    assert [(batch.file, batch.first_row, len(batch.rows)) for batch in batches] == [
        ("rows.json.gz", 0, 10),
        ("rows.json.gz", 10, 10),
        ("rows.json.gz", 20, 5),
    ]
    assert [number for batch in batches for number, _ in batch.rows] == list(range(25))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_batches_of_long_rows_are_small(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by bytes, not only by rows."""
    monkeypatch.setattr("tacos.formats.compression.CHUNK", 1_000)
    monkeypatch.setattr("tacos.formats.reading.BATCH_BYTES", 5_000)
    monkeypatch.setattr("tacos.formats.parquet.BATCH_BYTES", 5_000)
    rng = random.Random(1)
    rows = [
        {"instruction": str(i), "output": rng.randbytes(500).hex()} for i in range(40)
    ]
    path = tmp_path / f"long{suffix}"
    write_rows(rows, path)
    batches = list(reading.read_rows(path))
    assert max(len(batch.rows) for batch in batches) <= 7
    numbers = [number for batch in batches for number, _ in batch.rows]
    assert numbers == list(range(40))
    assert [row for batch in batches for _, row in batch.rows] == rows


def test_several_files_follow_each_other_under_their_own_names(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jsonl").write_bytes(LINES)
    files = [
        batch.file
        for batch in reading.read_rows(
            [tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl"]
        )
    ]
    assert files == ["a/x.jsonl", "b/x.jsonl"]


def test_a_file_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES)
    assert "named twice" in problem([path, tmp_path / "." / "x.jsonl"])


def test_broken_lines_are_rejects_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": \n[1]\n{"a": "\xff"}\n{"a": 2}')
    (batch,) = reading.read_rows(path)
    assert batch.rows == [(0, {"a": 1}), (4, {"a": 2})]
    assert [(each.id, each.reason, each.raw) for each in batch.rejects] == [
        ("rows.jsonl:1", "malformed JSON: unexpected end of data", 'line 3: {"a":'),
        ("rows.jsonl:2", "a list where an object {...} should be", "line 4: [1]"),
        ("rows.jsonl:3", "malformed JSON: not UTF-8", 'line 5: {"a": "�"}'),
    ]
    assert all(each.failure for each in batch.rejects)


def test_a_broken_row_of_an_array_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b'[\n {"a": 1},\n {"a": oops},\n {"a": 3},\n]\n')
    (batch,) = reading.read_rows(path)
    assert batch.rows == [(0, {"a": 1}), (2, {"a": 3})]
    assert [(each.id, each.raw) for each in batch.rejects] == [
        ("rows.json:1", 'line 3: {"a": oops}')
    ]


def test_a_rejected_row_keeps_the_beginning_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": "' + "é".encode() * 100_000 + b"\n{}\n")
    (batch,) = reading.read_rows(path)
    assert batch.rejects[0].raw == 'line 1: {"a": "' + "é" * (reading.MAX_RAW - 15)


def test_fields_of_csv_that_do_not_fit_the_header_are_rejects(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'q;a\n1;"x\n""y"""\n2\n3;"4" 5\n6;\xff\n7;8\n')
    (batch,) = reading.read_rows(path)
    assert batch.rows == [(0, {"q": "1", "a": 'x\n"y"'}), (4, {"q": "7", "a": "8"})]
    assert [(reject.reason, reject.raw[:6]) for reject in batch.rejects] == [
        ("1 field where the header has 2", "line 4"),
        ("malformed CSV: ';' expected after '\"'", "line 5"),
        ("not UTF-8", "line 6"),
    ]


def test_numbers_keep_their_digits_and_nan_is_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b'{"id": 123456789012345678901234567890, "x": NaN, "y": [-Infinity]}\n'
        b'{"id": 18446744073709551616}'
    )
    assert read(path) == [
        {"id": 123456789012345678901234567890, "x": None, "y": [None]},
        {"id": 1 << 64},
    ]


REFUSED = {
    "empty.json": (b"", "is empty"),
    "blank.jsonl": (b" \n\n", "is empty"),
    "none.json": (b"[ ]", "holds no rows"),
    "header only.csv": (b"instruction,output\n", "holds no rows"),
    "picture.json": (b"\x89PNG\r\n\x1a\n\x00", "is a PNG image"),
    "archive.jsonl": (b"PK\x03\x04....", "is a zip archive"),
    "bytes.json": (b"{\x01\x02\x00\x00", "is not text"),
    "prose.json": (
        b"Once upon a time\nthere was",
        "is not JSON: it begins with 'Once upon a time'",
    ),
    "prose.txt": (b"Once upon a time\nthere was", "is not JSON, JSON Lines"),
    "scalar.json": (b'"rows"', "is not JSON"),
    "truncated.json": (
        ARRAY[: len(ARRAY) // 2],
        "ends within the row that begins at line",
    ),
    "no end.json": (ARRAY[:-2], "ends within the row that begins at line 122"),
    "truncated.json.gz": (
        gzip.compress(ARRAY)[:-20],
        "is truncated: the gzip stream has no end",
    ),
    "truncated.json.zst": (
        zstandard.compress(ARRAY)[:-20],
        "is truncated: the zstd stream has no end",
    ),
    "damaged.json.gz": (
        gzip.compress(ARRAY)[:60] + bytes(40) + gzip.compress(ARRAY)[100:],
        "is damaged",
    ),
    "damaged.json.zst": (zstandard.compress(ARRAY)[:4] + b"\xff" * 60, "is damaged"),
    "two lists.json": (
        ARRAY + b"\n" + ARRAY,
        "'[' at line 128 follows the end of the JSON array",
    ),
    "missing quote.json": (
        ARRAY.replace(b'"Name 3."', b'"Name 3.', 1),
        "ends within the row that begins at line 17",
    ),
    "wrong bracket.json": (b'[{"a": 1}}]', "unmatched closing bracket at line 1"),
    "utf-16 without mark.json": (
        ARRAY.decode().encode("utf-16-le"),
        "looks like UTF-16 without a byte order mark",
    ),
    "half a character.json": (
        ARRAY.decode().encode("utf-16")[:-1],
        "is not valid UTF-16",
    ),
    "twice.csv": (b"a,a\n1,2\n", "has the column 'a' twice"),
    "open quote.csv": (
        b'q,a\n1,"2\n3,4\n',
        "a quotation mark in the row at line 2 is never closed",
    ),
    "long field.csv": (
        b"q,a\n1," + b"x" * 17_000_000 + b"\n",
        "the row at line 2 has a field of more than 16,777,216 characters",
    ),
    "old mac.csv": (b"q,a\r1,2\r", "carriage return"),
    "json.parquet": (ARRAY, "is not Parquet"),
    "broken.parquet": (b"PAR1" + bytes(20), "is not a readable Parquet file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_data_set_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, said = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert said in problem(path)


def test_missing_files_folders_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        reading.read_rows(tmp_path / "absent.json")
    with pytest.raises(InputError, match="holds no data file"):
        reading.read_rows(tmp_path)
    with pytest.raises(InputError, match="is not a regular file"):
        reading.read_rows("/dev/null")


def test_an_endless_row_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tacos.formats.json_rows.MAX_ROW", 1000)
    monkeypatch.setattr("tacos.formats.compression.CHUNK", 100)
    for name, content in {
        "x.jsonl": b'{"a": 1}\n{"a": "',
        "x.json": b'[{"a": 1}, {"a": "',
    }.items():
        (tmp_path / name).write_bytes(content + b"b" * 5000)
        assert "line" in problem(tmp_path / name)


def test_python_data_is_read_alike(tmp_path: Path) -> None:
    assert read(ROWS) == ROWS
    assert read(iter(ROWS)) == ROWS
    assert read(pl.DataFrame(ROWS)) == ROWS
    assert read(pl.LazyFrame(ROWS)) == ROWS


def test_tables_and_data_sets_of_datasets_are_read_alike() -> None:
    datasets = pytest.importorskip("datasets")
    table = pa.Table.from_pylist(ROWS)
    data_set = datasets.Dataset.from_list(ROWS)
    twice = datasets.concatenate_datasets([data_set, data_set])
    for data in (
        table,
        table.to_batches()[0],
        table.to_reader(),
        data_set,
        twice.select(range(len(ROWS), 2 * len(ROWS))),
        data_set.to_iterable_dataset(),
        datasets.IterableDataset.from_generator(lambda: iter(ROWS)),
        datasets.DatasetDict(train=data_set),
    ):
        assert read(data) == ROWS
    digests = {
        reading.digest_data(data)
        for data in (ROWS, table, data_set, data_set.to_iterable_dataset())
    }
    assert len(digests) == 1
    two = datasets.DatasetDict(train=data_set, test=data_set)
    assert problem(two) == (
        'the data have the splits train, test: give one of them, data["train"]'
    )


def test_tables_and_data_sets_keep_their_types() -> None:
    datasets = pytest.importorskip("datasets")
    moment = datetime(2026, 1, 2, 3, 4, 5)
    rows = [{**row, "made": moment, "score": 0.5} for row in ROWS]
    table = pa.Table.from_pylist(rows)
    for data in (
        table,
        datasets.Dataset(table),
        datasets.DatasetDict(a=datasets.Dataset(table)),
    ):
        (batch,) = reading.read_rows(data)
        assert batch.original is not None
        assert batch.original.table.schema.types == table.schema.types


def test_a_folder_saved_by_datasets_is_read_by_its_list(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    data_set = datasets.Dataset.from_list(ROWS)
    data_set.save_to_disk(tmp_path / "one")
    (tmp_path / "one" / "cache-1.arrow").write_bytes(b"old")
    assert read(tmp_path / "one") == ROWS
    splits = datasets.DatasetDict(train=data_set, test=data_set)
    splits.save_to_disk(tmp_path / "two")
    assert problem(tmp_path / "two") == (
        f"{tmp_path}/two has the splits train, test: name one, such as {tmp_path}/two/train"
    )
    assert read(tmp_path / "two" / "test") == ROWS
    datasets.DatasetDict(train=data_set).save_to_disk(tmp_path / "three")
    assert read(tmp_path / "three") == ROWS


def test_python_data_that_holds_no_rows_is_refused() -> None:
    assert "holds no rows" in problem([])
    assert "data is int" in problem(5)
    (batch,) = reading.read_rows([{"a": 1}, "b"], name="mine")
    assert [(each.id, each.reason) for each in batch.rejects] == [
        ("mine:1", "a text where a dict should be")
    ]


def test_the_digest_of_data_changes_with_any_row_and_their_order() -> None:
    digests = {
        reading.digest_data(data)
        for data in (
            ROWS,
            ROWS[::-1],
            ROWS[:-1],
            [{**ROWS[0], "input": "x"}, *ROWS[1:]],
        )
    }
    assert len(digests) == 4
    assert reading.digest_data(ROWS) == reading.digest_data(pl.DataFrame(ROWS))


@pytest.mark.parametrize(
    "text",
    [
        "a.json:1\n\n  b:2\n",
        '["a.json:1", "b:2"]',
        '{"id": "a.json:1", "note": 1}\n{"id": "b:2"}',
        '"a.json:1"\n"b:2"',
    ],
)
def test_lists_of_ids_come_as_lines_or_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ids"
    path.write_text(text)
    assert set(reading.read_ids(path)) == {"a.json:1", "b:2"}


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_text('[{"name": 1}]')
    with pytest.raises(InputError, match="is not a valid id"):
        reading.read_ids(path)


CORPORA = {
    "alpaca_data.json.gz": 52_002,
    "alpaca_zh_10k.json.gz": 10_021,
    "code_alpaca_4535.json.gz": 4_535,
    "dolly_3k.json.gz": 2_996,
    "lima_1029.json.gz": 1_029,
    "oasst_sft_zh_multiturn.json.gz": 766,
    "self_instruct_user_252.jsonl.gz": 252,
    "sharegpt_dummy_500.json.gz": 500,
}


@pytest.mark.data
@pytest.mark.parametrize("name", CORPORA)
def test_real_corpora_are_read_as_the_json_module_reads_them(
    shared_data: Path, name: str
) -> None:
    path = shared_data / "corpora" / name
    text = gzip.decompress(path.read_bytes())
    rows = (
        [json.loads(line) for line in text.splitlines()]
        if "jsonl" in name
        else json.loads(text)
    )
    assert len(rows) == CORPORA[name]
    assert read(path) == rows


def test_a_list_of_ids_at_an_address_is_refused_as_one() -> None:
    # As a path, the address has one slash, and "no such file" was no help.
    with pytest.raises(InputError, match="an address, and this file") as said:
        reading.read_ids(Path("https://me:secret@host/ids.txt"))
    assert "secret" not in str(said.value)


def test_standard_input_may_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `<&-` in a shell."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        list(reading.read_rows("-"))
    with pytest.raises(InputError, match="standard input is closed"):
        open_source("-", tmp_path)
