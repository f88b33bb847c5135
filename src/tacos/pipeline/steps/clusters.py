"""What the stages cluster and assign do with their tables: see `tacos.pipeline.steps.tables`.

Clusters are named after up to 20,000 samples drawn by chance (`telling`). By embedding, K-means
sees only those, too, and every sample is then assigned row by row, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods.clusters import cluster_names, cluster_size_limits, kmeans_clusters
from tacos.pipeline.steps.pool import Tables, build_embedding_text
from tacos.records import Encoder, StageOutput, Table, build_reject_frame

N_DRAWN = 20_000


def make_clusters(tables: Tables, settings: Settings, encoder: Encoder, number: int) -> StageOutput:
    """Clusters of canonical tags, or of samples by their embedding."""
    made = _cluster_embeddings if settings.cluster.by == "embedding" else _cluster_tags
    found = made(tables, settings, encoder)
    return StageOutput(found, build_reject_frame(), {"n_clusters": found["cluster"].n_unique()})


def _cluster_tags(tables: Tables, settings: Settings, encoder: Encoder) -> pl.DataFrame:
    """Clusters of tags. Raises `InputError` where they are more than the settings allow."""
    config, tags = settings.cluster, tables["canonical_tags"].scan()
    counts = (
        tags.explode("tags")
        .drop_nulls("tags")
        .group_by(pl.col("tags").alias("tag"))
        .agg(pl.len().alias("count"))
    )
    counts_by_tag = counts.sort("tag").collect()
    if counts_by_tag.height > config.max_tags:
        raise InputError(_explain_tag_limit(counts_by_tag.height, config.max_tags))
    n_samples = int(tags.select(pl.len()).collect().item())
    vectors = encoder.encode(counts_by_tag["tag"].to_list())
    k = kmeans_clusters.choose_k(config.k, counts_by_tag.height, n_samples)
    first = kmeans_clusters.cluster_tags(
        counts_by_tag,
        vectors,
        k,
        weighted=config.weighted,
        seed=settings.seed,
    )

    def n_of(table: pl.DataFrame) -> Mapping[int, int]:
        return _count_cluster_samples(
            tables["canonical_tags"],
            table,
            homes=config.membership == "home",
        )

    resized = cluster_size_limits.resize_tag_clusters(
        first,
        vectors,
        n_of,
        n_samples,
        config.smallest,
        config.largest,
        settings.seed,
    )
    found = kmeans_clusters.number_by_size(resized)
    some = _draw_rows(tables["canonical_tags"], ["id", "tags"], settings.seed)
    homes = kmeans_clusters.assign_by_tags(some, found).select(
        "id", pl.col("home").alias("cluster")
    )
    return kmeans_clusters.build_tag_clusters(
        found, cluster_names.name_clusters(some.join(homes, on="id"), found)
    )


def _explain_tag_limit(n: int, most: int) -> str:
    """What to do where there are more tags than are clustered."""
    return (
        f"{n:,} distinct tags are to be clustered, more than {most:,}, and each must be embedded: raise "
        "normalise.alpha, cluster whole samples instead (--set cluster.by=embedding), or take the time "
        f"(--set cluster.max_tags={n}; faster with --set cluster.encoder=static)"
    )


def _count_cluster_samples(
    rows: Table,
    table: pl.DataFrame,
    *,
    homes: bool,
) -> Mapping[int, int]:
    """Samples of each cluster, counted batch by batch."""
    counts = [
        kmeans_clusters.list_cluster_members(
            kmeans_clusters.assign_by_tags(batch, table),
            homes=homes,
            untagged=None,
        )
        .group_by("cluster")
        .len()
        for batch in rows.batches(["id", "tags"])
    ]
    return (
        dict(pl.concat(counts).group_by("cluster").agg(pl.col("len").sum()).iter_rows())
        if counts
        else {}
    )


def _cluster_embeddings(tables: Tables, settings: Settings, encoder: Encoder) -> pl.DataFrame:
    """Clusters of samples: the centres of K-means over some of them, numbered by falling size."""
    config = settings.cluster
    some = _draw_rows(tables["samples"], ["id", "instruction", "response"], settings.seed)
    n_samples = int(tables["samples"].scan().select(pl.len()).collect().item())
    if some.is_empty():
        return kmeans_clusters.build_sample_clusters(np.zeros((0, encoder.dim), np.float32), {}, {})
    vectors = encoder.encode(some.select(build_embedding_text())["text"].to_list())
    k = kmeans_clusters.choose_k(config.k, some.height, n_samples)
    smallest = config.smallest * some.height / n_samples
    first = kmeans_clusters.fit_kmeans_centres(vectors, k, settings.seed)
    centres = cluster_size_limits.resize_centres(
        first,
        vectors,
        smallest,
        config.largest,
        settings.seed,
    )
    counts = np.bincount(
        kmeans_clusters.find_nearest_centre(vectors, centres), minlength=len(centres)
    )
    centres = centres[np.argsort(-counts, kind="stable")]
    labels = pl.Series(
        "cluster",
        kmeans_clusters.find_nearest_centre(vectors, centres),
        dtype=pl.UInt32,
    )
    tags = tables["canonical_tags"].scan().select("id", "tags")
    known = tags.join(
        some.lazy().select("id"),
        on="id",
        how="semi",
    ).collect()
    rows = some.select("id", labels).join(known, on="id", how="left")
    names = dict.fromkeys(
        range(len(centres)), cluster_names.NAMELESS
    ) | cluster_names.name_clusters(rows)
    return kmeans_clusters.build_sample_clusters(
        centres, dict(labels.value_counts().iter_rows()), names
    )


def _draw_rows(table: Table, columns: list[str], seed: int) -> pl.DataFrame:
    """All rows, or 20,000 of them drawn by chance, in their order; never more than a batch beside
    them in memory.
    """
    n_rows = int(table.scan().select(pl.len()).collect().item())
    taken = np.sort(
        np.random.default_rng(seed).choice(
            n_rows,
            min(n_rows, N_DRAWN),
            replace=False,
        )
    )
    parts, start = [], 0
    for batch in table.batches(columns):
        here = taken[(taken >= start) & (taken < start + batch.height)] - start
        parts.append(batch[here.tolist()])
        start += batch.height
    return pl.concat(parts) if parts else table.scan().select(columns).collect()


def read_assignment_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The samples, batch by batch: their texts where clusters have centres, else their tags."""
    n_centres = tables["clusters"].scan().select(pl.col("centre").count()).collect().item()
    if n_centres:
        yield from tables["samples"].batches(["id", "instruction", "response"])
    else:
        yield from tables["canonical_tags"].batches()


def read_clusters(
    tables: Tables, settings: Settings, encoder: Any
) -> tuple[pl.DataFrame, Encoder | None]:
    """The clusters, and the encoder of samples where they are by embedding."""
    return tables["clusters"].scan().collect(), encoder


def assign_clusters(
    batch: pl.DataFrame, prepared: tuple[pl.DataFrame, Encoder | None], settings: Settings
) -> StageOutput:
    """The clusters of the samples, row by row."""
    clusters, encoder = prepared
    if "tags" in batch.columns:
        return StageOutput(
            kmeans_clusters.assign_by_tags(batch, clusters), build_reject_frame(), {}
        )
    assert encoder is not None
    vectors = encoder.encode(batch.select(build_embedding_text())["text"].to_list())
    return StageOutput(
        kmeans_clusters.assign_by_centre(batch["id"], vectors, clusters), build_reject_frame(), {}
    )
