"""What a run will cost and take, from a pilot: pure arithmetic.

Each figure is a range. Tokens per request vary from row to row, so the total is the pilot's mean
times the number of requests, with Student's 90% interval for the sum of the requests not yet asked;
the share of requests that are asked twice because the answer cannot be used has Wilson's 90%
interval. It knows nothing of rate limits that nobody told it, nor of rows whose kind the pilot did
not meet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scipy import special

from tacos.llm.cost.prices import ModelPrice

LEVEL = 0.90
BATCH_HOURS = 24.0
"""Within how many hours the batch API promises to answer."""


class RequestUsage(NamedTuple):
    """What one request of the pilot used; seconds from sending to the whole reply."""

    prompt_tokens: int
    answer_tokens: int
    latency: float


class ForecastRange(NamedTuple):
    """Low, likely and high."""

    low: float
    mid: float
    high: float

    def times(self, factor: float) -> ForecastRange:
        """Every figure multiplied."""
        return ForecastRange(*(each * factor for each in self))


@dataclass(frozen=True)
class RateLimits:
    """What limits the pace: requests in flight, requests and tokens per minute (0: no limit)."""

    concurrency: int
    rpm: int = 0
    tpm: int = 0


@dataclass(frozen=True)
class StageForecast:
    """One stage's figures; dollars are None where no price is known."""

    stage: str
    model: str
    n_pilot: int
    requests: ForecastRange
    prompt_tokens: ForecastRange
    answer_tokens: ForecastRange
    usd: ForecastRange | None
    usd_batch: ForecastRange | None
    minutes: ForecastRange


def forecast_stage(
    stage: str,
    model: str,
    n_requests: int,
    pilot: Sequence[RequestUsage],
    n_asked_again: int,
    price: ModelPrice | None,
    speed: RateLimits,
) -> StageForecast:
    """The quote of a stage of `n_requests` from the usages of its pilot. Raises `ValueError` for an
    empty pilot.
    """
    if not pilot:
        raise ValueError("a quote needs a pilot")
    again = compute_wilson_range(n_asked_again, len(pilot))
    requests = ForecastRange(*(n_requests * (1 + share) for share in again))
    prompt = forecast_total([usage.prompt_tokens for usage in pilot], requests)
    answer = forecast_total([usage.answer_tokens for usage in pilot], requests)
    usd = _forecast_dollars(prompt, answer, price)
    return StageForecast(
        stage,
        model,
        len(pilot),
        requests,
        prompt,
        answer,
        usd,
        usd.times(price.batch) if usd and price else None,
        _forecast_minutes(requests, prompt, answer, [usage.latency for usage in pilot], speed),
    )


def forecast_total(values: Sequence[float], requests: ForecastRange) -> ForecastRange:
    """The range of a sum over all requests, never below 0.

    The sum of n new values has standard deviation s * sqrt(n + n^2 / k) around n times the mean of
    k old ones.
    """
    k, mean = len(values), sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (k - 1)) if k > 1 else mean
    factor = float(special.stdtrit(max(1, k - 1), (1 + LEVEL) / 2))

    def side(n: float, sign: int) -> float:
        return max(0.0, n * mean + sign * factor * spread * math.sqrt(n + n * n / k))

    return ForecastRange(side(requests.low, -1), requests.mid * mean, side(requests.high, +1))


def compute_wilson_range(n: int, k: int) -> ForecastRange:
    """A share n / k with Wilson's interval; its low end is 0 where nothing was seen."""
    z = float(special.ndtri((1 + LEVEL) / 2))
    share, bottom = n / k, 1 + z * z / k
    middle = (share + z * z / (2 * k)) / bottom
    half = z / bottom * math.sqrt(share * (1 - share) / k + z * z / (4 * k * k))
    return ForecastRange(max(0.0, middle - half) if n else 0.0, share, min(1.0, middle + half))


def _forecast_dollars(
    prompt: ForecastRange, answer: ForecastRange, price: ModelPrice | None
) -> ForecastRange | None:
    """Dollars for tokens."""
    if price is None:
        return None
    return ForecastRange(
        *(
            price.usd(tokens_in, tokens_out)
            for tokens_in, tokens_out in zip(prompt, answer, strict=True)
        )
    )


def _forecast_minutes(
    requests: ForecastRange,
    prompt: ForecastRange,
    answer: ForecastRange,
    latencies: Sequence[float],
    speed: RateLimits,
) -> ForecastRange:
    """Minutes at full pace: the slowest of latency / concurrency, requests per minute and tokens
    per minute.
    """
    mean = sum(latencies) / len(latencies)
    slowest = max(latencies)

    def least(n: float, tokens: float, latency: float) -> float:
        by_latency = math.ceil(n / speed.concurrency) * latency / 60
        by_requests = n / speed.rpm if speed.rpm else 0.0
        by_tokens = tokens / speed.tpm if speed.tpm else 0.0
        return max(by_latency, by_requests, by_tokens)

    ends = ((requests.low, 0, min(latencies)), (requests.mid, 1, mean), (requests.high, 2, slowest))
    return ForecastRange(*(least(n, prompt[i] + answer[i], latency) for n, i, latency in ends))
