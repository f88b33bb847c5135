"""Clusters of tags, and the clusters of a sample (TACOS).

K-means over the vectors of canonical tags, weighted by how often each tag occurs: the authors cluster tag
occurrences with repeats, which is the same objective. A sample belongs to the clusters of its tags; its home is the
cluster where most of its inverse-frequency tag weight lies (ties: the smaller cluster, then the smaller number).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.records import CLUSTERS, MEMBERSHIPS, conform

N_RESTARTS = 3
SAMPLES_PER_CLUSTER = 40
"""`k="auto"`: about one cluster per 40 samples, between 5 and 50 (TACOS used 50), never more than distinct tags."""


def choose_k(k: int | Literal["auto"], n_tags: int, n_samples: int) -> int:
    """The number of clusters: as asked, else by the rule above; at most the number of distinct tags.

    >>> choose_k("auto", 900, 52_002), choose_k("auto", 60, 320), choose_k(50, 12, 52_002)
    (50, 8, 12)
    """
    wanted = max(5, min(50, n_samples // SAMPLES_PER_CLUSTER)) if k == "auto" else k
    return max(1, min(wanted, n_tags))


def cluster_tags(
    counts: pl.DataFrame, vectors: npt.NDArray[np.float32], k: int, *, weighted: bool, seed: int
) -> pl.DataFrame:
    """Clusters of tags by `CLUSTERS`; `counts` has tag, count (sorted by tag), `vectors` one row per tag.

    Clusters are numbered by falling total count, so that the numbers do not depend on the start.
    """
    from sklearn.cluster import KMeans  # takes a second to import, which worker processes need not spend

    if counts.is_empty():
        return pl.DataFrame(schema=CLUSTERS)
    weights = counts["count"].to_numpy().astype(np.float64) if weighted else None
    k = min(k, len(np.unique(vectors.round(6), axis=0)))
    model = KMeans(k, n_init=N_RESTARTS, random_state=seed).fit(vectors, sample_weight=weights)
    table = counts.select("tag", pl.Series("label", model.labels_), "count")
    return name_clusters(table)


def name_clusters(table: pl.DataFrame) -> pl.DataFrame:
    """Number clusters by falling total count and name each after its three most frequent tags."""
    ranked = (
        table.sort("count", "tag", descending=[True, False])
        .group_by("label", maintain_order=True)
        .agg(pl.col("count").sum().alias("total"), pl.col("tag").head(3).str.join(", ").alias("name"))
        .sort("total", "name", descending=[True, False])
        .with_row_index("cluster")
    )
    joined = table.join(ranked.select("label", "cluster", "name"), on="label")
    return conform(joined, CLUSTERS).sort("tag")


def assign(tags: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
    """Memberships by `MEMBERSHIPS` of samples (id, tags), row by row; one without a known tag has none (home null)."""
    sizes = clusters.group_by("cluster").agg(pl.col("count").sum().alias("size"))
    known = clusters.join(sizes, on="cluster").select("tag", "cluster", "size", (1.0 / pl.col("count")).alias("weight"))
    long = tags.explode("tags").join(known, left_on="tags", right_on="tag", how="inner", maintain_order="left")
    homes = (
        long.group_by("id", "cluster", "size")
        .agg(pl.col("weight").sum().round(9))
        .sort("weight", "size", "cluster", descending=[True, False, False])
        .group_by("id", maintain_order=True)
        .agg(pl.col("cluster").unique().sort().alias("clusters"), pl.col("cluster").first().alias("home"))
    )
    joined = tags.select("id").join(homes, on="id", how="left", maintain_order="left")
    return conform(joined.with_columns(pl.col("clusters").fill_null([])), MEMBERSHIPS)


def members(memberships: pl.DataFrame, *, homes: bool, untagged: int | None) -> pl.DataFrame:
    """One row per (sample, cluster): each of its clusters (paper), or its home alone (robust).

    Samples without a canonical tag go into the cluster `untagged` where one is given, else they are in none.
    """
    if homes:
        frame = memberships.select("id", "clusters", pl.col("home").fill_null(untagged).alias("cluster"))
    else:
        frame = memberships.with_columns(pl.col("clusters").alias("cluster")).explode("cluster")
    frame = frame.with_columns(pl.col("cluster").cast(pl.UInt32))
    return frame.filter(pl.col("cluster").is_not_null())
