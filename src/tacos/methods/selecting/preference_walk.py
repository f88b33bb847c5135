"""Walk an order of preference, and take the rows that the limits allow.

Limits are a number of rows (n), near-duplicates (`near_duplicates`, `repeated_tasks`) and groups
(so many rows of a source, a tag, a band of lengths or a conversation). All of them can be checked
row by row, so any strategy's order will do.

What it does not know: why a row comes before another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting.near_duplicates import NearDuplicates
from tacos.methods.selecting.repeated_tasks import RepeatedTasks

Ints = npt.NDArray[np.int64]


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


@dataclass(slots=True)
class Admission:
    """What the limits have room for, as rows are taken.

    `passed` has each row that a room had no place for, with the number of the first such room.
    """

    rooms: Sequence[GroupRoom] = ()
    duplicates: NearDuplicates | RepeatedTasks | None = None
    passed: dict[int, int] = field(default_factory=dict)

    def admits(
        self,
        row: int,
    ) -> bool:
        """Whether every limit has room for a row."""
        for number, room in enumerate(self.rooms):
            if not room.has(row):
                self.passed[row] = number
                return False
        return self.duplicates is None or self.duplicates.admits(row)

    def take(
        self,
        row: int,
    ) -> None:
        """Count a row in every limit."""
        for room in self.rooms:
            room.count(row)
        if self.duplicates is not None:
            self.duplicates.take(row)


def walk_preference(
    order: npt.ArrayLike,
    n: int,
    admission: Admission,
    start: Sequence[int] = (),
) -> Ints:
    """At most n row numbers of `order`, in that order, that the limits allow.

    `start` are rows that are in already: they count towards n and towards every limit, and come
    first in the answer. `admission` has nothing taken yet.
    """
    ordered = np.asarray(order, np.int64).tolist()
    if admission.duplicates is not None:
        admission.duplicates.foresee(ordered)
    taken = [int(row) for row in start]
    for row in taken:
        admission.take(row)
    gone = set(taken)
    for row in ordered:
        if len(taken) >= n:
            break
        if row in gone or not admission.admits(row):
            continue
        admission.take(row)
        taken.append(row)
        gone.add(row)
    return np.array(taken, np.int64)


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
