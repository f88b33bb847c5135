"""Choose rows of a pool by the objective, within all limits, with unjudged rows after them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import polars as pl

from tacos.methods.selecting import quotas
from tacos.methods.selecting.gain_picks import (
    LimitGate,
    PoolTags,
    Step,
    pick_by_gain,
)
from tacos.methods.selecting.limits import GroupBound
from tacos.methods.selecting.preference_walk import Admission
from tacos.methods.selecting.strategy_inputs import LimitSet, StrategyInputs
from tacos.records import SELECTION


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
    with_tags = table.select("id", "tags").drop_nulls("tags")
    task = quotas.build_gain_task(
        ranked,
        quotas.compute_quotas(sizes, n, extras.quota),
        dict(with_tags.iter_rows()),
        quotas.QuotaRule(
            extras.quota,
            extras.tag_price,
            extras.reliability,
            seed,
        ),
    )
    row_of = {id_: row for row, id_ in enumerate(table["id"].to_list())}

    def build_gate() -> LimitGate:
        return LimitGate(row_of, limits.build_admission(), limits.build_spare())

    first = _find_first_served(table["id"], limits.bounds)
    homes = dict(table.select("id", "cluster").iter_rows())
    task = task._replace(
        pool_tags=_count_pool_tags(table),
        steps=_serve_first(task.steps) if first else task.steps,
        first=first,
        unjudged=[(id_, homes[id_]) for id_ in extras.fill],
        build_gate=build_gate,
    )
    done = pick_by_gain(quotas.pick_must_keep(ranked, keep), n, task)
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
