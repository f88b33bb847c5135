"""Undoes compression and text encoding: a file's bytes as chunks of UTF-8, in bounded memory.

The content decides, not the suffix: gzip, zstd, bzip2 and xz by their first bytes, UTF-8 with a
byte order mark, UTF-16 and UTF-32 by theirs. Other encodings (Latin-1, GBK, UTF-16 without a mark)
are not guessed.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from tacos.addresses import find_address_in_path
from tacos.errors import InputError
from tacos.formats.detection import FORMATS_READ

CHUNK = 1 << 21
"""Bytes per chunk, after decompression."""

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
XZ = b"\xfd7zXZ\x00"
BZIP2 = re.compile(rb"BZh[1-9](1AY&|\x17rE8)")
"""How bzip2 begins: its mark, then a block or, in an empty file, the end."""

BINARY = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive (or an Excel or Word file)",
    b"FEA1": "a Feather file of version 1 (write it as Parquet)",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Obj\x01": "an Avro file",
}
"""First bytes of files that are given by mistake."""

# The longer mark first: UTF-32's begins like UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

ACCEPTED = f"give a file of rows ({FORMATS_READ})"


@contextmanager
def open_input(path: Path, *, once: bool = False) -> Iterator[BinaryIO]:
    """The file open for reading; a pipe, too, if it is read `once` only.

    Raises `InputError` where that is impossible.
    """
    with explain_read_errors(path):
        if path.is_dir():
            raise InputError(f"{path} is a folder: name a file in it")
        mode = path.stat().st_mode
        is_pipe = stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
        if not stat.S_ISREG(mode) and not (once and is_pipe):
            raise InputError(
                f"{path} is not a regular file: pipe its content in and give - as the input"
            )
        file = path.open("rb")
    with file:
        yield file


def get_stdin() -> BinaryIO:
    """Standard input. Raises `InputError` where the process was started without one."""
    if sys.stdin is None:
        raise InputError(
            "standard input is closed: pipe the rows in, or name a file instead of -"
        )
    return sys.stdin.buffer


@contextmanager
def explain_read_errors(path: Path) -> Iterator[None]:
    """Turn failures to read a file into `InputError`s of one line."""
    try:
        yield
    except FileNotFoundError:
        address = find_address_in_path(path)
        if address:
            raise InputError(
                f"{address} is an address, and this file is read from here only: "
                "fetch it first, or give <(curl ADDRESS)"
            ) from None
        raise InputError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}; check the file and its permissions"
        ) from None


def decompress_chunks(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Chunks of the file's content, decompressed. Raises `InputError` for a damaged or truncated
    stream.
    """
    head = file.read(8)
    stream = _ReplayStream(head, file)
    compression = identify_compression(head)
    if compression == "gzip":
        yield from _decompress_gzip(stream, name)
    elif compression == "zstd":
        yield from _decompress_zstd(stream, name)
    elif compression == "bzip2":
        yield from _decompress_bzip2(stream, name)
    elif compression == "xz":
        yield from _decompress_xz(stream, name)
    else:
        yield from iter(lambda: stream.read(CHUNK), b"")


def identify_compression(head: bytes) -> str:
    """The compression that the first 8 bytes show, "" for none.

    >>> identify_compression(GZIP + b"..."), identify_compression(b'{"a": 1}')
    ('gzip', '')
    """
    if head.startswith(GZIP):
        return "gzip"
    if head.startswith(ZSTD):
        return "zstd"
    if head.startswith(XZ):
        return "xz"
    return "bzip2" if BZIP2.match(head) else ""


