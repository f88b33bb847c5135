"""What a selection is like, and how that changes with its size: "how many rows do I need?".

Figures of a selection of a pool (the table of `strategies`): the share of the pool's tags that it
covers, mean score, mean number of tags, mean length. A null mean rests on no row; `n_scored` says
how many rows have a score.

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


def measure_selection(pool: pl.DataFrame, ids: Collection[str]) -> pl.DataFrame:
    """One row, by `FIGURES`, of the rows `ids` of the pool."""
    part = pool.filter(pl.col("id").is_in(list(ids)))
    n_tags = pool["tags"].explode().drop_nulls().n_unique()
    covered = part["tags"].explode().drop_nulls().n_unique()
    row = {
        "n": part.height,
        "coverage": covered / n_tags if n_tags else None,
        "mean_score": part["score"].mean(),
        "n_scored": part["score"].count(),
        "mean_tags": part["tags"].list.n_unique().mean(),
        "mean_length": part["length"].mean(),
    }
    return pl.DataFrame([row], schema=FIGURES)


def trace_size_curve(
    pool: pl.DataFrame, choose: Callable[[int], Collection[str]], ns: Iterable[int]
) -> pl.DataFrame:
    """A row of figures for each n; `choose` gives the ids selected for an n (selections need not be
    nested).
    """
    rows = [measure_selection(pool, choose(n)) for n in ns]
    return pl.concat(rows) if rows else pl.DataFrame(schema=FIGURES)


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
    draws = pl.concat(measure_selection(pool, choose(n, seed + i)) for i in range(n_draws))
    long = draws.unpivot(variable_name="figure", value_name="value")
    by_figure = long.group_by("figure", maintain_order=True)
    return by_figure.agg(
        pl.col("value").mean().alias("mean"),
        pl.col("value").min().alias("low"),
        pl.col("value").max().alias("high"),
    )
