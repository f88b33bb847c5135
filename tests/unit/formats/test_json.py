"""JSON text is cut at the commas between rows, wherever chunks happen to end."""

import json

import pytest

from tacos.errors import InputError
from tacos.formats.json import split_array, split_objects
from tacos.formats.jsonl import split_lines

TRICKY = [
    {"a": '",][{}'},
    {"b": "\\"},
    {"c": '\\"'},
    {"d": {"e": [[], {}]}},
    [],
    "x,y",
    1.5,
    None,
]


def chunks(text: str, size: int) -> list[bytes]:
    data = text.encode()
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_array_is_cut_into_its_elements(size: int) -> None:
    pieces = list(split_array(chunks(" \n" + json.dumps(TRICKY, indent=1), size), "x"))
    assert [json.loads(piece.text) for piece in pieces] == TRICKY


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_objects_over_several_lines_are_cut_where_they_close(size: int) -> None:
    objects = [each for each in TRICKY if isinstance(each, dict)]
    text = "\n\n".join(json.dumps(each, indent=1) for each in objects)
    pieces = list(split_objects(chunks(text, size), "x"))
    assert [json.loads(piece.text) for piece in pieces] == objects


@pytest.mark.parametrize("size", [1, 6, 1000])
def test_pieces_know_the_line_on_which_they_begin(size: int) -> None:
    array = '\n[\n{"a": 1}\n,{"b":\n2},\n\n{"c": 3} ]\n'
    assert [piece.line for piece in split_array(chunks(array, size), "x")] == [3, 4, 7]
    assert [
        piece.line for piece in split_lines(chunks("a\n\n \nb\r\nc", size), "x")
    ] == [1, 4, 5]
    assert [
        piece.line for piece in split_objects(chunks('\n{"a":\n1}\n\n{}', size), "x")
    ] == [2, 5]


@pytest.mark.parametrize("text", ["[", "[{}", "[{},", '[{"a]', "[[]", "[1"])
def test_an_array_without_end_is_no_array(text: str) -> None:
    with pytest.raises(InputError, match="ends within the row"):
        list(split_array([text.encode()], "x"))


def test_nothing_may_follow_the_array() -> None:
    with pytest.raises(InputError, match="'x' at line 3 follows the end"):
        list(split_array([b"[1]\n", b"\nx"], "x"))
