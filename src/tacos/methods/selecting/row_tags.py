"""The tags of many rows as numbers, which take 4 bytes each where texts take 16 and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

N_AT_ONCE = 500_000
"""Rows whose tags are looked at together."""


@dataclass(frozen=True)
class RowTags:
    """The distinct tags of each row: those of row i are `numbers[starts[i]:starts[i + 1]]`.

    `numbers` has shape (tags of all rows,), `starts` shape (rows + 1,); a number is below `n_tags`.
    """

    numbers: npt.NDArray[np.uint32]
    starts: Ints
    n_tags: int

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    def of(self, row: int) -> npt.NDArray[np.uint32]:
        """The tags of a row."""
        return self.numbers[self.starts[row] : self.starts[row + 1]]

    def count_carriers(self) -> Ints:
        """Rows with each tag, shape (tags,)."""
        return np.bincount(self.numbers, minlength=self.n_tags)

    def gather(self, rows: npt.NDArray[Any]) -> RowTags:
        """The tags of other rows: those of row i are the tags of row `rows[i]` here."""
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        numbers = np.empty(starts[-1], np.uint32)
        for first in range(0, len(rows), N_AT_ONCE):
            some = slice(first, first + N_AT_ONCE)
            own_starts = starts[first : first + N_AT_ONCE + 1]
            begin, end = int(own_starts[0]), int(own_starts[-1])
            # How far each tag lies behind its place here
            moved = np.repeat(self.starts[rows[some]] - own_starts[:-1], counts[some])
            numbers[begin:end] = self.numbers[np.arange(begin, end) + moved]
        return RowTags(numbers, starts, self.n_tags)

    def invert(self) -> RowTags:
        """The rows of each tag, in order: `numbers` are rows, `starts` has shape (tags + 1,)."""
        # Takes a while to import, which not every command needs.
        from scipy.sparse import csr_array

        index = np.int32 if len(self.numbers) < 2**31 else np.int64
        occurrences = csr_array(
            (
                np.ones(len(self.numbers), np.bool_),
                self.numbers.astype(index, copy=False),
                self.starts.astype(index),
            ),
            shape=(self.n_rows, self.n_tags),
        )
        by_tag = occurrences.tocsc()
        return RowTags(
            by_tag.indices.astype(np.uint32),
            by_tag.indptr.astype(np.int64),
            self.n_rows,
        )


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
    numbers = [np.zeros(0, np.uint32)]
    counts = [np.zeros(1, np.int64)]
    for rows in slices:
        distinct = rows.cast(pl.List(pl.String)).list.unique()
        n_distinct = distinct.list.len().fill_null(0)
        counts.append(n_distinct.cast(pl.Int64).to_numpy())
        occurrences = distinct.explode().drop_nulls().cast(kinds)
        numbers.append(occurrences.to_physical().cast(pl.UInt32).to_numpy())
    starts = np.cumsum(np.concatenate(counts))
    return RowTags(np.concatenate(numbers), starts, len(names))
