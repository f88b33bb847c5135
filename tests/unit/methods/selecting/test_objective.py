"""What a selection is worth: expected grades, and the price of tags."""

import numpy as np
import pytest

from tacos.methods.selecting.objective import SPREAD, build_objective, expect_gain


def test_the_scale_of_scores_does_not_matter() -> None:
    score = np.array([1.0, 2.0, 4.0, 9.0])
    one = build_objective(score, 0.3, 3.0)
    other = build_objective(1000 * score - 7, 0.3, 3.0)
    np.testing.assert_allclose(one.quality, other.quality)
    assert one.tag_price == other.tag_price == pytest.approx(2.1)


def test_equal_scores_and_no_scores_are_worth_nothing() -> None:
    assert build_objective([5, 5, 5], 1.0, 3.0).quality.tolist() == [0, 0, 0]
    assert build_objective([], 1.0, 3.0).quality.tolist() == []


def test_the_quality_is_the_grade_to_expect() -> None:
    rng = np.random.default_rng(1)
    grade = 60 + SPREAD * rng.standard_normal(200_000)
    noise = SPREAD * np.sqrt(3) * rng.standard_normal(200_000)
    score = grade + noise  # explains a quarter of the variance
    expected = build_objective(score, 0.25, 3.0).quality
    slope = np.polyfit(expected, grade, 1)[0]
    assert slope == pytest.approx(1, abs=0.02)
    # And the best tenth gains what is foretold.
    best = np.argsort(-score)[:20_000]
    gain = grade[best].mean() - grade.mean()
    assert gain == pytest.approx(expect_gain(0.25, 0.1), rel=0.02)


def test_random_scores_and_whole_pools_gain_nothing() -> None:
    assert expect_gain(0.0, 0.2) == 0
    assert expect_gain(1.0, 1.0) == 0
