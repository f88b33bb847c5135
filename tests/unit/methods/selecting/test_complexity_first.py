"""Algorithm 1 of InsTag, against the algorithm as it is printed."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.methods.selecting import complexity_first


def as_printed(rows: list[list[int]], n: int) -> tuple[list[int], list[int]]:
    """Walk by walk over all rows that are left: slow, and plainly the algorithm."""
    left = sorted(range(len(rows)), key=lambda i: -len(set(rows[i])))
    taken: list[int] = []
    walks: list[int] = []
    walk = 0
    while len(taken) < n and any(rows[i] for i in left):
        seen: set[int] = set()
        for i in list(left):
            if len(taken) < n and set(rows[i]) - seen:
                seen |= set(rows[i])
                taken.append(i)
                walks.append(walk)
                left.remove(i)
        walk += 1
    return taken, walks


def offsets_of(rows: list[list[int]]) -> list[int]:
    return [0, *np.cumsum([len(row) for row in rows]).tolist()]


@given(
    st.lists(st.lists(st.integers(0, 8), max_size=6), max_size=40), st.integers(0, 45)
)
def test_equals_the_algorithm_as_printed(rows: list[list[int]], n: int) -> None:
    taken, walks = complexity_first.take_by_walks(
        offsets_of(rows), [tag for row in rows for tag in row], n
    )
    assert (taken.tolist(), walks.tolist()) == as_printed(rows, n)


def test_the_first_walk_covers_every_tag() -> None:
    rng = np.random.default_rng(1)
    rows = [
        rng.choice(50, size=rng.integers(0, 6), replace=False).tolist()
        for _ in range(1000)
    ]
    taken, walks = complexity_first.take_by_walks(
        offsets_of(rows), [tag for row in rows for tag in row], 1000
    )
    covered = {tag for i in taken[walks == 0].tolist() for tag in rows[i]}
    assert covered == {tag for row in rows for tag in row}


def test_priority_decides_between_rows_with_equally_many_tags() -> None:
    rows, _ = complexity_first.take_by_walks(
        [0, 1, 2, 3], [7, 7, 7], 3, priority=[2, 0, 1]
    )
    assert rows.tolist() == [1, 2, 0]


FRAME = pl.DataFrame(
    {"id": list("abcde"), "tags": [["x", "y", "x"], ["x", "y"], ["z"], [], ["y"]]}
)


def test_select_gives_ranks_ids_tags_and_walks() -> None:
    found = complexity_first.select_complex_first(FRAME, 4, seed=3)
    assert found.columns == ["rank", "id", "n_tags", "walk"]
    assert found["rank"].to_list() == [1, 2, 3, 4]
    assert found["n_tags"].to_list() == [2, 1, 2, 1]
    assert found["walk"].to_list() == [0, 0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    shuffled = FRAME.sample(fraction=1, shuffle=True, seed=seed)
    assert complexity_first.select_complex_first(shuffled, 3, seed=1).equals(
        complexity_first.select_complex_first(FRAME, 3, seed=1)
    )


def test_rows_without_tags_are_never_taken_and_fewer_rows_are_fewer() -> None:
    assert complexity_first.select_complex_first(FRAME, 99).height == 4
    assert complexity_first.select_complex_first(FRAME[3:4], 1).height == 0
    assert complexity_first.select_complex_first(FRAME[:0], 1).height == 0


def test_a_row_whose_tags_are_missing_is_a_row_without_tags() -> None:
    table = pl.DataFrame({"id": ["a", "b", "c"], "tags": [["x"], None, ["y", "z"]]})
    assert complexity_first.select_complex_first(table, 3)["id"].to_list() == ["c", "a"]
