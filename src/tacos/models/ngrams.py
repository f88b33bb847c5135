"""Splits texts into words and computes the tagger's tf-idf features over n-grams.

The features are word unigrams and bigrams, and how a text begins. Each Chinese character and kana
counts as a word. All numbers are one and the same word. Only the first `MAX_WORDS` words are read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tacos.models import sorted_keys
from tacos.models.chunk_memory import ChunkMemory
from tacos.models.chunk_numbers import Numbers, Runs, number_parts

WORD = re.compile(
    # A word, with what may join its parts (don't, scikit-learn) or end it (C++, C#).
    r"[^\W\d_\u3040-\u30ff\u4e00-\u9fff]+(?:['+#.-][^\W\d_]+)*[+#]*"
    # A run of digits, a kana or Chinese character, a punctuation mark.
    r"|\d+|[\u3040-\u30ff\u4e00-\u9fff]|[^\w\s]"
)
MAX_WORDS = 200
MAX_CHARACTERS = 20 * MAX_WORDS
NUMBER = "<num>"


def _split_chunk(chunk: str) -> tuple[str, ...]:
    words = WORD.findall(chunk)
    return tuple(NUMBER if word[0].isdigit() else word for word in words)


_WORDS = ChunkMemory(_split_chunk)


def tokenise_text(text: str) -> list[str]:
    """Split a text into lower-case words and punctuation; each run of digits becomes `<num>`.

    >>> tokenise_text("Name 3 C++ libraries!")
    ['name', '<num>', 'c++', 'libraries', '!']
    """
    # Cut twice: the first cut spares long texts the search, the second one decides.
    beginning = text[:MAX_CHARACTERS]
    return _WORDS.split_text(beginning.lower())[:MAX_WORDS]


def _build_n_grams(words: Sequence[str]) -> list[str]:
    """Return words, pairs of neighbours, and the first two words marked as such.

    >>> _build_n_grams(["name", "two"])
    ['name', 'two', 'name two', '^name', '^two', '^^name two']
    """
    pairs = [f"{left} {right}" for left, right in pairwise(words)]
    first_two = words[:2]
    opening = " ".join(first_two)
    return [
        *words,
        *pairs,
        *(f"^{word}" for word in first_two),
        f"^^{opening}",
    ]


def learn_vocabulary(
    texts: Sequence[Sequence[str]],
    min_texts: int = 2,
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return the n-grams of `min_texts` word lists or more, sorted, and their idf weights.

    The weight of an n-gram is ln((1 + n) / (1 + df)) + 1, with n texts and df of them holding it.
    """
    n_texts = len(texts)
    document_counts: Counter[str] = Counter()
    for words in texts:
        # An n-gram counts once per text.
        distinct = set(_build_n_grams(words))
        document_counts.update(distinct)

    n_grams: list[str] = []
    weights: list[float] = []
    for n_gram in sorted(document_counts):
        document_count = document_counts[n_gram]
        if document_count < min_texts:
            continue
        inverse_frequency = (1 + n_texts) / (1 + document_count)
        weight = math.log(inverse_frequency) + 1
        n_grams.append(n_gram)
        weights.append(weight)
    return (
        n_grams,
        np.array(weights, dtype=np.float32),
    )


