"""The hard cap on spending, checked before a request goes out.

A request goes out only if what was spent, plus the most that everything in flight and this request
can cost, stays within the cap. The most that a request can cost: its prompt at the most tokens per
byte seen so far (before the first reply: one per three bytes), and `max_tokens` of answer. So near
the cap fewer requests are in flight, and the cap is not crossed. A request without an answer (after
a time-out, say) counts as one request and no tokens, since nobody knows what it cost.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tacos.errors import BudgetReachedError, ConfigError
from tacos.llm.cost.prices import ModelPrice

Unit = Literal["usd", "tokens", "requests"]
FORM = re.compile(
    r"(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)\s*([kKmM]?)\s*(usd|\$|tokens?|requests?)"
)
FACTOR = {"": 1, "k": 1_000, "m": 1_000_000}
UNITS: dict[str, Unit] = {"u": "usd", "$": "usd", "t": "tokens", "r": "requests"}
"""By the first letter."""


@dataclass(frozen=True, slots=True)
class BudgetCap:
    """The most that may be spent."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        if self.unit == "usd":
            return f"{self.amount:g} usd"
        return f"{self.amount:,.0f} {self.unit}"


class Cost(NamedTuple):
    """An amount that was, or may be, spent."""

    requests: float = 0
    tokens: float = 0
    usd: float = 0

    def of(self, unit: Unit) -> float:
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


def parse_budget(text: str) -> BudgetCap | None:
    """A cap from `5usd`, `$5`, `2mtokens`, `1000 requests`; None for "". Raises `ConfigError`.

    >>> parse_budget("5usd"), parse_budget("2.5Mtokens").amount, parse_budget("")
    (BudgetCap(amount=5.0, unit='usd'), 2500000.0, None)
    """
    normalized = text.strip().lower()
    if not normalized:
        return None
    if normalized.startswith("$"):
        normalized = f"{normalized[1:]}usd"
    match = FORM.fullmatch(normalized)
    if match is None:
        raise ConfigError(
            f"the budget {text!r} is not of the form 5usd, 2000000tokens or 1000requests"
        )
    number, factor, unit = match.groups()
    # Both signs that people put between thousands.
    digits = number.replace(",", "").replace("_", "")
    amount = float(digits) * FACTOR[factor]
    # The first letter is enough: usd, tokens or requests.
    first_letter = unit[0]
    return BudgetCap(
        amount=amount,
        unit=UNITS[first_letter],
    )


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
