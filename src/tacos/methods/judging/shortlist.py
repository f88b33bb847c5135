"""Choose which members of a cluster enter comparison, and record which rule removed the others.

The paper's authors thin their pool before any comparison, in their code but not in their text: of
all samples with the same set of cluster labels only the one with the longest response survives
(`longest-per-tag-set`; Alpaca: 52,002 -> 5,047). That is a strong preference for length, so here it
is one named rule among others, and every removed row is listed with its rule.

| rule                | keeps                                                                     |
|---------------------|---------------------------------------------------------------------------|
| all                 | everything                                                                |
| longest-per-tag-set | the longest response of each tag set                                      |
| stratified          | `factor` x the rows wanted, by a cheap grade and spread over all strata   |
| objective           | as many, as a selection by the cheap grade would take them                |
| embedded-judge      | the best `factor` x quota by a cheap grade, of which a share at random    |
| random              | `factor` x quota rows at random                                           |
| reserve             | beside the others: what quotas and length matching need (`Reserve`)       |
| cap                 | after the others: at most so many rows of a cluster                       |

What it does not know: what the grade means. It only needs that a higher one is better; rows without
one rank last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tacos.errors import ConfigError
from tacos.methods.judging.cheap_picks import (
    CheapGrades,
    pick_by_objective,
    pick_stratified,
)
from tacos.records import SHORTLIST

Rule = Literal[
    "all",
    "longest-per-tag-set",
    "stratified",
    "objective",
    "embedded-judge",
    "random",
]
BY_GRADE: frozenset[Rule] = frozenset({"stratified", "objective", "embedded-judge"})
"""The rules that read the cheap grades."""
RESERVE = "reserve"
EXTENDED = "extended"
"""In place of a rule: a run that extends others asks about new rows only."""
UNKNOWN = CheapGrades()
MEMBER = ["cluster", "id"]


@dataclass(frozen=True)
class Reserve:
    """Groups of samples of which enough must enter.

    `groups` has id and group; `wanted` is the number of selected rows of each group.
    """

    groups: pl.DataFrame
    wanted: Mapping[int, int]


def shortlist_members(  # noqa: PLR0913 - every rule reads some of them
    members: pl.DataFrame,
    rule: Rule,
    quotas: Mapping[int, int],
    factor: float = 4.0,
    explore: float = 0.1,
    seed: int = 1,
    cap: int | None = None,
    reserves: Sequence[Reserve] = (),
    grades: CheapGrades = UNKNOWN,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The members that enter comparison, and those that do not, with the rule that removed them.

    `members` has a row per (sample, cluster): `id`, `cluster`, `position` (row number of the sample
    in the input), `length` (characters of the response), `tag_set` (the sorted cluster labels of
    the sample), `grade` (may be null); the rule `all` reads the first three only. Its order does
    not matter.

    `quotas` is the number of rows wanted of each cluster; the rules that count keep `factor` x
    quota, or `factor` x all quotas together from any cluster (`stratified`, `objective`: a sample
    enters in its first cluster only). `grades` says what the cheap grades are worth. Of each group
    of `reserves`, `factor` x the rows wanted of it are kept, or all it has. `cap` is the largest
    shortlist of a cluster under any rule; the rows beyond it are removed by the rule `cap`.

    Both tables have the schema SHORTLIST (ids may be numbers) and are sorted by (cluster,
    position). Raises `ConfigError` for an unknown rule, and for a `factor` or an `explore` out of
    range.
    """
    if factor <= 0 or not 0 <= explore <= 1:
        raise ConfigError(
            "shortlist.factor must be positive and shortlist.explore in 0..1, not "
            f"{factor} and {explore}"
        )
    table = members
    # A copy of a large table takes much memory. A sample is in a cluster once.
    if not _is_in_order(members):
        table = members.sort("cluster", "position")
    if rule != "all" or cap is not None or reserves:
        # Drawn after sorting: chance must not depend on the order of `members`.
        table = table.with_columns(_draw_numbers(table.height, seed))

    is_by_rule = _apply_rule(
        table,
        rule,
        quotas,
        factor,
        explore,
        grades,
    )
    is_kept = is_by_rule
    for reserve in reserves:
        # Each reserve counts what the ones before it have kept.
        is_kept = is_kept | _flag_reserve_rows(
            table,
            is_kept,
            reserve,
            rule,
            factor,
        )
    kept = table
    if not is_kept.all():
        kept = table.filter(is_kept)
        is_by_rule = is_by_rule.filter(is_kept)
    rule_of_row: pl.Expr = pl.lit(rule)
    if not is_by_rule.all():
        rule_of_row = pl.when(is_by_rule).then(rule_of_row).otherwise(pl.lit(RESERVE))
    kept = kept.with_columns(rule=rule_of_row)

    capped = kept
    if cap is not None:
        capped = kept.filter(_rank_in_cluster(kept, _rule_sort_keys(rule)) < cap)
    removed = _list_removed_rows(table, kept, capped, rule)
    return _select_shortlist_columns(capped), _select_shortlist_columns(removed)


