"""What a file is: its format, how it is compressed and encoded, from its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tacos.errors import InputError
from tacos.formats.compression import (
    convert_to_utf8,
    decompress_chunks,
    explain_read_errors,
    identify_compression,
    identify_encoding,
    open_input,
)
from tacos.formats.detection import (
    detect_container,
    is_arrow,
    is_parquet,
    refuse_stand_in,
)
from tacos.formats.remote_files import RemoteFile, open_remote

FORMAT_NAMES = {
    "array": "JSON (a list of rows)",
    "lines": "JSON Lines",
    "objects": "JSON (one object after another)",
    "csv": "CSV",
    "tsv": "TSV",
}
"""Container of `tacos.formats.detection` -> what people call it."""


MAX_BLANK = 1 << 26
"""Bytes of blanks at most before the first row (64 MiB)."""


class FileFormat(NamedTuple):
    """What a file is; "" for no compression, and for an encoding that is not text or is UTF-8."""

    name: str
    compression: str = ""
    encoding: str = ""

    def text(self) -> str:
        """The format in words.

        >>> FileFormat("CSV", "gzip", "utf-16").text()
        'CSV, gzip, UTF-16'
        """
        parts = [self.name, self.compression, self.encoding.upper()]
        return ", ".join(part for part in parts if part)


def identify_file(path: Path, name: str) -> FileFormat:
    """The format of a file. Raises `InputError` where it cannot be opened or is no data set."""
    with open_input(path) as file, explain_read_errors(path):
        return _identify_content(file, name)


def identify_remote_file(remote: RemoteFile, name: str) -> FileFormat:
    """The format of a file elsewhere. Raises `InputError` as `identify_file` does."""
    with open_remote(remote) as file:
        return _identify_content(file, name)


def _identify_content(file: BinaryIO, name: str) -> FileFormat:
    """The format by the beginning of an open file."""
    # Compression shows in the bytes as they are, the format in what they hold.
    compression = identify_compression(file.peek(8))  # type: ignore[attr-defined]
    head, _ = peek_chunk(decompress_chunks(file, name), name)
    refuse_stand_in(head, name)
    if is_parquet(head, name):
        return FileFormat("Parquet", compression)
    if is_arrow(head):
        return FileFormat("Arrow", compression)
    text, _ = peek_chunk(convert_to_utf8([head], name), name)
    container = detect_container(text, name)
    return FileFormat(FORMAT_NAMES[container], compression, identify_encoding(head))


def peek_chunk(
    chunks: Iterator[bytes],
    name: str,
) -> tuple[bytes, Iterator[bytes]]:
    """What comes up to the first chunk that is not blank, and all chunks again. Raises `InputError`
    for a file that begins with more blanks than are kept.
    """
    head: list[bytes] = []
    n_bytes = 0
    # Chunks of blanks alone say nothing about the format.
    for chunk in chunks:
        head.append(chunk)
        n_bytes += len(chunk)
        if chunk.strip():
            break
        if n_bytes > MAX_BLANK:
            raise InputError(
                f"{name} begins with more than {MAX_BLANK >> 20} MiB of blanks: "
                "remove them, or fetch the file again"
            )
    every_chunk = chain(head, chunks)
    return b"".join(head), every_chunk
