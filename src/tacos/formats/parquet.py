"""Parquet, read in batches and written whole.

Types are inferred anew on writing: a column that mixes texts and numbers is refused.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from tacos.errors import InputError, OutputError
from tacos.formats.json_rows import decode_rows
from tacos.formats.rows import Item, RawRow, list_columns
from tacos.store.tables import scan_tables


def read_parquet(
    source: Path,
    name: str,
    batch_size: int,
) -> Iterator[Item]:
    """Rows of a Parquet file. Raises `InputError` where it cannot be read."""
    try:
        table = scan_tables([source])
        frames = table.collect_batches(
            chunk_size=batch_size,
            maintain_order=True,
            lazy=True,
        )
        for frame in frames:
            yield from frame.iter_rows(named=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{name} is not a readable Parquet file: {reason}; fetch or write it again"
        ) from None


def read_parquet_stream(
    chunks: Iterable[bytes],
    name: str,
    batch_size: int,
) -> Iterator[Item]:
    """Rows of a Parquet file that comes as a stream, by way of a temporary file."""
    # Parquet keeps its directory at the end, so reading needs a file.
    handle, path = tempfile.mkstemp(suffix=".parquet")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
        yield from read_parquet(Path(path), name, batch_size)
    finally:
        os.unlink(path)


def encode_parquet(rows: Iterable[RawRow]) -> memoryview:
    """Rows as a Parquet file. Raises `OutputError` for a column of several types."""
    return encode_table(_convert_to_table(rows))


def encode_table(table: pl.DataFrame) -> memoryview:
    """A table as a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getbuffer()


def _convert_to_table(rows: Iterable[RawRow]) -> pl.DataFrame:
    """Rows as a table whose types hold every value."""
    records = decode_rows(rows)
    columns = []
    for name in list_columns(records):
        # A row that lacks the column holds null there.
        values = [record.get(name) for record in records]
        column = _build_column(name, values)
        columns.append(column)
    return pl.DataFrame(columns)


def _build_column(name: str, values: list[Any]) -> pl.Series:
    """One column. Raises `OutputError` for values of several types."""
    try:
        series = pl.Series(name, values, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        type_names = {type(value).__name__ for value in values if value is not None}
        types = " and ".join(sorted(type_names))
        raise OutputError(
            f"Parquet cannot store the column {name!r} with values of {types}: write .jsonl instead"
        ) from None
    # A column without any value has no type yet; texts are the type that every reader takes.
    if series.dtype == pl.Null:
        return series.cast(pl.String)
    return series
