"""Files that the fuzzer makes (`make fuzz`: 10,000 of them), and what it found before.

`tests.fuzz.files` explains what is wrong with a file. Each seed below stands for a kind of fault
that was mended; the tests after it say the same by hand.
"""

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.fuzz.cases import LAYOUTS, make_case
from tests.fuzz.files import SEED, check_numbers

from tacos.config import IngestSettings
from tacos.errors import InputError, OutputError
from tacos.formats import reading, writing
from tacos.formats.json_rows import encode_json_value
from tacos.methods.samples.row_rewriting import rewrite_row
from tacos.methods.samples.sample_parsing import parse_sample
from tacos.records import Sample

N_FAST = 300
FOUND = {
    45: "texts of a damaged Arrow stream that are not UTF-8",
    321: "offsets of a damaged Arrow file that lead out of memory",
    333: "a tree of messages in the cell of a table",
    456: "a path that leads into a cell",
    1048: "lists of messages, one per line, the first one malformed",
    904: "bytes that are not UTF-8 in a CSV row with fields too many",
    4347: "nesting that Parquet cannot hold",
    4383: "a column name of thousands of letters in a reason",
    2936: "objects nested deeper than Python calls",
    10053: "fields of nested objects that the first row lacks",
}


def test_files_are_read_refused_or_rejected_and_never_altered() -> None:
    assert list(check_numbers(range(N_FAST), SEED)) == []


@pytest.mark.parametrize("number", FOUND, ids=FOUND.values())
def test_what_was_found_stays_mended(number: int) -> None:
    assert list(check_numbers([number], SEED)) == []


def test_equal_seeds_make_equal_files_of_every_layout() -> None:
    cases = [make_case(SEED, number) for number in range(N_FAST)]
    assert cases == [make_case(SEED, number) for number in range(N_FAST)]
    assert {case.layout for case in cases} == set(LAYOUTS)


def read(path: Path) -> list[dict]:
    return [row for batch in reading.read_rows(path) for _, row in batch.rows]


def parse(row: dict, **settings: str) -> list[tuple[str, str]]:
    sample = parse_sample(row, "x:0", IngestSettings(**settings))
    assert isinstance(sample, Sample)
    return [tuple(turn) for turn in sample.turns]


@pytest.mark.parametrize("written", ["1e-400", "1e400", "-0.1000000000000000055"])
def test_a_number_as_an_answer_is_read_digit_by_digit(
    tmp_path: Path, written: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"prompt": "How many?", "completion": {written}}}\n')
    (row,) = read(path)
    assert Decimal(parse(row)[-1][1]) == Decimal(written)
    back = writing.write_rows([row.text], tmp_path / "y.csv")  # type: ignore[attr-defined]
    assert Decimal(read(back)[0]["completion"]) == Decimal(written)


def test_nan_beside_a_long_number_is_null_also_in_the_row_that_is_passed_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.jsonl"
    text = '{"prompt": "NaN \\" Infinity", "completion": "a", "x": NaN, "y": 1e400}'
    path.write_text(f"{text}\n")
    (row,) = read(path)
    assert row.text == text.replace(": NaN", ": null")  # type: ignore[attr-defined]


def test_a_long_run_of_blanks_beside_a_long_number_takes_no_time(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.jsonl"
    text = {"prompt": "a" + " " * 300_000 + "b", "completion": "c"}
    path.write_text(f'{json.dumps(text)[:-1]}, "x": 1e400}}\n')
    assert read(path)[0]["prompt"] == text["prompt"]


def test_parquet_refuses_what_is_nested_too_deeply(tmp_path: Path) -> None:
    row = f'{{"a": {"[" * 500}{"]" * 500}}}'
    fine = f'{{"prompt": {"[" * 29}{"]" * 29}}}'
    assert read(writing.write_rows([fine], tmp_path / "fine.parquet"))
    with pytest.raises(OutputError, match="nested more than 30 levels deep"):
        writing.write_rows([row], tmp_path / "x.parquet")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_nested_fields_that_the_first_row_lacks_are_written(
    tmp_path: Path, suffix: str
) -> None:
    call = {"name": "add", "arguments": {"a": 1}}
    rows = [
        {"messages": [{"role": "user"}], "meta": {"a": None}},
        {"messages": [{"role": "assistant", "calls": [call]}], "meta": {"b": {"c": 1}}},
    ]
    back = read(writing.write_rows(rows, tmp_path / f"x{suffix}"))
    assert back[0]["messages"] == [{"role": "user", "calls": None}]
    assert back[1]["messages"] == rows[1]["messages"]
    assert back[1]["meta"] == {"a": None, "b": {"c": 1}}


def test_parquet_refuses_objects_used_as_dictionaries(tmp_path: Path) -> None:
    rows = [{"x": {f"key {number}": 1}} for number in range(2_001)]
    with pytest.raises(OutputError, match="more than 2,000 different fields"):
        writing.write_rows(rows, tmp_path / "x.parquet")


def test_lists_of_messages_one_per_line_may_follow_a_byte_order_mark(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.jsonl"
    line = (
        b'[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]\n'
    )
    path.write_bytes(line + b"\xef\xbb\xbf" + line)
    assert len(read(path)) == 2


@pytest.mark.parametrize("number", ["1e400", "1" * 5000])
def test_parquet_refuses_numbers_that_it_would_alter(
    tmp_path: Path, number: str
) -> None:
    with pytest.raises(OutputError, match=r"write \.jsonl instead"):
        writing.write_rows([f'{{"a": {number}}}'], tmp_path / "x.parquet")


def test_parquet_of_texts_that_are_not_utf_8_is_refused(tmp_path: Path) -> None:
    codes = pa.array([b"a", b"\xff"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 2, codes.buffers())
    pq.write_table(pa.table({"prompt": texts}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"not a readable Parquet file.*UTF8"):
        read(tmp_path / "x.parquet")


def test_a_header_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xffprompt,completion\na,b\n")
    with pytest.raises(InputError, match="the header is not UTF-8: convert"):
        read(path)


def test_trees_instances_and_paths_are_read_from_the_json_of_a_cell() -> None:
    turns = [("user", "q"), ("assistant", "a")]
    reply = {"text": "a", "role": "assistant", "replies": []}
    tree = {"text": "q", "role": "prompter", "replies": [reply]}
    assert parse({"prompt": json.dumps(tree)}) == turns
    assert parse({"instruction": "q", "instances": '[{"output": "a"}]'}) == turns
    paths = {"instruction": "data.q", "response": "data.replies.0.text"}
    data = {"data": json.dumps({"q": "q", "replies": [{"text": "a"}]})}
    assert parse(data, **paths) == turns


def test_what_is_rewritten_in_the_json_of_a_cell_stays_json() -> None:
    task = {"instruction": "q", "instances": '[{"output":"a"}]'}
    raw = json.dumps(task)
    new = rewrite_row(raw, IngestSettings(), "Q", "A")
    assert new == {"instruction": "Q", "instances": '[{"output":"A"}]'}
    paths = {"instruction": "data.q", "response": "data.replies.0.text"}
    data = encode_json_value({"q": "q", "replies": [{"text": "a"}]}).decode()
    new = rewrite_row(json.dumps({"data": data}), IngestSettings(**paths), "Q", "A")
    assert new == {"data": '{"q":"Q","replies":[{"text":"A"}]}'}


def test_an_object_of_lists_may_have_fields_that_are_null() -> None:
    lists = {"from": ["human", "gpt"], "value": ["q", "a"], "weight": None}
    assert parse({"conversations": lists}) == [("user", "q"), ("assistant", "a")]
