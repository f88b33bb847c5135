"""Arrow, as `datasets` saves tables (a stream) and as Feather files have it (a file).

A stream is read batch by batch, in bounded memory: each of its batches is handed to polars with the
schema and the dictionaries before it (Arrow columnar format, "IPC streaming format"). A file ends
with its directory, so it goes through a temporary file, as Parquet does.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from tacos.errors import InputError
from tacos.formats.detection import ARROW_FILE, ARROW_STREAM
from tacos.formats.rows import Item
from tacos.store.tables import spell_literally

END = ARROW_STREAM + bytes(4)
"""What ends a stream."""
PREFIX = 8
"""Bytes before a message: the mark of continuation, and the length of its description."""
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
"""The types of messages; others hold no rows."""
TYPE_FIELD, BODY_FIELD = 1, 3
"""Numbers of fields in the description of a message."""


def read_arrow(
    chunks: Iterable[bytes],
    name: str,
    batch_size: int,
) -> Iterator[Item]:
    """Rows of an Arrow stream or file. Raises `InputError` where it cannot be read."""
    source = _ByteSource(chunks)
    head = source.peek(len(ARROW_FILE))
    try:
        if head.startswith(ARROW_FILE):
            frames = _read_file(source, batch_size)
        else:
            frames = _read_stream(source)
        for frame in frames:
            yield from frame.iter_rows(named=True)
    except (pl.exceptions.PolarsError, OSError, struct.error, EOFError) as error:
        reason = str(error).strip().splitlines() or ["it ends too early"]
        raise InputError(
            f"{name} is not a readable Arrow file: {reason[0]}; fetch or write it again"
        ) from None


class _ByteSource:
    """Chunks, from which any number of bytes can be taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._waiting = b""

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end; they stay."""
        while len(self._waiting) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._waiting += chunk
        return self._waiting[:size]

    def take(self, size: int) -> bytes:
        """The next bytes. Raises `EOFError` where there are fewer."""
        taken = self.peek(size)
        if len(taken) < size:
            raise EOFError
        self._waiting = self._waiting[size:]
        return taken

    def take_rest(self) -> Iterator[bytes]:
        """All chunks that are left."""
        yield self._waiting
        yield from self._chunks


def _read_stream(source: _ByteSource) -> Iterator[pl.DataFrame]:
    """A table for each batch of a stream."""
    context = b""
    while True:
        prefix = source.peek(PREFIX)
        # A stream ends with its mark, or with the file.
        if prefix in (b"", END):
            return
        message, kind = _take_message(source)
        if kind in (SCHEMA, DICTIONARY):
            context += message
        elif kind == RECORDS:
            stream = io.BytesIO(context + message + END)
            yield pl.read_ipc_stream(stream)


def _take_message(source: _ByteSource) -> tuple[bytes, int]:
    """The bytes of the next message, and its type."""
    # The mark of continuation, the length of the description, the description, the body.
    prefix = source.take(PREFIX)
    (n_description,) = struct.unpack_from("<i", prefix, 4)
    if n_description <= 0:
        raise EOFError
    description = source.take(n_description)
    kind = _read_number(description, TYPE_FIELD, "<B")
    n_body = _read_number(description, BODY_FIELD, "<q")
    body = source.take(n_body)
    return prefix + description + body, kind


def _read_number(
    description: bytes,
    field: int,
    form: str,
) -> int:
    """A number in a message's description, a FlatBuffers table; 0 where it is left out."""
    (table,) = struct.unpack_from("<I", description, 0)
    (to_fields,) = struct.unpack_from("<i", description, table)
    fields = table - to_fields
    (n_bytes,) = struct.unpack_from("<H", description, fields)
    entry = 4 + 2 * field
    # Fields at their default are left out of a table.
    if entry >= n_bytes:
        return 0
    (place,) = struct.unpack_from("<H", description, fields + entry)
    if not place:
        return 0
    (number,) = struct.unpack_from(form, description, table + place)
    return int(number)


def _read_file(source: _ByteSource, batch_size: int) -> Iterator[pl.DataFrame]:
    """Tables of at most `batch_size` rows of an Arrow file."""
    handle, path = tempfile.mkstemp(suffix=".arrow")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(source.take_rest())
        table = pl.scan_ipc(spell_literally(Path(path)), glob=False)
        yield from table.collect_batches(
            chunk_size=batch_size,
            maintain_order=True,
            lazy=True,
        )
    finally:
        os.unlink(path)
