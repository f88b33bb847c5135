"""Finds replies of a ledger by where and when they came, and removes them."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from tacos.llm.ledger.schema import COLUMNS, LedgerEntry, begin_transaction
from tacos.llm.transport.endpoint_names import normalise_name


@dataclass(frozen=True)
class ReplyFilter:
    """Which replies are meant; None: whatever it is. Times are seconds since 1970."""

    model: str | None = None
    """The requested model."""
    endpoint: str | None = None
    """The endpoint's name, however it is spelt; "" for replies whose endpoint was not noted."""
    since: float = -math.inf
    until: float = math.inf
    """The first moment that is not meant any more."""


class FoundReply(NamedTuple):
    """A reply, and its row in the table: keys may change, rows do not."""

    row: int
    entry: LedgerEntry


def find_replies(
    database: sqlite3.Connection,
    wanted: ReplyFilter,
) -> Iterator[FoundReply]:
    """The replies that a filter means, in the order in which they came."""
    conditions = ["at >= ?", "at < ?"]
    values: list[float | str] = [wanted.since, wanted.until]
    if wanted.model is not None:
        conditions.append("asked = ?")
        values.append(wanted.model)
    statement = f"""
        SELECT rowid, {", ".join(COLUMNS)} FROM replies
        WHERE {" AND ".join(conditions)} ORDER BY at, rowid
    """
    name = None if wanted.endpoint is None else normalise_name(wanted.endpoint)
    for row, *fields in database.execute(statement, values):
        entry = LedgerEntry(*fields)
        if name is None or normalise_name(entry.endpoint) == name:
            yield FoundReply(row, entry)


def remove_rows(database: sqlite3.Connection, rows: Sequence[int]) -> int:
    """Remove replies by their rows; returns how many there were."""
    statement = "DELETE FROM replies WHERE rowid IN (SELECT value FROM json_each(?))"
    # Everything or nothing: half of a removal is what nobody has agreed to.
    with begin_transaction(database):
        return database.execute(statement, [orjson.dumps(list(rows)).decode()]).rowcount
