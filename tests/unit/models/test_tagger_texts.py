"""Texts are split once for all who read them."""

import pytest

from tacos.models import encoder, ngrams, tag_phrases
from tacos.models.tagger_texts import TextReader

TEXTS = [
    "Sort a list of the 3 lists",
    "",
    "Σας STRASSE Straße \u0130stanbul",
    "tab\tand\x0bother\x1cblanks\x85here",
    "a list, " * 300,
    "sorts " * 1000,
    "\u65e5\u672c\u8a9e list",
]
LONE_SURROGATE = "list \ud800 list?"
TABLE = ngrams.NGramTable.build(["list", "list ,", "sort", "sorts", "<num>", "?", "^a"])
LEXICON = tag_phrases.Lexicon(("Sorting Lists", "List", "Straße"), {}, 1.0)


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:3], [LONE_SURROGATE, *TEXTS], []])
def test_each_reader_has_its_own_beginning_of_each_text(texts: list[str]) -> None:
    read = TextReader(TABLE, LEXICON).read(texts)
    words = TABLE.number_words([ngrams.tokenise_text(text) for text in texts])
    stems = LEXICON.number_stems([tag_phrases.stem_text(text) for text in texts])
    assert read.words.numbers.tolist() == words.numbers.tolist()
    assert read.words.counts.tolist() == words.counts.tolist()
    assert read.stems.numbers.tolist() == stems.numbers.tolist()
    assert read.stems.counts.tolist() == stems.counts.tolist()
    static = encoder.load("static")
    assert (read.encode(static) == static.encode(texts)).all()


def test_what_was_read_before_changes_nothing() -> None:
    reader = TextReader(TABLE, LEXICON)
    before = reader.read(TEXTS)
    static = encoder.load("static")
    for texts in ([LONE_SURROGATE, "other words and lists"], ["one more"]):
        others = reader.read(texts)
        assert (others.encode(static) == static.encode(texts)).all()
    again = reader.read(TEXTS)
    assert again.words.numbers.tolist() == before.words.numbers.tolist()
    assert again.stems.numbers.tolist() == before.stems.numbers.tolist()
