"""What can be decided about the result of an exchange, and the tally of a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tacos.errors import LLMError
from tacos.llm.cost.budget import Cost
from tacos.llm.ledger.schema import LedgerEntry


class Keep(NamedTuple):
    """A good reply: store it, then deliver it."""

    entry: LedgerEntry
    cost: Cost


class Retry(NamedTuple):
    """No reply yet: the request goes to the front of the queue after some seconds.

    With `stop`, nothing is sent any more: the request is not lost, only not answered.
    """

    seconds: float = 0.0
    stop: LLMError | None = None


class GiveUp(NamedTuple):
    """No reply for this request, and why; with `stop`, for no other one either."""

    reason: str
    raw: str
    stop: LLMError | None = None


Decision = Keep | Retry | GiveUp


@dataclass(slots=True)
class ClientTally:
    """What a client has done so far."""

    n_known: int = 0
    """Replies found in the ledger."""
    n_sent: int = 0
    n_answered: int = 0
    n_retried: int = 0
    n_asked_again: int = 0
    """Questions asked again with what is wrong with the reply."""
    n_asked_anew: int = 0
    """Questions asked anew, since the ledger's replies to them cannot be used."""
    n_failed: int = 0
    in_flight: int = 0
    limit: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    usd: float = 0.0
    is_priced: bool = True
    """Whether a price is known; without one `usd` stays 0."""
