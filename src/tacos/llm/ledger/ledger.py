"""The ledger: every paid reply, keyed by what was asked, so that none is lost and none is bought
twice.

One SQLite file, shared by all runs and processes of one machine, or a PostgreSQL database, shared
by those of several (`database`). A reply is written before it is used (`group_writer`).

Processes that share a ledger lease a key before they ask. A lease holds while its process lives and
renews it; leases of a process that is gone are void at once on the same machine, after `LEASE`
seconds otherwise. So the same question is in flight twice only where a process stood still for
longer than `LEASE` with leases in hand: at most those questions are asked twice.

Only raw replies are kept, never requests, API keys or headers. A reply that could not be used is
kept too: it was paid for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import orjson

from tacos.errors import ConfigError, OutputError, TacosError
from tacos.llm.cost.budget import BudgetMeter
from tacos.llm.ledger import lease_holders
from tacos.llm.ledger.database import LedgerDatabase
from tacos.llm.ledger.group_writer import GROUP, Done, GroupWriter
from tacos.llm.ledger.location import (
    LedgerLocation,
    PostgresAddress,
    locate_ledger,
)
from tacos.llm.ledger.removal import FoundReply, ReplyFilter
from tacos.llm.ledger.schema import (
    DailySpend,
    KeyLeases,
    LedgerEntry,
    LedgerSize,
    Submission,
    check_entry,
)
from tacos.llm.ledger.sqlite.database import SqliteDatabase
from tacos.llm.transport.endpoint_names import normalise_name


def open_ledger(location: LedgerLocation | str | None = None) -> Ledger:
    """The ledger at a location (by default in the user's data folder), made if it does not exist.
    Raises `OutputError` where it cannot be opened.
    """
    place = locate_ledger(location)
    if isinstance(place, PostgresAddress):
        return Ledger(_open_postgres(place))
    return Ledger(SqliteDatabase(place))


class Ledger:
    """The replies in a database, and the budget of the command that opened it. Thread-safe; a
    context manager. Methods raise `OutputError` where the database cannot be used.
    """

    def __init__(self, database: LedgerDatabase) -> None:
        self.opened_at = time.time()
        """Seconds since 1970; replies from before are those of earlier commands."""
        self.meter = BudgetMeter()
        self.holder = lease_holders.make_holder_id()
        self._database = database
        self._writer = GroupWriter(self._write_group, self._renew_leases)

    @property
    def location(self) -> LedgerLocation:
        """Where it is."""
        return self._database.location

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, give up all leases, close the database."""
        self._writer.close()
        self._database.close(self.holder)

    # Replies

    def get(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """The replies known for `keys`."""
        return self._database.get(keys)

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
        return self._database.write(entries, replaced)

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
        return self._database.write(entries, displaced=outdone)

    def entries(self) -> Iterator[LedgerEntry]:
        """Every reply, ordered by key. Others may write meanwhile."""
        return self._database.entries()

    def find(self, wanted: ReplyFilter) -> Iterator[FoundReply]:
        """The replies that a filter means, in the order in which they came."""
        name = None if wanted.endpoint is None else normalise_name(wanted.endpoint)
        for reply in self._database.find(wanted):
            if name is None or normalise_name(reply.entry.endpoint) == name:
                yield reply

    def remove(self, replies: Sequence[FoundReply]) -> int:
        """Remove replies, and nothing else; returns how many were still there."""
        return self._database.remove([reply.row for reply in replies])

    # Leases

    def take(self, keys: Sequence[str], anew: bool = False) -> KeyLeases:
        """Look `keys` up and lease those neither answered nor leased.

        With `anew`, replies from before this command are none.
        """
        since = self.opened_at if anew else -math.inf
        leases = self._database.take(keys, self.holder, since)
        if leases.ours:
            self._writer.start()  # it renews the leases
        return leases

    def release(self, keys: Iterable[str]) -> None:
        """Give up leases without an answer."""
        self._database.release(list(keys), self.holder)

    # Figures

    def spend(self) -> list[DailySpend]:
        """What was bought, by requested model, day, way and endpoint; newest first."""
        return self._database.spend()

    def size(self) -> LedgerSize:
        """How many replies, and how many bytes on disk."""
        return self._database.size()

    # What other modules of `tacos.llm` keep here

    def note(self, name: str, text: str) -> None:
        """Remember something about a server."""
        self._database.note(name, text)

    def noted(self, name: str, max_age: float) -> str:
        """What was noted in the last `max_age` seconds, "" for nothing."""
        return self._database.noted(name, max_age)

    def list_submissions(self, server: str) -> list[Submission]:
        """Submissions to a server whose answers are not collected yet."""
        return self._database.list_submissions(server)

    def put_submission(self, submission: Submission) -> None:
        """Record a submission, in place of what is recorded under its mark."""
        self._database.put_submission(submission)

    def delete_submission(self, mark: str) -> None:
        """Forget a submission."""
        self._database.delete_submission(mark)

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
        keys = [entry.key for entry in entries]
        try:
            self._database.write(entries, displaced=keys, before=self.opened_at)
        except TacosError as error:
            return error
        except Exception as error:  # whatever it is, those who wait must hear of it
            return OutputError(
                f"the ledger {self.location} cannot be written: {error}; "
                "use another ledger (--ledger)"
            )
        return None

    def _renew_leases(self) -> None:
        try:
            self._database.renew(self.holder)
        except OutputError:
            # Another process may now take the leases: a question may be asked twice, but no reply
            # is lost.
            return


def _open_postgres(address: PostgresAddress) -> LedgerDatabase:
    """The database at an address. Raises `ConfigError` where the package for it is missing."""
    try:
        import psycopg  # noqa: F401 - it needs PostgreSQL's own library, too
    except ImportError:
        raise ConfigError(
            f"the ledger {address} needs a package: pip install 'tacos-select[postgres]'"
        ) from None
    from tacos.llm.ledger.postgres.database import PostgresDatabase

    return PostgresDatabase(address)
