"""The tables of extended runs, with content hashes in place of ids.

Ids number the rows of files, and a file may be another one today; a content hash holds for as long
as the row is the same. `tacos.pipeline.steps.extension` gives such rows their present ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from tacos.records import Table, add_missing_columns, canonical_hash

HASH = "__hash"


class StoredTable(Table, Protocol):
    """A table of a run."""

    @property
    def digest(self) -> str: ...


@dataclass(frozen=True)
class OldPart:
    """A table of one run, and the samples that its ids are of."""

    table: StoredTable
    samples: StoredTable
    run: int
    """The number of the run, from 0."""


@dataclass(frozen=True)
class OldTable:
    """The tables of one kind of all extended runs, as one (`records.Table`).

    `ids` are its columns of ids, which hold content hashes here; `run` is added.
    """

    parts: Sequence[OldPart]
    schema: pl.Schema
    ids: tuple[str, ...] = ("id",)

    @property
    def digest(self) -> str:
        """Hash of the tables and of the samples that they are about."""
        return canonical_hash(
            [(part.run, part.table.digest, part.samples.digest) for part in self.parts]
        )

    def scan(self) -> pl.LazyFrame:
        """All rows, those of the first run first."""
        return pl.concat([self._scan_part(part) for part in self.parts])

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All rows as one batch."""
        frame = self.scan()
        yield (frame.select(columns) if columns else frame).collect()

    def _scan_part(self, part: OldPart) -> pl.LazyFrame:
        """The rows of one run."""
        content_hash = pl.col("content_hash").alias(HASH)
        hashes = part.samples.scan().select("id", content_hash)
        # A run of an earlier version may lack the newest columns.
        frame = add_missing_columns(part.table.scan(), self.schema)
        for column in self.ids:
            frame = frame.join(
                hashes.rename({"id": column}),
                on=column,
                maintain_order="left",
            )
            frame = frame.with_columns(pl.col(HASH).alias(column)).drop(HASH)
        return frame.with_columns(run=pl.lit(part.run, pl.UInt16))
