"""The door out: rows in the format that the suffix names, and the scores beside them.

Every file is written under a temporary name and renamed (`tacos.store.files`), so a target is old,
absent or complete. Rows keep their own fields, in their order; rows given as JSON text are written
as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tacos.errors import OutputError
from tacos.formats.delimited import encode_delimited
from tacos.formats.detection import COMPRESSED, SUFFIXES, infer_kind
from tacos.formats.json import encode_json_array
from tacos.formats.json_rows import decode_row, encode_json_value
from tacos.formats.jsonl import encode_json_lines
from tacos.formats.rows import RawRow
from tacos.store.files import (
    check_is_here,
    check_writable,
    name_beside,
    replace_file,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from tacos.formats.original_types import TypedRows

PREFIX = "tacos_"
"""Of the score columns that are added to rows."""


def check_rows_writable(path: str | Path) -> None:
    """Raise `OutputError` unless the suffix names a format and the file can be written."""
    check_is_here(Path(path))
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
    if kind == "parquet" or kind == "arrow":
        # Most outputs need no pyarrow, which takes long to import.
        from tacos.formats.parquet import build_arrow_table

        table = build_arrow_table(rows)
        return _write_tables([table], table.schema, path)
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


def write_typed_rows(typed: TypedRows, path: str | Path) -> Path:
    """Write rows as Parquet or Arrow with the types of their input. Raises `OutputError`."""
    check_rows_writable(path)
    return _write_tables(typed.iterate_tables(), typed.schema, path)


def _write_tables(
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    path: str | Path,
) -> Path:
    """Write tables as the suffix says. Raises `OutputError`."""
    import pyarrow as pa

    from tacos.formats.arrow import write_arrow_file
    from tacos.formats.parquet import write_parquet_file

    is_parquet = infer_kind(str(path)) == "parquet"
    write = write_parquet_file if is_parquet else write_arrow_file
    target = Path(path)
    try:
        with replace_file(target) as file:
            write(tables, schema, file)
    except pa.ArrowException as error:
        reason = str(error).strip().splitlines()[0]
        raise OutputError(
            f"{target} cannot hold these rows: {reason}; write .jsonl instead"
        ) from None
    return target


def has_types(path: str | Path) -> bool:
    """Whether the suffix names a format whose columns have types: Parquet or Arrow.

    >>> has_types("a.parquet"), has_types("b.feather"), has_types("c.csv")
    (True, True, False)
    """
    return infer_kind(str(path)) in ("parquet", "arrow")


def add_typed_score_columns(typed: TypedRows, scores: pl.DataFrame) -> TypedRows:
    """`add_score_columns` for rows with types."""
    return typed.add_columns(scores.rename(lambda name: f"{PREFIX}{name}"))


def sidecar_path(output: str | Path) -> Path:
    """`<output>.scores.jsonl`, or `.parquet` beside Parquet, `.arrow` beside Arrow.

    >>> sidecar_path("out/chosen.json").as_posix(), sidecar_path("chosen.parquet").as_posix()
    ('out/chosen.json.scores.jsonl', 'chosen.parquet.scores.parquet')
    """
    target = Path(output)
    kind = infer_kind(target.name) if has_types(target) else "jsonl"
    return name_beside(target, f".scores.{kind}")


def write_sidecar(scores: pl.DataFrame, output: str | Path) -> Path:
    """Write the scores beside the output: one line per selected row, in the output's order."""
    path = sidecar_path(output)
    if has_types(path):
        # A table has its types already: nothing is inferred anew.
        table = scores.to_arrow(compat_level=pl.CompatLevel.oldest())
        return _write_tables([table], table.schema, path)
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
