"""Take rows with high scores that together cover many tags, within a quota of each cluster:

    maximise   sum of scores of the rows taken + worth x number of distinct tags that they carry

`worth` is how many points of score one more covered tag is worth. Taking the row with the largest
gain (its score, and `worth` for each of its tags that no row taken has) is the greedy algorithm for
a submodular function under a partition matroid: it reaches at least half of the best possible if no
score is negative (Fisher, Nemhauser and Wolsey 1978). Gains only fall as rows are taken, so an old
gain is an upper bound of the present one, and few have to be computed again (lazy greedy, Minoux
1978).

What it does not know: how common a tag is, or that two tags are much alike (`mig` does).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

Row = tuple[str, int, float]
"""Id, cluster and score; a sample may stand in several clusters."""


def take_covering(
    rows: Sequence[Row],
    n: int,
    room: Mapping[int, int] | None,
    tags: Mapping[str, Collection[str]],
    worth: float,
    start: Collection[str] = (),
) -> list[int]:
    """The places of at most n rows, in the order taken; no id twice, and none of `start`.

    `room` is how many rows each cluster may give (None: no limit); `tags` has the tags of each id;
    those of the ids `start` count as covered. Of equal gains the earlier row is taken.

    >>> rows = [("a", 0, 9.0), ("b", 0, 8.0), ("c", 0, 7.0)]
    >>> take_covering(rows, 2, None, {"a": ["x"], "b": ["x"], "c": ["y"]}, worth=2.0)
    [0, 2]
    """
    n_left = None if room is None else Counter(room)
    gone = set(start)
    covered: set[str] = set()
    for id_ in start:
        covered.update(tags.get(id_, ()))

    def gain(place: int) -> float:
        id_, _, score = rows[place]
        new_tags = set(tags.get(id_, ())) - covered
        return score + worth * len(new_tags)

    # A heap yields the smallest item, so gains stand in it negated.
    waiting = [(-gain(place), place) for place in range(len(rows))]
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
        taken.append(place)
        gone.add(id_)
        covered.update(tags.get(id_, ()))
        if n_left is not None:
            n_left[cluster] -= 1
    return taken
