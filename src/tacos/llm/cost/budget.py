"""The hard cap on spending, checked before a request goes out.

A request goes out only if what was spent, plus the most that everything in flight and this request
can cost, stays within the cap. The most that a request can cost: its prompt at the most tokens per
byte seen so far (before the first reply: one per three bytes), and `max_tokens` of answer. So near
the cap fewer requests are in flight, and the cap is not crossed. A request without an answer (after
a time-out, say) counts as one request and no tokens, since nobody knows what it cost.
"""

from __future__ import annotations

import threading
from typing import Literal, NamedTuple

from tacos.amounts import BudgetCap, BudgetUnit, parse_budget
from tacos.errors import BudgetReachedError, ConfigError
from tacos.llm.cost.prices import ModelPrice


class Cost(NamedTuple):
    """An amount that was, or may be, spent."""

    requests: float = 0
    tokens: float = 0
    usd: float = 0

    def of(self, unit: BudgetUnit) -> float:
        """In one unit."""
        if unit == "usd":
            return self.usd
        if unit == "tokens":
            return self.tokens
        return self.requests

    def plus(self, other: Cost, sign: int = 1) -> Cost:
        """The sum (with sign -1, the difference)."""
        return Cost(
            self.requests + sign * other.requests,
            self.tokens + sign * other.tokens,
            self.usd + sign * other.usd,
        )


NOTHING = Cost()


def compute_cost(
    price: ModelPrice | None,
    prompt_tokens: float,
    answer_tokens: float,
) -> Cost:
    """What one reply cost; dollars are 0 without a price."""
    usd = price.usd(prompt_tokens, answer_tokens) if price else 0.0
    return Cost(1, prompt_tokens + answer_tokens, usd)


class BudgetMeter:
    """What was spent so far, what is in flight, and the cap on both. Thread-safe.

    One meter counts for all clients of a command (their ledger has it).
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
        """Set the cap that `text` names, if any.

        Raises `ConfigError` where it is in dollars and the price of `model` is unknown; `section`
        is the model's section of the settings.
        """
        self.cap = parse_budget(text) or self.cap
        if self.cap and self.cap.unit == "usd" and price is None:
            settings = f"--set {section}.price_in=..."
            if section == "llm":  # embeddings have no answer to pay for
                settings += " and --set llm.price_out=..."
            raise ConfigError(
                f"a budget in dollars needs the price of {model!r}: "
                f"give dollars per million tokens, with {settings}"
            )

    def hold(self, most: Cost) -> bool:
        """Reserve the most that a request can cost; False where the cap does not allow it."""
        if self.cap is None:
            return True
        unit = self.cap.unit
        # Looking and reserving in one step: two requests must not take the same rest.
        with self._lock:
            committed = self.spent.of(unit) + self.held.of(unit)
            if committed + most.of(unit) > self.cap.amount:
                return False
            self.held = self.held.plus(most)
            return True

    def settle(self, most: Cost, real: Cost) -> None:
        """Replace a request's reservation by what it really cost."""
        with self._lock:
            if self.cap is not None:
                self.held = self.held.plus(most, -1)
            spent = self.spent
            self.spent = Cost(
                spent.requests + real.requests,
                spent.tokens + real.tokens,
                spent.usd + real.usd,
            )

    def reached(self) -> BudgetReachedError:
        """The exception for a reached cap, with what was spent."""
        spent = self.spent
        cap = self.cap
        n_requests = f"{spent.requests:,.0f} requests"
        n_tokens = f"{spent.tokens:,.0f} tokens"
        amounts = f"{n_requests}, {n_tokens}"
        # Zero dollars are worth saying only where dollars are what the cap counts.
        is_in_dollars = cap and cap.unit == "usd"
        if spent.usd or is_in_dollars:
            amounts += f", {spent.usd:.4f} usd"
        return BudgetReachedError(
            f"the budget of {cap} is reached ({amounts}); "
            "all replies are kept, and the same command continues from here"
        )
