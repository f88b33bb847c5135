"""Many small files of a table joined into a few, of which readers get the same batches of rows.

A joined Parquet file has a row group for each file that went into it, and its footer says how many
rows each had.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tacos.store.files import READ_SIZE
from tacos.store.tables import scan_tables, spell_literally

FILES_PER_FILE = 64
"""So many batches of 10,000 rows make a file: a run of ten million rows has 16 files of each table
that is made row by row.
"""
HEIGHTS = "tacos.heights"
"""The key in a footer under which the rows of each joined file are counted."""


@dataclass(frozen=True)
class OriginalPart:
    """Where the original rows of a batch lie."""

    path: Path
    start: int = 0
    """The first byte."""


def join_tables(paths: Sequence[Path], folder: Path, name: str) -> None:
    """Write the rows of Parquet files, in their order, into `<folder>/<name>-00000.parquet` and so
    on, `FILES_PER_FILE` into each; a file of another schema begins a new one.
    """
    # Only large runs need pyarrow here, which takes long to import.
    import pyarrow.parquet as pq

    group: list[Path] = []
    schema = None
    number = 0
    for path in paths:
        own = pq.read_schema(path)
        is_full = len(group) == FILES_PER_FILE
        if group and (is_full or not own.equals(schema, check_metadata=True)):
            _join(group, schema, folder / f"{name}-{number:05d}.parquet")
            group = []
            number += 1
        group.append(path)
        schema = own
    if group:
        _join(group, schema, folder / f"{name}-{number:05d}.parquet")


def scan_batches(path: Path) -> list[pl.LazyFrame]:
    """The rows of a file in the batches in which they were made, read lazily."""
    table = scan_tables([path])
    heights = pl.read_parquet_metadata(spell_literally(path)).get(HEIGHTS)
    if heights is None:
        return [table]
    ends = list(accumulate(orjson.loads(heights), initial=0))
    return [table.slice(first, end - first) for first, end in pairwise(ends)]


def read_batches(
    path: Path, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """The same batches; only `columns`, if given."""
    for batch in scan_batches(path):
        wanted = batch.select(columns) if columns else batch
        yield wanted.collect()


def join_originals(
    paths: Mapping[int, Path], folder: Path
) -> dict[str, tuple[str, int]]:
    """Write the original rows of batches one after another, `FILES_PER_FILE` into each file.

    Returns number of a batch -> name of its file, first byte in it.
    """
    places = {}
    for place, (number, path) in enumerate(paths.items()):
        target = folder / f"original-{place // FILES_PER_FILE:05d}.arrow"
        with path.open("rb") as file, target.open("ab") as output:
            places[str(number)] = (target.name, output.tell())
            shutil.copyfileobj(file, output, READ_SIZE)
    return places


def _join(paths: Sequence[Path], schema: Any, target: Path) -> None:
    """Write a row group for each file, and count their rows in the footer."""
    import pyarrow.parquet as pq

    heights = []
    # A file of Python's says plainly that a disk is full.
    with (
        target.open("wb") as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=1,
            write_statistics=False,
            # Texts repeat too little for it.
            use_dictionary=False,
        ) as writer,
    ):
        for path in paths:
            table = pq.read_table(path)
            heights.append(table.num_rows)
            writer.write_table(table, max(1, table.num_rows))
        writer.add_key_value_metadata({HEIGHTS: orjson.dumps(heights)})
