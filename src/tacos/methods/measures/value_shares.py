"""Measure how the values of a column share the rows of a table, and how far two such mixes are
apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum

import polars as pl


def count_value_shares(
    part: pl.DataFrame,
    column: str,
) -> dict[object, float]:
    """Value -> share of the rows; null is a value, too."""
    counts = part.group_by(column, maintain_order=True).len()
    return {value: count / part.height for value, count in counts.iter_rows()}


def total_variation(
    one: Mapping[object, float],
    other: Mapping[object, float],
) -> float:
    """Total variation distance between two distributions: half the sum of the differences of
    shares, 0 (the same mix) to 1 (nothing in common).

    >>> total_variation({"a": 0.5, "b": 0.5}, {"a": 1.0})
    0.5
    """
    differences = []
    for value in {*one, *other}:
        share = one.get(value, 0.0)
        other_share = other.get(value, 0.0)
        differences.append(abs(share - other_share))
    # The sum is exact, so the order of a set, which changes between processes, does not matter.
    return fsum(differences) / 2
