"""Outputs of a run: rows in the container that the suffix names, the sidecar of scores, the report.

Everything is written to a temporary file beside its target and renamed, so that a target is old, absent or complete.
Rows keep their own fields, in their order; rows as JSON text are written as they are. CSV cells hold texts as they are,
nothing for null, JSON for the rest. Parquet infers its types anew: a column that mixes texts and numbers is refused.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import polars as pl
import zstandard

from tacos.errors import OutputError
from tacos.storage.containers import SUFFIXES, kind_of

RawRow = bytes | str | Mapping[str, Any]
PREFIX = "tacos_"


def check_writable(path: str | Path) -> None:
    """Raise `OutputError` in one line where a file cannot be written; nothing is left behind."""
    target = Path(path)
    with failing_clearly(target):
        if target.is_dir():
            raise OutputError(f"{target} is a folder: name a file in it")
        if not target.parent.is_dir():
            raise OutputError(f"{target} cannot be written: there is no folder {target.parent}; make it first")
        if is_special(target):
            return
        probe = temporary_of(target)
        probe.touch()
        probe.unlink()


def check_rows_writable(path: str | Path) -> None:
    """`check_writable`, and the suffix must name a container of rows."""
    if not kind_of(str(path)):
        known = ", ".join(SUFFIXES)
        raise OutputError(f"{path}: its suffix names no container; use one of {known}, also with .gz or .zst")
    check_writable(path)


def write_rows(rows: Iterable[RawRow], path: str | Path) -> Path:
    """Write rows (JSON text or dicts); the suffix decides the container (see `tacos.storage.containers.SUFFIXES`).

    Raises `OutputError` in one line; the target is then as it was.
    """
    check_rows_writable(path)
    kind = kind_of(str(path))
    if kind == "parquet":
        return write_table(table_of(rows), Path(path))
    if kind == "lines":
        parts: Iterator[bytes] = (json_text(row) + b"\n" for row in rows)
    else:
        parts = array_parts(rows) if kind == "json" else delimited_parts(rows, "\t" if kind == "tsv" else ",")
    with replacing(Path(path)) as file:
        for part in parts:
            file.write(part)
    return Path(path)


def json_text(row: RawRow) -> bytes:
    """A row as one line of JSON."""
    if isinstance(row, str):
        return row.encode()
    return row if isinstance(row, bytes) else orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS)


def array_parts(rows: Iterable[RawRow]) -> Iterator[bytes]:
    """A JSON array with one row per line."""
    before = b"[\n"
    for row in rows:
        yield before
        yield json_text(row)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def delimited_parts(rows: Iterable[RawRow], delimiter: str) -> Iterator[bytes]:
    """A header with every field of any row, in order of appearance, and a line per row (RFC 4180)."""
    known = dicts_of(rows)
    columns = list(dict.fromkeys(key for row in known for key in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    for cells in ([columns], ([cell(row.get(column)) for column in columns] for row in known)):
        for values in cells:
            writer.writerow(values)
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()


def cell(value: Any) -> str:
    """A value as a cell of CSV.

    >>> cell("a"), cell(None), cell(True), cell(["a"])
    ('a', '', 'true', '["a"]')
    """
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def dicts_of(rows: Iterable[RawRow]) -> list[Mapping[str, Any]]:
    """Rows as dicts."""
    return [row if isinstance(row, Mapping) else orjson.loads(row) for row in rows]


def table_of(rows: Iterable[RawRow]) -> pl.DataFrame:
    """Rows as a table whose types hold every value; `OutputError` where there are no such types."""
    known = dicts_of(rows)
    columns = list(dict.fromkeys(key for row in known for key in row))
    return pl.DataFrame([column_of(name, [row.get(name) for row in known]) for name in columns])


def column_of(name: str, values: list[Any]) -> pl.Series:
    """One column; `OutputError` for values of several types."""
    try:
        series = pl.Series(name, values, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        kinds = " and ".join(sorted({type(value).__name__ for value in values if value is not None}))
        hint = "write .jsonl instead"
        raise OutputError(f"Parquet cannot hold the column {name!r} with its values of {kinds}: {hint}") from None
    return series.cast(pl.String) if series.dtype == pl.Null else series


def write_table(table: pl.DataFrame, path: Path) -> Path:
    """Write a Parquet file."""
    with replacing(path) as file:
        buffer = io.BytesIO()
        table.write_parquet(buffer, compression="zstd")
        file.write(buffer.getbuffer())
    return path


def write_text(text: str, path: str | Path) -> Path:
    """Write a text file in UTF-8."""
    with replacing(Path(path)) as file:
        file.write(text.encode())
    return Path(path)


def write_bytes(content: bytes, path: str | Path) -> Path:
    """Write a file as it is."""
    with replacing(Path(path)) as file:
        file.write(content)
    return Path(path)


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents, if they are not there; `OutputError` in one line where that cannot be."""
    with failing_clearly(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def sidecar_path(output: str | Path) -> Path:
    """`<output>.scores.jsonl`, or `.parquet` beside Parquet.

    >>> sidecar_path("out/chosen.json").as_posix(), sidecar_path("chosen.parquet").as_posix()
    ('out/chosen.json.scores.jsonl', 'chosen.parquet.scores.parquet')
    """
    target = Path(output)
    return target.with_name(f"{target.name}.scores{'.parquet' if kind_of(target.name) == 'parquet' else '.jsonl'}")


def write_sidecar(scores: pl.DataFrame, output: str | Path) -> Path:
    """Write one line per selected row, in the order of the output, beside it."""
    path = sidecar_path(output)
    return write_table(scores, path) if path.suffix == ".parquet" else write_rows(scores.iter_rows(named=True), path)


def with_columns(rows: Iterable[RawRow], scores: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows with the scores' columns added as `tacos_<column>` (replaced where they exist); both in the same order."""
    for row, extra in zip(dicts_of(rows), scores.iter_rows(named=True), strict=True):
        yield {**row, **{f"{PREFIX}{name}": value for name, value in extra.items()}}


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the target's place when all went well; compressed by the suffix."""
    with failing_clearly(target):
        if is_special(target):
            with target.open("wb") as file, compressed(file, target.name) as writer:
                yield writer
            return
        temporary = temporary_of(target)
        try:
            with temporary.open("wb") as file:
                with compressed(file, target.name) as writer:
                    yield writer
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target.resolve())
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def failing_clearly(target: Path) -> Iterator[None]:
    """Failures of the file system as `OutputError` in one line."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}") from None


def is_special(target: Path) -> bool:
    """Whether the target is a pipe or a device, which cannot be replaced."""
    return target.exists() and not target.is_file() and not target.is_dir()


def temporary_of(target: Path) -> Path:
    """The name under which a file is written at first: beside the file that it will replace."""
    final = target.resolve()
    return final.with_name(f".{final.name}.{os.getpid()}.tmp")


@contextmanager
def compressed(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The file, or a compressor before it; equal contents give equal bytes (no time stamp)."""
    suffix = Path(name.lower()).suffix
    if suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            yield cast(BinaryIO, packed)
    elif suffix in (".zst", ".zstd"):
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as writer:
            yield cast(BinaryIO, writer)
    else:
        yield file
