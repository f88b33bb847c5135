"""Which rows are stages of one conversation."""

import random

import pytest

from tacos.methods.samples.conversation_groups import Turns, group_conversations

LONG = "Which of the two roads to the old town is shorter?"


def talk(*texts: str, system: str = "") -> Turns:
    """Questions and answers in turn."""
    roles = ["user", "assistant"] * len(texts)
    turns = [
        {"role": role, "text": text} for role, text in zip(roles, texts, strict=False)
    ]
    if system:
        turns.insert(0, {"role": "system", "text": system})
    return turns


def groups(**rows: Turns) -> list[str]:
    """The members of each group, as words; the same whatever the order of the rows."""
    found = []
    for seed in range(4):
        items = list(rows.items())
        random.Random(seed).shuffle(items)
        numbers = group_conversations(items)
        words: dict[int, str] = {}
        for row in sorted(numbers):
            words[numbers[row]] = words.get(numbers[row], "") + row
        found.append(sorted(words.values()))
    assert all(each == found[0] for each in found)
    return found[0]


def test_growing_beginnings_are_one_conversation() -> None:
    one, two = talk("q", "a"), talk("q", "a", "q2", "a2")
    three = talk("q", "a ", "q2", "a2", "q3", "a3")
    assert groups(a=one, b=two, c=three, d=talk("other", "a")) == ["abc"]


def test_other_answers_at_the_same_point_are_one_conversation() -> None:
    rows = {"a": talk("q", "a", "q2", "a2"), "b": talk("q", "a", "q2", "other")}
    longer = talk("q", "a", "q2", "third", "q3", "a3")
    assert groups(**rows, c=longer) == ["abc"]


def test_a_greeting_joins_nobody() -> None:
    assert (
        groups(
            a=talk("Hi", "Hello!"),
            b=talk("Hi", "Hello!", "Sing.", "La"),
            c=talk("Hi", "Hello!", "Add 1 and 1.", "2"),
        )
        == []
    )


def test_an_opening_question_alone_joins_nobody() -> None:
    """Issue 13's attack: "Let us play twenty questions!" and such openings joined up to ten rows."""
    more = talk(LONG, "The left one.", "Why?", "Fewer hills.")
    assert groups(a=more, b=talk(LONG, "The right one.")) == []
    languages = {
        name[0]: talk(LONG, "In which?", f"In {name}.", f"{name} code.")
        for name in ("Ada", "Basic", "Cobol")
    }
    assert groups(**languages) == []


@pytest.mark.parametrize("n_rows", [1, 2, 9, 10, 11, 12, 60])
@pytest.mark.parametrize("n_exchanges", [1, 2, 5])
def test_whatever_goes_on_in_several_ways_joins_nobody(
    n_rows: int, n_exchanges: int
) -> None:
    """A menu or a greeting of any length, before any number of rows: there is no cliff."""
    stub = [text for n in range(n_exchanges) for text in (f"Choose {n}.", f"{n}?")]
    rows = {
        f"{number:02}": talk(*stub, f"Explain {number}.", f"It is {number}.")
        for number in range(n_rows)
    }
    joined = groups(stub=talk(*stub), **rows)
    assert joined == (["00stub"] if n_rows == 1 else [])


def test_the_part_before_a_branch_is_one_conversation() -> None:
    """The stages up to where two conversations part, and those after it, each by themselves."""
    rows = {
        "a": talk("q", "a", "q2", "a2", "left", "l", "more", "m"),
        "b": talk("q", "a", "q2", "a2", "left", "l"),
        "c": talk("q", "a", "q2", "a2", "right", "r"),
        "d": talk("q", "a", "q2", "a2", "right", "r", "on", "o"),
    }
    assert groups(**rows, e=talk("q", "a", "q2", "a2")) == ["ab", "cd"]


def test_a_greeting_before_the_question_is_no_exchange() -> None:
    greeting = {"role": "assistant", "text": "Good day!"}
    one = [greeting, *talk(LONG, "The left one.")]
    assert groups(a=one, b=[greeting, *talk(LONG, "The right one.")]) == []
    longer = [*one, *talk("Why?", "Fewer hills.")]
    assert groups(a=one, b=longer) == ["ab"]


def test_another_system_text_is_another_conversation() -> None:
    rows = {
        "a": talk("q", "a", "q2", "a2", system="Be brief."),
        "b": talk("q", "a", "q2", "a2", system="Be a pirate."),
        "c": talk("q", "a", system="Be brief."),
    }
    assert groups(**rows) == ["ac"]
