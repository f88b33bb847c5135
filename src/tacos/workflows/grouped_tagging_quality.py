"""Measure what several instructions per tagging request cost in quality, from a small paid pilot.

Batch prompting costs nothing up to six questions with some models and tasks (Cheng et al. 2023,
arXiv 2301.08721), and much with others, the more the longer the batch (Lin et al. 2024, arXiv
2309.00384), so it is measured for the model and the data in use. The same instructions are tagged
together, alone, and alone once more. A model that samples disagrees with itself as well; only the
additional disagreement of tagging together is the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
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
"""Bootstrap draws behind an interval."""

INTERVAL = (0.025, 0.975)
Estimate = tuple[float, float, float]
"""A figure and the ends of its 95% interval."""

Tags = list[str]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class QualityCost:
    """`per_request` instructions per request, against one: exact tag F1 (0 to 1) and mean tags per
    instruction.
    """

    per_request: int
    n: int
    """Instructions with an answer in all three askings."""
    n_left_out: int
    together: Estimate
    """Agreement of tagging together with tagging alone."""
    again: Estimate
    """Agreement of tagging alone with tagging alone once more."""
    cost: Estimate
    """`again` less `together`."""
    tags_together: float
    tags_alone: float


def measure_quality_cost(
    requests: Sequence[Request],
    model: str,
    settings: Settings,
    ledger: Ledger,
) -> QualityCost:
    """Ask the distinct tagging `requests` together, alone, and alone again.

    The replies stay in the ledger, where a run finds them.

    Raises:
        LLMError: The endpoint refuses, or no instruction has all three answers.
        BudgetReachedError: The cap on spending is reached.
    """
    n_together = settings.tag.per_request
    distinct = list({request.key: request for request in requests}.values())
    repeated = [
        replace(request, repetition=request.repetition + 1) for request in distinct
    ]
    with llm.connect(settings.llm, model, ledger) as client:
        together = GroupedModel(client, "tag", n_together).answer(distinct)
        alone = client.answer(distinct)
        again = client.answer(repeated)
    answered = [
        tuple(parse_reply_tags(reply) for reply in replies)
        for replies in zip(
            together,
            alone,
            again,
            strict=True,
        )
        if all(reply.text for reply in replies)
    ]
    if not answered:
        raise LLMError(
            "no instruction of the pilot was answered together, alone and alone again"
        )
    return estimate_quality_cost(n_together, answered, len(distinct) - len(answered))


def estimate_quality_cost(
    per_request: int,
    tags: Sequence[tuple[Tags, ...]],
    n_left_out: int,
) -> QualityCost:
    """The figures from the tags (together, alone, again) of each instruction.

    The intervals are percentiles of a bootstrap over instructions.
    """
    together, alone, again = (list(way) for way in zip(*tags, strict=True))
    n = len(tags)
    same_together = tag_agreement.count_exact_matches(together, alone)
    same_again = tag_agreement.count_exact_matches(again, alone)
    draws = np.random.default_rng(0).integers(0, n, (N_DRAWS, n))
    # Both figures of a draw are of the same instructions, so that their difference is paired.
    drawn_together = _resample_f1(same_together, draws)
    drawn_again = _resample_f1(same_again, draws)
    cost = same_again.micro() - same_together.micro()
    return QualityCost(
        per_request=per_request,
        n=n,
        n_left_out=n_left_out,
        together=_estimate_interval(same_together.micro(), drawn_together),
        again=_estimate_interval(same_again.micro(), drawn_again),
        cost=_estimate_interval(cost, drawn_again - drawn_together),
        tags_together=_mean_length(together),
        tags_alone=_mean_length(alone),
    )


def parse_reply_tags(reply: Reply) -> Tags:
    """The tags of a reply as a run keeps them, each once; none if there is no answer."""
    if reply.text is None:
        return []
    names = [item["tag"].strip() for item in orjson.loads(reply.text)["tags"]]
    return list(dict.fromkeys(name for name in names if name))


def _estimate_interval(value: float, drawn: Floats) -> Estimate:
    """A figure with its percentile interval; all NaN if there is no tag at all."""
    if np.isnan(drawn).all():
        return float(value), float("nan"), float("nan")
    low, high = np.nanquantile(drawn, INTERVAL)
    return float(value), float(low), float(high)


def _resample_f1(
    counts: MatchCounts,
    draws: npt.NDArray[np.int64],
) -> Floats:
    """Micro F1 of each draw, shape (draws,)."""
    return np.array([_micro_f1(counts, rows) for rows in draws])


def _micro_f1(counts: MatchCounts, rows: npt.NDArray[np.int64]) -> float:
    """Micro F1 of some instructions; NaN if none of them has a tag."""
    return MatchCounts(counts.hits[rows], counts.totals[rows]).micro()


def _mean_length(tags: Sequence[Tags]) -> float:
    """Mean tags per instruction."""
    return float(np.mean([len(own_tags) for own_tags in tags]))
