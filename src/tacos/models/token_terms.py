"""The judge's linear terms: what each token and each pair of neighbouring tokens adds.

A text's tokens are those of the static encoder, so that it is tokenised once for both. Pairs are
hashed to a fixed number of columns. A column's value is (1 + ln count) idf, each text scaled to
length 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tacos.models import sorted_keys

N_COLUMNS = 1 << 16
_BITS_OF_BUCKETS = (1 << 61) - 1
Array = npt.NDArray[np.float64]
Tokens = sp.csr_array
"""Tokens in order, one entry each, see `static_encoder.count_tokens`."""


def count_terms(tokens: Tokens) -> sp.csr_array:
    """Count tokens and hashed pairs of neighbours, as 1 + ln count, of shape (n, N_COLUMNS)."""
    n_texts, n_tokens = tokens.shape
    ids = tokens.indices.astype(np.int64)
    lengths = np.diff(tokens.indptr)
    row_of_token = np.repeat(np.arange(n_texts), lengths)
    # A pair belongs to a text if both of its tokens do.
    is_pair = row_of_token[1:] == row_of_token[:-1]
    left = ids[:-1][is_pair]
    right = ids[1:][is_pair]
    buckets = (left * 1_000_003 + right) * 2_654_435_761 & _BITS_OF_BUCKETS
    # The remainder by a quotient: numpy divides by one number many times faster than it takes `%`.
    n_columns = N_COLUMNS - n_tokens
    pair_columns = n_tokens + buckets - buckets // n_columns * n_columns
    rows = np.concatenate([row_of_token, row_of_token[1:][is_pair]])
    columns = np.concatenate([ids, pair_columns])
    # Sorted, so that sums over a row run in one order.
    keys, counts = sorted_keys.count_distinct(rows * N_COLUMNS + columns)
    rows, columns = keys // N_COLUMNS, keys & (N_COLUMNS - 1)
    ends = np.cumsum(np.bincount(rows, minlength=n_texts))
    return sp.csr_array(
        (
            1 + np.log(counts),
            columns.astype(np.int32),
            np.concatenate([[0], ends]).astype(np.int32),
        ),
        shape=(n_texts, N_COLUMNS),
    )


def weight_terms(counts: sp.csr_array, idf: Array) -> sp.csr_array:
    """Weight counts by idf (N_COLUMNS,) and scale each row to length 1 (or empty)."""
    values = counts.data * idf[counts.indices]
    texts = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    squares = values**2
    # `reduceat` adds up each text's by itself, in an order that their number decides.
    (places,) = np.nonzero(squares)
    starts = sorted_keys.find_starts(texts[places])
    lengths = np.zeros(counts.shape[0])
    if len(starts):
        filled = texts[places[starts]]
        lengths[filled] = np.sqrt(np.add.reduceat(squares[places], starts))
    scale = np.divide(
        1.0,
        lengths,
        out=np.zeros_like(lengths),
        where=lengths > 0,
    )
    values *= scale[texts]
    return sp.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)


def learn_idf(counts: sp.csr_array, min_texts: int = 3) -> Array:
    """Learn ln((1 + n) / (1 + df)) + 1 of each column, 0 if fewer than `min_texts` have it."""
    n_texts = counts.shape[0]
    document_counts = np.bincount(counts.indices, minlength=N_COLUMNS)
    idf = np.log((1 + n_texts) / (1 + document_counts)) + 1
    return np.where(document_counts >= min_texts, idf, 0.0)
