"""A ledger in one SQLite file in WAL mode, shared by several processes on one machine.

Not over a network file system: its locks do not hold there.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tacos.errors import OutputError
from tacos.llm.ledger import unwritten_replies
from tacos.llm.ledger.removal import FoundReply, ReplyFilter
from tacos.llm.ledger.schema import (
    DailySpend,
    KeyLeases,
    LedgerEntry,
    LedgerSize,
    Submission,
    decode_submission,
    encode_submission,
)
from tacos.llm.ledger.sqlite import leases
from tacos.llm.ledger.sqlite.tables import (
    begin_transaction,
    find_replies,
    open_database,
    remove_rows,
    select_entries,
    select_entries_by_key,
    write_entries,
)

OTHER_LEDGER = "use another ledger (--ledger)"
WITH_SPACE = f"free some space, or {OTHER_LEDGER}"


class SqliteDatabase:
    """The file of a ledger, made if it does not exist; see `LedgerDatabase` for the methods."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # One connection reads and leases, another one writes: a commit to disk never delays a look
        # up. A lost lease is no harm, so only the second one waits for the disk.
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()
        with self._explain_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reading = open_database(path, "NORMAL")
            self._writing = open_database(path, "FULL")
        unwritten_replies.return_replies(path, self._return)

    @property
    def location(self) -> Path:
        """The file."""
        return self.path

    def close(self, holder: str) -> None:
        """Give up the holder's leases and close the file."""
        with self._read_lock, self._explain_errors():
            leases.release_all(self._reading, holder)
            self._reading.close()
            self._writing.close()

    # Replies

    def get(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """The replies known for `keys`."""
        with self._explain_errors(), self._read_lock:
            return select_entries_by_key(self._reading, keys)

    def write(
        self,
        entries: Sequence[LedgerEntry],
        replaced: Sequence[str] = (),
        displaced: Sequence[str] = (),
        before: float = math.inf,
    ) -> int:
        """Insert `entries` and void the leases on them; returns how many were new.

        Where that is impossible for replies that have just come (`before` is when their command
        began), they are kept in a file until the ledger is opened again.
        """
        with unwritten_replies.keep_unwritten(self.path, entries, before):
            return self._insert(entries, replaced, displaced, before)

    def _insert(
        self,
        entries: Sequence[LedgerEntry],
        replaced: Sequence[str] = (),
        displaced: Sequence[str] = (),
        before: float = math.inf,
    ) -> int:
        with self._explain_errors("written", WITH_SPACE), self._write_lock:
            return write_entries(self._writing, entries, replaced, displaced, before)

    def _return(
        self,
        entries: Sequence[LedgerEntry],
        displaced: Sequence[str],
        before: float,
    ) -> int:
        """Insert replies that were kept."""
        return self._insert(entries, displaced=displaced, before=before)

    def entries(self) -> Iterator[LedgerEntry]:
        """Every reply, ordered by key."""
        # From a connection of its own: a long export must not lock the others out.
        with (
            self._explain_errors(),
            closing(open_database(self.path, "NORMAL")) as database,
        ):
            yield from select_entries(database)

    def find(self, wanted: ReplyFilter) -> Iterator[FoundReply]:
        """The replies of a model and a time, in the order in which they came."""
        with (
            self._explain_errors(),
            closing(open_database(self.path, "NORMAL")) as database,
        ):
            yield from find_replies(database, wanted)

    def remove(self, rows: Sequence[int]) -> int:
        """Remove replies by their rows; returns how many there were."""
        with self._explain_errors(), self._write_lock:
            return remove_rows(self._writing, rows)

    # Leases

    def take(self, keys: Sequence[str], holder: str, since: float) -> KeyLeases:
        """Look `keys` up and lease those neither answered nor leased, in one transaction."""
        with (
            self._explain_errors(),
            self._read_lock,
            begin_transaction(self._reading) as database,
        ):
            entries = select_entries_by_key(database, keys)
            known = {key: entry for key, entry in entries.items() if entry.at >= since}
            missing = [key for key in keys if key not in known]
            if not missing:
                return KeyLeases(known, set(), set())
            # Renew first, so that a process that stood still does not void its own leases.
            leases.renew_leases(database, holder)
            leases.drop_dead_leases(database)
            ours = leases.lease_keys(database, missing, holder)
        return KeyLeases(known, ours, theirs=set(missing) - ours)

    def release(self, keys: Sequence[str], holder: str) -> None:
        """Give up the holder's leases on `keys`."""
        with (
            self._explain_errors(),
            self._read_lock,
            begin_transaction(self._reading) as database,
        ):
            leases.release_keys(database, keys, holder)

    def renew(self, holder: str) -> None:
        """Let the holder's leases hold for another while."""
        with self._explain_errors(), self._read_lock:
            leases.renew_leases(self._reading, holder)

    # Figures, notes, and submissions to batch APIs

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

    def list_submissions(self, server: str) -> list[Submission]:
        """Submissions to a server whose answers are not collected yet."""
        sql = "SELECT mark, server, file, batch, keys FROM submissions WHERE server = ?"
        with self._explain_errors(), self._write_lock:
            rows = self._writing.execute(sql, [server]).fetchall()
        return [decode_submission(row) for row in rows]

    def put_submission(self, submission: Submission) -> None:
        """Record a submission, in place of what is recorded under its mark."""
        sql = "INSERT OR REPLACE INTO submissions VALUES (?, ?, ?, ?, ?)"
        with self._explain_errors(), self._write_lock:
            self._writing.execute(sql, encode_submission(submission))

    def delete_submission(self, mark: str) -> None:
        """Forget a submission."""
        sql = "DELETE FROM submissions WHERE mark = ?"
        with self._explain_errors(), self._write_lock:
            self._writing.execute(sql, [mark])

    @contextmanager
    def _explain_errors(
        self,
        done: str = "used",
        remedy: str = OTHER_LEDGER,
    ) -> Iterator[None]:
        """Turn errors of SQLite and the file system into `OutputError`s of one line."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                remedy = WITH_SPACE
            raise OutputError(
                f"the ledger {self.path} cannot be {done}: {error}; {remedy}"
            ) from None
