"""Plan pairs for rows that join others, which are rated already.

The rows that join are compared among themselves and with anchors: old rows of their cluster, one
for every `ROWS_PER_ANCHOR` of them. Anchors put both on one scale, and what was asked about old
rows is not asked again. The plan itself is that of any other method, for this part of the
shortlist.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import polars as pl

from tacos.methods.judging.pairing.pair_plans import (
    Link,
    build_pair_table,
    collect_asked_pairs,
    index_members,
    next_pair_number,
    shuffle_by_seed,
)
from tacos.records import PAIRS

ROWS_PER_ANCHOR = 8
MIN_ANCHORS = 2


def pick_joining_rows(
    shortlist: pl.DataFrame,
    rated: Collection[str],
    seed: int,
    *,
    anchored: bool = True,
    borrowed: bool = True,
) -> pl.DataFrame:
    """The part of a shortlist (SHORTLIST) that a plan is for: rows that are not yet `rated`, and in
    each of their clusters, where `anchored`, random rated rows of it.

    A cluster without rated rows takes some of others where they may be `borrowed`.
    """
    is_rated = pl.col("id").is_in(list(rated))
    joining = shortlist.filter(~is_rated)
    if not anchored or joining.is_empty():
        return joining
    known = index_members(shortlist.filter(is_rated))
    everywhere = sorted({id_ for ids in known.values() for id_ in ids})
    sizes = joining.group_by("cluster").len().sort("cluster")
    parts = [joining]
    for cluster, n_joining in sizes.iter_rows():
        candidates = known.get(cluster, everywhere if borrowed else [])
        n_anchors = max(MIN_ANCHORS, math.ceil(n_joining / ROWS_PER_ANCHOR))
        anchors = shuffle_by_seed(candidates, seed, cluster)[:n_anchors]
        part = pl.DataFrame(
            {"id": anchors, "cluster": cluster, "rule": "anchor"},
            schema=shortlist.schema,
        )
        parts.append(part)
    return pl.concat(parts)


def drop_rated_pairs(plan: pl.DataFrame, rated: Collection[str]) -> pl.DataFrame:
    """A plan (PAIRS) without the pairs of two rated rows."""
    both = pl.col("left").is_in(list(rated)) & pl.col("right").is_in(list(rated))
    return plan.filter(~both)


def renumber_pairs(plan: pl.DataFrame, first: int) -> pl.DataFrame:
    """A plan that asks each pair once, numbered from `first` in its order."""
    numbers = pl.int_range(first, first + pl.len(), dtype=pl.UInt32)
    return plan.with_columns(pair=numbers)


def find_references(asked: pl.DataFrame) -> dict[int, str]:
    """Cluster -> the row that most pairs of it were asked with."""
    counts = asked.group_by("cluster", "right").len()
    ordered = counts.sort("len", "right", descending=[True, False])
    most = ordered.unique("cluster", keep="first", maintain_order=True)
    return dict(most.select("cluster", "right").iter_rows())


def adapt_old_pairs(
    old: pl.DataFrame,
    members: pl.DataFrame,
    *,
    homes: bool,
) -> pl.DataFrame:
    """The pairs of earlier runs as a first plan (PAIRS): those of two `members` (id, cluster),
    numbered anew. They need not be on the shortlist: what was judged helps to rate those that are.

    `old` has the columns of PAIRS and `run`. A pair that several runs asked is the first one's.
    With `homes`, a row is in one cluster, and a pair in that of its left row.
    """
    listed = members.select("id", "cluster").unique("id", maintain_order=True)
    home = dict(listed.iter_rows())
    is_listed = pl.col("left").is_in(listed["id"].implode()) & pl.col("right").is_in(
        listed["id"].implode()
    )
    both = pl.concat_list("left", "right").list.sort()
    is_first = pl.col("run") == pl.col("run").min().over(both)
    # A second order has the number of its pair.
    number = pl.struct("run", "pair").rank("dense").cast(pl.UInt32) - 1
    pairs = old.filter(is_listed).filter(is_first).with_columns(pair=number)
    if homes:
        left = pl.col("left").replace_strict(home, return_dtype=pl.UInt32)
        right = pl.col("right").replace_strict(home, return_dtype=pl.UInt32)
        pairs = pairs.with_columns(cluster=left, bridge=left != right)
    return pairs.select(*PAIRS)


def link_runs(
    shortlist: pl.DataFrame,
    run_of: dict[str, int],
    asked: pl.DataFrame,
    n_links: int,
    seed: int,
) -> pl.DataFrame:
    """Pairs between the rows of several runs, so that one rating covers them all: in each cluster,
    `n_links` rows of each further run meet as many of the runs before. Numbered after `asked`.
    """
    asked_pairs = collect_asked_pairs(asked)
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        shuffled = shuffle_by_seed(ids, seed, cluster)
        for run in sorted(set(run_of.values())):
            here = [id_ for id_ in shuffled if run_of.get(id_) == run]
            before = [id_ for id_ in shuffled if run_of.get(id_, run) < run]
            for left, right in zip(here[:n_links], before[:n_links], strict=False):
                if frozenset((left, right)) not in asked_pairs:
                    links.append((cluster, left, right))
    return build_pair_table(links, next_pair_number(asked))
