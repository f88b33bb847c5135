"""The ledger: every paid reply, keyed by what was asked, so that none is lost and none is bought
twice.

One SQLite file in WAL mode, shared by all runs and by several processes at once on one machine (not
over a network file system). A reply is written before it is used. Writes are collected and
committed together, every 50 ms or 256 replies, so a kill loses what is in flight and at most one
such interval.

Processes that share a ledger claim a key before they ask. A claim holds while its process lives and
beats its heart; claims of a process that is gone are void at once on the same machine, after
`LEASE` seconds otherwise. So the same question is in flight twice only where a process stood still
for longer than `LEASE` with claims in hand: at most those claims are asked twice.

Only raw replies are kept, never requests, keys or headers. A reply that could not be used is kept
too: it was paid for.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import platformdirs

from tacos.errors import OutputError, TacosError
from tacos.llm.cost.budget import BudgetMeter
from tacos.llm.ledger import lease_holders
from tacos.llm.ledger.leases import LEASE, drop_dead_leases, lease_keys, renew_leases
from tacos.llm.ledger.schema import (
    SELECT,
    LedgerEntry,
    begin_transaction,
    check_entry,
    encode_keys,
    open_database,
    write_entries,
)

INTERVAL = 0.05
GROUP = 256


class DailySpend(NamedTuple):
    """Paid replies of one model on one day (UTC)."""

    model: str
    day: str
    way: str
    n_replies: int
    prompt_tokens: int
    answer_tokens: int


class KeyLeases(NamedTuple):
    """What became of keys: already answered, ours to ask, or being asked by another process."""

    known: dict[str, LedgerEntry]
    ours: set[str]
    theirs: set[str]


class LedgerSize(NamedTuple):
    """What a ledger holds."""

    path: str
    n_replies: int
    n_bytes: int


Done = Callable[[list[LedgerEntry], TacosError | None], None]


def _default_ledger_path() -> Path:
    """`ledger.sqlite` in the user's data folder."""
    return platformdirs.user_data_path("tacos") / "ledger.sqlite"


def open_ledger(path: Path | str | None = None) -> Ledger:
    """The ledger at `path`, made where there is none. Raises `OutputError` where it cannot be
    opened.
    """
    return Ledger(Path(path) if path else _default_ledger_path())


