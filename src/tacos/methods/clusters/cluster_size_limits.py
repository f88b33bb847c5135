"""Limit the size of clusters: split giant ones by a second K-means, merge tiny ones.

A cluster is giant if it has more than the share `largest` of all samples. It is split into as many
parts as would bring each down to that share, over its own tags (or samples), and a part that is
still giant once more where clusters are of samples. A cluster of one tag, or of equal samples,
cannot be split. Then clusters with fewer than `smallest` samples are merged until there are
none: all the tags of one go to the nearest of the clusters that are large enough (its weighted mean
to theirs). Where samples are clustered by embedding, the tiny cluster's centre is dropped, so that
each of its samples goes to the nearest centre that is left. One cluster always stays.

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
"""From a table tag, cluster, count to the number of samples of each cluster."""


MAX_SPLITS = 5
"""How often giant clusters of samples are split again."""


def relax_largest(largest: float, k: int) -> float:
    """The largest share that a cluster may have: at least twice the mean share of k clusters.

    >>> relax_largest(0.1, 50), relax_largest(0.1, 5)
    (0.1, 0.4)
    """
    return min(1.0, max(largest, 2 / k))


def relax_smallest(smallest: int, n_samples: int, k: int) -> float:
    """The fewest samples that a cluster may have: at most half the mean size of k clusters.

    >>> relax_smallest(8, 2_000, 50), relax_smallest(8, 40, 5)
    (8.0, 4.0)
    """
    return min(float(smallest), n_samples / (2 * k))


# Clusters of tags


def resize_tag_clusters(
    table: pl.DataFrame,
    vectors: Vectors,
    n_of: Count,
    n_samples: int,
    smallest: float,
    largest: float,
    seed: int,
) -> pl.DataFrame:
    """Clusters of tags without giant and tiny ones.

    `table` has tag, cluster, count; `vectors` has a row for each of its rows, shape (tags, dim).
    `smallest` 0 and `largest` 1 leave the clusters as they are.
    """
    if largest < 1 and table.height:
        most = largest * n_samples
        table = _split_giants(
            table,
            vectors,
            n_of(table),
            most,
            seed,
        )
    # Merging changes which samples a cluster has, so sizes are counted again each time.
    while smallest > 0 and table.height:
        counted = n_of(table)
        clusters = table["cluster"].unique().sort()
        sizes = {cluster: counted.get(cluster, 0) for cluster in clusters}
        tiny = _find_tiny_clusters(sizes, smallest)
        if not tiny:
            break
        table = _merge_tiny_clusters(table, vectors, tiny)
    return table


def _find_tiny_clusters(
    sizes: Mapping[int, int],
    smallest: float,
) -> set[int]:
    """The clusters with fewer samples; never all of them: the largest stays."""
    largest = max(sizes, key=lambda cluster: (sizes[cluster], -cluster))
    return {
        cluster
        for cluster, size in sizes.items()
        if size < smallest and cluster != largest
    }


def _split_giants(
    table: pl.DataFrame,
    vectors: Vectors,
    sizes: Mapping[int, int],
    most: float,
    seed: int,
) -> pl.DataFrame:
    """The table with the clusters of more than `most` samples split."""
    labels = _read_labels(table)
    weights = _read_weights(table)
    next_label = int(labels.max()) + 1
    for cluster in sorted(sizes):
        size = sizes[cluster]
        if size <= most:
            continue
        rows = np.flatnonzero(labels == cluster)
        n_parts = math.ceil(size / most)
        parts = kmeans_clusters.label_by_kmeans(
            vectors[rows], n_parts, weights[rows], seed
        )
        # Part 0 keeps the cluster's number, the others get new ones.
        labels[rows] = np.where(parts == 0, cluster, next_label + parts - 1)
        next_label += int(parts.max())
    return _replace_labels(table, labels)


def _merge_tiny_clusters(
    table: pl.DataFrame,
    vectors: Vectors,
    tiny: set[int],
) -> pl.DataFrame:
    """The table with each tiny cluster merged into the nearest of the others."""
    labels = _read_labels(table)
    clusters = np.unique(labels)
    centres = _average_clusters(labels, vectors, _read_weights(table), clusters)
    is_large = ~np.isin(clusters, list(tiny))
    nearest = kmeans_clusters.find_nearest_centre(centres, centres[is_large])
    nearest_large = clusters[is_large][nearest]
    # Old number -> new number, by the place in `clusters`, which is sorted.
    merged = np.where(is_large, clusters, nearest_large)
    place = np.searchsorted(clusters, labels)
    return _replace_labels(table, merged[place])


def _average_clusters(
    labels: Ints,
    vectors: Vectors,
    weights: npt.NDArray[np.float64],
    clusters: Ints,
) -> Vectors:
    """The weighted mean of each cluster, shape (clusters, dim)."""
    means = []
    for cluster in clusters:
        is_member = labels == cluster
        mean = np.average(
            vectors[is_member],
            axis=0,
            weights=weights[is_member],
        )
        means.append(mean)
    return np.array(means, np.float32)


def _read_labels(table: pl.DataFrame) -> Ints:
    """The cluster of each tag, shape (tags,)."""
    return table["cluster"].to_numpy().astype(np.int64)


def _read_weights(table: pl.DataFrame) -> npt.NDArray[np.float64]:
    """The count of each tag, shape (tags,)."""
    return table["count"].to_numpy().astype(np.float64)


def _replace_labels(
    table: pl.DataFrame,
    labels: Ints,
) -> pl.DataFrame:
    """The table with other clusters."""
    return table.with_columns(pl.Series("cluster", labels, dtype=pl.UInt32))


# Clusters of samples


def resize_centres(
    centres: Vectors,
    vectors: Vectors,
    smallest: float,
    largest: float,
    seed: int,
) -> Vectors:
    """Centres of samples without giant and tiny clusters, shape (clusters, dim).

    Sizes are those among some samples drawn by chance, `vectors` of shape (samples, dim).
    `smallest` is a number of these samples, `largest` a share of them.
    """
    most = largest * len(vectors)
    for _ in range(MAX_SPLITS):
        n_before = len(centres)
        centres = _split_giant_centres(centres, vectors, most, seed)
        if len(centres) == n_before:
            break
    return _drop_tiny_centres(centres, vectors, smallest)


def _split_giant_centres(
    centres: Vectors,
    vectors: Vectors,
    most: float,
    seed: int,
) -> Vectors:
    """Centres, those with more than `most` rows replaced by those of a K-means over their rows."""
    labels = kmeans_clusters.find_nearest_centre(vectors, centres)
    sizes = np.bincount(labels, minlength=len(centres))
    parts = []
    for cluster, size in enumerate(sizes.tolist()):
        if size <= most:
            parts.append(centres[cluster : cluster + 1])
            continue
        n_parts = math.ceil(size / most)
        members = vectors[labels == cluster]
        parts.append(kmeans_clusters.fit_kmeans_centres(members, n_parts, seed))
    return np.concatenate(parts)


def _drop_tiny_centres(
    centres: Vectors,
    vectors: Vectors,
    smallest: float,
) -> Vectors:
    """Centres less those with fewer rows, dropped one by one, the smallest first."""
    while len(centres) > 1:
        labels = kmeans_clusters.find_nearest_centre(vectors, centres)
        sizes = np.bincount(labels, minlength=len(centres))
        least = int(np.argmin(sizes))
        if sizes[least] >= smallest:
            break
        centres = np.delete(centres, least, axis=0)
    return centres
