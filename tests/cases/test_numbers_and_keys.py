"""Rows of JSON whose text says more than Python's values: they come out as they went in.

Case nested_big_int: an id of thirty digits inside an object lost its last digits on the way to the
output. Its brothers are numbers beyond a double (1e400, decimals of twenty digits, integers of
thousands of digits) and keys that occur twice.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.config import IngestSettings
from tacos.formats import reading, writing
from tacos.methods.samples import sample_parsing
from tacos.records import Sample

BEYOND = {
    "nested_big_int": '{"id": 123456789012345678901234567890}',
    "in a list": '[{"ids": [18446744073709551616, -9223372036854775809]}]',
    "just beyond": "-9223372036854775809",
    "infinite": "[1e400, -1e400]",
    "vanishing": "1e-400",
    "long decimal": "0.12345678901234567890",
    "digits of a double": "0.1000000000000000055511151231257827",
    "long whole decimal": "12345678901234567.75",
    "five thousand digits": "9" * 5_000,
    "key twice": '{"a": 1, "a": 2}',
    "key twice, spaced": '{"a" : 1, "b" : [{"c" : 2, "c" : 3}]}',
}
WITHIN = {
    "64 bits": "[18446744073709551615, -9223372036854775808]",
    "shortest double": "[0.30000000000000004, 5e-324, 1.7976931348623157e308]",
    "text of JSON": '"{\\"a\\": 1, \\"a\\": 2}"',
    "exponent": "1E5",
}


def line(extra: str) -> str:
    return f'{{"instruction": "What is it?", "output": "A row.", "extra": {extra}}}'


def ingested(path: Path) -> list[Sample]:
    found: list[Sample] = []
    for batch in reading.read_rows(path):
        samples, rejects = sample_parsing.parse_sample_batch(batch, IngestSettings())
        assert not rejects
        found += samples
    return found


def exact(text: str) -> Any:
    """The value of JSON, every number as its text and every object as its pairs."""
    return json.loads(
        text,
        parse_int=str,
        parse_float=str,
        object_pairs_hook=tuple,
    )


@pytest.mark.parametrize("name", BEYOND)
def test_what_values_cannot_hold_comes_out_as_it_went_in(
    name: str, tmp_path: Path
) -> None:
    """Case nested_big_int."""
    (tmp_path / "x.jsonl").write_text(line(BEYOND[name]) + "\n")
    (sample,) = ingested(tmp_path / "x.jsonl")
    target = writing.write_rows([sample.raw], tmp_path / "out.jsonl")
    assert target.read_text() == line(BEYOND[name]) + "\n"
    array = writing.write_rows([sample.raw], tmp_path / "out.json")
    assert exact(array.read_text()) == [exact(line(BEYOND[name]))]


@pytest.mark.parametrize("name", BEYOND)
def test_score_columns_stand_beside_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(line(BEYOND[name]) + "\n")
    (sample,) = ingested(tmp_path / "x.jsonl")
    scores = pl.DataFrame({"score": [61.5]})
    rows = writing.add_score_columns([sample.raw], scores)
    written = writing.write_rows(rows, tmp_path / "out.jsonl").read_text()
    fields = dict(exact(written))
    assert fields["tacos_score"] == "61.5"
    assert fields["extra"] == exact(BEYOND[name])


def test_a_row_over_several_lines_comes_out_on_one(tmp_path: Path) -> None:
    """A pretty-printed array, of which one row has a number beyond 64 bits."""
    rows = [{"instruction": "a\n b?", "output": "c", "n": [10**30]}]
    (tmp_path / "x.json").write_text(json.dumps(rows, indent=4))
    (sample,) = ingested(tmp_path / "x.json")
    assert "\n" not in sample.raw
    assert json.loads(sample.raw) == rows[0]


@pytest.mark.parametrize("name", WITHIN)
def test_ordinary_rows_are_values(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(line(WITHIN[name]) + "\n")
    (sample,) = ingested(tmp_path / "x.jsonl")
    assert json.loads(sample.raw) == json.loads(line(WITHIN[name]))
    assert ": " not in sample.raw.replace('\\": ', "")


def test_a_nested_big_integer_is_written_into_cells(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(line(BEYOND["nested_big_int"]) + "\n")
    (sample,) = ingested(tmp_path / "x.jsonl")
    written = writing.write_rows([sample.raw], tmp_path / "out.csv").read_text()
    assert "123456789012345678901234567890" in written


NUMBER = (
    st.integers(-(10**40), 10**40).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
)


@given(st.lists(NUMBER, min_size=1, max_size=4))
def test_every_number_keeps_its_value(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "x.jsonl").write_text(line(f"[[{', '.join(numbers)}]]") + "\n")
    (sample,) = ingested(folder / "x.jsonl")
    written = json.loads(sample.raw, parse_int=Decimal, parse_float=Decimal)
    assert written["extra"] == [[Decimal(number) for number in numbers]]
