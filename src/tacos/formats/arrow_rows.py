"""Arrow tables as rows of Python values, none of which says less than its cell.

Columns of texts and numbers, alone, in lists or in structs, go through polars, which is quick.
Other types go value by value: polars drops repeated keys of maps and fails at list views, decimals
of more than 38 digits and zones such as "+05:30", Python at years beyond 1 to 9999.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from tacos.errors import InputError
from tacos.formats.rows import Row

TEXTS = (pt.is_string, pt.is_large_string, pt.is_string_view)
QUICK_TYPES = (
    *TEXTS,
    pt.is_null,
    pt.is_boolean,
    pt.is_integer,
    pt.is_floating,
    pt.is_binary,
    pt.is_large_binary,
    pt.is_binary_view,
)
"""Types whose values are the same to polars, to Python and to Arrow."""
HOLDERS = (pa.ExtensionScalar, pa.DictionaryScalar, pa.UnionScalar)
"""Scalars around the scalar that is meant."""
MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Unit of time -> how many microseconds it is; Python knows no shorter ones."""


def check_names(schema: pa.Schema, name: str) -> None:
    """Raise `InputError` where a row would have two fields of one name."""
    pending: list[tuple[str, list[str]]] = [("", schema.names)]
    types = [("", field) for field in schema]
    while types:
        path, field = types.pop()
        here = f"{path}{field.name}"
        if pt.is_struct(field.type):
            pending.append((f" in {here!r}", [inner.name for inner in field.type]))
        n_inner = field.type.num_fields
        types += [(f"{here}.", field.type.field(number)) for number in range(n_inner)]
    for place, names in pending:
        repeated = [each for each, count in Counter(names).items() if count > 1]
        if repeated:
            raise InputError(
                f"{name} has several columns named {repeated[0]!r}{place}: "
                "rename all but one of them, since a row has one value per name"
            )


def check_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, if its lengths, offsets and texts are what they should be.

    pyarrow takes on trust what a file says of itself: the offsets of a damaged one lead out of
    memory, and bytes that are not UTF-8 are no text. Raises `pa.ArrowInvalid`.
    """
    batch.validate(full=True)
    return batch


def list_rows(table: pa.Table) -> list[Row]:
    """The rows of a table, fields in its order. Times beyond Python's are ISO 8601 texts, maps are
    dicts, or lists of pairs where a key repeats.
    """
    columns = [_list_values(column) for column in table.columns]
    names = table.column_names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def convert_table(table: pa.Table) -> pl.DataFrame:
    """A table as a polars frame. What polars has no type for, or not all values of, gets the type
    that its Python values suggest.
    """
    known = [field.name for field in table.schema if _has_polars_type(field.type)]
    # All at once: fields have metadata, columns have not.
    frame: pl.DataFrame = pl.from_arrow(table.select(known))  # type: ignore[assignment]
    columns = []
    for name in table.column_names:
        if name in known:
            columns.append(frame[name])
        else:
            values = _list_values(table[name])
            columns.append(pl.Series(name, values, strict=False))
    return pl.DataFrame(columns)


def _has_polars_type(type_: pa.DataType) -> bool:
    """Whether polars has values of a type as they are."""
    if is_list(type_):
        return _has_polars_type(type_.value_type)
    if pt.is_struct(type_):
        return all(_has_polars_type(field.type) for field in type_)
    if pt.is_timestamp(type_):
        return _has_polars_zone(type_.tz)
    kinds = (pt.is_date, pt.is_time, pt.is_duration, pt.is_decimal128, pt.is_dictionary)
    return is_quick(type_) or any(is_type(type_) for is_type in kinds)


def _has_polars_zone(zone: str | None) -> bool:
    """Whether polars knows a time zone."""
    try:
        pl.Series([], dtype=pl.Datetime("us", zone))
    except pl.exceptions.PolarsError:
        return False
    return True


def _list_values(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column."""
    if is_quick(column.type):
        series: pl.Series = pl.from_arrow(column)  # type: ignore[assignment]
        return series.to_list()
    return [convert_scalar(scalar) for scalar in column]


