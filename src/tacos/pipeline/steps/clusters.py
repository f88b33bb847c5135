"""The stages cluster and assign: clusters of samples or of tags, and the samples in them.

K-means over samples sees up to 10,000 of them, drawn at random; every sample is then assigned row
by row, so that memory stays small. Clusters are named after such samples, too
(`tacos.methods.clusters.cluster_names`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.config import Settings
from tacos.engines.base import Where
from tacos.errors import InputError
from tacos.methods.clusters import (
    cluster_names,
    cluster_size_limits,
    kmeans_clusters,
    sample_vectors,
)
from tacos.models.static_encoder import StaticEncoder
from tacos.pipeline.steps.aligned_rows import join_to_samples
from tacos.pipeline.steps.extension import list_known_ids
from tacos.pipeline.steps.pool import count_rows
from tacos.records import Encoder, StageOutput, Table, Tables

N_DRAWN = 10_000
TEXTS = ("id", "instruction", "response")


@dataclass(frozen=True)
class TagVectors:
    """The names of all canonical tags, sorted, and the unit vector of each, shape (tags, dim)."""

    names: pl.Series
    vectors: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Assignment:
    """What a sample's cluster is found with; encoder and tags only for clusters of samples."""

    clusters: pl.DataFrame
    encoder: Encoder | None = None
    tags: TagVectors | None = None


def make_clusters(
    tables: Tables,
    settings: Settings,
    encoder: Encoder,
    number: int,
) -> StageOutput:
    """Clusters of samples by their embedding, or of canonical tags."""
    if "old_clusters" in tables:
        return _keep_clusters(tables, settings, encoder)
    if settings.cluster.by == "embedding":
        clusters = _cluster_embeddings(tables, settings, encoder)
    else:
        clusters = _cluster_tags(tables, settings, encoder)
    notes = {"n_clusters": clusters["cluster"].n_unique()}
    return StageOutput.without_rejects(clusters, notes)


