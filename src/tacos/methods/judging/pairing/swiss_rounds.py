"""Swiss rounds: equals meet equals, nobody meets the same opponent twice."""

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


def plan_swiss_round(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    asked: pl.DataFrame,
    round: int,
    seed: int,
    first: int | None = None,
) -> pl.DataFrame:
    """One Swiss round: by score, each sample meets the nearest lower one that it has not met and
    that is still free.

    `scores` is a table SCORES of the rounds before (a sample without a score stands in the middle
    of its cluster); equal scores are ordered by chance, drawn from `seed` and `round`. In an odd
    cluster the last one left sits out.
    """
    done, score = collect_asked_pairs(asked), _index_scores(scores)
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        ranked = _rank_by_score(shuffle_by_seed(ids, seed + 7919 * round, cluster), score)
        links += ((cluster, a, b) for a, b in _pair_ranking(ranked, done))
    return build_pair_table(links, next_pair_number(asked) if first is None else first)


def _pair_ranking(ranked: Sequence[str], done: set[frozenset[str]]) -> Iterator[tuple[str, str]]:
    """Pairs of the ranking from the top: each free sample with the next free one that it has not
    met.
    """
    free = list(ranked)
    while free:
        one = free.pop(0)
        other = next((i for i, two in enumerate(free) if frozenset((one, two)) not in done), None)
        if other is not None:
            yield one, free.pop(other)


def _rank_by_score(ids: Sequence[str], score: Mapping[str, float]) -> list[str]:
    """Best first; a sample without a score stands at the median; equal scores keep their order."""
    known_scores = [score[one] for one in ids if one in score]
    middle = float(np.median(known_scores)) if known_scores else 0.0
    return sorted(ids, key=lambda one: -score.get(one, middle))


def _index_scores(scores: pl.DataFrame) -> dict[str, float]:
    """The score of each sample, the mean over clusters where it has several."""
    means = scores.group_by("id").agg(pl.col("score").mean())
    return {i: s for i, s in means.rows() if s is not None}
