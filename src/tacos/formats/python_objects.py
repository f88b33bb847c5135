"""Python data: a list of dicts, a frame of polars or pandas, a table of pyarrow, a data set of
`datasets`, any iterable of mappings.

Tables and data sets of `datasets` keep the types of their columns. Values of numpy become Python's,
which mean the same: a frame made of Parquet has arrays of messages. pandas' own null becomes None.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tacos.errors import InputError
from tacos.formats.rows import MAX_RAW, Item, MalformedRow
from tacos.methods.samples.cells import name_json_type

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_OF_TABLE = 1_000
"""Rows that are turned into Python's at a time."""
PLAIN = (str, int, float, bool, type(None))
PANDAS_NULLS = ("NAType", "NaTType")
"""Types of what pandas has for a missing text or time; pandas itself need not be installed."""


def cut_data_tables(data: Any, batch_size: int) -> Iterator[pa.Table] | None:
    """The rows as tables of at most `batch_size` rows; None for data that are no table.

    Raises `InputError` for several splits.
    """
    if isinstance(data, pl.DataFrame | pl.LazyFrame):
        from tacos.formats.parquet import cut_frame

        return cut_frame(data.lazy().collect(), batch_size)
    data = _take_only_split(data)
    if _is_of(data, "datasets", "Dataset", "IterableDataset"):
        return _cut_data_set(data, batch_size)
    if _is_of(data, "pyarrow", "Table", "RecordBatch"):
        return _cut_table(data, batch_size)
    return None


def hold_data(data: Any) -> Any:
    """Data that can be read more than once: what comes one by one is gathered."""
    if _is_of(data, "pyarrow", "RecordBatchReader"):
        return data.read_all()
    return list(data) if isinstance(data, Iterator) else data


def iterate_data_rows(data: Any) -> Iterator[Item]:
    """Rows of Python data. Raises `InputError` for data that has no rows."""
    data = _take_only_split(hold_data(data))
    if _is_of(data, "datasets", "Dataset", "IterableDataset") or _is_of(
        data, "pyarrow", "Table", "RecordBatch"
    ):
        from tacos.formats.arrow_rows import list_rows

        for table in cut_data_tables(data, ROWS_OF_TABLE) or ():
            yield from list_rows(table)
        return
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if isinstance(data, pl.DataFrame):
        yield from data.iter_rows(named=True)
        return
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # a pandas frame
        data = data.to_dict("records")
    _check_iterable(data)
    for row in data:
        if isinstance(row, Mapping):
            yield {name: _make_plain(value) for name, value in row.items()}
        else:
            problem = f"{name_json_type(row)} where a dict should be"
            yield MalformedRow(0, problem, str(row)[:MAX_RAW])


def digest_data(data: Any) -> str:
    """32 hex digits that change with any row of Python data, or with their order."""
    state = hashlib.blake2b(digest_size=16)
    for item in iterate_data_rows(data):
        # Digests are parts of keys: a malformed row counts as a plain tuple, whatever its class.
        plain = tuple(item) if isinstance(item, MalformedRow) else item
        text = repr(plain)
        encoded = text.encode("utf-8", "surrogatepass")
        state.update(encoded)
    return state.hexdigest()


def _is_of(data: Any, package: str, *names: str) -> bool:
    """Whether data are of one of the classes of a package, which need not be installed."""
    module = sys.modules.get(package)
    return module is not None and isinstance(
        data, tuple(getattr(module, name) for name in names)
    )


def _take_only_split(data: Any) -> Any:
    """The split of a `DatasetDict` that has only one. Raises `InputError` for several."""
    if not _is_of(data, "datasets", "DatasetDict", "IterableDatasetDict"):
        return data
    splits = list(map(str, data))
    if len(splits) != 1:
        names = ", ".join(splits) or "no"
        example = f'data["{splits[0] if splits else "train"}"]'
        raise InputError(
            f"the data have the splits {names}: give one of them, {example}"
        )
    return data[splits[0]]


def _cut_data_set(data: Any, batch_size: int) -> Iterator[pa.Table]:
    """The tables of a data set of `datasets`; files such as images are not opened."""
    from tacos.formats.arrow_rows import check_names

    for table in data.with_format("arrow").iter(batch_size):
        check_names(table.schema, "data")
        yield table


def _cut_table(data: Any, batch_size: int) -> Iterator[pa.Table]:
    """The slices of a table of pyarrow."""
    import pyarrow as pa

    from tacos.formats.arrow_rows import check_names

    table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
    check_names(table.schema, "data")
    for first in range(0, table.num_rows, batch_size):
        yield table.slice(first, batch_size)


def _check_iterable(data: Any) -> None:
    """Raise `InputError` for a mapping and for what cannot be iterated."""
    if isinstance(data, Mapping):
        keys = ", ".join(map(str, list(data)[:5]))
        raise InputError(
            f"data is a mapping ({keys}), not rows: give one split of it, or a list of dicts"
        )
    if not isinstance(data, Iterable):
        raise InputError(
            f"data is {type(data).__name__}: "
            "give a path, a list of dicts, a frame, a table or a datasets.Dataset"
        )


def _make_plain(value: Any) -> Any:
    """A value with Python's types in place of numpy's.

    >>> _make_plain(np.array([{"role": np.str_("user"), "weight": np.float32(0.1)}]))
    [{'role': 'user', 'weight': 0.1}]
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is dict:
        return {name: _make_plain(field) for name, field in value.items()}
    if kind is list or kind is tuple:
        return kind(map(_make_plain, value))
    if kind.__name__ in PANDAS_NULLS:
        return None
    if isinstance(value, np.ndarray):
        # An array without a dimension is one value.
        return _make_plain(value[()]) if not value.ndim else [*map(_make_plain, value)]
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    if isinstance(value, np.floating):
        # By its digits: as a double, 0.1 of 32 bits is 0.10000000149.
        return float(str(value))
    return value
