"""How long a person waits for a command: from the start of the program on, loading included, but
not while the command waits for an answer of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds since the start of the command, without its pauses."""

    def __init__(self) -> None:
        self._program_start: float | None = None
        self._start = time.monotonic()

    def note_program_start(self, start: float) -> None:
        """Let the first command have started at `start`, a time of `time.monotonic`."""
        self._program_start = start

    def start(self) -> None:
        """Start a command."""
        self._start = time.monotonic()
        # A program that calls several commands loads once.
        if self._program_start is not None:
            self._start = self._program_start
            self._program_start = None

    def read(self) -> float:
        """Seconds since the start; the clock is not that of the day, which may be set back."""
        return time.monotonic() - self._start

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave out what happens in the context."""
        paused = time.monotonic()
        yield
        self._start += time.monotonic() - paused


WATCH = Stopwatch()
"""Of the command that runs."""
