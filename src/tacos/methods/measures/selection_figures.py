"""Measure selections of a pool, and what as many rows drawn at random are expected to be like.

Every command that prints one of these figures takes it from here: `select`, `reselect`, `runs
show`, `compare`, `curve` and the report. `analyse` shares the measures of tags beneath them
(`tacos.methods.measures.tag_measures`).

"Random" is a draw of n different rows from the whole pool, each as likely as any other. Its figures
are expected values, computed exactly (`Chance`), not means over a few draws: they need no seed, and
are the same wherever they are printed.

What it does not know: which selection is better.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import gammaln

from tacos.methods.measures import tag_measures
from tacos.methods.measures.random_range import RandomRange, measure_random_range
from tacos.methods.measures.value_shares import count_value_shares, total_variation
from tacos.methods.selecting.row_tags import RowTags

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIGURES = pl.Schema(
    {
        "n": pl.UInt32(),
        "coverage": pl.Float64(),  # share of the pool's tags; null: it has none
        "mean_tags": pl.Float64(),
        "mean_length": pl.Float64(),  # characters of the response
        "median_length": pl.Float64(),
        "mean_score": pl.Float64(),  # over the rows with a score
        "n_scored": pl.UInt32(),
        "mean_grade": pl.Float64(),
        "n_clusters": pl.UInt32(),  # clusters with a row
        "cluster_distance": pl.Float64(),  # from the pool's mix of clusters: see `total_variation`
    }
)
"""The figures of a selection, in order; a mean over no row is null."""
COUNTS = ("n", "n_scored", "n_clusters")
N_DEVIATIONS = 12.0
"""Standard deviations from the mean within which a rank is looked for."""

Figures = dict[str, float | None]
"""Name -> value, by `FIGURES`."""


@dataclass(frozen=True, eq=False)
class MeasuredPool:
    """A pool and its selections in figures."""

    table: pl.DataFrame
    """A row per sample: `id`, `is_tagged` (false: its tags are not known), `length`, `score`,
    `cluster` (null: in none), and `grade` if there are grades.
    """
    tags: RowTags
    """The tags of each row of the table."""

    @cached_property
    def carriers(self) -> Ints:
        """Rows with each tag, shape (tags,)."""
        return self.tags.count_carriers()

    @cached_property
    def clusters(self) -> dict[object, float]:
        """Cluster -> its share of the pool."""
        return count_value_shares(self.table, "cluster")

    def measure(self, ids: Collection[str]) -> Figures:
        """The figures of the rows `ids`."""
        is_chosen = self.table["id"].is_in(list(ids))
        tags = self.tags.arrange(is_chosen.arg_true().to_numpy())
        return self._measure_rows(self.table.filter(is_chosen), tags.count_carriers())

    def measure_all(self) -> Figures:
        """The figures of the whole pool."""
        return self._measure_rows(self.table, self.carriers)

    def measure_random_range(self, n: int, seed: int) -> RandomRange | None:
        """How far the tags of n random rows vary: see `tacos.methods.measures.random_range`."""
        is_tagged = self.table["is_tagged"].to_numpy()
        return measure_random_range(self.tags, is_tagged, n, seed)

    def _measure_rows(self, chosen: pl.DataFrame, carriers: Ints) -> Figures:
        """The figures of rows of the pool; `carriers` are those with each tag, shape (tags,)."""
        distance = total_variation(
            count_value_shares(chosen, "cluster"),
            self.clusters,
        )
        figures = {
            **_average(chosen, carriers),
            "n": chosen.height,
            "coverage": self._divide_by_tags(int((carriers > 0).sum())),
            "median_length": _as_float(chosen["length"].median()),
            "n_scored": chosen["score"].count(),
            "n_clusters": chosen["cluster"].drop_nulls().n_unique(),
            "cluster_distance": distance,
        }
        return _order_figures(figures)

    def expect_random(self, n: int) -> Figures:
        """The expected figures of n random rows; of the whole pool where n is larger."""
        pool = self.table
        chance = Chance(pool.height, min(n, pool.height))
        sizes = pool["cluster"].value_counts(name="n_rows")
        named_sizes = sizes.drop_nulls("cluster")
        n_tags = self._expect_kinds(self.carriers, chance.n)
        figures = {
            # A mean over random rows is expected to be the pool's own.
            **_average(pool, self.carriers),
            "n": chance.n,
            "coverage": self._divide_by_tags(n_tags),
            "median_length": chance.expect_median(pool["length"]),
            "n_scored": pool["score"].count() * chance.share,
            "n_clusters": self._expect_kinds(
                _as_integers(named_sizes["n_rows"]), chance.n
            ),
            "cluster_distance": chance.expect_distance(sizes["n_rows"]),
        }
        return _order_figures(figures)

    def _expect_kinds(self, counts: Ints, n: int) -> float:
        """How many kinds n random rows are expected to be of; `counts` are rows per kind."""
        expected = tag_measures.count_expected_kinds(
            counts,
            self.table.height,
            np.array([n]),
        )
        return float(expected[0])

    def _divide_by_tags(self, n_tags: float) -> float | None:
        """A share of the pool's tags; None if it has none."""
        n_all = self.tags.n_tags
        return n_tags / n_all if n_all else None


