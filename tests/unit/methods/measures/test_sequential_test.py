"""The test that stops a stage: its error, its power, and that no order of arrival matters."""

import random

from tacos.methods.measures.sequential_test import ERROR, SequentialTest


def draw(share: float, n: int, seed: int) -> list[bool]:
    """Which of n answers fail."""
    generator = random.Random(seed)
    return [generator.random() < share for _ in range(n)]


def stop_at(failed: list[bool], limit: float) -> int | None:
    """After how many answers, taken in line, the test stops; None for never."""
    test = SequentialTest(limit)
    for number, is_failure in enumerate(failed, 1):
        test.answer(test.ask(), failed=is_failure)
        if test.has_failed:
            return number
    return None


def test_one_percent_of_3000_never_stops_in_200_runs() -> None:
    for limit in (0.02, 0.05):
        for seed in range(200):
            assert stop_at(draw(0.01, 3000, seed), limit) is None


def test_a_tenth_is_noticed_within_400_requests() -> None:
    # An answer that fails costs two requests.
    stops = [stop_at(draw(0.1, 3000, seed), 0.05) for seed in range(200)]
    n_requests = sorted(1.1 * (stop or 3000) for stop in stops)
    assert sum(n_requests) / 200 < 300
    assert n_requests[160] < 400  # of 100, 80 and more
    at_two_percent = [stop_at(draw(0.1, 3000, seed), 0.02) for seed in range(200)]
    assert 1.1 * max(stop or 3000 for stop in at_two_percent) < 400


def test_nothing_usable_is_noticed_at_once_at_any_limit() -> None:
    assert stop_at([True] * 20, 0.02) == 15
    assert stop_at([True] * 20, 0.2) == 15
    assert stop_at([True] * 100, 0.9) is not None
    assert stop_at([True] * 100, 1.0) is None
    assert stop_at([False] * 20 + [True], 0.0) == 21


def test_the_error_is_kept_where_the_share_is_just_the_limit() -> None:
    n_stopped = sum(
        stop_at(draw(0.02, 3000, seed), 0.02) is not None for seed in range(1000)
    )
    assert n_stopped / 1000 <= ERROR


def test_the_order_in_which_answers_arrive_decides_nothing() -> None:
    """Failures that come first look like nothing but failures to whoever counts arrivals."""
    for seed in range(50):
        failed = draw(0.03, 600, seed)
        decisions = set()
        for order in ("in line", "failures first", "shuffled"):
            test = SequentialTest(0.02)
            places = [test.ask() for _ in failed]
            if order == "failures first":
                places.sort(key=lambda place: not failed[place])
            elif order == "shuffled":
                random.Random(seed).shuffle(places)
            for place in places:
                test.answer(place, failed=failed[place])
            decisions.add((test.has_failed, test.worst.n_failed, test.worst.n))
        assert len(decisions) == 1


def test_answers_that_are_missing_count_as_usable() -> None:
    test = SequentialTest(0.02)
    places = [test.ask() for _ in range(2000)]
    for place in places[::130]:
        test.answer(place, failed=True)
    assert test.n_known == test.n_failed == 16
    assert not test.has_failed