def read_assignment_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The samples, batch by batch: texts and tags if clusters have centres, else tags alone."""
    if _have_centres(tables["clusters"]):
        samples = tables["samples"].batches(list(TEXTS))
        tags = tables["canonical_tags"].batches(["id", "tags"])
        yield from join_to_samples(samples, tags)
    else:
        yield from tables["canonical_tags"].batches()


def read_clusters(
    tables: Tables,
    settings: Settings,
    encoder: Any,
) -> Assignment:
    """The clusters, and for clusters of samples what their vectors are made with."""
    clusters = tables["clusters"].scan().collect()
    if not _have_centres(tables["clusters"]):
        return Assignment(clusters)
    tags = _encode_tags(tables["canonical_tags"], encoder)
    return Assignment(clusters, encoder, tags)


def find_place(prepared: Assignment) -> Where:
    """Where rows are assigned: other processes can load a static encoder; MiniLM takes all cores by
    itself, an endpoint is asked from here, and a user's function may stand nowhere else.
    """
    is_static = isinstance(prepared.encoder, StaticEncoder)
    return "process" if is_static else "here"


def assign_clusters(
    batch: pl.DataFrame,
    prepared: Assignment,
    settings: Settings,
) -> StageOutput:
    """The clusters of the samples, row by row."""
    if prepared.encoder is None or prepared.tags is None:
        memberships = kmeans_clusters.assign_by_tags(batch, prepared.clusters)
        return StageOutput.without_rejects(memberships)
    vectors = _encode_samples(
        batch,
        prepared.encoder,
        prepared.tags,
        settings.cluster.tag_weight,
    )
    memberships = kmeans_clusters.assign_by_centre(
        batch["id"], vectors, prepared.clusters
    )
    return StageOutput.without_rejects(memberships)


def encode_rows(
    tables: Tables,
    rows: pl.DataFrame,
    encoder: Encoder,
    tag_weight: float,
) -> npt.NDArray[np.float32]:
    """Vectors of some samples (id, instruction, response) as clusters are made of, shape
    (rows, 2 dim).
    """
    with_tags = _join_tags(tables["canonical_tags"], rows)
    tags = _encode_tags(tables["canonical_tags"], encoder)
    return _encode_samples(with_tags, encoder, tags, tag_weight)


def _have_centres(clusters: Table) -> bool:
    """Whether clusters are of samples."""
    n_centres = clusters.scan().select(pl.col("centre").count())
    return bool(n_centres.collect().item())


# Clusters of an extended run


def _keep_clusters(tables: Tables, settings: Settings, encoder: Encoder) -> StageOutput:
    """The clusters as they were; where they have centres, the notes say how far old and new samples
    lie from the nearest one, on average.
    """
    clusters = tables["old_clusters"].scan().collect()
    notes: dict[str, Any] = {"n_clusters": clusters["cluster"].n_unique()}
    if _have_centres(tables["old_clusters"]):
        notes["drift"] = _measure_distances(tables, clusters, settings, encoder)
    return StageOutput.without_rejects(clusters, notes)


def _measure_distances(
    tables: Tables, clusters: pl.DataFrame, settings: Settings, encoder: Encoder
) -> dict[str, Any]:
    """Distance and number of old and of new samples; of many samples, some at random."""
    drawn = _draw_rows(tables["samples"], list(TEXTS), settings.seed)
    drawn = _join_tags(tables["canonical_tags"], drawn)
    tags = _encode_tags(tables["canonical_tags"], encoder)
    vectors = _encode_samples(drawn, encoder, tags, settings.cluster.tag_weight)
    is_placed = vectors.any(axis=1)
    ordered = clusters.sort("cluster")["centre"].to_list()
    centres = np.array(ordered, np.float32)
    distance = kmeans_clusters.measure_distances(vectors, centres)
    known_ids = list_known_ids(tables)
    is_known = drawn["id"].is_in(known_ids.implode()).to_numpy()
    figures: dict[str, Any] = {}
    for name, is_one in (("old", is_known), ("new", ~is_known)):
        found = distance[is_one & is_placed]
        figures[f"n_{name}"] = len(found)
        figures[name] = round(float(found.mean()), 4) if len(found) else None
    return figures


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
    k = kmeans_clusters.choose_k(config.k, counts.height, n_samples)
    initial = kmeans_clusters.cluster_tags(
        counts,
        vectors,
        k,
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
        cluster_size_limits.relax_smallest(config.smallest, n_samples, k),
        cluster_size_limits.relax_largest(config.largest, k),
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
    drawn = _draw_rows(tables["samples"], list(TEXTS), settings.seed)
    n_samples = count_rows(tables["samples"])
    if drawn.is_empty():
        no_centres = np.zeros((0, 2 * encoder.dim), np.float32)
        return kmeans_clusters.build_sample_clusters(no_centres, {}, {})

    drawn = _join_tags(tables["canonical_tags"], drawn)
    tags = _encode_tags(tables["canonical_tags"], encoder)
    vectors = _encode_samples(drawn, encoder, tags, config.tag_weight)
    # A row of which nothing is known belongs to no cluster and makes none.
    is_known = vectors.any(axis=1)
    drawn = drawn.filter(pl.Series(is_known))
    vectors = vectors[is_known]
    if drawn.is_empty():
        no_centres = np.zeros((0, 2 * encoder.dim), np.float32)
        return kmeans_clusters.build_sample_clusters(no_centres, {}, {})

    k = kmeans_clusters.choose_k(config.k, drawn.height, n_samples)
    smallest = cluster_size_limits.relax_smallest(config.smallest, n_samples, k)
    initial = kmeans_clusters.fit_kmeans_centres(vectors, k, settings.seed)
    centres = cluster_size_limits.resize_centres(
        initial,
        vectors,
        smallest * drawn.height / n_samples,  # as many of the rows drawn
        cluster_size_limits.relax_largest(config.largest, k),
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
    names |= cluster_names.name_clusters(drawn.select("id", labels, "tags"))
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


def _encode_samples(
    rows: pl.DataFrame,
    encoder: Encoder,
    tags: TagVectors,
    tag_weight: float,
) -> npt.NDArray[np.float32]:
    """Vectors of rows (instruction, response, tags), shape (rows, 2 dim)."""
    texts = sample_vectors.cut_texts(rows)
    instructions = encoder.encode(texts["instruction"].to_list())
    responses = encoder.encode(texts["response"].to_list())
    tag_means = sample_vectors.average_tags(
        rows["tags"],
        tags.names,
        tags.vectors,
    )
    return sample_vectors.combine_vectors(
        instructions,
        responses,
        tag_means,
        tag_weight,
    )


def _encode_tags(canonical_tags: Table, encoder: Encoder) -> TagVectors:
    """Every canonical tag and its vector."""
    # Batch by batch: the tags of all samples together are many.
    distinct: set[str] = set()
    for batch in canonical_tags.batches(["tags"]):
        distinct.update(batch["tags"].explode().drop_nulls().unique())
    names = pl.Series("tags", sorted(distinct), pl.String)
    return TagVectors(names, encoder.encode(names.to_list()))


def _join_tags(canonical_tags: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with their canonical tags (null: none), in their order."""
    # A filter reads the table in parts, where a join would hold all of it.
    is_wanted = pl.col("id").is_in(rows["id"].implode())
    tags = canonical_tags.scan().select("id", "tags").filter(is_wanted)
    return rows.join(
        tags.collect(),
        on="id",
        how="left",
        maintain_order="left",
    )


def _draw_rows(table: Table, columns: list[str], seed: int) -> pl.DataFrame:
    """All rows, or 10,000 random ones, in their order; besides them, memory never holds more than
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
        rows = batch[(in_batch - start).tolist()]
        # Made anew: rows that are picked keep the texts of their whole batch in memory.
        parts.append(pl.DataFrame(rows.to_dict(as_series=False), schema=batch.schema))
        start = end
    if not parts:
        return table.scan().select(columns).collect()
    return pl.concat(parts)
