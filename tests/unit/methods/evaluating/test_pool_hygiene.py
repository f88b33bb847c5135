"""No row of a pool repeats a question of a test set."""

import polars as pl

from tacos.methods.evaluating.pool_hygiene import (
    EvaluationCopy,
    count_copies,
    find_evaluation_copies,
)

LONG = (
    "Write a letter to the mayor of a small coastal town, thanking her for the new library, "
    "the long opening hours and the friendly people who work there every day of the week"
)
QUESTIONS = pl.Series(
    [
        "Name three uses of baking soda in the kitchen and in the garden of a family.",
        "  WHAT is the capital of France ?",
        LONG.replace("friendly", "kind"),
        "How many legs do 12 spiders have?",
        f"Here is a task from my teacher. {LONG}. Please answer in French.",
        "",
        "Add 3 and 5.",
    ]
)
SETS = {
    "capitals": ["What is the capital of France?", "What is the capital of Peru?"],
    "letters": [LONG],
    "sums": ["How many legs do 14 spiders have?", "Add 3 and 6.", " "],
}


def test_the_same_and_nearly_the_same_and_contained_questions_are_found() -> None:
    copies = find_evaluation_copies(QUESTIONS, SETS)
    assert copies == [
        EvaluationCopy(1, "capitals", 0, "the same"),
        EvaluationCopy(2, "letters", 0, "nearly the same"),
        EvaluationCopy(4, "letters", 0, "contained"),
    ]
    assert count_copies(copies) == {
        "capitals": {"the same": 1},
        "letters": {"nearly the same": 1, "contained": 1},
    }


def test_another_number_is_another_question() -> None:
    rows = [copy.row for copy in find_evaluation_copies(QUESTIONS, SETS)]
    assert 3 not in rows
    assert 6 not in rows


def test_rows_that_repeat_one_another_may_stay() -> None:
    twice = pl.Series([QUESTIONS[0], QUESTIONS[0]])
    assert find_evaluation_copies(twice, {"letters": [LONG]}) == []


def test_an_item_that_nearly_repeats_another_item_is_looked_for_as_well() -> None:
    """The pool's row is near to the second item alone."""
    words = [f"word{letter}" for letter in "abcdefghijklmnopqrst"]
    first = " ".join(words)
    second = " ".join([*words[:18], "x", "y"])
    row = " ".join([*words[2:18], "x", "y", "z"])
    found = find_evaluation_copies(pl.Series([row]), {"one": [first, second]})
    assert [(copy.item, copy.likeness) for copy in found] == [(1, "nearly the same")]


def test_an_empty_pool_or_no_test_set_has_no_copies() -> None:
    assert find_evaluation_copies(pl.Series([], dtype=pl.String), SETS) == []
    assert find_evaluation_copies(QUESTIONS, {}) == []
