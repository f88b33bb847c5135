"""A table in memory with which a pipeline starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from tacos.records import canonical_hash

N_ROWS_PER_BATCH = 200


@dataclass(frozen=True)
class FrameTable:
    """A frame as a stage reads tables; its digest is that of its content."""

    frame: pl.DataFrame

    @property
    def digest(self) -> str:
        """What the key of a stage takes of it."""
        return canonical_hash([self.frame.columns, self.frame.rows()])

    @property
    def n_rows(self) -> int:
        """For progress."""
        return self.frame.height

    def scan(self) -> pl.LazyFrame:
        """All of it."""
        return self.frame.lazy()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Its rows in order, in small batches."""
        chosen = self.frame if columns is None else self.frame.select(columns)
        yield from chosen.iter_slices(N_ROWS_PER_BATCH)
