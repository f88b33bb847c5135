"""Rows of anything: files in any known container, standard input, or Python data, as batches in
bounded memory.

A batch names its file (as ids do) and holds `(row from 0, row)` pairs; blank lines are no rows.
Rows that are malformed are `Reject`s that name their line, never an exception: exceptions
(`InputError`, one line) are for files that are no data set at all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from tacos.errors import InputError
from tacos.formats.compression import opened, plain_chunks, utf8_chunks
from tacos.formats.delimited import Line, read_delimited, read_parquet, spooled_parquet
from tacos.formats.detection import PARQUET, Container, container_of, kind_of
from tacos.formats.json_rows import MAX_RAW, Item, Row, parsed
from tacos.formats.json_splitting import split_array, split_lines, split_objects
from tacos.formats.python_objects import data_rows, digest
from tacos.records import Reject

__all__ = ["RowBatch", "digest", "read_ids", "read_rows"]

BATCH_SIZE = 10_000
STDIN = "-"
Source = Any
"""A path or several, "-", or data: a list of dicts, a polars or pandas frame, a `datasets.Dataset`.
"""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Consecutive rows of one file: `rows` are (number from 0, row); numbers that are missing are
    in `rejects`.
    """

    file: str
    first_row: int
    rows: list[tuple[int, Row]]
    rejects: list[Reject]


def read_rows(
    source: Source, batch_size: int = BATCH_SIZE, name: str = "data"
) -> Iterator[RowBatch]:
    """Batches of at most `batch_size` rows, in the order of the source.

    `name` stands for the file in the ids of Python data; rows of standard input are called `stdin`.
    Raises `InputError` in one line: at once for files that cannot be opened or are no data set,
    later for those that turn out truncated.
    """
    paths = paths_of(source)
    if paths is None:
        return batches_of(name, data_rows(source), batch_size)
    named = list(zip(names_of(paths), paths, strict=True))
    for file, path in named:
        check_file(path, file)
    return chain.from_iterable(read_file(path, file, batch_size) for file, path in named)


def paths_of(source: Source) -> list[str | Path] | None:
    """The paths that a source names ("-" is standard input), or None when it is data."""
    if isinstance(source, str | Path):
        return [source]
    if (
        isinstance(source, list | tuple)
        and source
        and all(isinstance(each, str | Path) for each in source)
    ):
        return list(source)
    return None


