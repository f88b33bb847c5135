"""High scores and many tags at once: lazy greedy takes what plain greedy takes."""

import random
from itertools import combinations

import pytest

from tacos.methods.selecting import tag_coverage

ROWS = [("a", 0, 9.0), ("b", 0, 8.0), ("c", 1, 7.0), ("d", 1, 6.0)]
TAGS = {"a": ["x", "y"], "b": ["x"], "c": ["y"], "d": ["z"]}


def names(places: list[int]) -> str:
    return "".join(ROWS[place][0] for place in places)


def test_where_tags_are_worth_nothing_scores_decide() -> None:
    assert names(tag_coverage.take_covering(ROWS, 3, None, TAGS, price=0)) == "abc"


def test_a_new_tag_is_worth_so_many_points() -> None:
    assert names(tag_coverage.take_covering(ROWS, 2, None, TAGS, price=1.9)) == "ab"
    assert names(tag_coverage.take_covering(ROWS, 2, None, TAGS, price=2.1)) == "ad"


def test_no_cluster_gives_more_than_it_has_room_for() -> None:
    assert (
        names(tag_coverage.take_covering(ROWS, 4, {0: 1, 1: 1}, TAGS, price=0)) == "ac"
    )
    assert names(tag_coverage.take_covering(ROWS, 4, {0: 1}, TAGS, price=0)) == "a"


def test_tags_of_rows_that_are_in_count_as_covered() -> None:
    assert names(tag_coverage.take_covering(ROWS, 1, None, TAGS, price=5)) == "a"
    assert (
        names(tag_coverage.take_covering(ROWS, 2, None, TAGS, price=5, start=["a"]))
        == "db"
    )


def test_a_sample_in_two_clusters_is_taken_once() -> None:
    rows = [("a", 0, 9.0), ("a", 1, 8.0), ("b", 1, 1.0)]
    assert tag_coverage.take_covering(rows, 3, {0: 1, 1: 1}, {}, price=1) == [0, 2]


def pool(
    seed: int, size: int
) -> tuple[list[tag_coverage.Row], dict[str, list[str]], dict[int, int]]:
    rng = random.Random(seed)
    rows = [
        (f"r{i}", rng.randrange(3), float(rng.randrange(1, 9))) for i in range(size)
    ]
    tags = {id_: rng.sample("abcdefghijkl", rng.randrange(5)) for id_, _, _ in rows}
    return rows, tags, {cluster: rng.randrange(1, 6) for cluster in range(3)}


@pytest.mark.parametrize("seed", range(30))
def test_lazy_greedy_is_plain_greedy(seed: int) -> None:
    rows, tags, room = pool(seed, 40)
    left, covered, expected = dict(room), set(), []
    while free := [
        k for k, row in enumerate(rows) if left[row[1]] > 0 and k not in expected
    ]:
        best = max(
            free,
            key=lambda k: (rows[k][2] + 2.5 * len(set(tags[rows[k][0]]) - covered), -k),
        )
        expected.append(best)
        covered.update(tags[rows[best][0]])
        left[rows[best][1]] -= 1
    assert tag_coverage.take_covering(rows, 99, room, tags, price=2.5) == expected


@pytest.mark.parametrize("seed", range(5))
def test_it_reaches_at_least_half_of_the_best(seed: int) -> None:
    rows, tags, room = pool(seed, 9)

    def value(places) -> float:
        return sum(rows[k][2] for k in places) + 3 * len(
            {tag for k in places for tag in tags[rows[k][0]]}
        )

    def fits(places) -> bool:
        return all(
            sum(rows[k][1] == cluster for k in places) <= room[cluster]
            for cluster in room
        )

    best = max(value(places) for places in combinations(range(9), 4) if fits(places))
    assert value(tag_coverage.take_covering(rows, 4, room, tags, price=3)) >= best / 2


@pytest.mark.parametrize("n_tags", [254, 255, 300])
def test_a_row_may_have_more_tags_than_a_byte_counts(n_tags: int) -> None:
    """The row with the most tags comes first, and rows that are in do not come back."""
    many = [f"t{number}" for number in range(n_tags)]
    tags = {"a": many[:5], "b": many, "c": ["other"]}
    rows = [(name, 0, 1.0) for name in "abc"]
    assert tag_coverage.take_covering(rows, 3, None, tags, price=1.0) == [1, 2, 0]
