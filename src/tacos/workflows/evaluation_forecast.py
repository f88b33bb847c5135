"""What an evaluation would ask of its judge, and what that costs at most; nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from tacos import prompts
from tacos.config import Settings
from tacos.llm.chat.messages import RenderedRequest, render_request
from tacos.llm.cost import prices
from tacos.llm.ledger.ledger import open_ledger
from tacos.llm.ledger.location import LedgerLocation, has_ledger
from tacos.llm.ledger.lookup import list_open_requests, resolve_questions
from tacos.llm.ledger.reply_rules import build_reply_rules
from tacos.pipeline.failure_gate import find_settings_section
from tacos.pipeline.model_factory import resolve_evaluation_judge
from tacos.pipeline.stage_shapes import PromptStage
from tacos.records import Tables

BYTES_PER_TOKEN = 4
"""Of English text, roughly."""


@dataclass(frozen=True)
class QuestionForecast:
    """The requests of an evaluation, those that the ledger has no reply to, and their cost.

    A request that several rows make (two models that gave the same answer) is one: it is paid once.
    """

    model: str
    n_requests: int
    n_open: int
    prompt_tokens: int
    """Of the open requests, roughly: a token per 4 bytes."""
    max_reply_tokens: int
    """What the replies have at most."""
    max_usd: float | None
    """None: the price of the model is not known."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def forecast_questions(
    stage: Any,
    tables: Tables,
    settings: Settings,
    judge_name: str,
    ledger: LedgerLocation | None,
) -> QuestionForecast:
    """Forecast the requests of a prompt stage. Raises `ConfigError` if no judge is named."""
    model = resolve_evaluation_judge(settings, judge_name)
    requests = _render_requests(stage, tables, settings, model)
    open_requests = _find_open_requests(requests, settings, ledger)
    n_bytes = sum(len(orjson.dumps(request.messages)) for request in open_requests)
    max_tokens = sum(int(request.sampling["max_tokens"]) for request in open_requests)
    prompt_tokens = n_bytes // BYTES_PER_TOKEN
    price = prices.find_price(
        model, settings.llm.price_in, settings.llm.price_out, settings.llm.price_batch
    )
    return QuestionForecast(
        model=model,
        n_requests=len(requests),
        n_open=len(open_requests),
        prompt_tokens=prompt_tokens,
        max_reply_tokens=max_tokens,
        max_usd=None if price is None else price.usd(prompt_tokens, max_tokens),
    )


def _render_requests(
    stage: PromptStage, tables: Tables, settings: Settings, model: str
) -> list[RenderedRequest]:
    """Every request of a stage, as it would be sent, once."""
    template = stage.choose_template(settings)
    digest = prompts.hash_template(template)
    section = getattr(settings, find_settings_section(stage))
    requests: dict[str, RenderedRequest] = {}
    for batch in stage.questions(tables, settings):
        for row in batch.iter_rows(named=True):
            # What has an answer already is not asked.
            if stage.given(row) is not None:
                continue
            request = stage.ask(row, template, digest, section)
            rendered = render_request(request, model, settings.llm.body)
            requests[rendered.key] = rendered
    return list(requests.values())


def _find_open_requests(
    requests: list[RenderedRequest], settings: Settings, ledger: LedgerLocation | None
) -> list[RenderedRequest]:
    """Those that the ledger has no usable reply to."""
    if not has_ledger(ledger):
        return requests
    with open_ledger(ledger) as book:
        rules = build_reply_rules(
            settings.llm.model_copy(update={"other_endpoints": True}), book.opened_at
        )
        return list(
            list_open_requests(resolve_questions(requests, book, rules)).values()
        )
