"""The first occurrence of each hash in a stream.

A log-structured merge (O'Neil et al. 1996): each batch becomes a sorted run, and a run is merged
with the newer one once that has grown to a fraction of it. So there are few runs, and each hash is
merged a few times. Merging takes the memory of its runs once more, so none is made of more than a
quarter of all hashes. Memory: 16 bytes per distinct hash, 20 while long runs are merged.

Rows whose hashes share their first 64 bits count as duplicates. The chance that this happens to any
two of n different rows is about n^2 / 2^65: 1 in 15,000 for 50M rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

GROWTH = 8
"""A run is merged with the newer one once it is at most this many times as long."""
LONGEST_RUN = 2**21
LONGEST_SHARE = 1 / 4
"""A merged run has at most `LONGEST_RUN` keys, or this share of all, whichever is more."""
NONE = -1


def hash_keys(hashes: Sequence[str]) -> Hashes:
    """The first 64 bits of hashes of 32 hex digits each.

    >>> hash_keys(["000000000000000affffffffffffffff"]).tolist()
    [10]
    """
    digits = "".join(hashes)
    halves = np.frombuffer(
        bytes.fromhex(digits), ">u8"
    )  # (2 n,): each hash has two of 64 bits
    return halves[::2].astype(np.uint64)


class FirstOccurrences:
    """Remembers for each hash the row that had it first. Rows must come in ascending order."""

    def __init__(self, longest_run: int = LONGEST_RUN) -> None:
        self._longest_run = longest_run
        self._runs: list[tuple[Hashes, Rows]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    def check(self, hashes: Hashes, rows: Rows) -> Rows:
        """For each hash the row of its first occurrence, or -1 where this is it; the new ones are
        remembered.

        All of shape (n,). A hash that occurs twice in one call is new the first time only.
        """
        # Sorted, so that equal hashes stand together; stable, so that the earliest row is first.
        order = np.argsort(hashes, kind="stable")
        sorted_keys = hashes[order]
        sorted_rows = rows[order]
        starts_group = np.ones(len(sorted_keys), np.bool_)
        starts_group[1:] = sorted_keys[1:] != sorted_keys[:-1]
        # (n,): index into the arrays of distinct hashes.
        group = np.cumsum(starts_group) - 1

        distinct_keys = sorted_keys[starts_group]
        first_rows = sorted_rows[starts_group]
        earlier_rows = self._look_up(distinct_keys)
        is_new = earlier_rows == NONE
        self._insert(distinct_keys[is_new], first_rows[is_new])

        # Every row of a group has the group's first row, but for that row itself where it is new.
        row_of_group = np.where(is_new, first_rows, earlier_rows)
        answers = row_of_group[group]
        is_first = starts_group & is_new[group]
        answers[is_first] = NONE

        # Back from sorted order.
        in_given_order = np.empty(len(rows), np.int64)
        in_given_order[order] = answers
        return in_given_order

    def _look_up(self, distinct_keys: Hashes) -> Rows:
        """The remembered row of each of the sorted hashes, or -1."""
        first_rows = np.full(len(distinct_keys), NONE, np.int64)
        for keys, rows in self._runs:
            places = np.searchsorted(keys, distinct_keys)
            # A hash above all others would stand behind the end: compare it with the last one.
            last = len(keys) - 1
            places = np.minimum(places, last)
            is_hit = keys[places] == distinct_keys
            hits = places[is_hit]
            first_rows[is_hit] = rows[hits]
        return first_rows

    def _insert(self, keys: Hashes, rows: Rows) -> None:
        """Add a sorted run, and merge while the one before it is not much longer."""
        if not len(keys):
            return
        longest = max(self._longest_run, LONGEST_SHARE * len(self))
        while self._runs:
            older_keys, older_rows = self._runs[-1]
            n_older = len(older_keys)
            is_far_longer = n_older > GROWTH * len(keys)
            if is_far_longer or n_older + len(keys) > longest:
                break
            self._runs.pop()
            keys, rows = _merge_runs(older_keys, older_rows, keys, rows)
        self._runs.append((keys, rows))


def _merge_runs(
    keys: Hashes,
    rows: Rows,
    newer_keys: Hashes,
    newer_rows: Rows,
) -> tuple[Hashes, Rows]:
    """Two sorted runs, without a common key, as one."""
    # Where the newer keys stand in the merged run; the older ones fill the other places.
    places = np.searchsorted(keys, newer_keys) + np.arange(len(newer_keys))
    is_older = np.ones(len(keys) + len(newer_keys), np.bool_)
    is_older[places] = False
    merged_keys = np.empty(len(is_older), np.uint64)
    merged_keys[places] = newer_keys
    merged_keys[is_older] = keys
    merged_rows = np.empty(len(is_older), np.int64)
    merged_rows[places] = newer_rows
    merged_rows[is_older] = rows
    return merged_keys, merged_rows
