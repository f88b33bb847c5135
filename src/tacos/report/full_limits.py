"""The limits that may have kept a row out of a selection: a floor, quotas, bands, near-duplicates.

Whether one of them did depends on when the row's turn came: where quotas are exact, a finished
selection has filled all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from tacos.methods.selecting.left_out_rows import (
    NEAR_DUPLICATE,
    OF_CONVERSATION,
    PASSED_BY,
)
from tacos.methods.selecting.limits import (
    Limits,
    build_bounds,
    find_full_groups,
    is_below_floor,
)
from tacos.models import encoder
from tacos.pipeline.steps import pool as pool_steps
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]


class FullLimit(NamedTuple):
    """A limit that has no room for a row beside the rows `ids`.

    `is_rest` where it is that of rows without a tag, which is the back of a quota.
    """

    text: str
    ids: frozenset[str]
    is_rest: bool = False


def read_floor_reason(
    scores: pl.DataFrame,
    row: str,
    limits: Limits,
) -> str:
    """What a row below the floor of correctness is told; "" for all others."""
    floor = limits.min_correctness
    if not floor or "correctness" not in scores.columns:
        return ""
    below = scores.filter((pl.col("id") == row) & is_below_floor(floor))
    if below.is_empty():
        return ""
    correctness = below["correctness"][0]
    return f"its correctness ({correctness:.1f}) is below the floor ({floor:g})"


def read_limit_reason(
    artifacts: Artifacts,
    row: str,
) -> str:
    """What a row is told that the selection itself lists as left out for a limit: it repeats a
    selected row, or its quota or band was full when its turn came; "" for all others.
    """
    rejects = artifacts["selection"].rejects()
    own = rejects.filter(
        pl.col("id") == row,
        pl.col("reason").is_in([NEAR_DUPLICATE, OF_CONVERSATION, PASSED_BY]),
    )
    if own.is_empty():
        return ""
    reason, raw = own.select("reason", "raw").row(0)
    if reason == OF_CONVERSATION:
        return f"{reason}: {raw}"
    if reason == PASSED_BY:
        return f"{raw} when its turn came"
    return f"it is a near-duplicate of {raw}, which is selected"


def list_full_limits(
    artifacts: Artifacts,
    pool: pl.DataFrame,
    limits: Limits,
    row: str,
    taken: Collection[str],
    n: int,
) -> list[FullLimit]:
    """The limits of a selection of n rows that have no room for the row beside the rows `taken`; a
    near-duplicate first.

    `pool` is a table of `build_limited_pool` with the row in it.
    """
    if not limits:
        return []
    found = []
    if limits.cosine < 1:
        found = _find_near_duplicate(
            artifacts,
            list(taken),
            row,
            limits.cosine,
        )
    # Positions in the pool: of the rows taken, and of the row itself
    bounds = build_bounds(pool, n, limits)
    is_taken = pool["id"].is_in(list(taken))
    places = np.flatnonzero(is_taken.to_numpy())
    ids = pool["id"].to_list()
    for group in find_full_groups(bounds, places, ids.index(row)):
        members = frozenset(ids[place] for place in group.rows.tolist())
        found.append(FullLimit(group.text, members, group.is_rest))
    return found


def build_limited_pool(
    artifacts: Artifacts,
    scores: pl.DataFrame,
    limits: Limits,
    keep: Collection[str],
    exclude: Collection[str],
) -> pl.DataFrame:
    """The rows that a selection chose from: without excluded ones, and without those below the
    floor of correctness that no list keeps; see `pool_steps.build_pool_table`.
    """
    everyone = pool_steps.build_pool_table(artifacts, None, scores)
    pool = everyone.filter(~pl.col("id").is_in(list(exclude)))
    if not limits.min_correctness:
        return pool
    is_kept = pl.col("id").is_in(list(keep))
    return pool.filter(is_kept | ~is_below_floor(limits.min_correctness))


def _find_near_duplicate(
    artifacts: Artifacts,
    chosen: list[str],
    row: str,
    limit: float,
) -> list[FullLimit]:
    """The selected row that a row is most similar to, if that is more than the limit."""
    ids, vectors = pool_steps.encode_samples(
        artifacts["samples"],
        encoder.load("static"),
        {*chosen, row},
    )
    own = ids.index(row)
    cosine = vectors @ vectors[own]  # (rows,)
    cosine[own] = -1  # not itself
    nearest = int(np.argmax(cosine))
    if cosine[nearest] <= limit:
        return []
    text = (
        f"it is a near-duplicate of {ids[nearest]} "
        f"(cosine {cosine[nearest]:.3f}, the limit is {limit:g})"
    )
    return [FullLimit(text, frozenset({ids[nearest]}))]
