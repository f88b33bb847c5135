"""Duels of arms: half a point is no difference, and seeds scatter as well as questions."""

import dataclasses

import numpy as np
import pytest

from tacos.methods.evaluating import arm_differences
from tacos.methods.evaluating.arm_duels import compare_duels, score_duels
from tacos.methods.evaluating.duel_summary import JudgedDuel


def test_points_are_of_both_orders_and_missing_ones_are_an_error() -> None:
    duel = JudgedDuel(("a", "b"), "1", ("first", "tie"))
    flip = dataclasses.replace(duel, winners=("second", "first"))
    assert score_duels([duel, flip]).tolist() == [0.75, 0.5]
    with pytest.raises(ValueError, match="no readable winner"):
        score_duels([dataclasses.replace(duel, winners=(None, "tie"))])


def test_intervals_hold_one_half_where_no_arm_is_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 300 experiments with 3 seeds, each of which is better or worse by luck."""
    monkeypatch.setattr(arm_differences, "N_DRAWS", 500)
    generator = np.random.default_rng(3)
    n_held = 0
    for seed in range(300):
        shares = 0.5 + generator.normal(0, 0.04, (3, 1)) + np.zeros((3, 120))
        scores = generator.binomial(2, np.clip(shares, 0, 1)) / 2
        result = compare_duels(scores, np.arange(120), seed, 3)
        assert result.low is not None
        assert result.high is not None
        n_held += result.low <= 0 <= result.high
    assert n_held / 300 >= 0.93


def test_a_better_arm_is_seen_and_one_model_against_many_is_not_decided() -> None:
    generator = np.random.default_rng(4)
    scores = generator.binomial(2, 0.65, (5, 300)) / 2
    result = compare_duels(scores, np.arange(300), 1, 5)
    assert result.low is not None
    assert result.low > 0.05
    assert (result.n_seeds, result.n_other_seeds) == (5, 5)
    alone = compare_duels(scores, np.arange(300), 1, 1)
    assert alone.p_value is None
    assert alone.difference == result.difference
    untrained = compare_duels(scores, np.arange(300), 1, 0)
    assert untrained.p_value is not None
