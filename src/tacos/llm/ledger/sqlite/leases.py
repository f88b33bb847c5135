"""Leases in SQLite, so that two processes that share a ledger never ask the same question at once.

The tables call a lease a claim and its holder an owner.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from tacos.llm.ledger import lease_holders
from tacos.llm.ledger.sqlite.tables import encode_keys


def renew_leases(database: sqlite3.Connection, holder: str) -> None:
    """Let all leases of `holder` hold for another `lease_holders.LEASE` seconds."""
    until = time.time() + lease_holders.LEASE
    database.execute("INSERT OR REPLACE INTO owners VALUES (?, ?)", [holder, until])


def drop_dead_leases(database: sqlite3.Connection) -> None:
    """Void the leases of processes that are gone."""
    rows = database.execute("SELECT owner, until FROM owners").fetchall()
    dead_holders = [
        holder
        for holder, until in rows
        if until < time.time() or lease_holders.is_holder_gone(holder)
    ]
    if dead_holders:
        # Holders first: then every lease without a holder goes, whoever had it.
        database.execute(
            "DELETE FROM owners WHERE owner IN (SELECT value FROM json_each(?))",
            [encode_keys(dead_holders)],
        )
        database.execute(
            "DELETE FROM claims WHERE owner NOT IN (SELECT owner FROM owners)"
        )


def lease_keys(
    database: sqlite3.Connection,
    keys: Sequence[str],
    holder: str,
) -> set[str]:
    """Lease to `holder` those of `keys` that are free; all of `keys` that it now holds."""
    key_list = encode_keys(keys)
    # OR IGNORE: a key that somebody holds stays with its holder.
    database.execute(
        "INSERT OR IGNORE INTO claims SELECT value, ? FROM json_each(?) WHERE true",
        [holder, key_list],
    )
    rows = database.execute(
        "SELECT key FROM claims WHERE owner = ? AND key IN (SELECT value FROM json_each(?))",
        [holder, key_list],
    )
    return {key for (key,) in rows}


def release_keys(
    database: sqlite3.Connection,
    keys: Sequence[str],
    holder: str,
) -> None:
    """Give up the holder's leases on `keys`."""
    database.execute(
        "DELETE FROM claims WHERE owner = ? AND key IN (SELECT value FROM json_each(?))",
        [holder, encode_keys(keys)],
    )


def release_all(database: sqlite3.Connection, holder: str) -> None:
    """Give up all leases of `holder`."""
    database.execute("DELETE FROM claims WHERE owner = ?", [holder])
    database.execute("DELETE FROM owners WHERE owner = ?", [holder])
