"""What keeps a ledger: one protocol, and a module for each kind of database.

Several processes use one database at once. Every method may be called from any thread, and raises
`OutputError` where the database cannot be used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tacos.llm.ledger.location import LedgerLocation
from tacos.llm.ledger.removal import FoundReply, ReplyFilter
from tacos.llm.ledger.schema import (
    DailySpend,
    KeyLeases,
    LedgerEntry,
    LedgerSize,
    Submission,
)


class LedgerDatabase(Protocol):
    """The tables of a ledger. A `holder` of leases is a process, see `lease_holders`; times are
    seconds since 1970.
    """

    @property
    def location(self) -> LedgerLocation:
        """Where the tables are."""

    def close(self, holder: str) -> None:
        """Give up the holder's leases and every connection."""

    def get(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """The replies known for `keys`."""

    def write(
        self,
        entries: Sequence[LedgerEntry],
        replaced: Sequence[str] = (),
        displaced: Sequence[str] = (),
        before: float = ...,
    ) -> int:
        """Insert `entries` (known keys stay as they are) and void the leases on them, all in one
        transaction that is on disk when this returns; returns how many were new.

        The replies with the keys in `replaced` count no tokens from now on: `entries` count them.
        Those with the keys in `displaced`, if they are from before a time, make room: they stay,
        since they were paid for, under keys that no question has.
        """

    def entries(self) -> Iterator[LedgerEntry]:
        """Every reply, ordered by the bytes of its key. Others may write meanwhile."""

    def find(self, wanted: ReplyFilter) -> Iterator[FoundReply]:
        """The replies that a filter means, whatever their endpoint, in the order in which they
        came.
        """

    def remove(self, rows: Sequence[int]) -> int:
        """Remove replies by their rows, all or none; returns how many there were."""

    def take(self, keys: Sequence[str], holder: str, since: float) -> KeyLeases:
        """Look `keys` up and lease to `holder` those neither answered nor leased, so that no two
        holders ever get the same one; renews the holder's leases. Replies from before `since` are
        none.
        """

    def release(self, keys: Sequence[str], holder: str) -> None:
        """Give up the holder's leases on `keys`."""

    def renew(self, holder: str) -> None:
        """Let the holder's leases hold for another `lease_holders.LEASE` seconds."""

    def spend(self) -> list[DailySpend]:
        """What was bought, by requested model, day, way and endpoint; newest first."""

    def size(self) -> LedgerSize:
        """How many replies, and how many bytes on disk."""

    def note(self, name: str, text: str) -> None:
        """Remember something about a server."""

    def noted(self, name: str, max_age: float) -> str:
        """What was noted in the last `max_age` seconds, "" for nothing."""

    def list_submissions(self, server: str) -> list[Submission]:
        """Submissions to a server whose answers are not collected yet."""

    def put_submission(self, submission: Submission) -> None:
        """Record a submission, in place of what is recorded under its mark."""

    def delete_submission(self, mark: str) -> None:
        """Forget a submission."""
