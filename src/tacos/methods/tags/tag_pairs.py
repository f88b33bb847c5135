"""Finds pairs of tags that may mean the same: by near vectors, by shared words, by initials.

The search is generous, as it only says which pairs are looked at more closely. A pair is a
candidate if its cosine is at least `NEAR`, or at least `NEAR_WITH_WORDS` where the tags share a
word (its stem), or if one tag is made of the initials of the other ("NLP"). Each tag keeps its
`N_NEAREST` nearest. Memory is bounded by blocks; the time grows with the square of the number of
tags, at about 10 s for 30,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse
from threadpoolctl import threadpool_limits

from tacos.methods.tags import semantic_merging, stem_keys
from tacos.records import TAG_PAIRS

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

NEAR = 0.6
NEAR_WITH_WORDS = 0.45
N_NEAREST = 10
BLOCK = 256
"""Rows of a block of cosines."""
N_DIGITS = 4
"""Decimals of a cosine that count: the others depend on the processor."""


def find_candidate_pairs(
    names: Sequence[str],
    vectors: Floats,
    signs: bool,
) -> pl.DataFrame:
    """Candidate pairs by `TAG_PAIRS`, sorted; left is the smaller string.

    `names` are distinct; `vectors`, shape (names, dim), have length 1, or 0 for a name without
    words.
    """
    stems = [set(key.split()) for key in stem_keys.stem_tags(names, signs)]
    near = _find_near_pairs(vectors, _build_word_matrix(stems))
    initials = _find_initials(names, signs)
    pairs = np.unique(np.concatenate([near, initials]), axis=0)
    cosines = semantic_merging.pair_cosines(vectors, pairs[:, 0], pairs[:, 1])
    rows = []
    for (row, other), cosine in zip(
        pairs.tolist(),
        cosines.tolist(),
        strict=True,
    ):
        left, right = sorted((names[row], names[other]))
        rows.append((left, right, round(cosine, N_DIGITS)))
    table = pl.DataFrame(rows, TAG_PAIRS, orient="row")
    return table.sort("left", "right")


def limit_pairs(
    pairs: pl.DataFrame,
    counts: Mapping[str, int],
    n: int,
) -> pl.DataFrame:
    """The `n` pairs that matter most: near ones, of tags that are often seen.

    A pair is worth its cosine times the logarithm of the rarer tag's count.
    """
    if pairs.height <= n:
        return pairs
    worth = []
    for left, right, cosine in pairs.iter_rows():
        rarer = min(counts[left], counts[right])
        worth.append(round(cosine * (1 + np.log2(rarer)), N_DIGITS))
    ranked = pairs.with_columns(worth=pl.Series(worth, dtype=pl.Float64))
    best = ranked.sort("worth", "left", "right", descending=[True, False, False])
    return best.head(n).drop("worth").sort("left", "right")


# By vectors and words


def _build_word_matrix(stems: Sequence[set[str]]) -> sparse.csr_array:
    """Names x stems, ones where a name has a stem."""
    distinct = sorted(set().union(*stems))
    numbers = {stem: number for number, stem in enumerate(distinct)}
    rows = []
    columns = []
    for row, of_name in enumerate(stems):
        rows += [row] * len(of_name)
        columns += [numbers[stem] for stem in of_name]
    ones = np.ones(len(rows), np.float32)
    shape = (len(stems), len(distinct))
    return sparse.coo_array((ones, (rows, columns)), shape=shape).tocsr()


def _find_near_pairs(
    vectors: Floats,
    words: sparse.csr_array,
) -> Ints:
    """Pairs of rows (smaller, larger) that are near, shape (pairs, 2)."""
    transposed = words.T.tocsr()
    found = [np.zeros((0, 2), np.int64)]
    # One thread of BLAS, so that the last bits do not depend on the number of cores.
    with threadpool_limits(1, user_api="blas"):
        for start in range(0, len(vectors), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(vectors)))
            cosines = np.round(vectors[rows] @ vectors.T, N_DIGITS)
            shared = (words[rows] @ transposed).tocoo()
            is_near = cosines >= NEAR
            has_words = cosines[shared.row, shared.col] >= NEAR_WITH_WORDS
            is_near[shared.row[has_words], shared.col[has_words]] = True
            is_near[rows - start, rows] = False
            found.append(_take_nearest(rows, cosines, is_near))
    pairs = np.concatenate(found)
    pairs.sort(axis=1)
    return np.unique(pairs, axis=0)


def _take_nearest(
    rows: Ints,
    cosines: Floats,
    is_near: npt.NDArray[np.bool_],
) -> Ints:
    """Up to `N_NEAREST` near pairs of each row of a block, shape (pairs, 2)."""
    places, others = np.nonzero(is_near)
    # Within a row the nearest first, then by number.
    order = np.lexsort((others, -cosines[places, others], places))
    places, others = places[order], others[order]
    starts = np.searchsorted(places, np.arange(len(rows)))
    ranks = np.arange(len(places)) - starts[places]
    kept = ranks < N_NEAREST
    return np.stack([rows[places[kept]], others[kept]], axis=1)


# By initials


def _find_initials(
    names: Sequence[str],
    signs: bool,
) -> Ints:
    """Pairs of a tag of one word and tags whose words begin with its letters, shape (pairs, 2)."""
    words = [stem_keys.split_tag_words(name, signs) for name in names]
    short: dict[str, list[int]] = {}
    for row, of_name in enumerate(words):
        if len(of_name) == 1:
            short.setdefault(of_name[0], []).append(row)
    pairs = []
    for row, of_name in enumerate(words):
        initials = "".join(word[0] for word in of_name)
        if len(of_name) > 1:
            pairs += [sorted((row, other)) for other in short.get(initials, [])]
    return np.array(pairs, np.int64).reshape(-1, 2)
