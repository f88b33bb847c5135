"""Files that are written whole or not at all, and the digest of what they hold.

Everything is written to a temporary file beside its target and renamed, so that a target is old,
absent or complete.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from tacos.errors import OutputError


def check_writable(path: str | Path) -> None:
    """Raise `OutputError` in one line where a file cannot be written; nothing is left behind."""
    target = Path(path)
    with failing_clearly(target):
        if target.is_dir():
            raise OutputError(f"{target} is a folder: name a file in it")
        if not target.parent.is_dir():
            raise OutputError(
                f"{target} cannot be written: there is no folder {target.parent}; make it first"
            )
        if is_special(target):
            return
        probe = temporary_of(target)
        probe.touch()
        probe.unlink()


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
    """Make a folder and its parents, if they are not there; `OutputError` in one line where that
    cannot be.
    """
    with failing_clearly(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the target's place when all went well; compressed by the
    suffix.
    """
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
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0
        ) as packed:
            yield cast(BinaryIO, packed)
    elif suffix in (".zst", ".zstd"):
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as writer:
            yield cast(BinaryIO, writer)
    else:
        yield file


def digest_files(paths: Sequence[Path]) -> str:
    """32 hex digits: BLAKE2b of the files' bytes, one after another."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
