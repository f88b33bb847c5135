"""Clusters of tags, and the clusters of a sample (TACOS); for comparison clusters of samples by
their embedding.

By tags: K-means over the vectors of canonical tags, weighted by how often each tag occurs: the
authors cluster tag occurrences with repeats, which is the same objective. A sample belongs to the
clusters of its tags; its home is the cluster where most of its inverse-frequency tag weight lies
(ties: the smaller cluster, then the smaller number).

By embedding: K-means over the vectors of some samples, drawn by chance; a sample belongs to the
nearest centre.

What they are called: `tacos.methods.clusters.cluster_names`. What is done about tiny and giant
ones: `tacos.methods.clusters.cluster_size_limits`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.records import CLUSTERS, MEMBERSHIPS, conform_table

Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
N_RESTARTS = 3
MAX_ROUNDS = 50
SAMPLES_PER_CLUSTER = 40
"""`k="auto"`: about one cluster per 40 samples, between 5 and 50 (TACOS used 50), never more than
distinct tags.
"""


def choose_k(k: int | Literal["auto"], n_tags: int, n_samples: int) -> int:
    """The number of clusters: as asked, else by the rule above; at most the number of distinct
    tags.

    >>> choose_k("auto", 900, 52_002), choose_k("auto", 60, 320), choose_k(50, 12, 52_002)
    (50, 8, 12)
    """
    wanted = max(5, min(50, n_samples // SAMPLES_PER_CLUSTER)) if k == "auto" else k
    return max(1, min(wanted, n_tags))


def cluster_tags(
    counts: pl.DataFrame, vectors: Vectors, k: int, *, weighted: bool, seed: int
) -> pl.DataFrame:
    """tag, cluster, count: `counts` (tag, count, sorted by tag) with a number for each tag's
    cluster.

    `vectors` has a row per tag. Clusters are numbered as they come; see `number_by_size`.
    """
    if counts.is_empty():
        return pl.DataFrame(schema={"tag": pl.String, "cluster": pl.UInt32, "count": pl.UInt32})
    weights = counts["count"].to_numpy().astype(np.float64) if weighted else None
    labels = label_by_kmeans(vectors, k, weights, seed)
    return counts.select("tag", pl.Series("cluster", labels, dtype=pl.UInt32), "count")


def label_by_kmeans(
    vectors: Vectors, k: int, weights: npt.NDArray[np.float64] | None, seed: int
) -> Ints:
    """K-means: the label of each row, at most k of them (fewer where fewer rows are distinct)."""
    from sklearn.cluster import (
        KMeans,
    )  # takes a second to import, which worker processes need not spend

    k = min(k, len(np.unique(vectors.round(6), axis=0)))
    model = KMeans(k, n_init=N_RESTARTS, random_state=seed).fit(vectors, sample_weight=weights)
    return np.asarray(model.labels_, np.int64)


def fit_kmeans_centres(vectors: Vectors, k: int, seed: int) -> Vectors:
    """K-means: the centres of many rows, shape (at most k, dim), rounded, by one thread: the same
    on any number.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    k = min(k, len(np.unique(vectors.round(6), axis=0)))
    with threadpool_limits(1):
        model = KMeans(k, n_init=1, max_iter=MAX_ROUNDS, random_state=seed).fit(vectors)
    return np.asarray(model.cluster_centers_, np.float32).round(5)


def find_nearest_centre(vectors: Vectors, centres: Vectors) -> Ints:
    """The centre nearest to each row (ties: the first). A row's answer does not depend on the other
    rows.
    """
    product = np.einsum("ij,kj->ik", vectors, centres)  # unlike BLAS, the same bits in any batch
    return np.asarray(
        np.argmin(np.einsum("kj,kj->k", centres, centres) - 2 * product, axis=1), np.int64
    )


