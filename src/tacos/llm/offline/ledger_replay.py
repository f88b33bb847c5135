"""A model that answers from the ledger alone: what it cannot answer is still to be asked, by
whatever way.

With it the loop goes as far as the replies reach, without a network; batch and exchange files rest
on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tacos.config import LLM
from tacos.errors import TacosError
from tacos.llm.chat.messages import asked
from tacos.llm.client import fingerprint
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import resolve
from tacos.records import Reply, Request


class Unanswered(TacosError):
    """The ledger lacks replies to these requests."""


class Replaying:
    """Answers as a client of the same model would, where the ledger has the replies."""

    where: Literal["here"] = "here"
    pointwise = False

    def __init__(self, settings: LLM, model: str, ledger: Ledger) -> None:
        self.settings, self.name, self.ledger = settings, model, ledger

    @property
    def fingerprint(self) -> str:
        """The client's, so that both make the same artifacts."""
        return fingerprint(self.name, self.settings)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies from the ledger. Raises `Unanswered` where one is missing."""
        found = resolve(
            [asked(request, self.name, self.settings.body) for request in requests], self.ledger
        )
        replies = [reply for reply in found if isinstance(reply, Reply)]
        if len(replies) < len(requests):
            raise Unanswered(
                f"{len(requests) - len(replies)} of {len(requests)} requests have no reply yet"
            )
        return replies