@dataclass(frozen=True)
class Chance:
    """A draw of `n` different rows from a pool of `n_pool`, each as likely as any other."""

    n_pool: int
    n: int

    @property
    def share(self) -> float:
        """The chance of a row to be drawn."""
        return self.n / max(self.n_pool, 1)

    def expect_median(self, values: pl.Series) -> float | None:
        """The expected median of the values drawn; the pool has the given ones, none of them null.

        >>> Chance(3, 1).expect_median(pl.Series([1.0, 2.0, 6.0]))
        3.0
        """
        if self.n == 0:
            return None
        ordered = values.sort()
        # An even number of rows has two in the middle.
        middles = {(self.n + 1) // 2, self.n // 2 + 1}
        expected = []
        for rank in sorted(middles):
            first, chances = self._rank_chances(rank)
            near = ordered.slice(first, len(chances)).to_numpy().astype(np.float64)
            expected.append(chances @ near)
        return round(float(np.mean(expected)), 9)

    def expect_distance(self, sizes: pl.Series) -> float | None:
        """The expected distance between the mix of clusters drawn and the pool's.

        The distance is `total_variation`; `sizes` are rows per cluster, shape (clusters,), and add
        up to the pool.
        """
        if self.n == 0:
            return None
        # Half the sum of the absolute deviations of each cluster's count from its expectation,
        # and half a mean absolute deviation is the mean deviation above the expectation.
        above = self._expect_excess(_as_integers(sizes))
        return round(float(above.sum()) / self.n, 12)

    def _expect_excess(self, sizes: Ints) -> Floats:
        """E[max(0, X - E X)] of the rows X drawn from clusters of these sizes, shape (clusters,).

        X is hypergeometric. With a the least whole number above E X, the sum telescopes to
        a (N - K - n + a) / N x P(X = a) (Diaconis and Zabell 1991, Statistical Science 6).
        """
        n_pool = self.n_pool
        least_above = np.floor(self.n * sizes / n_pool) + 1
        rest = n_pool - sizes - self.n + least_above
        is_possible = (least_above <= sizes) & (least_above <= self.n) & (rest > 0)
        a = np.where(is_possible, least_above, 0)
        k = np.where(is_possible, sizes, 0)
        # Logarithms, because binomials of large numbers overflow.
        log_chance = _log_binomial(k, a)
        log_chance += _log_binomial(n_pool - k, self.n - a)
        log_chance -= _log_binomial(n_pool, self.n)
        excess = a * rest / n_pool * np.exp(log_chance)
        return np.where(is_possible, excess, 0.0)

    def _rank_chances(self, rank: int) -> tuple[int, Floats]:
        """The chances of places in the sorted pool to be the `rank`-th lowest (from 1) of the rows
        drawn: the first of these places (from 0), and the chances, shape (places,).

        Those of all other places together are below 1e-30: the share of rows below that one is
        about beta distributed, with tails no heavier than those of a normal distribution of
        variance 1 / (4 n + 8) (Marchal and Arbel 2017).
        """
        mean = rank / (self.n + 1) * self.n_pool
        reach = N_DEVIATIONS / (2 * math.sqrt(self.n + 1)) * self.n_pool + 1
        first = max(0, int(mean - reach))
        last = min(self.n_pool, int(mean + reach) + 1)
        places = np.arange(first + 1, last + 1, dtype=np.float64)
        # Below the place rank - 1 rows are drawn, and above it all others.
        n_above = self.n - rank
        is_possible = (places >= rank) & (self.n_pool - places >= n_above)
        below = np.where(is_possible, places - 1, rank - 1)
        above = np.where(is_possible, self.n_pool - places, n_above)
        logs = _log_binomial(below, rank - 1)
        logs += _log_binomial(above, n_above)
        chances = np.where(is_possible, np.exp(logs - logs[is_possible].max()), 0.0)
        return first, np.asarray(chances / chances.sum())


def tabulate_figures(figures: Mapping[str, Mapping[str, float | None]]) -> pl.DataFrame:
    """`name` and its figures, a row each, all as floats: expected counts are no whole numbers."""
    rows = [{"name": name, **values} for name, values in figures.items()]
    floats = dict.fromkeys(FIGURES, pl.Float64())
    return pl.DataFrame(rows, schema={"name": pl.String(), **floats})


def summarise_range(draws: Collection[Figures]) -> pl.DataFrame:
    """`figure`, `mean`, `low`, `high` over the figures of several selections."""
    numbers = {str(number): draw for number, draw in enumerate(draws)}
    table = tabulate_figures(numbers).drop("name")
    long = table.unpivot(variable_name="figure", value_name="value")
    value = pl.col("value")
    return long.group_by("figure", maintain_order=True).agg(
        value.mean().alias("mean"),
        value.min().alias("low"),
        value.max().alias("high"),
    )


def _average(rows: pl.DataFrame, carriers: Ints) -> Figures:
    """The figures that are means over rows; `carriers` are those with each tag, shape (tags,)."""
    grades = pl.Series(dtype=pl.Float64)
    if "grade" in rows.columns:
        grades = rows["grade"]
    n_tagged = int(rows["is_tagged"].sum())
    return {
        "mean_tags": int(carriers.sum()) / n_tagged if n_tagged else None,
        "mean_length": _as_float(rows["length"].mean()),
        "mean_score": _as_float(rows["score"].mean()),
        "mean_grade": _as_float(grades.mean()),
    }


def _order_figures(figures: Mapping[str, float | None]) -> Figures:
    """The figures in the order of `FIGURES`."""
    return {name: figures[name] for name in FIGURES}


def _as_float(value: object) -> float | None:
    """A mean or a median of polars, which is null over no row."""
    return None if value is None else float(value)  # type: ignore[arg-type]


def _as_integers(counts: pl.Series) -> Ints:
    """Counts as numpy reads them; a series of none has no type of its own."""
    return counts.cast(pl.Int64).to_numpy()


def _log_binomial(n: Floats | Ints | float, k: Floats | Ints | float) -> Floats:
    """The logarithm of n over k."""
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))
