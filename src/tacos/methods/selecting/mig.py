"""Select by MIG: greedily, the rows that add most information to a graph of tags.

After arXiv 2504.13835. A row spreads its score over its tags, v = score / n_tags on each, and each
tag passes some of it on to similar tags: P has an entry where the cosine of two tags is at least
0.9 (1 on the diagonal), with columns normalised to sum 1. With x the sum of v P over the rows
taken, the next row is the one with the largest

    gain = (v P) . phi'(x),    phi'(x) = 0.8 (x + 1e-6)^-0.2

phi is concave, so gains only fall as rows are taken, and an old gain is an upper bound of the
present one. The lazy greedy used here computes the gains of all rows, keeps the best few thousand
up to date, and takes rows from these as long as the best of them is at least the bound of every
other row; then it computes all again. It takes what plain greedy takes (ties: the lower row
number), in a fraction of the time.

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
"""Gains closer than this, relative to their size, are equal: rounding depends on the order of a sum
and changes their last digits.
"""


# The graph of tags


def propagation_matrix(
    vectors: npt.NDArray[np.floating[Any]],
    edge: float = EDGE,
    block: int = 2048,
) -> Any:
    """P, sparse, shape (tags, tags); columns sum to 1.

    `vectors` are the tags' unit vectors, shape (tags, dim). All cosines at once would be a dense
    matrix of tags x tags, so `block` rows are done at a time.
    """
    n = len(vectors)
    row_parts = []
    column_parts = []
    value_parts = []
    for start in range(0, n, block):
        cosine = vectors[start : start + block] @ vectors.T
        rows, columns = np.nonzero(cosine >= edge)
        # The diagonal is left out here and set to 1 below: rounding leaves a cosine just off 1.
        row = rows + start
        off_diagonal = row != columns
        values = cosine[rows, columns].astype(np.float64)
        row_parts.append(row[off_diagonal])
        column_parts.append(columns[off_diagonal])
        value_parts.append(values[off_diagonal])

    places = (np.concatenate(row_parts), np.concatenate(column_parts))
    all_values = np.concatenate(value_parts)
    graph = csr_array((all_values, places), shape=(n, n))
    with_diagonal = csr_array(graph + identity(n, format="csr"))
    column_sums = with_diagonal.sum(axis=0)
    return csr_array(with_diagonal / column_sums)


def information_matrix(
    tags: Any,
    scores: npt.ArrayLike,
    spread: Any | None = None,
) -> Any:
    """V with a row v P for every sample, sparse, shape (samples, tags).

    `tags` is 0/1 of that shape, sparse; `scores` has shape (samples,); `spread` is P (None: no
    similar tags).
    """
    score_array = np.asarray(scores, np.float64)
    positive_scores = np.maximum(score_array, 0.0)
    # A sample's score is shared out evenly over its tags; 1 stands in where there are none.
    tags_of_sample = np.diff(tags.indptr)
    divisor = np.maximum(tags_of_sample, 1)
    share = positive_scores / divisor
    values = np.repeat(share, tags_of_sample)
    entries = (values, tags.indices, tags.indptr)
    own = csr_array(
        entries,
        shape=tags.shape,
    )
    if spread is None:
        return own
    return csr_array(own @ spread)


def information_slope(x: Floats) -> Floats:
    """phi' of the information gathered per tag, shape (tags,)."""
    return np.asarray(POWER * (x + EPSILON) ** (POWER - 1))


# Lazy greedy


def take_informative(
    rows: Any,
    n: int,
    start: Floats | None = None,
    pool: int = 8192,
) -> Ints:
    """The numbers of n rows of V in the order taken, fewer if fewer have any information.

    `start` is the information already gathered (of must-keep rows), shape (tags,). `pool` is the
    number of rows kept up to date at once; it does not change the result.
    """
    x = np.zeros(rows.shape[1])
    if start is not None:
        x = start.astype(np.float64).copy()
    n_entries = np.diff(rows.indptr)
    free = n_entries > 0
    taken: list[int] = []
    while len(taken) < n and free.any():
        slope = information_slope(x)
        gains = np.where(free, rows @ slope, -np.inf)
        held, bound = _find_top_gains(gains, pool)
        n_left = n - len(taken)
        places = _drain_candidates(
            rows[held],
            gains[held],
            bound,
            x,
            n_left,
        )
        drained = held[places]
        rows_drained = drained.tolist()
        taken += rows_drained
        free[drained] = False
    return np.array(taken, np.int64)


