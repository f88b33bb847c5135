"""Finding tags in a text."""

from tacos.models.tag_phrases import Lexicon, stem_text

LEXICON = Lexicon(
    ("Sorting Algorithms", "Cooking", "C++", "List", "The"),
    {"the": 0.1, "list": 1.0, "cook": 3.0},
    5.0,
)


def test_inflected_words_are_found() -> None:
    assert LEXICON.mentions(stem_text("Cook a list of sorted algorithm")) == [0, 1, 3]


def test_words_must_stand_side_by_side() -> None:
    assert 0 not in LEXICON.mentions(stem_text("sort with this algorithm"))


def test_signs_that_make_a_name_stay() -> None:
    assert LEXICON.mentions(stem_text("C++ code")) == [2]
    assert LEXICON.mentions(stem_text("C code")) == []


def test_presence_is_by_stem() -> None:
    row = LEXICON.present([stem_text("lists of cooks")])[0]
    assert [name for name, number in LEXICON.by_stem.items() if row[number]] == [
        "cook",
        "list",
    ]
    assert not row[0]
