"""Rows of CSV, TSV and Parquet, in bounded memory.

A CSV has a header; its values stay texts. A row with another number of fields than the header is
rejected, with its line.
"""

from __future__ import annotations

import codecs
import csv
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from tacos.errors import InputError

MAX_FIELD = 1 << 26
DELIMITERS = ",;\t|"


class TableRow(NamedTuple):
    """One row of a table: its line (from 1; 0 where there are no lines), its values or why there
    are none.
    """

    line: int
    row: dict[str, Any]
    problem: str = ""
    text: str = ""


def _decode_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends; bytes that are not UTF-8 become lone surrogates."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (line + "\n" for line in whole)
    if rest := rest + decoder.decode(b"", final=True):
        yield rest


def read_delimited(
    chunks: Iterable[bytes], name: str, container: Literal["csv", "tsv"]
) -> Iterator[TableRow]:
    """Rows of a delimited file with a header.

    Raises `InputError` for a quotation mark that is never closed: it would swallow every row after
    it.
    """
    csv.field_size_limit(MAX_FIELD)
    lines = _decode_lines(chunks)
    first = next(lines, "")
    delimiter = "\t" if container == "tsv" else max(DELIMITERS, key=first.count)
    reader = csv.reader(_prepend_line(first, lines), delimiter=delimiter, strict=True)
    header = _check_header(_read_next_values(reader, name), name)
    while True:
        line = reader.line_num + 1
        values = _read_next_values(reader, name)
        if values is None:
            return
        if isinstance(values, str):
            yield TableRow(line, {}, f"malformed CSV: {values}")
        elif values:
            yield _build_delimited_row(header, values, line)


def _read_next_values(reader: Iterator[list[str]], name: str) -> list[str] | str | None:
    """The next row's values, what is wrong with it, or None at the end."""
    line = reader.line_num + 1  # type: ignore[attr-defined]
    try:
        return next(reader, None)
    except csv.Error as error:
        problem = str(error)
    if "field larger" in problem or "unexpected end" in problem:
        raise InputError(f"{name}: a quotation mark in the row at line {line} is never closed")
    if "new-line character" in problem:
        raise InputError(
            f"{name}: line {line} has a carriage return without a line feed: convert the line ends first"
        )
    return problem


def _prepend_line(first: str, rest: Iterator[str]) -> Iterator[str]:
    """`first`, then the rest."""
    yield first
    yield from rest


def _check_header(header: list[str] | str | None, name: str) -> list[str]:
    """The header, when it can name columns."""
    if not isinstance(header, list):
        raise InputError(f"{name}: its header is malformed: {header}")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise InputError(f"{name}: its header names the column {twice[0]!r} twice")
    return header


def _build_delimited_row(header: list[str], values: list[str], line: int) -> TableRow:
    """One row, or what is wrong with it."""
    if len(values) != len(header):
        problem = f"{len(values)} fields where the header has {len(header)}"
        return TableRow(line, {}, problem, ",".join(values))
    row = dict(zip(header, values, strict=True))
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return TableRow(line, {}, "not UTF-8", ",".join(values).encode("utf-8", "replace").decode())
    return TableRow(line, row)


def read_parquet(source: Path, name: str, batch_size: int) -> Iterator[TableRow]:
    """Rows of a Parquet file."""
    try:
        for frame in pl.scan_parquet(source).collect_batches(
            chunk_size=batch_size, maintain_order=True, lazy=True
        ):
            for row in frame.iter_rows(named=True):
                yield TableRow(0, row)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{name} is not a readable Parquet file: {reason}; fetch or write it again"
        ) from None


def read_parquet_stream(chunks: Iterable[bytes], name: str, batch_size: int) -> Iterator[TableRow]:
    """Rows of a Parquet file that comes as a stream: it is written to a temporary file first."""
    handle, path = tempfile.mkstemp(suffix=".parquet")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
        yield from read_parquet(Path(path), name, batch_size)
    finally:
        os.unlink(path)
