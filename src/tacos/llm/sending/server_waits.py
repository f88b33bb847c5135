"""How long a server asks to wait: in headers, in fields of an error, or in its words. Pure.

Times of day, and `now` in every function, are in seconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from tacos.llm.chat.error_body import read_complaint, walk_objects

UNITS = r"ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|hr|h|days?|d"
DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*({UNITS})(?![a-z])", re.IGNORECASE)
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of a unit, by its first letter but for milliseconds."""
WAIT_WORDS = re.compile(
    r"\b(?:try(?:ing)? again|retry(?:ing)?|resets?|wait|available(?: again)?)\b"
    r"(?:\s+(?:in|after|for|at least|about|approximately|your request))*\s*"
    rf"((?:\d+(?:\.\d+)?\s*(?:{UNITS})(?![a-z])[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
DELAYS = {
    "retrydelay": 1.0,
    "retryafter": 1.0,
    "retryafterseconds": 1.0,
    "retryafterms": 0.001,
    "estimatedtime": 1.0,
}
"""Fields of an error that hold a time to wait, without their underscores, and their unit."""
REMAINING = re.compile(r"x-ratelimit-remaining(-.+)?")


class QuotaWait(NamedTuple):
    """Seconds until a quota is available again, and what it is a quota of."""

    seconds: float = 0.0
    kind: str = "requests"


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server asks to wait; None if it names no time.

    It reads `retry-after-ms` and `Retry-After` (seconds or a date).

    >>> read_retry_after({"retry-after": "2"}, 0)
    2.0
    >>> read_retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, 10.0)
    20.0
    """
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        try:
            return max(0.0, float(text) * factor)
        except ValueError:
            if DURATION.match(text):  # "30s", against the standard
                return read_duration(text, now)
    try:
        date = parsedate_to_datetime(headers["retry-after"])
        return max(0.0, date.timestamp() - now)
    except (KeyError, ValueError, TypeError):
        return None


def read_quota_wait(headers: Mapping[str, str], now: float) -> QuotaWait:
    """The longest wait for a quota that `x-ratelimit-remaining-*` says is used up.

    >>> headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}
    >>> read_quota_wait(headers, 0)
    QuotaWait(seconds=360.0, kind='tokens')
    """
    longest = QuotaWait()
    for name, remaining in headers.items():
        match = REMAINING.fullmatch(name)
        if match is None or remaining.strip() != "0":
            continue
        suffix = match[1] or ""
        reset = headers.get(f"x-ratelimit-reset{suffix}", "")
        kind = "tokens" if "token" in suffix else "requests"
        wait = QuotaWait(read_duration(reset, now), kind)
        longest = max(longest, wait)
    return longest


def read_named_wait(body: bytes, now: float) -> float | None:
    """Seconds that the body of an error asks to wait; None if it names no time.

    >>> read_named_wait(b'[{"error": {"details": [{"retryDelay": "2.5s"}]}}]', 0)
    2.5
    >>> read_named_wait(b"Please try again in 1m26.4s. See your billing.", 0)
    86.4
    """
    for part in walk_objects(body):
        for key, value in part.items():
            seconds = _read_delay_field(key, value, now)
            if seconds:
                return seconds
    match = WAIT_WORDS.search(read_complaint(body).text)
    return _sum_duration(match[1]) if match else None


def read_duration(text: str, now: float) -> float:
    """Seconds meant by `6m0s`, `120ms`, `1.5`, a date in ISO 8601 or a time of day (in seconds or
    milliseconds); 0 for anything else.

    >>> read_duration("6m0.5s", 0), read_duration("120ms", 0), read_duration("soon", 0)
    (360.5, 0.12, 0.0)
    >>> read_duration("1970-01-01T00:00:05Z", 2.0), read_duration("2000000030", 2e9)
    (3.0, 30.0)
    """
    text = text.strip()
    if DURATION.search(text) and not DURATION.sub("", text).strip():
        return _sum_duration(text)
    try:
        return _count_seconds(float(text), now)
    except ValueError:
        pass
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)


def _read_delay_field(key: str, value: Any, now: float) -> float:
    """Seconds that a field of an error asks to wait, 0 for a field that is about something else."""
    name = re.sub(r"[_-]", "", key).lower()
    if name in ("xratelimitreset", "ratelimitreset"):
        return read_duration(str(value), now)
    unit = DELAYS.get(name, 0.0)
    if not unit:
        return 0.0
    if isinstance(value, dict):
        value = value.get("seconds", "")
    return read_duration(str(value), now) * unit


def _count_seconds(number: float, now: float) -> float:
    """Seconds meant by a number: a duration, or a time of day in seconds or milliseconds."""
    if number > 1e11:
        number /= 1000
    if number > 1e8:
        number -= now
    return max(0.0, number)


def _sum_duration(text: str) -> float:
    """The sum of the durations in a text."""
    total = 0.0
    for number, unit in DURATION.findall(text):
        name = unit.lower()
        is_milli = name == "ms" or name.startswith("milli")
        total += float(number) * SECONDS["ms" if is_milli else name[0]]
    return total
