"""Forecasts what a run will cost and how long it will take, from a pilot. Pure.

Each figure is a range. Tokens per request vary from row to row, so a total is the pilot's mean
times the number of requests, with Student's 90% interval for the sum over the requests not yet
made. The share of requests that are made twice because the answer cannot be used has Wilson's 90%
interval.

A forecast knows no rate limits that it was not given, and no kind of row that the pilot did not
meet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scipy import special

from tacos.llm.cost.prices import ModelPrice

LEVEL = 0.90
"""Confidence level of every range."""
BATCH_HOURS = 24.0
"""Within how many hours the batch API promises to answer."""


class RequestUsage(NamedTuple):
    """What one request of the pilot used; `latency`: seconds until the whole reply was there."""

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
        return ForecastRange(self.low * factor, self.mid * factor, self.high * factor)


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
    """Requests of the pilot that have a reply."""
    requests: ForecastRange
    prompt_tokens: ForecastRange
    answer_tokens: ForecastRange
    usd: ForecastRange | None
    usd_batch: ForecastRange | None
    minutes: ForecastRange
    n_asked: int = 0
    """Questions of the pilot."""
    n_usable: int = 0
    """Those of them with an answer that can be used."""


def forecast_stage(
    stage: str,
    model: str,
    n_requests: int,
    pilot: Sequence[RequestUsage],
    n_asked_again: int,
    price: ModelPrice | None,
    speed: RateLimits,
) -> StageForecast:
    """The forecast for a stage of `n_requests`, from the usages of its pilot. Raises `ValueError`
    for an empty pilot.
    """
    if not pilot:
        raise ValueError("a forecast needs a pilot of one request or more")
    again = compute_wilson_range(n_asked_again, len(pilot))
    requests = ForecastRange(
        n_requests * (1 + again.low),
        n_requests * (1 + again.mid),
        n_requests * (1 + again.high),
    )
    prompt = forecast_total([usage.prompt_tokens for usage in pilot], requests)
    answer = forecast_total([usage.answer_tokens for usage in pilot], requests)
    latencies = [usage.latency for usage in pilot]
    usd = _forecast_dollars(prompt, answer, price)
    return StageForecast(
        stage=stage,
        model=model,
        n_pilot=len(pilot),
        requests=requests,
        prompt_tokens=prompt,
        answer_tokens=answer,
        usd=usd,
        usd_batch=_discount(usd, price),
        minutes=_forecast_minutes(requests, prompt, answer, latencies, speed),
    )


def forecast_total(
    values: Sequence[float],
    requests: ForecastRange,
) -> ForecastRange:
    """The range of a sum over all requests, never below 0, from k values of a pilot.

    The sum of n new values lies around n times the mean of the k old ones, with standard deviation
    s * sqrt(n + n^2 / k): n for the spread of the new values, n^2 / k for the error of the mean.
    """
    k = len(values)
    mean = sum(values) / k
    # One value says nothing about the spread: then the mean itself stands for it.
    spread = mean
    if k > 1:
        squares = [(value - mean) ** 2 for value in values]
        variance = sum(squares) / (k - 1)
        spread = math.sqrt(variance)
    degrees_of_freedom = max(1, k - 1)
    # Student's t: the spread itself is estimated, from few values.
    quantile = (1 + LEVEL) / 2
    factor = float(special.stdtrit(degrees_of_freedom, quantile))

    def bound(n: float, sign: int) -> float:
        total = n * mean
        deviation = sign * factor * spread * math.sqrt(n + n * n / k)
        return max(0.0, total + deviation)

    return ForecastRange(
        low=bound(requests.low, -1),
        mid=requests.mid * mean,
        high=bound(requests.high, +1),
    )


def compute_wilson_range(n: int, k: int) -> ForecastRange:
    """The share n / k with Wilson's interval (1927); its low end is 0 where n is."""
    # Not `rater_agreement.wilson_interval`: scipy.stats takes a second to import, and its formula
    # rounds otherwise in the last digit.
    z = float(special.ndtri((1 + LEVEL) / 2))
    share = n / k
    denominator = 1 + z * z / k
    centre = share + z * z / (2 * k)
    middle = centre / denominator
    sampling_variance = share * (1 - share) / k
    variance = sampling_variance + z * z / (4 * k * k)
    half_width = z / denominator * math.sqrt(variance)

    # Rounding may leave a low end just above 0, or a high end just above 1.
    low = 0.0
    if n:
        low = max(0.0, middle - half_width)
    high = min(1.0, middle + half_width)
    return ForecastRange(low, share, high)


def is_above_limit(n_failed: int, n: int, limit: float) -> bool:
    """Whether more answers fail than the share `limit`, beyond chance: so many or more of n would
    fail with a probability below `1 - LEVEL` if that share did.

    >>> is_above_limit(1, 20, 0.02), is_above_limit(2, 20, 0.02), is_above_limit(0, 0, 0.02)
    (False, True, False)
    """
    if n_failed == 0:
        return False
    probability = float(special.bdtrc(n_failed - 1, n, limit))
    return probability < 1 - LEVEL


def _forecast_dollars(
    prompt: ForecastRange,
    answer: ForecastRange,
    price: ModelPrice | None,
) -> ForecastRange | None:
    """Dollars for tokens, None without a price."""
    if price is None:
        return None
    return ForecastRange(
        low=price.usd(prompt.low, answer.low),
        mid=price.usd(prompt.mid, answer.mid),
        high=price.usd(prompt.high, answer.high),
    )


def _discount(
    usd: ForecastRange | None,
    price: ModelPrice | None,
) -> ForecastRange | None:
    """Dollars by the batch API, None where its price is not known."""
    if usd is None or price is None or price.batch is None:
        return None
    return usd.times(price.batch)


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

    def minutes(
        n: float,
        tokens: float,
        latency: float,
    ) -> float:
        # Requests go out in waves of `concurrency`; the last wave takes as long as a full one.
        n_waves = math.ceil(n / speed.concurrency)
        by_latency = n_waves * latency / 60
        # A limit of 0 is no limit.
        by_requests = 0.0
        if speed.rpm:
            by_requests = n / speed.rpm
        by_tokens = 0.0
        if speed.tpm:
            by_tokens = tokens / speed.tpm
        return max(by_latency, by_requests, by_tokens)

    mean_latency = sum(latencies) / len(latencies)
    tokens_low = prompt.low + answer.low
    tokens_mid = prompt.mid + answer.mid
    tokens_high = prompt.high + answer.high
    return ForecastRange(
        low=minutes(requests.low, tokens_low, min(latencies)),
        mid=minutes(requests.mid, tokens_mid, mean_latency),
        high=minutes(requests.high, tokens_high, max(latencies)),
    )
