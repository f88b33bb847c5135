"""What every plan of pairs needs: members in a settled order, chance without row order, the pairs
asked before, a table.
"""

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
    """The ids of each cluster in input order, clusters ascending, whatever the order of the table."""
    if "position" in shortlist.columns:
        ordered = shortlist.sort("cluster", "position", "id")
    else:
        parts = pl.col("id").str.extract_groups(r"^(.*?):?(\d*)$")
        ordered = (
            shortlist.with_columns(parts.struct.rename_fields(["file", "row"]).alias("place"))
            .unnest("place")
            .sort("cluster", "file", pl.col("row").cast(pl.Int64, strict=False), "id")
        )
    groups = ordered.unique(["cluster", "id"], keep="first", maintain_order=True)
    return {
        int(c): ids for c, ids in groups.group_by("cluster", maintain_order=True).agg("id").rows()
    }


def shuffle_by_seed(values: Sequence[T], seed: int, cluster: int) -> list[T]:
    """`values` in an order that depends on the seed and the cluster only."""
    order = np.random.default_rng([seed, cluster]).permutation(len(values))
    return [values[i] for i in order]


def collect_asked_pairs(asked: pl.DataFrame | None) -> set[frozenset[str]]:
    """The pairs asked before, without direction."""
    return (
        set()
        if asked is None
        else {frozenset(pair) for pair in asked.select("left", "right").rows()}
    )


def build_pair_table(links: Iterable[Link], first: int, bridge: bool = False) -> pl.DataFrame:
    """A table PAIRS, numbered from `first`, both orders of each."""
    rows = [
        (first + i, cluster, left, right, bridge, "both")
        for i, (cluster, left, right) in enumerate(links)
    ]
    return pl.DataFrame(rows, schema=PAIRS, orient="row")


def next_pair_number(asked: pl.DataFrame) -> int:
    """The number of the next pair."""
    return 1 + int(asked["pair"].max() or 0) if asked.height else 0  # type: ignore[arg-type]
