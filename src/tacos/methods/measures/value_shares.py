"""Measure how the values of a column share the rows of a table, and how far two such mixes are
apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum, sqrt

import polars as pl

Z_95 = 1.959964
"""Standard errors on either side of a mean in its 95% confidence interval."""


def bound_share(n_yes: int, n: int) -> tuple[float, float]:
    """The 95% interval of the share n_yes / n (n above 0) by Wilson's score (1927).

    As `rater_agreement.wilson_interval`, which imports scipy.stats, and that takes a second.

    >>> [round(bound, 3) for bound in bound_share(9, 10)]
    [0.596, 0.982]
    """
    share = n_yes / n
    middle = share + Z_95**2 / (2 * n)
    spread = Z_95 * sqrt(share * (1 - share) / n + (Z_95 / (2 * n)) ** 2)
    total = 1 + Z_95**2 / n
    # Rounding may leave a low end just above 0, or a high end just above 1.
    low = (middle - spread) / total if n_yes else 0.0
    return low, min(1.0, (middle + spread) / total)


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
