"""Words of a text and the n-grams that the tagger reads: tf-idf over word uni- and bigrams, and how
a text begins.

Chinese and Japanese characters count as words of their own. Numbers are one and the same word. Only
the first `MAX_WORDS` words are read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

WORD = re.compile(
    r"[^\W\d_\u3040-\u30ff\u4e00-\u9fff]+(?:['+#.-][^\W\d_]+)*[+#]*|\d+|[\u3040-\u30ff\u4e00-\u9fff]|[^\w\s]"
)
MAX_WORDS = 200
NUMBER = "<num>"


def tokenise_text(text: str) -> list[str]:
    """The words of a text in lower case; every run of digits is `<num>`, punctuation counts.

    >>> tokenise_text("Name 3 C++ libraries!")
    ['name', '<num>', 'c++', 'libraries', '!']
    """
    words = WORD.findall(text[: 20 * MAX_WORDS].lower())[:MAX_WORDS]
    return [NUMBER if word[0].isdigit() else word for word in words]


def _build_n_grams(words: Sequence[str]) -> list[str]:
    """Words, pairs of neighbours, and the first two words marked as such.

    >>> _build_n_grams(["name", "two"])
    ['name', 'two', 'name two', '^name', '^two', '^^name two']
    """
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    return [*words, *pairs, *(f"^{word}" for word in words[:2]), f"^^{' '.join(words[:2])}"]


def learn_vocabulary(
    texts: Sequence[Sequence[str]], min_texts: int = 2
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The n-grams that stand in `min_texts` word lists or more, sorted, and ln((1 + n) / (1 + df))
    + 1 of each.
    """
    found = Counter(gram for words in texts for gram in set(_build_n_grams(words)))
    grams = sorted(gram for gram, count in found.items() if count >= min_texts)
    weights = [math.log((1 + len(texts)) / (1 + found[gram])) + 1 for gram in grams]
    return grams, np.array(weights, dtype=np.float32)


def tf_idf_matrix(
    texts: Sequence[Sequence[str]], columns: Mapping[str, int], weights: npt.NDArray[np.float32]
) -> sp.csr_array:
    """Sparse float32 (len(texts), len(columns)): (1 + ln count) * weight, each row of length 1 (or
    empty).
    """
    data: list[float] = []
    indices: list[int] = []
    ends = [0]
    for words in texts:
        counts = Counter(columns[gram] for gram in _build_n_grams(words) if gram in columns)
        row = [
            (column, (1 + math.log(n)) * float(weights[column]))
            for column, n in sorted(counts.items())
        ]
        length = math.sqrt(sum(value * value for _, value in row))
        indices += [column for column, _ in row]
        data += [value / length for _, value in row]
        ends.append(len(data))
    shape = (len(texts), len(columns))
    arrays = (
        np.array(data, dtype=np.float32),
        np.array(indices, dtype=np.int32),
        np.array(ends, dtype=np.int32),
    )
    return sp.csr_array(arrays, shape=shape)
