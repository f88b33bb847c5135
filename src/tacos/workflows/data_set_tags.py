"""The raw tags of several data sets, some of whose rows are the same.

A selection is a part of the run that it was made from. Its rows have the tags that the run gave
them, and each row counts once for the vocabulary that all data sets share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tacos.records import Table


@dataclass(frozen=True)
class TaggedRows:
    """Raw tags in memory or on disk, with the samples that they are of."""

    tags: Table
    """By `tacos.records.TAGS`, a row per turn."""
    samples: Table
    """By `tacos.records.SAMPLES`."""
    is_run: bool
    """Whether a run gave the tags; else they were made to be compared."""

    @property
    def hashes(self) -> pl.DataFrame:
        """id, content_hash: a row per sample."""
        return self.samples.scan().select("id", "content_hash").collect()


@dataclass(frozen=True)
class FrameTable:
    """A frame as a table of one batch."""

    frame: pl.DataFrame

    def scan(self) -> pl.LazyFrame:
        """The frame, lazily."""
        return self.frame.lazy()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The frame as a single batch."""
        yield self.frame if columns is None else self.frame.select(columns)


@dataclass(frozen=True)
class PartOfTable:
    """A table without some of its rows."""

    table: Table
    left_out: pl.Series
    """Ids, sorted."""

    def scan(self) -> pl.LazyFrame:
        """The rows that are left, lazily."""
        return self.table.scan().filter(self._is_left())

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows that are left, batch by batch."""
        read = None if columns is None else list({"id": None, **dict.fromkeys(columns)})
        for batch in self.table.batches(read):
            left = batch.filter(self._is_left())
            yield left if columns is None else left.select(columns)

    def _is_left(self) -> pl.Expr:
        return ~pl.col("id").is_in(self.left_out.implode())


def take_tags_of_runs(data_sets: Mapping[str, TaggedRows]) -> dict[str, TaggedRows]:
    """The data sets, where rows of a data file that a run has too get the tags of that run."""
    runs = [rows for rows in data_sets.values() if rows.is_run]
    settled = {}
    for name, rows in data_sets.items():
        settled[name] = rows
        if runs and not rows.is_run:
            settled[name] = _take_tags(rows, runs)
    return settled


def _take_tags(rows: TaggedRows, runs: Sequence[TaggedRows]) -> TaggedRows:
    """A data file whose rows have the tags of the first run that has them."""
    columns = ["id", "turn", "tags"]
    left = rows.hashes
    parts = []
    for run in runs:
        # A run has each content once.
        shared = left.join(
            run.hashes.rename({"id": "id_of_run"}),
            on="content_hash",
        )
        tags_of_run = run.tags.scan().select(columns).rename({"id": "id_of_run"})
        tags = shared.lazy().join(tags_of_run, on="id_of_run").select(columns)
        parts.append(tags.collect())
        left = left.join(shared, on="id", how="anti")
    own = rows.tags.scan().select(columns).collect()
    parts.append(own.join(left, on="id", how="semi"))
    # The order of the file, so that equal inputs give equal bytes.
    order = rows.samples.scan().select("id").with_row_index("position").collect()
    merged = pl.concat(parts).join(order, on="id").sort("position", "turn")
    return TaggedRows(
        FrameTable(merged.select(columns)),
        rows.samples,
        rows.is_run,
    )


def count_rows_once(data_sets: Sequence[TaggedRows]) -> list[Table]:
    """The raw tags of each data set, without rows that an earlier one has too."""
    seen = pl.DataFrame(schema={"content_hash": pl.String})
    tables: list[Table] = []
    for rows in data_sets:
        hashes = rows.hashes
        repeated = hashes.join(seen, on="content_hash", how="semi")
        tables.append(rows.tags)
        if repeated.height:
            tables[-1] = PartOfTable(rows.tags, repeated["id"].sort())
        seen = pl.concat([seen, hashes.select("content_hash")])
    return tables
