"""Arrow, as `datasets` saves tables (a stream) and as Feather files have it (a file).

Both are read batch by batch, so memory is bounded by the batches that the writer made. A file ends
with its directory, so one that comes as a stream goes through a temporary file, as Parquet does.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.types as pt

from tacos.errors import InputError
from tacos.formats.arrow_rows import check_batch, check_names
from tacos.formats.detection import ARROW_FILE
from tacos.formats.parquet import (
    cut_tables,
    explain_unreadable,
    open_for_arrow,
)

ROWS_OF_BATCH = 10_000
"""Rows of a batch that is written."""


def read_arrow_stream(
    chunks: Iterable[bytes],
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """Tables of `batch_size` rows (the last one: the rest) of an Arrow stream, or of an Arrow file
    that comes as a stream. Raises `InputError` where it cannot be read.
    """
    content = io.BufferedReader(_ChunkReader(chunks))
    head = content.peek(len(ARROW_FILE))
    if not head.startswith(ARROW_FILE):
        batches = _iterate_stream(content, name)
        yield from _cut_batches(batches, name, batch_size)
        return
    handle, path = tempfile.mkstemp(suffix=".arrow")
    try:
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(content, file)
        yield from read_arrow_file(Path(path), name, batch_size)
    finally:
        os.unlink(path)


def read_arrow_file(
    source: Path | io.RawIOBase,
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """Tables of `batch_size` rows (the last one: the rest) of an Arrow file. Raises `InputError`
    where it cannot be read.
    """
    yield from _cut_batches(_iterate_file(source, name), name, batch_size)


def write_arrow_file(
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    file: BinaryIO,
) -> None:
    """Write the tables, all of one schema, under one another as an Arrow file, not compressed:
    readers map it into memory.
    """
    if any(_has_dictionary(field.type) for field in schema):
        # A file has one dictionary for each column.
        tables = [pa.concat_tables(tables).combine_chunks()]
    with pa.ipc.new_file(file, schema) as writer:
        for table in tables:
            writer.write_table(table, max_chunksize=ROWS_OF_BATCH)


def _has_dictionary(type_: pa.DataType) -> bool:
    """Whether a type is a dictionary or has one in it."""
    if pt.is_dictionary(type_):
        return True
    return any(
        _has_dictionary(type_.field(number).type) for number in range(type_.num_fields)
    )


class _ChunkReader(io.RawIOBase):
    """Chunks as a file that is read from its beginning to its end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the chunk at hand reaches."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        n_bytes = min(len(buffer), len(self._rest))
        buffer[:n_bytes] = self._rest[:n_bytes]
        self._rest = self._rest[n_bytes:]
        return n_bytes


def _iterate_stream(content: Any, name: str) -> Iterator[pa.RecordBatch]:
    """The batches of a stream."""
    reader = pa.ipc.open_stream(content)
    check_names(reader.schema, name)
    yield from map(check_batch, reader)


def _iterate_file(source: Path | io.RawIOBase, name: str) -> Iterator[pa.RecordBatch]:
    """The batches of a file."""
    with open_for_arrow(source) as content:
        reader = pa.ipc.open_file(content)
        check_names(reader.schema, name)
        for number in range(reader.num_record_batches):
            yield check_batch(reader.get_batch(number))


def _cut_batches(
    batches: Iterator[pa.RecordBatch],
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """Batches as tables of `batch_size` rows."""
    try:
        tables = (pa.Table.from_batches([batch]) for batch in batches)
        yield from cut_tables(tables, batch_size)
    except (pa.ArrowException, OSError) as error:
        raise InputError(explain_unreadable(name, "Arrow", error)) from None
