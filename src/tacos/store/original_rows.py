"""Original rows beside the samples: Arrow streams, which hold every type exactly.

<run>/samples/<key>/original-00000.arrow   the rows as they were read, and their head

A file has such a stream for each batch of samples, one after another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from tacos.records import OriginalRows
from tacos.store.joined_files import OriginalPart

HEAD = b"tacos"
"""The key in a schema's metadata under which the head stands."""


@dataclass(frozen=True)
class OriginalHead:
    """What a part of original rows (`records.OriginalRows`) says about itself."""

    file: str
    first_row: int
    n_rows: int
    schema: pa.Schema
    """As the rows were read."""


def write_original_rows(original: OriginalRows, path: Path) -> None:
    """Write a part under a temporary name, then rename it."""
    head = {
        "file": original.file,
        "first_row": original.first_row,
        "n_rows": original.table.num_rows,
    }
    # One batch has one dictionary for each column, as a stream needs it.
    table = original.table.combine_chunks()
    metadata = {**(table.schema.metadata or {}), HEAD: orjson.dumps(head)}
    schema = table.schema.with_metadata(metadata)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    temporary = path.with_suffix(".tmp")
    with (
        pa.OSFile(os.fspath(temporary), "wb") as file,
        pa.ipc.new_stream(file, schema, options=options) as stream,
    ):
        stream.write_table(table)
    os.replace(temporary, path)


def read_original_head(part: OriginalPart) -> OriginalHead:
    """The head of a part, without its rows."""
    with _open_stream(part) as stream:
        return _read_head(stream.schema)


def read_original_table(part: OriginalPart) -> pa.Table:
    """The rows of a part, as they were read."""
    with _open_stream(part) as stream:
        table = stream.read_all()
    schema = _read_head(table.schema).schema
    return table.replace_schema_metadata(schema.metadata)


@contextmanager
def _open_stream(part: OriginalPart) -> Iterator[Any]:
    with pa.OSFile(os.fspath(part.path)) as file:
        file.seek(part.start)
        with pa.ipc.open_stream(file) as stream:
            yield stream


def _read_head(schema: pa.Schema) -> OriginalHead:
    metadata = dict(schema.metadata)
    head = orjson.loads(metadata.pop(HEAD))
    # No metadata is None, not none at all.
    return OriginalHead(**head, schema=schema.with_metadata(metadata or None))
