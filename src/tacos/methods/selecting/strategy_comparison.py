"""Compare selections of one pool: what each is like, what they share, and where they take from.

`profile_selection` adds to the figures of `size_curves` the median length, the mean grade, the
number of clusters that a selection is in, and how far its mix of clusters is from the pool's: the
total variation distance, half the sum of the differences of shares (0: the same mix, 1: nothing in
common).

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


def profile_selection(
    pool: pl.DataFrame,
    ids: Collection[str],
) -> pl.DataFrame:
    """One row, by `FIGURES`, of the rows `ids` of the pool."""
    selected = _select_rows(pool, ids)
    mean_grade = None
    if "grade" in pool.columns:
        mean_grade = selected["grade"].mean()
    cluster_distance = total_variation(
        count_value_shares(selected, "cluster"),
        count_value_shares(pool, "cluster"),
    )
    more = {
        "median_length": selected["length"].median(),
        "mean_grade": mean_grade,
        "n_clusters": selected["cluster"].drop_nulls().n_unique(),
        "cluster_distance": cluster_distance,
    }
    figures = size_curves.measure_selection(pool, ids)
    figures = figures.with_columns(
        pl.lit(value).alias(name) for name, value in more.items()
    )
    return figures.select(pl.col(name).cast(dtype) for name, dtype in FIGURES.items())


def tabulate_selections(
    pool: pl.DataFrame,
    chosen: Mapping[str, Collection[str]],
) -> pl.DataFrame:
    """`strategy` and its figures, a row per selection, in the order given."""
    rows = []
    for name, ids in chosen.items():
        figures = profile_selection(pool, ids)
        rows.append(figures.select(pl.lit(name).alias("strategy"), pl.all()))
    return pl.concat(rows)


def summarise_draws(
    pool: pl.DataFrame,
    draws: Sequence[Collection[str]],
) -> pl.DataFrame:
    """`figure`, `mean`, `low`, `high` over several selections: mean, minimum and maximum."""
    profiles = pl.concat(profile_selection(pool, ids) for ids in draws)
    return size_curves.summarise_figures(profiles.cast(pl.Float64))


def overlap_matrix(chosen: Mapping[str, Collection[str]]) -> pl.DataFrame:
    """Row A, column B: the share of A's rows that B has, too.

    By chance that is the size of B over that of the pool.
    """
    id_sets = {name: frozenset(ids) for name, ids in chosen.items()}
    columns: dict[str, list[str] | list[float]] = {"strategy": list(id_sets)}
    for name, ids in id_sets.items():
        # A column: what `ids` holds of each selection.
        overlaps = []
        for row_ids in id_sets.values():
            overlap = _measure_overlap(row_ids, ids)
            overlaps.append(overlap)
        columns[name] = overlaps
    return pl.DataFrame(columns)


def _measure_overlap(
    ids: frozenset[str],
    others: frozenset[str],
) -> float:
    """The share of `ids` that is in `others`; 0 if there are none."""
    return len(ids & others) / max(1, len(ids))


def tabulate_value_shares(
    pool: pl.DataFrame,
    chosen: Mapping[str, Collection[str]],
    column: str,
) -> pl.DataFrame:
    """The share of each value of a column, a row per value, a column per selection.

    The pool stands beside the selections, and its largest values come first.
    """
    of_pool = count_value_shares(pool, column)
    shares = {"pool": of_pool}
    for name, ids in chosen.items():
        selected = _select_rows(pool, ids)
        shares[name] = count_value_shares(selected, column)

    values = _sort_by_share(of_pool)
    # The dtype is named: polars cannot tell it where all values are null.
    names_of_values = pl.Series(values, dtype=pool[column].dtype)
    columns: dict[str, pl.Series | list[float]] = {column: names_of_values}
    for name, share_of in shares.items():
        columns[name] = [share_of.get(value, 0.0) for value in values]
    return pl.DataFrame(columns)


def _sort_by_share(share_of: Mapping[object, float]) -> list[object]:
    """The values with the largest shares first; equal ones by their text."""

    def order(value: object) -> tuple[float, str]:
        # Values may be of types that cannot be compared, such as null and a number.
        return -share_of[value], str(value)

    return sorted(share_of, key=order)


def _select_rows(
    pool: pl.DataFrame,
    ids: Collection[str],
) -> pl.DataFrame:
    """The rows `ids` of the pool, in the order of the pool."""
    return pool.filter(pl.col("id").is_in(list(ids)))


def count_value_shares(
    part: pl.DataFrame,
    column: str,
) -> dict[object, float]:
    """Value -> share of the rows; null is a value, too."""
    counts = part.group_by(column).len()
    return {value: count / part.height for value, count in counts.iter_rows()}


def total_variation(
    one: Mapping[object, float],
    other: Mapping[object, float],
) -> float:
    """Total variation distance between two distributions, 0..1.

    >>> total_variation({"a": 0.5, "b": 0.5}, {"a": 1.0})
    0.5
    """
    differences = []
    for value in {*one, *other}:
        share = one.get(value, 0.0)
        other_share = other.get(value, 0.0)
        differences.append(abs(share - other_share))
    return sum(differences) / 2
