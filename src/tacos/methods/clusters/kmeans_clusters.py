"""Cluster samples; or cluster tags, and assign samples to the clusters of their tags (TACOS).

By embedding: K-means over the vectors of some samples, drawn by chance (see
`tacos.methods.clusters.sample_vectors`); a sample belongs to the nearest centre.

By tags: K-means over the vectors of canonical tags, weighted by how often each tag occurs. The
authors cluster tag occurrences with repeats, which is the same objective. A sample belongs to the
clusters of its tags; its home is the cluster where most of its inverse-frequency tag weight lies
(ties: the smaller cluster, then the smaller number).

Clusters get their names in `tacos.methods.clusters.cluster_names`; tiny and giant clusters are
dealt with in `tacos.methods.clusters.cluster_size_limits`.
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
N_COMPONENTS = 64
SAMPLES_PER_CLUSTER = 40
FEWEST_CLUSTERS = 5
MOST_CLUSTERS = 50
"""TACOS uses 50 clusters."""


def choose_k(
    k: int | Literal["auto"],
    n_tags: int,
    n_samples: int,
) -> int:
    """The number of clusters, at most the number of distinct tags.

    "auto" makes about one cluster per 40 samples, between 5 and 50.

    >>> choose_k("auto", 900, 52_002), choose_k("auto", 60, 320), choose_k(50, 12, 52_002)
    (50, 8, 12)
    """
    if k == "auto":
        by_size = n_samples // SAMPLES_PER_CLUSTER
        wanted = max(FEWEST_CLUSTERS, min(MOST_CLUSTERS, by_size))
    else:
        wanted = k
    return max(1, min(wanted, n_tags))


# K-means


def cluster_tags(
    counts: pl.DataFrame,
    vectors: Vectors,
    k: int,
    *,
    weighted: bool,
    seed: int,
) -> pl.DataFrame:
    """`tag`, `cluster`, `count`: `counts` (tag, count, sorted by tag) with each tag's cluster.

    `vectors` has a row per tag, shape (tags, dim). Clusters are numbered as K-means has them; see
    `number_by_size`.
    """
    if counts.is_empty():
        schema = {"tag": pl.String, "cluster": pl.UInt32, "count": pl.UInt32}
        return pl.DataFrame(schema=schema)
    weights = None
    if weighted:
        weights = counts["count"].to_numpy().astype(np.float64)
    labels = label_by_kmeans(vectors, k, weights, seed)
    clusters = pl.Series("cluster", labels, dtype=pl.UInt32)
    return counts.select("tag", clusters, "count")


def label_by_kmeans(
    vectors: Vectors,
    k: int,
    weights: npt.NDArray[np.float64] | None,
    seed: int,
) -> Ints:
    """The K-means label of each row, shape (rows,): at most k labels, one per distinct row."""
    # Takes a second to import, which worker processes need not spend.
    from sklearn.cluster import KMeans

    k = _limit_to_distinct(vectors, k)
    model = KMeans(
        k,
        n_init=N_RESTARTS,
        random_state=seed,
    )
    model.fit(vectors, sample_weight=weights)
    return np.asarray(model.labels_, np.int64)


def fit_kmeans_centres(
    vectors: Vectors,
    k: int,
    seed: int,
) -> Vectors:
    """The K-means centres of many rows, shape (at most k, dim), rounded.

    K-means runs in the space of the `N_COMPONENTS` first principal components, which leaves out
    what few rows share, and is faster. Its centres lie in that space, so that the nearest one to a
    whole vector is the nearest one to its projection.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    k = _limit_to_distinct(vectors, k)
    # One thread: the order of sums, and so the result, must not depend on the number of cores.
    with threadpool_limits(1):
        mean, components = _find_components(vectors)
        model = KMeans(
            k,
            n_init=N_RESTARTS,
            max_iter=MAX_ROUNDS,
            random_state=seed,
        )
        model.fit((vectors - mean) @ components)
        centres = mean + model.cluster_centers_ @ components.T
    return np.asarray(centres, np.float32).round(5)


