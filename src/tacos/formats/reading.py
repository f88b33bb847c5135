"""The door in: a data set as batches of rows, in bounded memory.

A data set is a file of any known format, here or at an address, several files, standard input, or
Python data. A batch
names its file (as ids do) and holds `(row from 0, row)` pairs; blank lines are no rows. Malformed
rows are `Reject`s that name their line; an exception (`InputError`) means that the file is no data
set at all.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tacos.addresses import HUB, has_query, parse_hub_path
from tacos.errors import InputError
from tacos.formats.compression import (
    convert_to_utf8,
    decompress_chunks,
    get_stdin,
    open_input,
)
from tacos.formats.delimited import read_delimited
from tacos.formats.detection import (
    ARROW_FILE,
    PARQUET,
    TextContainer,
    detect_container,
    is_arrow,
    is_parquet,
    refuse_stand_in,
)
from tacos.formats.identification import (
    identify_file,
    identify_remote_file,
    peek_chunk,
)
from tacos.formats.json import read_json_array, read_json_objects
from tacos.formats.jsonl import read_json_lines
from tacos.formats.paths import STDIN, FilePath
from tacos.formats.python_objects import cut_data_tables, digest_data, iterate_data_rows
from tacos.formats.remote_files import (
    RemoteFile,
    open_remote,
    open_remote_parts,
)
from tacos.formats.remote_inputs import InputFile, InputRecord, find_input_files
from tacos.formats.rows import MAX_RAW, Item, MalformedRow, Row, RowBatch
from tacos.records import OriginalRows, Reject

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAX_RAW", "STDIN", "RowBatch", "digest_data", "read_ids", "read_rows"]

BATCH_SIZE = 10_000
BATCH_BYTES = 1 << 24
"""Of text, after which a batch of fewer rows ends: memory is bounded for long rows, too."""
Source = Any
"""A path, an address or a data set of the hub, or several, or Python data (see
`python_objects`).
"""


def read_rows(
    source: Source,
    batch_size: int = BATCH_SIZE,
    name: str = "data",
) -> Iterator[RowBatch]:
    """Batches of at most `batch_size` rows, in the order of the source.

    `name` stands for the file in the ids of Python data; rows of standard input are called `stdin`.
    Raises `InputError`: at once for files that cannot be opened or are no data set, while reading
    for those that turn out to be truncated.
    """
    paths = list_input_paths(source)
    if paths is None:
        return _read_data(source, name, batch_size)
    # All files before the first row: a mistake in the last one shows at once.
    names = name_files(paths)
    for name, path in zip(names, paths, strict=True):
        check_readable(path, name)
    return _read_files(paths, names, batch_size)


def read_every_row(path: Path) -> Iterator[tuple[int, Row]]:
    """Number (from 0) and values of each row of a file of which no row may be left out.

    Raises `InputError` for a file, and for a row, that cannot be read.
    """
    for batch in read_rows(path):
        for reject in batch.rejects:
            raise InputError(
                f"{path}: {reject.id} cannot be read: {reject.reason}; mend that row, since none "
                "may be left out"
            )
        yield from batch.rows


def _read_data(source: Any, name: str, batch_size: int) -> Iterator[RowBatch]:
    """Batches of Python data; tables have types."""
    tables = cut_data_tables(source, batch_size)
    if tables is not None:
        return _number_tables(name, tables)
    # Python data is in memory already.
    return _batch_items(name, iterate_data_rows(source), batch_size, _CountedChunks())


def _read_files(
    paths: Sequence[InputFile],
    names: Sequence[str],
    batch_size: int,
) -> Iterator[RowBatch]:
    for path, name in zip(paths, names, strict=True):
        yield from read_file(path, name, batch_size)


def read_file(
    path: InputFile,
    name: str,
    batch_size: int,
) -> Iterator[RowBatch]:
    """Batches of one file, or of standard input."""
    if isinstance(path, RemoteFile):
        yield from _read_remote_file(path, name, batch_size)
        return
    if str(path) == STDIN:
        yield from _read_stream(get_stdin(), name, batch_size)
        return
    with open_input(Path(path)) as file:
        # What is not compressed as a whole needs no temporary copy.
        head = file.peek(8)  # type: ignore[attr-defined]
        if head.startswith((PARQUET, ARROW_FILE)):
            tables = _read_tables(Path(path), head, name, batch_size)
            yield from _number_tables(name, tables)
        else:
            yield from _read_stream(file, name, batch_size)


def _read_remote_file(
    remote: RemoteFile,
    name: str,
    batch_size: int,
) -> Iterator[RowBatch]:
    """Batches of a file elsewhere. Raises `InputError` if it changes meanwhile."""
    with open_remote_parts(remote) as parts:
        head = parts.read(8) or b""
        # What needs to jump does so where it can; otherwise a temporary copy is made.
        if remote.can_jump and head.startswith((PARQUET, ARROW_FILE)):
            tables = _read_tables(parts, head, name, batch_size)
            yield from _number_tables(name, tables)
            remote.check_unchanged()
            return
    with open_remote(remote) as file:
        yield from _read_stream(file, name, batch_size)
    remote.check_unchanged()


def _read_tables(
    path: Path | io.RawIOBase,
    head: bytes,
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """The tables of a Parquet or Arrow file."""
    # Most inputs need no pyarrow, which takes long to import.
    from tacos.formats.arrow import read_arrow_file
    from tacos.formats.parquet import read_parquet

    read = read_parquet if head.startswith(PARQUET) else read_arrow_file
    return read(path, name, batch_size)


def read_ids(path: FilePath) -> dict[str, str]:
    """Ids or content hashes from a file, each with its place in it ("keep.txt, line 3"): one per
    line, or JSON strings or objects with an `id` or `content_hash`, one per line or in a list.
    Raises `InputError` for anything else.
    """
    text = _read_text(path)
    unit = "entry"
    try:
        value = json.loads(text)
        entries = dict(enumerate(value if isinstance(value, list) else [value], 1))
    except ValueError:
        # Not one JSON value: then every line is an entry.
        unit = "line"
        entries = {}
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                entries[number] = _parse_id_line(line.strip())
    places: dict[str, str] = {}
    for number, entry in entries.items():
        places.setdefault(_extract_id(entry, path), f"{path}, {unit} {number}")
    return places


def _read_text(path: FilePath) -> str:
    """A whole file as text; bytes that are not UTF-8 become U+FFFD."""
    name = str(path)
    # A list may come from a pipe, as in --keep <(...).
    with open_input(Path(path), once=True) as file:
        chunks = convert_to_utf8(decompress_chunks(file, name), name)
        content = b"".join(chunks)
    return content.decode("utf-8", "replace")


def list_input_paths(
    source: Source,
    record: InputRecord | None = None,
) -> list[InputFile] | None:
    """The files that a source names ("-" is standard input), or None when it is data. A folder
    stands for the data files in it. The record has what a run knows of files elsewhere.
    """
    if isinstance(source, FilePath):
        return find_input_files([source], record)
    if not isinstance(source, list | tuple) or not source:
        return None
    # One entry that is no path makes all of them rows.
    for entry in source:
        is_path = isinstance(entry, FilePath)
        if not is_path:
            return None
    return find_input_files(source, record)


def name_files(paths: Sequence[InputFile]) -> list[str]:
    """The names of files in ids: the base name, after as many parent folders as it takes to tell
    the files apart. Raises `InputError` for a file named twice.

    >>> name_files(["a/x.json", "b/x.json", "y.csv", "-"])
    ['a/x.json', 'b/x.json', 'y.csv', 'stdin']
    """
    parts: list[tuple[str, ...]] = []
    seen: set[tuple[str, ...]] = set()
    for path in paths:
        if isinstance(path, RemoteFile):
            part = _split_address(path, seen)
        else:
            check_file_name(path)
            part = _split_path(path)
        # No folder would ever tell the two apart.
        if part in seen:
            raise InputError(f"{path} is named twice: name each file once")
        seen.add(part)
        parts.append(part)
    return _shorten_names(parts)


def check_file_name(path: FilePath) -> None:
    """Raise `InputError` for a name that is not UTF-8: no id, table or JSON can hold it."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"the name of the file {os.fspath(path)!a} is not UTF-8: rename it"
        ) from None


