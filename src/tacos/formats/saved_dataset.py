"""The folder that `datasets.load_from_disk` reads, written without the package `datasets`.

    data-00000-of-00001.arrow   the rows, as a stream of Arrow
    dataset_info.json           the type of each column
    state.json                  the names of the data files

Texts and lists have 64-bit offsets (`large_string`, `LargeList`), as polars writes them.

Source: `Dataset.save_to_disk` in datasets' src/datasets/arrow_dataset.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import polars as pl

from tacos.errors import explain_temporary_files
from tacos.methods.chats.trainer_rows import TrainerRow

DATA = "data-00000-of-00001.arrow"
INFO = "dataset_info.json"
STATE = "state.json"
BATCH = 10_000
"""Rows that are in memory at a time."""
PIECE = 1 << 20
"""Bytes that are read back at a time."""

CALL = pl.Struct(
    {
        "id": pl.String,
        "type": pl.String,
        "function": pl.Struct({"name": pl.String, "arguments": pl.String}),
    }
)
MESSAGE_FIELDS: dict[str, pl.DataType] = {
    "role": pl.String(),
    "content": pl.String(),
    "name": pl.String(),
    "tool_call_id": pl.String(),
    "tool_calls": pl.List(CALL),
}
MESSAGE_COLUMNS = ("prompt", "completion", "messages")
VALUE_TYPES: dict[pl.DataType, str] = {
    pl.String(): "large_string",
    pl.Boolean(): "bool",
    pl.Float32(): "float32",
    pl.Float64(): "float64",
    pl.UInt32(): "uint32",
    pl.Int64(): "int64",
    pl.Null(): "null",
}


def encode_saved_dataset(
    read_rows: Callable[[], Iterable[TrainerRow]],
    columns: Sequence[Mapping[str, Any]],
) -> dict[str, Iterable[bytes]]:
    """Name of a file -> its bytes in pieces, to be read in this order.

    `read_rows` gives TRL's rows anew with each call, `columns` more columns of the same rows, or
    nothing.
    """
    digest = hashlib.blake2b(digest_size=8)
    schema: dict[str, pl.DataType] = {}

    def encode_data() -> Iterator[bytes]:
        # pyarrow takes long to import.
        import pyarrow

        with (
            explain_temporary_files(),
            tempfile.TemporaryFile(prefix="tacos-") as file,
        ):
            writer = None
            for table in _build_tables(read_rows, columns):
                schema.update(table.schema)
                part = table.to_arrow(compat_level=pl.CompatLevel.oldest())
                if writer is None:
                    writer = pyarrow.ipc.new_stream(file, part.schema)
                writer.write_table(part)
            if writer is not None:
                writer.close()
            file.seek(0)
            while piece := file.read(PIECE):
                digest.update(piece)
                yield piece

    def encode_info() -> Iterator[bytes]:
        yield _encode_json(_describe_columns(schema))

    def encode_state() -> Iterator[bytes]:
        yield _encode_json(_describe_state(digest.hexdigest()))

    return {
        DATA: encode_data(),
        INFO: encode_info(),
        STATE: encode_state(),
    }


def encode_parquet(
    read_rows: Callable[[], Iterable[TrainerRow]],
    columns: Sequence[Mapping[str, Any]],
) -> bytes:
    """The same table as one file of Parquet, as the hub keeps rows."""
    data = io.BytesIO()
    tables = _build_tables(read_rows, columns)
    pl.concat(list(tables)).write_parquet(data)
    return data.getvalue()


def list_column_names(
    rows: Iterable[TrainerRow],
    columns: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The names of the table's columns."""
    return [*next(iter(rows)), *(columns[0] if columns else ())]


def _build_tables(
    read_rows: Callable[[], Iterable[TrainerRow]],
    columns: Sequence[Mapping[str, Any]],
) -> Iterator[pl.DataFrame]:
    """Rows and further columns of them as tables of the same types."""
    more = pl.DataFrame(columns, infer_schema_length=None)
    types = _list_column_types(read_rows())
    start = 0
    rows = iter(read_rows())
    while batch := list(islice(rows, BATCH)):
        table = _build_row_table(batch, types)
        if columns:
            part = more.slice(start, len(batch))
            table = table.hstack(part.get_columns())
        start += len(batch)
        yield table


def _list_column_types(rows: Iterable[TrainerRow]) -> dict[str, pl.DataType]:
    """A type for each column: every message has the fields that any of them has."""
    names: list[str] = []
    used: set[str] = set()
    for row in rows:
        names = names or list(row)
        for name in names:
            if name in MESSAGE_COLUMNS:
                used.update(field for message in row[name] for field in message)
    fields = {name: dtype for name, dtype in MESSAGE_FIELDS.items() if name in used}
    messages = pl.List(pl.Struct(fields))
    return {
        name: messages if name in MESSAGE_COLUMNS else pl.String() for name in names
    }


def _build_row_table(
    rows: Sequence[TrainerRow],
    types: Mapping[str, pl.DataType],
) -> pl.DataFrame:
    """The rows with these types."""
    columns = []
    for name, dtype in types.items():
        values = [row[name] for row in rows]
        if isinstance(dtype, pl.List):
            inner = pl.List(dtype.inner).inner
            assert isinstance(inner, pl.Struct)
            # A struct takes fields by name only where every object has all of them.
            fields = [field.name for field in inner.fields]
            values = [
                [_fill_message(message, fields) for message in value]
                for value in values
            ]
        columns.append(pl.Series(name, values, dtype))
    return pl.DataFrame(columns)


def _fill_message(message: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """A message with all fields, null where it has none."""
    return {name: message.get(name) for name in fields}


def _describe_columns(schema: Mapping[str, pl.DataType]) -> dict[str, Any]:
    """What `datasets` keeps of a table's columns."""
    return {
        "citation": "",
        "description": "",
        "features": {name: _describe_type(dtype) for name, dtype in schema.items()},
        "homepage": "",
        "license": "",
    }


def _describe_state(fingerprint: str) -> dict[str, Any]:
    """What `datasets` keeps of a saved folder."""
    return {
        "_data_files": [{"filename": DATA}],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }


def _describe_type(dtype: pl.DataType) -> Any:
    """A type in the words of `datasets.Features`."""
    if isinstance(dtype, pl.List):
        inner = pl.List(dtype.inner).inner
        return {"feature": _describe_type(_instantiate(inner)), "_type": "LargeList"}
    if isinstance(dtype, pl.Struct):
        return {
            field.name: _describe_type(_instantiate(field.dtype))
            for field in dtype.fields
        }
    return {"dtype": VALUE_TYPES[dtype], "_type": "Value"}


def _instantiate(dtype: Any) -> pl.DataType:
    """A type as an object: polars also gives classes."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _encode_json(value: Any) -> bytes:
    return f"{json.dumps(value, indent=2)}\n".encode()