def join_old_shortlist(
    kept: pl.DataFrame,
    dropped: pl.DataFrame,
    old: pl.DataFrame,
    known: pl.Series,
    positions: pl.DataFrame,
    *,
    homes: bool,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A shortlist of all rows and what it leaves out, where the rows of `known` ids come from
    earlier runs: of these, only rows on the shortlists of these runs, `old` (SHORTLIST), may stay,
    and reserves. Others are left out by `EXTENDED`, since they would have to be judged.

    `positions` are those of all samples; with `homes`, a row is in one cluster, which may be
    another one than in `old`.
    """
    key = ["id"] if homes else MEMBER
    before = old.select(*key, was_listed=True).unique(key, keep="first")
    table = kept.join(before, on=key, how="left").join(positions, on="id")
    is_new = ~pl.col("id").is_in(known.implode())
    is_reserve = pl.col("rule") == RESERVE
    enters = is_new | is_reserve | pl.col("was_listed").is_not_null()
    placed = table.with_columns(enters=enters).sort("cluster", "position", "id")
    entered = _select_shortlist_columns(placed.filter("enters"))
    others = placed.filter(~pl.col("enters")).with_columns(rule=pl.lit(EXTENDED))
    left = pl.concat([dropped, _select_shortlist_columns(others)])
    ordered = left.join(positions, on="id").sort("cluster", "position", "id")
    return entered, _select_shortlist_columns(ordered)


def _is_in_order(members: pl.DataFrame) -> bool:
    """Whether the members are sorted by (cluster, position), none of them twice."""
    before, after = members.head(-1), members.tail(-1)
    is_later = before["position"] < after["position"]
    is_later = is_later & (before["cluster"] == after["cluster"])
    return bool(((before["cluster"] < after["cluster"]) | is_later).all())


def _draw_numbers(
    n_rows: int,
    seed: int,
) -> pl.Series:
    """`chance`: a number in 0..1 for each row."""
    numbers = np.random.default_rng(seed).random(n_rows)
    return pl.Series("chance", numbers, dtype=pl.Float64)


# Rules


def _apply_rule(
    table: pl.DataFrame,
    rule: Rule,
    quotas: Mapping[int, int],
    factor: float,
    explore: float,
    grades: CheapGrades,
) -> pl.Series:
    """Whether the rule keeps each row."""
    if rule == "all":
        return pl.Series([True]).new_from_index(0, table.height)
    if rule == "longest-per-tag-set":
        return _flag_longest_per_tag_set(table)
    if rule in {"stratified", "objective"}:
        n_selected = sum(quotas.values())
        n_kept = _scale_up(factor, n_selected)
        samples = table.unique("id", keep="first", maintain_order=True)
        if rule == "objective":
            picked = pick_by_objective(samples, n_kept, grades)
        else:
            picked = pick_stratified(
                samples,
                n_kept,
                n_selected,
                explore,
                grades.reliability,
            )
        return table["id"].is_in(picked) & table["id"].is_first_distinct()
    n_wanted = {cluster: _scale_up(factor, quota) for cluster, quota in quotas.items()}
    wanted = _look_up(table["cluster"].cast(pl.Int64), n_wanted)
    if rule == "random":
        return _rank_in_cluster(table, _rule_sort_keys(rule)) < wanted
    if rule == "embedded-judge":
        return _flag_best_and_explored(table, wanted, explore)
    raise ConfigError(f"unknown shortlist.rule {rule!r}")


def _scale_up(
    factor: float,
    n_rows: int,
) -> int:
    """`factor` x n rows, rounded up, less the error of the product (1.1 x 10 is 11, not 12)."""
    return math.ceil(round(factor * n_rows, 9))


def _look_up(
    groups: pl.Series,
    n_rows: Mapping[int, int],
) -> pl.Series:
    """The number of rows of each row's group, 0 for groups not named."""
    return groups.replace_strict(
        n_rows,
        default=0,
        return_dtype=pl.Int64,
    )


def _flag_longest_per_tag_set(table: pl.DataFrame) -> pl.Series:
    """Whether a row's sample has the longest response of its tag set (ties: the earlier one)."""
    samples = table.unique(
        "id",
        keep="first",
        maintain_order=True,
    )
    by_length = samples.sort(["length", "position"], descending=[True, False])
    longest = by_length.unique(
        "tag_set",
        keep="first",
        maintain_order=True,
    )
    return table["id"].is_in(longest["id"].implode())


def _flag_best_and_explored(
    table: pl.DataFrame,
    wanted: pl.Series,
    explore: float,
) -> pl.Series:
    """The best `wanted` rows by grade, but for a share `explore` drawn from the other rows."""
    exact = wanted.cast(pl.Float64) * explore
    n_random = exact.floor().cast(pl.Int64)
    by_grade = _rule_sort_keys("embedded-judge")
    place = _rank_in_cluster(table, by_grade)
    is_best = place < wanted - n_random
    # Chances lie below 1: the best rows, at 2, come after all others and are not drawn again.
    chance_of_rest = pl.when("is_best").then(2.0).otherwise("chance")
    others = table.with_columns(is_best=is_best)
    others = others.with_columns(chance=chance_of_rest)
    by_chance = _rule_sort_keys("random")
    random_place = _rank_in_cluster(others, by_chance)
    is_drawn = random_place < n_random
    return is_best | (~is_best & is_drawn)


def _flag_reserve_rows(
    table: pl.DataFrame,
    is_kept: pl.Series,
    reserve: Reserve,
    rule: Rule,
    factor: float,
) -> pl.Series:
    """Whether a row is one of those that its group still needs."""
    # One row per sample: it is in if it is kept in any of its clusters.
    in_any_cluster = pl.col("is_kept").max().over("id")
    flagged = table.with_columns(is_kept=is_kept)
    flagged = flagged.with_columns(is_kept=in_any_cluster)
    samples = flagged.unique("id", keep="first").drop("cluster")

    # The group stands in the column `cluster`, so that ranking works as within clusters.
    groups = reserve.groups.rename({"group": "cluster"})
    grouped = samples.join(groups, on="id").sort("position", "id")
    kept_by_group = grouped.filter("is_kept").group_by("cluster").len()
    n_kept = dict(kept_by_group.iter_rows())
    n_missing = {}
    for group, n_wanted in reserve.wanted.items():
        n_needed = _scale_up(factor, n_wanted)
        n_missing[group] = n_needed - n_kept.get(group, 0)

    # The rule's order decides which of the other rows fill the gap.
    rest = grouped.filter(~pl.col("is_kept"))
    sort_keys = _rule_sort_keys(rule)
    place = _rank_in_cluster(rest, sort_keys)
    n_missing_here = _look_up(rest["cluster"], n_missing)
    added = rest.filter(place < n_missing_here)
    return table["id"].is_in(added["id"].implode())


# Order within a cluster


def _rule_sort_keys(rule: Rule) -> list[pl.Expr]:
    """What a rule sorts a cluster by, the rows that it prefers first."""
    if rule in BY_GRADE:
        return [-pl.col("grade").cast(pl.Float64), pl.col("chance")]
    if rule == "longest-per-tag-set":
        return [-pl.col("length").cast(pl.Int64), pl.col("chance")]
    return [pl.col("chance")]


def _rank_in_cluster(
    table: pl.DataFrame,
    sort_keys: list[pl.Expr],
) -> pl.Series:
    """The place of each row in its cluster, from 0, when sorted by the keys; nulls come last."""
    named_keys = {f"key{number}": key for number, key in enumerate(sort_keys)}
    row_number = pl.int_range(pl.len())
    numbered = table.select("cluster", row=row_number, **named_keys)
    # The row number comes last: equal keys keep the order of the table.
    ordered = numbered.sort(
        "cluster",
        *named_keys,
        "row",
        nulls_last=True,
    )
    place = pl.int_range(pl.len()).over("cluster")
    with_place = ordered.with_columns(place=place)
    in_given_order = with_place.sort("row")
    return in_given_order.get_column("place")


# Results


def _list_removed_rows(
    table: pl.DataFrame,
    kept: pl.DataFrame,
    capped: pl.DataFrame,
    rule: Rule,
) -> pl.DataFrame:
    """The rows that the rule removed and those that the cap removed, with the name of either."""
    if capped.height == table.height:
        return capped.clear()
    by_rule = table.join(
        kept,
        on=MEMBER,
        how="anti",
    )
    by_rule = by_rule.with_columns(rule=pl.lit(rule, pl.String))
    by_cap = kept.join(
        capped,
        on=MEMBER,
        how="anti",
    )
    by_cap = by_cap.with_columns(rule=pl.lit("cap"))
    removed = pl.concat([by_rule.select(by_cap.columns), by_cap])
    return removed.sort("cluster", "position", "id")


def _select_shortlist_columns(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of SHORTLIST; ids stay as they are."""
    return table.select(
        "id" if name == "id" else pl.col(name).cast(dtype)
        for name, dtype in SHORTLIST.items()
    )
