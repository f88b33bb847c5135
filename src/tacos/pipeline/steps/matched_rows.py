"""Tables of many rows by their ids: sorted, matched and counted with little memory beside them.

An id takes some 50 bytes, and a join or a sort of polars takes each row of both tables once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
N_SEEDS = 4
"""Hashes that are tried until no two rows have the same one: the second is hardly ever needed."""
N_AT_ONCE = 500_000
"""Rows that are looked for together."""


class RowFinder:
    """Finds rows by hashes of their ids: 12 bytes a row, where a join takes some 60.

    Among 10 million rows, an id that none of them has is taken for one in 1 of a billion cases.
    """

    def __init__(self, read_ids: Callable[[], Iterable[pl.Series]]) -> None:
        """`read_ids` gives the ids of all rows, batch by batch. Raises `ValueError` where one comes
        twice.
        """
        for seed in range(N_SEEDS):
            self._seed = seed
            parts = [_hash_ids(ids, seed) for ids in read_ids()]
            hashes = np.concatenate([np.zeros(0, np.uint64), *parts])
            del parts
            order = np.argsort(hashes)
            self._rows = order.astype(np.uint32)
            self._hashes = hashes[order]
            if not (self._hashes[1:] == self._hashes[:-1]).any():
                return
        raise ValueError("an id comes twice")

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def find(self, ids: pl.Series) -> Ints:
        """The row of each id, shape (ids,); -1 where there is none."""
        rows = np.full(len(ids), -1, np.int64)
        if not len(self._hashes):
            return rows
        for first in range(0, len(ids), N_AT_ONCE):
            wanted = _hash_ids(ids.slice(first, N_AT_ONCE), self._seed)
            places = np.searchsorted(self._hashes, wanted)
            places = np.minimum(places, len(self._hashes) - 1)
            is_here = self._hashes[places] == wanted
            found = np.where(is_here, self._rows[places].astype(np.int64), -1)
            rows[first : first + N_AT_ONCE] = found
        return rows


def _hash_ids(ids: pl.Series, seed: int) -> npt.NDArray[np.uint64]:
    """A hash of each id, shape (ids,)."""
    return ids.hash(seed).to_numpy()


def sort_by_id(table: pl.DataFrame) -> pl.DataFrame:
    """The table sorted by `id`, column by column: in one go, it would be there twice."""
    if table["id"].is_sorted():
        return table
    order = sort_places(table["id"])
    columns = table.get_columns()
    del table
    return order_columns(columns, order)


def sort_places(ids: pl.Series) -> npt.NDArray[np.uint32]:
    """The places of ids in order, shape (ids,)."""
    if ids.dtype.is_integer():
        # Half of what polars takes, which sorts pairs of an id and its place.
        return np.argsort(ids.to_numpy(), kind="stable").astype(np.uint32)
    return ids.arg_sort().to_numpy()


def order_columns(columns: list[pl.Series], order: npt.NDArray[Any]) -> pl.DataFrame:
    """The rows of a table at the places `order`; its `columns` are taken from the list one by one.

    Whoever needs the memory holds no other reference to them.
    """
    columns.reverse()
    ordered = []
    while columns:
        column = columns.pop().rechunk()
        # Lists that are taken all at once need the places of all their items beside them.
        parts = [
            column.gather(order[first : first + N_AT_ONCE])
            for first in range(0, max(len(order), 1), N_AT_ONCE)
        ]
        del column
        ordered.append(pl.concat(parts, rechunk=True))
    return pl.DataFrame(ordered)


def match_rows(ids: pl.Series, table: pl.DataFrame) -> pl.DataFrame:
    """The columns of a table beside its `id`, in the order of `ids` (null: not in it); the table
    has at most one row of each.
    """
    if table["id"].equals(ids):
        # The usual case, without a hash of each row
        return table.drop("id")
    joined = ids.to_frame("id").join(table, on="id", how="left", maintain_order="left")
    return joined.drop("id")


def place_rows(batches: Iterable[pl.DataFrame], n_rows: int) -> pl.DataFrame | None:
    """The columns of batches, each row at the place that its `row` says, column `row` left out;
    None unless each of `n_rows` places is taken once.

    There is at least one batch; all columns are numbers. A sort would take each row twice more.
    """
    values: dict[str, npt.NDArray[Any]] = {}
    is_null: dict[str, npt.NDArray[np.bool_]] = {}
    types: dict[str, pl.DataType] = {}
    is_taken = np.zeros(n_rows, np.bool_)
    n_read = 0
    for batch in batches:
        rows = batch["row"].to_numpy()
        is_taken[rows] = True
        n_read += batch.height
        for column in batch.drop("row").iter_columns():
            name = column.name
            if name not in values:
                types[name] = column.dtype
                values[name] = np.zeros(n_rows, column.fill_null(0).to_numpy().dtype)
            values[name][rows] = column.fill_null(0).to_numpy()
            if column.null_count():
                flags = is_null.setdefault(name, np.zeros(n_rows, np.bool_))
                flags[rows] = column.is_null().to_numpy()
    if n_read != n_rows or not is_taken.all():
        return None
    placed = []
    for name, dtype in types.items():
        column = pl.Series(name, values.pop(name), dtype)
        if name in is_null:
            column = column.set(pl.Series(is_null.pop(name)), None)
        placed.append(column)
    return pl.DataFrame(placed)


def count_distinct_ids(batches: Iterable[pl.DataFrame]) -> int:
    """How many different ids a table has, by their hashes of 64 bits, which take less memory: among
    10 million ids, two have the same one in 3 of a million cases.
    """
    parts = [np.zeros(0, np.uint64)]
    parts += [_hash_ids(batch["id"].unique(), seed=0) for batch in batches]
    hashes = np.concatenate(parts)
    del parts
    hashes.sort()
    return min(len(hashes), 1) + int((hashes[1:] != hashes[:-1]).sum())


def has_distinct_ids(table: pl.DataFrame) -> bool:
    """Whether no id can come twice: neighbours differ, or all hashes, which take less memory."""
    ids = table["id"]
    if ids.is_sorted():
        return not (ids.head(-1) == ids.tail(-1)).any()
    return bool(ids.hash().n_unique() == table.height)
