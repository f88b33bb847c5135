"""`tacos curve`: how many rows do I need? One strategy's selections of growing size over the pool
of a finished run.

Coverage is the share of the pool's canonical tags that a selection has. Its gain is per 1% of the
pool: at 1 point, a further percent of the pool brings one percent of the tags, which is what rows
are worth on average. Where the gain falls below that, coverage is furthest above the share of rows:
the knee of Satopää et al. 2011 (ICDCS workshops). Beside it stands what as many random rows of the
pool are expected to cover, limits or not.

The curve does not tell whether more rows make a better model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import polars as pl

from tacos import amounts
from tacos.counts import count_words
from tacos.errors import InputError
from tacos.methods.measures.selection_figures import FIGURES, MeasuredPool
from tacos.methods.selecting import sizes
from tacos.methods.selecting.strategies import Strategy
from tacos.pipeline.steps import pool as pool_steps
from tacos.workflows import arguments, reselect
from tacos.workflows.selection import GivenRun, load
from tacos.workflows.strategy_pool import By, Pool, SelectionRequest, choose_rows

STEPS = (1, 1.5, 2, 3, 5, 7)
"""Sizes within a power of ten, about evenly spaced on a logarithmic scale."""
GAIN = 1.0
FIRST_COLUMNS = ("n", "share", "tokens", "coverage", "by_chance", "gain")


@dataclass(frozen=True)
class SizeCurve:
    """What selections of growing size are like."""

    strategy: str
    n_pool: int
    """Rows of the pool."""
    table: pl.DataFrame
    """A row per size: n, share (of the pool), tokens, coverage, by_chance (expected coverage of as
    many random rows), gain (points of coverage per 1% of the pool, from this size to the next), and
    all other figures of `tacos.methods.measures.selection_figures.FIGURES`.
    """
    gain: float
    """The gain that makes more rows worth it, in points of coverage per 1% of the pool."""
    knee: int | None
    """The least size from which on the gain stays below that; None if it does not."""
    ended: str = ""
    """Why there are no larger sizes, if the strategy ran out of rows."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"table": self.table.to_dicts()}

    @property
    def answer(self) -> str:
        """How many rows are worth it, in one sentence."""
        if self.table["gain"].count() == 0:
            return "one size says nothing of the gain: give several sizes"
        # In a pool of 50 rows or fewer, 1% rounds to no row.
        n_percent = max(1, round(self.n_pool / 100))
        rows = "row" if n_percent == 1 else "rows"
        adding = f"adding 1% of the pool ({n_percent:,} {rows})"
        points = "point" if self.gain == 1 else "points"
        rate = f"{self.gain:g} {points} of coverage"
        if self.knee is None:
            return f"up to the largest size here, {adding} still gains {rate} or more"
        row = self.table.row(by_predicate=pl.col("n") == self.knee, named=True)
        return (
            f"beyond {count_words(self.knee, 'row')} "
            f"({row['coverage']:.1%} of the tags, {row['tokens']:,} tokens), "
            f"{adding} gains under {rate}"
        )


def curve(  # noqa: PLR0913 - the options of the command
    run: GivenRun,
    strategy: Strategy = "tacos",
    ns: str | float | Sequence[str | float] = (),
    *,
    gain: float = GAIN,
    seed: int | None = None,
    limit: float | None = None,
    per_source: Mapping[str, str | float] | None = None,
    per_tag: Mapping[str, str | float] | None = None,
    match_length: bool = False,
    min_correctness: float = 0.0,
    by: By = "score",
) -> SizeCurve:
    """Measure a strategy's selections of growing size over the pool of a finished run.

    `ns` is a size in rows or as a share, or several; by default 1, 1.5, 2, 3, 5 and 7 times each
    power of ten from 10 on, and the whole pool. The other arguments are those of `tacos.reselect`.

    Raises:
        ConfigError: One of `ns` is not a valid size.
        InputError: The strategy cannot select the smallest size, or the run has no scores.
        RunError: `run` is no run directory.
    """
    arguments.check_type("gain", gain, Real, "a number")
    done = load(run)
    limits = reselect.parse_limits(
        limit,
        per_source,
        per_tag,
        match_length,
        min_correctness,
    )
    request = SelectionRequest(
        1,
        strategy,
        done.seed_or(seed),
        limits,
        by,
    )
    pool = Pool(done.artifacts, done.settings, by)
    n_pool = pool.table.height
    given_sizes = arguments.list_items(ns)
    row_counts = _space_sizes(n_pool)
    if given_sizes:
        row_counts = _parse_sizes(given_sizes, n_pool)
    chosen, ended = _select_each_size(pool, request, row_counts)
    measured = pool_steps.measure_pool(done.artifacts, done.settings)
    table = _tabulate_sizes(pool, measured, chosen)
    return SizeCurve(
        strategy,
        n_pool,
        table,
        gain,
        _find_knee(table, gain),
        ended,
    )


