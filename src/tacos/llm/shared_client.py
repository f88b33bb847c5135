"""A client whose questions are asked in other processes, as an engine of several machines has them.

It travels to them as what it is made of, and each process opens a client of its own, with its share
of the rates, of the requests in flight and of the budget: together they keep the limits. Replies go
to the ledger that all of them share, which also sees to it that no two ask the same question.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tacos.amounts import parse_budget
from tacos.config import LLMSettings
from tacos.llm.client import Client, connect, fingerprint_model
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.location import LedgerLocation
from tacos.records import Reply, Request

_OPEN: dict[SharedClient, tuple[Client, Ledger]] = {}
"""The clients of this process."""
_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class SharedClient:
    """Answers requests by the client of whichever process it is called in."""

    settings: LLMSettings
    model: str
    ledger: LedgerLocation | None
    n_shares: int
    """Processes that share the limits."""
    opened_at: float = field(default_factory=time.time)
    """Replies from before are those of earlier commands."""
    where: Literal["thread"] = "thread"
    pointwise: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedClient) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    @property
    def _parts(self) -> tuple[str, str, LedgerLocation | None, float]:
        return (
            self.model,
            self.settings.model_dump_json(),
            self.ledger,
            self.opened_at,
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def fingerprint(self) -> str:
        """Part of a stage key, see `fingerprint_model`."""
        return fingerprint_model(self.model, self.settings)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """See `Client.answer`."""
        return self._open().answer(requests)

    def _open(self) -> Client:
        """The client of this process, opened now if there is none yet."""
        with _LOCK:
            if self not in _OPEN:
                ledger = open_ledger(self.ledger)
                ledger.opened_at = self.opened_at
                share = take_share(self.settings, self.n_shares)
                _OPEN[self] = (connect(share, self.model, ledger), ledger)
            return _OPEN[self][0]


def take_share(settings: LLMSettings, n: int) -> LLMSettings:
    """What one of `n` processes may do of what all may do together.

    >>> share = take_share(LLMSettings(rpm=600, concurrency=256, budget="5usd"), 4)
    >>> share.rpm, share.concurrency, share.budget
    (150, 64, '1.25usd')
    """
    cap = parse_budget(settings.budget)
    budget = settings.budget
    if cap is not None:
        budget = str(replace(cap, amount=cap.amount / n))
    return settings.model_copy(
        update={
            "budget": budget,
            "concurrency": max(1, settings.concurrency // n),
            # 0 is no limit, and a share of a limit is never 0.
            "rpm": max(min(1, settings.rpm), settings.rpm // n),
            "tpm": max(min(1, settings.tpm), settings.tpm // n),
        }
    )


def close_clients() -> None:
    """Close the clients of this process, once what is in flight is stored."""
    with _LOCK:
        for client, ledger in _OPEN.values():
            client.close()
            ledger.close()
        _OPEN.clear()
