"""The stages cluster and assign: clusters of tags or of samples, and the samples in them.

Clusters are named after up to 20,000 random samples (`tacos.methods.clusters.cluster_names`). For
clusters by embedding, K-means sees only those, too; every sample is then assigned row by row, so
that memory stays small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods.clusters import cluster_names, cluster_size_limits, kmeans_clusters
from tacos.pipeline.steps.pool import Tables, build_embedding_text, count_rows
from tacos.records import Encoder, StageOutput, Table

N_DRAWN = 20_000


def make_clusters(
    tables: Tables,
    settings: Settings,
    encoder: Encoder,
    number: int,
) -> StageOutput:
    """Clusters of canonical tags, or of samples by their embedding."""
    if settings.cluster.by == "embedding":
        clusters = _cluster_embeddings(tables, settings, encoder)
    else:
        clusters = _cluster_tags(tables, settings, encoder)
    notes = {"n_clusters": clusters["cluster"].n_unique()}
    return StageOutput.without_rejects(clusters, notes)


def read_assignment_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The samples, batch by batch: their texts if clusters have centres, else their tags."""
    centres = tables["clusters"].scan().select(pl.col("centre").count())
    if centres.collect().item():
        yield from tables["samples"].batches(["id", "instruction", "response"])
    else:
        yield from tables["canonical_tags"].batches()


def read_clusters(
    tables: Tables,
    settings: Settings,
    encoder: Any,
) -> tuple[pl.DataFrame, Encoder | None]:
    """The clusters, and the encoder of samples where clusters are by embedding."""
    return tables["clusters"].scan().collect(), encoder


def assign_clusters(
    batch: pl.DataFrame,
    prepared: tuple[pl.DataFrame, Encoder | None],
    settings: Settings,
) -> StageOutput:
    """The clusters of the samples, row by row."""
    clusters, encoder = prepared
    if "tags" in batch.columns:
        memberships = kmeans_clusters.assign_by_tags(batch, clusters)
    else:
        assert encoder is not None
        vectors = _encode_texts(batch, encoder)
        memberships = kmeans_clusters.assign_by_centre(batch["id"], vectors, clusters)
    return StageOutput.without_rejects(memberships)


# Clusters of tags


def _cluster_tags(tables: Tables, settings: Settings, encoder: Encoder) -> pl.DataFrame:
    """Clusters of tags. Raises `InputError` for more tags than the settings allow."""
    config = settings.cluster
    canonical_tags = tables["canonical_tags"]
    counts = _count_samples_by_tag(canonical_tags)
    if counts.height > config.max_tags:
        raise InputError(_explain_tag_limit(counts.height, config.max_tags))

    n_samples = count_rows(canonical_tags)
    vectors = encoder.encode(counts["tag"].to_list())  # (tags, dim)
    initial = kmeans_clusters.cluster_tags(
        counts,
        vectors,
        kmeans_clusters.choose_k(config.k, counts.height, n_samples),
        weighted=config.weighted,
        seed=settings.seed,
    )

    def count_members(clusters: pl.DataFrame) -> Mapping[int, int]:
        homes = config.membership == "home"
        return _count_cluster_samples(
            canonical_tags,
            clusters,
            homes=homes,
        )

    resized = cluster_size_limits.resize_tag_clusters(
        initial,
        vectors,
        count_members,
        n_samples,
        config.smallest,
        config.largest,
        settings.seed,
    )
    clusters = kmeans_clusters.number_by_size(resized)
    drawn = _draw_rows(canonical_tags, ["id", "tags"], settings.seed)
    home = pl.col("home").alias("cluster")
    homes = kmeans_clusters.assign_by_tags(drawn, clusters).select("id", home)
    names = cluster_names.name_clusters(drawn.join(homes, on="id"), clusters)
    return kmeans_clusters.build_tag_clusters(clusters, names)


def _count_samples_by_tag(canonical_tags: Table) -> pl.DataFrame:
    """tag, count: samples with each canonical tag, sorted by tag."""
    occurrences = canonical_tags.scan().explode("tags").drop_nulls("tags")
    counts = occurrences.group_by(tag="tags").agg(count=pl.len())
    return counts.sort("tag").collect()