def _shorten_names(parts: Sequence[tuple[str, ...]]) -> list[str]:
    """The shortest ends of paths that differ from one another."""
    depths = [1] * len(parts)
    while True:
        names = []
        for part, depth in zip(parts, depths, strict=True):
            end = part[-depth:]
            names.append("/".join(end))
        uses = Counter(names)
        if len(uses) == len(names):
            return names
        # Add a folder to each name that is still shared.
        for number, name in enumerate(names):
            if uses[name] > 1:
                depths[number] += 1


def _split_address(
    file: RemoteFile, seen: Container[tuple[str, ...]]
) -> tuple[str, ...]:
    """The parts of an address, without the commit. Those that differ in their query alone are
    numbered.
    """
    address = str(file)
    place = parse_hub_path(address)
    if place is not None:
        address = f"{HUB}{place.repository}/{place.path}"
    parts = tuple(part for part in address.split("/") if part)
    if not has_query(file.address):
        return parts
    part = parts
    number = 1
    while part in seen:
        number += 1
        part = (*parts[:-1], f"{parts[-1]}~{number}")
    return part


def _split_path(path: FilePath) -> tuple[str, ...]:
    if str(path) == STDIN:
        return ("stdin",)
    return Path(os.path.abspath(path)).parts


def check_readable(path: InputFile, name: str) -> None:
    """Raise `InputError` for a file that cannot be opened or is no data set; standard input is not
    touched.
    """
    if isinstance(path, RemoteFile):
        identify_remote_file(path, name)
    elif str(path) != STDIN:
        identify_file(Path(path), name)


