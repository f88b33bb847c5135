"""Selections of one pool side by side: what each is like, what they have in common, and where they
take from.

`profile_selection` adds to those of `curves`: the median length, the mean grade, in how many clusters a
selection is, and how far its mix of clusters is from the pool's: the total variation distance, half
the sum of the differences of shares (0: the same mix, 1: nothing in common).

What it does not know: which selection is better.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from tacos.methods.selecting import size_curves

MORE = {
    "median_length": pl.Float64(),
    "mean_grade": pl.Float64(),
    "n_clusters": pl.UInt32(),
    "cluster_distance": pl.Float64(),
}
FIGURES = pl.Schema([*size_curves.FIGURES.items(), *MORE.items()])
"""A pool here may have a column `grade` beside those of `strategies`."""


def profile_selection(pool: pl.DataFrame, ids: Collection[str]) -> pl.DataFrame:
    """One row, by `FIGURES`, of the rows `ids` of the pool."""
    part = pool.filter(pl.col("id").is_in(list(ids)))
    grade = part["grade"].mean() if "grade" in pool.columns else None
    more = {
        "median_length": part["length"].median(),
        "mean_grade": grade,
        "n_clusters": part["cluster"].drop_nulls().n_unique(),
        "cluster_distance": total_variation(
            count_value_shares(part, "cluster"), count_value_shares(pool, "cluster")
        ),
    }
    found = size_curves.measure_selection(pool, ids).with_columns(
        pl.lit(value).alias(name) for name, value in more.items()
    )
    return found.select(pl.col(name).cast(dtype) for name, dtype in FIGURES.items())


def tabulate_selections(pool: pl.DataFrame, chosen: Mapping[str, Collection[str]]) -> pl.DataFrame:
    """`strategy` and its figures, a row per selection, in the order given."""
    rows = [
        profile_selection(pool, ids).select(pl.lit(name).alias("strategy"), pl.all())
        for name, ids in chosen.items()
    ]
    return pl.concat(rows)


def summarise_draws(pool: pl.DataFrame, draws: Sequence[Collection[str]]) -> pl.DataFrame:
    """`figure`, `mean`, `low`, `high` over several selections; low and high are the least and the
    greatest.
    """
    long = pl.concat(profile_selection(pool, ids).cast(pl.Float64) for ids in draws).unpivot(
        variable_name="figure"
    )
    value = pl.col("value")
    return long.group_by("figure", maintain_order=True).agg(
        value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high")
    )


def overlap_matrix(chosen: Mapping[str, Collection[str]]) -> pl.DataFrame:
    """Row A, column B: the share of A's rows that B has, too. By chance that is the size of B over
    that of the pool.
    """
    sets = {name: frozenset(ids) for name, ids in chosen.items()}
    columns = {b: [len(sets[a] & sets[b]) / max(1, len(sets[a])) for a in sets] for b in sets}
    return pl.DataFrame({"strategy": list(sets)} | columns)


def tabulate_value_shares(
    pool: pl.DataFrame, chosen: Mapping[str, Collection[str]], column: str
) -> pl.DataFrame:
    """The share of each value of a column, a row per value, a column per selection; the pool's
    largest first.
    """
    shares = {"pool": count_value_shares(pool, column)}
    shares |= {
        name: count_value_shares(pool.filter(pl.col("id").is_in(list(ids))), column)
        for name, ids in chosen.items()
    }
    values = sorted(shares["pool"], key=lambda value: (-shares["pool"][value], str(value)))
    found = {name: [share.get(value, 0.0) for value in values] for name, share in shares.items()}
    return pl.DataFrame({column: pl.Series(values, dtype=pool[column].dtype)} | found)


def count_value_shares(part: pl.DataFrame, column: str) -> dict[object, float]:
    """Value -> share of the rows; a null is a value, too."""
    counts = part.group_by(column).len().iter_rows()
    return {value: count / part.height for value, count in counts}


def total_variation(one: Mapping[object, float], other: Mapping[object, float]) -> float:
    """Total variation distance.

    >>> total_variation({"a": 0.5, "b": 0.5}, {"a": 1.0})
    0.5
    """
    return sum(abs(one.get(value, 0.0) - other.get(value, 0.0)) for value in {*one, *other}) / 2
