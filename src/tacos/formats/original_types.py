"""Rows with the types of their input: a selection of Parquet or Arrow rows is written with the
cells that were read, and not with what JSON leaves of them.

Rows pass the pipeline as JSON, which knows no dates, decimals, bytes or 32-bit floats. So ingest
keeps their tables beside the samples, as they were read (`records.OriginalRows`); here rows are
taken out of them, one part after another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.types as pt

from tacos.errors import OutputError
from tacos.formats.arrow_rows import TEXTS, convert_table, is_list
from tacos.formats.json_rows import decode_rows
from tacos.formats.parquet import build_arrow_table
from tacos.formats.rows import RawRow
from tacos.store.joined_files import OriginalPart
from tacos.store.original_rows import (
    OriginalHead,
    read_original_head,
    read_original_table,
)

NO_PART = -1
"""The number of the part of rows that came without types."""


@dataclass(frozen=True)
class RowPiece:
    """Rows that follow one another in an output and come from one part (None: have no types)."""

    part: OriginalPart | None
    numbers: npt.NDArray[np.int64]
    """Of the rows, within the part."""
    raw: pl.Series
    """The rows as JSON, where they have no types."""


@dataclass(frozen=True)
class TypedRows:
    """Rows with the types of their input, which are read while they are written."""

    schema: pa.Schema
    pieces: Sequence[RowPiece]
    added: pa.Table | None = None
    """Columns beside the rows' own, or in their place."""

    def add_columns(self, columns: pl.DataFrame) -> TypedRows:
        """The rows with more columns. What the files said of theirs would be wrong of these, so
        their metadata goes.
        """
        added = columns.to_arrow(compat_level=pl.CompatLevel.oldest())
        empty = self.schema.empty_table().replace_schema_metadata()
        schema = _set_columns(empty, added.slice(0, 0)).schema
        return replace(self, schema=schema, added=added)

    def replace_columns(
        self, names: Collection[str], rows: Iterable[RawRow]
    ) -> TypedRows:
        """The rows with other cells in some columns: those of `rows`, in the types of the input."""
        records = decode_rows(rows)
        fields = [self.schema.field(name) for name in names]
        columns = []
        for field in fields:
            values: list[Any] = [record.get(field.name) for record in records]
            columns.append(pa.array(values, field.type))
        return replace(self, added=pa.table(columns, schema=pa.schema(fields)))

    def iterate_tables(self) -> Iterator[pa.Table]:
        """The rows in their order, by `schema`."""
        n_rows = 0
        for piece in self.pieces:
            table = _read_piece(piece)
            if self.added is not None:
                table = _set_columns(table, self.added.slice(n_rows, table.num_rows))
            n_rows += table.num_rows
            if table.schema.equals(self.schema, check_metadata=True):
                yield table
            else:
                yield _conform_table(table, self.schema)

    def read_frame(self) -> pl.DataFrame:
        """All rows as a polars frame."""
        return convert_table(pa.concat_tables(self.iterate_tables()))


def restore_types(
    rows: pl.LazyFrame,
    parts: Sequence[OriginalPart],
) -> TypedRows | None:
    """The rows (`id`, and `raw` as JSON) in their order, with the types of their input.

    `parts` are the original rows that ingest kept; None if no row is among them. Of `raw`, only
    that of rows without types is read. Raises `OutputError` where the inputs have columns of one
    name whose types do not go together.
    """
    heads = [read_original_head(part) for part in parts]
    places = _locate_rows(rows.select("id").collect()["id"], heads)
    is_untyped = places.part == NO_PART
    if is_untyped.all():
        return None
    raw = pl.Series("raw", [], pl.String)
    if is_untyped.any():
        raw = rows.select("raw").collect()["raw"].filter(pl.Series(is_untyped))
    pieces = _cut_pieces(raw, places, parts)
    schemas = [heads[number].schema for number in np.unique(places.part) if number >= 0]
    schemas += [_read_piece(piece).schema for piece in pieces if piece.part is None]
    return TypedRows(_join_schemas(schemas), pieces)


