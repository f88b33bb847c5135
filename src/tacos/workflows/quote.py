"""`tacos quote`: a small paid pilot per LLM stage, and what the whole run will cost by it.

Where more answers of a pilot cannot be used than the stage's gate allows, the run would stop there:
then there is no forecast.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

from tacos import llm
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, FailureRateError, LLMError
from tacos.llm.chat import grouped_prompts
from tacos.llm.chat.grouped_model import GroupedModel
from tacos.llm.chat.messages import render_request
from tacos.llm.cost import prices
from tacos.llm.cost.forecast import (
    ForecastRange,
    RateLimits,
    RequestUsage,
    StageForecast,
    forecast_stage,
    is_above_limit,
)
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.schema import LedgerEntry
from tacos.models import close_judge
from tacos.pipeline.answer_watch import StageWatch, describe_reasons
from tacos.pipeline.conditions import uses_close_judge
from tacos.pipeline.failure_gate import (
    name_gate_setting,
    read_failure_limit,
    suggest_remedy,
)
from tacos.pipeline.judging_mode import resolve_judging
from tacos.pipeline.model_factory import (
    UserFunctions,
    list_endpoint_models,
    open_models,
)
from tacos.pipeline.stages import find_stage
from tacos.records import Reply, Request, Table
from tacos.store import files
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import arguments
from tacos.workflows.extension import build_extension, check_preset, open_source
from tacos.workflows.given_settings import (
    GivenSettings,
    resolve_run_settings,
    resolve_settings,
)
from tacos.workflows.grouped_tagging_quality import QualityCost, measure_quality_cost
from tacos.workflows.input_samples import (
    NewSamples,
    count_run_questions,
    list_known_samples,
    read_samples,
)
from tacos.workflows.pilot_questions import TAGGING, draw_pilot
from tacos.workflows.reading_time import ReadingTime, measure_reading_time
from tacos.workflows.selection import GivenRun, load

ONE_MODEL = (*TAGGING, "match")
"""Stages that ask one model only."""


N_UNWATCHED = 40
"""Questions of a pilot that are asked in full, so that the share that can be used is known."""


@dataclass(frozen=True)
class QuotedRows:
    """The samples that a run would have, those that no run which it extends has, and the tables of
    these runs (`tacos.pipeline.old_tables`).
    """

    samples: Artifact
    new: Table
    old_tables: Mapping[str, Table]


@dataclass(frozen=True)
class Quote:
    """What a run will cost: a forecast per LLM stage and model."""

    stages: list[StageForecast]
    quality: QualityCost | None = None
    """What `tag.per_request` costs in quality, if that was asked for."""
    reading: ReadingTime | None = None
    """What the slow tier of the embedded judge reads, if it does."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ranges as low, mid, high."""
        quality = None if self.quality is None else dict(vars(self.quality))
        return {
            "stages": [_forecast_as_dict(stage) for stage in self.stages],
            "quality": quality,
            "reading": None if self.reading is None else vars(self.reading),
        }


def quote(  # noqa: PLR0913 - the options of the command
    data: Any,
    settings: GivenSettings = None,
    *,
    n: str | float = 1000,
    preset: str = "robust",
    pilot: int = 20,
    quality: bool = False,
    ledger: str | Path | None = None,
    extend: GivenRun | Sequence[GivenRun] | None = None,
    renew: bool = False,
) -> Quote:
    """Forecast the requests, tokens, dollars and minutes of `tacos.select`, from a paid pilot.

    Args:
        data: Whatever `tacos.select` reads.
        settings: All settings, or nested ones over the preset; a stage must ask an endpoint.
        n: The size of the selection; not read if `settings` are complete.
        preset: "robust" or "paper"; not read if `settings` are complete.
        pilot: Paid requests to send per stage.
        quality: Whether to measure what `tag.per_request` costs in quality, with more requests.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        extend: A run, or several, that the data would join: only what their rows have not been
            asked is forecast. The settings are then those of the first one.
        renew: Whether an extended run's vocabulary and clusters would be made anew.

    Raises:
        ConfigError: No stage asks an endpoint, or the pilot has no request.
        InputError: The data cannot be read.
        FailureRateError: Fewer answers of a pilot can be used than a stage's gate asks for.
        LLMError: The endpoint refuses.
    """
    if extend is None:
        chosen = resolve_settings(settings, preset, select={"n": n})
    else:
        runs = arguments.list_items(extend)
        of_first = load(runs[0]).settings
        check_preset(preset, of_first)
        joined = build_extension(runs, renew=renew)
        chosen = resolve_run_settings(
            settings, of_first, {"select": {"n": n}, **joined}
        )
    arguments.check_type("pilot", pilot, Integral, "a number of requests")
    if pilot < 1:
        raise ConfigError(f"pilot is {pilot}; it needs at least 1 request per stage")
    location = arguments.to_ledger_location(ledger)
    cost = None
    with open_ledger(location) as book, open_samples(data, chosen) as rows:
        # First: it stops where the answers cannot be used.
        stages = quote_stages(rows, chosen, book, pilot)
        if quality:
            cost = quote_quality_cost(rows, chosen, book, pilot)
        return Quote(stages, cost, _quote_reading(rows.samples, chosen))


