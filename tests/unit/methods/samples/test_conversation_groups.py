"""Which rows are stages of one conversation."""

import random

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


def test_the_same_long_question_is_one_conversation_if_somebody_goes_on() -> None:
    more = talk(LONG, "The left one.", "Why?", "Fewer hills.")
    assert groups(a=more, b=talk(LONG, "The right one.")) == ["ab"]
    # Rows of one exchange alone are no conversations; near-duplicates are another limit.
    assert groups(a=talk(LONG, "The left one."), b=talk(LONG, "The right one.")) == []


def test_a_template_that_many_rows_open_with_is_no_conversation() -> None:
    rows = {
        chr(97 + number): talk(LONG, f"Yes {number}.", "Why?", f"So {number}.")
        for number in range(12)
    }
    assert groups(**rows) == []


def test_another_system_text_is_another_conversation() -> None:
    rows = {
        "a": talk("q", "a", "q2", "a2", system="Be brief."),
        "b": talk("q", "a", "q2", "a2", system="Be a pirate."),
        "c": talk("q", "a", system="Be brief."),
    }
    assert groups(**rows) == ["ac"]
