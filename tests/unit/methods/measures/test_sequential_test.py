"""The test that stops a stage: its error, its power, and that no order of arrival matters.

The figures of 1,000 runs each stand in the module's docstring; here are 200 of each.
"""

import random

from tacos.methods.measures.sequential_test import (
    ALLOWED,
    ERROR,
    MIN_ANSWERS,
    SequentialTest,
)
from tacos.pipeline.first_questions import N_FIRST

N = 3000
N_RUNS = 200


def stop_at(failed: list[bool], limit: float, n_all: int | None = None) -> int | None:
    """After how many answers, taken in line, the test stops; None for never."""
    test = SequentialTest(limit, n_all)
    for place, is_failure in enumerate(failed):
        test.answer(place, failed=is_failure)
        if test.has_failed:
            return place + 1
    return None


def count_requests(share: float, limit: float) -> list[int | None]:
    """Of seeded runs of 3,000 rows: the requests before the stop, where a failure costs two."""
    counts: list[int | None] = []
    for seed in range(N_RUNS):
        generator = random.Random(seed)
        unusable = set(generator.sample(range(N), round(share * N)))
        drawn = generator.sample(range(N), N_FIRST)
        failed = [row in unusable for row in drawn]
        stop = stop_at(failed, limit, N)
        counts.append(None if stop is None else stop + sum(failed[:stop]))
    return counts


def test_one_percent_of_3000_never_stops_in_200_runs() -> None:
    for limit in (0.02, 0.05):
        assert count_requests(0.01, limit) == [None] * N_RUNS


def test_a_tenth_is_noticed_within_400_requests() -> None:
    for limit in (0.02, 0.05):
        counts = count_requests(0.1, limit)
        n_in_time = sum(count is not None and count <= 400 for count in counts)
        assert n_in_time >= 0.98 * N_RUNS


def test_nothing_usable_is_noticed_within_40_requests() -> None:
    for limit in (0.02, 0.05, 0.2):
        assert count_requests(1.0, limit) == [2 * MIN_ANSWERS] * N_RUNS
    assert stop_at([True] * 100, 0.9) is not None
    assert stop_at([True] * 100, 1.0) is None
    assert stop_at([False] * 20 + [True], 0.0) == 21


def test_the_error_is_kept_where_the_share_is_four_fifths_of_the_limit() -> None:
    for limit in (0.02, 0.05):
        counts = count_requests(ALLOWED * limit, limit)
        assert sum(count is not None for count in counts) <= ERROR * N_RUNS


def test_a_stage_that_is_certain_to_fail_stops() -> None:
    """After the drawn questions: the rest has no place in line."""
    test = SequentialTest(0.05, 1000)
    for number in range(1000):
        test.answer(None, failed=number >= 500)
        assert test.has_failed == (number >= 550)


def test_the_order_in_which_answers_arrive_decides_nothing() -> None:
    """Failures that come first look like nothing but failures to whoever counts arrivals."""
    for seed in range(50):
        generator = random.Random(seed)
        failed = [generator.random() < 0.03 for _ in range(600)]
        decisions = set()
        for order in ("in line", "failures first", "shuffled"):
            test = SequentialTest(0.02)
            places = list(range(len(failed)))
            if order == "failures first":
                places.sort(key=lambda place: not failed[place])
            elif order == "shuffled":
                generator.shuffle(places)
            for place in places:
                test.answer(place, failed=failed[place])
            decisions.add(test.has_failed)
        assert len(decisions) == 1


def test_answers_that_are_missing_count_as_usable() -> None:
    test = SequentialTest(0.02)
    for place in range(0, 2000, 130):
        test.answer(place, failed=True)
    assert test.n_known == test.n_failed == 16
    assert not test.has_failed
