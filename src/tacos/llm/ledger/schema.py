"""The ledger's file: its tables, a row of replies, and how rows are written."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import orjson

Way = Literal["online", "batch", "exchange", "grouped"]
"""How a reply came; `grouped`: as part of a reply to several questions."""

TABLES = """
CREATE TABLE IF NOT EXISTS replies (
  key TEXT PRIMARY KEY, asked TEXT, model TEXT, task TEXT, finish TEXT, prompt_tokens INTEGER, answer_tokens INTEGER,
  latency REAL, at REAL, way TEXT, raw TEXT);
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, until REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT, at REAL) WITHOUT ROWID;
"""

VERSION = 1
"""Of the tables."""
PATIENCE = 60.0
"""Seconds that a connection waits for others."""


class LedgerEntry(NamedTuple):
    """One paid reply.

    `asked` is the model that was asked for, `model` the snapshot that the server says answered;
    `latency` in seconds; `at` in seconds since 1970; `raw` the server's whole answer as it came, or
    the part of it that is this question's where several were asked at once (`grouping`,
    `embedding`).
    """

    key: str
    asked: str
    model: str
    task: str
    finish: str
    prompt_tokens: int
    answer_tokens: int
    latency: float
    at: float
    way: Way
    raw: str


COLUMNS = LedgerEntry._fields
ROW = f"({', '.join('?' * len(COLUMNS))})"
CHUNK = 64
"""Rows that go in by one statement, so that the interpreter's lock is given back once, not once per
row.
"""
INSERT = "INSERT OR IGNORE INTO replies VALUES "
SELECT = f"SELECT {', '.join(COLUMNS)} FROM replies"


def open_database(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection in autocommit mode that waits a minute for others."""
    database = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    end = time.monotonic() + PATIENCE
    while True:
        try:
            _prepare_database(database, synchronous)
            return database
        except (
            sqlite3.OperationalError
        ) as error:  # SQLite itself does not wait where two make a file's journal at once
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _prepare_database(database: sqlite3.Connection, synchronous: str) -> None:
    """The journal and the tables, made where there are none."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise sqlite3.NotSupportedError("it was written by a newer tacos")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.executescript(TABLES)
    if version < VERSION:
        database.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def begin_transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A write transaction that takes its lock at once, so that it waits instead of failing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
    except BaseException:
        if (
            database.in_transaction
        ):  # SQLite may have rolled back by itself, as where the disk is full
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def write_entries(
    database: sqlite3.Connection, entries: Sequence[LedgerEntry], replaced: Sequence[str] = ()
) -> int:
    """Insert `entries` (a key that is there stays as it is) and void the claims on them; how many
    were new.

    The keys in `replaced` count no tokens from now on: the entries count them.
    """
    n_new = 0
    with begin_transaction(database):
        for start in range(0, len(entries), CHUNK):
            rows = entries[start : start + CHUNK]
            sql = INSERT + ", ".join([ROW] * len(rows))
            n_new += database.execute(sql, [value for row in rows for value in row]).rowcount
        keys = encode_keys([entry.key for entry in entries])
        database.execute("DELETE FROM claims WHERE key IN (SELECT value FROM json_each(?))", [keys])
        sql = "UPDATE replies SET prompt_tokens = 0, answer_tokens = 0 WHERE key IN (SELECT value FROM json_each(?))"
        if replaced:
            database.execute(sql, [encode_keys(replaced)])
    return n_new


def encode_keys(keys: Sequence[str]) -> str:
    """A list of keys as one SQL parameter."""
    return orjson.dumps(keys).decode()


def check_entry(entry: LedgerEntry) -> LedgerEntry:
    """An entry that came from a file, its fields of the kinds that the tables hold. Raises
    `TypeError`.
    """
    texts = (entry.key, entry.asked, entry.model, entry.task, entry.finish, entry.way, entry.raw)
    numbers = (entry.prompt_tokens, entry.answer_tokens, entry.latency, entry.at)
    whole = all(isinstance(each, int) for each in numbers[:2])
    if not (
        whole
        and all(isinstance(each, str) for each in texts)
        and all(_is_number(each) for each in numbers)
    ):
        raise TypeError("no line of a ledger")
    return entry


def _is_number(value: object) -> bool:
    """Whether a value is a plain number that SQLite can hold."""
    return isinstance(value, int | float) and abs(value) < 1e15
