"""Choose rows of a pool by the objective, within all limits, with unjudged rows after them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.selecting import quotas
from tacos.methods.selecting.gain_picks import (
    GainPicks,
    LimitGate,
    RowId,
    Step,
    pick_by_gain,
)
from tacos.methods.selecting.limits import GroupBound
from tacos.methods.selecting.preference_walk import Admission
from tacos.methods.selecting.row_tags import RowTags, gather_values, number_tags
from tacos.methods.selecting.strategy_inputs import LimitSet, StrategyInputs

Bools = npt.NDArray[np.bool_]


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
    keep: Collection[RowId],
    limits: LimitSet,
) -> GainChoice:
    """At most n rows of a settled pool: must-keep rows, the largest gains, then unjudged rows."""
    # The pool is sorted by id.
    judged = quotas.sort_judged_rows(_number_judged_rows(table, extras), key="row")
    order = _order_judged_rows(judged, seed, extras.reliability)
    sizes = extras.sizes or count_by_cluster(table)
    rule = quotas.QuotaRule(
        extras.quota,
        extras.tag_price,
        extras.reliability,
        seed,
    )
    task = quotas.build_gain_task(
        table["id"],
        _number_tags(table, extras),
        judged,
        order,
        quotas.compute_quotas(sizes, n, extras.quota),
        rule,
    )
    is_first = _flag_first_served(table.height, limits.bounds)
    if is_first.any():
        task = task._replace(steps=_serve_first(task.steps), is_first=is_first)

    def build_gate() -> LimitGate:
        return LimitGate(limits.build_admission(), limits.build_spare())

    task = task._replace(
        covers_pool=True,
        unjudged=_list_unjudged_rows(table, extras.fill),
        build_gate=build_gate,
    )
    kept_rows = _find_rows(table, keep).select("id", "row")
    is_kept = judged["row"].is_in(kept_rows["row"].implode()).to_numpy()
    judged_kept = judged[order[gather_values(is_kept, order)]]
    best_first = judged_kept.join(kept_rows, on="row", maintain_order="left")
    kept = quotas.pick_must_keep(best_first, keep)
    row_of = dict(kept_rows.iter_rows())
    del judged, order, is_kept  # the task has what it needs of them
    done = pick_by_gain({row_of[id_]: pick for id_, pick in kept.items()}, n, task)
    return _build_choice(done, table["id"].dtype)


def _number_tags(table: pl.DataFrame, extras: StrategyInputs) -> RowTags:
    """The tags of the rows of a settled pool."""
    if extras.tags is None:
        return number_tags(table["tags"])
    # Rows that were left out of the pool would have moved all others.
    assert extras.tags.n_rows == table.height
    return extras.tags


def _order_judged_rows(
    judged: pl.DataFrame, seed: int, reliability: float
) -> npt.NDArray[np.uint32]:
    """The places of judged rows: the better of equal gains first, shape (rows,)."""
    chance = quotas.draw_chance(judged, seed)
    if reliability == 0:
        # The earlier one is taken. Where scores say nothing, none may come first.
        return np.argsort(chance).astype(np.uint32)
    return quotas.order_by_score(judged, chance)


def _number_judged_rows(table: pl.DataFrame, extras: StrategyInputs) -> pl.DataFrame:
    """row, cluster, score of the judged rows of a pool; see `list_judged_rows`."""
    if extras.scores is None:
        numbered = table.select("cluster", "score").with_row_index("row")
        return numbered.drop_nulls("score")
    scores = extras.scores.select("id", "cluster", "score").drop_nulls("score")
    if scores["id"].equals(table["id"]):
        # The usual case, without a hash of each row
        return scores.drop("id").with_row_index("row")
    numbered = table.select("id").with_row_index("row")
    return numbered.join(scores, on="id").drop("id")


def _list_unjudged_rows(
    table: pl.DataFrame,
    fill: Collection[RowId],
) -> list[tuple[int, int | None]]:
    """Row and cluster of the ids `fill`, in their order."""
    if not fill:
        return []
    wanted = pl.DataFrame({"id": pl.Series(list(fill), dtype=table["id"].dtype)})
    found = wanted.join(
        table.select("id", "cluster").with_row_index("row"),
        on="id",
        maintain_order="left",
    )
    return found.select("row", "cluster").rows()


def _find_rows(table: pl.DataFrame, ids: Collection[RowId]) -> pl.DataFrame:
    """The rows of these ids, each with its number in the pool as `row`."""
    wanted = pl.Series("id", list(ids), table["id"].dtype)
    numbered = table.lazy().with_row_index("row")
    return numbered.filter(pl.col("id").is_in(wanted.implode())).collect()


def _build_choice(done: GainPicks, id_type: pl.DataType) -> GainChoice:
    """Rows that were taken, as a table."""
    assert done.gate is not None
    return GainChoice(
        quotas.tabulate_picks(done.picks.values(), id_type),
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


def _flag_first_served(
    n_rows: int,
    bounds: Sequence[GroupBound],
) -> Bools:
    """Whether each row is of a group that is served before all others, shape (rows,)."""
    is_first = np.zeros(n_rows, np.bool_)
    for bound in bounds:
        if bound.first is not None:
            is_first |= bound.groups == bound.first
    return is_first


def _serve_first(steps: Sequence[Step]) -> list[Step]:
    """The same steps for the rows served first, then for all."""
    return [*(step._replace(is_first=True) for step in steps), *steps]
