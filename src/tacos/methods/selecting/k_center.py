"""k-center greedy on embeddings: each time the row farthest from all that are taken (Gonzalez 1985;
Sener & Savarese 2018).

The largest distance of any row to the nearest one taken is at most twice the best possible. It
knows nothing of quality, and takes outliers first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def rank_by_distance(
    vectors: npt.NDArray[np.float32], n: int, seed: int, start: npt.ArrayLike = ()
) -> npt.NDArray[np.int64]:
    """At most n row numbers in the order taken, not counting `start`, rows that are in already.

    `vectors` are unit vectors, shape (rows, dim). Without `start` the first row is drawn by chance.
    A row that equals one taken (distance 0) is taken only after all others.
    """
    nearest = np.full(len(vectors), -np.inf, np.float32)
    there = np.asarray(start, np.int64)
    for one in there:
        np.maximum(nearest, vectors @ vectors[one], out=nearest)
    free = np.ones(len(vectors), bool)
    free[there] = False
    taken: list[int] = []
    while len(taken) < n and free.any():
        first = not taken and not len(there)
        one = (
            int(np.random.default_rng(seed).integers(len(vectors)))
            if first
            else _find_farthest(nearest, free)
        )
        taken.append(one)
        free[one] = False
        np.maximum(nearest, vectors @ vectors[one], out=nearest)
    return np.array(taken, np.int64)


def _find_farthest(nearest: npt.NDArray[np.float32], free: npt.NDArray[np.bool_]) -> int:
    """The free row whose largest cosine to a row taken is least; of equals the one with the lowest
    number.
    """
    return int(np.argmin(np.where(free, nearest, np.float32(np.inf))))
