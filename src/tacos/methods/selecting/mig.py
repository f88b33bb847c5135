"""MIG: the rows that add most information to a graph of tags (arXiv 2504.13835), greedily.

A row spreads its score over its tags, v = score / n_tags on each, and each tag passes on some of it
to similar tags: P has an entry where the cosine of two tags is at least .9 (1 on the diagonal), its
columns normalised to sum 1. With x the sum of v P over the rows taken, the next row is the one with
the largest

    gain = (v P) . phi'(x),    phi'(x) = 0.8 (x + 1e-6)^-0.2

phi is concave, so gains only fall as rows are taken: an old gain is an upper bound of the present
one. The lazy greedy used here computes the gains of all rows, holds the best few thousand up to
date, and takes from these as long as the best of them is at least the bound of every other row;
then it computes all again. It takes what plain greedy takes (ties: the lower row number), in a
fraction of the time.

What it does not know: clusters, lengths, or how certain a score is. Scores below 0 count as 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, identity

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EDGE = 0.9
POWER = 0.8
EPSILON = 1e-6
TIE = 1e-9
"""Gains nearer to each other than this share of them are equal: the order of a sum changes their
last digits.
"""


def propagation_matrix(
    vectors: npt.NDArray[np.floating[Any]], edge: float = EDGE, block: int = 2048
) -> Any:
    """P, sparse, shape (tags, tags), from the tags' unit vectors, shape (tags, dim): columns sum to
    1.
    """
    n = len(vectors)
    parts = []
    for start in range(0, n, block):
        cosine = vectors[start : start + block] @ vectors.T
        rows, columns = np.nonzero(cosine >= edge)
        parts.append((rows + start, columns, np.asarray(cosine[rows, columns], np.float64)))
    rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    graph = csr_array(
        (values[rows != columns], (rows[rows != columns], columns[rows != columns])), shape=(n, n)
    )
    full = csr_array(graph + identity(n, format="csr"))
    return csr_array(full / full.sum(axis=0))


def information_matrix(tags: Any, scores: npt.ArrayLike, spread: Any | None = None) -> Any:
    """V with a row v P for every sample, sparse, shape (samples, tags); `tags` is 0/1 of that
    shape, `scores` (samples,).
    """
    n_tags = np.maximum(np.diff(tags.indptr), 1)
    values = np.repeat(
        np.maximum(np.asarray(scores, np.float64), 0.0) / n_tags, np.diff(tags.indptr)
    )
    plain = csr_array((values, tags.indices, tags.indptr), shape=tags.shape)
    return plain if spread is None else csr_array(plain @ spread)


def information_slope(x: Floats) -> Floats:
    """phi' of the information gathered per tag."""
    return np.asarray(POWER * (x + EPSILON) ** (POWER - 1))


def take_informative(rows: Any, n: int, start: Floats | None = None, pool: int = 8192) -> Ints:
    """The numbers of n rows of V in the order taken (fewer where fewer have any information); lazy
    greedy.

    `start` is the information already gathered, per tag (of must-keep rows). `pool` is the number
    of rows held up to date at once; it does not change the result.
    """
    x = np.zeros(rows.shape[1]) if start is None else start.astype(np.float64).copy()
    free = np.diff(rows.indptr) > 0
    taken: list[int] = []
    while len(taken) < n and free.any():
        gains = np.where(free, rows @ information_slope(x), -np.inf)
        held, bound = _find_top_gains(gains, pool)
        found = _drain_candidates(rows[held], gains[held], bound, x, n - len(taken))
        taken += held[found].tolist()
        free[held[found]] = False
    return np.array(taken, np.int64)


def _find_top_gains(gains: Floats, pool: int) -> tuple[Ints, float]:
    """The rows with the largest gains (of equal ones those with the lowest numbers), ascending by
    number, and the largest gain of any other row.
    """
    n_free = int((gains > -np.inf).sum())
    if n_free <= pool:
        return np.flatnonzero(gains > -np.inf), -np.inf
    least = np.partition(gains, -pool)[-pool]
    above = np.flatnonzero(gains > least * (1 + TIE))
    equal = np.flatnonzero((gains >= least * (1 - TIE)) & (gains <= least * (1 + TIE)))
    held = np.sort(np.concatenate([above, equal[: pool - len(above)]]))
    others = gains.copy()
    others[held] = -np.inf
    return held, float(others.max())


def _find_largest_gain(gains: Floats) -> int:
    """The lowest number of a row with the largest gain (positive, or minus infinity), whatever
    rounding makes of it.
    """
    most = gains.max()
    return int(np.argmax(gains >= most * (1 - TIE))) if most > -np.inf else 0


def _drain_candidates(rows: Any, gains: Floats, bound: float, x: Floats, n: int) -> list[int]:
    """Take from the held rows, at most n, while the best of them is above `bound`; x is brought up
    to date in place.

    The first is taken in any case: it is the best of all rows.
    """
    by_tag, now = rows.tocsc(), information_slope(x)
    gains = gains.copy()
    taken: list[int] = []
    while len(taken) < min(n, len(gains)):
        one = _find_largest_gain(gains)
        if gains[one] == -np.inf or (taken and gains[one] <= bound * (1 + TIE)):
            break
        taken.append(one)
        gains[one] = -np.inf
        span = slice(rows.indptr[one], rows.indptr[one + 1])
        tags = rows.indices[span]
        x[tags] += rows.data[span]
        new = information_slope(x[tags])
        for tag, fall in zip(tags.tolist(), (now[tags] - new).tolist(), strict=True):
            part = slice(by_tag.indptr[tag], by_tag.indptr[tag + 1])
            gains[by_tag.indices[part]] -= fall * by_tag.data[part]
        now[tags] = new
    return taken


def take_informative_plainly(rows: Any, n: int) -> Ints:
    """What `take_informative` takes, by computing every gain before every choice: the definition, for tests and
    small pools.
    """
    x, free = np.zeros(rows.shape[1]), np.diff(rows.indptr) > 0
    taken: list[int] = []
    while len(taken) < n and free.any():
        one = _find_largest_gain(np.where(free, rows @ information_slope(x), -np.inf))
        taken.append(one)
        free[one] = False
        span = slice(rows.indptr[one], rows.indptr[one + 1])
        x[rows.indices[span]] += rows.data[span]
    return np.array(taken, np.int64)
