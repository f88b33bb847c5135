"""Plan pairs without any verdict: neighbours (the paper), chains, bridges, one reference."""

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


def pair_neighbours(
    shortlist: pl.DataFrame,
    first: int = 0,
) -> pl.DataFrame:
    """The paper's pairs: (0, 1), (2, 3), ... of each cluster; an odd last sample is dropped.

    Samples stand in input order (see `index_members`). `shortlist` is a table SHORTLIST, and
    `first` the number of the first pair, here and below.
    """
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        for left, right in zip(ids[::2], ids[1::2], strict=False):
            links.append((cluster, left, right))
    return build_pair_table(links, first)


def pair_in_chain(
    shortlist: pl.DataFrame,
    seed: int,
    first: int = 0,
    asked: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Each cluster in a random order, every sample with the next: n - 1 pairs connect n samples."""
    asked_pairs = collect_asked_pairs(asked)
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        for left, right in pairwise(shuffle_by_seed(ids, seed, cluster)):
            if frozenset((left, right)) not in asked_pairs:
                links.append((cluster, left, right))
    return build_pair_table(links, first)


def pair_with_reference(
    shortlist: pl.DataFrame,
    seed: int,
    references: Mapping[int, str] | None = None,
    first: int = 0,
) -> pl.DataFrame:
    """Every sample of a cluster against its reference, a random one if `references` names none."""
    chosen = references or {}
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        shuffled = shuffle_by_seed(ids, seed, cluster)
        reference = chosen.get(cluster, shuffled[0])
        others = [id_ for id_ in ids if id_ != reference]
        links += [(cluster, other, reference) for other in others]
    return build_pair_table(links, first)


def bridge_clusters(
    shortlist: pl.DataFrame,
    n_bridges: int,
    seed: int,
    asked: pl.DataFrame | None = None,
    first: int = 0,
) -> pl.DataFrame:
    """`n_bridges` pairs from each cluster to others: with a chain in each, all are connected.

    The clusters stand in a random ring. The i-th bridge of a cluster leads to the cluster i places
    further on, from a random sample to a random sample, to new ones while there are any. A pair's
    `cluster` is that of its left sample.
    """
    members = {}
    for cluster, ids in index_members(shortlist).items():
        members[cluster] = shuffle_by_seed(ids, seed + 1, cluster)
    ring = shuffle_by_seed(list(members), seed, 0)
    asked_pairs = collect_asked_pairs(asked)

    links: list[Link] = []
    n_steps = min(n_bridges, len(ring) - 1)
    for step in range(1, n_steps + 1):
        for place, cluster in enumerate(ring):
            other_place = (place + step) % len(ring)
            other_cluster = ring[other_place]
            bridge = _find_bridge(
                members[cluster],
                members[other_cluster],
                step,
                asked_pairs,
            )
            if bridge is None:
                continue
            # Later bridges must not repeat this one.
            asked_pairs.add(frozenset(bridge))
            left, right = bridge
            links.append((cluster, left, right))
    return build_pair_table(links, first, bridge=True)


def _find_bridge(
    here: Sequence[str],
    there: Sequence[str],
    step: int,
    asked_pairs: set[frozenset[str]],
) -> tuple[str, str] | None:
    """The first pair not asked before, from the `step`-th sample of either side on.

    None if all were asked.
    """
    start = step - 1
    n_here = len(here)
    n_there = len(there)
    for shift in range(n_here * n_there):
        left_place = (start + shift // n_there) % n_here
        left = here[left_place]
        # From the end: the i-th bridge out of a cluster and the i-th into it use other samples.
        right_place = (start + shift) % n_there
        right = there[-1 - right_place]
        pair = frozenset((left, right))
        # A sample of both clusters cannot meet itself.
        if left != right and pair not in asked_pairs:
            return left, right
    return None
