"""`tacos quote`: a small paid pilot per LLM stage, and what the whole run will cost by it.

The tagging pilot asks questions that the run will ask, so the run reuses their replies. What the
judge will be shown is known only after tagging, so its pilot compares samples drawn at random, in
both orders; those replies are in the ledger too.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations, islice
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from tacos import llm, prompts
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, LLMError
from tacos.formats import sources
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
)
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.schema import LedgerEntry
from tacos.methods.judging import comparisons
from tacos.methods.tags import open_tags, tag_matching
from tacos.models import close_judge, tagger
from tacos.pipeline.conditions import uses_close_judge
from tacos.pipeline.judging_mode import resolve_judging
from tacos.pipeline.model_factory import list_endpoint_models
from tacos.pipeline.stage_shapes import PromptStage
from tacos.pipeline.stages import find_stage
from tacos.pipeline.steps import pool
from tacos.records import PAIRS, Reply, Request
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import arguments
from tacos.workflows.given_settings import GivenSettings, resolve_settings
from tacos.workflows.grouped_tagging_quality import QualityCost, measure_quality_cost
from tacos.workflows.input_samples import count_run_questions, read_samples
from tacos.workflows.reading_time import ReadingTime, measure_reading_time

TAGGING = ("tag-sample", "tag")
ONE_MODEL = (*TAGGING, "match")
"""Stages that ask one model only."""
TEXTS = ("id", "instruction", "response")


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


def quote(
    data: Any,
    settings: GivenSettings = None,
    *,
    n: str | float = 1000,
    preset: str = "robust",
    pilot: int = 20,
    quality: bool = False,
    ledger: str | Path | None = None,
) -> Quote:
    """Forecast the requests, tokens, dollars and minutes of `tacos.select`, from a paid pilot.

    Args:
        data: Whatever `tacos.select` reads.
        settings: All settings, or nested ones over the preset; a stage must ask an endpoint.
        n: The size of the selection; not read if `settings` are complete.
        preset: "robust" or "paper"; not read if `settings` are complete.
        pilot: Paid requests to send per stage.
        quality: Whether to measure what `tag.per_request` costs in quality, with more requests.
        ledger: The file of paid replies; in the user's data folder by default.

    Raises:
        ConfigError: No stage asks an endpoint, or the pilot has no request.
        InputError: The data cannot be read.
        LLMError: The endpoint refuses, or answers no request of a pilot.
    """
    chosen = resolve_settings(settings, preset, select={"n": n})
    arguments.check_type("pilot", pilot, Integral, "a number of requests")
    if pilot < 1:
        raise ConfigError(f"pilot is {pilot}; it needs at least 1 request per stage")
    ledger_file = arguments.to_optional_path("ledger", ledger)
    cost = None
    with open_ledger(ledger_file) as book, open_samples(data, chosen) as samples:
        if quality:
            cost = quote_quality_cost(samples, chosen, book, pilot)
        return Quote(
            quote_stages(samples, chosen, book, pilot),
            cost,
            _quote_reading(samples, chosen),
        )


@contextmanager
def open_samples(data: Any, settings: Settings) -> Iterator[Artifact]:
    """The samples of the data, while the context lasts. Raises `ConfigError` if no stage asks an
    endpoint.
    """
    if not list_endpoint_models(settings):
        raise ConfigError(
            "nothing to quote: this run would not call a language model; "
            "name one (--model, llm.model) or a server (--llm, llm.base_url)"
        )
    # A quote makes no run: what it reads is gone when it ends.
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        store = Store(Path(folder))
        yield read_samples(sources.open_source(data, store.root), settings, store)


def quote_stages(
    samples: Artifact,
    settings: Settings,
    ledger: Ledger,
    k: int = 20,
) -> list[StageForecast]:
    """A forecast per LLM stage and model, from pilots of k requests.

    Raises `LLMError` if no request of a pilot is answered.
    """
    n_questions = count_run_questions(samples, settings)
    forecasts = []
    for stage, models in list_endpoint_models(settings).items():
        n_of_each_model = _count_model_questions(stage, n_questions, settings)
        for model in models:
            requests = _draw_pilot(
                stage,
                model,
                samples,
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
    samples: Artifact,
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
    requests = _draw_pilot(
        "tag",
        model,
        samples,
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

    def forecast(
        self,
        n_requests: int,
        usages: Sequence[RequestUsage],
        n_asked_again: int,
    ) -> StageForecast:
        """The forecast of a stage by what the pilot used."""
        llm_settings = self.settings.llm
        price = prices.find_price(
            self.model, llm_settings.price_in, llm_settings.price_out
        )
        limits = RateLimits(
            llm_settings.concurrency, llm_settings.rpm, llm_settings.tpm
        )
        return forecast_stage(
            self.stage,
            self.model,
            n_requests,
            usages,
            n_asked_again,
            price,
            limits,
        )

    def check_answered(
        self, usages: Sequence[RequestUsage], replies: Sequence[Reply]
    ) -> None:
        """Raise `LLMError` if no request was answered."""
        if not usages:
            reason = replies[0].failure if replies else "no rows"
            raise LLMError(
                f"no request of the {self.stage} pilot was answered: {reason}"
            )


def _quote_stage(pilot: _Pilot, n_questions: int) -> StageForecast:
    """Ask a pilot, and forecast the stage by what it used."""
    if pilot.stage in TAGGING and pilot.settings.tag.per_request > 1:
        return _quote_groups(pilot, n_questions)
    llm_settings = pilot.settings.llm
    with llm.connect(llm_settings, pilot.model, pilot.ledger) as client:
        replies = client.answer(pilot.requests)
    first_keys = [
        render_request(request, pilot.model, llm_settings.body).key
        for request in pilot.requests
    ]
    entries = pilot.ledger.get(first_keys)
    usages = [_sum_usage([entry]) for entry in entries.values()]
    pilot.check_answered(usages, replies)
    # The pilot pays for re-asks as the run will, so they are forecast separately.
    n_again = 0
    for reply, first_key in zip(replies, first_keys, strict=True):
        # A reply under another key answers a re-ask, after an unusable first reply.
        if reply.key and reply.key != first_key:
            n_again += 1
    return pilot.forecast(n_questions, usages, min(n_again, len(usages)))


def _quote_groups(pilot: _Pilot, n_questions: int) -> StageForecast:
    """Forecast tagging with several instructions per request.

    The usage of a group includes that of the instructions that it left open, which are asked alone.
    """
    n = pilot.settings.tag.per_request
    llm_settings = pilot.settings.llm
    with llm.connect(llm_settings, pilot.model, pilot.ledger) as client:
        grouped = GroupedModel(client, "tag", n)
        replies = grouped.answer(pilot.requests)
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
    pilot.check_answered(usages, replies)
    # A request of this stage asks n questions.
    forecast = pilot.forecast(math.ceil(n_questions / n), usages, n_asked_again=0)
    # Instructions that a group left open cost requests of their own.
    n_alone_per_group = grouped.n_alone / len(groups)
    return replace(forecast, requests=forecast.requests.times(1 + n_alone_per_group))


def _sum_usage(entries: Sequence[LedgerEntry]) -> RequestUsage:
    """The tokens of some replies together, and the latency of the slowest."""
    return RequestUsage(
        sum(entry.prompt_tokens for entry in entries),
        sum(entry.answer_tokens for entry in entries),
        max(entry.latency for entry in entries),
    )


def _draw_pilot(
    stage: str,
    model: str,
    samples: Artifact,
    settings: Settings,
    k: int,
) -> list[Request]:
    """The questions behind k requests of a stage to a model."""
    if stage in TAGGING:
        return _draw_tag_pilot(samples, settings, k * settings.tag.per_request)
    if stage == "match":
        return _draw_match_pilot(samples, settings, k)
    if stage == "grade":
        return _draw_grade_pilot(
            samples,
            settings,
            model,
            k,
        )
    return _draw_judge_pilot(
        samples,
        settings,
        model,
        k,
    )


def _draw_tag_pilot(samples: Artifact, settings: Settings, k: int) -> list[Request]:
    """k of the questions that tagging will ask, drawn at random."""
    # The run asks the same questions, and finds their replies in the ledger.
    rows = _reservoir_sample(_iterate_tag_questions(samples), k, settings.seed)
    digest = prompts.hash_template("tag")
    return [
        open_tags.build_tag_request(row, "tag", digest, settings.tag) for row in rows
    ]


def _iterate_tag_questions(samples: Artifact) -> Iterator[dict[str, Any]]:
    """The questions of tagging that the input does not answer itself."""
    for batch in samples.batches():
        for row in open_tags.build_turn_questions(batch).iter_rows(named=True):
            if open_tags.reuse_known_tags(row) is None:
                yield row


def _draw_match_pilot(samples: Artifact, settings: Settings, k: int) -> list[Request]:
    """About k requests with pairs of tags: those of some rows."""
    config = settings.normalise
    n_pairs = k * config.pairs_per_request
    names = _draw_tag_names(samples, settings, n_pairs)
    # Which tags meet does not matter here: a request costs what its tokens cost.
    pairs = list(islice(combinations(names, 2), n_pairs))
    table = pl.DataFrame(pairs, ["left", "right"], orient="row")
    rows = tag_matching.build_match_questions(table, config.pairs_per_request)
    digest = prompts.hash_template("match_tags")
    return [
        tag_matching.ask_matches(row, "match_tags", digest, config)
        for row in rows.head(k).iter_rows(named=True)
    ]


def _draw_tag_names(samples: Artifact, settings: Settings, k: int) -> list[str]:
    """The tags of k rows, given in the input or else by the embedded tagger."""
    names: dict[str, None] = {}
    given = samples.scan().select("given_tags").head(k).collect()
    names |= dict.fromkeys(given["given_tags"].explode().drop_nulls())
    for reply in tagger.load().answer(_draw_tag_pilot(samples, settings, k)):
        items = orjson.loads(reply.text or '{"tags": []}')["tags"]
        names |= dict.fromkeys(item["tag"] for item in items)
    return list(names)


def _draw_grade_pilot(
    samples: Artifact,
    settings: Settings,
    model: str,
    k: int,
) -> list[Request]:
    """k of the questions to a judge of single samples, drawn at random."""
    rows = _reservoir_sample(_iterate_texts(samples), k, settings.seed)
    template, digest = _find_prompt("grade", settings)
    requests = []
    for row in rows:
        question = {
            **row,
            "judge": model,
            "repetition": 0,
        }
        requests.append(
            comparisons.ask_grade(
                question,
                template,
                digest,
                settings.judge,
            )
        )
    return requests


def _draw_judge_pilot(
    samples: Artifact,
    settings: Settings,
    model: str,
    k: int,
) -> list[Request]:
    """k comparisons of samples drawn at random, each pair in both orders."""
    n_pairs = max(1, k // 2)  # each is asked in both orders
    rows = _reservoir_sample(_iterate_texts(samples), 2 * n_pairs, settings.seed)
    # Each sample is in one pair only; fewer samples make fewer pairs.
    half = len(rows) // 2
    pairs = []
    for number, (left, right) in enumerate(zip(rows[:half], rows[half:], strict=False)):
        pair = {
            "pair": number,
            "cluster": 0,
            "left": left["id"],
            "right": right["id"],
            "bridge": False,
            "orders": "both",
        }
        pairs.append(pair)
    questions = comparisons.list_comparison_questions(
        pl.DataFrame(pairs, schema=PAIRS), pl.DataFrame(rows), (model,)
    )
    template, digest = _find_prompt("judge", settings)
    requests = [
        comparisons.ask_comparison(
            row,
            template,
            digest,
            settings.judge,
        )
        for row in questions.iter_rows(named=True)
    ]
    return requests[:k]


def _find_prompt(name: str, settings: Settings) -> tuple[str, str]:
    """The name of a stage's prompt template under these settings, and its hash."""
    stage = find_stage(name)
    assert isinstance(stage, PromptStage)
    template = stage.choose_template(settings)
    return template, prompts.hash_template(template)


def _iterate_texts(samples: Artifact) -> Iterator[dict[str, Any]]:
    """id, instruction and response of every sample, as judges read them."""
    for batch in pool.iterate_judged_texts(samples, TEXTS):
        yield from batch.iter_rows(named=True)


def _reservoir_sample(
    rows: Iterator[dict[str, Any]],
    k: int,
    seed: int,
) -> list[dict[str, Any]]:
    """k rows at random, each equally likely (reservoir sampling), in random order."""
    random = np.random.default_rng(seed)
    # One pass, so that the samples need not fit into memory.
    reservoir: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if number < k:
            reservoir.append(row)
            continue
        # Row number i takes a place with probability k / (i + 1).
        place = int(random.integers(number + 1))
        if place < k:
            reservoir[place] = row
    # The first rows of the input tend to stay in front; shuffled, any part of the sample is
    # random.
    return [reservoir[place] for place in random.permutation(len(reservoir))]
