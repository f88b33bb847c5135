"""The tags of many rows as numbers, which take 4 bytes each where texts take 16 and more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
T = TypeVar("T", bound=np.generic)

N_AT_ONCE = 100_000
"""Rows whose tags are looked at together."""


@dataclass(frozen=True)
class RowTags:
    """The distinct tags of each row: those of row i are `numbers[starts[i]:starts[i + 1]]`.

    `numbers` has shape (tags of all rows,), `starts` shape (rows + 1,), of no more bytes than are
    needed; a number is below `n_tags`.
    """

    numbers: npt.NDArray[Any]
    starts: npt.NDArray[Any]
    n_tags: int

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    def of(self, row: int) -> npt.NDArray[Any]:
        """The tags of a row."""
        return self.numbers[self.starts[row] : self.starts[row + 1]]

    def count_carriers(self) -> Ints:
        """Rows with each tag, shape (tags,)."""
        n_carriers = np.zeros(self.n_tags, np.int64)
        # All at once, they would be copied as numbers of 8 bytes.
        for first in range(0, len(self.numbers), N_AT_ONCE):
            some = self.numbers[first : first + N_AT_ONCE]
            n_carriers += np.bincount(some, minlength=self.n_tags)
        return n_carriers

    def count_tags(self) -> npt.NDArray[Any]:
        """The number of tags of each row, shape (rows,)."""
        return np.diff(self.starts)

    def arrange(self, rows: npt.NDArray[Any]) -> RowTags:
        """The tags of these rows, in their order: shape (rows,)."""
        counts = gather_values(self.count_tags(), rows)
        starts = np.zeros(len(rows) + 1, self.starts.dtype)
        np.cumsum(counts, out=starts[1:], dtype=starts.dtype)
        numbers = np.empty(starts[-1], self.numbers.dtype)
        first = 0
        for _, tags in self._gather(rows):
            numbers[first : first + len(tags)] = tags
            first += len(tags)
        return RowTags(numbers, starts, self.n_tags)

    def list_carriers(self, rows: npt.NDArray[Any]) -> RowTags:
        """The places in `rows` of those with each tag, in order: `numbers` are places, `starts` has
        shape (tags + 1,).
        """
        n_carriers = np.zeros(self.n_tags, np.int64)
        for _, tags in self._gather(rows):
            n_carriers += np.bincount(tags, minlength=self.n_tags)
        starts = np.concatenate([[0], np.cumsum(n_carriers)])
        numbers = np.empty(starts[-1], np.uint32)
        # A counting sort: where the next place of each tag goes
        ends = starts[:-1].copy()
        for places, tags in self._gather(rows):
            order = np.argsort(tags, kind="stable")
            n_here = np.bincount(tags, minlength=self.n_tags)
            before = np.cumsum(n_here) - n_here
            targets = np.arange(len(tags)) + np.repeat(ends - before, n_here)
            numbers[targets] = places[order]
            ends += n_here
        return RowTags(numbers, starts, len(rows))

    def _gather(self, rows: npt.NDArray[Any]) -> Iterator[tuple[Ints, Ints]]:
        """The tags of rows, one after another, and the place in `rows` of each, block by block."""
        for first in range(0, len(rows), N_AT_ONCE):
            some = rows[first : first + N_AT_ONCE]
            starts = self.starts[some].astype(np.int64)
            counts = self.starts[some + 1] - starts
            ends = np.cumsum(counts)
            moved = np.repeat(starts - (ends - counts), counts)
            places = np.repeat(np.arange(first, first + len(some)), counts)
            yield places, self.numbers[np.arange(len(moved)) + moved]


def number_tags(tags: pl.Series) -> RowTags:
    """Lists of tags (null: none), shape (rows,), as numbers; a tag counts once in a row.

    >>> numbered = number_tags(pl.Series([["x", "y"], None, ["y", "y"]]))
    >>> numbered.of(2).tolist(), numbered.count_carriers().tolist()
    ([1], [1, 2])
    """
    slices = [tags.slice(first, N_AT_ONCE) for first in range(0, len(tags), N_AT_ONCE)]
    names: set[str] = set()
    for rows in slices:
        names.update(rows.explode().drop_nulls().unique().cast(pl.String))
    kinds = pl.Enum(sorted(names))
    dtype = np.min_scalar_type(max(len(names) - 1, 0))
    numbers: list[npt.NDArray[Any]] = [np.zeros(0, dtype)]
    counts = [np.zeros(1, np.uint32)]
    for rows in slices:
        distinct = rows.cast(pl.List(pl.String)).list.unique()
        n_distinct = distinct.list.len().fill_null(0)
        counts.append(n_distinct.cast(pl.UInt32).to_numpy())
        occurrences = distinct.explode().drop_nulls().cast(kinds)
        numbers.append(occurrences.to_physical().to_numpy().astype(dtype))
    n_all = sum(map(len, numbers))
    is_small = n_all <= np.iinfo(np.uint32).max
    starts = np.cumsum(
        np.concatenate(counts), dtype=np.uint32 if is_small else np.int64
    )
    return RowTags(np.concatenate(numbers), starts, len(names))


def gather_values(values: npt.NDArray[T], rows: npt.NDArray[Any]) -> npt.NDArray[T]:
    """`values[rows]`, shape (rows,), without a copy of `rows` as numbers of 8 bytes."""
    taken = np.empty(len(rows), values.dtype)
    for first in range(0, len(rows), N_AT_ONCE):
        taken[first : first + N_AT_ONCE] = values[rows[first : first + N_AT_ONCE]]
    return taken
