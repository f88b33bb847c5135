"""The types of rows that came from a file with types: a selection of Parquet rows is written with
those of the input, and not with what JSON leaves of them.

Rows pass the pipeline as JSON, which knows no dates, decimals, bytes or 32-bit floats. So ingest
keeps their columns beside the samples, as they were read (`records.OriginalRows`), but for columns
of texts, which JSON holds exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tacos.errors import OutputError
from tacos.formats.json_rows import decode_rows
from tacos.formats.parquet import build_table
from tacos.records import OriginalRows
from tacos.store.artifacts import read_original_head
from tacos.store.tables import read_table


@dataclass(frozen=True)
class TypedTable:
    """Rows with the types of their input, and the metadata of its files (None: they differ)."""

    table: pl.DataFrame
    metadata: dict[str, str] | None


def keep_original(
    file: str,
    first_row: int,
    table: pl.DataFrame,
    metadata: dict[str, str],
) -> OriginalRows:
    """What JSON does not hold of a table's rows; texts are left out, their columns stay."""
    no_texts = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in table.schema.items()
        if holds_texts(dtype)
    ]
    return OriginalRows(
        file,
        first_row,
        table.with_columns(no_texts),
        metadata,
    )


def holds_texts(dtype: pl.DataType) -> bool:
    """Whether a column has texts alone, as conversations do: JSON holds them exactly.

    >>> holds_texts(pl.List(pl.Struct({"from": pl.String, "value": pl.String})))
    True
    >>> holds_texts(pl.Struct({"text": pl.String, "weight": pl.Float32}))
    False
    """
    if isinstance(dtype, pl.List):
        return holds_texts(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        types = [field.dtype for field in dtype.fields]
        return bool(types) and all(map(holds_texts, types))  # type: ignore[arg-type]
    return dtype == pl.String


def restore_types(rows: pl.DataFrame, files: Sequence[Path]) -> TypedTable | None:
    """The rows (`id`, and `raw` as JSON) in their order, with the types of their input.

    `files` are the original rows that ingest kept; None if no row is among them. Raises
    `OutputError` where the inputs have columns of one name whose types do not go together.
    """
    if not files:
        return None
    placed = rows.select("id", "raw").with_row_index("place")
    parts = []
    metadata: list[dict[str, str] | None] = []
    for original, chosen in _find_rows(placed, files):
        parts.append(_take_rows(original, chosen))
        metadata.append(original.metadata)
        placed = placed.join(chosen, on="place", how="anti")
    if not parts:
        return None
    if placed.height:
        # Rows of other files, which have no types.
        untyped = build_table(placed["raw"])
        parts.append(untyped.with_columns(placed["place"].alias(PLACE)))
        metadata.append(None)
    in_order = _stack_tables(parts).sort(PLACE).drop(PLACE)
    is_common = all(each == metadata[0] for each in metadata)
    return TypedTable(in_order, metadata[0] if is_common else None)


PLACE = "tacos: place in the output"
"""A column that no input has."""


def _find_rows(
    rows: pl.DataFrame, files: Sequence[Path]
) -> Iterator[tuple[OriginalRows, pl.DataFrame]]:
    """The parts that have any of the rows, with these: place, raw, and number within the part."""
    parts = rows["id"].str.extract_groups(r"(?s)^(?<file>.*):(?<number>\d+)$").struct
    located = rows.with_columns(
        parts.field("file"),
        parts.field("number").cast(pl.Int64),
    )
    for path in files:
        head = read_original_head(path)
        number = pl.col("number") - head.first_row
        here = (
            located.filter(pl.col("file") == head.file)
            .with_columns(number)
            .filter(pl.col("number").is_between(0, head.n_rows - 1))
        )
        if here.is_empty():
            continue
        original = OriginalRows(
            head.file,
            head.first_row,
            read_table(path),
            head.metadata,
        )
        yield original, here.select("place", "raw", "number")


def _take_rows(original: OriginalRows, chosen: pl.DataFrame) -> pl.DataFrame:
    """The chosen rows of a part, with their texts back in place, and their places."""
    table = original.table[chosen["number"].to_list()]
    records = decode_rows(chosen["raw"])
    texts = []
    for name, dtype in table.schema.items():
        if holds_texts(dtype):
            values: list[Any] = [record.get(name) for record in records]
            texts.append(pl.Series(name, values, dtype))
    places = chosen["place"].alias(PLACE)
    return table.with_columns(*texts, places)


def _stack_tables(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Tables under one another, a column of several types in one that holds them all."""
    schema = tables[0].schema
    if all(table.schema == schema for table in tables):
        return pl.concat(tables)
    try:
        return pl.concat(tables, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise OutputError(
            f"the inputs' columns have types that do not go together ({reason}): "
            "write .jsonl instead"
        ) from None
