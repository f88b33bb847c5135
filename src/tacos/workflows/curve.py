"""How many rows do I need? One strategy's selections of growing size over the pool of a finished
run.

Coverage is the share of the pool's canonical tags that a selection has. Its gain is told per 1% of
the pool: at 1 point a further percent of the pool brings one percent of the tags, which is what
rows are worth on the whole; where the gain falls below that, coverage is furthest above the share
of rows (the knee of Satopää et al. 2011, ICDCS workshops). Beside it stands what as many rows drawn
by chance cover.

What it does not know: whether more rows make a better model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import polars as pl

from tacos import amounts
from tacos.errors import InputError
from tacos.methods.selecting import size_curves, sizes
from tacos.workflows import reselect, select
from tacos.workflows.reselect import Pool, SelectionRequest

STEPS = (1, 1.5, 2, 3, 5, 7)
N_DRAWS = 5
GAIN = 1.0


@dataclass(frozen=True)
class SizeCurve:
    """What selections of growing size are like."""

    strategy: str
    n_pool: int
    table: pl.DataFrame
    """n, share (of the pool), tokens, coverage, by_chance (mean coverage of random rows), gain
    (points of coverage per 1% of the pool from this size to the next), mean_score, n_scored,
    mean_tags, mean_length.
    """
    gain: float
    """The rate asked about."""
    knee: int | None
    """The least size from which on the gain stays below that rate; None where it does not."""
    ended: str = ""
    """Why there are no larger sizes, where the strategy ran out of rows."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"table": self.table.to_dicts()}

    @property
    def answer(self) -> str:
        """One sentence."""
        percent = f"1% more of the pool ({max(1, round(self.n_pool / 100)):,} rows)"
        rate = f"{self.gain:g} point{'' if self.gain == 1 else 's'} of coverage"
        if self.knee is None:
            return f"up to the largest size here, {percent} still brings {rate} or more"
        row = self.table.row(by_predicate=pl.col("n") == self.knee, named=True)
        return (
            f"from {self.knee:,} rows on ({row['coverage']:.1%} of the tags, {row['tokens']:,} tokens), "
            f"{percent} brings less than {rate}"
        )


def curve(
    run: str | Path | select.Selection,
    wish: SelectionRequest,
    ns: Sequence[str | float] = (),
    gain: float = GAIN,
) -> SizeCurve:
    """The curve of a wish's strategy, seed and limits; `wish.n` is not read.

    `ns` are sizes in rows or shares; without any, 1, 1.5, 2, 3, 5, 7 of each power of ten from 10
    on. Raises `InputError` where the strategy cannot give the smallest, `ConfigError` for what is
    no size.
    """
    done = run if isinstance(run, select.Selection) else select.load(run)
    pool = Pool(done.artifacts, done.settings, wish.by)
    wanted = _parse_sizes(ns, pool.table.height) if ns else _space_sizes(pool.table.height)
    chosen, ended = _select_each_size(pool, wish, wanted)
    table = _tabulate_sizes(pool, chosen, wish.seed)
    return SizeCurve(wish.strategy, pool.table.height, table, gain, _find_knee(table, gain), ended)


def _parse_sizes(ns: Iterable[str | float], n_pool: int) -> list[int]:
    """Sizes in rows, ascending, each once."""
    found = [sizes.resolve_row_count(amounts.parse_size(n), n_pool) for n in ns]
    if None in found:
        raise InputError("the sizes of a curve are rows or shares; tokens are among its figures")
    return sorted({n for n in found if n is not None})


def _space_sizes(n_pool: int) -> list[int]:
    """About even steps on a logarithmic scale, and the whole pool.

    >>> _space_sizes(40)
    [10, 15, 20, 30, 40]
    """
    steps = [int(step * 10**power) for power in range(1, len(str(n_pool)) + 1) for step in STEPS]
    return [n for n in steps if n < n_pool] + [n_pool]


def _select_each_size(
    pool: Pool, wish: SelectionRequest, ns: Sequence[int]
) -> tuple[dict[int, list[str]], str]:
    """Size -> ids, up to the first size that the strategy cannot give, and why it cannot."""
    found: dict[int, list[str]] = {}
    for n in ns:
        try:
            found[n] = reselect.choose_rows(pool, replace(wish, n=n))["id"].to_list()
        except InputError as error:
            if not found:
                raise
            return found, str(error)
    return found, ""


def _tabulate_sizes(pool: Pool, chosen: dict[int, list[str]], seed: int) -> pl.DataFrame:
    """A row of figures for each size."""
    rows = pool.table
    tokens = dict(rows.select("id", "tokens").iter_rows())
    table = size_curves.trace_size_curve(rows, lambda n: chosen[n], chosen).with_columns(
        share=pl.col("n") / rows.height,
        tokens=pl.Series(
            [sum(tokens[one] for one in ids) for ids in chosen.values()], dtype=pl.Int64
        ),
        by_chance=pl.Series(
            [_measure_random_coverage(pool, n, seed) for n in chosen], dtype=pl.Float64
        ),
    )
    following = (pl.col("coverage").shift(-1) - pl.col("coverage")) / (
        pl.col("share").shift(-1) - pl.col("share")
    )
    names = ("n", "share", "tokens", "coverage", "by_chance", "gain")
    return table.with_columns(gain=following).select(*names, pl.exclude(*names))


def _measure_random_coverage(pool: Pool, n: int, seed: int) -> float | None:
    """The mean coverage of random rows."""
    draws = [pool.table["id"].sample(n, seed=seed + draw) for draw in range(N_DRAWS)]
    found = [
        size_curves.measure_selection(pool.table, ids.to_list())["coverage"].item() for ids in draws
    ]
    return None if None in found else fmean(found)


def _find_knee(table: pl.DataFrame, gain: float) -> int | None:
    """The least size from which on every gain is below the rate.

    >>> _find_knee(pl.DataFrame({"n": [10, 20, 40], "gain": [3.0, 0.8, None]}), 1.0)
    20
    """
    known = table.drop_nulls("gain")
    low = known["gain"].to_list()
    at = len(low)
    while at and low[at - 1] < gain:
        at -= 1
    return int(known["n"][at]) if at < len(low) else None
