"""The hard cap: what may still be spent, checked before a request goes out.

A request is let out only if what was spent, plus the most that everything in flight and this
request can cost, stays within the cap. The most a request can cost: its prompt at the most tokens
per byte seen so far (before the first reply: one per three bytes), and `max_tokens` of answer. So
near the cap fewer requests are in flight, and the cap is not crossed. A request that got no answer
(a time-out, say) counts as one request and as no tokens, since nobody told what it cost.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tacos.errors import BudgetReachedError, ConfigError
from tacos.llm.cost.prices import ModelPrice

Unit = Literal["usd", "tokens", "requests"]
FORM = re.compile(r"(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)\s*([kKmM]?)\s*(usd|\$|tokens?|requests?)")
FACTOR = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class BudgetCap:
    """The most that may be spent."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        return f"{self.amount:g} usd" if self.unit == "usd" else f"{self.amount:,.0f} {self.unit}"


class Cost(NamedTuple):
    """Something that was, or may be, spent."""

    requests: float = 0
    tokens: float = 0
    usd: float = 0

    def of(self, unit: Unit) -> float:
        """In one unit."""
        return self.usd if unit == "usd" else self.tokens if unit == "tokens" else self.requests

    def plus(self, other: Cost, sign: int = 1) -> Cost:
        """The sum (or, with sign -1, the difference)."""
        return Cost(
            self.requests + sign * other.requests,
            self.tokens + sign * other.tokens,
            self.usd + sign * other.usd,
        )


NOTHING = Cost()


def parse_budget(text: str) -> BudgetCap | None:
    """A cap from `5usd`, `$5`, `2mtokens`, `1000 requests`; None for "". Raises `ConfigError`.

    >>> parse_budget("5usd"), parse_budget("2.5Mtokens").amount, parse_budget("")
    (BudgetCap(amount=5.0, unit='usd'), 2500000.0, None)
    """
    plain = text.strip().lower()
    if not plain:
        return None
    plain = f"{plain[1:]}usd" if plain.startswith("$") else plain
    match = FORM.fullmatch(plain)
    if match is None:
        raise ConfigError(f"budget {text!r} is not of the form 5usd, 2000000tokens or 1000requests")
    amount, factor, unit = match.groups()
    units: dict[str, Unit] = {"u": "usd", "$": "usd", "t": "tokens", "r": "requests"}
    return BudgetCap(
        float(amount.replace(",", "").replace("_", "")) * FACTOR[factor], units[unit[0]]
    )


def compute_cost(price: ModelPrice | None, prompt_tokens: float, answer_tokens: float) -> Cost:
    """What one reply cost; dollars are 0 without a price."""
    usd = price.usd(prompt_tokens, answer_tokens) if price else 0.0
    return Cost(1, prompt_tokens + answer_tokens, usd)


class BudgetMeter:
    """What was spent since it was made, what is in flight, and the cap on both. Thread-safe.

    One meter counts for all clients of a command (it hangs on their ledger).
    """

    def __init__(self) -> None:
        self.cap: BudgetCap | None = None
        self.spent = Cost()
        self.held = Cost()
        self._lock = threading.Lock()

    def limit(
        self,
        text: str,
        model: str,
        price: ModelPrice | None,
        section: Literal["llm", "embed"] = "llm",
    ) -> None:
        """Set the cap that `text` names, if it names one.

        Raises `ConfigError` where it is in dollars and the price of `model` is unknown; `section`
        has the settings.
        """
        self.cap = parse_budget(text) or self.cap
        if self.cap and self.cap.unit == "usd" and price is None:
            raise ConfigError(
                f"a budget in dollars needs the price of {model!r}: give dollars per million tokens, with "
                f"--set {section}.price_in=..."
                + (" and --set llm.price_out=..." if section == "llm" else "")
            )

    def hold(self, most: Cost) -> bool:
        """Set the most that a request can cost aside; False where the cap does not allow it."""
        if self.cap is None:
            return True
        with self._lock:
            unit = self.cap.unit
            if self.spent.of(unit) + self.held.of(unit) + most.of(unit) > self.cap.amount:
                return False
            self.held = self.held.plus(most)
            return True

    def settle(self, most: Cost, real: Cost) -> None:
        """A held request has come back and cost `real`."""
        with self._lock:
            if self.cap is not None:
                self.held = self.held.plus(most, -1)
            self.spent = self.spent.plus(real)

    def reached(self) -> BudgetReachedError:
        """The exception that says where things stand."""
        spent, cap = self.spent, self.cap
        what = f"{spent.requests:,.0f} requests, {spent.tokens:,.0f} tokens"
        if spent.usd or (cap and cap.unit == "usd"):  # else no price is known
            what += f", {spent.usd:.4f} usd"
        return BudgetReachedError(
            f"the budget of {cap} is reached ({what}); all replies are kept: the same command goes on from here"
        )
