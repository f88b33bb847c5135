"""The stage pair: which samples are compared with each other.

A run that extends others takes over the pairs that they asked, in its first round; it adds pairs
that a new row takes part in, and a few between the rows of several runs.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import pairing
from tacos.methods.judging.pairing import joining_rows
from tacos.methods.judging.pairing.pair_plans import next_pair_number
from tacos.methods.selecting import cut_scores, quotas
from tacos.pipeline.steps import pool
from tacos.pipeline.steps.extension import read_old_rows
from tacos.pipeline.steps.judgements import average_grades
from tacos.pipeline.steps.reliability import find_reliability
from tacos.records import StageOutput, Tables

CHAIN_BUDGET = 2.0
"""Requests per sample from which active pairing can afford to open with a chain (1.1 requests per
sample) instead of separate pairs.
"""


def pair_samples(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """The pairs of one round; where the run extends others, those that involve a new row."""
    shortlist = tables["shortlist"].scan().collect()
    if "old_pairs" in tables:
        return _pair_joining_rows(shortlist, tables, settings, number)
    return _plan_round(shortlist, tables, settings, number)


def _plan_round(
    shortlist: pl.DataFrame, tables: Tables, settings: Settings, number: int
) -> StageOutput:
    """The pairs of one round among these rows."""
    # Pairs of neighbours and first rounds need no verdicts; later rounds read those so far.
    method = settings.pair.method
    if method == "neighbour":
        return StageOutput.without_rejects(pairing.pair_neighbours(shortlist))
    if number == 0:
        return _pair_first_round(shortlist, tables, settings)

    earlier = tables["pairs"].scan().collect()
    scores = tables["scores"].scan().collect()
    if method == "active":
        pairs = _pair_actively(
            shortlist,
            scores,
            earlier,
            tables,
            settings,
            number,
        )
    else:
        pairs = pairing.plan_swiss_round(
            shortlist, scores, earlier, number, settings.seed
        )
    return StageOutput.without_rejects(pairs)


def _pair_joining_rows(
    shortlist: pl.DataFrame, tables: Tables, settings: Settings, number: int
) -> StageOutput:
    """The pairs of one round that a new row takes part in; in the first one, the old pairs before
    them.
    """
    old_rows = read_old_rows(tables, "old_pairs", "left", "right")
    assert old_rows is not None
    homes = settings.cluster.membership == "home"
    members = pool.read_memberships(tables, settings)
    old = joining_rows.adapt_old_pairs(old_rows, members, homes=homes)
    rated = pl.concat([old["left"], old["right"]]).unique().to_list()
    part = _pick_part(shortlist, rated, settings, number)
    if settings.pair.method == "reference":
        references = joining_rows.find_references(old)
        plan = pairing.pair_with_reference(part, settings.seed, references)
    else:
        # Anchors connect clusters as bridges do.
        pair = settings.pair.model_copy(update={"bridges": 0})
        unbridged = settings.model_copy(update={"pair": pair})
        plan = _plan_round(part, tables, unbridged, number).table
    new = joining_rows.drop_rated_pairs(plan, rated)
    notes = {"n_old": old.height, "n_joining": len({*part["id"]} - {*rated})}
    if number > 0:
        return StageOutput.without_rejects(new, notes | {"n_old": 0})
    links = _link_runs(shortlist, old_rows, old, settings)
    first = next_pair_number(pl.concat([old, links]))
    numbered = joining_rows.renumber_pairs(new, first)
    return StageOutput.without_rejects(pl.concat([old, links, numbered]), notes)


def _pick_part(
    shortlist: pl.DataFrame,
    rated: list[str],
    settings: Settings,
    number: int,
) -> pl.DataFrame:
    """The part of the shortlist that new pairs are planned for."""
    config = settings.pair
    if config.method == "active" and settings.select.quota != "none" and number > 0:
        # The cut of a cluster lies where all its rows say.
        return shortlist
    return joining_rows.pick_joining_rows(
        shortlist,
        rated,
        settings.seed + number,
        anchored=config.method != "neighbour",
        borrowed=settings.rate.scope == "global",
    )


def _link_runs(
    shortlist: pl.DataFrame,
    old_rows: pl.DataFrame,
    old: pl.DataFrame,
    settings: Settings,
) -> pl.DataFrame:
    """Pairs between the rows of several runs, where one rating covers all clusters."""
    n_links = settings.pair.bridges
    if settings.rate.scope != "global":
        n_links = 0
    sides = [
        old_rows.select(id=pl.col(side), run=pl.col("run"))
        for side in ("left", "right")
    ]
    first = pl.concat(sides).group_by("id").agg(pl.col("run").min())
    run_of = dict(first.iter_rows())
    return joining_rows.link_runs(
        shortlist,
        run_of,
        old,
        n_links,
        settings.seed,
    )


def _pair_first_round(
    shortlist: pl.DataFrame, tables: Tables, settings: Settings
) -> StageOutput:
    """The first round: pairs within clusters, and bridges between clusters."""
    config = settings.pair
    seed = settings.seed
    if config.method == "reference":
        medians = _find_median_samples(shortlist, tables, settings)
        within = pairing.pair_with_reference(shortlist, seed, medians)
    elif config.method == "active":
        within = pairing.plan_first_round(
            shortlist,
            seed,
            linked=config.budget >= CHAIN_BUDGET,
        )
    else:
        within = pairing.pair_in_chain(shortlist, seed)
    bridges = pairing.bridge_clusters(
        shortlist,
        config.bridges,
        seed,
        asked=within,
        first=within.height,
    )
    return StageOutput.without_rejects(
        pl.concat([within, bridges]),
        {"n_bridges": bridges.height},
    )


def _find_median_samples(
    shortlist: pl.DataFrame, tables: Tables, settings: Settings
) -> dict[int, str]:
    """Cluster -> the sample with the median grade; clusters without grades are left out."""
    if "grades" not in tables:
        return {}
    # With an even number of samples, the lower of the two in the middle.
    lower_middle = (pl.len() - 1) // 2
    medians = (
        shortlist.join(average_grades(tables, settings), on="id")
        .drop_nulls("grade")
        .sort("cluster", "grade", "id")
        .group_by("cluster", maintain_order=True)
        .agg(pl.col("id").get(lower_middle))
    )
    return dict(medians.iter_rows())


def _pair_actively(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    earlier: pl.DataFrame,
    tables: Tables,
    settings: Settings,
    number: int,
) -> pl.DataFrame:
    """An active round: an even part of the budget that is left, spent where an answer can still
    change who is selected.
    """
    config = settings.pair
    n = pool.count_requested_rows(tables["samples"], settings.select.size)
    # Rounds are numbered from 0: this one is among those left.
    rounds_left = config.n_rounds - number
    if settings.select.quota == "none":
        n_requests = pairing.count_requests_left(
            shortlist,
            earlier,
            config.budget,
            rounds_left,
        )
        return pairing.plan_open_round(
            shortlist,
            scores,
            earlier,
            _find_cut_scores(scores, n, tables, settings),
            n_requests,
            settings.seed + number,
        )
    allowance = pairing.allot_requests(shortlist, earlier, config.budget, rounds_left)
    sizes = pool.cluster_sizes(pool.read_memberships(tables, settings))
    shares = quotas.compute_quotas(sizes, n, settings.select.quota)
    return pairing.plan_active_round(
        shortlist,
        scores,
        earlier,
        shares,
        allowance,
        settings.seed + number,
    )


def _find_cut_scores(
    scores: pl.DataFrame, n: int, tables: Tables, settings: Settings
) -> dict[str, float]:
    """The score at which each row would enter or leave the selection, by the scores so far."""
    config = settings.select
    tags: dict[str, list[str]] = {}
    if config.tag_price:
        named = tables["canonical_tags"].scan().select("id", "tags").drop_nulls()
        tags = dict(named.collect().iter_rows())
    return cut_scores.find_cut_scores(
        scores,
        n,
        tags,
        # Without tables: the cheap grades among them are another judge's.
        find_reliability({}, settings, scores.lazy()).weight,
        config.tag_price,
    )
