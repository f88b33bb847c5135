"""Only some rows wait to be taken at a time, and that changes nothing."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from tacos.amounts import parse_quotas
from tacos.methods.selecting import tag_coverage
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.strategies import Choice, choose_by_strategy
from tacos.methods.selecting.strategy_inputs import QuestionVectors, StrategyInputs

N_ROWS = 600
LIMITS = {
    "none": Limits(),
    "repeats": Limits(questions=True),
    "conversations": Limits(conversations=True),
    "a source": Limits(per_source=parse_quotas({"a": "<=10%"}, "per_source")),
    "lengths": Limits(match_length=True),
}


def make_pool(seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    tags = [
        [f"t{tag}" for tag in rng.integers(60, size=rng.integers(5))]
        for _ in range(N_ROWS)
    ]
    # Few different scores, so that many rows have the same one.
    scores = np.round(rng.normal(50, 10, N_ROWS))
    return pl.DataFrame(
        {
            "id": [f"f:{row}" for row in range(N_ROWS)],
            "cluster": rng.integers(5, size=N_ROWS),
            "score": scores,
            "correctness": scores,
            "length": rng.integers(1, 500, N_ROWS),
            "tags": tags,
            "source": np.where(scores > 55, "a", "b"),
            "conversation": rng.integers(150, size=N_ROWS),
        }
    )


def choose(pool: pl.DataFrame, seed: int, limits: Limits) -> tuple[Choice, int]:
    """A selection of 20 rows, and how many rows' questions were read."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((N_ROWS, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    read: set[str] = set()

    def find(ids: Sequence[str]) -> list[int]:
        return [int(id_.partition(":")[2]) for id_ in ids]

    def hash_task(id_: str) -> list[bytes]:
        read.add(id_)
        return [bytes([find([id_])[0] % 7])]

    extras = StrategyInputs(
        tag_price=1.5,
        reliability=0.4,
        questions=QuestionVectors(hash_task, lambda ids: vectors[find(ids)], 0.5),
    )
    keep = [f"f:{seed}", "f:599"]
    choice = choose_by_strategy(
        pool, "tacos", 20, seed, extras, keep=keep, limits=limits
    )
    return choice, len(read)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", LIMITS)
def test_the_selection_is_that_from_all_rows(
    name: str,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = make_pool(seed)
    # So many that all rows wait.
    assert tag_coverage.N_CANDIDATES > N_ROWS
    expected, _ = choose(pool, seed, LIMITS[name])
    monkeypatch.setattr(tag_coverage, "N_CANDIDATES", 1)
    choice, _ = choose(pool, seed, LIMITS[name])
    assert choice.selection.equals(expected.selection)
    assert choice.left_out.equals(expected.left_out)
    assert choice.tag_price == expected.tag_price


@pytest.mark.parametrize("n_candidates", [1, 3, 50])
@pytest.mark.parametrize("seed", range(10))
def test_equal_gains_are_taken_in_the_same_order(
    seed: int,
    n_candidates: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (f"r{row % 90}", int(rng.integers(4)), float(rng.integers(3)))
        for row in range(120)
    ]
    tags = {id_: [f"t{tag}" for tag in rng.integers(20, size=3)] for id_, _, _ in rows}
    room = {0: 9, 1: 2, 2: 30, 3: 0}
    arguments = (rows, 25, room, tags, 1.0, ["r7"])
    expected = tag_coverage.take_covering(*arguments)
    # Rounds of fewer candidates than rows to take need a selection of fewer rows each.
    monkeypatch.setattr(tag_coverage, "N_CANDIDATES", n_candidates)
    assert tag_coverage.take_covering(*arguments) == expected
    assert tag_coverage.take_covering(rows, 3, room, tags, 1.0, ["r7"]) == expected[:3]


def test_the_best_rows_wait_and_of_equal_ones_the_earlier() -> None:
    gains = np.array([2.0, 5.0, -np.inf, 2.0, 7.0, 2.0])
    waiting, last = tag_coverage._list_candidates(gains, 4)
    assert waiting == [(-7.0, 4), (-5.0, 1), (-2.0, 0), (-2.0, 3)]
    assert last == (-2.0, 3)
    waiting, last = tag_coverage._list_candidates(gains, 5)
    assert len(waiting) == 5
    assert last > waiting[-1]
