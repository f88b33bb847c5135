"""Words of many texts, read at once, are those of each text, and are counted by text."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tacos.models import chunk_numbers, sorted_keys, word_columns
from tacos.models.word_columns import WordMemory, find_words

CLASSES = {"animal": {"cat", "dog"}, "pet": {"cat"}, "none": {"unicorn"}}
TEXTS = [
    "The cat saw the cat, and the dog's cat",
    "",
    "no 3 animals 4",
    "莱茵河 is cat",
]
MEMORY = WordMemory(CLASSES)


def list_words(words: word_columns.Words) -> list[list[int]]:
    return [numbers.tolist() for numbers in np.split(words.numbers, words.starts)[1:]]


def test_words_are_counted_by_class_and_text() -> None:
    words = WordMemory(CLASSES).read([text.lower() for text in TEXTS])
    assert words.counts.tolist() == [9, 0, 4, 5]
    assert words.count("animal").tolist() == [3, 0, 0, 1]
    assert words.mention("pet").tolist() == [True, False, False, True]
    assert words.mention("none").tolist() == [False] * 4
    assert words.count("decimal").tolist() == [0, 0, 2, 0]
    assert words.count("foreign").tolist() == [0, 0, 0, 3]
    assert words.find(words.first_flags, "foreign").tolist() == [False] * 3 + [True]


@given(st.lists(st.text(max_size=40), max_size=5))
@example(["don't stop", "Σ ΑΣ İ", "\ud800 a\x1cb", "a_b c’s 漢Σ字"])
def test_words_of_any_text_are_those_of_the_text_alone(texts: list[str]) -> None:
    words = MEMORY.read([text.lower() for text in texts])
    expected = [find_words(text) for text in texts]
    assert words.counts.tolist() == [len(own) for own in expected]
    # Equal numbers stand for equal words.
    pairs = {
        (number, word)
        for numbers, own in zip(list_words(words), expected, strict=True)
        for number, word in zip(numbers, own, strict=True)
    }
    assert len({number for number, _ in pairs}) == len({word for _, word in pairs})
    assert len(pairs) == len({word for _, word in pairs})


@given(st.lists(st.text("ab ", max_size=20), min_size=1, max_size=5))
@example(["", "a", "a b a b", "", "b a b a b a"])
def test_distinct_words_and_phrases_are_those_of_each_text(texts: list[str]) -> None:
    words = MEMORY.read(texts)
    counts = [Counter(text.split()) for text in texts]
    distinct = words.distinct
    assert words.count_texts(distinct.texts).tolist() == list(map(len, counts))
    expected = [sorted(own.values()) for own in counts]
    found = [
        sorted(distinct.counts[distinct.texts == row]) for row in range(len(texts))
    ]
    assert found == expected
    pairs = sorted_keys.sort_distinct(words.key_phrases(2))
    n_pairs = [len(set(pairwise(text.split()))) for text in texts]
    assert words.count_keys(pairs).tolist() == n_pairs
    # Those that the next text has, too
    others = MEMORY.read([*texts[1:], texts[0]])
    is_shared = word_columns.contains(np.sort(others.key_phrases(2)), pairs)
    shared = [
        len(set(pairwise(own.split())) & set(pairwise(other.split())))
        for own, other in zip(texts, [*texts[1:], texts[0]], strict=True)
    ]
    assert words.count_keys(pairs[is_shared]).tolist() == shared


def test_words_of_some_texts_are_replaced() -> None:
    words = MEMORY.read(["a b", "c", "", "d e"])
    others = MEMORY.read(["x", "y z"])
    replaced = words.replace(np.array([1, 2]), others)
    expected = MEMORY.read(["a b", "x", "y z", "d e"])
    assert list_words(replaced) == list_words(expected)


def test_a_memory_is_full_of_many_words_or_of_long_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunk_numbers, "MAX_REMEMBERED", 3)
    monkeypatch.setattr(chunk_numbers, "MAX_CHARACTERS", 10)
    for text, is_full in (("a b c", False), ("a b c d", True), ("x" * 11, True)):
        memory = WordMemory(CLASSES)
        memory.read([text])
        assert memory.is_full == is_full


def test_logarithms_are_those_of_python() -> None:
    large = [0, 1, 2, (1 << 15) - 1, 1 << 15, 100_000]
    assert word_columns.log_counts(large)[-1] == pytest.approx(16.609654901)
    assert word_columns.log_counts([large])[0].tolist() == [
        word_columns.log_counts([count])[0] for count in large
    ]
