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
        return self._parse(content)

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
            yield Turn(file, self._parse(content[:end]))

    def _parse(self, content: bytes) -> list[dict[str, Any]]:
        """The entries of all whole lines."""
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
                    f"{self.path}, line {number} is damaged: restore the line or remove it"
                )
            entries.append(entry)
        return entries


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
    """One writer's turn: the entries so far, and the file."""

    file: BinaryIO
    entries: list[dict[str, Any]]

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry, and wait until it is on disk."""
        self.file.write(orjson.dumps(dict(entry)) + LINE_END)
        self.file.flush()
        os.fsync(self.file.fileno())
