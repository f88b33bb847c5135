"""Strategies side by side over the annotated pool of one run, with no further question to any
model.

Each strategy's selection is the one that `tacos reselect` would make, and is kept in the run for
it. Random and longest stand beside them always; random is drawn 20 times, and its figures are means
with the least and the greatest draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import polars as pl

from tacos.errors import ConfigError
from tacos.methods.selecting import strategy_comparison
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.strategies import NONE, STRATEGIES, Strategy
from tacos.workflows import reselect, select
from tacos.workflows.reselect import By, Pool, SelectionRequest

BASELINES: tuple[Strategy, ...] = ("longest", "random")
DEFAULT: tuple[Strategy, ...] = ("tacos", "complexity-first", "mig", "deita", "car", "k-center")
N_DRAWS = 20


@dataclass(frozen=True)
class Comparison:
    """What the selections are like."""

    n_pool: int
    table: pl.DataFrame
    """strategy and its figures (`tabulating.FIGURES`); the pool first, random last: its mean over
    the draws.
    """
    random: pl.DataFrame
    """figure, mean, low, high over the draws."""
    overlap: pl.DataFrame
    """strategy, and a column per strategy: the share of the row's samples that the column has, too.
    """
    clusters: pl.DataFrame
    """cluster, name, and the share of each cluster in the pool and in each selection."""
    sources: pl.DataFrame
    """The same for each file of the input."""
    chosen: Mapping[str, list[str]]
    """Strategy -> ids by rank; of random, the first draw."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without the ids."""
        tables = ("table", "random", "overlap", "clusters", "sources")
        return {"n_pool": self.n_pool} | {name: getattr(self, name).to_dicts() for name in tables}


def compare(
    run: str | Path | select.Selection,
    n: str | float = 1000,
    strategies: Sequence[str] = DEFAULT,
    *,
    seed: int | None = None,
    limits: Limits = NONE,
    by: By = "score",
) -> Comparison:
    """Compare strategies on a finished run; arguments as those of `Selection.reselect`, but that
    `limits` are made by `tacos.workflows.select.parse_limits`. Every strategy, random and longest
    too, keeps to them.

    Raises `ConfigError` for an unknown strategy, `InputError` where one cannot select so many rows.
    """
    done = run if isinstance(run, select.Selection) else select.load(run)
    wishes = [
        SelectionRequest(n, name, done.seed_or(seed), limits, by)
        for name in _order_strategies(strategies)
    ]
    pool = Pool(done.artifacts, done.settings, by)
    chosen: dict[str, list[str]] = {
        wish.strategy: _select_ids(done.run, pool, wish) for wish in wishes
    }
    return _tabulate_strategies(
        pool, chosen, draw_random_selections(pool, wishes[-1], chosen["random"])
    )


def _order_strategies(strategies: Sequence[str]) -> list[Strategy]:
    """The strategies wanted, each once, longest and random among them, random last."""
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown:
        raise ConfigError(f"unknown strategy {unknown[0]!r}; there are {', '.join(STRATEGIES)}")
    named = [name for name in get_args(Strategy) if name in strategies]
    ordered = sorted(dict.fromkeys(named), key=list(strategies).index)
    return [name for name in dict.fromkeys((*ordered, *BASELINES)) if name != "random"] + ["random"]


def _select_ids(run: Path, pool: Pool, wish: SelectionRequest) -> list[str]:
    """The ids of a selection by rank."""
    found, _ = reselect.reselect(run, pool, wish)
    return found.scan().collect().sort("rank")["id"].to_list()


def draw_random_selections(pool: Pool, wish: SelectionRequest, first: list[str]) -> list[list[str]]:
    """Random selections: the first one, and more with the seeds that follow."""
    more = (replace(wish, seed=wish.seed + i) for i in range(1, N_DRAWS))
    return [first, *(reselect.choose_rows(pool, each)["id"].to_list() for each in more)]


def _tabulate_strategies(
    pool: Pool, chosen: Mapping[str, list[str]], drawn: Sequence[list[str]]
) -> Comparison:
    """All tables of a comparison."""
    rows = pool.table if pool.grades is None else pool.table.join(pool.grades, on="id", how="left")
    random = strategy_comparison.summarise_draws(rows, drawn)
    found = strategy_comparison.tabulate_selections(rows, {"pool": rows["id"].to_list(), **chosen})
    mean = pl.DataFrame({"strategy": "random", **dict(random.select("figure", "mean").iter_rows())})
    settled = found.filter(pl.col("strategy") != "random").cast(
        dict.fromkeys(strategy_comparison.FIGURES, pl.Float64)
    )
    names = pool.tables["clusters"].scan().select("cluster", "name").unique().collect()
    clusters = strategy_comparison.tabulate_value_shares(rows, chosen, "cluster").join(
        names, on="cluster", how="left", maintain_order="left"
    )
    return Comparison(
        n_pool=rows.height,
        table=pl.concat([settled, mean.select(settled.columns).cast(settled.schema)]),
        random=random,
        overlap=strategy_comparison.overlap_matrix(chosen),
        clusters=clusters.select("cluster", "name", "pool", *chosen),
        sources=strategy_comparison.tabulate_value_shares(rows, chosen, "source"),
        chosen=chosen,
    )
