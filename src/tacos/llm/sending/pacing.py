"""How many requests may be in flight, and when the next one may go. No clock of its own: every
function is told the time.

Concurrency: the limit starts small, quadruples per round trip until the server first complains,
then grows by one per round trip; a complaint (429, 503, a time-out) takes it down to 0.7 of itself,
once per round trip. It never exceeds the cap. Rates: a bucket per limit (requests, tokens) that
fills evenly; tokens are taken at a guess and corrected by what was used. Pauses: after several
refusals in a row with a Retry-After, or when the server's `x-ratelimit-remaining-*` says 0, nothing
goes out before the time it names.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DECREASE = 0.7
FIRST_LIMIT = 64
STEEPNESS = 3
"""Growth of the limit per reply until the first complaint: 1 + STEEPNESS times itself per round
trip.
"""
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(slots=True)
class TokenBucket:
    """Fills by `per_minute / 60` a second, holds at most a second's worth (at least 1), may go
    below 0.
    """

    per_minute: float
    level: float = 0.0
    seen: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.room

    @property
    def room(self) -> float:
        """The most it holds."""
        return max(1.0, self.per_minute / 60)

    def wait(self, now: float) -> float:
        """Seconds until something may be taken."""
        if self.per_minute <= 0:
            return 0.0
        self.level = min(self.room, self.level + (now - self.seen) * self.per_minute / 60)
        self.seen = now
        return 0.0 if self.level > 0 else (1e-3 - self.level) * 60 / self.per_minute

    def take(self, amount: float) -> None:
        """Take, or with a negative amount give back."""
        self.level -= amount


class Pacer:
    """The limits of one endpoint."""

    def __init__(self, cap: int, rpm: float, tpm: float, now: float) -> None:
        self.cap = cap
        self.limit = float(min(cap, FIRST_LIMIT))
        self.n_flying = 0
        self.requests, self.tokens = TokenBucket(rpm, seen=now), TokenBucket(tpm, seen=now)
        self.not_before = 0.0
        self.complained = False
        self.lowered_at = -1.0

    def wait(self, now: float) -> float | None:
        """Seconds until a request may go: 0 for at once, None while all places are taken."""
        if self.n_flying >= int(self.limit):
            return None
        return max(self.not_before - now, self.requests.wait(now), self.tokens.wait(now), 0.0)

    def sent(self, n_tokens: float) -> None:
        """A request goes out that may use about `n_tokens`."""
        self.n_flying += 1
        self.requests.take(1)
        self.tokens.take(n_tokens)

    def returned(self) -> None:
        """A request has come back, or never will."""
        self.n_flying -= 1

    def answered(self, guessed: float, used: float) -> None:
        """A good reply: the limit grows."""
        self.tokens.take(used - guessed)
        step = 1 / self.limit if self.complained else STEEPNESS
        self.limit = min(float(self.cap), self.limit + step)

    def complaint(self, now: float, sent_at: float) -> None:
        """The server is pressed: lower the limit, unless it was lowered after that request was
        sent.
        """
        self.complained = True
        if sent_at >= self.lowered_at:
            self.limit = max(1.0, min(self.limit, self.n_flying + 1) * DECREASE)
            self.lowered_at = now

    def pause(self, until: float) -> None:
        """Nothing goes out before `until`."""
        self.not_before = max(self.not_before, until)


def backoff_seconds(n_tries: int, draw: float | None = None) -> float:
    """Seconds to wait after `n_tries` failed tries: 0.5 doubled each time, at most 30, times 0.5 to
    1.5 by chance.
    """
    base = min(30.0, 0.5 * 2.0 ** max(0, n_tries - 1))
    return base * (0.5 + (random.random() if draw is None else draw))


def read_retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds that the server asks to wait, by `retry-after-ms` or `Retry-After` (seconds or a
    date); None for no word.

    >>> read_retry_after({"retry-after": "2"}, 0), read_retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, 10.0)
    (2.0, 20.0)
    """
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        try:
            return max(0.0, float(text) * factor)
        except ValueError:
            pass
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - wall)
    except (KeyError, ValueError, TypeError):
        return None


def read_quota_wait(headers: Mapping[str, str], wall: float) -> float:
    """Seconds until the quota that `x-ratelimit-remaining-*` says is used up is there again; 0
    where none is.
    """
    if (
        "x-ratelimit-remaining-requests" not in headers
        and "x-ratelimit-remaining-tokens" not in headers
    ):
        return 0.0
    waits = [
        _parse_duration(headers.get(f"x-ratelimit-reset-{kind}", ""), wall)
        for kind in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
    ]
    return max(waits, default=0.0)


def _parse_duration(text: str, wall: float) -> float:
    """Seconds meant by `6m0s`, `120ms`, `1.5`, or a date as ISO 8601 writes it; 0 where nothing is.

    >>> _parse_duration("6m0.5s", 0), _parse_duration("120ms", 0), _parse_duration("1970-01-01T00:00:05Z", 2.0), _parse_duration("soon", 0)
    (360.5, 0.12, 3.0, 0.0)
    """
    pieces = DURATION.findall(text)
    if pieces and DURATION.sub("", text).strip() == "":
        return float(sum(float(number) * SECONDS[unit] for number, unit in pieces))
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - wall)
