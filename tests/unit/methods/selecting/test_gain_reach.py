"""Rows that a selection by gain cannot reach are left out, and nothing else changes."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from tacos.amounts import parse_quotas
from tacos.methods.selecting import objective_choice
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
    choice, _ = choose(pool, seed, LIMITS[name])
    # So many that no row is left out.
    monkeypatch.setattr(objective_choice, "ASKED_PER_ROW", N_ROWS)
    expected, _ = choose(pool, seed, LIMITS[name])
    assert choice.selection.equals(expected.selection)
    assert choice.left_out.equals(expected.left_out)
    assert choice.tag_price == expected.tag_price


def test_few_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    pick = objective_choice.pick_by_gain

    def watch(picks, n, task):  # type: ignore[no-untyped-def]
        looked_at.append(task.ranked.height)
        return pick(picks, n, task)

    monkeypatch.setattr(objective_choice, "pick_by_gain", watch)
    choose(make_pool(1), 1, Limits())
    assert len(looked_at) == 1
    assert looked_at[0] < N_ROWS / 2
