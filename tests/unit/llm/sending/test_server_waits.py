"""How long a server asks to wait, in its headers and in its words."""

import json

import pytest

from tacos.llm.sending.server_waits import (
    read_named_wait,
    read_quota_wait,
    read_retry_after,
)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 50.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1m30s"}, 90.0),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers, now=10.0) == seconds


def test_an_exhausted_quota_is_waited_for() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m30s",
        "x-ratelimit-remaining-tokens": "5000",
        "x-ratelimit-reset-tokens": "3h",
    }
    assert read_quota_wait(headers, 0.0).seconds == 90.0
    assert (
        read_quota_wait({**headers, "x-ratelimit-remaining-requests": "3"}, 0.0).seconds
        == 0.0
    )


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"requests": ("0", "6m0s")}, (360.0, "requests")),
        ({"tokens": ("0", "120ms")}, (0.12, "tokens")),
        (
            {"tokens-minute": ("0", "11.5"), "requests-day": ("9", "1h")},
            (11.5, "tokens"),
        ),
        ({"requests": ("0", "1970-01-01T00:02:00Z")}, (20.0, "requests")),
        ({"requests": ("0", "soon")}, (0.0, "requests")),
    ],
)
def test_quotas_of_every_name_are_read(
    headers: dict[str, tuple[str, str]], wait: tuple[float, str]
) -> None:
    sent = {}
    for name, (remaining, reset) in headers.items():
        sent[f"x-ratelimit-remaining-{name}"] = remaining
        sent[f"x-ratelimit-reset-{name}"] = reset
    assert read_quota_wait(sent, now=100.0) == wait


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ([{"error": {"details": [{"x": 1}, {"retryDelay": "2s"}]}}], 2.0),
        ({"error": {"details": [{"retryDelay": {"seconds": 3}}]}}, 3.0),
        ({"error": "the model is loading", "estimated_time": 20.5}, 20.5),
        ({"detail": {"retry_after": 4}}, 4.0),
        ({"retry_after_ms": 1500}, 1.5),
        ({"error": {"message": "Please retry in 12.3s."}}, 12.3),
        ({"error": {"message": "Try again in 6ms. Add a payment method."}}, 0.006),
        ({"error": {"message": "please try again after 1 seconds"}}, 1.0),
        ({"error": {"message": "Please retry after 20 seconds."}}, 20.0),
        ({"error": {"message": "Used 5, asked 9. Please try again in 1m26.4s."}}, 86.4),
        ({"message": "The weekly limit is used up. Resets in 6hr 29min."}, 23340.0),
        ({"message": "retry in 1 hour and 5 minutes"}, 3900.0),
        ({"message": "wait at least 2 minutes, then go on"}, 120.0),
        (
            {
                "error": {
                    "metadata": {"headers": {"X-RateLimit-Reset": "2000000030000"}}
                }
            },
            30.0,
        ),
        ({"message": "try again later"}, None),
        ({"message": "retry 3 of 5 failed"}, None),
        ({"message": "limit 20 requests per 1 minute"}, None),
    ],
)
def test_a_time_to_wait_is_read_from_an_error(
    body: object, seconds: float | None
) -> None:
    waited = read_named_wait(json.dumps(body).encode(), now=2_000_000_000.0)
    assert waited == (None if seconds is None else pytest.approx(seconds))
