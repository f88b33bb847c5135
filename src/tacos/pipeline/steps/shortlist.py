"""The stage shortlist: which rows the judge reads.

The rows that quotas of sources or tags and length matching need are shortlisted, too: `factor`
times the rows of each source, tag or band of lengths.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import cheap_picks, shortlist
from tacos.methods.judging.cheap_picks import CheapGrades
from tacos.methods.judging.shortlist import Reserve, Rule
from tacos.methods.selecting import quotas
from tacos.methods.selecting.limits import build_bounds
from tacos.pipeline import conditions
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.aligned_rows import join_to_samples
from tacos.pipeline.steps.extension import list_known_ids, read_old_rows
from tacos.pipeline.steps.matched_rows import order_columns
from tacos.pipeline.steps.pool import NO_SCORES, encode_ids
from tacos.pipeline.steps.reliability import find_grade_reliability
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.records import StageOutput, Tables

EXCLUDED = "on the exclude list"


def make_shortlist(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """The members of each cluster that the judge reads; the others are rejects, with the rule that
    left them out.
    """
    config = settings.shortlist
    rule = conditions.resolve_rule(settings)
    factor = config.factor
    if conditions.uses_close_judge(settings):
        factor = config.close_factor
    elif not conditions.uses_comparisons(settings):
        # The judge has graded every row: there is nothing to save by a shortlist.
        rule = "all"

    # The members of each cluster, without those on the exclude list
    samples = tables["samples"].scan()
    excluded = pool_steps.resolve_ids(samples, settings.select.exclude, "exclude")
    n = pool_steps.count_requested_rows(tables["samples"], settings.select.size)
    reserves = _build_reserves(tables, settings, excluded, n)
    old = None
    if conditions.uses_comparisons(settings):
        old = read_old_rows(tables, "old_shortlist", "id")
    codes = None
    if rule == "all" and not reserves and old is None:
        # No id is looked up anywhere, and numbers take less.
        codes = RowCodes.of_samples(tables["samples"])
    is_excluded = pl.col("id").is_in(
        excluded if codes is None else codes.encode_list(excluded)
    )
    everyone = _read_candidates(tables, settings, rule, codes)
    # A copy of all rows takes much memory, and most runs exclude none.
    candidates = everyone.filter(~is_excluded) if excluded else everyone

    # The quota of each cluster, which the size of its shortlist depends on
    sizes_now = pool_steps.cluster_sizes(candidates)
    shares = quotas.compute_quotas(sizes_now, n, settings.select.quota)
    kept, dropped = shortlist.shortlist_members(
        candidates,
        rule,
        shares,
        factor,
        config.explore,
        settings.seed,
        config.cap or None,
        reserves,
        _describe_grades(tables, settings, rule),
    )
    if old is not None:
        kept, dropped = shortlist.join_old_shortlist(
            kept,
            dropped,
            old,
            # Rows that another judge has judged are new to this one.
            list_known_ids(tables, old["run"].unique().to_list()),
            _read_positions(tables),
            homes=settings.cluster.membership == "home",
        )
    # Why the others are left out
    by_rule = pl.concat_str(pl.lit("left out by rule "), "rule").alias("reason")
    by_list = pl.lit(EXCLUDED).alias("reason")
    left_out = dropped.select("id", by_rule, "cluster")
    listed = everyone.filter(is_excluded).select("id", by_list, "cluster")
    rejects = _reject_dropped_rows(pl.concat([left_out, listed]))
    if codes is None:
        return StageOutput(kept, rejects, notes={})
    return StageOutput(
        kept, codes.name_rows(rejects), notes={}, name_rows=codes.name_rows
    )


def _read_positions(tables: Tables) -> pl.DataFrame:
    """id and position in the input of every sample."""
    ids = tables["samples"].scan().select("id")
    return ids.with_row_index("position").select("id", "position").collect()


def _read_candidates(
    tables: Tables, settings: Settings, rule: Rule, codes: RowCodes | None
) -> pl.DataFrame:
    """What the rules read of each (sample, cluster): see `shortlist.shortlist_members`. With
    `codes`, ids are written as numbers.
    """
    members = pool_steps.iterate_members(tables, settings)
    if rule == "all":
        return _sort_members(
            pl.concat(
                encode_ids(batch.select("id", "cluster", "position"), codes)
                for batch in members
            )
        )
    tag_set = pl.lit([], pl.List(pl.UInt32))
    if rule == "longest-per-tag-set":
        tag_set = pl.col("clusters")
    narrow = (
        batch.select("id", "cluster", "length", "position", tag_set=tag_set)
        for batch in members
    )
    if "grades" not in tables:
        no_grade = pl.lit(None, pl.Float32)
        return pl.concat(batch.with_columns(grade=no_grade) for batch in narrow)
    target = settings.judge.target
    if rule == "stratified":
        target = cheap_picks.combine_target(target)
    means = pool_steps.iterate_average_grades(tables["grades"], target)
    grades = (batch.select("id", "grade") for batch in means)
    return pl.concat(join_to_samples(narrow, grades))


def _sort_members(members: pl.DataFrame) -> pl.DataFrame:
    """The members by (cluster, position), sorted with little memory beside them."""
    place = pl.col("cluster").cast(pl.UInt64) * 2**32 + pl.col("position")
    order = members.select(place).to_series().arg_sort().to_numpy()
    columns = members.get_columns()
    del members
    return order_columns(columns, order)


def _describe_grades(tables: Tables, settings: Settings, rule: Rule) -> CheapGrades:
    """What the cheap grades are worth, and new tags beside them."""
    if "grades" not in tables or rule not in {"stratified", "objective"}:
        return CheapGrades()
    reliability = find_grade_reliability(tables)
    if rule == "stratified":
        # Grades that nobody has measured drop no row.
        return CheapGrades(reliability.value or 0.0)
    tags = tables["canonical_tags"].scan().select("id", "tags").collect()
    weight = reliability.weight
    # The slow tier is the same judge: what is set for its scores holds for both.
    if settings.judge.reliability != "auto":
        weight = settings.judge.reliability
    return CheapGrades(
        weight,
        settings.select.tag_price,
        tags,
    )


def _build_reserves(
    tables: Tables, settings: Settings, excluded: list[str], n: int
) -> list[Reserve]:
    """The groups of rows that exact quotas and length matching need on the shortlist."""
    limits = pool_steps.build_limits(settings.select)
    # Conversations and near-duplicates are upper limits: they need no rows.
    if not (limits.per_source or limits.per_tag or limits.match_length):
        return []
    everyone = pool_steps.build_pool_table(tables, None, NO_SCORES)
    pool = everyone.filter(~pl.col("id").is_in(excluded))
    reserves = []
    for bound in build_bounds(pool, n, limits):
        # An upper limit needs no rows: it can be left empty.
        if not bound.exact:
            continue
        groups = pl.Series("group", bound.groups, pl.Int64)
        reserve = Reserve(pool.select("id", groups), bound.room)
        reserves.append(reserve)
    return reserves


def _reject_dropped_rows(dropped: pl.DataFrame) -> pl.DataFrame:
    """Rows that are not shortlisted (id, reason, cluster), as rejects that are no failures."""
    return dropped.select(
        "id",
        pl.lit("shortlist").alias("stage"),
        "reason",
        pl.concat_str(pl.lit("cluster "), "cluster").alias("raw"),
        pl.lit(False).alias("failure"),
    )
