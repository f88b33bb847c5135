"""Provide what every pair plan needs: ordered members, seeded shuffles, asked pairs, the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import polars as pl

from tacos.records import PAIRS

T = TypeVar("T")
Link = tuple[int, str, str]
"""A cluster, and the left and the right sample of a pair."""


def index_members(shortlist: pl.DataFrame) -> dict[int, list[str]]:
    """The ids of each cluster in input order, clusters ascending, for any order of the table.

    Input order is the column `position`, or file and row number of the ids (`<file>:<row>`) without
    that column.
    """
    if "position" in shortlist.columns:
        ordered = shortlist.sort("cluster", "position", "id")
    else:
        ordered = _sort_by_id_parts(shortlist)
    members = ordered.unique(
        ["cluster", "id"],
        keep="first",
        maintain_order=True,
    )
    grouped = members.group_by("cluster", maintain_order=True)
    ids_by_cluster = grouped.agg("id")
    members_of = {}
    for cluster, ids in ids_by_cluster.rows():
        members_of[int(cluster)] = ids
    return members_of


def _sort_by_id_parts(shortlist: pl.DataFrame) -> pl.DataFrame:
    """The shortlist by cluster, file and row number; row 9 stands before row 10."""
    parts = pl.col("id").str.extract_groups(r"^(.*?):?(\d*)$")
    named_parts = parts.struct.rename_fields(["file", "row"])
    split = shortlist.with_columns(named_parts.alias("place")).unnest("place")
    row_number = pl.col("row").cast(pl.Int64, strict=False)
    return split.sort("cluster", "file", row_number, "id")


def shuffle_by_seed(
    values: Sequence[T],
    seed: int,
    cluster: int,
) -> list[T]:
    """`values` in an order that depends on the seed and the cluster only."""
    random = np.random.default_rng([seed, cluster])
    n_values = len(values)
    order = random.permutation(n_values)
    return [values[place] for place in order]


def collect_asked_pairs(asked: pl.DataFrame | None) -> set[frozenset[str]]:
    """The pairs of earlier plans, without direction."""
    if asked is None:
        return set()
    return {frozenset(pair) for pair in asked.select("left", "right").rows()}


def build_pair_table(
    links: Iterable[Link],
    first: int,
    bridge: bool = False,
) -> pl.DataFrame:
    """A table PAIRS, numbered from `first`, each pair to be asked in both orders."""
    rows = []
    for number, (cluster, left, right) in enumerate(links, start=first):
        rows.append((number, cluster, left, right, bridge, "both"))
    return pl.DataFrame(
        rows,
        schema=PAIRS,
        orient="row",
    )


def next_pair_number(asked: pl.DataFrame) -> int:
    """The number of the next pair."""
    if asked.is_empty():
        return 0
    return 1 + int(asked["pair"].max() or 0)  # type: ignore[arg-type]
