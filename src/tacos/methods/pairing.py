"""Which samples of a cluster are compared with each other.

`neighbour` is the paper's pairing (section 3.3 and its public code): list neighbours, each sample in at most one
pair. Its graph is a heap of islands: scores of two pairs are comparable only through the judge's absolute scale.
`chain` connects a cluster with as few pairs as possible, `bridges` connects the clusters, `swiss` compares equals with
equals, `active` asks where membership of the top k is uncertain, `reference` compares everything with one sample.

A plan is a table PAIRS. No plan holds a pair of one cluster twice, and those that are given `asked` (all earlier plans)
hold none of it, in either direction. Which sample is `left` says nothing: the judge sees both orders.

What it does not know: the verdicts. `swiss` and `active` read scores that `tacos.methods.rating` made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import polars as pl

from tacos.records import PAIRS

T = TypeVar("T")
Link = tuple[int, str, str]
"""A cluster, and the left and the right sample of a pair."""


def neighbour(shortlist: pl.DataFrame, first: int = 0) -> pl.DataFrame:
    """The paper's pairs: (0, 1), (2, 3), ... of each cluster in input order; an odd last sample is dropped.

    `shortlist` is a table SHORTLIST; input order is its column `position` where it has one, else file and row number of
    the ids (`<file>:<row>`). `first` is the number of the first pair, here and below.
    """
    groups = members(shortlist).items()
    return table(((c, a, b) for c, ids in groups for a, b in zip(ids[::2], ids[1::2], strict=False)), first)


def chain(shortlist: pl.DataFrame, seed: int, first: int = 0, asked: pl.DataFrame | None = None) -> pl.DataFrame:
    """Each cluster in a random order, every sample compared with the next one: n - 1 pairs connect n samples."""
    done = known(asked)
    links = ((c, a, b) for c, ids in members(shortlist).items() for a, b in pairwise(shuffled(ids, seed, c)))
    return table((link for link in links if frozenset(link[1:]) not in done), first)


def reference(
    shortlist: pl.DataFrame, seed: int, references: Mapping[int, str] | None = None, first: int = 0
) -> pl.DataFrame:
    """Every sample of a cluster against one chosen reference of it (a random one where none is given)."""
    chosen = references or {}
    links: list[Link] = []
    for cluster, ids in members(shortlist).items():
        centre = chosen.get(cluster, shuffled(ids, seed, cluster)[0])
        links += [(cluster, other, centre) for other in ids if other != centre]
    return table(links, first)


def swiss(
    shortlist: pl.DataFrame, scores: pl.DataFrame, asked: pl.DataFrame, round: int, seed: int, first: int | None = None
) -> pl.DataFrame:
    """One Swiss round: by score, each sample meets the nearest lower one that it has not met and that is still free.

    `scores` is a table SCORES of the rounds before (a sample without a score stands in the middle of its cluster);
    equal scores are ordered by chance, drawn from `seed` and `round`. In an odd cluster the last one left sits out.
    """
    done, score = known(asked), score_of(scores)
    links: list[Link] = []
    for cluster, ids in members(shortlist).items():
        ranked = by_score(shuffled(ids, seed + 7919 * round, cluster), score)
        links += ((cluster, a, b) for a, b in meet(ranked, done))
    return table(links, asked.height if first is None else first)


def bridges(
    shortlist: pl.DataFrame, n_bridges: int, seed: int, asked: pl.DataFrame | None = None, first: int = 0
) -> pl.DataFrame:
    """`n_bridges` pairs from each cluster to others, so that with a chain in each the whole graph is connected.

    The clusters stand in a random ring; the i-th bridge of a cluster leads to the cluster i places on, from a random
    sample to a random sample, new ones as long as there are any. A pair's `cluster` is that of its left sample.
    """
    groups = {c: shuffled(ids, seed + 1, c) for c, ids in members(shortlist).items()}
    ring, done = shuffled(list(groups), seed, 0), known(asked)
    links: list[Link] = []
    for step in range(1, min(n_bridges, len(ring) - 1) + 1):
        for place, cluster in enumerate(ring):
            links += bridge(cluster, groups[cluster], groups[ring[(place + step) % len(ring)]], step, done)
    return table(links, first, bridge=True)


def bridge(cluster: int, here: Sequence[str], there: Sequence[str], step: int, done: set[frozenset[str]]) -> list[Link]:
    """The first pair, from the `step`-th sample of either side on, that was not asked before; none where all were."""
    for shift in range(len(here) * len(there)):
        a = here[(step - 1 + shift // len(there)) % len(here)]
        b = there[-1 - (step - 1 + shift) % len(there)]
        if a != b and frozenset((a, b)) not in done:
            done.add(frozenset((a, b)))
            return [(cluster, a, b)]
    return []


def meet(ranked: Sequence[str], done: set[frozenset[str]]) -> Iterator[tuple[str, str]]:
    """Pairs of the ranking from the top: each free sample with the next free one that it has not met."""
    free = list(ranked)
    while free:
        one = free.pop(0)
        other = next((i for i, two in enumerate(free) if frozenset((one, two)) not in done), None)
        if other is not None:
            yield one, free.pop(other)


def members(shortlist: pl.DataFrame) -> dict[int, list[str]]:
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
    return {int(c): ids for c, ids in groups.group_by("cluster", maintain_order=True).agg("id").rows()}


def shuffled(values: Sequence[T], seed: int, cluster: int) -> list[T]:
    """`values` in an order that depends on the seed and the cluster only."""
    order = np.random.default_rng([seed, cluster]).permutation(len(values))
    return [values[i] for i in order]


def by_score(ids: Sequence[str], score: Mapping[str, float]) -> list[str]:
    """Best first; a sample without a score stands at the median; equal scores keep their order."""
    known_scores = [score[one] for one in ids if one in score]
    middle = float(np.median(known_scores)) if known_scores else 0.0
    return sorted(ids, key=lambda one: -score.get(one, middle))


def score_of(scores: pl.DataFrame) -> dict[str, float]:
    """The score of each sample, the mean over clusters where it has several."""
    means = scores.group_by("id").agg(pl.col("score").mean())
    return {i: s for i, s in means.rows() if s is not None}


def known(asked: pl.DataFrame | None) -> set[frozenset[str]]:
    """The pairs asked before, without direction."""
    return set() if asked is None else {frozenset(pair) for pair in asked.select("left", "right").rows()}


def table(links: Iterable[Link], first: int, bridge: bool = False) -> pl.DataFrame:
    """A table PAIRS, numbered from `first`."""
    rows = [(first + i, cluster, left, right, bridge) for i, (cluster, left, right) in enumerate(links)]
    return pl.DataFrame(rows, schema=PAIRS, orient="row")
