"""Walk an order of preference, and take the rows that the limits allow.

Limits are a number of rows (n), near-duplicates (the largest cosine similarity to a row taken) and
groups (so many rows of a source, a tag or a band of lengths). All of them can be checked row by
row, so any strategy's order will do.

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
"""Rows whose cosines to the rows taken are computed at once."""
TAKEN_CHUNK = 8192


@dataclass(slots=True)
class GroupRoom:
    """Room for so many rows of each group.

    `groups` is the group of each row; a group that `room` does not name has no limit.
    """

    groups: Sequence[int] | Ints
    room: Mapping[int, int]
    taken: dict[int, int] = field(default_factory=dict)

    def has(
        self,
        row: int,
    ) -> bool:
        """Whether there is room for one more row of its group."""
        group = int(self.groups[row])
        no_limit = len(self.groups)
        n_taken = self.taken.get(group, 0)
        return n_taken < self.room.get(group, no_limit)

    def count(
        self,
        row: int,
    ) -> None:
        """Note that a row was taken."""
        group = int(self.groups[row])
        self.taken[group] = self.taken.get(group, 0) + 1


def walk_preference(
    order: npt.ArrayLike,
    n: int,
    limits: Sequence[GroupRoom] = (),
    vectors: Floats | None = None,
    limit: float = 1.0,
    start: Sequence[int] = (),
) -> Ints:
    """At most n row numbers of `order`, in that order, that the limits allow.

    `start` are rows that are in already: they count towards n and towards every limit, and come
    first in the answer. With `vectors` (unit vectors, shape (rows, dim)) a row whose cosine to a
    row taken is above `limit` is passed by.
    """
    taken: list[int] = []
    for row in start:
        _take_row(row, taken, limits)
    ordered = np.asarray(order, np.int64)
    for row in _iterate_allowed(
        ordered,
        taken,
        limits,
        vectors,
        limit,
    ):
        if len(taken) >= n:
            break
        _take_row(row, taken, limits)
    return np.array(taken, np.int64)


def _take_row(
    row: int,
    taken: list[int],
    limits: Sequence[GroupRoom],
) -> None:
    """Take a row, and count it in every limit."""
    taken.append(int(row))
    for limit in limits:
        limit.count(row)


def _iterate_allowed(
    order: Ints,
    taken: list[int],
    limits: Sequence[GroupRoom],
    vectors: Floats | None,
    limit: float,
) -> Iterator[int]:
    """The rows that are allowed; a caller that asks for the next one has taken the last one."""
    gone = set(taken)
    for begin in range(0, len(order), CHUNK):
        chunk = order[begin : begin + CHUNK]
        nearest = _nearest_cosines(chunk, taken, vectors)
        for place, row in enumerate(chunk.tolist()):
            is_far_enough = nearest[place] <= limit
            if row in gone or not is_far_enough:
                continue
            if not all(room.has(row) for room in limits):
                continue
            gone.add(row)
            yield row
            # The row is in now: later rows of the chunk are compared with it, too.
            if vectors is not None:
                cosines = vectors[chunk] @ vectors[row]
                np.maximum(nearest, cosines, out=nearest)


def _nearest_cosines(
    chunk: Ints,
    taken: Sequence[int],
    vectors: Floats | None,
) -> Floats:
    """The largest cosine of each row to a row taken, shape (chunk,); -1 if none is taken."""
    nearest = np.full(len(chunk), -1.0, np.float32)
    if vectors is None:
        return nearest
    # In parts, so that the matrix of cosines stays small however many rows are taken.
    chunk_vectors = vectors[chunk]
    for begin in range(0, len(taken), TAKEN_CHUNK):
        end = begin + TAKEN_CHUNK
        part = np.array(taken[begin:end])
        part_vectors = vectors[part]
        cosines = chunk_vectors @ part_vectors.T
        nearest_of_part = cosines.max(axis=1)
        np.maximum(nearest, nearest_of_part, out=nearest)
    return nearest


def build_length_bands(
    lengths: npt.ArrayLike,
    n: int,
    like: npt.ArrayLike,
    n_bands: int = 10,
) -> GroupRoom:
    """Length matching: n rows shared out over bands of length as the rows `like` are.

    `lengths` are those of all rows, shape (rows,); `like` are row numbers (all rows for the pool's
    own distribution). The bands are quantiles of the lengths of `like`; shares are rounded up.
    """
    values = np.asarray(lengths, np.float64)
    like_rows = np.asarray(like, np.int64)
    like_values = values[like_rows]
    levels = np.arange(1, n_bands) / n_bands
    quantiles = np.quantile(like_values, levels)
    # Where many lengths are equal, quantiles coincide, and bands are fewer and wider.
    cuts = np.unique(quantiles)
    groups = np.searchsorted(cuts, values, side="right")
    n_groups = len(cuts) + 1
    counts = np.bincount(groups[like_rows], minlength=n_groups)
    shares = counts / len(like_values)
    room = {}
    for band, share in enumerate(shares.tolist()):
        # A share that rounding left just above a whole number of rows is that number.
        room[band] = int(np.ceil(n * share - 1e-9))
    return GroupRoom(groups, room)
