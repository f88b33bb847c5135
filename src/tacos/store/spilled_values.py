"""Values that may be too many for memory: small sets stay there, larger ones lie in a temporary
file.
"""

from __future__ import annotations

import pickle
import tempfile
import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

from tacos.errors import explain_temporary_files

Value = TypeVar("Value")

BATCH = 1_000
"""Values that are written, and read back, at a time."""
IN_MEMORY = 1 << 24
"""Bytes up to which no file is made."""


class SpilledValues(Generic[Value]):
    """Values in the order in which they were added, to be read any number of times."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=IN_MEMORY, prefix="tacos-"
        )
        weakref.finalize(self, self._file.close)
        self._offsets: list[int] = []
        self._last: list[Value] = []

    def __len__(self) -> int:
        return len(self._offsets) * BATCH + len(self._last)

    def __iter__(self) -> Iterator[Value]:
        for offset in self._offsets:
            # Every time: another reader may have moved on since.
            self._file.seek(offset)
            yield from pickle.load(self._file)
        yield from self._last

    def append(self, value: Value) -> None:
        """Add a value at the end. Raises `OutputError` where the disk is full."""
        self._last.append(value)
        if len(self._last) < BATCH:
            return
        with explain_temporary_files():
            # At the end, wherever a reader stands.
            offset = self._file.seek(0, 2)
            pickle.dump(self._last, self._file, pickle.HIGHEST_PROTOCOL)
        self._offsets.append(offset)
        self._last = []