class NGramTable(NamedTuple):
    """N-grams by the numbers of their words.

    `names` are the n-grams, whose places are the columns. `words` numbers their words from 1 on. By
    a word's number, `single`, `first` and `alone` hold the column of the word, of it as one of the
    first two, and of a text of nothing else, -1 for none. Pairs of words have ascending `keys` and
    their columns, see `_key_pairs`. `empty` is the column of an empty text.
    """

    names: tuple[str, ...]
    words: dict[str, int]
    single: Numbers
    first: Numbers
    alone: Numbers
    keys: Numbers
    columns: Numbers
    empty: int

    @classmethod
    def build(cls, names: Sequence[str]) -> NGramTable:
        """Build the table of n-grams as `_build_n_grams` writes them."""
        words: dict[str, int] = {}

        def number(word: str) -> int:
            return words.setdefault(word, len(words) + 1)

        # Of each n-gram that is one word: its column by what it may mean
        places: dict[str, list[tuple[int, int]]] = {"": [], "^": [], "^^": []}
        pairs: list[tuple[int, int, int, int]] = []
        for column, name in enumerate(names):
            left, _, right = name.partition(" ")
            # "^" is a word, too, so that a name may have two meanings.
            for mark, listed in places.items():
                if not left.startswith(mark):
                    continue
                first_word = number(left.removeprefix(mark))
                if not right:
                    listed.append((first_word, column))
                elif mark != "^":
                    opens = len(mark) // 2
                    pairs.append((opens, first_word, number(right), column))
        columns_by_word = []
        for listed in places.values():
            columns = np.full(len(words) + 1, -1, dtype=np.int64)
            for word, column in listed:
                columns[word] = column
            columns_by_word.append(columns)
        are_opening, left_words, right_words, pair_columns = (
            np.array(pairs, dtype=np.int64).reshape(-1, 4).T
        )
        keys = _key_pairs(len(words) + 1, are_opening, left_words, right_words)
        order = np.argsort(keys)
        single, first, alone = columns_by_word
        return cls(
            names=tuple(names),
            words=words,
            single=single,
            first=first,
            alone=alone,
            # The last one is larger than any other, so that each search finds a place.
            keys=np.append(keys[order], np.iinfo(np.int64).max),
            columns=np.append(pair_columns[order], -1),
            empty=names.index("^^") if "^^" in names else -1,
        )

    def number_words(self, texts: Sequence[Sequence[str]]) -> Runs:
        """Number the words of texts, 0 for a word of no n-gram."""
        return number_parts(texts, self.words)

    def number_chunks(self, chunks: Sequence[str]) -> tuple[Numbers, Numbers]:
        """The numbers of the words of chunks in small letters, and how many each has."""
        numbers, counts = self.number_words(list(map(_split_chunk, chunks)))
        return numbers, counts

    def list_columns(self, texts: Runs) -> tuple[Numbers, Numbers]:
        """List the n-grams of texts in any order: the text and the column of each."""
        numbers, counts = texts
        text = texts.texts
        starts = np.cumsum(counts) - counts
        (begun,) = np.nonzero(counts)
        (longer,) = np.nonzero(counts > 1)
        (single,) = np.nonzero(counts == 1)
        (empty,) = np.nonzero(counts == 0)
        second = starts[longer] + 1
        (right,) = np.nonzero(text[1:] == text[:-1])
        right += 1
        listed = (
            (text, self.single[numbers]),
            (text[right], self._find_pairs(0, numbers, right)),
            (begun, self.first[numbers[starts[begun]]]),
            (longer, self.first[numbers[second]]),
            (longer, self._find_pairs(1, numbers, second)),
            (single, self.alone[numbers[starts[single]]]),
            (empty, np.full(len(empty), self.empty)),
        )
        text_of_each = np.concatenate([rows for rows, _ in listed])
        column = np.concatenate([columns for _, columns in listed])
        (known,) = np.nonzero(column >= 0)
        return text_of_each[known], column[known]

    def _find_pairs(self, opens: int, numbers: Numbers, right: Numbers) -> Numbers:
        """The columns of the words at the places `right` with those before them, -1 for none."""
        keys = _key_pairs(len(self.single), opens, numbers[right - 1], numbers[right])
        places = np.searchsorted(self.keys, keys)
        return np.where(self.keys[places] == keys, self.columns[places], -1)


def _key_pairs(
    n_words: int, opens: int | Numbers, left: Numbers, right: Numbers
) -> Numbers:
    """A number for each pair of words, and another one if it opens a text."""
    return np.asarray((opens * n_words + left) * n_words + right)


def tf_idf_matrix(
    texts: Runs,
    table: NGramTable,
    weights: npt.NDArray[np.float32],
) -> sp.csr_array:
    """Compute the tf-idf of numbered words: sparse float32 of shape (texts, n-grams).

    An entry is (1 + ln count) * weight, and each row is scaled to length 1 (or empty).
    """
    n_texts = len(texts.counts)
    n_columns = len(table.names)
    row, column = table.list_columns(texts)
    # One cell per text and n-gram, in the order of the texts, then of the columns.
    distinct, counts = sorted_keys.count_distinct(row * n_columns + column)
    text, column = np.divmod(distinct, max(n_columns, 1))
    frequencies = 1 + np.log(counts)
    values = frequencies * weights[column]
    squares = np.bincount(
        text,
        values**2,
        minlength=n_texts,
    )
    values /= np.sqrt(squares)[text]
    n_by_text = np.bincount(text, minlength=n_texts)
    ends = np.concatenate([[0], np.cumsum(n_by_text)])
    return sp.csr_array(
        (
            values.astype(np.float32),
            column.astype(np.int32),
            ends.astype(np.int32),
        ),
        shape=(n_texts, n_columns),
    )
