"""Draws pairs of rows that people compare, blind: which is the better example to learn from?

Pairs come from the run's own comparisons, so that the judge has an answer to each; from one cluster
at a time, so that both rows are about something alike; or from the whole pool at random, which is
what `tacos calibrate` needs to tell a judge's reliability.

A larger number only adds pairs to those of a smaller one, so that labels stay valid. Which of the
two rows a person sees first is drawn for each task and person: what people make of the first place
does not turn into a preference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

Origin = Literal["comparisons", "clusters", "random"]
ORIGINS: tuple[Origin, ...] = ("comparisons", "clusters", "random")
MAX_DRAWS_PER_PAIR = 20
"""Draws for a pair, repeated ones and rows without a partner among them, before drawing ends."""


class SamplePair(NamedTuple):
    """Two samples, by id."""

    left: str
    right: str


def draw_compared_pairs(
    pairs: Iterable[tuple[str, str]],
    n: int,
    seed: int,
) -> list[SamplePair]:
    """Up to `n` of the pairs that were compared, each once, whichever row is named first.

    >>> draw_compared_pairs([("a", "b"), ("b", "a"), ("c", "d")], 5, seed=1)
    [SamplePair(left='a', right='b'), SamplePair(left='c', right='d')]
    """
    distinct: dict[frozenset[str], SamplePair] = {}
    for left, right in pairs:
        if left != right:
            distinct.setdefault(frozenset((left, right)), SamplePair(left, right))
    # By hash: a larger number adds pairs to those of a smaller one.
    ranked = sorted(
        distinct.values(),
        key=lambda pair: hash_words(seed, *sorted(pair)),
    )
    return ranked[:n]


def draw_cluster_pairs(
    members: pl.DataFrame,
    n: int,
    seed: int,
) -> list[SamplePair]:
    """Up to `n` pairs of two rows of one cluster; `members` has id and cluster, a row per sample.

    A cluster comes up as often as it has rows. Pass one cluster for pairs of random rows.
    """
    groups = members.sort("id").group_by("cluster", maintain_order=True)
    clusters = groups.agg("id").sort("cluster")["id"].to_list()
    large = [ids for ids in clusters if len(ids) > 1]
    drawn: dict[frozenset[str], SamplePair] = {}
    if not large or n <= 0:
        return []
    for pair in _iterate_random_pairs(large, n * MAX_DRAWS_PER_PAIR, seed):
        drawn.setdefault(frozenset(pair), pair)
        if len(drawn) == n:
            break
    return list(drawn.values())


def _iterate_random_pairs(
    clusters: Sequence[Sequence[str]],
    n_draws: int,
    seed: int,
) -> Iterator[SamplePair]:
    """Pairs of two different rows of one cluster."""
    rng = np.random.default_rng(seed)
    sizes = np.array([len(ids) for ids in clusters])
    ends = sizes.cumsum()
    for _ in range(n_draws):
        row = int(rng.integers(ends[-1]))
        cluster = int(np.searchsorted(ends, row, side="right"))
        ids = clusters[cluster]
        left = row - int(ends[cluster] - sizes[cluster])
        # Any other row of the cluster.
        right = (left + int(rng.integers(1, len(ids)))) % len(ids)
        yield SamplePair(ids[left], ids[right])


def is_right_first(
    task: str,
    person: str,
    seed: int,
) -> bool:
    """Whether a person sees the right row of a pair first."""
    return hash_words(seed, "side", task, person)[0] % 2 == 1


def hash_words(seed: int, *words: str) -> bytes:
    """8 bytes that depend on words and seed alone."""
    text = "\0".join([str(seed), *words])
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
