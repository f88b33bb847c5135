"""The arms of an experiment: equal budgets, new draws, and the longest rows of a real pool."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tacos.methods.evaluating.arms import (
    Budget,
    draw_matched_arm,
    draw_random_arm,
    measure_arm,
    measure_budget,
    take_longest_arm,
)

GENERATOR = np.random.default_rng(7)
TOKENS = np.ceil(GENERATOR.lognormal(4, 0.9, 3000)).astype(np.int64)
SELECTION = np.argsort(-TOKENS + GENERATOR.normal(0, 120, 3000))[:100]


def test_every_seed_draws_other_rows_and_the_same_seed_the_same() -> None:
    budget = measure_budget(SELECTION, TOKENS, "rows")
    assert budget == Budget("rows", 100)
    one, again, other = (draw_random_arm(TOKENS, budget, seed) for seed in (1, 1, 2))
    assert len(set(one.tolist())) == 100
    assert one.tolist() == again.tolist()
    # Of 100 rows of 3,000, 3.3 are drawn twice on average.
    assert len(set(one) & set(other)) < 15
    matched, matched_other = (draw_matched_arm(TOKENS, SELECTION, s) for s in (1, 2))
    assert set(matched) != set(matched_other)


def test_the_longest_rows_are_the_longest() -> None:
    arm = take_longest_arm(TOKENS, Budget("rows", 100), 1)
    assert TOKENS[arm].min() >= np.sort(TOKENS)[-100]
    rest = np.setdiff1d(np.arange(3000), arm)
    assert TOKENS[arm].min() >= TOKENS[rest].max()


def test_an_equal_budget_of_tokens_takes_other_numbers_of_rows() -> None:
    budget = measure_budget(SELECTION, TOKENS, "tokens")
    assert budget.amount == TOKENS[SELECTION].sum()
    for arm in (
        draw_random_arm(TOKENS, budget, 1),
        take_longest_arm(TOKENS, budget, 1),
    ):
        size = measure_arm(arm, TOKENS, SELECTION)
        # No row more or less comes nearer.
        assert abs(size.n_tokens - budget.amount) <= TOKENS[arm].max() / 2 + 1
    assert len(draw_random_arm(TOKENS, budget, 1)) > 100
    assert len(take_longest_arm(TOKENS, budget, 1)) < 100


def test_the_matched_arm_is_as_long_as_the_selection_and_another_draw() -> None:
    arm = draw_matched_arm(TOKENS, SELECTION, 3)
    size = measure_arm(arm, TOKENS, SELECTION)
    assert len(set(arm.tolist())) == size.n_rows == 100
    selected = int(TOKENS[SELECTION].sum())
    assert abs(size.n_tokens - selected) < 0.03 * selected
    # The same at every length, not just on average.
    own, others = np.sort(TOKENS[arm]), np.sort(TOKENS[SELECTION])
    assert np.all(np.abs(own - others) <= np.maximum(2, 0.1 * others))
    assert size.n_of_selection < 60


def test_a_selection_of_the_longest_rows_leaves_the_matched_arm_no_choice() -> None:
    """It says so: nearly all rows are those of the selection."""
    longest = take_longest_arm(TOKENS, Budget("rows", 20), 1)
    size = measure_arm(draw_matched_arm(TOKENS, longest, 1), TOKENS, longest)
    assert size.n_rows == 20
    assert size.n_of_selection >= 15


def test_a_pool_that_is_too_small_is_an_error() -> None:
    with pytest.raises(ValueError, match="the pool has 3,000 rows, fewer than"):
        draw_random_arm(TOKENS, Budget("rows", 3001), 1)
    with pytest.raises(ValueError, match="tokens"):
        take_longest_arm(TOKENS, Budget("tokens", int(TOKENS.sum()) + 1), 1)


def test_alpaca_s_longest_rows_are_those_that_were_published(shared_data: Path) -> None:
    """The mean answer of the 1,000 longest is several times that of the pool."""
    packed = (shared_data / "corpora" / "alpaca_data.json.gz").read_bytes()
    rows = json.loads(gzip.decompress(packed))
    words = np.array([len(row["output"].split()) for row in rows], np.int64)
    arm = take_longest_arm(words, Budget("rows", 1000), 1)
    assert words[arm].mean() > 4 * words.mean()
