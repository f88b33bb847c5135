"""What an instruction asks for, by its words."""

import pytest

from tacos.models import sample_texts


def read(name: str, text: str) -> int:
    """What the instruction asks for by this name, beside an instruction that asks for nothing."""
    intents = sample_texts.read_samples(["", text], ["", ""]).intents
    column = getattr(intents, name)
    assert not column[0]
    return int(column[1])


@pytest.mark.parametrize(
    "text, n",
    [
        ("Name five rivers.", 5),
        ("List 10 healthy snack ideas", 10),
        ("Write a poem in three stanzas.", 0),
        ("Describe it in 50 words", 0),
        ("It took two years. Why?", 0),
        ("Name a river", 0),
        ("Add 2 and 3", 0),
    ],
)
def test_how_many_items_are_asked(text: str, n: int) -> None:
    assert read("items", text) == n


@pytest.mark.parametrize(
    "text, n",
    [("In at most 50 words, say why.", 50), ("a 20-word tweet", 20), ("five words", 0)],
)
def test_the_limit_of_words(text: str, n: int) -> None:
    assert read("limits", text) == n


@pytest.mark.parametrize(
    "text, field",
    [
        ("Classify this: cat", "label"),
        ("Is it true or false?", "label"),
        ("Suggest a title for the book.", "short"),
        ("Summarise it in one sentence.", "short"),
        ("Write a letter to Ann.", "prose"),
        ("Explain the tides.", "explain"),
        ("Give tips for travel.", "listing"),
        ("Rewrite the sentence.", "edit"),
        ("Write a Python function.", "code"),
        ("Translate it into French.", "tongue"),
        ("Rate this film.", "scoring"),
    ],
)
def test_the_kinds_of_answers_that_are_asked(text: str, field: str) -> None:
    assert read(field, text)
    assert not read(field, "Tell me something nice.")
