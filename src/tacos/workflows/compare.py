"""`tacos compare`: strategies side by side over the annotated pool of one run; no model is called.

Each strategy's selection is the one that `tacos reselect` makes, and is kept in the run for it.
Random and longest always stand beside the others; random is drawn 20 times, and its figures are
means with the least and the greatest draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import polars as pl

from tacos.methods.selecting import strategy_comparison
from tacos.methods.selecting.strategies import STRATEGIES, Strategy
from tacos.workflows import arguments, reselect
from tacos.workflows.selection import GivenRun, load
from tacos.workflows.strategy_pool import By, Pool, SelectionRequest, choose_rows

BASELINES: tuple[Strategy, ...] = ("longest", "random")
DEFAULT: tuple[Strategy, ...] = (
    "tacos",
    "complexity-first",
    "mig",
    "deita",
    "car",
    "k-center",
)
N_DRAWS = 20


@dataclass(frozen=True)
class Comparison:
    """What the selections of some strategies are like."""

    n_pool: int
    """Rows of the pool."""
    table: pl.DataFrame
    """A row per strategy: strategy, and the figures of
    `tacos.methods.selecting.strategy_comparison.FIGURES`. The pool comes first, random last: its
    mean over the draws.
    """
    random: pl.DataFrame
    """A row per figure: figure, mean, low, high over the draws of random."""
    overlap: pl.DataFrame
    """A row and a column per strategy: the share of the row's samples that the column has too."""
    clusters: pl.DataFrame
    """A row per cluster: cluster, name, and its share of the pool and of each selection."""
    sources: pl.DataFrame
    """The same for each file of the input."""
    chosen: Mapping[str, list[str]]
    """Strategy -> ids by rank; of random, the first draw."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without the ids."""
        plain: dict[str, Any] = {"n_pool": self.n_pool}
        for name in ("table", "random", "overlap", "clusters", "sources"):
            plain[name] = getattr(self, name).to_dicts()
        return plain


def compare(  # noqa: PLR0913 - the options of the command
    run: GivenRun,
    n: str | float = 1000,
    strategies: str | Sequence[str] = DEFAULT,
    *,
    seed: int | None = None,
    limit: float = 1.0,
    per_source: Mapping[str, str | float] | None = None,
    per_tag: Mapping[str, str | float] | None = None,
    match_length: bool = False,
    min_correctness: float = 0.0,
    by: By = "score",
) -> Comparison:
    """Compare strategies over the pool of a finished run.

    `strategies` is a name, or several, of `tacos.methods.selecting.strategies.STRATEGIES`;
    random and longest are added. The other arguments are those of `tacos.reselect`, and hold for
    every strategy.

    Raises:
        ConfigError: A strategy is unknown, or `n` is not a valid size.
        InputError: A strategy cannot select so many rows, or the run has no scores.
        RunError: `run` is no run directory.
    """
    done = load(run)
    limits = reselect.parse_limits(
        limit,
        per_source,
        per_tag,
        match_length,
        min_correctness,
    )
    requests = [
        SelectionRequest(
            n,
            strategy,
            done.seed_or(seed),
            limits,
            by,
        )
        for strategy in _order_strategies(arguments.list_items(strategies))
    ]
    # One pool for all: vectors and graphs are made once.
    pool = Pool(done.artifacts, done.settings, by)
    chosen: dict[str, list[str]] = {}
    for request in requests:
        artifact, _ = reselect.find_or_select(done.run, pool, request)
        chosen[request.strategy] = (
            artifact.scan().collect().sort("rank")["id"].to_list()
        )
    # Random is the last request.
    random_draws = draw_random_selections(pool, requests[-1], chosen["random"])
    return _tabulate_strategies(pool, chosen, random_draws)


def draw_random_selections(
    pool: Pool,
    request: SelectionRequest,
    first: list[str],
) -> list[list[str]]:
    """The ids of `N_DRAWS` random selections: the first, and more with the seeds that follow."""
    draws = [first]
    for i in range(1, N_DRAWS):
        another = replace(request, seed=request.seed + i)
        draws.append(choose_rows(pool, another)["id"].to_list())
    return draws


def _order_strategies(strategies: Sequence[str]) -> list[Strategy]:
    """The strategies in the order given, each once; longest is added, and random comes last."""
    for name in strategies:
        arguments.check_choice("strategy", name, STRATEGIES)
    named: list[Strategy] = [name for name in get_args(Strategy) if name in strategies]
    in_given_order = sorted(named, key=list(strategies).index)
    # A dict keeps the order, and drops a baseline that was named already.
    distinct = dict.fromkeys((*in_given_order, *BASELINES))
    # Random stands apart at the end: its figures are means over several draws.
    without_random = [name for name in distinct if name != "random"]
    return [*without_random, "random"]


def _tabulate_strategies(
    pool: Pool,
    chosen: Mapping[str, list[str]],
    random_draws: Sequence[list[str]],
) -> Comparison:
    """All tables of a comparison."""
    rows = pool.table
    if pool.grades is not None:
        rows = rows.join(pool.grades, on="id", how="left")
    random = strategy_comparison.summarise_draws(rows, random_draws)
    return Comparison(
        n_pool=rows.height,
        table=_tabulate_figures(rows, chosen, random),
        random=random,
        overlap=strategy_comparison.overlap_matrix(chosen),
        clusters=_tabulate_clusters(pool, rows, chosen),
        sources=strategy_comparison.tabulate_value_shares(rows, chosen, "source"),
        chosen=chosen,
    )


def _tabulate_figures(
    rows: pl.DataFrame,
    chosen: Mapping[str, list[str]],
    random: pl.DataFrame,
) -> pl.DataFrame:
    """The figures of the pool and of each selection; of random, the means."""
    whole_pool = {"pool": rows["id"].to_list()}
    table = strategy_comparison.tabulate_selections(rows, {**whole_pool, **chosen})
    as_floats = pl.col(strategy_comparison.FIGURES).cast(pl.Float64)
    without_random = table.filter(pl.col("strategy") != "random")
    settled = without_random.with_columns(as_floats)

    # The row of random is replaced by the means over its draws.
    mean_of_figure = random.select("figure", "mean")
    means = dict(mean_of_figure.iter_rows())
    random_row = pl.DataFrame({"strategy": "random", **means})
    random_row = random_row.select(settled.columns)
    random_row = random_row.cast(settled.schema)
    return pl.concat([settled, random_row])


def _tabulate_clusters(
    pool: Pool,
    rows: pl.DataFrame,
    chosen: Mapping[str, list[str]],
) -> pl.DataFrame:
    """The share of each cluster in the pool and in each selection."""
    names = pool.tables["clusters"].scan().select("cluster", "name").unique().collect()
    shares = strategy_comparison.tabulate_value_shares(rows, chosen, "cluster")
    named = shares.join(
        names,
        on="cluster",
        how="left",
        maintain_order="left",
    )
    return named.select(
        "cluster",
        "name",
        "pool",
        *chosen,
    )
