"""N-grams by the numbers of their words."""

import numpy as np
import pytest

from tacos.models import ngrams

TEXTS = [
    "Name 3 C++ libraries, name two more!",
    "",
    "^",
    "^ name",
    "^ ^ name",
    "name",
    "name name name",
    "more unknown things",
    "unknown",
]
WORDS = [ngrams.tokenise_text(text) for text in TEXTS]
NAMES, WEIGHTS = ngrams.learn_vocabulary(WORDS[:-2], min_texts=1)
TABLE = ngrams.NGramTable.build(NAMES)


def list_names(words: list[str]) -> list[str]:
    """The n-grams of one text."""
    _, columns = TABLE.list_columns(TABLE.number_words([words]))
    return sorted(TABLE.names[column] for column in columns)


def test_each_n_gram_is_found() -> None:
    words = ngrams.tokenise_text("name two more")
    assert list_names(words) == ["^name", "more", "name", "name two", "two", "two more"]


@pytest.mark.parametrize("words", WORDS)
def test_the_numbers_of_words_say_the_same_as_the_n_grams_as_texts(
    words: list[str],
) -> None:
    """Also where the text has the sign that marks an opening."""
    learned, _ = ngrams.learn_vocabulary([words], min_texts=1)
    found = list_names(words)
    assert set(found) == set(learned) & set(NAMES)


def test_n_grams_count_by_logarithms_and_each_row_has_length_one() -> None:
    words = TABLE.number_words([["name", "name", "name"], ["neither"]])
    matrix = ngrams.tf_idf_matrix(words, TABLE, WEIGHTS).toarray()
    expected = np.zeros(len(NAMES))
    for name, count in {
        "name": 3,
        "name name": 2,
        "^name": 2,
        "^^name name": 1,
    }.items():
        column = NAMES.index(name)
        expected[column] = (1 + np.log(count)) * WEIGHTS[column]
    assert matrix[0] == pytest.approx(expected / np.linalg.norm(expected))
    assert not matrix[1].any()
