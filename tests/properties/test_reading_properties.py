"""Whatever bytes come, reading ends in rows, rejects or one clear line; shards of any size give the
same samples.
"""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tacos.config import IngestSettings
from tacos.errors import InputError
from tacos.formats import reading, writing
from tacos.formats.json import split_array, split_objects
from tacos.formats.jsonl import split_lines
from tacos.methods.samples import sample_parsing
from tacos.records import Reject, Sample
from tacos.store.seen_hashes import FirstOccurrences

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
SMALL = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | TEXT
VALUE = SCALAR | st.recursive(
    SMALL,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)
ROW = st.dictionaries(TEXT, VALUE, min_size=1, max_size=4)
ROWS = st.lists(ROW, min_size=1, max_size=8)
SHARDS = st.integers(1, 9)


def written(content: bytes, name: str, folder: str) -> Path:
    path = Path(folder) / name
    path.write_bytes(content)
    return path


def ingested(source: Any, batch_size: int = 5) -> list[Sample | Reject]:
    """Everything that a source gives, as the ingest stage reads it."""
    made: list[Sample | Reject] = []
    for batch in reading.read_rows(source, batch_size):
        samples, rejects = sample_parsing.parse_sample_batch(
            batch, IngestSettings(tags="", score="")
        )
        made += [*samples, *rejects]
        sample_parsing.samples_to_frame(samples)
    return made


SYNTAX = [*b'{ } [ ] " , : null NaN 1e999'.split(), b"\\", b"\n", b"\r\n", b" "]
ROWLIKE = [
    b'{"instruction": "q", "output": "a"}',
    b"instruction,output\n",
    b"a,b\n",
    b'"messages": [',
]
MAGIC = [
    b"PAR1",
    b"\x1f\x8b\x08\x00",
    b"\x28\xb5\x2f\xfd",
    b"BZh91AY&SY",
    b"\xfd7zXZ\x00",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
]
ODD = [b"\xff", b"\x00", "é".encode(), "\ud800".encode("utf-8", "surrogatepass")]
FRAGMENTS = st.sampled_from([*SYNTAX, *ROWLIKE, *MAGIC, *ODD])
BYTES = st.binary(max_size=200) | st.lists(
    FRAGMENTS | st.binary(max_size=5), max_size=40
).map(b"".join)
NAMES = [
    f"x{suffix}{packed}"
    for suffix in (".json", ".jsonl", ".csv", ".tsv", ".parquet", "")
    for packed in ("", ".gz", ".zst", ".bz2", ".xz")
]


