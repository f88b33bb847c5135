"""The objective within limits, and no fewer tags than random rows."""

import random

import numpy as np
import polars as pl
import pytest

from tacos.amounts import parse_quotas
from tacos.methods.measures.tag_measures import count_expected_kinds
from tacos.methods.selecting import coverage_floor
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.objective import build_objective
from tacos.methods.selecting.strategies import choose_by_strategy
from tacos.methods.selecting.strategy_inputs import StrategyInputs

N_ROWS = 200
PRICE = 1.5
RELIABILITY = 0.1


def make_pool(seed: int, clumped: bool = False) -> pl.DataFrame:
    """200 rows of two sources, the better one half of them, with 1 to 4 of 60 tags."""
    rng = random.Random(seed)
    rows = []
    for number in range(N_ROWS):
        source = "a" if number < N_ROWS // 2 else "b"
        score = rng.gauss(60 if source == "a" else 40, 10)
        # Clumped: the best rows have few tags among them.
        n_known = 6 if clumped and score > 60 else 60
        tags = rng.sample([f"t{tag}" for tag in range(n_known)], rng.randint(1, 4))
        rows.append((f"i{number:03d}", 0, score, 10, source, tags))
    schema = ["id", "cluster", "score", "length", "source", "tags"]
    return pl.DataFrame(rows, schema=schema, orient="row")


def count_tags(pool: pl.DataFrame) -> int:
    return pool["tags"].explode().n_unique()


def select_plainly(
    pool: pl.DataFrame, n: int, room: dict[str, int], vectors: np.ndarray | None = None
) -> list[str]:
    """Greedy that asks every limit before it takes a row, with no cleverness."""
    quality, price = build_objective(pool["score"].to_numpy(), RELIABILITY, PRICE)
    ids, sources, tags = (pool[name].to_list() for name in ("id", "source", "tags"))
    taken: list[int] = []
    covered: set[str] = set()
    left = dict(room)
    while len(taken) < n:
        allowed = []
        for row in range(N_ROWS):
            is_near = (
                vectors is not None
                and taken
                and (vectors[taken] @ vectors[row]).max() > 0.9
            )
            if row not in taken and left.get(sources[row], 1) > 0 and not is_near:
                gain = quality[row] + price * len(set(tags[row]) - covered)
                allowed.append((-gain, -pool["score"][row], row))
        _, _, row = min(allowed)
        taken.append(row)
        covered |= set(tags[row])
        if sources[row] in left:
            left[sources[row]] -= 1
    return [ids[row] for row in taken]


@pytest.mark.parametrize("seed", range(8))
def test_tags_of_rows_that_a_quota_leaves_out_are_still_to_be_covered(
    seed: int,
) -> None:
    """Before, the walk passed rows by whose tags counted as covered: 37 tags where 44 could be."""
    pool = make_pool(seed)
    inputs = StrategyInputs(tag_price=PRICE, reliability=RELIABILITY)
    limits = Limits(per_source=parse_quotas({"b": "80%"}, "per_source"))
    choice = choose_by_strategy(pool, "tacos", 20, 1, inputs, limits=limits)
    assert choice.tag_price == PRICE
    expected = select_plainly(pool, 20, {"b": 16, "a": 4})
    assert choice.selection["id"].to_list() == expected


@pytest.mark.parametrize("seed", range(8))
def test_tags_of_near_duplicates_are_still_to_be_covered(seed: int) -> None:
    pool = make_pool(seed)
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(25, 8))
    vectors = centres[rng.integers(0, 25, N_ROWS)]
    vectors = vectors + 0.15 * rng.normal(size=(N_ROWS, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    inputs = StrategyInputs(
        ids=pool["id"].to_list(),
        vectors=vectors.astype(np.float32),
        tag_price=PRICE,
        reliability=RELIABILITY,
    )
    choice = choose_by_strategy(pool, "tacos", 20, 1, inputs, limits=Limits(cosine=0.9))
    assert choice.selection["id"].to_list() == select_plainly(pool, 20, {}, vectors)


def test_a_quota_of_a_tag_is_served_before_all_others() -> None:
    pool = make_pool(3)
    inputs = StrategyInputs(tag_price=PRICE, reliability=RELIABILITY)
    limits = Limits(per_tag=parse_quotas({"t7": "5"}, "per_tag"))
    chosen = choose_by_strategy(pool, "tacos", 20, 1, inputs, limits=limits).selection
    table = pool.filter(pl.col("id").is_in(chosen["id"].implode()))
    assert table["tags"].list.contains("t7").sum() == 5


@pytest.mark.parametrize("n", [10, 20, 40])
def test_a_selection_covers_no_fewer_tags_than_random_rows(n: int) -> None:
    pool = make_pool(1, clumped=True)
    counts = pool["tags"].explode().value_counts()["count"]
    (expected,) = count_expected_kinds(counts.to_numpy(), N_ROWS, np.array([n]))
    # The judge's word is worth so much that a tag at its usual price changes little.
    reliability = 0.5
    inputs = StrategyInputs(tag_price=PRICE, reliability=reliability)
    choice = choose_by_strategy(pool, "tacos", n, 1, inputs)
    rows = pool.filter(pl.col("id").is_in(choice.selection["id"].implode()))
    is_most = choice.tag_price == pytest.approx(PRICE * coverage_floor.MOST)
    assert count_tags(rows) >= expected or is_most
    assert choice.tag_price > PRICE
    # A judge that says everything still ranks.
    ranking = StrategyInputs(tag_price=PRICE, reliability=1.0)
    best = choose_by_strategy(pool, "tacos", n, 1, ranking).selection
    assert best["score"].to_list() == sorted(pool["score"], reverse=True)[:n]


def test_the_first_step_that_is_enough_is_found() -> None:
    for enough in range(coverage_floor.N_STEPS + 1):
        asked: list[int] = []

        def count(step: int, seen: list[int] = asked) -> int:
            seen.append(step)
            return step

        assert coverage_floor.find_step(count, enough) == enough
        assert len(asked) <= 4
    assert coverage_floor.find_step(lambda step: 0, 1) == coverage_floor.N_STEPS
