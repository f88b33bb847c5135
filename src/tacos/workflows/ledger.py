"""`tacos ledger`: the paid replies, what they cost, and how to move them to another machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tacos.llm.cost import prices
from tacos.llm.ledger.ledger import DailySpend, LedgerSize, open_ledger
from tacos.llm.offline import exchange_files
from tacos.workflows import arguments


@dataclass(frozen=True)
class PricedSpend:
    """Replies of one day, model and way (online or batch), and their price."""

    spend: DailySpend
    usd: float | None
    """By today's price table; None if the model has no price there."""


@dataclass(frozen=True)
class LedgerOverview:
    """How much a ledger holds."""

    size: LedgerSize
    spend: list[PricedSpend]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [{**row.spend._asdict(), "usd": row.usd} for row in self.spend]
        return {**self.size._asdict(), "spend": rows}


class ImportedReplies(NamedTuple):
    """The lines of an exported ledger, by what became of them."""

    n_new: int
    n_known: int
    n_unreadable: int


def ledger(
    ledger: str | Path | None = None,
) -> LedgerOverview:
    """Read the size of a ledger, and its spend by model and day.

    `ledger` defaults to the ledger in the user's data folder. Raises `OutputError` if it cannot be
    opened.
    """
    with open_ledger(arguments.to_optional_path("ledger", ledger)) as book:
        size = book.size()
        spend = book.spend()
    priced = []
    for row in spend:
        usd = _price_spend(row)
        priced.append(PricedSpend(row, usd))
    return LedgerOverview(size, priced)


def export_ledger(output: str | Path, ledger: str | Path | None = None) -> int:
    """Write every reply of a ledger as a line of JSON; returns how many there are."""
    target = arguments.to_path("output", output)
    with open_ledger(arguments.to_optional_path("ledger", ledger)) as book:
        return book.export(target)


def import_ledger(
    file: str | Path, ledger: str | Path | None = None
) -> ImportedReplies:
    """Add the replies of an exported ledger to a ledger; existing ones stay as they are."""
    source = arguments.to_path("file", file)
    with open_ledger(arguments.to_optional_path("ledger", ledger)) as book:
        counts = book.restore(exchange_files.read_exchange_lines(source))
    return ImportedReplies(*counts)


def _price_spend(row: DailySpend) -> float | None:
    """Dollars by today's price table; None without a price."""
    price = prices.find_price(row.model)
    if price is None:
        return None
    # `batch` is the factor of the batch API's price.
    online = price.usd(row.prompt_tokens, row.answer_tokens)
    return online * price.batch if row.way == "batch" else online
