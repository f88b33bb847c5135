"""Outputs of a run: rows in the container that the suffix names, the sidecar of scores, the report.

Everything is written to a temporary file beside its target and renamed, so that a target is old,
absent or complete. Rows keep their own fields, in their order; rows as JSON text are written as
they are. CSV cells hold texts as they are, nothing for null, JSON for the rest. Parquet infers its
types anew: a column that mixes texts and numbers is refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tacos.errors import OutputError
from tacos.formats.detection import SUFFIXES, infer_kind
from tacos.store.files import check_writable, replacing

RawRow = bytes | str | Mapping[str, Any]
PREFIX = "tacos_"


def check_rows_writable(path: str | Path) -> None:
    """`check_writable`, and the suffix must name a container of rows."""
    if not infer_kind(str(path)):
        known = ", ".join(SUFFIXES)
        raise OutputError(
            f"{path}: its suffix names no container; use one of {known}, also with .gz or .zst"
        )
    check_writable(path)


def write_rows(rows: Iterable[RawRow], path: str | Path) -> Path:
    """Write rows (JSON text or dicts); the suffix decides the container (see
    `tacos.formats.detection.SUFFIXES`).

    Raises `OutputError` in one line; the target is then as it was.
    """
    check_rows_writable(path)
    kind = infer_kind(str(path))
    if kind == "parquet":
        return _write_parquet_file(_convert_to_table(rows), Path(path))
    if kind == "lines":
        parts: Iterator[bytes] = (_encode_json_row(row) + b"\n" for row in rows)
    else:
        parts = (
            _encode_array(rows)
            if kind == "json"
            else _encode_delimited(rows, "\t" if kind == "tsv" else ",")
        )
    with replacing(Path(path)) as file:
        for part in parts:
            file.write(part)
    return Path(path)


def _encode_json_row(row: RawRow) -> bytes:
    """A row as one line of JSON."""
    if isinstance(row, str):
        return row.encode()
    return (
        row
        if isinstance(row, bytes)
        else orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS)
    )


def _encode_array(rows: Iterable[RawRow]) -> Iterator[bytes]:
    """A JSON array with one row per line."""
    before = b"[\n"
    for row in rows:
        yield before
        yield _encode_json_row(row)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def _encode_delimited(rows: Iterable[RawRow], delimiter: str) -> Iterator[bytes]:
    """A header with every field of any row, in order of appearance, and a line per row (RFC 4180)."""
    known = _convert_to_dicts(rows)
    columns = list(dict.fromkeys(key for row in known for key in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    for cells in (
        [columns],
        ([_encode_cell(row.get(column)) for column in columns] for row in known),
    ):
        for values in cells:
            writer.writerow(values)
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()


def _encode_cell(value: Any) -> str:
    """A value as a cell of CSV.

    >>> _encode_cell("a"), _encode_cell(None), _encode_cell(True), _encode_cell(["a"])
    ('a', '', 'true', '["a"]')
    """
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _convert_to_dicts(rows: Iterable[RawRow]) -> list[Mapping[str, Any]]:
    """Rows as dicts."""
    return [row if isinstance(row, Mapping) else orjson.loads(row) for row in rows]


def _convert_to_table(rows: Iterable[RawRow]) -> pl.DataFrame:
    """Rows as a table whose types hold every value; `OutputError` where there are no such types."""
    known = _convert_to_dicts(rows)
    columns = list(dict.fromkeys(key for row in known for key in row))
    return pl.DataFrame([_build_column(name, [row.get(name) for row in known]) for name in columns])


def _build_column(name: str, values: list[Any]) -> pl.Series:
    """One column; `OutputError` for values of several types."""
    try:
        series = pl.Series(name, values, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        kinds = " and ".join(
            sorted({type(value).__name__ for value in values if value is not None})
        )
        hint = "write .jsonl instead"
        raise OutputError(
            f"Parquet cannot hold the column {name!r} with its values of {kinds}: {hint}"
        ) from None
    return series.cast(pl.String) if series.dtype == pl.Null else series


def _write_parquet_file(table: pl.DataFrame, path: Path) -> Path:
    """Write a Parquet file."""
    with replacing(path) as file:
        buffer = io.BytesIO()
        table.write_parquet(buffer, compression="zstd")
        file.write(buffer.getbuffer())
    return path


def sidecar_path(output: str | Path) -> Path:
    """`<output>.scores.jsonl`, or `.parquet` beside Parquet.

    >>> sidecar_path("out/chosen.json").as_posix(), sidecar_path("chosen.parquet").as_posix()
    ('out/chosen.json.scores.jsonl', 'chosen.parquet.scores.parquet')
    """
    target = Path(output)
    return target.with_name(
        f"{target.name}.scores{'.parquet' if infer_kind(target.name) == 'parquet' else '.jsonl'}"
    )


def write_sidecar(scores: pl.DataFrame, output: str | Path) -> Path:
    """Write one line per selected row, in the order of the output, beside it."""
    path = sidecar_path(output)
    return (
        _write_parquet_file(scores, path)
        if path.suffix == ".parquet"
        else write_rows(scores.iter_rows(named=True), path)
    )


def add_score_columns(rows: Iterable[RawRow], scores: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows with the scores' columns added as `tacos_<column>` (replaced where they exist); both in
    the same order.
    """
    for row, extra in zip(_convert_to_dicts(rows), scores.iter_rows(named=True), strict=True):
        yield {**row, **{f"{PREFIX}{name}": value for name, value in extra.items()}}
