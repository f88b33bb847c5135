"""Rank by CaR, clustering and ranking (arXiv 2402.18191): the best of each cluster, then the rest.

K-means over sentence embeddings with k = sqrt(N / 2). The best row of each cluster comes first,
whatever its level, then the best rows left. With the authors' 1,000 rows + one per cluster on
Alpaca this is their selection.

Quality here is whatever score the pool has, not the ranking model of CaR.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import longest

BATCH = 4096


def rank_by_car(
    quality: npt.ArrayLike,
    vectors: npt.NDArray[np.float32],
    seed: int,
    k: int | None = None,
) -> npt.NDArray[np.int64]:
    """The row numbers, the best of each cluster first; rows without a quality are left out.

    `quality` has shape (rows,), `vectors` (rows, dim); `k` is sqrt(rows / 2) unless given. The best
    of the clusters are in order of quality, and so are the rows after them.
    """
    numbers = np.asarray(quality, np.float64)
    ranked = longest.rank_by_value(numbers, seed)
    labels = _cluster_rows(vectors, seed, k)
    # The first place of each label in the ranking is the best row of that cluster.
    ranked_labels = labels[ranked]
    _, best_places = np.unique(ranked_labels, return_index=True)
    is_best = np.zeros(len(ranked), bool)
    is_best[best_places] = True
    # Masks keep the order of the ranking on both sides.
    best = ranked[is_best]
    others = ranked[~is_best]
    return np.concatenate([best, others])


def _cluster_rows(
    vectors: npt.NDArray[np.float32],
    seed: int,
    k: int | None,
) -> npt.NDArray[np.int64]:
    """The cluster of each row, shape (rows,)."""
    n_rows = len(vectors)
    if n_rows == 0:
        return np.zeros(0, np.int64)
    wanted = k or max(1, math.isqrt(n_rows // 2))
    distinct = np.unique(vectors, axis=0)
    n_clusters = min(wanted, len(distinct))
    # Takes a second to import.
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(
        n_clusters,
        batch_size=BATCH,
        n_init=1,
        random_state=seed,
        max_iter=20,
    )
    return np.asarray(model.fit_predict(vectors), np.int64)
