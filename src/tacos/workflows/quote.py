"""A pilot of k requests per LLM stage, and what the whole run will cost by it.

The tagging pilot asks real questions of the run, so their replies are used by it later. What the
judge will be shown is known only after tagging, so its pilot compares samples drawn at random, both
ways round; those replies are in the ledger too.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
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
from tacos.llm.cost.forecast import RateLimits, RequestUsage, StageForecast, forecast_stage
from tacos.llm.ledger.ledger import Ledger
from tacos.methods.judging import comparisons
from tacos.methods.measures.request_counts import count_questions
from tacos.methods.tags import open_tags
from tacos.pipeline.model_factory import list_endpoint_models
from tacos.pipeline.run_loop import StageModels, run_plan
from tacos.pipeline.steps import pool
from tacos.records import PAIRS, Request
from tacos.store.artifacts import Artifact, Store
from tacos.workflows.grouped_tagging_quality import QualityCost, measure_quality_cost
from tacos.workflows.select import SilentProgress

TAGGING = ("tag-sample", "tag")
TEXTS = ("id", "instruction", "response")


@contextmanager
def open_samples(data: Any, settings: Settings) -> Iterator[Artifact]:
    """The samples of the data, read once for all that is asked about them.

    Raises `ConfigError` where no stage asks an endpoint.
    """
    if not list_endpoint_models(settings):
        raise ConfigError(
            "nothing to quote: no stage asks an endpoint; give --model, or a URL with --llm"
        )
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        yield _read_samples(data, settings, Path(folder))


def quote(
    samples: Artifact, settings: Settings, ledger: Ledger, k: int = 20
) -> list[StageForecast]:
    """A quote per LLM stage. Raises `LLMError` where no request of a pilot is answered."""
    is_question = pl.col("turns").explode().struct.field("role").eq("user")
    n_turns = samples.scan().select(is_question.sum()).collect().item() or 0
    n_asked = count_questions(
        settings,
        samples.manifest["n_rows"],
        int(n_turns),
        pool.count_requested_rows(samples, settings.select.size),
    )
    asked_of = [
        (stage, model)
        for stage, models in list_endpoint_models(settings).items()
        for model in models
    ]
    quotes = [
        _quote_stage(
            stage,
            model,
            _count_model_questions(stage, n_asked, settings),
            requests,
            settings,
            ledger,
        )
        for stage, model in asked_of
        if (requests := _draw_pilot(stage, model, samples, settings, k))
    ]
    by_batch = (
        settings.tag.per_request == 1
    )  # files of the batch API hold one instruction per request
    return [each if by_batch else replace(each, usd_batch=None) for each in quotes]


def quote_quality_cost(
    samples: Artifact, settings: Settings, ledger: Ledger, k: int = 20
) -> QualityCost:
    """What `tag.per_request` costs in quality on the instructions of a pilot of k requests, see
    `quality_cost`.

    Raises `ConfigError` where no language model is asked several instructions at once.
    """
    models = list_endpoint_models(settings).get("tag", ())
    if not models or settings.tag.per_request == 1:
        raise ConfigError(
            "there is nothing to compare: set tag.per_request to 2 or more, and name a language model"
        )
    return measure_quality_cost(
        _draw_pilot("tag", models[0], samples, settings, k), models[0], settings, ledger
    )


def _count_model_questions(stage: str, n_asked: Mapping[str, int], settings: Settings) -> int:
    """The questions of a stage that go to one of its models: judges of a panel are asked alike."""
    return n_asked[stage] if stage in TAGGING else n_asked[stage] // len(settings.judges)


def _draw_pilot(
    stage: str, model: str, samples: Artifact, settings: Settings, k: int
) -> list[Request]:
    """The questions behind k requests of a stage to a model."""
    if stage in TAGGING:
        return _draw_tag_pilot(samples, settings, k * settings.tag.per_request)
    return (_draw_grade_pilot if stage == "grade" else _draw_judge_pilot)(
        samples, settings, model, k
    )


def _read_samples(data: Any, settings: Settings, folder: Path) -> Artifact:
    """The samples of the data; reading them needs no model."""
    source, store = sources.open_source(data, folder), Store(folder)
    engine = LocalEngine(1)
    models = StageModels({}, {})
    return run_plan(source, settings, store, engine, models, SilentProgress(), "ingest").artifacts[
        "samples"
    ]


def _quote_stage(
    stage: str,
    model: str,
    n_requests: int,
    requests: Sequence[Request],
    settings: Settings,
    ledger: Ledger,
) -> StageForecast:
    """Ask a pilot and work out the quote from what it used."""
    if stage in TAGGING and settings.tag.per_request > 1:
        return _quote_groups(stage, model, n_requests, requests, settings, ledger)
    with llm.connect(settings.llm, model, ledger) as client:
        replies = client.answer(requests)
    firsts = [render_request(request, model, settings.llm.body).key for request in requests]
    entries = ledger.get(firsts)
    usages = [
        RequestUsage(each.prompt_tokens, each.answer_tokens, each.latency)
        for each in entries.values()
    ]
    if not usages:
        raise LLMError(
            f"no request of the {stage} pilot was answered: {replies[0].failure if replies else 'no rows'}"
        )
    n_again = sum(
        reply.key != first for reply, first in zip(replies, firsts, strict=True) if reply.key
    )
    price = prices.find_price(model, settings.llm.price_in, settings.llm.price_out)
    speed = RateLimits(settings.llm.concurrency, settings.llm.rpm, settings.llm.tpm)
    return forecast_stage(stage, model, n_requests, usages, min(n_again, len(usages)), price, speed)


def _quote_groups(
    stage: str,
    model: str,
    n_questions: int,
    requests: Sequence[Request],
    settings: Settings,
    ledger: Ledger,
) -> StageForecast:
    """The quote of tagging several instructions per request: a group's usage has in it that of
    questions asked alone after it.
    """
    n = settings.tag.per_request
    with llm.connect(settings.llm, model, ledger) as client:
        grouped = GroupedModel(client, "tag", n)
        replies = grouped.answer(requests)
    members = [
        grouped_prompts.build_group_member(request, model, settings.llm.body, n).key
        for request in requests
    ]
    came = {member: {member, reply.key} for member, reply in zip(members, replies, strict=True)}
    entries = ledger.get([key for keys in came.values() for key in keys])
    groups = [
        [entries[key] for member in group for key in came[member] if key in entries]
        for group in grouped_prompts.split_into_groups(list(came), n)
    ]
    usages = [
        RequestUsage(
            sum(e.prompt_tokens for e in group),
            sum(e.answer_tokens for e in group),
            max(e.latency for e in group),
        )
        for group in groups
        if group
    ]
    if not usages:
        raise LLMError(
            f"no request of the tag pilot was answered: {replies[0].failure if replies else 'no rows'}"
        )
    price = prices.find_price(model, settings.llm.price_in, settings.llm.price_out)
    speed = RateLimits(settings.llm.concurrency, settings.llm.rpm, settings.llm.tpm)
    found = forecast_stage(stage, model, math.ceil(n_questions / n), usages, 0, price, speed)
    return replace(found, requests=found.requests.times(1 + grouped.n_alone / len(groups)))


def _draw_tag_pilot(samples: Artifact, settings: Settings, k: int) -> list[Request]:
    """k of the questions that tagging will ask, drawn at random."""
    drawn = _reservoir_sample(_iterate_tag_questions(samples), k, settings.seed)
    return [
        open_tags.build_tag_request(row, "tag", prompts.hash_template("tag"), settings.tag)
        for row in drawn
    ]


def _iterate_tag_questions(samples: Artifact) -> Iterator[dict[str, Any]]:
    """The questions of tagging that the input does not answer itself."""
    for batch in samples.batches():
        for row in open_tags.build_turn_questions(batch).iter_rows(named=True):
            if open_tags.reuse_known_tags(row) is None:
                yield row


def _draw_grade_pilot(samples: Artifact, settings: Settings, model: str, k: int) -> list[Request]:
    """k of the questions that a judge of single samples will be asked, drawn at random."""
    drawn = _reservoir_sample(_iterate_texts(samples), k, settings.seed)
    digest = prompts.hash_template("grade")
    rows = [{**row, "judge": model, "repetition": 0} for row in drawn]
    return [comparisons.ask_grade(row, "grade", digest, settings.judge) for row in rows]


def _draw_judge_pilot(samples: Artifact, settings: Settings, model: str, k: int) -> list[Request]:
    """k comparisons of samples drawn at random, each pair both ways round."""
    drawn = _reservoir_sample(_iterate_texts(samples), 2 * max(1, k // 2), settings.seed)
    half = len(drawn) // 2
    pairs = [
        {
            "pair": number,
            "cluster": 0,
            "left": left["id"],
            "right": right["id"],
            "bridge": False,
            "orders": "both",
        }
        for number, (left, right) in enumerate(zip(drawn[:half], drawn[half:], strict=False))
    ]
    table = comparisons.list_comparison_questions(
        pl.DataFrame(pairs, schema=PAIRS), pl.DataFrame(drawn), (model,)
    )
    digest = prompts.hash_template("judge")
    return [
        comparisons.ask_comparison(row, "judge", digest, settings.judge)
        for row in table.iter_rows(named=True)
    ][:k]


def _iterate_texts(samples: Artifact) -> Iterator[dict[str, Any]]:
    """id, instruction and response of every sample."""
    return (row for batch in samples.batches(TEXTS) for row in batch.iter_rows(named=True))


def _reservoir_sample(rows: Iterator[dict[str, Any]], k: int, seed: int) -> list[dict[str, Any]]:
    """k rows at random, each equally likely (reservoir sampling), in random order."""
    random = np.random.default_rng(seed)
    kept: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        place = number if number < k else int(random.integers(number + 1))
        if number < k:
            kept.append(row)
        elif place < k:
            kept[place] = row
    return [kept[place] for place in random.permutation(len(kept))]
