"""What batches may cost: how many questions a budget surely covers, at the prices by batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tacos.config import LLMSettings
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.cost import prices
from tacos.llm.cost.budget import NOTHING, BudgetMeter, Cost, compute_cost
from tacos.llm.ledger.schema import LedgerEntry


class BatchBudget:
    """The budget of a command, as far as its batches use it up."""

    def __init__(
        self,
        settings: LLMSettings,
        meter: BudgetMeter,
        models: Iterable[str],
    ) -> None:
        """Raises `ConfigError` for a budget in dollars and a model without a price."""
        self.settings = settings
        self.meter = meter
        for model in models:
            meter.limit(settings.budget, model, self._find_price(model))

    def select_affordable(
        self,
        questions: Sequence[RenderedRequest],
        under_way: Sequence[RenderedRequest],
    ) -> list[RenderedRequest]:
        """As many questions as the budget surely covers beside those under way. Raises
        `BudgetReachedError` where it covers none and nothing is under way.
        """
        cap = self.meter.cap
        if cap is None:
            return list(questions)
        spent = self.meter.spent
        for question in under_way:
            spent = spent.plus(self._estimate_most(question))
        affordable = []
        for question in questions:
            spent = spent.plus(self._estimate_most(question))
            if spent.of(cap.unit) > cap.amount:
                break
            affordable.append(question)
        if questions and not affordable and not under_way:
            raise self.meter.reached()
        return affordable

    def count_spending(self, entries: Iterable[LedgerEntry]) -> None:
        """Count what the replies of a batch cost against the budget."""
        for entry in entries:
            price = self._find_price(entry.asked)
            cost = compute_cost(price, entry.prompt_tokens, entry.answer_tokens)
            self.meter.settle(NOTHING, cost)

    def _estimate_most(self, question: RenderedRequest) -> Cost:
        """The most that a question can cost: a token per three characters, and the full answer."""
        n_characters = sum(len(message["content"]) for message in question.messages)
        max_tokens = float(question.sampling.get("max_tokens", 1024))
        price = self._find_price(question.model)
        return compute_cost(price, n_characters / 3, max_tokens)

    def _find_price(self, model: str) -> prices.ModelPrice | None:
        """The price of a model by batch."""
        price = prices.find_price(
            model,
            self.settings.price_in,
            self.settings.price_out,
            self.settings.price_batch,
        )
        if price is None:
            return None
        return prices.ModelPrice(
            per_million_in=price.per_million_in * price.batch_factor,
            per_million_out=price.per_million_out * price.batch_factor,
        )
