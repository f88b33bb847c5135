"""Plans that need no verdict: the paper's neighbours, chains, bridges between clusters, one
reference for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import polars as pl

from tacos.methods.judging.pairing.pair_plans import (
    Link,
    build_pair_table,
    collect_asked_pairs,
    index_members,
    shuffle_by_seed,
)


def pair_neighbours(shortlist: pl.DataFrame, first: int = 0) -> pl.DataFrame:
    """The paper's pairs: (0, 1), (2, 3), ... of each cluster in input order; an odd last sample is
    dropped.

    `shortlist` is a table SHORTLIST; input order is its column `position` where it has one, else
    file and row number of the ids (`<file>:<row>`). `first` is the number of the first pair, here
    and below.
    """
    groups = index_members(shortlist).items()
    return build_pair_table(
        ((c, a, b) for c, ids in groups for a, b in zip(ids[::2], ids[1::2], strict=False)), first
    )


def pair_in_chain(
    shortlist: pl.DataFrame, seed: int, first: int = 0, asked: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Each cluster in a random order, every sample compared with the next one: n - 1 pairs connect
    n samples.
    """
    done = collect_asked_pairs(asked)
    links = (
        (c, a, b)
        for c, ids in index_members(shortlist).items()
        for a, b in pairwise(shuffle_by_seed(ids, seed, c))
    )
    return build_pair_table((link for link in links if frozenset(link[1:]) not in done), first)


def pair_with_reference(
    shortlist: pl.DataFrame, seed: int, references: Mapping[int, str] | None = None, first: int = 0
) -> pl.DataFrame:
    """Every sample of a cluster against one chosen reference of it (a random one where none is
    given).
    """
    chosen = references or {}
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        centre = chosen.get(cluster, shuffle_by_seed(ids, seed, cluster)[0])
        links += [(cluster, other, centre) for other in ids if other != centre]
    return build_pair_table(links, first)


def bridge_clusters(
    shortlist: pl.DataFrame,
    n_bridges: int,
    seed: int,
    asked: pl.DataFrame | None = None,
    first: int = 0,
) -> pl.DataFrame:
    """`n_bridges` pairs from each cluster to others, so that with a chain in each the whole graph
    is connected.

    The clusters stand in a random ring; the i-th bridge of a cluster leads to the cluster i places
    on, from a random sample to a random sample, new ones as long as there are any. A pair's
    `cluster` is that of its left sample.
    """
    groups = {c: shuffle_by_seed(ids, seed + 1, c) for c, ids in index_members(shortlist).items()}
    ring, done = shuffle_by_seed(list(groups), seed, 0), collect_asked_pairs(asked)
    links: list[Link] = []
    for step in range(1, min(n_bridges, len(ring) - 1) + 1):
        for place, cluster in enumerate(ring):
            links += _find_bridge(
                cluster, groups[cluster], groups[ring[(place + step) % len(ring)]], step, done
            )
    return build_pair_table(links, first, bridge=True)


def _find_bridge(
    cluster: int, here: Sequence[str], there: Sequence[str], step: int, done: set[frozenset[str]]
) -> list[Link]:
    """The first pair, from the `step`-th sample of either side on, that was not asked before; none
    where all were.
    """
    for shift in range(len(here) * len(there)):
        a = here[(step - 1 + shift // len(there)) % len(here)]
        b = there[-1 - (step - 1 + shift) % len(there)]
        if a != b and frozenset((a, b)) not in done:
            done.add(frozenset((a, b)))
            return [(cluster, a, b)]
    return []
