"""What several instructions in one tagging request cost in quality with a given model, from a small
paid pilot.

Batch prompting is known to cost nothing up to six questions with some models and tasks (Cheng et
al. 2023, arXiv
2301.08721) and much with others, the more the longer the batch (Lin et al. 2024, arXiv 2309.00384),
so it is measured where it is used. The same instructions are tagged together, alone, and alone once
more: a model that samples disagrees with itself as well, and only what it disagrees more together
than alone is the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson

from tacos import llm
from tacos.config import Settings
from tacos.errors import LLMError
from tacos.llm.chat.grouped_model import GroupedModel
from tacos.llm.ledger.ledger import Ledger
from tacos.models import tag_agreement
from tacos.models.tag_agreement import MatchCounts
from tacos.records import Reply, Request

N_DRAWS = 2000
Estimate = tuple[float, float, float]
"""A figure with the ends of its 95% interval."""


@dataclass(frozen=True)
class QualityCost:
    """`per_request` instructions together against each alone: exact tag F1 (0 to 1) and mean tags
    per instruction.

    `together`: agreement of both ways; `again`: of two answers to the same question asked alone;
    `cost` is the second less the first. `n` instructions have an answer in all three askings,
    `n_left_out` do not.
    """

    per_request: int
    n: int
    n_left_out: int
    together: Estimate
    again: Estimate
    cost: Estimate
    tags_together: float
    tags_alone: float


def measure_quality_cost(
    requests: Sequence[Request], model: str, settings: Settings, ledger: Ledger
) -> QualityCost:
    """Ask the distinct tagging `requests` in all three ways; the replies stay in the ledger, where
    a run finds them.

    Raises `LLMError` where no instruction has all three answers, and what `Client.answer` raises.
    """
    n, requests = settings.tag.per_request, list({each.key: each for each in requests}.values())
    with llm.connect(settings.llm, model, ledger) as client:
        together = GroupedModel(client, "tag", n).answer(requests)
        alone = client.answer(requests)
        again = client.answer([replace(each, repetition=each.repetition + 1) for each in requests])
    usable = [
        three
        for three in zip(together, alone, again, strict=True)
        if all(each.text for each in three)
    ]
    if not usable:
        raise LLMError("no instruction of the pilot was answered together, alone and alone again")
    return estimate_quality_cost(
        n, [tuple(map(parse_reply_tags, three)) for three in usable], len(requests) - len(usable)
    )


def estimate_quality_cost(
    per_request: int, tags: Sequence[tuple[list[str], ...]], n_left_out: int
) -> QualityCost:
    """The figures from (together, alone, again) of each instruction; intervals by drawing
    instructions.
    """
    together, alone, again = (list(each) for each in zip(*tags, strict=True))
    both, twice = (
        tag_agreement.count_exact_matches(together, alone),
        tag_agreement.count_exact_matches(again, alone),
    )
    draws = np.random.default_rng(0).integers(0, len(tags), (N_DRAWS, len(tags)))
    drawn = np.array([(_micro_f1(both, rows), _micro_f1(twice, rows)) for rows in draws])
    return QualityCost(
        per_request,
        len(tags),
        n_left_out,
        _estimate_interval(both.micro(), drawn[:, 0]),
        _estimate_interval(twice.micro(), drawn[:, 1]),
        _estimate_interval(twice.micro() - both.micro(), drawn[:, 1] - drawn[:, 0]),
        float(np.mean([len(each) for each in together])),
        float(np.mean([len(each) for each in alone])),
    )


def _estimate_interval(value: float, drawn: np.ndarray) -> Estimate:
    """A figure with its percentile interval; all NaN where there is no tag at all."""
    low, high = (np.nan, np.nan) if np.isnan(drawn).all() else np.nanquantile(drawn, [0.025, 0.975])
    return float(value), float(low), float(high)


def _micro_f1(counts: MatchCounts, rows: np.ndarray) -> float:
    """Micro F1 of some instructions; NaN where none has a tag."""
    return MatchCounts(counts.hits[rows], counts.totals[rows]).micro()


def parse_reply_tags(reply: Reply) -> list[str]:
    """The tags of a reply as a run keeps them, each once; none where there is no answer."""
    found = [] if reply.text is None else orjson.loads(reply.text)["tags"]
    return list(dict.fromkeys(tag for item in found if (tag := item["tag"].strip())))
