"""Name clusters by the tags that set them apart from the rest.

A tag is distinctive for a cluster if the share of the cluster's samples that carry it is high
against that of all others. The measure is the log-odds ratio with an informative Dirichlet prior
over its standard error (Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 16, 20 and
22), for samples that carry a tag or not:

    delta = log odds((x + a p) / (m + a)) - log odds((X - x + a p) / (N - m + a))
    z     = delta / sqrt(1 / (x + a p) + 1 / (X - x + a p))

where x of the cluster's m samples and X of all N samples carry the tag, p = X / N, and the prior
counts a = 10 samples. Rare tags are thus held back by their standard error, frequent ones by being
frequent everywhere.
"""

from __future__ import annotations

import polars as pl

N_TAGS = 3
PRIOR = 10.0
NAMELESS = "(no telling tag)"


def name_clusters(
    rows: pl.DataFrame,
    tags: pl.DataFrame | None = None,
) -> dict[int, str]:
    """Cluster -> its most distinctive tags.

    `rows` has one row per sample: cluster (null: none), tags. With `tags` (tag, cluster, count) a
    cluster is named by tags of its own, and its most frequent ones fill up where fewer than three
    are distinctive.
    """
    distinctive = score_cluster_tags(rows).filter(pl.col("z") > 0)
    if tags is not None:
        distinctive = _keep_own_tags(distinctive, tags)
    ranked = distinctive.sort(
        "z",
        "n",
        "tag",
        descending=[True, True, False],
        nulls_last=True,
    )
    first_tags = pl.col("tag").head(N_TAGS).str.join(", ")
    names = ranked.group_by("cluster", maintain_order=True).agg(first_tags)
    return {int(cluster): name for cluster, name in names.iter_rows()}


def _keep_own_tags(
    distinctive: pl.DataFrame,
    tags: pl.DataFrame,
) -> pl.DataFrame:
    """`cluster`, `tag`, `n`, `z` of each cluster's own tags; z is null for tags not distinctive."""
    cluster = pl.col("cluster").cast(pl.UInt32)
    own_tags = tags.select(
        cluster,
        "tag",
        pl.col("count").cast(pl.Int64).alias("n"),
    )
    return own_tags.join(
        distinctive.select(cluster, "tag", "z"),
        on=["cluster", "tag"],
        how="left",
    )


def score_cluster_tags(rows: pl.DataFrame) -> pl.DataFrame:
    """`cluster`, `tag`, `z` and `n` (samples of all clusters that carry the tag).

    `rows` has one row per sample: cluster, tags.
    """
    sizes = rows.drop_nulls("cluster").group_by("cluster").agg(pl.len().alias("m"))
    n_rows = float(sizes["m"].sum())
    carriers = _count_carriers(rows)
    overall = carriers.group_by("tag").agg(pl.col("x").sum().alias("n"))

    # Counts as in the module's docstring: x and n (X) by tag, m by cluster, n_rows (N).
    counts = carriers.join(overall, on="tag").join(sizes, on="cluster")
    z = _compute_z(n_rows).round(9)
    return counts.select("cluster", "tag", z.alias("z"), "n")


def _count_carriers(rows: pl.DataFrame) -> pl.DataFrame:
    """`cluster`, `tag`, `x`: how many samples of the cluster carry the tag, once or more."""
    return (
        rows.with_row_index("row")
        .explode("tags")
        .drop_nulls(["cluster", "tags"])
        .unique(["row", "tags"])
        .rename({"tags": "tag"})
        .group_by("cluster", "tag")
        .agg(pl.len().alias("x"))
    )


def _compute_z(n_rows: float) -> pl.Expr:
    """z from the columns x, n, m."""
    x = pl.col("x").cast(pl.Float64)
    total = pl.col("n").cast(pl.Float64)
    m = pl.col("m").cast(pl.Float64)

    # Samples inside and outside the cluster that carry the tag, with those of the prior.
    prior = PRIOR * total / n_rows
    inside = x + prior
    outside = total - x + prior
    odds_inside = _log_odds(inside, m + PRIOR)
    odds_outside = _log_odds(outside, n_rows - m + PRIOR)
    delta = odds_inside - odds_outside
    variance = 1 / inside + 1 / outside
    return delta / variance.sqrt()


def _log_odds(
    part: pl.Expr,
    whole: pl.Expr,
) -> pl.Expr:
    """The logarithm of part / (whole - part), with at least half a sample in the denominator."""
    rest = (whole - part).clip(lower_bound=0.5)
    return (part / rest).log()