def is_list(type_: pa.DataType) -> bool:
    """Whether a type is a list, of any or of one length, but no view."""
    is_any = pt.is_list(type_) or pt.is_large_list(type_)
    return is_any or bool(pt.is_fixed_size_list(type_))


def is_quick(type_: pa.DataType) -> bool:
    """Whether polars has the values of a type as they are.

    >>> is_quick(pa.list_(pa.struct({"role": pa.string(), "weight": pa.float32()})))
    True
    >>> is_quick(pa.list_(pa.date32()))
    False
    """
    if is_list(type_):
        return is_quick(type_.value_type)
    if pt.is_struct(type_):
        return all(is_quick(field.type) for field in type_)
    if pt.is_dictionary(type_):
        type_ = type_.value_type
    return any(is_type(type_) for is_type in QUICK_TYPES)


def convert_scalar(scalar: pa.Scalar) -> Any:
    """The Python value of a cell."""
    if not scalar.is_valid:
        return None
    type_ = scalar.type
    if pt.is_map(type_):
        return _convert_map(scalar)
    if pt.is_struct(type_):
        return {name: convert_scalar(inner) for name, inner in scalar.items()}
    if is_list(type_) or pt.is_list_view(type_) or pt.is_large_list_view(type_):
        return [convert_scalar(inner) for inner in scalar.values]
    if isinstance(scalar, HOLDERS) and not isinstance(scalar, pa.UuidScalar):
        return convert_scalar(scalar.value)
    if pt.is_temporal(type_):
        return _convert_time(scalar)
    return scalar.as_py()


def _convert_map(scalar: pa.Scalar) -> dict[Any, Any] | list[list[Any]]:
    """A dict, or pairs of key and value where a dict would lose one."""
    pairs = []
    for entry in scalar.values:
        key, value = entry.values()
        pairs.append([convert_scalar(key), convert_scalar(value)])
    found = {str(key): value for key, value in pairs}
    return found if len(found) == len(pairs) else pairs


def _convert_time(scalar: pa.Scalar) -> Any:
    """A date, time, moment or duration of Python; a text where that would not be the same."""
    unit = getattr(scalar.type, "unit", "s")
    if unit == "ns" and scalar.value % 1000:
        return _spell_time(scalar)
    try:
        return _measure_time(scalar)
    except (OverflowError, ValueError, KeyError):
        return _spell_time(scalar)


def _measure_time(scalar: pa.Scalar) -> Any:
    """The value as Python's; raises where it has none."""
    type_ = scalar.type
    if pt.is_timestamp(type_) and type_.unit == "ns":
        # Of nanoseconds pandas would make objects of its own.
        return scalar.cast(pa.timestamp("us", type_.tz)).as_py()
    if pt.is_duration(type_):
        return _measure_duration(scalar)
    return scalar.as_py()


def _measure_duration(scalar: pa.Scalar) -> timedelta:
    unit = scalar.type.unit
    if unit == "ns":
        return timedelta(microseconds=scalar.value // 1000)
    return timedelta(microseconds=scalar.value * MICROSECONDS[unit])


def _spell_time(scalar: pa.Scalar) -> str:
    """The value as a text, of any number of nanoseconds and any year; moments of a zone in UTC."""
    type_ = scalar.type
    if pt.is_duration(type_):
        return f"{scalar.value} {type_.unit}"
    if pt.is_time(type_):
        return str(pc.cast(scalar, pa.string()).as_py())
    if pt.is_date(type_):
        unit = "D" if pt.is_date32(type_) else "ms"
        moment = np.array(scalar.value, f"datetime64[{unit}]")
        return str(moment.astype("datetime64[D]"))
    moment = np.array(scalar.value, f"datetime64[{type_.unit}]")
    zone = "" if type_.tz is None else "Z"
    return f"{moment}{zone}"
