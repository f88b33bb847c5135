"""From an order of preference to a selection: walk it, and take what the limits allow.

Limits: rows at most (n), near duplicates (the largest cosine to a row taken), groups (so many rows
of a source, a tag, a band of lengths), and a budget of tokens. All of them can be checked row by
row, so that any strategy's order will do.

What it does not know: why a row comes before another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
CHUNK = 256


@dataclass(slots=True)
class GroupRoom:
    """So many rows of each group: `groups` is the group of each row; a group that `room` does not
    name has no limit.
    """

    groups: Sequence[int] | Ints
    room: Mapping[int, int]
    taken: dict[int, int] = field(default_factory=dict)

    def has(self, row: int) -> bool:
        """Whether one more row of its group may come in."""
        group = int(self.groups[row])
        return self.taken.get(group, 0) < self.room.get(group, len(self.groups))

    def count(self, row: int) -> None:
        """Note that a row was taken."""
        group = int(self.groups[row])
        self.taken[group] = self.taken.get(group, 0) + 1


@dataclass(slots=True)
class TokenBudget:
    """A budget of tokens: `costs` per row; a row that is too dear is passed by, a cheaper one may
    still fit.
    """

    costs: Sequence[int] | Ints
    left: int

    def has(self, row: int) -> bool:
        """Whether the row fits into what is left."""
        return int(self.costs[row]) <= self.left

    def count(self, row: int) -> None:
        """Note that a row was taken."""
        self.left -= int(self.costs[row])


def walk_preference(
    order: npt.ArrayLike,
    n: int,
    limits: Sequence[GroupRoom | TokenBudget] = (),
    vectors: Floats | None = None,
    limit: float = 1.0,
    start: Sequence[int] = (),
) -> Ints:
    """At most n row numbers of `order`, in that order, that the limits allow; `start` are rows that
    are in already.

    The rows of `start` count towards n and towards every limit, and come first in the answer. With
    `vectors` (unit vectors, shape (rows, dim)) a row whose cosine to a row taken is above `limit`
    is passed by.
    """
    taken: list[int] = []
    for row in start:
        _take_row(row, taken, limits)
    for row in _iterate_allowed(np.asarray(order, np.int64), taken, limits, vectors, limit):
        if len(taken) >= n:
            break
        _take_row(row, taken, limits)
    return np.array(taken, np.int64)


def _take_row(row: int, taken: list[int], limits: Sequence[GroupRoom | TokenBudget]) -> None:
    """Take a row."""
    taken.append(int(row))
    for one in limits:
        one.count(row)


def _iterate_allowed(
    order: Ints,
    taken: list[int],
    limits: Sequence[GroupRoom | TokenBudget],
    vectors: Floats | None,
    limit: float,
) -> Iterator[int]:
    """The rows that may come in; whoever asks for the next one has taken the last one."""
    gone = set(taken)
    for begin in range(0, len(order), CHUNK):
        chunk = order[begin : begin + CHUNK]
        nearest = _nearest_cosines(chunk, taken, vectors)
        for place, row in enumerate(chunk.tolist()):
            if row not in gone and nearest[place] <= limit and all(one.has(row) for one in limits):
                gone.add(row)
                yield row
                if vectors is not None:
                    np.maximum(nearest, vectors[chunk] @ vectors[row], out=nearest)


def _nearest_cosines(chunk: Ints, taken: Sequence[int], vectors: Floats | None) -> Floats:
    """The largest cosine of each row to a row taken, shape (chunk,); -1 where there is none."""
    found = np.full(len(chunk), -1.0, np.float32)
    if vectors is None:
        return found
    for begin in range(0, len(taken), 8192):
        cosine = vectors[chunk] @ vectors[np.array(taken[begin : begin + 8192])].T
        np.maximum(found, cosine.max(axis=1), out=found)
    return found


def build_length_bands(
    lengths: npt.ArrayLike, n: int, like: npt.ArrayLike, n_bands: int = 10
) -> GroupRoom:
    """Length matching: n rows shared out over bands of length as the rows `like` are.

    `lengths` are those of all rows; `like` are row numbers (all rows: the pool's own lengths;
    another selection: its lengths). The bands are quantiles of theirs; shares are rounded up.
    """
    values = np.asarray(lengths, np.float64)
    theirs = values[np.asarray(like, np.int64)]
    cuts = np.unique(np.quantile(theirs, np.arange(1, n_bands) / n_bands))
    groups = np.searchsorted(cuts, values, side="right")
    share = np.bincount(groups[np.asarray(like, np.int64)], minlength=len(cuts) + 1) / len(theirs)
    return GroupRoom(
        groups, {band: int(np.ceil(n * part - 1e-9)) for band, part in enumerate(share.tolist())}
    )
