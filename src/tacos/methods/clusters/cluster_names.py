"""What a cluster is called: by the tags that tell it most from the rest.

A tag tells a cluster where the share of the cluster's samples that carry it is high against that of
all others: the log-odds ratio with an informative Dirichlet prior over its standard error (Monroe,
Colaresi and Quinn 2008, "Fightin' Words", equations 16, 20 and 22), for samples that carry a tag or
not:

    delta = log odds((x + a p) / (m + a)) - log odds((X - x + a p) / (N - m + a))
    z     = delta / sqrt(1 / (x + a p) + 1 / (X - x + a p))

with x of the cluster's m samples and X of all N carrying the tag, p = X / N, and a prior of a = 10
samples. Rare tags are so held back by their error, frequent ones by being frequent everywhere.
"""

from __future__ import annotations

import polars as pl

N_TAGS = 3
PRIOR = 10.0
NAMELESS = "(no telling tag)"


def score_cluster_tags(rows: pl.DataFrame) -> pl.DataFrame:
    """cluster, tag, z, n (samples of all that carry the tag), from one row per sample: cluster,
    tags.
    """
    long = (
        rows.with_row_index("row")
        .explode("tags")
        .drop_nulls(["cluster", "tags"])
        .unique(["row", "tags"])
    )
    here = long.group_by("cluster", pl.col("tags").alias("tag")).agg(pl.len().alias("x"))
    overall = here.group_by("tag").agg(pl.col("x").sum().alias("n"))
    sizes = rows.drop_nulls("cluster").group_by("cluster").agg(pl.len().alias("m"))
    n_rows = float(sizes["m"].sum())
    table = here.join(overall, on="tag").join(sizes, on="cluster")
    x, total, m = (pl.col(name).cast(pl.Float64) for name in ("x", "n", "m"))
    prior = PRIOR * total / n_rows
    inside, outside = x + prior, total - x + prior
    delta = _log_odds(inside, m + PRIOR) - _log_odds(outside, n_rows - m + PRIOR)
    return table.select(
        "cluster", "tag", (delta / (1 / inside + 1 / outside).sqrt()).round(9).alias("z"), "n"
    )


def _log_odds(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """The logarithm of the odds; a whole that is all part has those of half a sample less."""
    return (part / (whole - part).clip(lower_bound=0.5)).log()


def name_clusters(rows: pl.DataFrame, tags: pl.DataFrame | None = None) -> dict[int, str]:
    """Cluster -> its most telling tags.

    `rows` has one row per sample: cluster (null: none), tags. With `tags` (tag, cluster, count) a
    cluster is called by tags of its own, and the most frequent ones stand in where fewer than three
    are telling.
    """
    found = score_cluster_tags(rows).filter(pl.col("z") > 0)
    if tags is not None:
        own = tags.select(
            pl.col("cluster").cast(pl.UInt32), "tag", pl.col("count").cast(pl.Int64).alias("n")
        )
        found = own.join(
            found.select(pl.col("cluster").cast(pl.UInt32), "tag", "z"),
            on=["cluster", "tag"],
            how="left",
        )
    ranked = found.sort("z", "n", "tag", descending=[True, True, False], nulls_last=True)
    called = ranked.group_by("cluster", maintain_order=True).agg(
        pl.col("tag").head(N_TAGS).str.join(", ")
    )
    return {int(cluster): name for cluster, name in called.iter_rows()}
