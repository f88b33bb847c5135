"""Writes ledger entries in groups, from a thread of its own.

A commit to disk costs milliseconds, whatever it holds. So entries are gathered and committed
together, every `INTERVAL` seconds or `GROUP` entries: a kill loses what is gathered, and no more.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from tacos.errors import TacosError
from tacos.llm.ledger.lease_holders import LEASE
from tacos.llm.ledger.schema import LedgerEntry

INTERVAL = 0.05
"""Seconds for which entries are gathered."""
GROUP = 256
"""Entries that are written at once without waiting any longer."""

Done = Callable[[list[LedgerEntry], TacosError | None], None]
"""Told which entries are on disk, or why they are not."""

_T = TypeVar("_T")


class GroupWriter:
    """The thread that writes, and renews the ledger's leases a few times per `LEASE`.

    `write` commits a group and returns why that failed, if it did; `renew` renews the leases. The
    thread starts when it is first needed. Thread-safe.
    """

    def __init__(
        self,
        write: Callable[[Sequence[LedgerEntry]], TacosError | None],
        renew: Callable[[], None],
    ) -> None:
        self._write = write
        self._renew = renew
        self._waiting: deque[tuple[LedgerEntry, Done]] = deque()
        self._flushes: deque[threading.Event] = deque()
        self._wake = threading.Event()  # there is something to do
        self._full = threading.Event()  # do not gather any longer
        self._closing = False
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, entry: LedgerEntry, done: Done) -> None:
        """Write `entry` with the next group; `done` is called from the thread."""
        self._waiting.append((entry, done))
        if len(self._waiting) == 1:
            self.start()
            self._wake.set()
        elif len(self._waiting) == GROUP:
            self._full.set()

    def flush(self) -> None:
        """Return once every entry put so far is on disk and its `done` has been called."""
        if self._closing:  # closing writes everything
            return
        written = threading.Event()
        self._flushes.append(written)
        self.start()
        self._wake.set()
        self._full.set()
        written.wait()

    def start(self) -> None:
        """Start the thread, if it does not run yet."""
        if self._thread is not None:
            return
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="tacos-ledger", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Write what waits and end the thread."""
        with self._start_lock:
            self._closing = True
            thread = self._thread
        self._wake.set()
        self._full.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        last_renewal = time.monotonic()
        while not self._closing or self._waiting or self._flushes:
            # Wait for the first entry of a group, then for the others.
            if not self._closing and self._wake.wait(LEASE / 3):
                self._full.wait(INTERVAL)
            # Before the group is taken: what is put from now on wakes the thread again.
            self._wake.clear()
            self._full.clear()

            # Flushes first: the group then holds everything that was put before them.
            flushes = _take_all(self._flushes)
            group = _take_all(self._waiting)
            if group:
                self._write_group(group)
            for written in flushes:
                written.set()

            if time.monotonic() - last_renewal > LEASE / 4:
                self._renew()
                last_renewal = time.monotonic()

    def _write_group(self, group: list[tuple[LedgerEntry, Done]]) -> None:
        failure = self._write([entry for entry, _ in group])
        entries_by_receiver: defaultdict[Done, list[LedgerEntry]] = defaultdict(list)
        for entry, done in group:
            entries_by_receiver[done].append(entry)
        for done, entries in entries_by_receiver.items():
            done(entries, failure)


def _take_all(queue: deque[_T]) -> list[_T]:
    """What is in the queue now; only the writer's thread takes anything out."""
    return [queue.popleft() for _ in range(len(queue))]
