"""A model that answers from the ledger alone.

With it the loop goes as far as the replies reach, without a network; batch and exchange files rest
on that: the questions without a reply are the ones still to be asked.
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
from tacos.llm.ledger.reply_rules import ReplyRules, build_reply_rules
from tacos.records import Reply, Request


class MissingRepliesError(TacosError):
    """The ledger lacks replies to these requests."""


class LedgerModel:
    """Answers as a client of the same model would, where the ledger has the replies."""

    where: Literal["here"] = "here"
    pointwise = False

    def __init__(
        self,
        settings: LLMSettings,
        model: str,
        ledger: Ledger,
        rules: ReplyRules | None = None,
    ) -> None:
        self.settings = settings
        self.name = model
        self.ledger = ledger
        self.rules = rules or build_reply_rules(settings, ledger.opened_at)

    @property
    def fingerprint(self) -> str:
        """The client's, so that both make the same artifacts."""
        return fingerprint_model(self.name, self.settings)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies from the ledger. Raises `MissingRepliesError` where one is missing."""
        questions = [
            render_request(request, self.name, self.settings.body)
            for request in requests
        ]
        results = resolve_questions(questions, self.ledger, self.rules)
        replies = [result for result in results if isinstance(result, Reply)]
        n_missing = len(requests) - len(replies)
        if n_missing:
            raise MissingRepliesError(
                f"{n_missing} of {len(requests)} requests have no reply yet: "
                "ask them online, in a batch, or by an exchange file"
            )
        return replies
