"""An append-only file of JSON objects, one a line, for several writers at once.

Writers take turns by a lock of the system, which goes with the process. An entry is on disk before
`append` returns. A process that is killed while it writes leaves half a line: nobody was told that
it is there, readers pass over it, and the next writer removes it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tacos.errors import RunError
from tacos.store.files import explain_os_errors

LINE_END = b"\n"


@dataclass(frozen=True)
class Journal:
    """The file; it is made with the first entry."""

    path: Path

    def read(self) -> list[dict[str, Any]]:
        """All entries, oldest first. Raises `RunError` where a line is damaged."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return _parse_lines(content, self.path)

    def find_version(self) -> tuple[int, int]:
        """What changes with every entry: size and time of change; (0, 0) without a file."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_size, status.st_mtime_ns

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry. Raises `OutputError` where it cannot be written."""
        with self.turn() as turn:
            turn.append(entry)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Read and append while no other writer does."""
        with hold_lock(self.path) as file, explain_os_errors(self.path):
            content = file.read()
            # What a killed process left is cut off.
            end = content.rfind(LINE_END) + 1
            file.truncate(end)
            file.seek(end)
            yield Turn(file, content[:end], self.path)


@contextmanager
def hold_lock(path: Path) -> Iterator[BinaryIO]:
    """A file, made where it does not exist, that nobody else holds meanwhile; waits for its turn.

    Raises `OutputError` where it cannot be written.
    """
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not "a+", which would only ever write at the end.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+b") as file:
        # The lock goes with the open file: the system drops it even where a process is killed.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


@dataclass(frozen=True)
class Turn:
    """One writer's turn."""

    file: BinaryIO
    content: bytes
    """What was there before."""
    path: Path

    @cached_property
    def entries(self) -> list[dict[str, Any]]:
        """The entries before this turn. Raises `RunError` where a line is damaged."""
        return _parse_lines(self.content, self.path)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry, and wait until it is on disk."""
        self.file.write(orjson.dumps(dict(entry)) + LINE_END)
        self.file.flush()
        os.fsync(self.file.fileno())


def _parse_lines(content: bytes, path: Path) -> list[dict[str, Any]]:
    """The entries of all whole lines. Raises `RunError` where one is damaged."""
    # Half a line at the end is what a killed process has left.
    whole, _, _ = content.rpartition(LINE_END)
    if not whole:
        return []
    entries = []
    for number, line in enumerate(whole.split(LINE_END), start=1):
        try:
            entry = orjson.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise RunError(
                f"{path}, line {number} is damaged: restore the line or remove it"
            )
        entries.append(entry)
    return entries
