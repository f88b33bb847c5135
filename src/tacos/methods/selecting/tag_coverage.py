"""Take rows of high quality that together cover many tags, within a quota of each cluster or none:

    maximise   sum of qualities of the rows taken + price x number of distinct tags that they carry

`price` is how many points of quality one more covered tag is worth (`objective`). Taking the row
with the largest gain (its quality, and `price` for each of its tags that no row taken has) is the
greedy algorithm for a submodular function: it reaches at least 1 - 1/e of the best possible for a
number of rows, and half under a partition matroid such as quotas, if no quality is negative
(Nemhauser, Wolsey and Fisher 1978). Gains only fall as rows are taken, so an old gain is an upper
bound of the present one, and few have to be computed again (lazy greedy, Minoux 1978): at most one
more than a row has tags.

What it does not know: how common a tag is, or that two tags are much alike (`mig` does).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

Row = tuple[str, int, float]
"""Id, cluster and quality; a sample may stand in several clusters."""


class Gate(Protocol):
    """Limits that ids are asked about before they are taken. Who is refused once stays refused."""

    def admits(self, id_: str) -> bool: ...
    def take(self, id_: str) -> None: ...


def take_covering(
    rows: Sequence[Row],
    n: int,
    room: Mapping[int, int] | None,
    tags: Mapping[str, Collection[str]],
    price: float,
    start: Collection[str] = (),
    gate: Gate | None = None,
) -> list[int]:
    """The places of at most n rows, in the order taken; no id twice, and none of `start`.

    `room` is how many rows each cluster may give (None: no limit); `tags` has the tags of each id;
    those of the ids `start` count as covered. Of equal gains the earlier row is taken. The `gate`
    is asked about a row just before it would be taken, so the tags of rows that limits leave out
    are still to be covered.

    >>> rows = [("a", 0, 9.0), ("b", 0, 8.0), ("c", 0, 7.0)]
    >>> take_covering(rows, 2, None, {"a": ["x"], "b": ["x"], "c": ["y"]}, price=2.0)
    [0, 2]
    """
    n_left = None if room is None else Counter(room)
    gone = set(start)
    covered: set[str] = set()
    for id_ in start:
        covered.update(tags.get(id_, ()))

    def gain(place: int) -> float:
        id_, _, quality = rows[place]
        new_tags = set(tags.get(id_, ())) - covered
        return quality + price * len(new_tags)

    # A heap yields the smallest item, so gains stand in it negated. At first each tag counts as
    # new: that bounds the gain from above, and most rows never come up to have theirs computed.
    waiting = [
        (-(quality + price * len(tags.get(id_, ()))), place)
        for place, (id_, _, quality) in enumerate(rows)
    ]
    heapq.heapify(waiting)
    taken: list[int] = []
    while waiting and len(taken) < n:
        bound, place = heapq.heappop(waiting)
        id_, cluster, _ = rows[place]
        if id_ in gone:
            continue
        if n_left is not None and n_left[cluster] <= 0:
            continue
        # The gain fell since it was computed: back into the heap, another row may be better now.
        negated_gain = -gain(place)
        if negated_gain > bound:
            heapq.heappush(waiting, (negated_gain, place))
            continue
        gone.add(id_)
        if gate is not None:
            if not gate.admits(id_):
                continue
            gate.take(id_)
        taken.append(place)
        covered.update(tags.get(id_, ()))
        if n_left is not None:
            n_left[cluster] -= 1
    return taken
