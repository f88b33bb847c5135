"""Preferences of a judge, from letters and from log-probabilities."""

import math

import pytest

from tacos.config import AlpacaEvalSettings
from tacos.methods.evaluating.preferences import (
    ask_preference,
    parse_preference,
    weigh_letters,
)
from tacos.records import Reject, Reply

ROW = {
    "model": "mine",
    "instruction": "abc",
    "text": "Say hello.",
    "output": "Hello!",
    "baseline": "Hi.",
}


def read(order: str, text: str, *alternatives: tuple[str, float]) -> dict | Reject:
    reply = Reply(f'"{text}"', alternatives=alternatives)
    return parse_preference({**ROW, "order": order}, reply)


@pytest.mark.parametrize("order, letter", [("ab", "B"), ("ba", "A")])
def test_the_order_is_undone_where_the_reply_is_read(order: str, letter: str) -> None:
    request = ask_preference(
        {**ROW, "order": order}, "alpaca_eval", "", AlpacaEvalSettings()
    )
    assert request.fields[f"output_{letter.lower()}"] == "Hello!"
    found = read(order, letter)
    assert isinstance(found, dict)
    assert (found["preference"], found["choice"], found["weighed"]) == (1, 1, False)
    likely = (letter, math.log(0.75)), ("AB".replace(letter, ""), math.log(0.25))
    found = read(order, letter, *likely)
    assert isinstance(found, dict)
    assert found["preference"] == pytest.approx(0.75)
    assert found["weighed"]


def test_letters_of_both_spellings_add_up() -> None:
    tops = [("B", math.log(0.4)), (" B", math.log(0.2)), ("A", math.log(0.2))]
    assert weigh_letters(tops) == pytest.approx(0.75)


def test_a_letter_that_is_not_listed_is_unlikely_but_not_impossible() -> None:
    """It has less than the last one that is listed, and no more than is left."""
    tops = [("A", math.log(0.9)), ("The", math.log(0.06))]
    assert weigh_letters(tops) == pytest.approx(0.02 / 0.92)
    assert weigh_letters([("A", 0.0)]) == 0
    assert weigh_letters([("A", 0.3)]) == 0


def test_tokens_that_are_no_letters_leave_it_to_the_text() -> None:
    found = read("ab", "Output B", ("Output", -0.01), ("I", -5.0))
    assert isinstance(found, dict)
    assert (found["preference"], found["weighed"]) == (1, False)


@pytest.mark.parametrize("text", ["", "C", "A or B", "Neither", "a", "AB"])
def test_what_is_no_letter_is_missing(text: str) -> None:
    assert isinstance(read("ab", text), Reject)
