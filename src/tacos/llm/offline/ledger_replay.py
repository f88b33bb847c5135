"""A model that answers from the ledger alone: what it cannot answer is still to be asked, by
whatever way.

With it the loop goes as far as the replies reach, without a network; batch and exchange files rest
on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tacos.config import LLMSettings
from tacos.errors import TacosError
from tacos.llm.chat.messages import render_request
from tacos.llm.client import fingerprint_model
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import resolve_questions
from tacos.records import Reply, Request


class MissingRepliesError(TacosError):
    """The ledger lacks replies to these requests."""


class LedgerModel:
    """Answers as a client of the same model would, where the ledger has the replies."""

    where: Literal["here"] = "here"
    pointwise = False

    def __init__(self, settings: LLMSettings, model: str, ledger: Ledger) -> None:
        self.settings, self.name, self.ledger = settings, model, ledger

    @property
    def fingerprint(self) -> str:
        """The client's, so that both make the same artifacts."""
        return fingerprint_model(self.name, self.settings)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies from the ledger. Raises `MissingRepliesError` where one is missing."""
        found = resolve_questions(
            [render_request(request, self.name, self.settings.body) for request in requests],
            self.ledger,
        )
        replies = [reply for reply in found if isinstance(reply, Reply)]
        if len(replies) < len(requests):
            raise MissingRepliesError(
                f"{len(requests) - len(replies)} of {len(requests)} requests have no reply yet"
            )
        return replies
