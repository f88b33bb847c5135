"""A question on its way, and the batch that waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from tacos.llm.chat.envelope import ChatReply
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.cost.budget import NOTHING, Cost
from tacos.records import Reply


class ReplyBatch:
    """The replies to one `answer` call; filled on the loop's thread, waited for on another."""

    def __init__(self, n: int) -> None:
        self.replies: list[Reply | None] = [None] * n
        self.error: Exception | None = None
        self.done = threading.Event()
        self._n_left = n
        if n == 0:
            self.done.set()

    def fill(self, place: int, reply: Reply) -> None:
        """The reply to one request."""
        if self.replies[place] is None:
            self.replies[place] = reply
            self._n_left -= 1
        if self._n_left == 0:
            self.done.set()

    def fail(self, error: Exception) -> None:
        """There will be no more replies."""
        self.error = self.error or error
        self.done.set()

    def wait(self) -> list[Reply]:
        """All replies, once they are there. Raises the error that stopped them."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return [reply for reply in self.replies if reply is not None]


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """One question, who waits for its answer, and what happened to it; `level` is the form it was
    last sent in.
    """

    asked: RenderedRequest
    places: list[tuple[ReplyBatch, int]]
    again: bool = False
    """Whether this is the re-ask after an unusable answer, or shall have none."""
    n_tries: int = 0
    n_waits: int = 0
    sent_at: float = 0.0
    level: str = ""
    tokens_field: str = ""
    n_bytes: int = 0
    guess: float = 0.0
    most: Cost = NOTHING
    said: ChatReply | None = None
    """What was answered, once it has been."""

    @property
    def key(self) -> str:
        """The ledger key."""
        return self.asked.key

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to everyone who waits."""
        for batch, place in self.places:
            batch.fill(place, reply)

    def fail(self, error: Exception) -> None:
        """Tell everyone who waits that no reply will come."""
        for batch, _ in self.places:
            batch.fail(error)


def request_keys(flights: Sequence[InFlightRequest]) -> list[str]:
    """Their ledger keys."""
    return [flight.key for flight in flights]
