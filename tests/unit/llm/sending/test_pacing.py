"""Concurrency, rates and pauses, with a clock of our own."""

import pytest

from tacos.llm.sending.pacing import (
    FIRST_LIMIT,
    Pacer,
    TokenBucket,
    backoff_seconds,
)


def fly(pace: Pacer, n: int) -> None:
    for _ in range(n):
        pace.take_place(0)


def test_the_limit_quadruples_per_round_trip_up_to_the_cap() -> None:
    pace = Pacer(1000, 0, 0, 0.0)
    assert pace.limit == FIRST_LIMIT
    for _ in range(FIRST_LIMIT):
        pace.record_reply(0, 0)
    assert pace.limit == 4 * FIRST_LIMIT
    for _ in range(5000):
        pace.record_reply(0, 0)
    assert pace.limit == 1000


def test_after_a_complaint_it_falls_once_per_round_trip_and_grows_by_one() -> None:
    pace = Pacer(256, 0, 0, 0.0)
    pace.limit = 100.0
    fly(pace, 100)
    pace.record_complaint(now=10.0, sent_at=9.0)
    assert pace.limit == pytest.approx(70)
    pace.record_complaint(now=10.1, sent_at=9.0)  # was on its way already
    assert pace.limit == pytest.approx(70)
    pace.record_complaint(now=11.0, sent_at=10.5)
    assert pace.limit == pytest.approx(49)
    for _ in range(49):
        pace.record_reply(0, 0)
    assert pace.limit == pytest.approx(50, abs=0.5)


def test_no_more_than_the_limit_is_in_flight() -> None:
    pace = Pacer(2, 0, 0, 0.0)
    assert pace.seconds_to_wait(0.0) == 0
    fly(pace, 2)
    assert pace.seconds_to_wait(0.0) is None
    pace.free_place()
    assert pace.seconds_to_wait(0.0) == 0


def test_nothing_goes_out_during_a_pause() -> None:
    pace = Pacer(8, 0, 0, 0.0)
    pace.pause(5.0)
    pace.pause(3.0)
    assert pace.seconds_to_wait(1.0) == 4.0
    assert pace.seconds_to_wait(5.0) == 0.0


@pytest.mark.parametrize("per_minute", [30, 600, 6000])
def test_a_bucket_lets_through_its_rate(per_minute: int) -> None:
    bucket, now, n_sent = TokenBucket(per_minute), 0.0, 0
    while now < 60:
        wait = bucket.seconds_to_wait(now)
        if wait > 0:
            now += wait
            continue
        bucket.take(1)
        n_sent += 1
    assert per_minute <= n_sent <= per_minute + bucket.capacity + 1


def test_tokens_are_corrected_by_what_was_used() -> None:
    pace = Pacer(8, 0, 60_000, 0.0)
    pace.take_place(1500)
    assert pace.seconds_to_wait(0.0) == pytest.approx(0.5, abs=0.01)
    pace.record_reply(n_expected=1500, n_used=200)
    assert pace.seconds_to_wait(0.0) == 0


def test_back_off_doubles_up_to_a_limit() -> None:
    assert [backoff_seconds(n, draw=0.5) for n in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 30.0]
    assert backoff_seconds(1, draw=0.0) == 0.25