class Ledger:
    """A connection for reading and claiming, another one for writing in the background.
    Thread-safe.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meter = BudgetMeter()
        self.owner = lease_holders.make_holder_id()
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._waiting: deque[tuple[LedgerEntry, Done]] = deque()
        self._to_tell: deque[threading.Event] = deque()
        self._wake, self._full = threading.Event(), threading.Event()
        self._closing = False
        self._writer: threading.Thread | None = None
        with self._failing_clearly():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reading = open_database(path, "NORMAL")
            self._writing = open_database(path, "FULL")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OutputError(f"the ledger {self.path} cannot be used: {error}") from None

    def get(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """The replies known for `keys`."""
        with self._failing_clearly(), self._lock:
            rows = self._reading.execute(
                f"{SELECT} WHERE key IN (SELECT value FROM json_each(?))", [encode_keys(keys)]
            )
            return {row[0]: LedgerEntry(*row) for row in rows}

    def put(self, entry: LedgerEntry, done: Done) -> None:
        """Write `entry` with the next group; `done(entries, error)` is called from the writer once
        it is on disk.
        """
        self._waiting.append((entry, done))
        if len(self._waiting) == 1:
            self._start_writer()
            self._wake.set()
        elif len(self._waiting) == GROUP:
            self._full.set()

    def put_all(self, entries: Sequence[LedgerEntry], replaced: Sequence[str] = ()) -> int:
        """Write `entries` now; how many of them were new. Those with the keys `replaced` hand their
        tokens to them.
        """
        with self._failing_clearly(), self._write_lock:
            return write_entries(self._writing, entries, replaced) if entries else 0

    def take(self, keys: Sequence[str]) -> KeyLeases:
        """Look `keys` up and claim those that nobody has answered or claimed, in one transaction."""
        with self._failing_clearly(), self._lock, begin_transaction(self._reading) as database:
            rows = database.execute(
                f"{SELECT} WHERE key IN (SELECT value FROM json_each(?))", [encode_keys(keys)]
            )
            known = {row[0]: LedgerEntry(*row) for row in rows}
            missing = [key for key in keys if key not in known]
            if not missing:
                return KeyLeases(known, set(), set())
            renew_leases(database, self.owner)
            drop_dead_leases(database)
            ours = lease_keys(database, missing, self.owner)
        self._start_writer()
        return KeyLeases(known, ours, set(missing) - ours)

    def release(self, keys: Iterable[str]) -> None:
        """Give up claims without an answer."""
        with self._failing_clearly(), self._lock, begin_transaction(self._reading) as database:
            sql = "DELETE FROM claims WHERE owner = ? AND key IN (SELECT value FROM json_each(?))"
            database.execute(sql, [self.owner, encode_keys(list(keys))])

    def spend(self) -> list[DailySpend]:
        """What was bought, by the model that was asked, day and way, newest first."""
        sql = """SELECT asked, date(at, 'unixepoch'), way, count(*), sum(prompt_tokens), sum(answer_tokens) FROM replies
                 GROUP BY 1, 2, 3 ORDER BY 2 DESC, 1, 3"""
        with self._failing_clearly(), self._lock:
            return [DailySpend(*row) for row in self._reading.execute(sql)]

    def size(self) -> LedgerSize:
        """How many replies, and how many bytes on disk."""
        with self._failing_clearly(), self._lock:
            (n_replies,) = self._reading.execute("SELECT count(*) FROM replies").fetchone()
        n_bytes = sum(file.stat().st_size for file in self.path.parent.glob(f"{self.path.name}*"))
        return LedgerSize(str(self.path), n_replies, n_bytes)

    def entries(self) -> Iterator[LedgerEntry]:
        """Every reply, ordered by key; from a connection of its own, so others may write meanwhile."""
        with self._failing_clearly(), closing(open_database(self.path, "NORMAL")) as database:
            for row in database.execute(f"{SELECT} ORDER BY key"):
                yield LedgerEntry(*row)

    def note(self, name: str, text: str) -> None:
        """Remember something about a server."""
        with self._failing_clearly(), self._lock:
            self._reading.execute(
                "INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", [name, text, time.time()]
            )

    def noted(self, name: str, max_age: float) -> str:
        """What was remembered in the last `max_age` seconds, "" for nothing."""
        with self._failing_clearly(), self._lock:
            sql = "SELECT text FROM notes WHERE name = ? AND at > ?"
            row = self._reading.execute(sql, [name, time.time() - max_age]).fetchone()
        return str(row[0]) if row else ""

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement for another module of `tacos.llm` that keeps a table of its own here."""
        with self._failing_clearly(), self._write_lock:
            return self._writing.execute(text, values).fetchall()

    def export(self, path: Path) -> int:
        """Write every reply as a line of JSON; how many. Raises `OutputError`."""
        n_replies = 0
        try:
            with path.open("wb") as file:
                for entry in self.entries():
                    file.write(orjson.dumps(entry._asdict()) + b"\n")
                    n_replies += 1
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from None
        return n_replies

    def restore(self, lines: Iterable[bytes]) -> tuple[int, int, int]:
        """Take in lines as `export` writes them: how many were new, known already, and unreadable."""
        n_new = n_read = n_bad = 0
        group: list[LedgerEntry] = []
        for line in lines:
            try:
                group.append(check_entry(LedgerEntry(**orjson.loads(line))))
                n_read += 1
            except (orjson.JSONDecodeError, TypeError):
                n_bad += bool(line.strip())
            if len(group) == GROUP:
                n_new += self.put_all(group)
                group = []
        n_new += self.put_all(group)
        return n_new, n_read - n_new, n_bad

    def flush(self) -> None:
        """Return once everything put so far is on disk and its receivers are told."""
        if self._closing:  # closing writes everything
            return
        told = threading.Event()
        self._to_tell.append(told)
        self._start_writer()
        self._wake.set()
        self._full.set()
        told.wait()

    def close(self) -> None:
        """Write what waits, give up every claim, close."""
        with self._lock:
            writer, self._closing = self._writer, True
        self._wake.set()
        self._full.set()
        if writer is not None:
            writer.join()
        with self._lock, self._failing_clearly():
            self._reading.execute("DELETE FROM claims WHERE owner = ?", [self.owner])
            self._reading.execute("DELETE FROM owners WHERE owner = ?", [self.owner])
            self._reading.close()
            self._writing.close()

    def _start_writer(self) -> None:
        if self._writer is not None:
            return
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(
                    target=self._write_on, name="tacos-ledger", daemon=True
                )
                self._writer.start()

    def _write_on(self) -> None:
        """The writer: a group per interval, a heartbeat where there is nothing to write."""
        last_beat = time.monotonic()
        while not self._closing or self._waiting or self._to_tell:
            if not self._closing and self._wake.wait(LEASE / 3):
                self._full.wait(INTERVAL)
            self._wake.clear()  # before the group is taken: what is put from now on wakes us again
            self._full.clear()
            told = [self._to_tell.popleft() for _ in range(len(self._to_tell))]
            group = []
            while self._waiting:
                group.append(self._waiting.popleft())
            if group:
                self._write_group(group)
            for event in told:
                event.set()
            if time.monotonic() - last_beat > LEASE / 4:
                self._beat()
                last_beat = time.monotonic()

    def _write_group(self, group: list[tuple[LedgerEntry, Done]]) -> None:
        failure: TacosError | None = None
        try:
            with self._write_lock:
                write_entries(self._writing, [entry for entry, _ in group])
        except Exception as error:  # whatever it is, those who wait must hear of it
            failure = OutputError(f"the ledger {self.path} cannot be written: {error}")
        by_receiver: dict[Done, list[LedgerEntry]] = {}
        for entry, done in group:
            by_receiver.setdefault(done, []).append(entry)
        for done, entries in by_receiver.items():
            done(entries, failure)

    def _beat(self) -> None:
        try:
            with self._lock:
                renew_leases(self._reading, self.owner)
        except (
            sqlite3.Error
        ):  # a heart that misses a beat may find its claims taken: no reply is lost by that
            return
