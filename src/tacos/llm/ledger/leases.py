"""Claims on questions, so that two processes that share a ledger do not ask the same one at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from tacos.llm.ledger import lease_holders
from tacos.llm.ledger.schema import encode_keys

LEASE = 15.0
"""Seconds for which a claim holds after its process was last heard of."""


def renew_leases(database: sqlite3.Connection, owner: str) -> None:
    """This process lives: its claims hold for another lease."""
    database.execute("INSERT OR REPLACE INTO owners VALUES (?, ?)", [owner, time.time() + LEASE])


def drop_dead_leases(database: sqlite3.Connection) -> None:
    """Void the claims of processes that are gone."""
    rows = database.execute("SELECT owner, until FROM owners").fetchall()
    dead = [
        owner for owner, until in rows if until < time.time() or lease_holders.is_holder_gone(owner)
    ]
    if dead:
        database.execute(
            "DELETE FROM owners WHERE owner IN (SELECT value FROM json_each(?))",
            [encode_keys(dead)],
        )
        database.execute("DELETE FROM claims WHERE owner NOT IN (SELECT owner FROM owners)")


def lease_keys(database: sqlite3.Connection, keys: Sequence[str], owner: str) -> set[str]:
    """Those of `keys` that are this owner's from now on."""
    text = encode_keys(keys)
    database.execute(
        "INSERT OR IGNORE INTO claims SELECT value, ? FROM json_each(?) WHERE true", [owner, text]
    )
    rows = database.execute(
        "SELECT key FROM claims WHERE owner = ? AND key IN (SELECT value FROM json_each(?))",
        [owner, text],
    )
    return {row[0] for row in rows}
