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

A cluster's second tag is found in the same way among its samples without the first one, and the
third among those without either, so that a name is no list of synonyms. A tag that names fewer than
`FEWEST` of the cluster's samples more is left out: such a name would be a list of odds and ends.
"""

from __future__ import annotations

from collections import Counter

import polars as pl

N_TAGS = 3
PRIOR = 10.0
FEWEST = 0.04
NAMELESS = "(no telling tag)"


def name_clusters(
    rows: pl.DataFrame,
    tags: pl.DataFrame | None = None,
) -> dict[int, str]:
    """Cluster -> its most distinctive tags.

    `rows` has one row per sample: cluster (null: none), tags. With `tags` (tag, cluster, count) a
    cluster is named by tags of its own, and its most frequent ones fill up where fewer than three
    are distinctive. No two clusters have one name: the second gets a number.
    """
    chosen = pl.DataFrame(schema={"cluster": pl.UInt32, "tag": pl.String})
    for _ in range(N_TAGS):
        next_tags = _find_next_tags(rows, chosen, tags)
        chosen = pl.concat([chosen, next_tags])
    if tags is not None:
        chosen = _fill_up(chosen, tags)
    names = chosen.group_by("cluster", maintain_order=True).agg(
        pl.col("tag").head(N_TAGS).str.join(", ")
    )
    return _number_repeats(names.sort("cluster"))


def _number_repeats(names: pl.DataFrame) -> dict[int, str]:
    """Cluster -> name, with a number after a name that an earlier cluster has."""
    unique_names = {}
    n_before: Counter[str] = Counter()
    for cluster, name in names.iter_rows():
        n_before[name] += 1
        n = n_before[name]
        unique_names[int(cluster)] = name if n == 1 else f"{name} ({n})"
    return unique_names


def _find_next_tags(
    rows: pl.DataFrame,
    chosen: pl.DataFrame,
    own_tags: pl.DataFrame | None,
) -> pl.DataFrame:
    """`cluster`, `tag`: the most distinctive tag of each cluster's samples without a chosen one."""
    scored = score_cluster_tags(rows, chosen)
    scored = scored.filter(pl.col("z") > 0, pl.col("share") >= FEWEST)
    if own_tags is not None:
        own = own_tags.select(pl.col("cluster").cast(pl.UInt32), "tag")
        scored = scored.join(own, on=["cluster", "tag"], how="semi")
    ranked = scored.sort(
        "z",
        "n",
        "tag",
        descending=[True, True, False],
    )
    first = ranked.unique("cluster", keep="first", maintain_order=True)
    return first.select("cluster", "tag")


def _fill_up(
    chosen: pl.DataFrame,
    tags: pl.DataFrame,
) -> pl.DataFrame:
    """The chosen tags, then the most frequent ones of each cluster of tags."""
    frequent = tags.sort("count", "tag", descending=[True, False])
    frequent = frequent.select(pl.col("cluster").cast(pl.UInt32), "tag")
    return pl.concat([chosen, frequent]).unique(keep="first", maintain_order=True)


def score_cluster_tags(
    rows: pl.DataFrame,
    named: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """`cluster`, `tag`, `z`, `share` (of the cluster's samples) and `n` (samples of all clusters
    that carry the tag).

    `rows` has one row per sample: cluster, tags. With `named` (cluster, tag), `z` and `share` count
    a cluster's samples only if they carry none of its named tags.
    """
    rows = rows.with_columns(pl.col("cluster").cast(pl.UInt32))
    sizes = rows.drop_nulls("cluster").group_by("cluster").agg(pl.len().alias("m"))
    n_rows = float(sizes["m"].sum())
    pairs = _list_carriers(rows)
    overall = pairs.group_by("tag").agg(pl.len().alias("n"))
    if named is not None:
        covered = pairs.join(named, on=["cluster", "tag"], how="semi")
        pairs = pairs.join(covered, on="row", how="anti")
    carriers = pairs.group_by("cluster", "tag").agg(pl.len().alias("x"))

    # Counts as in the module's docstring: x and n (X) by tag, m by cluster, n_rows (N).
    counts = carriers.join(overall, on="tag").join(sizes, on="cluster")
    z = _compute_z(n_rows).round(9).alias("z")
    share = (pl.col("x") / pl.col("m")).alias("share")
    return counts.select("cluster", "tag", z, share, "n")


def _list_carriers(rows: pl.DataFrame) -> pl.DataFrame:
    """`row`, `cluster`, `tag`: each sample with each of its tags, once."""
    return (
        rows.with_row_index("row")
        .explode("tags")
        .drop_nulls(["cluster", "tags"])
        .unique(["row", "tags"])
        .select("row", "cluster", pl.col("tags").alias("tag"))
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
