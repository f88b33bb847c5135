"""Compare selections of one pool: what they share, and where they take from.

What each is like, `tacos.methods.measures.selection_figures` measures.

What it does not know: which selection is better.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from tacos.methods.measures.value_shares import count_value_shares


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