def _parse_sizes(
    ns: Iterable[str | float],
    n_pool: int,
) -> list[int]:
    """Sizes in rows, ascending, each once."""
    row_counts = set()
    for n in ns:
        size = amounts.parse_size(n)
        n_rows = sizes.resolve_row_count(size, n_pool)
        if n_rows is None:
            raise InputError(
                "the sizes of a curve are rows or shares; tokens are a column of it"
            )
        row_counts.add(n_rows)
    return sorted(row_counts)


def _space_sizes(n_pool: int) -> list[int]:
    """About even steps on a logarithmic scale, and the whole pool.

    >>> _space_sizes(40)
    [10, 15, 20, 30, 40]
    """
    row_counts: list[int] = []
    power = 10
    while power < n_pool:
        row_counts.extend(int(step * power) for step in STEPS)
        power *= 10
    # The last decade may pass the pool; the pool itself is always the last size.
    smaller = [n for n in row_counts if n < n_pool]
    return [*smaller, n_pool]


def _select_each_size(
    pool: Pool,
    request: SelectionRequest,
    row_counts: Sequence[int],
) -> tuple[dict[int, list[str]], str]:
    """Size -> ids, up to the first size that the strategy cannot select, and why it cannot."""
    chosen: dict[int, list[str]] = {}
    for n in row_counts:
        try:
            rows = choose_rows(pool, replace(request, n=n))
        except InputError as error:
            if not chosen:
                raise
            return chosen, str(error)
        chosen[n] = rows["id"].to_list()
    return chosen, ""


def _tabulate_sizes(
    pool: Pool,
    measured: MeasuredPool,
    chosen: Mapping[int, list[str]],
) -> pl.DataFrame:
    """A row of figures for each size."""
    rows = pool.table
    tokens_of = dict(rows.select("id", "tokens").iter_rows())
    tokens = []
    by_chance = []
    figures = []
    for n, ids in chosen.items():
        tokens.append(sum(tokens_of[row_id] for row_id in ids))
        by_chance.append(measured.expect_random(n)["coverage"])
        figures.append(measured.measure(ids))
    table = pl.DataFrame(figures, schema=FIGURES)
    share = pl.col("n") / rows.height
    table = table.with_columns(
        share=share,
        tokens=pl.Series(tokens, dtype=pl.Int64),
        by_chance=pl.Series(by_chance, dtype=pl.Float64),
    )
    # Both are shares, so their ratio is points of coverage per 1% of the pool.
    more_coverage = _to_next("coverage")
    more_rows = _to_next("share")
    table = table.with_columns(gain=more_coverage / more_rows)
    others = pl.exclude(*FIRST_COLUMNS)
    return table.select(*FIRST_COLUMNS, others)


def _to_next(column: str) -> pl.Expr:
    """The difference from a row to the next one."""
    return pl.col(column).shift(-1) - pl.col(column)


def _find_knee(
    table: pl.DataFrame,
    gain: float,
) -> int | None:
    """The least size from which on every gain is below the given one.

    >>> _find_knee(pl.DataFrame({"n": [10, 20, 40], "gain": [3.0, 0.8, None]}), 1.0)
    20
    """
    known = table.drop_nulls("gain").select("n", "gain")
    # From the largest size downwards, while the gain stays below the rate.
    knee = None
    for n, gain_from_n in reversed(known.rows()):
        if gain_from_n >= gain:
            break
        knee = int(n)
    return knee