def _explain_tag_limit(n: int, most: int) -> str:
    """What to do about more tags than are clustered."""
    return (
        f"{n:,} distinct tags are to be clustered, more than {most:,}, "
        "and each must be embedded: raise normalise.alpha, "
        "cluster whole samples instead (--set cluster.by=embedding), or take the time "
        f"(--set cluster.max_tags={n}; faster with --set cluster.encoder=static)"
    )


def _count_cluster_samples(
    canonical_tags: Table,
    clusters: pl.DataFrame,
    *,
    homes: bool,
) -> Mapping[int, int]:
    """Samples of each cluster, counted batch by batch."""
    counts = []
    for batch in canonical_tags.batches(["id", "tags"]):
        memberships = kmeans_clusters.assign_by_tags(batch, clusters)
        members = kmeans_clusters.list_cluster_members(
            memberships,
            homes=homes,
            untagged=None,
        )
        counts.append(members.group_by("cluster").len())
    if not counts:
        return {}
    total = pl.concat(counts).group_by("cluster").agg(pl.col("len").sum())
    return dict(total.iter_rows())


# Clusters of samples


def _cluster_embeddings(
    tables: Tables, settings: Settings, encoder: Encoder
) -> pl.DataFrame:
    """Clusters of samples: the centres of K-means over some of them, the largest cluster first."""
    config = settings.cluster
    drawn = _draw_rows(
        tables["samples"], ["id", "instruction", "response"], settings.seed
    )
    if drawn.is_empty():
        no_centres = np.zeros((0, encoder.dim), np.float32)
        return kmeans_clusters.build_sample_clusters(no_centres, {}, {})

    n_samples = count_rows(tables["samples"])
    vectors = _encode_texts(drawn, encoder)  # (drawn, dim)
    initial = kmeans_clusters.fit_kmeans_centres(
        vectors,
        kmeans_clusters.choose_k(config.k, drawn.height, n_samples),
        settings.seed,
    )
    centres = cluster_size_limits.resize_centres(
        initial,
        vectors,
        config.smallest * drawn.height / n_samples,  # as many of the rows drawn
        config.largest,
        settings.seed,
    )
    centres = _order_by_size(centres, vectors)
    nearest = kmeans_clusters.find_nearest_centre(vectors, centres)
    labels = pl.Series(
        "cluster",
        nearest,
        dtype=pl.UInt32,
    )
    names = dict.fromkeys(range(len(centres)), cluster_names.NAMELESS)
    names |= cluster_names.name_clusters(_join_tags(tables, drawn, labels))
    sizes = dict(labels.value_counts().iter_rows())
    return kmeans_clusters.build_sample_clusters(centres, sizes, names)


def _order_by_size(
    centres: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """The centres, that of the most vectors first."""
    nearest = kmeans_clusters.find_nearest_centre(vectors, centres)
    sizes = np.bincount(nearest, minlength=len(centres))
    return centres[np.argsort(-sizes, kind="stable")]


def _join_tags(tables: Tables, drawn: pl.DataFrame, labels: pl.Series) -> pl.DataFrame:
    """id, cluster, tags of the rows drawn."""
    all_tags = tables["canonical_tags"].scan().select("id", "tags")
    tags = all_tags.join(
        drawn.lazy().select("id"),
        on="id",
        how="semi",
    ).collect()
    return drawn.select("id", labels).join(tags, on="id", how="left")


def _encode_texts(samples: pl.DataFrame, encoder: Encoder) -> npt.NDArray[np.float32]:
    """Unit vectors of instruction and response, shape (rows, dim)."""
    texts = samples.select(build_embedding_text())["text"]
    return encoder.encode(texts.to_list())


def _draw_rows(table: Table, columns: list[str], seed: int) -> pl.DataFrame:
    """All rows, or 20,000 random ones, in their order; besides them, memory never holds more than
    one batch.
    """
    n_rows = count_rows(table)
    n_drawn = min(n_rows, N_DRAWN)
    drawn = np.random.default_rng(seed).choice(
        n_rows,
        n_drawn,
        replace=False,
    )
    drawn.sort()
    parts: list[pl.DataFrame] = []
    start = 0
    for batch in table.batches(columns):
        end = start + batch.height
        in_batch = drawn[(drawn >= start) & (drawn < end)]
        parts.append(batch[(in_batch - start).tolist()])
        start = end
    if not parts:
        return table.scan().select(columns).collect()
    return pl.concat(parts)
