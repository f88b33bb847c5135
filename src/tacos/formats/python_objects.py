"""Python data: a list of dicts, a polars or pandas frame, a `datasets.Dataset`, any iterable of
mappings.

Values of numpy become Python's, which mean the same: a frame made of Parquet has arrays of
messages. pandas' own null becomes None.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from tacos.errors import InputError
from tacos.formats.json_rows import name_json_type
from tacos.formats.rows import MAX_RAW, Item, MalformedRow

PLAIN = (str, int, float, bool, type(None))
PANDAS_NULLS = ("NAType", "NaTType")
"""Types of what pandas has for a missing text or time; pandas itself need not be installed."""


def iterate_data_rows(data: Any) -> Iterator[Item]:
    """Rows of Python data. Raises `InputError` for data that has no rows."""
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


def _check_iterable(data: Any) -> None:
    """Raise `InputError` for a mapping (a `DatasetDict`, say) and for what cannot be iterated."""
    if isinstance(data, Mapping):
        keys = ", ".join(map(str, list(data)[:5]))
        raise InputError(
            f"data is a mapping ({keys}), not rows: give one split of it, or a list of dicts"
        )
    if not isinstance(data, Iterable):
        raise InputError(
            f"data is {type(data).__name__}: "
            "give a path, a list of dicts, a polars frame or a datasets.Dataset"
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
