"""Which groups of a pool a selection has more or fewer rows of than chance would give.

A group is a tag, a cluster or a source; a row may be in several of one kind, or in none. As many
rows drawn by chance from the pool would hold a number of a group's rows that follows the
hypergeometric distribution. A group stands out where the selection's number is among the rarest
`RARE` of these on its side: of a thousand groups in a random selection, about ten would.

What it does not know: whether a mix other than the pool's is better.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from tacos.methods.measures.tag_measures import N_AT_ONCE, count_expected_kinds

RARE = 0.005
"""The probability on one side below which a number of rows is not put down to chance."""
NONE = "none"
FEWER = "fewer"
AS_CHANCE = "as by chance"
MORE = "more"
STANDINGS = (NONE, FEWER, AS_CHANCE, MORE)
"""What the selection has of a group: none at all, fewer rows than chance gives, about as many, or
more.
"""

REPRESENTATION = pl.Schema(
    {
        "group": pl.String(),
        "n_pool": pl.Int64(),
        "n_selected": pl.Int64(),
        "expected": pl.Float64(),  # rows of as many drawn by chance
        "ratio": pl.Float64(),  # selected rows per expected one
        "standing": pl.String(),  # one of STANDINGS
    }
)
COUNTS = pl.Schema(
    {name: REPRESENTATION[name] for name in ("group", "n_pool", "n_selected")}
)


def measure_representation(groups: pl.DataFrame) -> pl.DataFrame:
    """A row per group of the pool by `REPRESENTATION`, the largest first.

    `groups` has a row per row of the pool: `group` (a name, a list of names, or null) and
    `is_selected`.
    """
    n_selected = int(groups["is_selected"].sum())
    return measure_counts(count_groups([groups]), groups.height, n_selected)


def count_groups(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """group, n_pool, n_selected over the frames of a pool, each as `measure_representation` reads
    them: the largest first, equal ones by name.
    """
    # In slices: all groups of all rows, each with its flag, take much memory.
    parts = [
        _count_rows_of_slice(some)
        for frame in frames
        for some in frame.select("group", "is_selected").iter_slices(N_AT_ONCE)
    ]
    if not parts:
        return pl.DataFrame(schema=COUNTS)
    counts = (
        pl.concat(parts).group_by("group").agg(pl.col("n_pool", "n_selected").sum())
    )
    return counts.sort("n_pool", "group", descending=[True, False])


def measure_counts(counts: pl.DataFrame, n_pool: int, n_selected: int) -> pl.DataFrame:
    """The same from the counts of `count_groups`; the pool has `n_pool` rows, of which `n_selected`
    are selected, those in no group included.
    """
    if counts.is_empty():
        return pl.DataFrame(schema=REPRESENTATION)
    expected = pl.col("n_pool") * (n_selected / n_pool)
    measured = counts.with_columns(
        expected=expected,
        ratio=pl.col("n_selected") / expected,
        standing=_find_standings(counts, n_pool, n_selected),
    )
    # Nothing is expected of a selection of no rows.
    known = measured.with_columns(pl.col("ratio").fill_nan(None))
    return known.select(REPRESENTATION.names()).cast(REPRESENTATION)


def expect_missing(table: pl.DataFrame, n_pool: int, n_selected: int) -> float:
    """How many of the groups as many random rows are expected to have no row of."""
    of_group = table["n_pool"].to_numpy()
    present = count_expected_kinds(of_group, n_pool, np.array([n_selected]))
    return float(table.height - present[0])


def list_missing(table: pl.DataFrame) -> pl.DataFrame:
    """The groups of which nothing is selected, the largest first."""
    return table.filter(pl.col("n_selected") == 0)


def list_scarce(table: pl.DataFrame) -> pl.DataFrame:
    """The groups with fewer rows than chance gives, but some; the smallest ratio first."""
    scarce = table.filter(pl.col("standing") == FEWER)
    return scarce.sort("ratio", "n_pool", "group", descending=[False, True, False])


def list_favoured(table: pl.DataFrame) -> pl.DataFrame:
    """The groups with more rows than chance gives, the largest ratio first."""
    favoured = table.filter(pl.col("standing") == MORE)
    return favoured.sort("ratio", "n_pool", "group", descending=[True, True, False])


def _count_rows_of_slice(groups: pl.DataFrame) -> pl.DataFrame:
    """group, n_pool, n_selected of some rows, in no order."""
    if isinstance(groups.schema["group"], pl.List):
        # A tag counts once in a row that has it twice.
        each_once = pl.col("group").list.unique()
        groups = groups.with_columns(each_once).explode("group")
    counts = (
        groups.drop_nulls("group")
        .group_by("group")
        .agg(n_pool=pl.len(), n_selected=pl.col("is_selected").sum())
    )
    return counts.select(pl.col(name).cast(dtype) for name, dtype in COUNTS.items())


def _find_standings(
    counts: pl.DataFrame,
    n_pool: int,
    n_selected: int,
) -> pl.Series:
    """The standing of each group."""
    # Imported here: scipy.stats takes long to import, and few commands need it.
    from scipy.stats import hypergeom

    of_group = counts["n_pool"].to_numpy()
    taken = counts["n_selected"].to_numpy()
    at_most = hypergeom.cdf(taken, n_pool, of_group, n_selected)
    at_least = hypergeom.sf(taken - 1, n_pool, of_group, n_selected)
    standings = np.select(
        [taken == 0, at_most < RARE, at_least < RARE],
        [NONE, FEWER, MORE],
        default=AS_CHANCE,
    )
    return pl.Series(standings.tolist(), dtype=pl.String)
