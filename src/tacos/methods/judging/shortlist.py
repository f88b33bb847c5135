"""Which members of a cluster enter comparison, and which rule left the others out.

The paper's authors thin their pool before any comparison, without saying so: of all samples with
the same set of cluster labels only the one with the longest response survives
(`longest-per-tag-set`; Alpaca: 52,002 -> 5,047). That is a strong preference for length, so here it
is one named rule among others; every removed row is listed with its rule.

What quotas and length matching need (`Reserve`) is kept as well, by the rule `reserve`: so many
rows of a source, a tag or a band of lengths, the best by grade (or length, or chance, as the rule
has it) of those that were left out.

Rules: `all`; `longest-per-tag-set`; `embedded-judge` (the best `factor` x quota by a cheap grade,
plus a random share); `random` (`factor` x quota rows at random). A cap limits any of them.

What it does not know: what the grade means. It only needs that a higher one is better; a missing
one ranks last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tacos.errors import ConfigError
from tacos.records import SHORTLIST

Rule = Literal["all", "longest-per-tag-set", "embedded-judge", "random"]
MEMBER = ["cluster", "id"]


@dataclass(frozen=True)
class Reserve:
    """Groups of samples of which enough must enter: `groups` has id, group; `wanted` the selected
    rows of a group.
    """

    groups: pl.DataFrame
    wanted: Mapping[int, int]


def shortlist_members(
    members: pl.DataFrame,
    rule: Rule,
    quotas: Mapping[int, int],
    factor: float = 4.0,
    explore: float = 0.1,
    seed: int = 1,
    cap: int | None = None,
    reserves: Sequence[Reserve] = (),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The members that enter comparison, and those that do not, with the rule that removed them.

    `members` has a row per (sample, cluster): `id`, `cluster`, `position` (row number of the sample
    in the input), `length` (characters of the response), `tag_set` (the sorted cluster labels of
    the sample), `grade` (may be null). `quotas` is the number of rows wanted of each cluster;
    `factor` x quota rows are kept by the rules that count. Of each group of `reserves`, `factor` x
    the rows wanted of it are kept, as far as it has them. `cap` is the largest shortlist of a
    cluster, whatever the rule: the rows beyond it are removed by the rule `cap`. Both tables have
    the schema SHORTLIST and are sorted by (cluster, position). The order of `members` is
    irrelevant.
    """
    if factor <= 0 or not 0 <= explore <= 1:
        raise ConfigError(
            f"shortlist.factor must be positive and explore in 0..1, not {factor} and {explore}"
        )
    table = members.sort("cluster", "position", "id").with_columns(
        chance=_draw_numbers(members, seed)
    )
    by_rule = _apply_rule(table, rule, quotas, factor, explore)
    within = by_rule
    for reserve in reserves:
        within = within | _flag_reserve_rows(table, within, reserve, rule, factor)
    why = pl.when(by_rule).then(pl.lit(rule)).otherwise(pl.lit("reserve"))
    kept = table.with_columns(rule=why).filter(within)
    capped = (
        kept if cap is None else kept.filter(_rank_in_cluster(kept, _rule_sort_keys(rule)) < cap)
    )
    return _select_shortlist_columns(capped), _select_shortlist_columns(
        _list_removed_rows(table, kept, capped, rule)
    )


def _flag_reserve_rows(
    table: pl.DataFrame, kept: pl.Series, reserve: Reserve, rule: Rule, factor: float
) -> pl.Series:
    """Whether a row is one of those that its group still needs."""
    samples = (
        table.with_columns(kept=kept)
        .with_columns(pl.col("kept").max().over("id"))
        .unique("id", keep="first")
    )
    grouped = (
        samples.drop("cluster")
        .join(reserve.groups.rename({"group": "cluster"}), on="id")
        .sort("position", "id")
    )
    have = dict(grouped.filter("kept").group_by("cluster").len().iter_rows())
    rest = grouped.filter(~pl.col("kept"))
    missing = {
        group: math.ceil(round(factor * n, 9)) - have.get(group, 0)
        for group, n in reserve.wanted.items()
    }
    wanted = rest["cluster"].replace_strict(missing, default=0, return_dtype=pl.Int64)
    return table["id"].is_in(
        rest.filter(_rank_in_cluster(rest, _rule_sort_keys(rule)) < wanted)["id"].implode()
    )


