"""Rank by k-center greedy on embeddings: each time the row farthest from all that are taken.

The largest distance of any row to the nearest one taken is at most twice the best possible
(Gonzalez 1985; Sener and Savarese 2018, arXiv 1708.00489).

What it does not know: quality. It takes outliers first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def rank_by_distance(
    vectors: Vectors,
    n: int,
    seed: int,
    start: npt.ArrayLike = (),
) -> npt.NDArray[np.int64]:
    """At most n row numbers in the order taken, without `start`, rows that are in already.

    `vectors` are unit vectors, shape (rows, dim). Without `start` the first row is drawn by chance.
    A row that equals one taken (distance 0) is taken only after all others.
    """
    given = np.asarray(start, np.int64)
    free = np.ones(len(vectors), bool)
    free[given] = False
    # The largest cosine to a row taken, shape (rows,), brought up to date with each row.
    nearest = np.full(len(vectors), -np.inf, np.float32)
    for row in given:
        _bring_up_to_date(nearest, vectors, row)

    taken: list[int] = []
    while len(taken) < n and free.any():
        if not taken and not len(given):
            row = int(np.random.default_rng(seed).integers(len(vectors)))
        else:
            row = _find_farthest(nearest, free)
        taken.append(row)
        free[row] = False
        _bring_up_to_date(nearest, vectors, row)
    return np.array(taken, np.int64)


def _bring_up_to_date(
    nearest: Vectors,
    vectors: Vectors,
    row: int,
) -> None:
    """Note in `nearest`, in place, that a row was taken."""
    cosines = vectors @ vectors[row]
    np.maximum(nearest, cosines, out=nearest)


def _find_farthest(
    nearest: Vectors,
    free: npt.NDArray[np.bool_],
) -> int:
    """The free row whose largest cosine to a row taken is least (ties: the lowest number)."""
    of_free_rows = np.where(free, nearest, np.float32(np.inf))
    return int(np.argmin(of_free_rows))
