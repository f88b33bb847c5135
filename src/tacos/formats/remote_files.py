"""Files at addresses: found, opened and read again where a connection breaks, through `fsspec`.

A file is read as a stream; formats that need to jump do so where the server allows it. What was
seen of a file (its checksum or time, and its size) is its version: the content is another where
that changes. Files of the hub are named by a commit, so they never change.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from tacos.addresses import parse_hub_path, redact_address
from tacos.errors import InputError
from tacos.formats import hub
from tacos.formats.remote_failures import (
    EXTRAS,
    explain_failure,
    take_line,
    try_again,
)
from tacos.records import canonical_hash

log = logging.getLogger(__name__)

BLOCK = 1 << 21
"""Bytes that are asked for at a time."""
SILENCE = 60
"""Seconds without a byte after which a connection counts as broken."""
WEB = ("http", "https")
CHECKSUMS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "Content-MD5",
    "Digest",
    "blob_id",
)
TIMES = (
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
    "mtime",
    "created",
)
"""What file systems call the time of the last change."""


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address; as a text, it is its address without secrets."""

    address: str = field(repr=False)
    version: str
    """Changes with the content; "" where the server says nothing about that."""
    size: int | None = None
    can_jump: bool = True
    """Whether reading can begin anywhere."""

    def __str__(self) -> str:
        return redact_address(self.address)

    def check_unchanged(self) -> None:
        """Raise `InputError` if the file has changed since it was found."""
        if not self.version or is_pinned(self.address):
            return
        if find_file(self.address).version != self.version:
            raise InputError(
                f"{self} has changed while it was read: run the same command again"
            )


def is_pinned(address: str) -> bool:
    """Whether an address names a commit of the hub, so that its content never changes."""
    place = parse_hub_path(address)
    return place is not None and place.is_pinned


