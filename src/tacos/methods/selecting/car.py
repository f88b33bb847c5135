"""CaR, clustering and ranking (arXiv 2402.18191): the best of all, and the best of each cluster
whatever its level.

K-means over sentence embeddings with k = sqrt(N / 2); the best row of each cluster comes first,
then the best rows left. With their 1,000 + one per cluster on Alpaca that is their selection but
for the number asked for.

Quality here is whatever score the pool has, not the ranking model of CaR.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import longest

BATCH = 4096


def rank_by_car(
    quality: npt.ArrayLike, vectors: npt.NDArray[np.float32], seed: int, k: int | None = None
) -> npt.NDArray[np.int64]:
    """The row numbers, the best of each cluster first; rows without a quality are left out.

    `vectors` has shape (rows, dim); `k` is sqrt(rows / 2) unless given. A cluster's best rows are
    in order of quality.
    """
    numbers = np.asarray(quality, np.float64)
    ranked = longest.rank_by_value(numbers, seed)
    labels = _cluster_rows(vectors, seed, k)[ranked]
    _, first = np.unique(labels, return_index=True)
    is_best = np.zeros(len(ranked), bool)
    is_best[first] = True
    return np.concatenate([ranked[is_best], ranked[~is_best]])


def _cluster_rows(
    vectors: npt.NDArray[np.float32], seed: int, k: int | None = None
) -> npt.NDArray[np.int64]:
    """The cluster of each row."""
    if not len(vectors):
        return np.zeros(0, np.int64)
    wanted = k or max(1, math.isqrt(len(vectors) // 2))
    n_clusters = min(wanted, len(np.unique(vectors, axis=0)))
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import

    model = MiniBatchKMeans(n_clusters, batch_size=BATCH, n_init=1, random_state=seed, max_iter=20)
    return np.asarray(model.fit_predict(vectors), np.int64)