@contextmanager
def open_samples(data: Any, settings: Settings) -> Iterator[QuotedRows]:
    """The samples of the data and of the runs that they join, while the context lasts.

    Raises `ConfigError` if no stage asks an endpoint.
    """
    if not list_endpoint_models(settings):
        raise ConfigError(
            "nothing to quote: this run would not call a language model; "
            "name one (--model, llm.model) or a server (--llm, llm.base_url)"
        )
    # What is taken over from another run depends on how the judge works.
    settings = resolve_judging(settings)
    # A quote makes no run: what it reads is gone when it ends.
    with files.make_temporary_folder() as folder:
        store = Store(folder)
        # An empty ledger: models are opened for what they are, and asked nothing.
        ledger = store.root / "ledger.sqlite"
        with open_models(settings, UserFunctions(), ledger) as models:
            source = open_source(data, store.root, settings, models)
        samples = read_samples(source, settings, store)
        known = list_known_samples(source.old_tables)
        new = NewSamples(samples, known)
        yield QuotedRows(samples, new, source.old_tables)


def quote_stages(
    rows: QuotedRows,
    settings: Settings,
    ledger: Ledger,
    k: int = 20,
) -> list[StageForecast]:
    """A forecast per LLM stage and model, from pilots of k requests.

    Raises `FailureRateError` if more answers of a pilot cannot be used than a stage's gate allows,
    beyond chance.
    """
    n_questions = count_run_questions(rows.samples, settings, rows.old_tables)
    forecasts = []
    for stage, models in list_endpoint_models(settings).items():
        n_of_each_model = _count_model_questions(stage, n_questions, settings)
        if not n_of_each_model:
            continue  # what is known of old rows is all that the stage needs
        for model in models:
            requests = draw_pilot(
                stage,
                model,
                rows.new,
                settings,
                k,
            )
            if requests:
                pilot = _Pilot(
                    stage,
                    model,
                    requests,
                    settings,
                    ledger,
                )
                forecasts.append(_quote_stage(pilot, n_of_each_model))
    if settings.tag.per_request > 1:
        # A line of the batch API is one request of one instruction.
        return [replace(forecast, usd_batch=None) for forecast in forecasts]
    return forecasts


def quote_quality_cost(
    rows: QuotedRows,
    settings: Settings,
    ledger: Ledger,
    k: int = 20,
) -> QualityCost:
    """What `tag.per_request` costs in quality, on the instructions of a pilot of k requests.

    Raises `ConfigError` if no language model is asked several instructions at once.
    """
    models = list_endpoint_models(settings).get("tag", ())
    if not models or settings.tag.per_request == 1:
        raise ConfigError(
            "nothing to compare: set tag.per_request to 2 or more, and name a language model"
        )
    model = models[0]
    requests = draw_pilot(
        "tag",
        model,
        rows.new,
        settings,
        k,
    )
    return measure_quality_cost(
        requests,
        model,
        settings,
        ledger,
    )


def _quote_reading(samples: Artifact, settings: Settings) -> ReadingTime | None:
    """How long the slow tier of the embedded judge reads; None if it reads nothing."""
    resolved = resolve_judging(settings)
    if not uses_close_judge(resolved):
        return None
    return measure_reading_time(
        samples,
        resolved,
        close_judge.load(),
        LocalEngine().n_workers,
    )


def _forecast_as_dict(forecast: StageForecast) -> dict[str, Any]:
    """A forecast with its ranges as low, mid, high."""
    plain = dict(vars(forecast))
    for name, value in plain.items():
        if isinstance(value, ForecastRange):
            plain[name] = value._asdict()
    return plain


def _count_model_questions(
    stage: str, n_questions: Mapping[str, int], settings: Settings
) -> int:
    """The questions of a stage to one of its models; the judges of a panel share them evenly."""
    n_of_stage = n_questions[stage]
    return n_of_stage if stage in ONE_MODEL else n_of_stage // len(settings.judges)


