"""The door out: rows in the format that the suffix names, and the scores beside them.

Every file is written under a temporary name and renamed (`tacos.store.files`), so a target is old,
absent or complete. Rows keep their own fields, in their order; rows given as JSON text are written
as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tacos.errors import OutputError
from tacos.formats.delimited import encode_delimited
from tacos.formats.detection import COMPRESSED, SUFFIXES, infer_kind
from tacos.formats.json import encode_json_array
from tacos.formats.json_rows import decode_row, encode_json_value
from tacos.formats.jsonl import encode_json_lines
from tacos.formats.original_types import TypedTable
from tacos.formats.parquet import encode_parquet, encode_table, encode_typed_table
from tacos.formats.rows import RawRow
from tacos.store.files import check_writable, replace_file, write_bytes

PREFIX = "tacos_"
"""Of the score columns that are added to rows."""


def check_rows_writable(path: str | Path) -> None:
    """Raise `OutputError` unless the suffix names a format and the file can be written."""
    if not infer_kind(str(path)):
        raise OutputError(
            f"{path}: unknown output format; "
            f"use one of {', '.join(SUFFIXES)}, also with {', '.join(COMPRESSED)}"
        )
    check_writable(path)


def write_rows(rows: Iterable[RawRow], path: str | Path) -> Path:
    """Write rows (JSON text or mappings); the suffix decides the format (`detection.SUFFIXES`).

    Raises `OutputError`; the target is then as it was.
    """
    check_rows_writable(path)
    kind = infer_kind(str(path))
    if kind == "parquet":
        return write_bytes(encode_parquet(rows), path)
    if kind == "lines":
        parts = encode_json_lines(rows)
    elif kind == "json":
        parts = encode_json_array(rows)
    else:
        delimiter = "\t" if kind == "tsv" else ","
        parts = encode_delimited(rows, delimiter)
    target = Path(path)
    with replace_file(target) as file:
        for part in parts:
            file.write(part)
    return target


def write_typed_rows(typed: TypedTable, path: str | Path) -> Path:
    """Write rows as Parquet with the types of their input. Raises `OutputError`."""
    check_rows_writable(path)
    return write_bytes(encode_typed_table(typed.table, typed.metadata), path)


def is_parquet_path(path: str | Path) -> bool:
    """Whether the suffix names Parquet."""
    return infer_kind(str(path)) == "parquet"


def add_typed_score_columns(typed: TypedTable, scores: pl.DataFrame) -> TypedTable:
    """`add_score_columns` for rows with types; what the files said of their columns would be wrong
    of more of them.
    """
    renamed = scores.rename(lambda name: f"{PREFIX}{name}")
    return TypedTable(typed.table.with_columns(renamed.get_columns()), None)


def sidecar_path(output: str | Path) -> Path:
    """`<output>.scores.jsonl`, or `.parquet` beside Parquet.

    >>> sidecar_path("out/chosen.json").as_posix(), sidecar_path("chosen.parquet").as_posix()
    ('out/chosen.json.scores.jsonl', 'chosen.parquet.scores.parquet')
    """
    target = Path(output)
    is_parquet = infer_kind(target.name) == "parquet"
    suffix = ".parquet" if is_parquet else ".jsonl"
    return target.with_name(f"{target.name}.scores{suffix}")


def write_sidecar(scores: pl.DataFrame, output: str | Path) -> Path:
    """Write the scores beside the output: one line per selected row, in the output's order."""
    path = sidecar_path(output)
    if path.suffix == ".parquet":
        # A table has its types already: nothing is inferred anew.
        return write_bytes(encode_table(scores), path)
    return write_rows(scores.iter_rows(named=True), path)


def add_score_columns(
    rows: Iterable[RawRow],
    scores: pl.DataFrame,
) -> Iterator[RawRow]:
    """Rows with the scores' columns added as `tacos_<column>` (replaced where they exist); `scores`
    has the rows in the same order.
    """
    for row, score_row in zip(rows, scores.iter_rows(named=True), strict=True):
        score_columns = {f"{PREFIX}{name}": value for name, value in score_row.items()}
        yield _add_columns(row, score_columns)


def _add_columns(row: RawRow, columns: dict[str, Any]) -> RawRow:
    """A row with more columns; JSON text keeps all that it says."""
    if isinstance(row, Mapping):
        return {**row, **columns}
    text = row if isinstance(row, str) else row.decode()
    has_columns = f'"{PREFIX}' in text
    if has_columns or text == "{}":
        return {**decode_row(text), **columns}
    added = encode_json_value(columns).decode()
    return f"{text.removesuffix('}')},{added.removeprefix('{')}"
