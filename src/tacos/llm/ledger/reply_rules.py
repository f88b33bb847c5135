"""Which replies of a ledger answer a question now.

A reply that could not be used is no answer for ever: the server may have been mended since. And a
model's name is no model: another endpoint may serve something else under it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tacos.config import LLMSettings
from tacos.errors import OtherEndpointError
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.transport.endpoint import resolve_base_url
from tacos.llm.transport.endpoint_names import (
    NOT_NOTED,
    name_endpoint,
    normalise_name,
)


@dataclass(frozen=True)
class ReplyRules:
    """What one command takes from a ledger.

    `endpoint` is the name of the one that it asks (`transport.endpoint_names`), `before` the time
    (seconds since 1970) before which replies are those of earlier commands.
    """

    endpoint: str
    before: float
    asks_again: bool = True
    """Whether a question whose reply cannot be used is asked once more."""
    allows_others: bool = False
    """Whether replies of other endpoints are used."""
    asks_refused: bool = False
    """Whether a question that was refused is asked once more."""

    def is_stale(self, *entries: LedgerEntry) -> bool:
        """Whether a question with these unusable replies is to be asked anew."""
        return self.asks_again and all(entry.at < self.before for entry in entries)

    def name_other_endpoint(self, entry: LedgerEntry) -> str:
        """The endpoint of a reply where it is another one; "" too where it was not noted."""
        is_same = normalise_name(entry.endpoint) == self.endpoint
        return "" if is_same else entry.endpoint

    def name_origin(self, entry: LedgerEntry) -> str:
        """What to say of where a reply comes from: another endpoint, or one that was not noted; ""
        where there is nothing to say.
        """
        return self.name_other_endpoint(entry) if entry.endpoint else NOT_NOTED

    def check_endpoints(self, entries: Iterable[LedgerEntry]) -> None:
        """Raise `OtherEndpointError` if replies that would be used are another endpoint's, and
        nobody has allowed that.
        """
        if self.allows_others:
            return
        counts: Counter[str] = Counter()
        models: set[str] = set()
        for entry in entries:
            other = self.name_other_endpoint(entry)
            if other:
                counts[other] += 1
                models.add(entry.asked)
        if counts:
            raise _build_other_endpoint_error(counts, models, self.endpoint)


def build_reply_rules(
    settings: LLMSettings,
    before: float,
) -> ReplyRules:
    """The rules by the settings of an endpoint."""
    return ReplyRules(
        endpoint=name_endpoint(resolve_base_url(settings), settings),
        before=before,
        asks_again=settings.ask_again,
        allows_others=settings.other_endpoints,
        asks_refused=settings.ask_refused,
    )


def _build_other_endpoint_error(
    counts: Counter[str],
    models: Iterable[str],
    endpoint: str,
) -> OtherEndpointError:
    """Where the replies come from, and what a person can do."""
    origins = [f"{count:,} by {other}" for other, count in counts.most_common()]
    names = ", ".join(sorted(models))
    example, _ = counts.most_common(1)[0]
    return OtherEndpointError(
        f"the ledger has replies to these questions from another endpoint than {endpoint}, "
        f"under the same model name {names}: {', '.join(origins)}. Pass --yes "
        "(llm.other_endpoints=true) to use them; to ask anew, name another ledger (--ledger) "
        f"or remove them: tacos ledger remove --endpoint {example}"
    )
