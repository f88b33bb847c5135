"""Choose rows of a pool by the objective, within all limits, with unjudged rows after them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from tacos.methods.selecting import coverage_floor, quotas
from tacos.methods.selecting.gain_picks import (
    GainPicks,
    GainTask,
    LimitGate,
    Pick,
    PoolTags,
    Step,
    pick_by_gain,
)
from tacos.methods.selecting.gain_reach import flag_reachable
from tacos.methods.selecting.limits import GroupBound
from tacos.methods.selecting.objective import Objective, build_objective
from tacos.methods.selecting.preference_walk import Admission
from tacos.methods.selecting.strategy_inputs import LimitSet, StrategyInputs
from tacos.records import SELECTION

ASKED_PER_ROW = 3
"""Rows that limits may be asked about, for each row selected, before all judged rows are looked
at."""


class GainChoice(NamedTuple):
    """Rows chosen by gain: the table SELECTION, in the order taken, the limits as they are then,
    the price of a tag, and how many rows came in although a limit speaks against them.
    """

    selection: pl.DataFrame
    admission: Admission
    tag_price: float
    n_given_way: int


def choose_by_gain(
    table: pl.DataFrame,
    n: int,
    seed: int,
    extras: StrategyInputs,
    keep: Collection[str],
    limits: LimitSet,
) -> GainChoice:
    """At most n rows of a settled pool: must-keep rows, the largest gains, then unjudged rows."""
    judged = list_judged_rows(table, extras)
    ranked = quotas.rank_judged_rows(judged, seed)
    sizes = extras.sizes or count_by_cluster(table)
    rule = quotas.QuotaRule(
        extras.quota,
        extras.tag_price,
        extras.reliability,
        seed,
    )
    share = quotas.compute_quotas(sizes, n, extras.quota)
    task = quotas.build_gain_task(ranked, share, {}, rule)
    first = _find_first_served(table["id"], limits.bounds)
    task = task._replace(
        pool_tags=_count_pool_tags(table),
        steps=_serve_first(task.steps) if first else task.steps,
        first=first,
    )
    kept = quotas.pick_must_keep(ranked, keep)
    if extras.quota == "none" and not first:
        n_asked = ASKED_PER_ROW * n + len(keep)
        reachable = _leave_out_unreachable(table, task, n_asked)
        done, n_most = _pick_rows(table, n, reachable, kept, limits)
        # Where limits refuse so many rows that more are asked about, all must be looked at.
        if len(done.picks) == n and n_most <= n_asked:
            return _build_choice(done)
    homes = dict(_find_rows(table, extras.fill).select("id", "cluster").iter_rows())
    task = task._replace(unjudged=[(id_, homes[id_]) for id_ in extras.fill])
    done, _ = _pick_rows(table, n, task, kept, limits)
    return _build_choice(done)


def _pick_rows(
    table: pl.DataFrame,
    n: int,
    task: GainTask,
    picks: Mapping[str, Pick],
    limits: LimitSet,
) -> tuple[GainPicks, int]:
    """The rows of a task after `picks`, and how many rows the limits were asked about at most."""
    unjudged = [id_ for id_, _ in task.unjudged]
    ids = [*task.ranked["id"].to_list(), *unjudged, *picks]
    rows = _find_rows(table, ids)
    row_of = dict(rows.select("id", "row").iter_rows())
    with_tags = rows.select("id", "tags").drop_nulls("tags")
    gates: list[LimitGate] = []

    def build_gate() -> LimitGate:
        gate = LimitGate(row_of, limits.build_admission(), limits.build_spare())
        gates.append(gate)
        return gate

    task = task._replace(tags=dict(with_tags.iter_rows()), build_gate=build_gate)
    done = pick_by_gain(picks, n, task)
    return done, max(gate.n_asked for gate in gates)


def _leave_out_unreachable(
    table: pl.DataFrame,
    task: GainTask,
    n_asked: int,
) -> GainTask:
    """The task without the judged rows that are not among the first `n_asked` in any case."""
    score = task.ranked["score"].to_numpy()
    quality, tag_price = build_objective(score, task.reliability, task.tag_price)
    distinct = pl.col("tags").list.n_unique().fill_null(0)
    n_tags = task.ranked.select("id").join(
        table.select("id", n_tags=distinct),
        on="id",
        how="left",
        maintain_order="left",
    )
    is_reachable = flag_reachable(
        task.ranked["id"],
        quality,
        n_tags["n_tags"].cast(pl.Float64).to_numpy(),
        n_asked,
        tag_price * coverage_floor.MOST,
    )
    return task._replace(
        ranked=task.ranked.filter(pl.Series(is_reachable)),
        objective=Objective(quality[is_reachable], tag_price),
    )


def _find_rows(table: pl.DataFrame, ids: Collection[str]) -> pl.DataFrame:
    """The rows of these ids, each with its number in the pool as `row`."""
    wanted = pl.Series("id", list(ids), pl.String)
    numbered = table.lazy().with_row_index("row")
    return numbered.filter(pl.col("id").is_in(wanted.implode())).collect()


def _build_choice(done: GainPicks) -> GainChoice:
    """Rows that were taken, as a table."""
    assert done.gate is not None
    rows = [(rank, *pick) for rank, pick in enumerate(done.picks.values(), start=1)]
    selection = pl.DataFrame(rows, schema=SELECTION, orient="row")
    return GainChoice(
        selection,
        done.gate.asked,
        done.tag_price,
        done.n_given_way,
    )


def list_judged_rows(
    table: pl.DataFrame,
    extras: StrategyInputs,
) -> pl.DataFrame:
    """id, cluster, score of the judged rows of a pool: a row per sample, or per sample and
    cluster.
    """
    scores = extras.scores
    if scores is None:
        scores = table.select("id", "cluster", "score")
    in_pool = pl.col("id").is_in(table["id"].implode())
    return scores.filter(in_pool, pl.col("score").is_not_null())


def count_by_cluster(table: pl.DataFrame) -> dict[int, int]:
    """How many rows of the pool each cluster has."""
    clustered = table.drop_nulls("cluster")
    return dict(clustered.group_by("cluster").len().rows())


def _count_pool_tags(table: pl.DataFrame) -> PoolTags:
    """How many rows of the pool carry each tag."""
    distinct = table.select(pl.col("tags").list.unique())
    counts = distinct.explode("tags").drop_nulls().group_by("tags").len()
    return PoolTags(sorted(counts["len"].to_list()), table.height)


def _find_first_served(
    ids: pl.Series,
    bounds: Sequence[GroupBound],
) -> frozenset[str]:
    """The ids of groups that are served before all others."""
    first: set[str] = set()
    for bound in bounds:
        if bound.first is not None:
            is_first = pl.Series(bound.groups == bound.first)
            first.update(ids.filter(is_first))
    return frozenset(first)


def _serve_first(steps: Sequence[Step]) -> list[Step]:
    """The same steps for the rows served first, then for all."""
    return [*(step._replace(is_first=True) for step in steps), *steps]
