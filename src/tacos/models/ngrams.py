"""Splits texts into words and computes the tagger's tf-idf features over n-grams.

The features are word unigrams and bigrams, and how a text begins. Each Chinese character and kana
counts as a word. All numbers are one and the same word. Only the first `MAX_WORDS` words are read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise, repeat

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tacos.models.chunk_memory import ChunkMemory

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


def tf_idf_matrix(
    texts: Sequence[Sequence[str]],
    columns: Mapping[str, int],
    weights: npt.NDArray[np.float32],
) -> sp.csr_array:
    """Compute the tf-idf of word lists: sparse float32 of shape (len(texts), len(columns)).

    An entry is (1 + ln count) * weight, and each row is scaled to length 1 (or empty).
    """
    n_grams = [_build_n_grams(words) for words in texts]
    lengths = np.array([len(own) for own in n_grams], dtype=np.int64)
    numbers = np.fromiter(
        map(columns.get, chain.from_iterable(n_grams), repeat(-1)),
        dtype=np.int64,
        count=int(lengths.sum()),
    )

    # One cell per text and n-gram, in the order of the texts, then of the columns.
    n_columns = len(columns)
    is_known = numbers >= 0
    rows = np.repeat(np.arange(len(texts)) * n_columns, lengths)
    distinct, counts = np.unique((rows + numbers)[is_known], return_counts=True)
    text, column = np.divmod(distinct, max(n_columns, 1))
    frequencies = 1 + np.log(counts)
    values = frequencies * weights[column]
    squares = np.bincount(
        text,
        values**2,
        minlength=len(texts),
    )
    values /= np.sqrt(squares)[text]
    n_by_text = np.bincount(text, minlength=len(texts))
    ends = np.concatenate([[0], np.cumsum(n_by_text)])
    return sp.csr_array(
        (
            values.astype(np.float32),
            column.astype(np.int32),
            ends.astype(np.int32),
        ),
        shape=(len(texts), n_columns),
    )
