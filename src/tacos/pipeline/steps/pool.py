"""The annotated pool of a run, as stages and other selections read it: memberships, lists, sizes,
rows, vectors.

Like all of `tacos.pipeline.steps`, it reads columns and hands them to pure functions of
`tacos.methods`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.amounts import SelectionSize
from tacos.config import SelectSettings, Settings
from tacos.errors import InputError
from tacos.methods.clusters import kmeans_clusters
from tacos.methods.selecting import sizes
from tacos.methods.selecting.limits import Limits
from tacos.records import Encoder, Table

Tables = Mapping[str, Table]


def read_memberships(tables: Tables, settings: Settings) -> pl.DataFrame:
    """One row per (sample, cluster): id, clusters, cluster; untagged samples in a cluster of their
    own (robust).
    """
    homes = settings.cluster.membership == "home"
    untagged = (
        int(tables["clusters"].scan().select(pl.col("cluster").n_unique()).collect().item())
        if homes
        else None
    )
    return kmeans_clusters.list_cluster_members(
        tables["memberships"].scan().collect(), homes=homes, untagged=untagged
    )


def cluster_sizes(frame: pl.DataFrame) -> dict[int, int]:
    """Members per cluster."""
    return dict(frame.group_by("cluster").len().sort("cluster").iter_rows())


def resolve_ids(samples: pl.LazyFrame, wanted: tuple[str, ...], name: str) -> list[str]:
    """The ids that a list of ids or content hashes means; `InputError` where one is not in the
    data.
    """
    if not wanted:
        return []
    either = pl.col("id").is_in(wanted) | pl.col("content_hash").is_in(wanted)
    found = samples.select("id", "content_hash").filter(either).collect()
    unknown = set(wanted) - set(found["id"]) - set(found["content_hash"])
    if unknown:
        raise InputError(
            f"the {name} list names {len(unknown)} rows that are not in the data, e.g. {min(unknown)!r}"
        )
    return found["id"].to_list()


def estimate_row_tokens(samples: Table) -> pl.DataFrame:
    """id, tokens: a quarter of the characters of instruction and response."""
    chars = pl.col("instruction").str.len_chars() + pl.col("length")
    return samples.scan().select("id", sizes.estimate_tokens(chars).alias("tokens")).collect()


def count_requested_rows(samples: Table, size: SelectionSize) -> int:
    """How many rows a size comes to, at least 1; for a budget of tokens as many as it buys of the
    pool's mean row.
    """
    if size.unit == "rows":
        return int(size.value)
    if size.unit == "share":
        return max(
            1, sizes.count_share_rows(size, int(samples.scan().select(pl.len()).collect().item()))
        )
    found = estimate_row_tokens(samples)["tokens"]
    mean = max(float(found.sum()) / max(len(found), 1), 1.0)
    return max(1, min(len(found), int(size.value / mean)))


def build_limits(config: SelectSettings) -> Limits:
    """The limits that the settings ask for."""
    return Limits(
        config.parts("per_source"), config.parts("per_tag"), config.match_length, config.limit
    )


def build_pool_table(tables: Tables, homes: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """A row per sample, by id: id, length, source, tags, cluster (null: none), score (the best;
    null: not judged).

    `homes` has id, cluster, the home first.
    """
    samples = tables["samples"].scan().select("id", "length", "source").collect()
    tags = tables["canonical_tags"].scan().select("id", "tags").collect()
    first = homes.select("id", "cluster").unique("id", keep="first", maintain_order=True)
    best = scores.group_by("id").agg(pl.col("score").max())
    joined = (
        samples.join(tags, on="id", how="left")
        .join(first, on="id", how="left")
        .join(best, on="id", how="left")
    )
    return joined.sort("id")


def order_memberships(tables: Tables, settings: Settings) -> pl.DataFrame:
    """id, cluster: a row per membership, the home cluster first."""
    homes = tables["memberships"].scan().select("id", "home").collect()
    found = read_memberships(tables, settings).join(homes, on="id", how="left")
    return found.sort("id", pl.col("cluster") != pl.col("home"), "cluster").select("id", "cluster")


def draw_unjudged_rows(frame: pl.DataFrame, scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Rows of `read_memberships` without a score, one line each, in an order drawn by chance."""
    rest = (
        frame.join(scores, on="id", how="anti")
        .unique("id", keep="first", maintain_order=True)
        .sort("id")
    )
    return rest.sample(fraction=1.0, shuffle=True, seed=seed).select("id", "cluster")


def build_embedding_text() -> pl.Expr:
    """What a sample's embedding is made of: instruction and response."""
    return pl.concat_str("instruction", "response", separator="\n").alias("text")


def encode_samples(
    samples: Table, encoder: Encoder, only: Collection[str] | None = None
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The samples' ids and unit vectors, shape (rows, dim), in the order of the input; of some
    samples, or of all.
    """
    ids: list[str] = []
    parts = [np.zeros((0, encoder.dim), np.float32)]
    wanted = None if only is None else set(only)
    for batch in samples.batches(["id", "instruction", "response"]):
        some = batch if wanted is None else batch.filter(pl.col("id").is_in(wanted))
        ids += some["id"].to_list()
        parts.append(encoder.encode(some.select(build_embedding_text())["text"].to_list()))
    return ids, np.concatenate(parts)