def names_of(paths: Sequence[str | Path]) -> list[str]:
    """What files are called in ids: the base name; with as many parent folders as it takes to tell
    them apart.

    >>> names_of(["a/x.json", "b/x.json", "y.csv", "-"])
    ['a/x.json', 'b/x.json', 'y.csv', 'stdin']
    """
    parts = [
        ("stdin",) if str(path) == STDIN else Path(os.path.abspath(path)).parts for path in paths
    ]
    if len(set(parts)) < len(parts):
        twice = next(path for number, path in enumerate(paths) if parts[number] in parts[:number])
        raise InputError(f"{twice} is named twice: name each file once")
    depths = [1] * len(parts)
    while True:
        names = ["/".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        same = [number for number, each in enumerate(names) if names.count(each) > 1]
        if not same:
            return names
        for number in same:
            depths[number] += 1


def check_file(path: str | Path, name: str) -> None:
    """Raise `InputError` for a file that cannot be opened or is no data set; standard input is not
    touched.
    """
    if str(path) == STDIN:
        return
    with opened(Path(path)) as file:
        head, _ = headed(plain_chunks(file, name))
        if not is_parquet(head, name):
            text, _ = headed(utf8_chunks([head], name))
            container_of(text, name)


def read_file(path: str | Path, name: str, batch_size: int) -> Iterator[RowBatch]:
    """Batches of one file."""
    if str(path) == STDIN:
        yield from read_stream(sys.stdin.buffer, name, batch_size)
        return
    with opened(Path(path)) as file:
        if file.peek(4)[:4] == PARQUET:  # type: ignore[attr-defined]
            yield from batches_of(
                name, table_rows(read_parquet(Path(path), name, batch_size)), batch_size
            )
        else:
            yield from read_stream(file, name, batch_size)


def read_stream(file: BinaryIO, name: str, batch_size: int) -> Iterator[RowBatch]:
    """Batches of a stream, whatever it holds."""
    head, chunks = headed(plain_chunks(file, name))
    if is_parquet(head, name):
        yield from batches_of(
            name, table_rows(spooled_parquet(chunks, name, batch_size)), batch_size
        )
        return
    head, chunks = headed(utf8_chunks(chunks, name))
    yield from batches_of(name, text_rows(chunks, container_of(head, name), name), batch_size)


def headed(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first chunk that is not blank, and all of them again."""
    head: list[bytes] = []
    for chunk in chunks:
        head.append(chunk)
        if chunk.strip():
            break
    return b"".join(head), chain(head, chunks)


def is_parquet(head: bytes, name: str) -> bool:
    """Whether the content is Parquet; `InputError` when only the name is."""
    if head.startswith(PARQUET):
        return True
    if kind_of(name) == "parquet":
        raise InputError(
            f"{name} is not Parquet, or damaged: name it by what it is (.json, .jsonl, .csv)"
        )
    return False


def text_rows(chunks: Iterator[bytes], container: Container, name: str) -> Iterator[Item]:
    """Rows of a container made of text."""
    if container == "csv" or container == "tsv":
        return table_rows(read_delimited(chunks, name, container))
    if container == "array":
        return map(parsed, split_array(chunks, name))
    return map(
        parsed, split_lines(chunks, name) if container == "lines" else split_objects(chunks, name)
    )


def table_rows(lines: Iterable[Line]) -> Iterator[Item]:
    """Rows of a table."""
    return (
        line.row if not line.problem else (line.line, line.problem, line.text) for line in lines
    )


def batches_of(name: str, items: Iterator[Item], batch_size: int) -> Iterator[RowBatch]:
    """Rows numbered and gathered into batches; `InputError` when there is none at all."""
    rows: list[tuple[int, Row]] = []
    rejects: list[Reject] = []
    number = first = 0
    for number, item in enumerate(items, 1):
        if type(item) is tuple:
            rejects.append(rejected(f"{name}:{number - 1}", *item))
        else:
            rows.append((number - 1, item))  # type: ignore[arg-type]
        if number - first == batch_size:
            yield RowBatch(name, first, rows, rejects)
            rows, rejects, first = [], [], number
    if number > first:
        yield RowBatch(name, first, rows, rejects)
    if not number:
        raise InputError(f"{name} holds no rows")


def rejected(id: str, line: int, problem: str, text: str) -> Reject:
    """The reject of a malformed row: reasons can be counted, `raw` begins with the line, where
    there are lines.
    """
    return Reject(
        id, "ingest", problem, f"line {line}: {text}"[:MAX_RAW] if line else text[:MAX_RAW]
    )


def read_ids(path: str | Path) -> set[str]:
    """Ids or content hashes: one per line, JSON strings or objects with an `id`, one per line or in
    a list.
    """
    with opened(Path(path)) as file:
        text = b"".join(utf8_chunks(plain_chunks(file, str(path)), str(path))).decode(
            "utf-8", "replace"
        )
    try:
        value = json.loads(text)
    except ValueError:
        value = [line_value(line.strip()) for line in text.splitlines() if line.strip()]
    values = value if isinstance(value, list) else [value]
    return {id_of(each, path) for each in values}


def line_value(line: str) -> Any:
    """A line's JSON string or object, or the line itself."""
    if line[:1] not in ('"', "{"):
        return line
    try:
        return json.loads(line)
    except ValueError:
        return line


def id_of(value: Any, path: str | Path) -> str:
    """The id that an entry of a list of ids names."""
    found = value.get("id", value.get("content_hash")) if isinstance(value, dict) else value
    if not isinstance(found, str | int) or isinstance(found, bool):
        raise InputError(
            f"{path}: {str(value)[:60]!r} is no id: give <file>:<row> or a content hash per line"
        )
    return str(found)
