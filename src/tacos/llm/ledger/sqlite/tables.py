"""The tables of a ledger in SQLite; how replies are read, written, found and removed."""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from tacos.llm.ledger.removal import FoundReply, ReplyFilter
from tacos.llm.ledger.schema import COLUMNS, LedgerEntry

# `claims` and `owners` are leases and their holders (see `leases`): the tables keep their first
# names, so that files written by older versions stay valid.
TABLES = """
CREATE TABLE IF NOT EXISTS replies (
  key TEXT PRIMARY KEY, asked TEXT, model TEXT, task TEXT, finish TEXT,
  prompt_tokens INTEGER, answer_tokens INTEGER, latency REAL, at REAL, way TEXT, raw TEXT,
  endpoint TEXT NOT NULL DEFAULT '', follows TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, until REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS submissions (
  mark TEXT PRIMARY KEY, server TEXT, file TEXT, batch TEXT, keys TEXT);
"""

VERSION = 3
"""Of the tables. In version 1, replies had no endpoint, before version 3 no `follows`."""
PATIENCE = 60.0
"""Seconds for which a connection waits for others."""
PLACEHOLDERS = f"({', '.join('?' * len(COLUMNS))})"
INSERT = "INSERT OR IGNORE INTO replies VALUES "
SELECT = f"SELECT {', '.join(COLUMNS)} FROM replies"
WHERE_KEY_IN = "WHERE key IN (SELECT value FROM json_each(?))"
"""Takes any number of keys as one parameter, see `encode_keys`."""
CHUNK = 64
"""Rows per INSERT statement: the interpreter's lock is released once per statement, not per row."""


def open_database(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection in autocommit mode that waits a minute for others. Raises `sqlite3.Error`."""
    database = sqlite3.connect(
        # A file may be called ":memory:", too.
        os.path.join(os.curdir, path),
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            _prepare_database(database, synchronous)
            return database
        except sqlite3.OperationalError as error:
            # SQLite's own timeout does not cover two processes that create the journal at once.
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _prepare_database(
    database: sqlite3.Connection,
    synchronous: str,
) -> None:
    """Set the journal up, and create the tables if they do not exist."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise sqlite3.NotSupportedError("it was written by a newer tacos")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    # The journal is copied into the ledger every 16 MB instead of every 4: a reply is as safe in
    # either, and each copy costs time while requests are on their way.
    database.execute("PRAGMA wal_autocheckpoint = 4000")
    database.executescript(TABLES)
    if version < VERSION:
        _migrate_tables(database)


def _migrate_tables(database: sqlite3.Connection) -> None:
    """Bring the tables of an older version up to date; no reply changes."""
    with begin_transaction(database):
        # Under the lock: another process may have done it meanwhile.
        columns = database.execute("PRAGMA table_info(replies)").fetchall()
        names = {name for _, name, *_ in columns}
        for name in ("endpoint", "follows"):
            if name not in names:
                column = f"{name} TEXT NOT NULL DEFAULT ''"
                database.execute(f"ALTER TABLE replies ADD COLUMN {column}")
        database.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def begin_transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A write transaction that takes its lock at once, so that it waits instead of failing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
    except BaseException:
        # SQLite may have rolled back by itself, for instance where the disk is full.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def select_entries(database: sqlite3.Connection) -> Iterator[LedgerEntry]:
    """Every reply, ordered by key."""
    for row in database.execute(f"{SELECT} ORDER BY key"):
        yield LedgerEntry(*row)


def select_entries_by_key(
    database: sqlite3.Connection,
    keys: Sequence[str],
) -> dict[str, LedgerEntry]:
    """The replies known for `keys`."""
    rows = database.execute(f"{SELECT} {WHERE_KEY_IN}", [encode_keys(keys)])
    return {row[0]: LedgerEntry(*row) for row in rows}


def write_entries(
    database: sqlite3.Connection,
    entries: Sequence[LedgerEntry],
    replaced: Sequence[str] = (),
    displaced: Sequence[str] = (),
    before: float = math.inf,
) -> int:
    """Insert `entries` (known keys stay as they are) and void the leases on them; returns how many
    were new.

    The replies with the keys in `replaced` count no tokens from now on: `entries` count them. Those
    with the keys in `displaced`, if they are from before a time (seconds since 1970), make room.
    """
    n_new = 0
    with begin_transaction(database):
        # In one transaction: no reply makes room before the one that takes its place is there.
        _retire_replies(database, displaced, before)
        for start in range(0, len(entries), CHUNK):
            rows = entries[start : start + CHUNK]
            statement = INSERT + ", ".join([PLACEHOLDERS] * len(rows))
            values = [value for row in rows for value in row]
            n_new += database.execute(statement, values).rowcount
        answered_keys = encode_keys([entry.key for entry in entries])
        database.execute(f"DELETE FROM claims {WHERE_KEY_IN}", [answered_keys])
        if replaced:
            database.execute(
                f"UPDATE replies SET prompt_tokens = 0, answer_tokens = 0 {WHERE_KEY_IN}",
                [encode_keys(replaced)],
            )
    return n_new


def _retire_replies(
    database: sqlite3.Connection,
    keys: Sequence[str],
    before: float,
) -> None:
    """Free those of `keys` whose reply was written before a time (seconds since 1970).

    The replies stay, since they were paid for, under keys that no question has.
    """
    if not keys:
        return
    statement = f"""
        UPDATE replies SET key = key || '~' || lower(hex(randomblob(8)))
        {WHERE_KEY_IN} AND at < ?
    """
    database.execute(statement, [encode_keys(keys), before])


def encode_keys(keys: Sequence[str]) -> str:
    """A list of keys as one SQL parameter."""
    return orjson.dumps(keys).decode()


def find_replies(
    database: sqlite3.Connection,
    wanted: ReplyFilter,
) -> Iterator[FoundReply]:
    """The replies of a model and a time, in the order in which they came."""
    conditions = ["at >= ?", "at < ?"]
    values: list[float | str] = [wanted.since, wanted.until]
    if wanted.model is not None:
        conditions.append("asked = ?")
        values.append(wanted.model)
    statement = f"""
        SELECT rowid, {", ".join(COLUMNS)} FROM replies
        WHERE {" AND ".join(conditions)} ORDER BY at, rowid
    """
    for row, *fields in database.execute(statement, values):
        yield FoundReply(row, LedgerEntry(*fields))


def remove_rows(database: sqlite3.Connection, rows: Sequence[int]) -> int:
    """Remove replies by their rows; returns how many there were."""
    statement = "DELETE FROM replies WHERE rowid IN (SELECT value FROM json_each(?))"
    # Everything or nothing: half of a removal is what nobody has agreed to.
    with begin_transaction(database):
        return database.execute(statement, [orjson.dumps(list(rows)).decode()]).rowcount