def connect(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there.

    Raises `InputError` for an unknown scheme, where the package for it is missing, and where a
    server that is asked at once (FTP, SFTP) cannot be reached.
    """
    scheme = address.partition("://")[0].lower()
    shown = redact_address(address)
    if scheme in ("file", "local"):
        path = shown.partition("://")[2]
        raise InputError(f"{shown} is a file here: give its path, {path}")
    try:
        import fsspec

        options = _list_options(scheme)
        file_system, path = fsspec.core.url_to_fs(address, **options)
        _silence_loop()
    except ImportError as error:
        extra = "http" if scheme in WEB else EXTRAS.get(scheme)
        if extra is None:
            raise InputError(f"{shown} needs a package: {take_line(error)}") from None
        raise InputError(
            f"{shown} needs a package: pip install 'tacos-select[{extra}]'"
        ) from None
    except ValueError as error:
        raise InputError(
            f"{shown} cannot be opened: {take_line(error)}; check the address"
        ) from None
    except Exception as error:  # file systems raise what their libraries raise
        raise explain_failure(error, address) from None
    return file_system, str(path)


def find_file(address: str) -> RemoteFile:
    """The file at an address. Raises `InputError` where there is none."""
    file_system, path = connect(address)
    # What was seen earlier in this process may be old.
    file_system.invalidate_cache()
    return _describe_file(file_system, path, address, {})


def is_remote_folder(address: str) -> bool:
    """Whether an address is that of a folder: on the web, one that ends in a slash."""
    scheme = address.partition("://")[0].lower()
    if scheme in WEB:
        return redact_address(address).endswith("/")
    file_system, path = connect(address)
    file_system.invalidate_cache()
    info = try_again(lambda: file_system.info(path), address, is_first=True)
    return bool(info["type"] == "directory")


class RemoteFolder:
    """The files in a folder and below it."""

    def __init__(self, address: str) -> None:
        """List the folder. Raises `InputError` where that is impossible."""
        self._file_system, path = connect(address)
        self._file_system.invalidate_cache()
        found = try_again(
            lambda: self._file_system.find(path, detail=True),
            address,
            is_first=True,
        )
        self._found = {
            name.removeprefix(path).lstrip("/"): (name, info)
            for name, info in sorted(found.items())
        }

    @property
    def names(self) -> list[str]:
        """Paths in the folder, sorted."""
        return list(self._found)

    def open_file(self, name: str) -> RemoteFile:
        """One of the files."""
        path, info = self._found[name]
        address = self._file_system.unstrip_protocol(path)
        return _describe_file(self._file_system, path, address, info)


def match_pattern(pattern: str) -> list[str]:
    """The addresses of the files that a pattern matches, sorted."""
    file_system, path = connect(pattern)
    file_system.invalidate_cache()

    def find_matches() -> dict[str, dict[str, Any]]:
        try:
            return dict(file_system.glob(path, detail=True))
        except ValueError as error:
            raise InputError(
                f"--glob {redact_address(pattern)}: {take_line(error)}; write it another way"
            ) from None

    found = try_again(find_matches, pattern, is_first=True)
    return [
        file_system.unstrip_protocol(name)
        for name, info in sorted(found.items())
        if info["type"] == "file"
    ]


def read_bytes(file: RemoteFile) -> bytes:
    """The whole content of a small file."""
    with open_remote(file) as content:
        return content.read()


@contextmanager
def open_remote(file: RemoteFile) -> Iterator[BinaryIO]:
    """The file open for reading from its beginning."""
    with io.BufferedReader(_RemoteReader(file), BLOCK) as content:
        yield content


@contextmanager
def open_remote_parts(file: RemoteFile) -> Iterator[io.RawIOBase]:
    """The file open for reading here and there, no more than is asked for."""
    with _RemoteReader(file) as content:
        yield content


class _RemoteReader(io.RawIOBase):
    """Reads a file from where it stands, and goes on there after a connection has broken."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._position = 0
        self._handle: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.can_jump

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; only where the file can be read from anywhere."""
        if not self._file.can_jump:
            raise io.UnsupportedOperation("seek")
        starts = {io.SEEK_CUR: self._position, io.SEEK_END: self._file.size or 0}
        self._position = starts.get(whence, 0) + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, perhaps in part."""
        n_bytes = len(buffer)
        if self._file.size is not None:
            n_bytes = min(n_bytes, self._file.size - self._position)
        if n_bytes <= 0:
            return 0
        content = try_again(lambda: self._read(n_bytes), self._file.address)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        self._close_handle()
        super().close()

    def _read(self, n_bytes: int) -> bytes:
        """At most so many bytes from the position on."""
        try:
            handle = self._handle or self._open()
            self._handle = handle
            if self._file.can_jump:
                # Some file systems share one handle among all readers.
                handle.seek(self._position)
            content: bytes = handle.read(n_bytes)
            if not content and self._file.size is not None:
                raise EOFError("the connection has ended too early")
        except BaseException:
            # The next try begins with another connection.
            self._close_handle()
            raise
        return content

    def _open(self) -> Any:
        """A handle that stands at the position."""
        file = self._file
        file_system, path = connect(file.address)
        is_web = file.address.lower().startswith(WEB)
        if not is_web:
            return file_system.open(path, "rb", cache_type="none")
        if file.can_jump:
            return file_system.open(
                path,
                "rb",
                block_size=BLOCK,
                cache_type="none",
                size=file.size,
            )
        handle = file_system.open(path, "rb", block_size=0, size=file.size)
        # A stream begins at the beginning.
        n_skipped = self._position
        while n_skipped:
            skipped = handle.read(min(n_skipped, BLOCK))
            if not skipped:
                raise EOFError("the file has become shorter")
            n_skipped -= len(skipped)
        return handle

    def _close_handle(self) -> None:
        if self._handle is None:
            return
        with suppress(Exception):  # a broken connection has nothing to close
            self._handle.close()
        self._handle = None


# Finding


def _describe_file(
    file_system: Any,
    path: str,
    address: str,
    info: Mapping[str, Any],
) -> RemoteFile:
    """A file by what its server says, or has said in a listing."""
    pinned = is_pinned(address)
    # Listings tell times in other words than a file's own description.
    has_checksum = any(info.get(name) for name in CHECKSUMS)
    if not info or not (pinned or has_checksum):
        info = try_again(lambda: file_system.info(path), address, is_first=True)
    if info["type"] == "directory":
        raise InputError(
            f"{redact_address(address)} is a folder, not a file: name a file in it"
        )
    size = info.get("size")
    # Where the address names a commit, that is all there is to know.
    version = address if pinned else _read_version(info)
    can_jump = size is not None
    if address.lower().startswith(WEB):
        may_jump = bool(info.get("partial", True)) and size is not None and size > 1
        can_jump = may_jump and _can_jump(file_system, path, address, size)
    return RemoteFile(address, version, size, can_jump)


def _read_version(info: Mapping[str, Any]) -> str:
    """A hash of what a server says about the content, "" if it says nothing."""
    marks = [str(info[name]) for name in CHECKSUMS if info.get(name)]
    marks = marks or [str(info[name]) for name in TIMES if info.get(name)]
    return canonical_hash([info.get("size"), marks]) if marks else ""


def _can_jump(file_system: Any, path: str, address: str, size: Any) -> bool:
    """Whether a web server sends a part of a file when it is asked for one."""

    def read_second_byte() -> bool:
        with file_system.open(
            path, "rb", block_size=BLOCK, cache_type="none", size=size
        ) as handle:
            handle.seek(1)
            try:
                return len(handle.read(1)) == 1
            except ValueError:  # it would send everything
                return False

    return try_again(read_second_byte, address, is_first=True)


def _silence_loop() -> None:
    """Keep what a broken connection leaves open off the screen: its failure is told once, by the
    error.
    """
    from fsspec.asyn import get_loop

    get_loop().set_exception_handler(
        lambda _, context: log.debug("%s", context["message"])
    )


def _list_options(scheme: str) -> dict[str, Any]:
    """What a file system is opened with."""
    if scheme == "hf":
        return {"endpoint": hub.get_address()}
    if scheme in WEB:
        import aiohttp

        # By default a connection ends after five minutes, however much it brings.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=SILENCE)
        return {"client_kwargs": {"timeout": timeout}}
    return {}
