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
from tacos.formats.compression import convert_to_utf8, decompress_chunks, open_input
from tacos.formats.delimited import TableRow, read_delimited, read_parquet, read_parquet_stream
from tacos.formats.detection import PARQUET, Container, detect_container, infer_kind
from tacos.formats.json_rows import MAX_RAW, Item, Row, parse_json_row
from tacos.formats.json_splitting import split_array, split_lines, split_objects
from tacos.formats.python_objects import digest_data, iterate_data_rows
from tacos.records import Reject

__all__ = ["RowBatch", "digest_data", "read_ids", "read_rows"]

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
    paths = list_input_paths(source)
    if paths is None:
        return _batch_items(name, iterate_data_rows(source), batch_size)
    named = list(zip(name_files(paths), paths, strict=True))
    for file, path in named:
        check_readable(path, file)
    return chain.from_iterable(read_file(path, file, batch_size) for file, path in named)


def list_input_paths(source: Source) -> list[str | Path] | None:
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


def name_files(paths: Sequence[str | Path]) -> list[str]:
    """What files are called in ids: the base name; with as many parent folders as it takes to tell
    them apart.

    >>> name_files(["a/x.json", "b/x.json", "y.csv", "-"])
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


def check_readable(path: str | Path, name: str) -> None:
    """Raise `InputError` for a file that cannot be opened or is no data set; standard input is not
    touched.
    """
    if str(path) == STDIN:
        return
    with open_input(Path(path)) as file:
        head, _ = _peek_chunk(decompress_chunks(file, name))
        if not _is_parquet(head, name):
            text, _ = _peek_chunk(convert_to_utf8([head], name))
            detect_container(text, name)


def read_file(path: str | Path, name: str, batch_size: int) -> Iterator[RowBatch]:
    """Batches of one file."""
    if str(path) == STDIN:
        yield from _read_stream(sys.stdin.buffer, name, batch_size)
        return
    with open_input(Path(path)) as file:
        if file.peek(4)[:4] == PARQUET:  # type: ignore[attr-defined]
            yield from _batch_items(
                name, _unpack_table_rows(read_parquet(Path(path), name, batch_size)), batch_size
            )
        else:
            yield from _read_stream(file, name, batch_size)


def _read_stream(file: BinaryIO, name: str, batch_size: int) -> Iterator[RowBatch]:
    """Batches of a stream, whatever it holds."""
    head, chunks = _peek_chunk(decompress_chunks(file, name))
    if _is_parquet(head, name):
        yield from _batch_items(
            name, _unpack_table_rows(read_parquet_stream(chunks, name, batch_size)), batch_size
        )
        return
    head, chunks = _peek_chunk(convert_to_utf8(chunks, name))
    yield from _batch_items(
        name, _parse_text_rows(chunks, detect_container(head, name), name), batch_size
    )


def _peek_chunk(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first chunk that is not blank, and all of them again."""
    head: list[bytes] = []
    for chunk in chunks:
        head.append(chunk)
        if chunk.strip():
            break
    return b"".join(head), chain(head, chunks)


def _is_parquet(head: bytes, name: str) -> bool:
    """Whether the content is Parquet; `InputError` when only the name is."""
    if head.startswith(PARQUET):
        return True
    if infer_kind(name) == "parquet":
        raise InputError(
            f"{name} is not Parquet, or damaged: name it by what it is (.json, .jsonl, .csv)"
        )
    return False


def _parse_text_rows(chunks: Iterator[bytes], container: Container, name: str) -> Iterator[Item]:
    """Rows of a container made of text."""
    if container == "csv" or container == "tsv":
        return _unpack_table_rows(read_delimited(chunks, name, container))
    if container == "array":
        return map(parse_json_row, split_array(chunks, name))
    return map(
        parse_json_row,
        split_lines(chunks, name) if container == "lines" else split_objects(chunks, name),
    )


def _unpack_table_rows(lines: Iterable[TableRow]) -> Iterator[Item]:
    """Rows of a table."""
    return (
        line.row if not line.problem else (line.line, line.problem, line.text) for line in lines
    )


def _batch_items(name: str, items: Iterator[Item], batch_size: int) -> Iterator[RowBatch]:
    """Rows numbered and gathered into batches; `InputError` when there is none at all."""
    rows: list[tuple[int, Row]] = []
    rejects: list[Reject] = []
    number = first = 0
    for number, item in enumerate(items, 1):
        if type(item) is tuple:
            rejects.append(_reject_malformed(f"{name}:{number - 1}", *item))
        else:
            rows.append((number - 1, item))  # type: ignore[arg-type]
        if number - first == batch_size:
            yield RowBatch(name, first, rows, rejects)
            rows, rejects, first = [], [], number
    if number > first:
        yield RowBatch(name, first, rows, rejects)
    if not number:
        raise InputError(f"{name} holds no rows")


def _reject_malformed(id: str, line: int, problem: str, text: str) -> Reject:
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
    with open_input(Path(path)) as file:
        text = b"".join(convert_to_utf8(decompress_chunks(file, str(path)), str(path))).decode(
            "utf-8", "replace"
        )
    try:
        value = json.loads(text)
    except ValueError:
        value = [_parse_id_line(line.strip()) for line in text.splitlines() if line.strip()]
    values = value if isinstance(value, list) else [value]
    return {_extract_id(each, path) for each in values}


def _parse_id_line(line: str) -> Any:
    """A line's JSON string or object, or the line itself."""
    if line[:1] not in ('"', "{"):
        return line
    try:
        return json.loads(line)
    except ValueError:
        return line


def _extract_id(value: Any, path: str | Path) -> str:
    """The id that an entry of a list of ids names."""
    found = value.get("id", value.get("content_hash")) if isinstance(value, dict) else value
    if not isinstance(found, str | int) or isinstance(found, bool):
        raise InputError(
            f"{path}: {str(value)[:60]!r} is no id: give <file>:<row> or a content hash per line"
        )
    return str(found)
