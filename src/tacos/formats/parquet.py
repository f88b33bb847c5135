"""Parquet, read in batches and written whole.

Rows that came without types get inferred ones: a column that mixes texts and numbers is refused.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from polars.exceptions import PanicException

from tacos.errors import InputError, OutputError
from tacos.formats.json_rows import decode_rows
from tacos.formats.rows import RawRow, list_columns
from tacos.store.tables import scan_tables

ARROW_SCHEMA = "ARROW:schema"
NO_SCHEMA = "tacos:schema"
"""As long as the name that it takes the place of."""
MAGIC = b"PAR1"
TEXT_FIELD = b"\x18"
"""The header of a field that holds a text and follows the field before it."""


class TypedBatch(NamedTuple):
    """Consecutive rows of a file, and the key-value pairs of that file: `ARROW:schema` among them
    where its writer knew one.
    """

    table: pl.DataFrame
    metadata: dict[str, str]


def read_parquet(
    source: Path,
    name: str,
    batch_size: int,
) -> Iterator[TypedBatch]:
    """Batches of `batch_size` rows (the last one: the rest). Raises `InputError` where the file
    cannot be read.
    """
    try:
        with source.open("rb") as file:
            metadata = pl.read_parquet_metadata(file)
        table = scan_tables([source])
        # In this thread: an unknown type in another one would look like a file without rows.
        table.collect_schema()
        frames = table.collect_batches(
            chunk_size=batch_size,
            maintain_order=True,
            lazy=True,
        )
        for batch in cut_tables(frames, batch_size):
            yield TypedBatch(batch, metadata)
    except (pl.exceptions.PolarsError, PanicException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{name} is not a readable Parquet file: {reason}; fetch or write it again"
        ) from None


def read_parquet_stream(
    chunks: Iterable[bytes],
    name: str,
    batch_size: int,
) -> Iterator[TypedBatch]:
    """Rows of a Parquet file that comes as a stream, by way of a temporary file."""
    # Parquet keeps its directory at the end, so reading needs a file.
    handle, path = tempfile.mkstemp(suffix=".parquet")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
        yield from read_parquet(Path(path), name, batch_size)
    finally:
        os.unlink(path)


def cut_frame(frame: pl.DataFrame, batch_size: int) -> Iterator[TypedBatch] | None:
    """The batches of a polars frame; None if Parquet cannot hold its types, as Python objects."""
    buffer = io.BytesIO()
    try:
        frame.clear().write_parquet(buffer)
        buffer.seek(0)
        metadata = pl.read_parquet_metadata(buffer)
    except (pl.exceptions.PolarsError, PanicException):
        return None
    return (TypedBatch(table, metadata) for table in frame.iter_slices(batch_size))


def cut_tables(
    frames: Iterable[pl.DataFrame], batch_size: int
) -> Iterator[pl.DataFrame]:
    """The same rows in tables of `batch_size`."""
    rest: list[pl.DataFrame] = []
    for frame in frames:
        rest.append(frame)
        n_rows = sum(table.height for table in rest)
        if n_rows < batch_size:
            continue
        rows = pl.concat(rest)
        n_whole = n_rows - n_rows % batch_size
        yield from rows[:n_whole].iter_slices(batch_size)
        rest = [rows[n_whole:]]
    rows = pl.concat(rest) if rest else pl.DataFrame()
    if rows.height:
        yield rows


def encode_parquet(rows: Iterable[RawRow]) -> memoryview:
    """Rows as a Parquet file. Raises `OutputError` for a column of several types."""
    return encode_table(build_table(rows))


def encode_table(table: pl.DataFrame) -> memoryview:
    """A table as a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getbuffer()


def encode_typed_table(
    table: pl.DataFrame,
    metadata: Mapping[str, str] | None,
) -> bytes | memoryview:
    """A table as a Parquet file with the metadata of the file that its rows came from, if it is of
    one.

    That file's Arrow schema tells apart what is one type to polars (short and large lists, index
    types of dictionaries) and holds the metadata of fields. It is left as it is to polars wherever
    the table would not be read back the same.
    """
    if metadata is None:
        return encode_table(table)
    own = {name: value for name, value in metadata.items() if name != ARROW_SCHEMA}
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", metadata=own or None)
    written = buffer.getvalue()
    patched = _replace_arrow_schema(written, metadata.get(ARROW_SCHEMA))
    try:
        found = pl.read_parquet(io.BytesIO(patched))
    except (pl.exceptions.PolarsError, PanicException):
        return written
    is_same = found.schema == table.schema and found.equals(table)
    return patched if is_same else written


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


# The Arrow schema in a Parquet footer: a key-value pair in Thrift's compact protocol, whose two
# texts follow a field header and their length as a varint.


def _replace_arrow_schema(content: bytes, schema: str | None) -> bytes:
    """The file with another Arrow schema; without one, readers go by Parquet's own types."""
    n_footer = int.from_bytes(content[-8:-4], "little")
    start = len(content) - 8 - n_footer
    footer = content[start:-8]
    key = _encode_text(ARROW_SCHEMA.encode())
    at = footer.find(key + TEXT_FIELD)
    if at < 0:
        return content
    value = at + len(key) + len(TEXT_FIELD)
    end = _find_text_end(footer, value)
    if schema is None:
        # Under a name that no reader knows.
        renamed = _encode_text(NO_SCHEMA.encode())
        footer = footer[:at] + renamed + footer[at + len(key) :]
    else:
        footer = footer[:value] + _encode_text(schema.encode())[1:] + footer[end:]
    return content[:start] + footer + len(footer).to_bytes(4, "little") + MAGIC


def _encode_text(text: bytes) -> bytes:
    """A field that holds a text."""
    length = len(text)
    varint = bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    return TEXT_FIELD + bytes(varint) + text


def _find_text_end(footer: bytes, at: int) -> int:
    """Where the text ends whose length stands at a place."""
    length = 0
    shift = 0
    while True:
        byte = footer[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return at + length
