"""Files that are written whole or not at all, and the digest of their content.

Everything is written to a temporary file beside its target and renamed, so that a target is old,
absent or complete.
"""

from __future__ import annotations

import bz2
import fcntl
import gzip
import hashlib
import lzma
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from tacos.addresses import find_address_in_path
from tacos.errors import (
    FULL_DISK,
    OutputError,
    RunError,
    explain_temporary_files,
)

READ_SIZE = 1 << 20
"""Bytes that are hashed at a time."""
REMNANT = re.compile(r"\d+\.tmp|(new|old)-\d+")
"""How the names end of what is still being written, a file or a folder (`tacos.store.folders`)."""
TEMPORARY = "tacos-"
"""Begins the names of temporary files and folders."""


def check_writable(path: str | Path) -> None:
    """Raise `OutputError` where a file cannot be written; nothing is left behind."""
    target = Path(path)
    with explain_os_errors(target):
        if target.is_dir():
            raise OutputError(f"{target} is a folder: name a file in it")
        check_parent(target, target.parent)
        if _is_special_file(target):
            return
        # Try it: permissions alone do not tell on every file system.
        probe = _temporary_path(target)
        probe.touch()
        probe.unlink()


def name_beside(target: Path, ending: str) -> Path:
    """The file beside a target: its name and an ending. Raises `OutputError` where the target is no
    name of a file here.
    """
    check_is_here(target)
    if not target.name or target.name == "..":
        raise OutputError(f"{target} is a folder: name a file in it")
    return target.with_name(target.name + ending)


def check_is_here(target: Path) -> None:
    """Raise `OutputError` for an output that is an address, which may hold a login."""
    address = find_address_in_path(target)
    if address:
        raise OutputError(
            f"{address} is an address: name a file here, and send it there afterwards"
        )


def check_parent(target: Path, parent: Path) -> None:
    """Raise `OutputError` where the folder of a target does not exist."""
    if not parent.is_dir():
        raise OutputError(
            f"{target} cannot be written: the folder {target.parent} does not exist; make it first"
        )


def write_text(text: str, path: str | Path) -> Path:
    """Write a text file in UTF-8. Raises `OutputError`."""
    return write_bytes(text.encode(), path)


def write_bytes(content: bytes | memoryview, path: str | Path) -> Path:
    """Write a file; the suffix may ask for compression. Raises `OutputError`."""
    with replace_file(Path(path)) as file:
        file.write(content)
    return Path(path)


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents where they do not exist. Raises `OutputError`."""
    with explain_os_errors(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


@contextmanager
def hold_output(target: Path, *beside: Path) -> Iterator[None]:
    """Keep other processes from writing the target, and the files written `beside` it, while the
    context lasts; what killed ones left of writing them is removed.

    Raises `OutputError` where one is at it.
    """
    if _is_special_file(target):
        yield
        return
    place = target.resolve()
    lock = place.with_name(f".{place.name}.lock")
    with explain_os_errors(target), lock.open("a+b") as handle:
        # The lock goes with the open file: the system drops it even where a process is killed.
        if not _take_lock(handle, lock):
            raise OutputError(
                f"{target} is being written by another process: "
                "wait for it, or name another output (-o)"
            )
        try:
            names = [place.name, *(path.name for path in beside)]
            for path in list(place.parent.iterdir()):
                if any(is_remnant(path.name, name) for name in names):
                    _remove_remnant(path)
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def lock_file(path: Path, remedy: str) -> Iterator[BinaryIO]:
    """An open file, made if it does not exist, that no other process has locked. The lock lasts
    until every process that has it from this one has closed it.

    Args:
        path: The file, whose folder is what others are kept out of.
        remedy: What else to do than to wait.

    Raises:
        OutputError: The file cannot be written.
        RunError: Another process has it locked.
    """
    with explain_os_errors(path):
        handle = open(path, "a+b")  # noqa: SIM115 - closed below
    with handle:
        if not _take_lock(handle, path):
            raise RunError(
                f"{path.parent} is in use by another process: wait for it, or {remedy}"
            )
        yield handle


@contextmanager
def lock_folder(folder: Path, name: str, remedy: str) -> Iterator[BinaryIO]:
    """The locked file `name` of a folder, which is made if it does not exist, and removed again if
    nothing else is in it at the end. Raises as `lock_file` does.
    """
    make_folder(folder)
    with lock_file(folder / name, remedy) as handle:
        try:
            yield handle
        finally:
            with suppress(OSError):
                if [path.name for path in folder.iterdir()] == [name]:
                    (folder / name).unlink()
                    folder.rmdir()


def _take_lock(handle: BinaryIO, path: Path) -> bool:
    """Lock an open file at once, if it still is the one at the path."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # The process before may have removed it after it was opened here.
    return path.exists() and os.path.samestat(os.fstat(handle.fileno()), path.stat())


