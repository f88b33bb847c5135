"""The ledger: every paid reply, keyed by what was asked, so that none is lost and none is bought
twice.

One SQLite file in WAL mode, shared by all runs and by several processes at once on one machine (not
over a network file system). A reply is written before it is used (`group_writer`).

Processes that share a ledger lease a key before they ask. A lease holds while its process lives and
renews it; leases of a process that is gone are void at once on the same machine, after `LEASE`
seconds otherwise. So the same question is in flight twice only where a process stood still for
longer than `LEASE` with leases in hand: at most those questions are asked twice.

Only raw replies are kept, never requests, API keys or headers. A reply that could not be used is
kept too: it was paid for.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import platformdirs

from tacos.errors import OutputError, TacosError
from tacos.llm.cost.budget import BudgetMeter
from tacos.llm.ledger import lease_holders, leases
from tacos.llm.ledger.group_writer import GROUP, Done, GroupWriter
from tacos.llm.ledger.removal import (
    FoundReply,
    ReplyFilter,
    find_replies,
    remove_rows,
)
from tacos.llm.ledger.schema import (
    LedgerEntry,
    begin_transaction,
    check_entry,
    open_database,
    select_entries,
    select_entries_by_key,
    write_entries,
)


class DailySpend(NamedTuple):
    """Paid replies of one model on one day (UTC)."""

    model: str
    day: str
    way: str
    n_replies: int
    prompt_tokens: int
    answer_tokens: int
    endpoint: str
    """The base URL that was asked; "" where it was not noted."""


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


def open_ledger(path: Path | str | None = None) -> Ledger:
    """The ledger at `path` (by default in the user's data folder), made if it does not exist.
    Raises `OutputError` where it cannot be opened.
    """
    return Ledger(locate_ledger(path))


def has_ledger(path: Path | None = None) -> bool:
    """Whether the ledger at `path` exists; none is made."""
    return locate_ledger(path).exists()


def locate_ledger(path: Path | str | None = None) -> Path:
    """The file of a ledger: `path`, or the one in the user's data folder."""
    if path:
        return Path(path)
    return platformdirs.user_data_path("tacos") / "ledger.sqlite"


class Ledger:
    """The replies in one file, and the budget of the command that opened it. Thread-safe; a context
    manager. Methods raise `OutputError` where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened_at = time.time()
        """Seconds since 1970; replies from before are those of earlier commands."""
        self.meter = BudgetMeter()
        self.holder = lease_holders.make_holder_id()
        # One connection reads and leases, another one writes: a commit to disk never delays a look
        # up. A lost lease is no harm, so only the second one waits for the disk.
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()
        with self._explain_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reading = open_database(path, "NORMAL")
            self._writing = open_database(path, "FULL")
        self._writer = GroupWriter(self._write_group, self._renew_leases)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, give up all leases, close the file."""
        self._writer.close()
        with self._read_lock, self._explain_errors():
            leases.release_all(self._reading, self.holder)
            self._reading.close()
            self._writing.close()

    # Replies

    def get(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """The replies known for `keys`."""
        with self._explain_errors(), self._read_lock:
            return select_entries_by_key(self._reading, keys)

    def put(self, entry: LedgerEntry, done: Done) -> None:
        """Write `entry` with the next group; `done(entries, error)` is called from the writer's
        thread once it is on disk.

        It takes the place of a reply from before this command, which stays under a key of its own:
        it was paid for.
        """
        self._writer.put(entry, done)

    def flush(self) -> None:
        """Return once everything put so far is on disk and its receivers have been told."""
        self._writer.flush()

    def put_all(
        self,
        entries: Sequence[LedgerEntry],
        replaced: Sequence[str] = (),
    ) -> int:
        """Write `entries` now; returns how many were new.

        The replies with the keys `replaced` count no tokens from now on: `entries` count them.
        """
        if not entries:
            return 0
        with self._explain_errors(), self._write_lock:
            return write_entries(self._writing, entries, replaced)

    def put_better(
        self,
        entries: Sequence[LedgerEntry],
        is_better: Callable[[LedgerEntry, LedgerEntry], bool] | None,
    ) -> int:
        """Write `entries`, one per key, now; returns how many were taken in.

        A reply that the ledger has makes room where `is_better(entry, reply)`; by default, none.
        It stays under a key of its own: it was paid for.
        """
        if is_better is None or not entries:
            return self.put_all(entries)
        known = self.get([entry.key for entry in entries])
        outdone = [
            entry.key
            for entry in entries
            if entry.key in known and is_better(entry, known[entry.key])
        ]
        with self._explain_errors(), self._write_lock:
            return write_entries(self._writing, entries, displaced=outdone)

    def entries(self) -> Iterator[LedgerEntry]:
        """Every reply, ordered by key. Others may write meanwhile."""
        # From a connection of its own: a long export must not lock the others out.
        with (
            self._explain_errors(),
            closing(open_database(self.path, "NORMAL")) as database,
        ):
            yield from select_entries(database)

    def find(self, wanted: ReplyFilter) -> Iterator[FoundReply]:
        """The replies that a filter means, in the order in which they came."""
        with (
            self._explain_errors(),
            closing(open_database(self.path, "NORMAL")) as database,
        ):
            yield from find_replies(database, wanted)

    def remove(self, replies: Sequence[FoundReply]) -> int:
        """Remove replies, and nothing else; returns how many were still there."""
        with self._explain_errors(), self._write_lock:
            return remove_rows(self._writing, [reply.row for reply in replies])

    # Leases

    def take(self, keys: Sequence[str], anew: bool = False) -> KeyLeases:
        """Look `keys` up and lease those neither answered nor leased, in one transaction.

        With `anew`, replies from before this command are none.
        """
        with (
            self._explain_errors(),
            self._read_lock,
            begin_transaction(self._reading) as database,
        ):
            known = select_entries_by_key(database, keys)
            if anew:
                known = {
                    key: entry
                    for key, entry in known.items()
                    if entry.at >= self.opened_at
                }
            missing = [key for key in keys if key not in known]
            if not missing:
                return KeyLeases(known, set(), set())
            # Renew first, so that a process that stood still does not void its own leases.
            leases.renew_leases(database, self.holder)
            leases.drop_dead_leases(database)
            ours = leases.lease_keys(database, missing, self.holder)
        self._writer.start()  # it renews the leases
        return KeyLeases(known, ours, theirs=set(missing) - ours)

    def release(self, keys: Iterable[str]) -> None:
        """Give up leases without an answer."""
        with (
            self._explain_errors(),
            self._read_lock,
            begin_transaction(self._reading) as database,
        ):
            leases.release_keys(database, list(keys), self.holder)

    # Figures

    def spend(self) -> list[DailySpend]:
        """What was bought, by requested model, day, way and endpoint; newest first."""
        sql = """
            SELECT asked, date(at, 'unixepoch'), way,
              count(*), sum(prompt_tokens), sum(answer_tokens), endpoint
            FROM replies GROUP BY 1, 2, 3, endpoint ORDER BY 2 DESC, 1, 3, endpoint
        """
        with self._explain_errors(), self._read_lock:
            return [DailySpend(*row) for row in self._reading.execute(sql)]

    def size(self) -> LedgerSize:
        """How many replies, and how many bytes on disk."""
        sql = "SELECT count(*) FROM replies"
        with self._explain_errors(), self._read_lock:
            (n_replies,) = self._reading.execute(sql).fetchone()
        n_bytes = 0
        # SQLite's journals lie beside the file.
        for journal in ("", "-wal", "-shm"):
            file = self.path.with_name(self.path.name + journal)
            if file.exists():
                n_bytes += file.stat().st_size
        return LedgerSize(str(self.path), n_replies, n_bytes)

    # What other modules of `tacos.llm` keep here

    def note(self, name: str, text: str) -> None:
        """Remember something about a server."""
        sql = "INSERT OR REPLACE INTO notes VALUES (?, ?, ?)"
        with self._explain_errors(), self._read_lock:
            self._reading.execute(sql, [name, text, time.time()])

    def noted(self, name: str, max_age: float) -> str:
        """What was noted in the last `max_age` seconds, "" for nothing."""
        sql = "SELECT text FROM notes WHERE name = ? AND at > ?"
        with self._explain_errors(), self._read_lock:
            row = self._reading.execute(sql, [name, time.time() - max_age]).fetchone()
        return str(row[0]) if row else ""

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement for a module that keeps a table of its own here."""
        with self._explain_errors(), self._write_lock:
            return self._writing.execute(text, values).fetchall()

    # Export and import

    def export(self, path: Path) -> int:
        """Write every reply as a line of JSON; returns how many. Raises `OutputError`."""
        n_replies = 0
        try:
            with path.open("wb") as file:
                for entry in self.entries():
                    file.write(orjson.dumps(entry._asdict()) + b"\n")
                    n_replies += 1
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror}; name another file"
            ) from None
        return n_replies

    def restore(
        self,
        lines: Iterable[bytes],
        is_better: Callable[[LedgerEntry, LedgerEntry], bool] | None = None,
    ) -> tuple[int, int, int]:
        """Take in lines that `export` wrote, as `put_better` does; returns how many were new,
        already known, and unreadable.
        """
        n_new = 0
        n_read = 0
        n_unreadable = 0
        group: dict[str, LedgerEntry] = {}
        for line in lines:
            try:
                entry = check_entry(LedgerEntry(**orjson.loads(line)))
            except (orjson.JSONDecodeError, TypeError):
                if line.strip():
                    n_unreadable += 1
                continue
            n_read += 1
            if entry.key in group or len(group) == GROUP:
                n_new += self.put_better(list(group.values()), is_better)
                group = {}
            group[entry.key] = entry
        n_new += self.put_better(list(group.values()), is_better)
        n_known = n_read - n_new
        return n_new, n_known, n_unreadable

    # For the writer's thread

    def _write_group(self, entries: Sequence[LedgerEntry]) -> TacosError | None:
        """Write a group; why it failed, None where it did not."""
        try:
            with self._write_lock:
                write_entries(
                    self._writing,
                    entries,
                    displaced=[entry.key for entry in entries],
                    before=self.opened_at,
                )
        except Exception as error:  # whatever it is, those who wait must hear of it
            return OutputError(
                f"the ledger {self.path} cannot be written: {error}; "
                "free some space, or use another ledger (--ledger)"
            )
        return None

    def _renew_leases(self) -> None:
        try:
            with self._read_lock:
                leases.renew_leases(self._reading, self.holder)
        except sqlite3.Error:
            # Another process may now take the leases: a question may be asked twice, but no reply
            # is lost.
            return

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        """Turn errors of SQLite and the file system into `OutputError`s of one line."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"the ledger {self.path} cannot be used: {error}; use another ledger (--ledger)"
            ) from None
