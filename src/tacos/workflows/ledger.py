"""`tacos ledger`: the paid replies, what they cost, and how to move them to another machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tacos.errors import ConfigError
from tacos.llm.cost import prices
from tacos.llm.embedding.envelope import TASK as EMBEDDING
from tacos.llm.ledger import lookup
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.location import LedgerLocation, list_ledger_files
from tacos.llm.ledger.removal import FoundReply, ReplyFilter
from tacos.llm.ledger.schema import DailySpend, LedgerEntry, LedgerSize
from tacos.llm.offline import exchange_files
from tacos.llm.transport.endpoint_names import NOT_NOTED
from tacos.methods.evaluating import answer_grades, preferences
from tacos.methods.judging import comparisons, refinement
from tacos.methods.tags import open_tags, tag_checks
from tacos.workflows import arguments, kept_files

DAY = 86_400.0
SEVERAL_ANSWERS = {
    "type": "object",
    "properties": {"answers": {"type": "array"}},
    "required": ["answers"],
}
"""Answers to several pairs of tags, or to several instructions."""
ANSWER_SCHEMAS: tuple[dict[str, Any], ...] = (
    open_tags.SCHEMA,
    comparisons.SCHEMA,
    comparisons.GRADE_SCHEMA,
    comparisons.ONE_SCORE_SCHEMA,
    comparisons.ONE_SCORE_GRADE_SCHEMA,
    refinement.RESPONSE_SCHEMA,
    refinement.INSTRUCTION_SCHEMA,
    *map(tag_checks.build_answer_schema, tag_checks.FIELD),
    SEVERAL_ANSWERS,
)
"""What the answers to the questions of tacos look like."""
TEXT_SCHEMAS: dict[str, dict[str, Any]] = {
    answer_grades.TASK: answer_grades.SCHEMA,
    preferences.TASK: preferences.SCHEMA,
}
"""Task -> what the answers look like that are plain texts."""


@dataclass(frozen=True)
class PricedSpend:
    """Replies of one day, model and way (online or batch), and their price."""

    spend: DailySpend
    usd: float | None
    """By the prices that were set last for a command, or by today's price table; None if neither
    knows the model.
    """
    source: str = ""
    """Where the price comes from."""


@dataclass(frozen=True)
class LedgerOverview:
    """How much a ledger holds."""

    size: LedgerSize
    spend: list[PricedSpend]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [
            {**row.spend._asdict(), "usd": row.usd, "price": row.source}
            for row in self.spend
        ]
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
    with open_ledger(arguments.to_ledger_location(ledger)) as book:
        size = book.size()
        priced = [_price_spend(row, book) for row in book.spend()]
    return LedgerOverview(size, priced)


def export_ledger(output: str | Path, ledger: str | Path | None = None) -> int:
    """Write every reply of a ledger as a line of JSON; returns how many there are."""
    target = arguments.to_path("output", output)
    location = arguments.to_ledger_location(ledger)
    kept_files.check_files_kept([target], list_ledger_files(location))
    with open_ledger(location) as book:
        return book.export(target)


def import_ledger(
    file: str | Path, ledger: str | Path | None = None
) -> ImportedReplies:
    """Add the replies of an exported ledger to a ledger.

    Existing ones stay as they are, unless only the new one holds an answer.
    """
    source = arguments.to_path("file", file)
    with open_ledger(arguments.to_ledger_location(ledger)) as book:
        counts = book.restore(exchange_files.read_exchange_lines(source), _is_better)
    return ImportedReplies(*counts)


@dataclass(frozen=True)
class ReplyGroup:
    """Replies to one task by one model of one endpoint."""

    model: str
    endpoint: str
    """The base URL; "" where it was not noted."""
    task: str
    n_replies: int
    n_unusable: int
    prompt_tokens: int
    answer_tokens: int
    first_day: str
    last_day: str
    """The days (UTC) of the oldest and the newest reply."""


@dataclass(frozen=True)
class PlannedRemoval:
    """Replies to remove: exactly these, whatever comes in meanwhile."""

    ledger: LedgerLocation | None
    replies: list[FoundReply]
    """Without their raw text."""
    groups: list[ReplyGroup]


def remove_from_ledger(
    ledger: str | Path | None = None,
    *,
    model: str | None = None,
    endpoint: str | None = None,
    date: str | None = None,
    unusable: bool = False,
    dry_run: bool = False,
) -> list[ReplyGroup]:
    """Remove the replies that meet all of the criteria, and nothing else.

    Their questions are asked, and paid for, anew.

    Args:
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        model: The requested model.
        endpoint: The base URL that was asked; "" or "not noted" where it was not noted.
        date: A day (UTC) such as "2026-11-25", or days from and to: "2026-11-01..2026-11-25",
            "2026-11-01..", "..2026-11-25".
        unusable: Only replies that hold no answer, refusals among them. A reply stays where its
            question was asked again and answered then: the answer is found by it.
        dry_run: Count only.

    Returns:
        What was removed, or with `dry_run` would be.

    Raises:
        ConfigError: There is no criterion, or the date is none.
    """
    planned = plan_removal(
        ledger,
        model=model,
        endpoint=endpoint,
        date=date,
        unusable=unusable,
    )
    if not dry_run:
        carry_out_removal(planned)
    return planned.groups


def plan_removal(
    ledger: str | Path | None = None,
    *,
    model: str | None = None,
    endpoint: str | None = None,
    date: str | None = None,
    unusable: bool = False,
) -> PlannedRemoval:
    """Find the replies that meet all of the criteria, as `remove_from_ledger` says."""
    path = arguments.to_ledger_location(ledger)
    texts = {"model": model, "endpoint": endpoint, "date": date}
    for name, value in texts.items():
        if value is not None:
            arguments.check_type(name, value, str, "a text")
    wanted = _build_reply_filter(model, endpoint, date)
    if wanted == ReplyFilter() and not unusable:
        raise ConfigError(
            "say which replies to remove: --model, --endpoint, --date or --unusable "
            "(remove the file to remove them all)"
        )
    replies: list[FoundReply] = []
    entries_by_group: dict[tuple[str, str, str], list[LedgerEntry]] = {}
    n_unusable: Counter[tuple[str, str, str]] = Counter()
    with open_ledger(path) as book:
        healed = _find_healed_keys(book) if unusable else set()
        for row, entry in book.find(wanted):
            is_unusable = not holds_answer(entry)
            if unusable and (not is_unusable or entry.key in healed):
                continue
            slim = entry._replace(raw="")
            replies.append(FoundReply(row, slim))
            group = (entry.asked, entry.endpoint, entry.task)
            entries_by_group.setdefault(group, []).append(slim)
            n_unusable[group] += is_unusable
    groups = [
        _describe_group(entries, n_unusable[group])
        for group, entries in entries_by_group.items()
    ]
    return PlannedRemoval(path, replies, groups)


def carry_out_removal(planned: PlannedRemoval) -> int:
    """Remove what was planned; returns how many replies there still were."""
    with open_ledger(planned.ledger) as book:
        return book.remove(planned.replies)


def _find_healed_keys(book: Ledger) -> set[str]:
    """The keys of replies after which the question was asked again, and answered."""
    return {
        entry.follows
        for _, entry in book.find(ReplyFilter())
        if entry.follows and holds_answer(entry)
    }


def holds_answer(entry: LedgerEntry) -> bool:
    """Whether a reply answers any kind of question that tacos asks."""
    if entry.task == EMBEDDING:
        return True  # only valid vectors are kept
    if entry.task in TEXT_SCHEMAS:
        return lookup.holds_answer(entry, [TEXT_SCHEMAS[entry.task]])
    # The ledger does not keep the question, so it is not known which of them was asked for.
    return lookup.holds_answer(entry, ANSWER_SCHEMAS)


def _is_better(entry: LedgerEntry, known: LedgerEntry) -> bool:
    """Whether a reply holds an answer, and the one that is known does not."""
    return not holds_answer(known) and holds_answer(entry)


def _build_reply_filter(
    model: str | None,
    endpoint: str | None,
    date: str | None,
) -> ReplyFilter:
    """The criteria that need no look into the replies."""
    if endpoint is not None:
        endpoint = "" if endpoint == NOT_NOTED else endpoint
    if date is None:
        return ReplyFilter(model, endpoint)
    first, dots, last = date.partition("..")
    since = _parse_day(first, date) if first or not dots else -math.inf
    until = math.inf
    if last or not dots:
        until = _parse_day(last or first, date) + DAY
    return ReplyFilter(model, endpoint, since, until)


def _parse_day(text: str, date: str) -> float:
    """The first second of a day, since 1970 (UTC)."""
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d")
    except ValueError:
        raise ConfigError(
            f"{date!r} is no date: write a day (2026-11-25), or days from and to "
            "(2026-11-01..2026-11-25)"
        ) from None
    return day.replace(tzinfo=UTC).timestamp()


def _describe_group(entries: Sequence[LedgerEntry], n_unusable: int) -> ReplyGroup:
    """What some replies of one model, endpoint and task have in common."""
    first = entries[0]
    days = [datetime.fromtimestamp(entry.at, UTC).date() for entry in entries]
    return ReplyGroup(
        model=first.asked,
        endpoint=first.endpoint,
        task=first.task,
        n_replies=len(entries),
        n_unusable=n_unusable,
        prompt_tokens=sum(entry.prompt_tokens for entry in entries),
        answer_tokens=sum(entry.answer_tokens for entry in entries),
        first_day=min(days).isoformat(),
        last_day=max(days).isoformat(),
    )


def _price_spend(row: DailySpend, book: Ledger) -> PricedSpend:
    """Dollars by the price that was set last for a command, else by today's price table."""
    kept = book.noted(f"{prices.NOTE}{row.model}", max_age=math.inf)
    price = prices.read_kept_price(kept) or prices.find_price(row.model)
    if price is None:
        return PricedSpend(row, None)
    usd = price.usd(row.prompt_tokens, row.answer_tokens)
    source = price.source
    if row.way == "batch":
        usd *= price.batch_factor
        if price.batch is None:
            source += "; no batch price is known, so the full one"
    return PricedSpend(row, usd, source)
