"""`tacos compare`: strategies side by side over the annotated pool of one run; no model is called.

Each strategy's selection is the one that `tacos reselect` makes, and is kept in the run for it.
Random and longest always stand beside the others. The figures of random are those that as many rows
of the whole pool are expected to have (`tacos.methods.measures.selection_figures`), as everywhere
in tacos; 20 draws show how far one draw may lie from that. Where limits hold, random rows within
the same limits stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import polars as pl

from tacos import amounts
from tacos.methods.measures import selection_figures
from tacos.methods.measures.selection_figures import Figures, MeasuredPool
from tacos.methods.selecting import strategy_comparison
from tacos.methods.selecting.strategies import STRATEGIES, Strategy
from tacos.pipeline.steps import pool as pool_steps
from tacos.workflows import arguments, reselect
from tacos.workflows.selection import GivenRun, load
from tacos.workflows.strategy_pool import (
    By,
    Pool,
    SelectionRequest,
    choose_rows,
    fit_limits,
)

BASELINES: tuple[Strategy, ...] = ("longest", "random")
DEFAULT: tuple[Strategy, ...] = (
    "tacos",
    "complexity-first",
    "mig",
    "deita",
    "car",
    "k-center",
)
WITHIN_LIMITS = "random within limits"
"""What the table calls random rows where must-keep rows, quotas or other limits hold."""
N_DRAWS = 20


@dataclass(frozen=True)
class Comparison:
    """What the selections of some strategies are like."""

    n_pool: int
    """Rows of the pool."""
    table: pl.DataFrame
    """A row per strategy: strategy, and the figures of
    `tacos.methods.measures.selection_figures.FIGURES`. The pool comes first. Random comes last:
    what as many rows of the whole pool are expected to be like, then, where limits hold, the mean
    over draws within them.
    """
    random: pl.DataFrame
    """A row per figure: figure, mean, low, high; low and high over the draws of the last row of
    `table`, whose figure is the mean.
    """
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
    n: str | float | None = None,
    strategies: str | Sequence[str] = DEFAULT,
    *,
    seed: int | None = None,
    limit: float | None = None,
    per_source: Mapping[str, str | float] | None = None,
    per_tag: Mapping[str, str | float] | None = None,
    match_length: bool = False,
    min_correctness: float = 0.0,
    by: By = "score",
) -> Comparison:
    """Compare strategies over the pool of a finished run.

    `n` is as many rows as the run selected by default. `strategies` is a name, or several, of
    `tacos.methods.selecting.strategies.STRATEGIES`; random and longest are added. The other
    arguments are those of `tacos.reselect`, and hold for every strategy.

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
            done.size_or(n),
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
    measured = pool_steps.measure_pool(done.artifacts, done.settings)
    # Random is the last request.
    random = _measure_random_rows(
        pool,
        measured,
        requests[-1],
        chosen["random"],
    )
    return _tabulate_strategies(pool, measured, chosen, random)


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
    measured: MeasuredPool,
    chosen: Mapping[str, list[str]],
    random: RandomRows,
) -> Comparison:
    """All tables of a comparison."""
    rows = measured.table
    figures = {"pool": measured.measure_all()}
    for name, ids in chosen.items():
        if name != "random":
            figures[name] = measured.measure(ids)
    figures |= random.figures
    table = selection_figures.tabulate_figures(figures)
    return Comparison(
        n_pool=rows.height,
        table=table.rename({"name": "strategy"}),
        random=random.ranges,
        overlap=strategy_comparison.overlap_matrix(chosen),
        clusters=_tabulate_clusters(pool, rows, chosen),
        sources=strategy_comparison.tabulate_value_shares(rows, chosen, "source"),
        chosen=chosen,
    )


@dataclass(frozen=True)
class RandomRows:
    """What random rows are like."""

    figures: Mapping[str, Figures]
    """Name of the row -> its figures."""
    ranges: pl.DataFrame
    """See `Comparison.random`."""


def _measure_random_rows(
    pool: Pool,
    measured: MeasuredPool,
    request: SelectionRequest,
    first: list[str],
) -> RandomRows:
    """What random rows of the pool are like, and where limits hold, random rows within them."""
    draws = draw_random_selections(pool, request, first)
    ranges = selection_figures.summarise_range([measured.measure(ids) for ids in draws])
    size = amounts.parse_size(request.n)
    n = pool_steps.count_requested_rows(pool.tables["samples"], size)
    figures = {"random": measured.expect_random(n)}
    limits = fit_limits(pool.settings, request)
    has_limits = limits or pool.keep or pool.exclude or size.unit == "tokens"
    if has_limits:
        means = ranges.select("figure", "mean")
        figures[WITHIN_LIMITS] = dict(means.iter_rows())
        return RandomRows(figures, ranges)
    # One draw is as likely to lie above the expectation as below it.
    expected = pl.Series("mean", list(figures["random"].values()), dtype=pl.Float64)
    return RandomRows(figures, ranges.with_columns(expected))


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
