"""What the answers of a stage cost, whichever command paid for them, as counts in the notes of its
manifest.

A reply counts once in a stage, however many rows share it. A question that was asked again, or
anew, counts with all its replies. While a stage runs its counts are flat, so that those of its
parts add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.llm.cost.prices import ModelPrice, find_price
from tacos.records import PaidReply

PAID = "paid"
"""The first word of a count, before the figure, the way and the model."""


class SpendingCounter:
    """Counts the replies of one stage."""

    def __init__(self) -> None:
        # Hashes, since a stage may have a million replies.
        self._seen: set[int] = set()

    def count(self, paid_replies: Iterable[PaidReply]) -> dict[str, int]:
        """The counts of those paid replies that were not counted yet."""
        counts: Counter[str] = Counter()
        for paid in paid_replies:
            self._add(paid, counts)
        return dict(counts)

    def _add(self, paid: PaidReply, counts: Counter[str]) -> None:
        if self._is_new(paid.key):
            counts[_name("prompt_tokens", paid)] += paid.prompt_tokens
            counts[_name("answer_tokens", paid)] += paid.answer_tokens
        # Several replies may have come by one request.
        if self._is_new(f"request {paid.request}"):
            counts[_name("requests", paid)] += 1

    def _is_new(self, text: str) -> bool:
        number = hash(text)
        is_new = number not in self._seen
        self._seen.add(number)
        return is_new


def count_vector_spending(tool: Any) -> Counter[str]:
    """The counts of an encoder's vectors so far; nothing for other tools."""
    counts: Counter[str] = Counter()
    # Only encoders that ask an endpoint have them.
    vectors: Mapping[str, PaidReply] = getattr(tool, "paid", {})
    for paid in vectors.values():
        counts[_name("vectors", paid)] += 1
        counts[_name("prompt_tokens", paid)] += paid.prompt_tokens
    return counts


def price_spending(notes: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The notes with one list in place of the counts: "spending", a line per model and way."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    others = {}
    for name, count in notes.items():
        if not name.startswith(f"{PAID} "):
            others[name] = count
            continue
        _, figure, way, model = name.split(" ", 3)
        line = lines.setdefault((model, way), {"model": model, "way": way})
        line[figure] = count
    if not lines:
        return others
    for line in lines.values():
        line["usd"] = _compute_dollars(line, settings)
    return {**others, "spending": list(lines.values())}


def _compute_dollars(line: Mapping[str, Any], settings: Settings) -> float | None:
    """Dollars, None without a price."""
    price = None
    with suppress(ConfigError):  # only one of two prices is known
        price = _find_stage_price(line, settings)
    if price is None:
        return None
    n_prompt = line.get("prompt_tokens", 0)
    n_answer = line.get("answer_tokens", 0)
    usd = price.usd(n_prompt, n_answer)
    return usd * price.batch_factor if line["way"] == "batch" else usd


def _find_stage_price(line: Mapping[str, Any], settings: Settings) -> ModelPrice | None:
    llm = settings.llm
    if "vectors" in line:
        llm = settings.embed.endpoint(llm)
    return find_price(line["model"], llm.price_in, llm.price_out, llm.price_batch)


def _name(figure: str, paid: PaidReply) -> str:
    return f"{PAID} {figure} {paid.way} {paid.model}"