@contextmanager
def replace_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the target's place if all goes well; compressed if the suffix
    says so. Raises `OutputError`.
    """
    with explain_os_errors(target):
        if _is_special_file(target):
            with (
                target.open("wb") as file,
                _compress_by_suffix(file, target.name) as writer,
            ):
                yield writer
            return
        temporary = _temporary_path(target)
        try:
            with temporary.open("wb") as file:
                with _compress_by_suffix(file, target.name) as writer:
                    yield writer
                # On disk before the rename, so that a power cut leaves no empty target.
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target.resolve())
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def explain_os_errors(target: Path) -> Iterator[None]:
    """Turn failures of the file system into `OutputError`s of one line."""
    try:
        with explain_temporary_files() if _is_temporary(target) else nullcontext():
            yield
    except OSError as error:
        remedy = "; free some space, or write to another disk"
        raise OutputError(
            f"{_name_final(target)} cannot be written: {error.strerror or error}"
            f"{remedy if error.errno in FULL_DISK else ''}"
        ) from None


@contextmanager
def make_temporary_folder() -> Iterator[Path]:
    """A folder for temporary files, which goes with the context. Raises `OutputError`, which says
    what to do, where a disk is full and nothing else explains it.
    """
    with (
        explain_temporary_files(),
        tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder,
    ):
        yield Path(folder)


def digest_files(paths: Sequence[Path]) -> str:
    """32 hex digits: BLAKE2b of the files' bytes, one after another."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(READ_SIZE):
                digest.update(chunk)
    return digest.hexdigest()


def is_remnant(name: str, target: str) -> bool:
    """Whether a file or a folder is what a killed process left of writing a target.

    >>> is_remnant(".plan.json.4711.tmp", "plan.json"), is_remnant("plan.tmp", "plan.json")
    (True, False)
    >>> is_remnant(".train.new-4711", "train"), is_remnant(".train.old-4711", "train")
    (True, True)
    """
    ending = name.removeprefix(f".{target}.")
    return ending != name and bool(REMNANT.fullmatch(ending))


def _remove_remnant(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_special_file(target: Path) -> bool:
    """Whether the target is a pipe or a device, which cannot be replaced."""
    return target.exists() and not target.is_file() and not target.is_dir()


def _is_temporary(target: Path) -> bool:
    """Whether a file lies in one of tacos' folders of temporary files."""
    folder = Path(tempfile.gettempdir())
    if not target.is_relative_to(folder):
        return False
    return str(target.relative_to(folder)).startswith(TEMPORARY)


def _name_final(target: Path) -> Path:
    """Where a file will lie whose folder is still being written (`tacos.store.folders`).

    >>> str(_name_final(Path("a/.b.new-4711/c.jsonl")))
    'a/b/c.jsonl'
    """
    return Path(re.sub(r"(^|/)\.([^/]+)\.new-\d+(?=/|$)", r"\1\2", str(target)))


def _temporary_path(target: Path) -> Path:
    """Where a file is written at first: beside the file that it will replace, links followed."""
    final = target.resolve()
    return final.with_name(f".{final.name}.{os.getpid()}.tmp")


@contextmanager
def _compress_by_suffix(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The file, or a compressor before it; equal contents give equal bytes (no time stamp)."""
    suffix = Path(name.lower()).suffix
    if suffix == ".gz":
        # Neither name nor time in the header: they would change the bytes.
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0
        ) as gzip_writer:
            yield cast(BinaryIO, gzip_writer)
    elif suffix in (".zst", ".zstd"):
        with zstandard.ZstdCompressor().stream_writer(
            file, closefd=False
        ) as zstd_writer:
            yield cast(BinaryIO, zstd_writer)
    elif suffix == ".bz2":
        with bz2.BZ2File(file, "wb") as bzip2_writer:
            yield cast(BinaryIO, bzip2_writer)
    elif suffix == ".xz":
        with lzma.LZMAFile(file, "wb") as xz_writer:
            yield cast(BinaryIO, xz_writer)
    else:
        yield file
