"""Parquet, read in batches as Arrow tables, whose types are exactly the file's.

Rows that came without types get inferred ones: a column that mixes texts and numbers is refused.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tacos.errors import InputError, OutputError
from tacos.formats.arrow_rows import check_names
from tacos.formats.json_rows import decode_rows
from tacos.formats.rows import RawRow, list_columns

ROWS_OF_GROUP = 50_000
"""Rows of a row group that is written."""
BATCH_BYTES = 1 << 24
"""Of a batch that is read, however few rows that are."""
READ_SIZE = 1 << 20
"""Bytes of a column that are read at a time. Nothing is read ahead: no row group is held whole."""


def read_parquet(
    source: Path,
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """Tables of `batch_size` rows (the last one: the rest), or of fewer where rows are long. Raises
    `InputError` where the file cannot be read.
    """
    try:
        # An open file: to pyarrow, too, some names are more than names.
        with pa.OSFile(os.fspath(source)) as content:
            file = pq.ParquetFile(content, buffer_size=READ_SIZE, pre_buffer=False)
            check_names(file.schema_arrow, name)
            batch_size = _limit_batch(file.metadata, batch_size)
            batches = file.iter_batches(batch_size)
            tables = (pa.Table.from_batches([batch]) for batch in batches)
            yield from cut_tables(tables, batch_size)
    except (pa.ArrowException, OSError) as error:
        raise InputError(explain_unreadable(name, "Parquet", error)) from None


def _limit_batch(metadata: pq.FileMetaData, batch_size: int) -> int:
    """The rows of a batch of at most `BATCH_BYTES`, as far as the file knows its rows' size."""
    n_groups = metadata.num_row_groups
    sizes = [metadata.row_group(number).total_byte_size for number in range(n_groups)]
    n_bytes = max(1, sum(sizes))
    n_rows: int = metadata.num_rows * BATCH_BYTES // n_bytes
    return max(1, min(batch_size, n_rows))


def explain_unreadable(
    name: str,
    kind: str,
    error: Exception,
) -> str:
    """Why a file of a kind cannot be read, and what to do."""
    lines = str(error).strip().splitlines() or ["it ends too early"]
    reason = lines[0].rstrip(".")
    # Only damage is mended by a new copy.
    if isinstance(error, NotImplementedError):
        return (
            f"{name} has a column that cannot be read: {reason}; "
            "write the file again without it, or with another type for it"
        )
    return f"{name} is not a readable {kind} file: {reason}; fetch or write it again"


def read_parquet_stream(
    chunks: Iterable[bytes],
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """Rows of a Parquet file that comes as a stream, by way of a temporary file."""
    # Parquet keeps its directory at the end, so reading needs a file.
    handle, path = tempfile.mkstemp(suffix=".parquet")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
        yield from read_parquet(Path(path), name, batch_size)
    finally:
        os.unlink(path)


def cut_frame(frame: pl.DataFrame, batch_size: int) -> Iterator[pa.Table] | None:
    """The tables of a polars frame; None if Parquet cannot hold its types, as Python objects."""
    try:
        _convert_frame(frame.clear())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException):
        return None
    return map(_convert_frame, frame.iter_slices(batch_size))


def _convert_frame(frame: pl.DataFrame) -> pa.Table:
    """A frame with the types that its Parquet file would have."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="uncompressed")
    return pq.ParquetFile(buffer).read()


def cut_tables(tables: Iterable[pa.Table], n_rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `n_rows`, the last one of the rest."""
    rest: list[pa.Table] = []
    n_rest = 0
    for table in tables:
        rest.append(table)
        n_rest += table.num_rows
        if n_rest < n_rows:
            continue
        joined = pa.concat_tables(rest)
        n_whole = n_rest - n_rest % n_rows
        for first in range(0, n_whole, n_rows):
            yield joined.slice(first, n_rows)
        rest = [joined.slice(n_whole)]
        n_rest -= n_whole
    if n_rest:
        yield pa.concat_tables(rest)


def build_arrow_table(rows: Iterable[RawRow]) -> pa.Table:
    """`build_table` as a table of Arrow."""
    return build_table(rows).to_arrow(compat_level=pl.CompatLevel.oldest())


def write_parquet_file(
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    file: BinaryIO,
) -> None:
    """Write the tables, all of one schema, under one another as a Parquet file."""
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in cut_tables(tables, ROWS_OF_GROUP):
            writer.write_table(table)


def build_table(rows: Iterable[RawRow]) -> pl.DataFrame:
    """Rows as a table whose types hold every value. Raises `OutputError` for a column of several
    types.
    """
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
