"""The statements of a ledger in PostgreSQL.

Each sends its statements and waits for none, so that one round trip does for all of them: what they
give is in the cursors that they return, once the transaction has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg

from tacos.llm.ledger import lease_holders
from tacos.llm.ledger.postgres.connection import Connection
from tacos.llm.ledger.schema import COLUMNS, LedgerEntry

Cursor = psycopg.Cursor[tuple[Any, ...]]
TYPES = {
    "prompt_tokens": "BIGINT",
    "answer_tokens": "BIGINT",
    "latency": "DOUBLE PRECISION",
    "at": "DOUBLE PRECISION",
    "raw": "BYTEA",
}
"""Of the columns that are no texts."""
NAMES = ", ".join(COLUMNS)
ARRAYS = ", ".join(f"%b::{TYPES.get(name, 'TEXT')}[]" for name in COLUMNS)
RAW = COLUMNS.index("raw")
# In the order of their keys: of two processes that lock the same rows, neither waits for the other
# while that one waits for it.
INSERT = f"""
    INSERT INTO tacos_replies ({NAMES})
    SELECT * FROM unnest({ARRAYS}) AS entry ({NAMES}) ORDER BY key
    ON CONFLICT (key) DO NOTHING
"""
SELECT = f"SELECT {NAMES} FROM tacos_replies"
LEASE = """
    INSERT INTO tacos_leases SELECT key, %s FROM unnest(%b::TEXT[]) AS asked (key) ORDER BY key
    ON CONFLICT (key) DO NOTHING
"""
RENEW = """
    INSERT INTO tacos_holders VALUES (%s, clock_timestamp() + make_interval(secs => %s))
    ON CONFLICT (holder) DO UPDATE SET until = excluded.until
"""
IS_OVER = """
    greatest(until, pg_postmaster_start_time() + make_interval(secs => %s)) < clock_timestamp()
"""
"""Whether a holder has not renewed its leases in time; none could while the server was away."""


class DeadHolders(NamedTuple):
    """Holders whose leases are void: processes of this machine that are gone, and those anywhere
    that have not renewed their leases for long.
    """

    gone: list[str]
    silent: list[str]


def select_entries(connection: Connection, keys: Sequence[str]) -> Cursor:
    """The replies known for `keys`, see `read_entries`."""
    return connection.execute(
        f"{SELECT} WHERE key = ANY(%b)", [list(keys)], binary=True
    )


def read_entries(cursor: Cursor) -> dict[str, LedgerEntry]:
    """Replies by their keys."""
    entries = map(read_entry, cursor)
    return {entry.key: entry for entry in entries}


def read_entry(row: Sequence[Any]) -> LedgerEntry:
    """A reply from its row."""
    entry = LedgerEntry(*row)
    return entry._replace(raw=bytes(row[RAW]).decode("utf-8", "surrogatepass"))


def write_entries(
    connection: Connection,
    entries: Sequence[LedgerEntry],
    replaced: Sequence[str],
    displaced: Sequence[str],
    before: float,
) -> Cursor:
    """Insert replies and void the leases on them; the rows of the cursor are the new ones."""
    # Whatever the server does by default: on disk when this is done.
    connection.execute("SET LOCAL synchronous_commit TO on")
    if displaced:
        connection.execute(
            "UPDATE tacos_replies SET key = key || '~' || gen_random_uuid() "
            "WHERE key = ANY(%b) AND at < %s",
            [list(displaced), before],
        )
    cursor = connection.execute(INSERT, _list_columns(entries))
    keys = [entry.key for entry in entries]
    connection.execute("DELETE FROM tacos_leases WHERE key = ANY(%b)", [keys])
    if replaced:
        connection.execute(
            "UPDATE tacos_replies SET prompt_tokens = 0, answer_tokens = 0 WHERE key = ANY(%b)",
            [list(replaced)],
        )
    return cursor


def lease_keys(
    connection: Connection,
    keys: Sequence[str],
    holder: str,
    dead: DeadHolders,
) -> tuple[Cursor, Cursor]:
    """Lease to `holder` those of `keys` that are free: the keys that it now holds, and the replies
    that have come for `keys` meanwhile.
    """
    _commit_lazily(connection)
    # First, so that a process that stood still does not void its own leases.
    renew_leases(connection, holder)
    if dead.gone or dead.silent:
        _drop_holders(connection, dead)
    connection.execute(LEASE, [holder, list(keys)])
    held = connection.execute(
        "SELECT key FROM tacos_leases WHERE holder = %s AND key = ANY(%b)",
        [holder, list(keys)],
    )
    # After the leases: whoever wrote a reply gave its lease up in the same transaction, so a lease
    # that was free comes with the reply that freed it.
    return held, select_entries(connection, keys)


def select_holders(connection: Connection) -> Cursor:
    """Every holder of leases, and whether its leases have ended."""
    return connection.execute(
        f"SELECT holder, {IS_OVER} FROM tacos_holders",
        [lease_holders.LEASE],
    )


def read_dead_holders(cursor: Cursor) -> DeadHolders:
    """Which of the holders have ended."""
    holders = cursor.fetchall()
    gone = [holder for holder, _ in holders if lease_holders.is_holder_gone(holder)]
    silent = [holder for holder, is_over in holders if is_over]
    return DeadHolders(gone, silent)


def renew_leases(connection: Connection, holder: str) -> None:
    """Let the holder's leases hold for another while."""
    connection.execute(RENEW, [holder, lease_holders.LEASE])


def release_keys(connection: Connection, keys: Sequence[str], holder: str) -> None:
    """Give up the holder's leases on `keys`."""
    _commit_lazily(connection)
    connection.execute(
        "DELETE FROM tacos_leases WHERE holder = %s AND key = ANY(%b)",
        [holder, list(keys)],
    )


def release_all(connection: Connection, holder: str) -> None:
    """Give up all leases of `holder`."""
    connection.execute("DELETE FROM tacos_leases WHERE holder = %s", [holder])
    connection.execute("DELETE FROM tacos_holders WHERE holder = %s", [holder])


def _drop_holders(connection: Connection, holders: DeadHolders) -> None:
    """Void the leases of holders that have ended; one that renews its leases now keeps them."""
    connection.execute(
        "DELETE FROM tacos_holders "
        f"WHERE holder = ANY(%s) OR (holder = ANY(%s) AND {IS_OVER})",
        [holders.gone, holders.silent, lease_holders.LEASE],
    )
    connection.execute(
        "DELETE FROM tacos_leases WHERE holder = ANY(%s) "
        "AND holder NOT IN (SELECT holder FROM tacos_holders)",
        [[*holders.gone, *holders.silent]],
    )


def _commit_lazily(connection: Connection) -> None:
    """Do not wait for the disk: a lost lease is no harm."""
    connection.execute("SET LOCAL synchronous_commit TO off")


def _list_columns(entries: Sequence[LedgerEntry]) -> list[list[Any]]:
    """Replies as one array for each column."""
    columns = zip(*entries, strict=True)
    arrays = []
    for name, column in zip(COLUMNS, columns, strict=True):
        convert = CONVERTERS.get(TYPES.get(name, "TEXT"), _clean_text)
        arrays.append([convert(value) for value in column])
    return arrays


def _clean_text(text: str) -> str:
    r"""A text without what PostgreSQL's texts cannot hold; servers name their models as they like.

    >>> _clean_text("tiny-1"), _clean_text("a\x00b\ud800")
    ('tiny-1', 'a\ufffdb?')
    """
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _encode_raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "BIGINT": int,
    "DOUBLE PRECISION": float,
    "BYTEA": _encode_raw,
}
"""A type -> what makes a value of it."""
