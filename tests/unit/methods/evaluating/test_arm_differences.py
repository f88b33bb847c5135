"""Differences between arms: seeds and items both scatter, and the intervals hold what they say."""

import numpy as np
import pytest

from tacos.methods.evaluating import arm_differences
from tacos.methods.evaluating.arm_differences import adjust_by_holm, compare_arms


def draw_arm(
    generator: np.random.Generator,
    items: np.ndarray,
    n_seeds: int,
    seed_spread: float,
) -> np.ndarray:
    """Values of models that differ by seed, by item, and by chance."""
    by_seed = generator.normal(0, seed_spread, (n_seeds, 1))
    return by_seed + items + generator.normal(0, 0.3, (n_seeds, len(items)))


@pytest.mark.parametrize("n_seeds, seed_spread", [(2, 0.1), (5, 0.1), (5, 0.0)])
def test_intervals_hold_the_truth_as_often_as_they_say(
    n_seeds: int, seed_spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300 experiments without a true difference; a plain bootstrap of 2 seeds holds it in 83%."""
    monkeypatch.setattr(arm_differences, "N_DRAWS", 500)
    generator = np.random.default_rng(5)
    n_held = 0
    for seed in range(300):
        items = generator.normal(2, 1, 100)
        ours = draw_arm(generator, items, n_seeds, seed_spread)
        others = draw_arm(
            generator, items + generator.normal(0, 0.3, 100), n_seeds, seed_spread
        )
        result = compare_arms(ours, others, np.arange(100), seed)
        assert result.low is not None
        assert result.high is not None
        n_held += result.low <= 0 <= result.high
    assert n_held / 300 >= 0.94


def test_a_true_difference_of_the_smallest_detectable_size_is_found_in_8_of_10(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arm_differences, "N_DRAWS", 500)
    generator = np.random.default_rng(6)
    # What 5 seeds and 300 items can see: 2.3 + .9 standard errors of sqrt(2 x .1^2 / 5).
    expected = (2.306 + 0.889) * np.sqrt(2 * 0.1**2 / 5)
    smallest = []
    n_found = 0
    for seed in range(300):
        items = generator.normal(2, 1, 300)
        ours = expected + draw_arm(generator, items, 5, 0.1)
        result = compare_arms(
            ours, draw_arm(generator, items, 5, 0.1), np.arange(300), seed
        )
        assert result.p_value is not None
        n_found += result.p_value < 0.05
        smallest.append(result.smallest_detectable(1))
    assert 0.7 <= n_found / 300 <= 0.88
    assert np.mean(smallest) == pytest.approx(expected, rel=0.15)


def test_more_items_do_not_make_up_for_few_seeds() -> None:
    generator = np.random.default_rng(3)
    items = generator.normal(0, 1, 4000)
    ours = draw_arm(generator, items, 3, 0.2)
    others = draw_arm(generator, items, 3, 0.2)
    result = compare_arms(ours, others, np.arange(4000), 1)
    seeds_alone = np.sqrt(
        ours.mean(axis=1).var(ddof=1) / 3 + others.mean(axis=1).var(ddof=1) / 3
    )
    assert result.error == pytest.approx(seeds_alone, rel=0.05)
    assert result.freedom == pytest.approx(4, abs=2.1)


def test_items_of_one_question_are_no_independent_items() -> None:
    generator = np.random.default_rng(4)
    questions = np.repeat(np.arange(50), 8)
    effects = generator.normal(0, 1, 50)[questions]
    ours = effects + generator.normal(0, 0.01, (4, 400))
    others = generator.normal(0, 0.01, (4, 400))
    clustered = compare_arms(ours, others, questions, 1)
    alone = compare_arms(ours, others, np.arange(400), 1)
    assert clustered.error is not None
    assert alone.error is not None
    assert clustered.error == pytest.approx(alone.error * np.sqrt(8), rel=0.1)
    assert (clustered.n_items, clustered.n_seeds) == (400, 4)


def test_the_same_seed_gives_the_same_figures() -> None:
    generator = np.random.default_rng(8)
    arms = generator.normal(0, 1, (2, 3, 60))
    one, again = (compare_arms(arms[0], arms[1], np.arange(60), 9) for _ in range(2))
    assert one == again


def test_one_seed_has_no_interval_but_the_untrained_model_needs_none() -> None:
    generator = np.random.default_rng(2)
    ours = generator.normal(1, 1, (3, 40))
    one_model = generator.normal(0, 1, (1, 40))
    unknown = compare_arms(ours, one_model, np.arange(40), 1)
    assert (unknown.error, unknown.low, unknown.p_value) == (None, None, None)
    assert unknown.smallest_detectable(2) is None
    assert unknown.difference == pytest.approx(ours.mean() - one_model.mean())
    known = compare_arms(ours, one_model, np.arange(40), 1, is_trained=False)
    assert known.error is not None
    # One cluster: how far other items would be off is unknown.
    assert compare_arms(ours, ours, np.zeros(40, np.int64), 1).error is None


def test_arms_that_are_alike_to_the_last_digit_do_not_differ() -> None:
    values = np.ones((2, 10))
    # An interval from -0.0 to +0.0 would promise to see the smallest difference.
    for others in (values, values + 1e-15):
        same = compare_arms(values, others, np.arange(10), 1)
        assert (same.difference, same.low, same.p_value) == (0, None, None)
        assert same.smallest_detectable(1) is None
    apart = compare_arms(values + 1, values, np.arange(10), 1)
    assert apart.p_value == pytest.approx(0, abs=1e-12)


def test_a_missing_value_is_an_error_and_not_0() -> None:
    values = np.zeros((2, 10))
    broken = values.copy()
    broken[0, 3] = np.nan
    with pytest.raises(ValueError, match="missing"):
        compare_arms(broken, values, np.arange(10), 1)
    with pytest.raises(ValueError, match="each item"):
        compare_arms(values, values[:, :9], np.arange(10), 1)
    with pytest.raises(ValueError, match="no value"):
        compare_arms(values[:, :0], values[:, :0], np.arange(0), 1)


def test_holm() -> None:
    # Holm 1979, by hand: 4 x .005, 3 x .01, then 2 x .03 and the larger of .04 and that.
    assert adjust_by_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert adjust_by_holm([]) == []
    assert adjust_by_holm([0.9, 0.8]) == [1.0, 1.0]
