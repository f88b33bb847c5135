"""Parquet, read in batches as Arrow tables, whose types are exactly the file's.

Rows that came without types get inferred ones: a column that mixes texts and numbers is refused.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tacos.errors import InputError, OutputError
from tacos.formats.arrow_rows import check_batch, check_names
from tacos.formats.json_rows import decode_rows
from tacos.formats.rows import RawRow, list_columns
from tacos.methods.samples.cells import name_json_type

ROWS_OF_GROUP = 50_000
"""Rows of a row group that is written."""
BATCH_BYTES = 1 << 24
"""Of a batch that is read, however few rows that are."""
MAX_DEPTH = 30
"""Levels of lists and objects within one another; pyarrow reads 100, and a list takes three."""
MAX_FIELDS = 2_000
"""Fields of the objects of a column; each object has all of them in Parquet."""
READ_SIZE = 1 << 20
"""Bytes of a column that are read at a time. Nothing is read ahead: no row group is held whole."""


def read_parquet(
    source: Path | io.RawIOBase,
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """Tables of `batch_size` rows (the last one: the rest), or of fewer where rows are long. Raises
    `InputError` where the file cannot be read.
    """
    try:
        # An open file: to pyarrow, too, some names are more than names.
        with open_for_arrow(source) as content:
            file = pq.ParquetFile(content, buffer_size=READ_SIZE, pre_buffer=False)
            check_names(file.schema_arrow, name)
            batch_size = _limit_batch(file.metadata, batch_size)
            batches = map(check_batch, file.iter_batches(batch_size))
            tables = (pa.Table.from_batches([batch]) for batch in batches)
            yield from cut_tables(tables, batch_size)
    except (pa.ArrowException, OSError) as error:
        raise InputError(explain_unreadable(name, "Parquet", error)) from None


def open_for_arrow(source: Path | io.RawIOBase) -> Any:
    """A file, or an open one, as pyarrow reads it."""
    if isinstance(source, io.RawIOBase):
        return pa.PythonFile(source, mode="r")
    return pa.OSFile(os.fspath(source))


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


def _build_series(name: str, values: list[Any]) -> pl.Series:
    """One column; raises what polars or pyarrow raises for values of several types."""
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, pl.exceptions.PolarsError):
        if not any(isinstance(value, list | Mapping) for value in values):
            raise
    # pyarrow finds the type of a nested field also where the first row has null.
    return pl.Series(name, pa.array(values))


def _fill_fields(name: str, values: list[Any]) -> list[Any]:
    """The values, whose objects have the fields of all objects in their place: polars keeps those
    of the first object alone. Raises `OutputError` where there are too many fields.
    """
    objects = [value for value in values if isinstance(value, Mapping)]
    lists = [value for value in values if isinstance(value, list)]
    if objects:
        filled = iter(_fill_objects(name, objects))
        return [next(filled) if isinstance(each, Mapping) else each for each in values]
    if lists:
        items = iter(_fill_fields(name, list(chain.from_iterable(lists))))
        return [
            list(islice(items, len(each))) if isinstance(each, list) else each
            for each in values
        ]
    return values


def _fill_objects(
    name: str,
    objects: Sequence[Mapping[str, Any]],
) -> Sequence[Mapping[str, Any]]:
    """The objects with the same fields each."""
    fields = list_columns(objects)
    if not fields:
        return objects
    if len(fields) > MAX_FIELDS:
        raise OutputError(
            f"Parquet cannot store the column {name!r}, whose objects have more than "
            f"{MAX_FIELDS:,} different fields: write .jsonl instead"
        )
    columns = []
    for field in fields:
        values = [each.get(field) for each in objects]
        columns.append(_fill_fields(name, values))
    return [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True)]


def _is_deep(value: Any) -> bool:
    """Whether a value is nested deeper than Arrow can hold."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for each in level for inner in _list_inner(each)]
        if not level:
            return False
    return True


def _list_inner(value: Any) -> Iterable[Any]:
    """The values within an object or a list."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _build_column(name: str, values: list[Any]) -> pl.Series:
    """One column. Raises `OutputError` for values of several types, or nested too deeply."""
    if any(_is_deep(value) for value in values):
        raise OutputError(
            f"Parquet cannot store the column {name!r}, which is nested more than {MAX_DEPTH} "
            "levels deep: write .jsonl instead"
        )
    try:
        series = _build_series(name, _fill_fields(name, values))
    # A decimal of too many digits is a RuntimeError to polars.
    except (
        TypeError,
        OverflowError,
        RuntimeError,
        pl.exceptions.PolarsError,
        pa.ArrowException,
    ):
        type_names = {name_json_type(value) for value in values if value is not None}
        types = ", ".join(sorted(type_names))
        raise OutputError(
            f"Parquet has no type for all values of the column {name!r} ({types}): "
            "write .jsonl instead"
        ) from None
    # A column without any value has no type yet; texts are the type that every reader takes.
    if series.dtype == pl.Null:
        return series.cast(pl.String)
    return series
