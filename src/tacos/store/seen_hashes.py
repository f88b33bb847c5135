"""Exact duplicates across a stream: which hashes were seen before, and at which row first.

A log-structured merge (O'Neil et al. 1996): each batch becomes a sorted run, and a run is merged
with the newer one that has grown to a fraction of it, so that there are few runs and each hash is
merged a few times. 16 bytes per distinct hash, twice that while runs are merged. Rows whose hashes
share their first 64 bits count as duplicates; the chance that this happens to any two different
ones is about n^2 / 2^65: 1 in 15,000 for 50M rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

GROWTH = 8
"""A run is merged with the newer one once it is at most this many times as long."""


def hash_keys(hashes: Sequence[str]) -> Hashes:
    """The first 64 bits of hashes of 32 hex digits each.

    >>> hash_keys(["000000000000000affffffffffffffff"]).tolist()
    [10]
    """
    return np.frombuffer(bytes.fromhex("".join(hashes)), ">u8")[::2].astype(np.uint64)


class FirstOccurrences:
    """Remembers for each hash the row that had it first. Rows must come in ascending order."""

    def __init__(self) -> None:
        self._runs: list[tuple[Hashes, Rows]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    def check(self, hashes: Hashes, rows: Rows) -> Rows:
        """For each hash the row of its first occurrence, or -1 where this is it; the new ones are
        remembered.

        Both of shape (n,). A hash that occurs twice in one call is new the first time only.
        """
        order = np.argsort(hashes, kind="stable")
        keys, owners = hashes[order], rows[order]
        fresh = (
            np.concatenate(([True], keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, np.bool_)
        )
        group = np.cumsum(fresh) - 1
        distinct, firsts = keys[fresh], owners[fresh]
        known = self._look_up(distinct)
        self._insert(distinct[known < 0], firsts[known < 0])
        answer = np.where(known < 0, firsts, known)[group]
        answer[fresh & (known[group] < 0)] = -1
        out = np.empty(len(rows), np.int64)
        out[order] = answer
        return out

    def _look_up(self, distinct: Hashes) -> Rows:
        """The remembered row of each of the sorted hashes, or -1."""
        found = np.full(len(distinct), -1, np.int64)
        for keys, rows in self._runs:
            at = np.minimum(np.searchsorted(keys, distinct), len(keys) - 1)
            hit = keys[at] == distinct
            found[hit] = rows[at[hit]]
        return found

    def _insert(self, keys: Hashes, rows: Rows) -> None:
        """Add a sorted run, and merge while the one before it is not much longer."""
        if not len(keys):
            return
        while self._runs and len(self._runs[-1][0]) <= GROWTH * len(keys):
            keys, rows = _merge_runs(*self._runs.pop(), keys, rows)
        self._runs.append((keys, rows))


def _merge_runs(
    keys: Hashes, rows: Rows, more_keys: Hashes, more_rows: Rows
) -> tuple[Hashes, Rows]:
    """Two sorted runs as one."""
    at = np.searchsorted(keys, more_keys) + np.arange(len(more_keys))
    old = np.ones(len(keys) + len(more_keys), np.bool_)
    old[at] = False
    both_keys, both_rows = np.empty(len(old), np.uint64), np.empty(len(old), np.int64)
    both_keys[at], both_rows[at] = more_keys, more_rows
    both_keys[old], both_rows[old] = keys, rows
    return both_keys, both_rows
