"""A ledger in a PostgreSQL database, shared by the processes of several machines.

What is written is on the server's disk before it is used. Leases end by the server's clock, and
those of a process that is gone at once on its machine, after `lease_holders.LEASE` seconds
elsewhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from tacos.errors import OutputError
from tacos.llm.ledger import unwritten_replies
from tacos.llm.ledger.location import PostgresAddress
from tacos.llm.ledger.postgres import statements
from tacos.llm.ledger.postgres.connection import (
    Connection,
    Outage,
    SteadyConnection,
    connect,
)
from tacos.llm.ledger.postgres.failures import explain_failures
from tacos.llm.ledger.postgres.tables import TABLES, prepare_tables
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

FETCHED = 500
"""Replies that a long read brings at once."""


class PostgresDatabase:
    """The database at an address, its tables made if they do not exist; see `LedgerDatabase` for
    the methods.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        with self._open() as connection:
            prepare_tables(connection, address)
        # One connection reads and leases, another one writes: a commit to disk never delays a look
        # up.
        outage = Outage()
        self._leasing = SteadyConnection(address, outage)
        self._writing = SteadyConnection(address, outage)
        try:
            unwritten_replies.return_replies(self.address, self._return)
        except OutputError:
            self._close_connections()
            raise

    @property
    def location(self) -> PostgresAddress:
        """The address."""
        return self.address

    def close(self, holder: str) -> None:
        """Give up the holder's leases and every connection."""
        # Where the database is away the leases end by themselves, and the command has said so.
        with suppress(OutputError):
            self._leasing.run(lambda link: statements.release_all(link, holder))
        self._close_connections()

    # Replies

    def get(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """The replies known for `keys`."""
        cursor = self._leasing.run(lambda link: statements.select_entries(link, keys))
        return statements.read_entries(cursor)

    def write(
        self,
        entries: Sequence[LedgerEntry],
        replaced: Sequence[str] = (),
        displaced: Sequence[str] = (),
        before: float = math.inf,
    ) -> int:
        """Insert `entries` and void the leases on them; returns how many were new.

        Where that is impossible for replies that have just come (`before` is when their command
        began), they are kept in a file of this machine until the ledger is opened again.
        """
        with unwritten_replies.keep_unwritten(self.address, entries, before):
            return self._insert(entries, replaced, displaced, before)

    def entries(self) -> Iterator[LedgerEntry]:
        """Every reply, ordered by key."""
        sql = f"SELECT id, {statements.NAMES} FROM tacos_replies ORDER BY key"
        return (reply.entry for reply in self._read(sql))

    def find(self, wanted: ReplyFilter) -> Iterator[FoundReply]:
        """The replies of a model and a time, in the order in which they came."""
        conditions = ["at >= %s", "at < %s"]
        values: list[float | str] = [wanted.since, wanted.until]
        if wanted.model is not None:
            conditions.append("asked = %s")
            values.append(wanted.model)
        return self._read(
            f"SELECT id, {statements.NAMES} FROM tacos_replies "
            f"WHERE {' AND '.join(conditions)} ORDER BY at, id",
            values,
        )

    def remove(self, rows: Sequence[int]) -> int:
        """Remove replies by their rows; returns how many there were."""
        sql = "DELETE FROM tacos_replies WHERE id = ANY(%s)"
        return self._writing.run(lambda link: link.execute(sql, [list(rows)])).rowcount

    # Leases

    def take(self, keys: Sequence[str], holder: str, since: float) -> KeyLeases:
        """Look `keys` up and lease those neither answered nor leased."""

        def look_up(link: Connection) -> tuple[statements.Cursor, statements.Cursor]:
            return statements.select_entries(link, keys), statements.select_holders(
                link
            )

        def lease(link: Connection) -> tuple[statements.Cursor, statements.Cursor]:
            return statements.lease_keys(link, missing, holder, dead)

        entries, holders = self._leasing.run(look_up)
        known = _read_since(entries, since)
        missing = [key for key in keys if key not in known]
        if not missing:
            return KeyLeases(known, set(), set())
        dead = statements.read_dead_holders(holders)

        leased, entries = self._leasing.run(lease)
        held = {key for (key,) in leased}
        # Answered between the two looks.
        late = _read_since(entries, since)
        if late:
            self.release(list(late.keys() & held), holder)
        ours = held - late.keys()
        theirs = set(missing) - held - late.keys()
        return KeyLeases(known | late, ours, theirs)

    def release(self, keys: Sequence[str], holder: str) -> None:
        """Give up the holder's leases on `keys`."""
        self._leasing.run(lambda link: statements.release_keys(link, keys, holder))

    def renew(self, holder: str) -> None:
        """Let the holder's leases hold for another while."""
        self._leasing.run(lambda link: statements.renew_leases(link, holder))

    # Figures, notes, and submissions to batch APIs

    def spend(self) -> list[DailySpend]:
        """What was bought, by requested model, day, way and endpoint; newest first."""
        sql = """
            SELECT asked, to_char(to_timestamp(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, way,
              count(*), sum(prompt_tokens)::BIGINT, sum(answer_tokens)::BIGINT, endpoint
            FROM tacos_replies GROUP BY 1, 2, 3, endpoint ORDER BY 2 DESC, 1, 3, endpoint
        """
        rows = self._leasing.run(lambda link: link.execute(sql))
        return [DailySpend(*row) for row in rows]

    def size(self) -> LedgerSize:
        """How many replies, and how many bytes on the server's disk."""
        sizes = " + ".join(f"pg_total_relation_size('tacos_{name}')" for name in TABLES)
        sql = f"SELECT count(*), {sizes} FROM tacos_replies"
        ((n_replies, n_bytes),) = self._leasing.run(lambda link: link.execute(sql))
        return LedgerSize(str(self.address), n_replies, n_bytes)

    def note(self, name: str, text: str) -> None:
        """Remember something about a server."""
        sql = """
            INSERT INTO tacos_notes VALUES (%s, %s, %s)
            ON CONFLICT (name) DO UPDATE SET text = excluded.text, at = excluded.at
        """
        self._leasing.run(lambda link: link.execute(sql, [name, text, time.time()]))

    def noted(self, name: str, max_age: float) -> str:
        """What was noted in the last `max_age` seconds, "" for nothing."""
        sql = "SELECT text FROM tacos_notes WHERE name = %s AND at > %s"
        since = time.time() - max_age
        row = self._leasing.run(
            lambda link: link.execute(sql, [name, since])
        ).fetchone()
        return str(row[0]) if row else ""

    def list_submissions(self, server: str) -> list[Submission]:
        """Submissions to a server whose answers are not collected yet."""
        sql = "SELECT mark, server, file, batch, keys FROM tacos_submissions WHERE server = %s"
        rows = self._writing.run(lambda link: link.execute(sql, [server]))
        return [decode_submission(row) for row in rows]

    def put_submission(self, submission: Submission) -> None:
        """Record a submission, in place of what is recorded under its mark."""
        sql = """
            INSERT INTO tacos_submissions VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (mark) DO UPDATE SET
              server = excluded.server, file = excluded.file, batch = excluded.batch,
              keys = excluded.keys
        """
        row = encode_submission(submission)
        self._writing.run(lambda link: link.execute(sql, row), "written")

    def delete_submission(self, mark: str) -> None:
        """Forget a submission."""
        sql = "DELETE FROM tacos_submissions WHERE mark = %s"
        self._writing.run(lambda link: link.execute(sql, [mark]))

    # Connections

    def _read(
        self,
        statement: str,
        values: Sequence[float | str] = (),
    ) -> Iterator[FoundReply]:
        """Replies and their rows, a few at a time over a connection of their own."""
        with (
            self._open() as connection,
            connection.transaction(),
            connection.cursor(name="tacos_replies", binary=True) as cursor,
        ):
            cursor.itersize = FETCHED
            cursor.execute(statement, values)
            for row, *fields in cursor:
                yield FoundReply(row, statements.read_entry(fields))

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        """A connection that is not made again. Raises `OutputError`."""
        with explain_failures(self.address, "opened"):
            connection = connect(self.address)
        with closing(connection), explain_failures(self.address, "used"):
            yield connection

    def _close_connections(self) -> None:
        self._leasing.close()
        self._writing.close()

    def _insert(
        self,
        entries: Sequence[LedgerEntry],
        replaced: Sequence[str] = (),
        displaced: Sequence[str] = (),
        before: float = math.inf,
    ) -> int:
        """Insert replies; returns how many were new."""

        def insert(link: Connection) -> statements.Cursor:
            return statements.write_entries(link, entries, replaced, displaced, before)

        return self._writing.run(insert, "written").rowcount

    def _return(
        self,
        entries: Sequence[LedgerEntry],
        displaced: Sequence[str],
        before: float,
    ) -> int:
        """Insert replies that were kept."""
        return self._insert(entries, displaced=displaced, before=before)


def _read_since(cursor: statements.Cursor, since: float) -> dict[str, LedgerEntry]:
    """The replies that do not come from before a time."""
    entries = statements.read_entries(cursor)
    return {key: entry for key, entry in entries.items() if entry.at >= since}