def _draw_numbers(members: pl.DataFrame, seed: int) -> pl.Series:
    """A number in 0..1 for each row of `members` sorted by (cluster, position, id): chance without
    row order.
    """
    return pl.Series("chance", np.random.default_rng(seed).random(members.height), dtype=pl.Float64)


def _apply_rule(
    table: pl.DataFrame, rule: Rule, quotas: Mapping[int, int], factor: float, explore: float
) -> pl.Series:
    """Whether the rule keeps each row."""
    if rule == "all":
        return pl.Series([True]).new_from_index(0, table.height)
    if rule == "longest-per-tag-set":
        return _flag_longest_per_tag_set(table)
    sizes = {cluster: math.ceil(round(factor * quota, 9)) for cluster, quota in quotas.items()}
    wanted = table["cluster"].cast(pl.Int64).replace_strict(sizes, default=0, return_dtype=pl.Int64)
    if rule == "random":
        return _rank_in_cluster(table, _rule_sort_keys(rule)) < wanted
    if rule == "embedded-judge":
        return _flag_best_and_explored(table, wanted, explore)
    raise ConfigError(f"unknown shortlist.rule {rule!r}")


def _flag_longest_per_tag_set(table: pl.DataFrame) -> pl.Series:
    """Whether a row belongs to the sample with the longest response of its tag set (equal lengths:
    the earlier one).
    """
    samples = table.unique("id", keep="first", maintain_order=True)
    longest = (
        samples.sort(["length", "position"], descending=[True, False])
        .unique("tag_set", keep="first", maintain_order=True)
        .get_column("id")
    )
    return table["id"].is_in(longest.implode())


def _flag_best_and_explored(table: pl.DataFrame, wanted: pl.Series, explore: float) -> pl.Series:
    """The best `wanted` rows by grade, of which the last `explore` share is drawn at random from
    the rest instead.
    """
    n_random = (wanted.cast(pl.Float64) * explore).floor().cast(pl.Int64)
    place = _rank_in_cluster(table, _rule_sort_keys("embedded-judge"))
    best = place < wanted - n_random
    rest = table.with_columns(best=best).with_columns(
        chance=pl.when("best").then(2.0).otherwise("chance")
    )
    return best | (~best & (_rank_in_cluster(rest, _rule_sort_keys("random")) < n_random))


def _rule_sort_keys(rule: Rule) -> list[pl.Expr]:
    """What a rule sorts a cluster by, the rows it wants first."""
    if rule == "embedded-judge":
        return [-pl.col("grade").cast(pl.Float64), pl.col("chance")]
    if rule == "longest-per-tag-set":
        return [-pl.col("length").cast(pl.Int64), pl.col("chance")]
    return [pl.col("chance")]


def _rank_in_cluster(table: pl.DataFrame, order: list[pl.Expr]) -> pl.Series:
    """The place of each row in its cluster, from 0, when sorted by `order`; nulls come last."""
    keys = [by.alias(f"by{i}") for i, by in enumerate(order)]
    places = (
        table.select("cluster", *keys, row=pl.int_range(pl.len()))
        .sort("cluster", *[f"by{i}" for i in range(len(keys))], "row", nulls_last=True)
        .with_columns(place=pl.int_range(pl.len()).over("cluster"))
    )
    return places.sort("row").get_column("place")


def _list_removed_rows(
    table: pl.DataFrame, kept: pl.DataFrame, capped: pl.DataFrame, rule: Rule
) -> pl.DataFrame:
    """The rows that the rule removed and those that the cap removed, with the name of either."""
    by_rule = table.join(kept, on=MEMBER, how="anti").with_columns(rule=pl.lit(rule, pl.String))
    by_cap = kept.join(capped, on=MEMBER, how="anti").with_columns(rule=pl.lit("cap"))
    return pl.concat([by_rule.select(by_cap.columns), by_cap]).sort("cluster", "position", "id")


def _select_shortlist_columns(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of SHORTLIST."""
    return table.select(pl.col(name).cast(dtype) for name, dtype in SHORTLIST.items())
