"""The tables of a ledger in PostgreSQL, and how they are brought up to date.

They are in the schema in which the user of the address makes tables: the first one of the search
path, `public` unless the database or the address (`?options=-csearch_path=NAME`) says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from tacos.errors import OutputError
from tacos.llm.ledger.location import PostgresAddress
from tacos.llm.ledger.postgres.connection import Connection

# Texts are ordered by their bytes, as in SQLite. Replies may hold what no text of PostgreSQL can,
# such as the character 0, so they are bytes. Only the server's clock says when a lease ends: those
# of several machines differ.
MIGRATIONS = (
    """
    CREATE TABLE tacos_replies (
      id BIGINT GENERATED ALWAYS AS IDENTITY,
      key TEXT COLLATE "C" PRIMARY KEY,
      asked TEXT COLLATE "C" NOT NULL,
      model TEXT NOT NULL,
      task TEXT NOT NULL,
      finish TEXT NOT NULL,
      prompt_tokens BIGINT NOT NULL,
      answer_tokens BIGINT NOT NULL,
      latency DOUBLE PRECISION NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      way TEXT COLLATE "C" NOT NULL,
      raw BYTEA NOT NULL,
      endpoint TEXT COLLATE "C" NOT NULL,
      follows TEXT NOT NULL);
    CREATE TABLE tacos_leases (
      key TEXT COLLATE "C" PRIMARY KEY, holder TEXT COLLATE "C" NOT NULL);
    CREATE TABLE tacos_holders (
      holder TEXT COLLATE "C" PRIMARY KEY, until TIMESTAMPTZ NOT NULL);
    CREATE TABLE tacos_notes (
      name TEXT PRIMARY KEY, text TEXT NOT NULL, at DOUBLE PRECISION NOT NULL);
    CREATE TABLE tacos_submissions (
      mark TEXT PRIMARY KEY, server TEXT NOT NULL, file TEXT NOT NULL, batch TEXT NOT NULL,
      keys TEXT NOT NULL);
    """,
)
"""Statements that bring the tables from each version to the next, beginning with none."""
TABLES = ("replies", "leases", "holders", "notes", "submissions")
LOCK = 0x7461636F73
"""Of the one who changes the tables."""


def prepare_tables(
    connection: Connection,
    address: PostgresAddress,
    migrations: Sequence[str] = MIGRATIONS,
) -> None:
    """Create the tables, or bring those of an older version up to date; no reply changes.

    Raises `OutputError` for a database of a newer tacos, or one that does not hold Unicode.
    """
    encoding = _fetch_value(connection, "SHOW server_encoding")
    if encoding != "UTF8":
        raise OutputError(
            f"the ledger {address} cannot be opened: the database's encoding is {encoding}; "
            "make one with the encoding UTF8 (createdb -E UTF8 -T template0)"
        )
    if _read_version(connection, address, migrations) == len(migrations):
        return
    with connection.transaction():
        # Several processes may open a new database at once: one makes the tables.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        version = _read_version(connection, address, migrations)
        if version == 0:
            connection.execute("CREATE TABLE tacos_ledger (version INTEGER NOT NULL)")
            connection.execute("INSERT INTO tacos_ledger VALUES (0)")
        for statements in migrations[version:]:
            connection.execute(statements)
        connection.execute("UPDATE tacos_ledger SET version = %s", [len(migrations)])


def _read_version(
    connection: Connection,
    address: PostgresAddress,
    migrations: Sequence[str],
) -> int:
    """The version of the tables, 0 where there are none."""
    # Reading `pg_class` makes the server notice a table that was made a moment ago.
    sql = "SELECT count(*) FROM pg_class WHERE oid = to_regclass('tacos_ledger')"
    if _fetch_value(connection, sql) == 0:
        return 0
    version = int(_fetch_value(connection, "SELECT version FROM tacos_ledger"))
    if version > len(migrations):
        raise OutputError(
            f"the ledger {address} cannot be opened: it was written by a newer tacos "
            f"(version {version} of the tables, not {len(migrations)}); install that one, "
            "or use another ledger (--ledger)"
        )
    return version


def _fetch_value(connection: Connection, sql: LiteralString) -> Any:
    """The one value that a statement gives."""
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]
