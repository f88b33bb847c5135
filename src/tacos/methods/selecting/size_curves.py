"""Measure selections, and how the figures change with size: "how many rows do I need?".

The figures of a selection of a pool (the table of `strategies`) are the share of the pool's tags
that it covers, mean score, mean number of tags and mean length. A mean over no row is null;
`n_scored` says how many rows have a score.

What it does not know: whether more rows make a better model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import polars as pl

FIGURES = pl.Schema(
    {
        "n": pl.UInt32,
        "coverage": pl.Float64,
        "mean_score": pl.Float64,
        "n_scored": pl.UInt32,
        "mean_tags": pl.Float64,
        "mean_length": pl.Float64,
    }
)


def measure_selection(
    pool: pl.DataFrame,
    ids: Collection[str],
) -> pl.DataFrame:
    """One row, by `FIGURES`, of the rows `ids` of the pool."""
    selected = pool.filter(pl.col("id").is_in(list(ids)))
    n_tags = _count_distinct_tags(pool)
    coverage = None
    if n_tags:
        coverage = _count_distinct_tags(selected) / n_tags
    figures = {
        "n": selected.height,
        "coverage": coverage,
        "mean_score": selected["score"].mean(),
        "n_scored": selected["score"].count(),
        "mean_tags": selected["tags"].list.n_unique().mean(),
        "mean_length": selected["length"].mean(),
    }
    return pl.DataFrame([figures], schema=FIGURES)


def _count_distinct_tags(rows: pl.DataFrame) -> int:
    """The number of distinct tags of all rows."""
    return rows["tags"].explode().drop_nulls().n_unique()


def trace_size_curve(
    pool: pl.DataFrame,
    choose: Callable[[int], Collection[str]],
    ns: Iterable[int],
) -> pl.DataFrame:
    """A row of figures for each n.

    `choose` gives the ids selected for an n; selections need not be nested.
    """
    rows = []
    for n in ns:
        ids = choose(n)
        row = measure_selection(pool, ids)
        rows.append(row)
    if not rows:
        return pl.DataFrame(schema=FIGURES)
    return pl.concat(rows)


def measure_random_band(
    pool: pl.DataFrame,
    choose: Callable[[int, int], Collection[str]],
    n: int,
    n_draws: int = 20,
    seed: int = 1,
) -> pl.DataFrame:
    """Mean, lowest and highest of each figure over random selections of n: what chance alone gives.

    `choose` takes n and a seed; the seeds are `seed`, `seed + 1`, ... Columns: `figure`, `mean`,
    `low`, `high`.
    """
    draws = [measure_selection(pool, choose(n, seed + draw)) for draw in range(n_draws)]
    return summarise_figures(pl.concat(draws))


def summarise_figures(draws: pl.DataFrame) -> pl.DataFrame:
    """`figure`, `mean`, `low`, `high` over rows of figures: mean, minimum and maximum."""
    long = draws.unpivot(variable_name="figure", value_name="value")
    value = pl.col("value")
    return long.group_by("figure", maintain_order=True).agg(
        value.mean().alias("mean"),
        value.min().alias("low"),
        value.max().alias("high"),
    )
