"""Finding tags in a text."""

import string

from tacos.models.tag_phrases import MAX_MENTIONS, Lexicon, stem_text

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


def test_mentions_are_each_texts_own() -> None:
    """A tag that begins at the end of a text does not go on in the next one."""
    texts = ["a list of sorting", "algorithms", "", "cook, cook"]
    stems = LEXICON.number_stems([stem_text(text) for text in texts])
    found, tags = LEXICON.find_mentions(stems)
    assert list(zip(found.tolist(), tags.tolist(), strict=True)) == [(0, 3), (3, 1)]


def test_the_weightiest_mentions_are_kept() -> None:
    names = [f"T{letter}x" for letter in string.ascii_lowercase]
    weights = {stem_text(name)[0]: float(place) for place, name in enumerate(names)}
    lexicon = Lexicon(tuple(names), weights, 1.0)
    kept = lexicon.mentions(stem_text(" ".join(names)))
    assert kept == list(range(len(names)))[: -MAX_MENTIONS - 1 : -1]


def test_presence_is_by_stem() -> None:
    row = LEXICON.present(LEXICON.number_stems([stem_text("lists of cooks")]))[0]
    assert [name for name, number in LEXICON.by_stem.items() if row[number]] == [
        "cook",
        "list",
    ]
    assert not row[0]