@settings(max_examples=300)
@given(BYTES, st.sampled_from(NAMES))
@example(b'{"instruction": "q", "output": "a"}\n{"instr', "x.jsonl")
@example(b"[" * 100_000, "x.json")
@example(b'{"a":' * 5_000, "x.jsonl")
def test_any_bytes_end_in_rows_rejects_or_one_line(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = ingested(written(content, name, folder))
        except InputError as error:
            said = str(error)
            made = []
    if not made:
        assert said.strip()
        assert "\n" not in said
    assert len({each.id for each in made}) == len(made)
    assert all(
        len(each.raw) <= reading.MAX_RAW and each.reason
        for each in made
        if isinstance(each, Reject)
    )


@settings(max_examples=70)
@given(ROWS, st.data())
def test_a_broken_byte_costs_a_json_line_at_most_itself(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines = [orjson_or_json(row) for row in rows]
    broken = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[broken]) - 1))
    byte = data.draw(st.sampled_from([b"\xff", b'"', b"{", b"}", b"\\", b"\x01"]))
    damaged = [
        line[:at] + byte + line[at + 1 :] if number == broken else line
        for number, line in enumerate(lines)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = written(b"\n".join(damaged) + b"\n", "x.jsonl", folder)
        try:
            found = {
                number: row
                for batch in reading.read_rows(path)
                for number, row in batch.rows
            }
        except InputError:
            assert (
                broken == 0 or len(lines) == 1
            )  # then the file's first bytes are not JSON at all
            return
    for number, row in enumerate(rows):
        assert number == broken or found[number] == row


@settings(max_examples=70)
@given(ROWS, st.sampled_from([None, 1, 4]), st.booleans(), st.integers(1, 50))
def test_splitting_agrees_with_the_json_module(
    rows: list[Any], indent: int | None, ascii_only: bool, size: int
) -> None:
    def pieces(split: Any, text: str) -> list[Any]:
        data = text.encode()
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        return [json.loads(piece.text) for piece in split(chunks, "x")]

    texts = [json.dumps(row, indent=indent, ensure_ascii=ascii_only) for row in rows]
    assert (
        pieces(split_array, json.dumps(rows, indent=indent, ensure_ascii=ascii_only))
        == rows
    )
    assert pieces(split_objects, "\n".join(texts)) == rows
    if indent is None:
        assert pieces(split_lines, "\n".join(texts)) == rows


def orjson_or_json(row: dict[str, Any]) -> bytes:
    """A row as one line of JSON, integers of any length."""
    return json.dumps(row, ensure_ascii=False).encode()


@settings(max_examples=60)
@given(ROWS, st.sampled_from([".json", ".jsonl", ".json.gz", ".jsonl.zst"]))
def test_what_is_written_is_read_back(rows: list[dict[str, Any]], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = writing.write_rows(
            [orjson_or_json(row) for row in rows], Path(folder) / f"x{suffix}"
        )
        back = [row for batch in reading.read_rows(path) for _, row in batch.rows]
    assert [list(row.items()) for row in back] == [list(row.items()) for row in rows]


CELL = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30
)


@settings(max_examples=60)
@given(st.lists(st.fixed_dictionaries({"a": CELL, "b": CELL}), min_size=1, max_size=8))
def test_csv_keeps_every_text(rows: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = writing.write_rows(rows, Path(folder) / "x.csv")
        assert [
            row for batch in reading.read_rows(path) for _, row in batch.rows
        ] == rows


MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool", "?"]),
        "content": TEXT | st.none() | st.lists(TEXT, max_size=2),
    }
)
SHAPED = st.one_of(
    st.fixed_dictionaries(
        {"instruction": TEXT | VALUE, "input": TEXT, "output": TEXT | VALUE}
    ),
    st.fixed_dictionaries(
        {"prompt": TEXT, "response": TEXT, "history": VALUE, "system": SCALAR}
    ),
    st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=4) | VALUE}),
    st.fixed_dictionaries(
        {
            "instruction": TEXT,
            "instances": st.lists(st.fixed_dictionaries({"output": TEXT}), max_size=2)
            | VALUE,
        }
    ),
    ROW,
)


@settings(max_examples=200)
@given(st.lists(SHAPED, min_size=1, max_size=12), SHARDS)
def test_shards_of_any_size_give_the_same_samples(
    rows: list[dict[str, Any]], size: int
) -> None:
    known = [{"instruction": "q", "output": "a"}, *rows]
    whole, parts = ingested(known, 100), ingested(known, size)
    assert sorted(map(repr, whole)) == sorted(map(repr, parts))
    for each in whole:
        if isinstance(each, Sample):
            assert each.turns[-1].role == "assistant"
            assert all(turn.text.strip() for turn in each.turns)
            assert any(turn.role == "user" for turn in each.turns)
            assert json.loads(each.raw) == known[int(each.id.partition(":")[2])]


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.integers(0, 30) | st.integers(0, (1 << 64) - 1), max_size=20),
        max_size=15,
    )
)
def test_first_seen_equals_a_dict(batches: list[list[int]]) -> None:
    seen, known, row = FirstOccurrences(), {}, 0
    for batch in batches:
        expected = []
        for number, key in enumerate(batch, row):
            first = known.setdefault(key, number)
            expected.append(-1 if first == number else first)
        rows = np.arange(row, row + len(batch), dtype=np.int64)
        assert seen.check(np.array(batch, np.uint64), rows).tolist() == expected
        row += len(batch)
    assert len(seen) == len(known)


@pytest.mark.parametrize("value", [math.nan, math.inf, "x", None, [], True])
def test_no_default_stands_for_a_score_that_is_none(value: Any) -> None:
    sample = sample_parsing.parse_sample(
        {"prompt": "q", "response": "a", "s": value}, "x:0", IngestSettings(score="s")
    )
    assert isinstance(sample, Sample)
    assert sample.score is None
    assert orjson.loads(sample.raw).keys() == {"prompt", "response", "s"}