def holds_texts(type_: pa.DataType) -> bool:
    """Whether a column has texts alone, as conversations do: JSON holds them exactly.

    >>> holds_texts(pa.list_(pa.struct({"from": pa.string(), "value": pa.string()})))
    True
    >>> holds_texts(pa.struct({"text": pa.string(), "weight": pa.float32()}))
    False
    """
    if is_list(type_):
        return holds_texts(type_.value_type)
    if pt.is_struct(type_):
        return bool(type_.num_fields) and all(
            holds_texts(field.type) for field in type_
        )
    return any(is_type(type_) for is_type in TEXTS)


@dataclass(frozen=True)
class _Places:
    """Where rows stand: the number of their part, and their number within it."""

    part: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]


def _locate_rows(ids: pl.Series, heads: Sequence[OriginalHead]) -> _Places:
    """The places of rows among the parts."""
    ends = ids.str.extract_groups(r"(?s)^(?<file>.*):(?<number>\d+)$").struct
    file = ends.field("file")
    number = ends.field("number").cast(pl.Int64)
    part = np.full(len(ids), NO_PART, np.int64)
    within = np.zeros(len(ids), np.int64)
    for each, head in enumerate(heads):
        last = head.first_row + head.n_rows - 1
        is_here = (file == head.file) & number.is_between(head.first_row, last)
        here = is_here.fill_null(value=False).to_numpy()
        part[here] = each
        within[here] = number.filter(pl.Series(here)).to_numpy() - head.first_row
    return _Places(part, within)


def _cut_pieces(
    raw: pl.Series,
    places: _Places,
    parts: Sequence[OriginalPart],
) -> list[RowPiece]:
    """The rows cut where the part changes; `raw` is that of the rows without types."""
    changes = np.flatnonzero(np.diff(places.part)) + 1
    bounds = [0, *changes.tolist(), len(places.part)]
    pieces = []
    n_untyped = 0
    for first, end in pairwise(bounds):
        part = places.part[first]
        numbers = places.number[first:end]
        if part == NO_PART:
            piece = RowPiece(None, numbers, raw.slice(n_untyped, end - first))
            n_untyped += end - first
        else:
            piece = RowPiece(parts[part], numbers, raw.clear())
        pieces.append(piece)
    return pieces


def _read_piece(piece: RowPiece) -> pa.Table:
    """The rows of a piece, with the types of their part."""
    if piece.part is None:
        return build_arrow_table(piece.raw)
    return _take_rows(read_original_table(piece.part), piece.numbers)


def _take_rows(table: pa.Table, numbers: npt.NDArray[np.int64]) -> pa.Table:
    """The rows of a table, which the result does not hold on to. (`Table.take` lacks types.)"""
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    runs = [
        table.slice(run[0], len(run)) for run in np.split(numbers, breaks) if len(run)
    ]
    return pa.concat_tables(runs).combine_chunks()


def _set_columns(table: pa.Table, columns: pa.Table) -> pa.Table:
    """The table with more columns, those of the same name in their place."""
    for field, column in zip(columns.schema, columns.columns, strict=True):
        place = table.schema.get_field_index(field.name)
        if place < 0:
            table = table.append_column(field, column)
        else:
            table = table.set_column(place, field, column)
    return table


def _join_schemas(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema whose columns hold those of all others. What the files say of themselves is kept
    where they agree.
    """
    first = schemas[0]
    if all(schema.equals(first, check_metadata=True) for schema in schemas):
        return first
    # A column that one of them lacks is null there.
    nullable = [
        pa.schema([field.with_nullable(True) for field in schema]) for schema in schemas
    ]
    try:
        return pa.unify_schemas(nullable, promote_options="permissive")
    except pa.ArrowException as error:
        raise _explain_clash(error) from None


def _conform_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table by a schema that holds its columns."""
    try:
        return pa.concat_tables(
            [schema.empty_table(), table.replace_schema_metadata()],
            promote_options="permissive",
        )
    except pa.ArrowException as error:
        raise _explain_clash(error) from None


def _explain_clash(error: Exception) -> OutputError:
    reason = str(error).strip().splitlines()[0]
    return OutputError(
        f"the inputs' columns have types that do not go together ({reason}): "
        "write .jsonl instead"
    )
