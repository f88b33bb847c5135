"""Tiny and giant clusters: a giant one is split by a second K-means, a tiny one is merged into the
nearest.

A cluster is giant where it has more than the share `largest` of all samples; it is split, once,
into as many parts as would bring each down to that share, over its own tags (or samples). A cluster
of one tag cannot be split. After that, clusters with fewer than `smallest` samples are merged until
there is none: all the tags of one go to the nearest of the clusters that are large enough (its
weighted mean to theirs); where samples are clustered by embedding the centre is dropped, so that
its samples go each to the nearest one that is left. One cluster always stays.

What it does not know: whether a small topic matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.clusters import kmeans_clusters
from tacos.methods.clusters.kmeans_clusters import Ints, Vectors

Count = Callable[[pl.DataFrame], Mapping[int, int]]
"""From tag, cluster, count to the samples of each cluster."""


def resize_tag_clusters(
    table: pl.DataFrame,
    vectors: Vectors,
    n_of: Count,
    n_samples: int,
    smallest: int,
    largest: float,
    seed: int,
) -> pl.DataFrame:
    """Clusters of tags (tag, cluster, count; a vector per row) without giant and tiny ones.

    `smallest` 0 and `largest` 1 leave them as they are.
    """
    if largest < 1 and table.height:
        table = _split_giants(table, vectors, n_of(table), largest * n_samples, seed)
    while smallest > 0 and table.height:
        sizes = n_of(table)
        tiny = _find_tiny_clusters(
            {cluster: sizes.get(cluster, 0) for cluster in table["cluster"].unique().sort()},
            smallest,
        )
        if not tiny:
            break
        table = _merge_tiny_clusters(table, vectors, tiny)
    return table


def _find_tiny_clusters(sizes: Mapping[int, int], smallest: int) -> set[int]:
    """The clusters with fewer samples; never all of them: the largest stays."""
    kept = max(sizes, key=lambda cluster: (sizes[cluster], -cluster))
    return {cluster for cluster, size in sizes.items() if size < smallest and cluster != kept}


def _split_giants(
    table: pl.DataFrame, vectors: Vectors, sizes: Mapping[int, int], most: float, seed: int
) -> pl.DataFrame:
    """The table with the clusters of more than `most` samples split."""
    labels = table["cluster"].to_numpy().astype(np.int64)
    weights = table["count"].to_numpy().astype(np.float64)
    following = int(labels.max()) + 1
    for cluster in sorted(sizes):
        if sizes[cluster] > most:
            rows = np.flatnonzero(labels == cluster)
            parts = kmeans_clusters.label_by_kmeans(
                vectors[rows], math.ceil(sizes[cluster] / most), weights[rows], seed
            )
            labels[rows] = np.where(parts == 0, cluster, following + parts - 1)
            following += int(parts.max())
    return table.with_columns(pl.Series("cluster", labels, dtype=pl.UInt32))


def _merge_tiny_clusters(table: pl.DataFrame, vectors: Vectors, tiny: set[int]) -> pl.DataFrame:
    """The table with each tiny cluster merged into the nearest of the others."""
    labels = table["cluster"].to_numpy().astype(np.int64)
    numbers = np.unique(labels)
    centres = _average_clusters(
        labels, vectors, table["count"].to_numpy().astype(np.float64), numbers
    )
    large = ~np.isin(numbers, list(tiny))
    goal = numbers[large][kmeans_clusters.find_nearest_centre(centres, centres[large])]
    moved = np.where(large, numbers, goal)[np.searchsorted(numbers, labels)]
    return table.with_columns(pl.Series("cluster", moved, dtype=pl.UInt32))


def _average_clusters(
    labels: Ints, vectors: Vectors, weights: npt.NDArray[np.float64], numbers: Ints
) -> Vectors:
    """The weighted mean of each cluster, shape (clusters, dim)."""
    found = [
        np.average(vectors[labels == number], axis=0, weights=weights[labels == number])
        for number in numbers
    ]
    return np.array(found, np.float32)


def resize_centres(
    centres: Vectors, vectors: Vectors, smallest: float, largest: float, seed: int
) -> Vectors:
    """Centres of samples without giant and tiny ones, judged by the samples drawn (`vectors`).

    `smallest` is a number of the samples drawn, `largest` a share of them.
    """
    labels = kmeans_clusters.find_nearest_centre(vectors, centres)
    sizes = np.bincount(labels, minlength=len(centres))
    parts = []
    for number, size in enumerate(sizes.tolist()):
        if size > largest * len(vectors):
            n_parts = math.ceil(size / (largest * len(vectors)))
            parts.append(
                kmeans_clusters.fit_kmeans_centres(vectors[labels == number], n_parts, seed)
            )
        else:
            parts.append(centres[number : number + 1])
    return _drop_tiny_centres(np.concatenate(parts), vectors, smallest)


def _drop_tiny_centres(centres: Vectors, vectors: Vectors, smallest: float) -> Vectors:
    """Centres less the smallest one with fewer rows, again and again until there is none."""
    while len(centres) > 1:
        sizes = np.bincount(
            kmeans_clusters.find_nearest_centre(vectors, centres), minlength=len(centres)
        )
        least = int(np.argmin(sizes))
        if sizes[least] >= smallest:
            break
        centres = np.delete(centres, least, axis=0)
    return centres
