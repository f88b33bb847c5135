"""Characters of many texts, read at once, are counted and found as in each text alone."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from tacos.models.character_columns import COUNTED, Characters, Phrases

TEXTS = st.lists(st.text('aA .!?\n"*`,。”)\t\x1cé😀', max_size=30), max_size=6)
SENTENCE_END = re.compile(
    r"[.!?。！？\n](?:(?<=[。！？\n])|[.!?]*(?<=[.!?])(?=[\s\"'”)]|$))"
)


def split_sentences(text: str) -> list[str]:
    return [part for part in SENTENCE_END.split(text) if part.strip()]


@given(TEXTS)
@example([])
@example(["", "a", ""])
def test_characters_and_runs_are_counted_by_text(texts: list[str]) -> None:
    characters = Characters(texts)
    for mark in COUNTED:
        expected = [text.count(mark) for text in texts]
        assert characters.count(mark).tolist() == expected
    for run in ("\n\n", "**", "```"):
        expected = [text.count(run) for text in texts]
        assert characters.count_runs(run[0], len(run)).tolist() == expected


@given(TEXTS)
@example([])
@example(["One... two.)x", "", "。.", "a.b!?\n\n c ", "..", "\ta  b\x1c"])
def test_sentences_are_those_of_each_text(texts: list[str]) -> None:
    characters = Characters(texts)
    found: list[list[tuple[str, int, str]]] = [[] for _ in texts]
    rows = zip(*(column.tolist() for column in characters.sentences), strict=True)
    for text, start, end, first, last in rows:
        whole = characters.joined[start:end]
        n_spaces = int(characters.n_spaces[end] - characters.n_spaces[start])
        found[text].append((whole, n_spaces, characters.joined[first : last + 1]))
    assert found == [
        [(part, part.count(" "), part.strip()) for part in split_sentences(text)]
        for text in texts
    ]


@given(TEXTS)
def test_blanks_have_neighbours(texts: list[str]) -> None:
    texts = [text.strip() for text in texts]
    characters = Characters(texts)
    joined = characters.joined
    before, after = characters.blank_runs
    found = [joined[a : b + 1] for a, b in zip(before, after, strict=True)]
    assert found == [
        match[1] + match[2]
        for text in texts
        for match in re.finditer(r"(\S\s+)(?=(\S))", text)
    ]
    starts = characters.line_starts.tolist()
    expected = [line[:1] for text in texts for line in text.split("\n")]
    assert [joined[place].strip("\n\ud800") for place in starts] == expected


@given(st.lists(st.text("ab😀", max_size=12), max_size=6))
@example(["aa", "", "aaaa", "baab"])
@example(["ab", "", "b😀😀a", "a😀"])
def test_phrases_are_counted_as_in_each_text(texts: list[str]) -> None:
    phrases = Phrases(texts)
    counted = ["aa", "b", "😀"]
    assert phrases.count(counted).tolist() == [
        sum(map(text.count, counted)) for text in texts
    ]
    assert phrases.mention(["aa"]).tolist() == ["aa" in text for text in texts]
    rows, places = phrases.find("ab")
    first = {row: texts[row].find("ab") for row in rows.tolist()}
    assert all(place >= first[row] for row, place in zip(rows, places, strict=True))
    assert set(first) == {row for row, text in enumerate(texts) if "ab" in text}