def _find_top_gains(
    gains: Floats,
    pool: int,
) -> tuple[Ints, float]:
    """The rows with the largest gains, ascending by number, and the largest gain of other rows.

    Of rows with equal gains those with the lowest numbers are held.
    """
    is_free = gains > -np.inf
    if int(is_free.sum()) <= pool:
        return np.flatnonzero(is_free), -np.inf
    # The least of the `pool` largest gains, in linear time. Near it rounding must not decide.
    least = np.partition(gains, -pool)[-pool]
    lower = least * (1 - TIE)
    upper = least * (1 + TIE)
    is_above = gains > upper
    is_equal = (gains >= lower) & (gains <= upper)
    above = np.flatnonzero(is_above)
    equal = np.flatnonzero(is_equal)

    # Rows of equal gain fill what room those above leave, the lowest numbers first.
    n_room = pool - len(above)
    fitting = equal[:n_room]
    held = np.sort(np.concatenate([above, fitting]))

    others = gains.copy()
    others[held] = -np.inf
    return held, float(others.max())


def _find_largest_gain(gains: Floats) -> int:
    """The lowest number of a row with the largest gain, whatever rounding makes of it.

    Gains are positive, or minus infinity for rows that are taken.
    """
    largest = gains.max()
    if largest == -np.inf:
        return 0
    # Gains that differ by rounding only count as equal.
    factor = 1 - TIE
    limit = largest * factor
    is_largest = gains >= limit
    first = np.argmax(is_largest)
    return int(first)


def _drain_candidates(
    rows: Any,
    gains: Floats,
    bound: float,
    x: Floats,
    n: int,
) -> list[int]:
    """Take from the held rows, at most n, while the best of them is above `bound`.

    The first is taken in any case: it is the best of all rows. x is brought up to date in place.
    """
    by_tag = rows.tocsc()
    slope = information_slope(x)
    gains = gains.copy()
    taken: list[int] = []
    while len(taken) < min(n, len(gains)):
        row = _find_largest_gain(gains)
        if gains[row] == -np.inf:
            break
        if taken and gains[row] <= bound * (1 + TIE):
            break
        taken.append(row)
        gains[row] = -np.inf

        # Only the row's own tags change, so only rows that share one of them lose gain.
        span = slice(rows.indptr[row], rows.indptr[row + 1])
        tags = rows.indices[span]
        x[tags] += rows.data[span]
        new_slope = information_slope(x[tags])
        falls = slope[tags] - new_slope
        for tag, fall in zip(tags.tolist(), falls.tolist(), strict=True):
            carriers = slice(by_tag.indptr[tag], by_tag.indptr[tag + 1])
            gains[by_tag.indices[carriers]] -= fall * by_tag.data[carriers]
        slope[tags] = new_slope
    return taken


def take_informative_plainly(
    rows: Any,
    n: int,
) -> Ints:
    """What `take_informative` takes, by computing every gain before every choice.

    This is the definition, for tests, benchmarks and small pools.
    """
    x = np.zeros(rows.shape[1])
    free = np.diff(rows.indptr) > 0
    taken: list[int] = []
    while len(taken) < n and free.any():
        slope = information_slope(x)
        gains = np.where(free, rows @ slope, -np.inf)
        row = _find_largest_gain(gains)
        taken.append(row)
        free[row] = False

        # x gains what the row adds to each of its tags.
        start = rows.indptr[row]
        end = rows.indptr[row + 1]
        tags = rows.indices[start:end]
        x[tags] += rows.data[start:end]
    return np.array(taken, np.int64)
