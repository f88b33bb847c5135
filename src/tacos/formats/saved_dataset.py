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
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tacos.methods.chats.trainer_rows import TrainerRow

DATA = "data-00000-of-00001.arrow"
INFO = "dataset_info.json"
STATE = "state.json"

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
    rows: Sequence[TrainerRow],
    columns: Sequence[Mapping[str, Any]],
) -> dict[str, bytes]:
    """Name of a file -> its bytes.

    `rows` are TRL's, `columns` more columns of the same rows, or empty.
    """
    table = _build_table(rows, columns)
    data = io.BytesIO()
    table.write_ipc_stream(data, compat_level=pl.CompatLevel.oldest())
    content = data.getvalue()
    info: dict[str, Any] = {
        "citation": "",
        "description": "",
        "features": {
            name: _describe_type(dtype) for name, dtype in table.schema.items()
        },
        "homepage": "",
        "license": "",
    }
    state: dict[str, Any] = {
        "_data_files": [{"filename": DATA}],
        "_fingerprint": hashlib.blake2b(content, digest_size=8).hexdigest(),
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    return {
        DATA: content,
        INFO: _encode_json(info),
        STATE: _encode_json(state),
    }


def encode_parquet(
    rows: Sequence[TrainerRow],
    columns: Sequence[Mapping[str, Any]],
) -> bytes:
    """The same table as one file of Parquet, as the hub keeps rows."""
    data = io.BytesIO()
    _build_table(rows, columns).write_parquet(data)
    return data.getvalue()


def list_column_names(
    rows: Sequence[TrainerRow],
    columns: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The names of the table's columns."""
    return [*rows[0], *(columns[0] if columns else ())]


def _build_table(
    rows: Sequence[TrainerRow],
    columns: Sequence[Mapping[str, Any]],
) -> pl.DataFrame:
    """Rows and further columns of them as one table."""
    table = _build_row_table(rows)
    if not columns:
        return table
    more = pl.DataFrame(columns, infer_schema_length=None)
    return table.hstack(more.get_columns())


def _build_row_table(rows: Sequence[TrainerRow]) -> pl.DataFrame:
    """The rows with a type for each column: every message has the fields that any of them has."""
    names = list(rows[0])
    used = {
        field
        for row in rows
        for name in names
        if name in MESSAGE_COLUMNS
        for message in row[name]
        for field in message
    }
    fields = {name: dtype for name, dtype in MESSAGE_FIELDS.items() if name in used}
    messages = pl.List(pl.Struct(fields))
    columns = []
    for name in names:
        values = [row[name] for row in rows]
        if name not in MESSAGE_COLUMNS:
            columns.append(pl.Series(name, values, pl.String))
            continue
        # A struct takes fields by name only where every object has all of them.
        filled = [
            [_fill_message(message, fields) for message in value] for value in values
        ]
        columns.append(pl.Series(name, filled, messages))
    return pl.DataFrame(columns)


def _fill_message(
    message: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """A message with all fields, null where it has none."""
    return {name: message.get(name) for name in fields}


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