def convert_to_utf8(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Chunks of UTF-8 without a byte order mark; UTF-16 and UTF-32 are converted.

    Bytes that are not UTF-8 pass through: the row that holds them is rejected later, with its line.
    Raises `InputError` for content that is not text.
    """
    stream = iter(chunks)
    head = b""
    for chunk in stream:
        head += chunk
        if len(head) >= 64:  # enough for every mark and magic number
            break
    _refuse_binary(head, name)
    encoding = identify_encoding(head)
    rest = chain([head.removeprefix(codecs.BOM_UTF8)], stream)
    if encoding:
        yield from _transcode_chunks(rest, encoding, name)
    else:
        yield from rest


def identify_encoding(head: bytes) -> str:
    """The encoding that the byte order mark names, "" for none or UTF-8's."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    return ""


class _ReplayStream:
    """A stream whose first bytes were read already (standard input cannot go back).

    Whoever opened it closes it.
    """

    closed = False

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes (all of them if negative); b"" at the end."""
        head = self._head
        if size < 0:
            self._head = b""
            return head + self._rest.read()
        self._head = head[size:]
        n_missing = size - len(head)
        if n_missing <= 0:
            return head[:size]
        return head + self._rest.read(n_missing)

    def close(self) -> None:
        """Nothing: Arrow asks for it."""


def _decompress_gzip(stream: _ReplayStream, name: str) -> Iterator[bytes]:
    """Chunks of a gzip stream (several members are read as one)."""
    try:
        with gzip.GzipFile(fileobj=cast(BinaryIO, stream)) as file:
            yield from iter(lambda: file.read(CHUNK), b"")
    except EOFError:
        raise InputError(
            f"{name} is truncated: the gzip stream has no end; fetch the file again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name} is damaged: {error}; fetch the file again") from None


def _decompress_bzip2(stream: _ReplayStream, name: str) -> Iterator[bytes]:
    """Chunks of a bzip2 stream (several streams are read as one)."""
    try:
        with bz2.BZ2File(cast(BinaryIO, stream)) as file:
            yield from iter(lambda: file.read(CHUNK), b"")
    except EOFError:
        raise InputError(
            f"{name} is truncated: the bzip2 stream has no end; fetch the file again"
        ) from None
    except OSError as error:
        # bzip2's own errors have no number, unlike those of the disk.
        if error.errno is not None:
            raise
        raise InputError(f"{name} is damaged: {error}; fetch the file again") from None


def _decompress_xz(stream: _ReplayStream, name: str) -> Iterator[bytes]:
    """Chunks of an xz stream (several streams are read as one)."""
    try:
        with lzma.LZMAFile(cast(BinaryIO, stream)) as file:
            yield from iter(lambda: file.read(CHUNK), b"")
    except EOFError:
        raise InputError(
            f"{name} is truncated: the xz stream has no end; fetch the file again"
        ) from None
    except lzma.LZMAError as error:
        raise InputError(f"{name} is damaged: {error}; fetch the file again") from None


def _decompress_zstd(stream: _ReplayStream, name: str) -> Iterator[bytes]:
    """Chunks of a zstd stream (several frames are read as one).

    By Arrow, since zstandard's `decompressobj` gives all that its input holds at once: 3 GB for 90
    KB of blanks.
    """
    import pyarrow as pa

    try:
        source = pa.PythonFile(stream, mode="r")
        with pa.CompressedInputStream(source, "zstd") as file:
            yield from iter(lambda: file.read(CHUNK), b"")
    except OSError as error:
        # Arrow's own errors have no number, unlike those of the file below.
        if error.errno is not None:
            raise
        if "Truncated" in str(error):
            raise InputError(
                f"{name} is truncated: the zstd stream has no end; fetch the file again"
            ) from None
        raise InputError(f"{name} is damaged: {error}; fetch the file again") from None


def _transcode_chunks(
    chunks: Iterable[bytes],
    encoding: str,
    name: str,
) -> Iterator[bytes]:
    """Chunks of another Unicode encoding as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise InputError(
            f"{name} is not valid {encoding.upper()}, though its byte order mark says so: {error}; "
            "convert it to UTF-8"
        ) from None


def _refuse_binary(head: bytes, name: str) -> None:
    """Raise `InputError` for content that is not text."""
    for magic, description in BINARY.items():
        if head.startswith(magic):
            raise InputError(f"{name} is {description}: {ACCEPTED}")
    if identify_encoding(head) or b"\x00" not in head[:1024]:
        return
    # ASCII in UTF-16 has a zero in every second byte.
    if head[1:2] == b"\x00" or head[:1] == b"\x00":
        raise InputError(
            f"{name} looks like UTF-16 without a byte order mark: convert it to UTF-8 first (iconv)"
        )
    raise InputError(f"{name} is not text: {ACCEPTED}")