def _find_components(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """The mean, shape (dim,), and the first principal components as columns, shape (dim, n)."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    # Eigenvalues come in ascending order.
    _, axes = np.linalg.eigh(centred.T @ centred)
    return mean, np.ascontiguousarray(axes[:, ::-1][:, :N_COMPONENTS])


def _limit_to_distinct(
    vectors: Vectors,
    k: int,
) -> int:
    """k, or the number of distinct rows if there are fewer: K-means cannot find more clusters."""
    distinct = np.unique(vectors.round(6), axis=0)
    return min(k, len(distinct))


def find_nearest_centre(
    vectors: Vectors,
    centres: Vectors,
) -> Ints:
    """The number of the centre nearest to each row (ties: the first), shape (rows,).

    A row's answer does not depend on the other rows.
    """
    # |v - c|^2 = |v|^2 - 2 v c + |c|^2, and |v|^2 is the same for every centre.
    # einsum, unlike BLAS, gives the same bits in a batch of any size.
    products = np.einsum("ij,kj->ik", vectors, centres)
    squares = np.einsum("kj,kj->k", centres, centres)
    distances = squares - 2 * products
    return np.asarray(np.argmin(distances, axis=1), np.int64)


def measure_distances(vectors: Vectors, centres: Vectors) -> Vectors:
    """The Euclidean distance of each row to the centre nearest to it, shape (rows,)."""
    nearest = find_nearest_centre(vectors, centres)
    differences = vectors - centres[nearest]
    return np.asarray(np.linalg.norm(differences, axis=1), np.float32)


# Tables of clusters


def number_by_size(table: pl.DataFrame) -> pl.DataFrame:
    """`tag`, `cluster`, `count` with clusters numbered by total count, the largest first.

    The numbers then do not depend on where K-means started.
    """
    by_count = table.sort("count", "tag", descending=[True, False])
    totals = by_count.group_by("cluster", maintain_order=True).agg(
        pl.col("count").sum().alias("total"),
        pl.col("tag").head(3).str.join(", ").alias("first"),
    )
    ranked = totals.sort("total", "first", descending=[True, False])
    numbers = ranked.with_row_index("number").select("cluster", "number")
    joined = table.join(numbers, on="cluster")
    renumbered = joined.select(
        "tag",
        pl.col("number").alias("cluster"),
        "count",
    )
    return renumbered.sort("tag")


def build_tag_clusters(
    table: pl.DataFrame,
    names: dict[int, str],
) -> pl.DataFrame:
    """Clusters of tags by `CLUSTERS`, from tag, cluster, count and a name for each cluster."""
    name = (
        pl.col("cluster")
        .cast(pl.Int64)
        .replace_strict(
            names,
            default="",
            return_dtype=pl.String,
        )
        .alias("name")
    )
    no_centre = pl.lit(None).alias("centre")
    return conform_table(table.with_columns(name, no_centre), CLUSTERS)


def build_sample_clusters(
    centres: Vectors,
    sizes: dict[int, int],
    names: dict[int, str],
) -> pl.DataFrame:
    """Clusters of samples by `CLUSTERS`: a row per centre, without a tag.

    `sizes` and `names` are by the number of the centre.
    """
    rows = range(len(centres))
    columns = {
        "tag": [None for _ in rows],
        "cluster": list(rows),
        "count": [sizes.get(row, 0) for row in rows],
        "name": [names.get(row, "") for row in rows],
        "centre": centres.tolist(),
    }
    return pl.DataFrame(columns, schema=CLUSTERS)


# Memberships of samples


def assign_by_tags(
    tags: pl.DataFrame,
    clusters: pl.DataFrame,
) -> pl.DataFrame:
    """Memberships by `MEMBERSHIPS` of samples (id, tags), row by row.

    A sample without a known tag is in no cluster, and its home is null.
    """
    sizes = clusters.group_by("cluster").agg(pl.col("count").sum().alias("size"))
    weighted_tags = clusters.join(sizes, on="cluster").select(
        "tag",
        "cluster",
        "size",
        (1.0 / pl.col("count")).alias("weight"),
    )
    occurrences = tags.explode("tags").join(
        weighted_tags,
        left_on="tags",
        right_on="tag",
        how="inner",
        maintain_order="left",
    )
    # Rounded, so that the order of a sum cannot decide a tie.
    by_cluster = occurrences.group_by("id", "cluster", "size").agg(
        pl.col("weight").sum().round(9)
    )
    ranked = by_cluster.sort(
        "weight", "size", "cluster", descending=[True, False, False]
    )
    homes = ranked.group_by("id", maintain_order=True).agg(
        pl.col("cluster").unique().sort().alias("clusters"),
        pl.col("cluster").first().alias("home"),
    )
    ids = tags.select("id")
    memberships = ids.join(
        homes,
        on="id",
        how="left",
        maintain_order="left",
    )
    memberships = memberships.with_columns(pl.col("clusters").fill_null([]))
    return conform_table(memberships, MEMBERSHIPS)


def assign_by_centre(
    ids: pl.Series,
    vectors: Vectors,
    clusters: pl.DataFrame,
) -> pl.DataFrame:
    """Memberships by `MEMBERSHIPS`: the nearest centre's cluster is a sample's only one.

    A sample whose vector is all 0 is in no cluster, and its home is null.
    """
    ordered = clusters.sort("cluster")
    centres = np.array(ordered["centre"].to_list(), np.float32)
    nearest = find_nearest_centre(vectors, centres)
    numbers = ordered["cluster"].to_numpy()[nearest]
    is_known = pl.Series(vectors.any(axis=1))
    homes = pl.Series("home", numbers, dtype=pl.UInt32)
    memberships = pl.DataFrame({"id": ids, "home": homes})
    home = pl.when(is_known).then("home")
    in_one = pl.concat_list("home")
    memberships = memberships.with_columns(
        home=home,
        clusters=pl.when(is_known)
        .then(in_one)
        .otherwise(pl.lit([], pl.List(pl.UInt32))),
    )
    return conform_table(memberships, MEMBERSHIPS)


def list_cluster_members(
    memberships: pl.DataFrame,
    *,
    homes: bool,
    untagged: int | None,
) -> pl.DataFrame:
    """One row per (sample, cluster): each of its clusters (paper), or its home alone (robust).

    By home, samples without a canonical tag go into the cluster `untagged` if one is given; else
    they are in none.
    """
    if homes:
        home = pl.coalesce("home", pl.lit(untagged, pl.UInt32))
        members = memberships.select("id", "clusters", home.alias("cluster"))
    else:
        members = memberships.with_columns(pl.col("clusters").alias("cluster"))
        members = members.explode("cluster")
    members = members.with_columns(pl.col("cluster").cast(pl.UInt32))
    return members.filter(pl.col("cluster").is_not_null())
