"""The override file: what it says, and what it refuses."""

import re
import tomllib
from typing import Any

import pytest

from tacos.errors import InputError
from tacos.methods.tags.overrides import (
    Move,
    Overrides,
    enforce_keep_apart,
    find_override_moves,
    parse_overrides,
)

FILE = """
drop = ["Request"]
keep_apart = [["Python", "JavaScript"]]
[merge]
"Mathematics" = ["maths", "arithmetic"]
[rename]
"data analysi" = "Data Analysis"
"""


def test_a_file_is_read() -> None:
    assert parse_overrides(tomllib.loads(FILE)) == Overrides(
        drop=("Request",),
        merge={"Mathematics": ("maths", "arithmetic")},
        rename={"data analysi": "Data Analysis"},
        keep_apart=(("Python", "JavaScript"),),
    )


@pytest.mark.parametrize(
    "value, message",
    [
        ({"remove": ["a"]}, "unknown part 'remove'"),
        ({"drop": "a"}, "drop must be a list"),
        ({"drop": [""]}, "drop must be a list of names, none of them empty"),
        ({"merge": ["a"]}, "merge must be a table"),
        ({"merge": {"a": "b"}}, "merge.a must be a list"),
        ({"rename": {"a": ""}}, "rename must give one new name"),
        ({"keep_apart": [["a", 3]]}, "keep_apart must be a list of names"),
        (
            {"merge": {"A": ["b"], "drop": ["c"]}},
            r"drop is part of \[merge\]; move it before the tables",
        ),
        (
            {"rename": {"a": "b", "keep_apart": [["c", "d"]]}},
            r"keep_apart is part of \[rename\]",
        ),
        ({"keep_apart": "a"}, "keep_apart must be a list of lists"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_part(
    value: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse_overrides(value)


def test_drop_and_merge_mean_all_spellings_and_unknown_names_are_reported() -> None:
    overrides = Overrides(
        drop=("request", "no such tag"), merge={"Mathematics": ("maths",)}
    )
    moves, notes = find_override_moves(
        overrides, ["Request", "Requests", "Maths", "maths", "Mathematics"], True
    )
    assert {tag: move.target for tag, move in moves.items()} == {
        "Request": None,
        "Requests": None,
        "Maths": "Mathematics",
        "maths": "Mathematics",
    }
    assert notes == ["no tag is called 'no such tag'"]


def test_of_two_tags_kept_apart_the_one_that_bears_the_name_keeps_it() -> None:
    moves = {"a": Move("b", ""), "x": Move("b", "")}
    now = {"a": "a", "b": "b", "x": "x"}
    held = enforce_keep_apart(moves, [[["a"], ["b"]]], now, {"a": 9, "b": 1, "x": 1})
    assert held == {"x": Move("b", "")}


def test_else_the_more_frequent_moves() -> None:
    moves = {"a": Move("x", ""), "b": Move("x", "")}
    now = {"a": "a", "b": "b", "x": "x"}
    held = enforce_keep_apart(moves, [[["a"], ["b"]]], now, {"a": 1, "b": 2, "x": 9})
    assert held == {"b": Move("x", "")}


@pytest.mark.parametrize(
    ("contradiction", "said"),
    [
        (
            {"merge": {"Food": ["Cooking"], "Cooking": ["Baking"]}},
            "'Cooking' is itself merged into 'Food'",
        ),
        (
            {"merge": {"Food": ["Cooking"], "Cooking": ["food"]}},
            "is itself merged into",
        ),
        (
            {"merge": {"A": ["Physics"], "B": ["physics"]}},
            "'physics' is merged into 'A' and into 'B'",
        ),
        (
            {"merge": {"": ["Food"]}},
            "merge must be a list of names, none of them empty",
        ),
        ({"merge": {"Cooking": ["Food"]}, "drop": ["cooking"]}, "'Cooking' is dropped"),
        (
            {"rename": {"Cookery": "Cooking"}, "drop": ["cooking"]},
            "'Cooking' is dropped",
        ),
        (
            {"rename": {"Physics": "Geometry", "Geometry": "Physics"}},
            "is itself renamed to",
        ),
        ({"merge": {"A": ["B"]}, "keep_apart": [["A", "B"]]}, "keep_apart forbids it"),
        (
            {"merge": {"C": ["A", "B"]}, "keep_apart": [["A", "B"]]},
            "keep_apart forbids it",
        ),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    contradiction: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        parse_overrides(contradiction)


def test_other_spellings_of_the_target_are_no_contradiction() -> None:
    agreeing = {
        "merge": {"Maths": ["maths", "Mathematic"]},
        "rename": {"data analysi": "Data Analysi", "X": "X"},
    }
    assert parse_overrides(agreeing).merge == {"Maths": ("maths", "Mathematic")}


def test_without_signs_c_sharp_is_c_so_more_is_a_contradiction() -> None:
    both = {"merge": {"C#": ["Visual Studio"], "Mathematics": ["C"]}}
    assert parse_overrides(both).merge["C#"] == ("Visual Studio",)
    with pytest.raises(InputError, match="'C#' is itself merged into 'Mathematics'"):
        parse_overrides(both, signs=False)