@dataclass(frozen=True)
class _Pilot:
    """The first requests of a stage to a model, and where to ask them."""

    stage: str
    model: str
    requests: Sequence[Request]
    settings: Settings
    ledger: Ledger

    def watch(self) -> StageWatch:
        """Stops a long pilot early; a short one is asked in full."""
        settings = self.settings
        if len(self.requests) <= N_UNWATCHED:
            llm_settings = settings.llm.model_copy(update={"stop_early": False})
            settings = settings.model_copy(update={"llm": llm_settings})
        return StageWatch(find_stage(self.stage), settings)

    def forecast(
        self,
        n_requests: int,
        usages: Sequence[RequestUsage],
        n_asked_again: int,
        n_usable: int,
    ) -> StageForecast:
        """The forecast of a stage by what the pilot used."""
        llm_settings = self.settings.llm
        price = prices.find_price(
            self.model,
            llm_settings.price_in,
            llm_settings.price_out,
            llm_settings.price_batch,
        )
        limits = RateLimits(
            llm_settings.concurrency, llm_settings.rpm, llm_settings.tpm
        )
        forecast = forecast_stage(
            self.stage,
            self.model,
            n_requests,
            usages,
            n_asked_again,
            price,
            limits,
        )
        return replace(forecast, n_asked=len(self.requests), n_usable=n_usable)

    def count_usable(self, replies: Sequence[Reply]) -> int:
        """How many replies can be used. Raises `FailureRateError` where too few can."""
        failures = [reply for reply in replies if reply.text is None]
        n = len(replies)
        n_usable = n - len(failures)
        stage = find_stage(self.stage)
        limit = read_failure_limit(stage, self.settings)
        if not is_above_limit(len(failures), n, limit):
            return n_usable
        reasons = Counter(reply.failure or "no reply" for reply in failures)
        examples = {reply.failure or "no reply": reply.raw for reply in failures}
        section = name_gate_setting(stage)
        raise FailureRateError(
            f"{n_usable} of {n} answers to {self.stage} by {self.model} could be used"
            f"{describe_reasons(reasons, examples)}. The run would stop at {self.stage}, where "
            f"{limit:.1%} may fail, so there is no forecast. "
            f"{suggest_remedy(stage, list(reasons))}, or allow more: "
            f"--set {section}.max_failure_rate=..."
        )


def _quote_stage(pilot: _Pilot, n_questions: int) -> StageForecast:
    """Ask a pilot, and forecast the stage by what it used."""
    if pilot.stage in TAGGING and pilot.settings.tag.per_request > 1:
        return _quote_groups(pilot, n_questions)
    llm_settings = pilot.settings.llm
    with llm.connect(llm_settings, pilot.model, pilot.ledger) as client:
        client.watch(pilot.watch())
        replies = client.answer(pilot.requests)
    n_usable = pilot.count_usable(replies)
    first_keys = [
        render_request(request, pilot.model, llm_settings.body).key
        for request in pilot.requests
    ]
    entries = pilot.ledger.get(first_keys)
    usages = [_sum_usage([entry]) for entry in entries.values()]
    _check_usages(usages)
    # The pilot pays for re-asks as the run will, so they are forecast separately.
    n_again = 0
    for reply, first_key in zip(replies, first_keys, strict=True):
        # A reply under another key answers a re-ask, after an unusable first reply.
        if reply.key and reply.key != first_key:
            n_again += 1
    n_again = min(n_again, len(usages))
    return pilot.forecast(n_questions, usages, n_again, n_usable)


def _quote_groups(pilot: _Pilot, n_questions: int) -> StageForecast:
    """Forecast tagging with several instructions per request.

    The usage of a group includes that of the instructions that it left open, which are asked alone.
    """
    n = pilot.settings.tag.per_request
    llm_settings = pilot.settings.llm
    with llm.connect(llm_settings, pilot.model, pilot.ledger) as client:
        grouped = GroupedModel(client, "tag", n)
        grouped.watch(pilot.watch())
        replies = grouped.answer(pilot.requests)
    n_usable = pilot.count_usable(replies)
    members = [
        grouped_prompts.build_group_member(
            request,
            pilot.model,
            llm_settings.body,
            n,
        ).key
        for request in pilot.requests
    ]
    # A member's reply stands under its own key, or, asked alone later, under another one.
    keys_of = {
        member: {member, reply.key}
        for member, reply in zip(members, replies, strict=True)
    }
    every_key = [key for keys in keys_of.values() for key in keys]
    entries = pilot.ledger.get(every_key)
    groups = grouped_prompts.split_into_groups(list(keys_of), n)
    usages = []
    for group in groups:
        # A member's keys, so that what it cost asked alone counts towards its group.
        keys = [key for member in group for key in keys_of[member]]
        paid = [entries[key] for key in keys if key in entries]
        if paid:
            usages.append(_sum_usage(paid))
    _check_usages(usages)
    # A request of this stage asks n questions.
    n_requests = math.ceil(n_questions / n)
    forecast = pilot.forecast(n_requests, usages, n_asked_again=0, n_usable=n_usable)
    # Instructions that a group left open cost requests of their own.
    n_alone_per_group = grouped.n_alone / len(groups)
    return replace(forecast, requests=forecast.requests.times(1 + n_alone_per_group))


def _check_usages(usages: Sequence[RequestUsage]) -> None:
    """Raise `LLMError` where no reply is in the ledger: nothing says what one costs."""
    if not usages:
        raise LLMError(
            "no request of the pilot was answered, so there is nothing to forecast from"
        )


def _sum_usage(entries: Sequence[LedgerEntry]) -> RequestUsage:
    """The tokens of some replies together, and the latency of the slowest."""
    return RequestUsage(
        sum(entry.prompt_tokens for entry in entries),
        sum(entry.answer_tokens for entry in entries),
        max(entry.latency for entry in entries),
    )