def _read_stream(
    file: BinaryIO,
    name: str,
    batch_size: int,
) -> Iterator[RowBatch]:
    """Batches of a stream, whatever its format."""
    decompressed = decompress_chunks(file, name)
    head, chunks = peek_chunk(decompressed, name)
    refuse_stand_in(head, name)
    if is_parquet(head, name) or is_arrow(head):
        tables = _read_table_stream(chunks, head, name, batch_size)
        yield from _number_tables(name, tables)
        return
    head, chunks = peek_chunk(convert_to_utf8(chunks, name), name)
    container = detect_container(head, name)
    counted = _CountedChunks(chunks)
    rows = _parse_text_rows(iter(counted), container, name)
    yield from _batch_items(name, rows, batch_size, counted)


def _read_table_stream(
    chunks: Iterator[bytes],
    head: bytes,
    name: str,
    batch_size: int,
) -> Iterator[pa.Table]:
    """The tables of Parquet or Arrow that comes as a stream."""
    from tacos.formats.arrow import read_arrow_stream
    from tacos.formats.parquet import read_parquet_stream

    read = read_parquet_stream if head.startswith(PARQUET) else read_arrow_stream
    return read(chunks, name, batch_size)


def _parse_text_rows(
    chunks: Iterator[bytes],
    container: TextContainer,
    name: str,
) -> Iterator[Item]:
    """Rows of a format that is text."""
    if container == "csv" or container == "tsv":
        return read_delimited(chunks, name, container)
    if container == "array":
        return read_json_array(chunks, name)
    if container == "lines":
        return read_json_lines(chunks, name)
    return read_json_objects(chunks, name)


def _number_tables(name: str, tables: Iterable[pa.Table]) -> Iterator[RowBatch]:
    """Rows of tables, numbered. Raises `InputError` when there are none at all."""
    from tacos.formats.arrow_rows import list_rows

    first = 0
    for table in tables:
        rows = enumerate(list_rows(table), first)
        yield RowBatch(
            file=name,
            first_row=first,
            rows=list(rows),
            rejects=[],
            original=OriginalRows(name, first, table),
        )
        first += table.num_rows
    if not first:
        raise InputError(_explain_no_rows(name))


def _explain_no_rows(name: str) -> str:
    return f"{name} holds no rows: give a data set with at least one"


class _CountedChunks:
    """Chunks of bytes, and how many bytes were taken so far."""

    def __init__(self, chunks: Iterable[bytes] = ()) -> None:
        self._chunks = chunks
        self.n_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.n_bytes += len(chunk)
            yield chunk


def _batch_items(
    name: str,
    items: Iterable[Item],
    batch_size: int,
    counted: _CountedChunks,
) -> Iterator[RowBatch]:
    """Rows numbered and gathered into batches of `batch_size` rows, or of `BATCH_BYTES` of the text
    that they come from. Raises `InputError` when there are none at all.
    """
    rows: list[tuple[int, Row]] = []
    rejects: list[Reject] = []
    first = 0
    first_byte = 0
    n_items = 0
    for n_items, item in enumerate(items, 1):
        number = n_items - 1  # malformed rows count, so a number is a place in the file
        if type(item) is MalformedRow:
            reject = _reject_malformed(f"{name}:{number}", item)
            rejects.append(reject)
        else:
            rows.append((number, item))  # type: ignore[arg-type]
        is_long = counted.n_bytes - first_byte >= BATCH_BYTES
        if is_long or n_items - first == batch_size:
            yield RowBatch(name, first, rows, rejects)
            rows = []
            rejects = []
            first = n_items
            first_byte = counted.n_bytes
    has_rest = n_items > first
    if has_rest:
        yield RowBatch(name, first, rows, rejects)
    if not n_items:
        raise InputError(_explain_no_rows(name))


def _reject_malformed(id: str, row: MalformedRow) -> Reject:
    """The reject of a malformed row. The reason has no line, so that equal reasons can be counted;
    `raw` begins with it, where there are lines.
    """
    raw = f"line {row.line}: {row.text}" if row.line else row.text
    return Reject(id, "ingest", row.problem, raw[:MAX_RAW])


def _parse_id_line(line: str) -> Any:
    """A line's JSON string or object, or the line itself."""
    if line[:1] not in ('"', "{"):
        return line
    try:
        return json.loads(line)
    except ValueError:
        return line


def _extract_id(entry: Any, path: FilePath) -> str:
    """The id that an entry of a list of ids names."""
    value = entry
    if isinstance(entry, dict):
        value = entry.get("id", entry.get("content_hash"))
    # True is an int to Python, but no id.
    is_bool = isinstance(value, bool)
    is_id = isinstance(value, str | int) and not is_bool
    if not is_id:
        raise InputError(
            f"{path}: {str(entry)[:60]!r} is not a valid id; "
            "give <file>:<row> or a content hash, one per line"
        )
    return str(value)
