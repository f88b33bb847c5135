"""Plan Swiss rounds: equals meet equals, and nobody meets the same opponent twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from tacos.methods.judging.pairing.pair_plans import (
    Link,
    build_pair_table,
    collect_asked_pairs,
    index_members,
    next_pair_number,
    shuffle_by_seed,
)

SEED_STRIDE = 7919
"""Keeps the shuffles of a round apart from those of nearby seeds; a prime."""


def plan_swiss_round(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    asked: pl.DataFrame,
    round: int,
    seed: int,
    first: int | None = None,
) -> pl.DataFrame:
    """One Swiss round: from the top, each sample meets the nearest free one that it has not met.

    `scores` is a table SCORES of the rounds before; a sample without a score stands in the middle
    of its cluster. Equal scores are ordered by chance, drawn from `seed` and `round`. In an odd
    cluster the last one left sits out. Returns a table PAIRS.
    """
    asked_pairs = collect_asked_pairs(asked)
    score = _index_scores(scores)
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        seed_of_round = seed + SEED_STRIDE * round
        shuffled = shuffle_by_seed(ids, seed_of_round, cluster)
        ranked = _rank_by_score(shuffled, score)
        for left, right in _pair_ranking(ranked, asked_pairs):
            link = (cluster, left, right)
            links.append(link)
    if first is None:
        first = next_pair_number(asked)
    return build_pair_table(links, first)


def _pair_ranking(
    ranked: Sequence[str],
    asked_pairs: set[frozenset[str]],
) -> Iterator[tuple[str, str]]:
    """Pairs from the top: each free sample with the next free one that it has not met."""
    free = list(ranked)
    while free:
        sample = free.pop(0)
        for place, opponent in enumerate(free):
            pair = frozenset((sample, opponent))
            if pair not in asked_pairs:
                del free[place]
                yield sample, opponent
                break


def _rank_by_score(
    ids: Sequence[str],
    score: Mapping[str, float],
) -> list[str]:
    """Best first; a sample without a score stands at the median; equal scores keep their order."""
    known_scores = [score[id_] for id_ in ids if id_ in score]
    middle = 0.0
    if known_scores:
        middle = float(np.median(known_scores))
    return sorted(ids, key=lambda id_: -score.get(id_, middle))


def _index_scores(scores: pl.DataFrame) -> dict[str, float]:
    """The score of each sample, the mean over clusters where it has several."""
    means = scores.group_by("id").agg(pl.col("score").mean())
    return {id_: score for id_, score in means.rows() if score is not None}