def number_by_size(table: pl.DataFrame) -> pl.DataFrame:
    """tag, cluster, count with clusters numbered by falling total count, so that no number depends
    on the start.
    """
    ranked = (
        table.sort("count", "tag", descending=[True, False])
        .group_by("cluster", maintain_order=True)
        .agg(
            pl.col("count").sum().alias("total"),
            pl.col("tag").head(3).str.join(", ").alias("first"),
        )
        .sort("total", "first", descending=[True, False])
        .with_row_index("number")
    )
    joined = table.join(ranked.select("cluster", "number"), on="cluster")
    return joined.select("tag", pl.col("number").alias("cluster"), "count").sort("tag")


def build_tag_clusters(table: pl.DataFrame, names: dict[int, str]) -> pl.DataFrame:
    """Clusters of tags by `CLUSTERS`, from tag, cluster, count and a name for each cluster."""
    called = (
        pl.col("cluster").cast(pl.Int64).replace_strict(names, default="", return_dtype=pl.String)
    )
    return conform_table(
        table.with_columns(called.alias("name"), pl.lit(None).alias("centre")), CLUSTERS
    )


def build_sample_clusters(
    centres: Vectors, sizes: dict[int, int], names: dict[int, str]
) -> pl.DataFrame:
    """Clusters of samples by `CLUSTERS`: a row per centre, without a tag; `sizes` and `names` by
    their numbers.
    """
    rows = range(len(centres))
    table = {
        "tag": [None for _ in rows],
        "cluster": list(rows),
        "count": [sizes.get(row, 0) for row in rows],
        "name": [names.get(row, "") for row in rows],
        "centre": centres.tolist(),
    }
    return pl.DataFrame(table, schema=CLUSTERS)


def assign_by_tags(tags: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
    """Memberships by `MEMBERSHIPS` of samples (id, tags), row by row; one without a known tag has
    none (home null).
    """
    sizes = clusters.group_by("cluster").agg(pl.col("count").sum().alias("size"))
    known = clusters.join(sizes, on="cluster").select(
        "tag", "cluster", "size", (1.0 / pl.col("count")).alias("weight")
    )
    long = tags.explode("tags").join(
        known, left_on="tags", right_on="tag", how="inner", maintain_order="left"
    )
    homes = (
        long.group_by("id", "cluster", "size")
        .agg(pl.col("weight").sum().round(9))
        .sort("weight", "size", "cluster", descending=[True, False, False])
        .group_by("id", maintain_order=True)
        .agg(
            pl.col("cluster").unique().sort().alias("clusters"),
            pl.col("cluster").first().alias("home"),
        )
    )
    joined = tags.select("id").join(homes, on="id", how="left", maintain_order="left")
    return conform_table(joined.with_columns(pl.col("clusters").fill_null([])), MEMBERSHIPS)


def assign_by_centre(ids: pl.Series, vectors: Vectors, clusters: pl.DataFrame) -> pl.DataFrame:
    """Memberships by `MEMBERSHIPS`: each sample in the cluster of the nearest centre, its only one
    and its home.
    """
    ordered = clusters.sort("cluster")
    found = find_nearest_centre(vectors, np.array(ordered["centre"].to_list(), np.float32))
    homes = pl.Series("home", ordered["cluster"].to_numpy()[found], dtype=pl.UInt32)
    table = pl.DataFrame({"id": ids, "home": homes}).with_columns(clusters=pl.concat_list("home"))
    return conform_table(table, MEMBERSHIPS)


def list_cluster_members(
    memberships: pl.DataFrame, *, homes: bool, untagged: int | None
) -> pl.DataFrame:
    """One row per (sample, cluster): each of its clusters (paper), or its home alone (robust).

    Samples without a canonical tag go into the cluster `untagged` where one is given, else they are
    in none.
    """
    if homes:
        frame = memberships.select(
            "id", "clusters", pl.coalesce("home", pl.lit(untagged, pl.UInt32)).alias("cluster")
        )
    else:
        frame = memberships.with_columns(pl.col("clusters").alias("cluster")).explode("cluster")
    frame = frame.with_columns(pl.col("cluster").cast(pl.UInt32))
    return frame.filter(pl.col("cluster").is_not_null())
