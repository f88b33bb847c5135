"""Take rows of high quality that together cover many tags, within a quota of each cluster or none:

    maximise   sum of qualities of the rows taken + price x number of distinct tags that they carry

`price` is how many points of quality one more covered tag is worth (`objective`). Taking the row
with the largest gain (its quality, and `price` for each of its tags that no row taken has) is the
greedy algorithm for a submodular function: it reaches at least 1 - 1/e of the best possible for a
number of rows, and half under a partition matroid such as quotas, if no quality is negative
(Nemhauser, Wolsey and Fisher 1978). Gains only fall as rows are taken, so an old gain is an upper
bound of the present one, and few have to be computed again (lazy greedy, Minoux 1978): at most one
more than a row has tags.

Of many rows only those that may come next become objects: the best by their gain as it is
(`N_CANDIDATES`). When the best of these has fallen behind the next one of the others, the gains of
all rows are computed again, and there are new candidates.

What it does not know: how common a tag is, or that two tags are much alike (`mig` does).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.selecting.row_tags import RowTags, number_tags

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Row = tuple[str, int, float]
"""Id, cluster and quality; a sample may stand in several clusters."""
Waiting = tuple[float, int]
"""A gain, negated, and the place of its row: the smaller pair comes first."""

N_CANDIDATES = 50_000
"""Rows that wait to be taken at a time, at least; twice as many as are to be taken."""


class GainRows(NamedTuple):
    """Rows to take from, column by column, shape (places,).

    `samples` is the number of each row's sample; a sample may stand in several clusters. `tags` are
    those of the samples, by their number.
    """

    samples: Ints
    clusters: Ints
    quality: Floats
    tags: RowTags


class Gate(Protocol):
    """Limits that samples are asked about before they are taken; a refusal is for good."""

    def admits(self, sample: int) -> bool: ...
    def take(self, sample: int) -> None: ...


def take_covering(
    rows: Sequence[Row],
    n: int,
    room: Mapping[int, int] | None,
    tags: Mapping[str, Collection[str]],
    price: float,
    start: Collection[str] = (),
) -> list[int]:
    """The places of at most n rows, in the order taken; no id twice, and none of `start`.

    `room` is how many rows each cluster may give (None: no limit); `tags` has the tags of each id;
    those of the ids `start` count as covered. Of equal gains the earlier row is taken.

    >>> rows = [("a", 0, 9.0), ("b", 0, 8.0), ("c", 0, 7.0)]
    >>> take_covering(rows, 2, None, {"a": ["x"], "b": ["x"], "c": ["y"]}, price=2.0)
    [0, 2]
    """
    ids = list(dict.fromkeys([*start, *(id_ for id_, _, _ in rows)]))
    number = {id_: place for place, id_ in enumerate(ids)}
    own_tags = [list(tags.get(id_, ())) for id_ in ids]
    columns = GainRows(
        np.array([number[id_] for id_, _, _ in rows], np.int64),
        np.array([cluster for _, cluster, _ in rows], np.int64),
        np.array([quality for _, _, quality in rows], np.float64),
        number_tags(pl.Series("tags", own_tags, pl.List(pl.String))),
    )
    return take_rows(columns, n, room, price, range(len(set(start))))


def take_rows(
    rows: GainRows,
    n: int,
    room: Mapping[int, int] | None,
    price: float,
    start: Collection[int] = (),
    gate: Gate | None = None,
) -> list[int]:
    """The same of columns; `start` are numbers of samples.

    The `gate` is asked about a sample just before it would be taken, so the tags of rows that
    limits leave out are still to be covered.
    """
    tags = rows.tags
    n_left = None if room is None else Counter(room)
    is_gone = np.zeros(tags.n_rows, np.bool_)
    is_covered = np.zeros(tags.n_tags, np.bool_)
    for sample in start:
        is_gone[sample] = True
        is_covered[tags.of(sample)] = True

    taken: list[int] = []
    while len(taken) < n:
        n_candidates = max(N_CANDIDATES, 2 * n)
        gains = rows.quality + price * tags.count_others(is_covered)[rows.samples]
        gains[_flag_unavailable(rows, is_gone, n_left)] = -np.inf
        waiting, last = _list_candidates(gains, n_candidates)
        if not waiting:
            break
        # Gains only fall, so what is not a candidate comes after the last one for good.
        while waiting and len(taken) < n and waiting[0] <= last:
            bound, place = heapq.heappop(waiting)
            sample = int(rows.samples[place])
            cluster = int(rows.clusters[place])
            if is_gone[sample] or (n_left is not None and n_left[cluster] <= 0):
                continue
            own_tags = tags.of(sample)
            n_new = int(np.count_nonzero(~is_covered[own_tags]))
            # The gain fell since it was computed: another row may be better now.
            negated_gain = -(float(rows.quality[place]) + price * n_new)
            if negated_gain > bound:
                heapq.heappush(waiting, (negated_gain, place))
                continue
            is_gone[sample] = True
            if gate is not None:
                if not gate.admits(sample):
                    continue
                gate.take(sample)
            taken.append(place)
            is_covered[own_tags] = True
            if n_left is not None:
                n_left[cluster] -= 1
    return taken


def _flag_unavailable(
    rows: GainRows,
    is_gone: Bools,
    n_left: Mapping[int, int] | None,
) -> Bools:
    """Whether each row is gone, or its cluster full; shape (places,)."""
    unavailable = is_gone[rows.samples]
    if n_left is not None:
        is_open = [cluster for cluster, n in n_left.items() if n > 0]
        unavailable |= ~np.isin(rows.clusters, is_open)
    return unavailable


def _list_candidates(gains: Floats, n: int) -> tuple[list[Waiting], Waiting]:
    """The n best rows in order, of equal gains the earlier ones, and what no other row comes
    before; rows whose gain is -inf are none.
    """
    places = np.flatnonzero(gains > -np.inf)
    nobody: Waiting = (np.inf, len(gains))
    if len(places) > n:
        least = np.partition(gains, len(gains) - n)[len(gains) - n]
        better = np.flatnonzero(gains > least)
        equal = np.flatnonzero(gains == least)[: n - len(better)]
        places = np.concatenate([better, equal])
        nobody = (-float(least), int(equal[-1]))
    negated = -gains[places]
    order = np.lexsort((places, negated))
    waiting = zip(negated[order].tolist(), places[order].tolist(), strict=True)
    return list(waiting), nobody
