"""How many requests may be in flight, and when the next one may go. No clock of its own: every
function is told the time.

Concurrency: the limit starts small and quadruples per round trip until the server first complains;
from then on it grows by one per round trip. A complaint (429, 503, a time-out) lowers it to 0.7 of
itself, once per round trip. It never exceeds the cap. Rates: a bucket per limit (requests, tokens)
that fills evenly; tokens are taken by estimate and corrected by what was used. Pauses: after
several refusals in a row with a Retry-After, or when the server's `x-ratelimit-remaining-*` says 0,
nothing goes out before the time it names.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

DECREASE = 0.7
FIRST_LIMIT = 64
STEEPNESS = 3
"""Growth of the limit per reply until the first complaint: 1 + STEEPNESS times itself per round
trip.
"""
FIRST_BACKOFF = 0.5
MAX_BACKOFF = 30.0


@dataclass(slots=True)
class TokenBucket:
    """Fills by `per_minute / 60` a second and holds at most a second's worth (at least 1).

    The level may fall below 0. A rate of 0 means no limit.
    """

    per_minute: float
    level: float = 0.0
    updated_at: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.capacity

    @property
    def capacity(self) -> float:
        """The most it holds."""
        return max(1.0, self.per_minute / 60)

    def seconds_to_wait(self, now: float) -> float:
        """Seconds until something may be taken."""
        if self.per_minute <= 0:
            return 0.0
        inflow = (now - self.updated_at) * self.per_minute / 60
        self.level = min(self.capacity, self.level + inflow)
        self.updated_at = now
        if self.level > 0:
            return 0.0
        return (1e-3 - self.level) * 60 / self.per_minute

    def take(self, amount: float) -> None:
        """Take some, or give it back where `amount` is negative."""
        self.level -= amount


class Pacer:
    """The limits of one endpoint: at most `cap` in flight, `rpm` requests and `tpm` tokens a
    minute (0: no limit).
    """

    def __init__(self, cap: int, rpm: float, tpm: float, now: float) -> None:
        self.cap = cap
        self.limit = float(min(cap, FIRST_LIMIT))
        self.n_in_flight = 0
        self.is_probing = False
        """Whether one request at a time tries if the server answers at all."""
        self._requests = TokenBucket(rpm, updated_at=now)
        self._tokens = TokenBucket(tpm, updated_at=now)
        self._has_rates = rpm > 0 or tpm > 0
        self._not_before = 0.0
        self._has_complained = False
        self._lowered_at = -1.0

    def seconds_to_wait(self, now: float) -> float | None:
        """Seconds until a request may go: 0 for at once, None while all places are taken."""
        limit = 1 if self.is_probing else int(self.limit)
        if self.n_in_flight >= limit:
            return None
        pause = max(self._not_before - now, 0.0)
        if not self._has_rates:
            return pause
        request_wait = self._requests.seconds_to_wait(now)
        token_wait = self._tokens.seconds_to_wait(now)
        return max(pause, request_wait, token_wait)

    def take_place(self, n_tokens: float) -> None:
        """A request goes out that is expected to use `n_tokens`."""
        self.n_in_flight += 1
        if self._has_rates:
            self._requests.take(1)
            self._tokens.take(n_tokens)

    def free_place(self) -> None:
        """A request has returned, or never will."""
        self.n_in_flight -= 1

    def record_reply(self, n_expected: float, n_used: float) -> None:
        """A good reply: correct the estimate of its tokens and raise the limit."""
        if self._has_rates:
            self._tokens.take(n_used - n_expected)
        if self.limit < self.cap:
            step = 1 / self.limit if self._has_complained else STEEPNESS
            self.limit = min(float(self.cap), self.limit + step)

    def record_complaint(self, now: float, sent_at: float) -> None:
        """The server is overloaded: lower the limit, unless it was lowered after the request that
        met this complaint was sent.
        """
        self._has_complained = True
        if sent_at >= self._lowered_at:
            n_before = min(self.limit, self.n_in_flight + 1)
            self.limit = max(1.0, n_before * DECREASE)
            self._lowered_at = now

    def pause(self, until: float) -> None:
        """Let nothing go out before `until`."""
        self._not_before = max(self._not_before, until)


def backoff_seconds(n_tries: int, draw: float | None = None) -> float:
    """Seconds to wait after `n_tries` failed tries: 0.5, doubled each time, at most 30, times a
    random factor from 0.5 to 1.5.
    """
    base = min(MAX_BACKOFF, FIRST_BACKOFF * 2.0 ** max(0, n_tries - 1))
    if draw is None:
        draw = random.random()
    return base * (0.5 + draw)
