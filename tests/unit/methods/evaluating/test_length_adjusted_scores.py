"""Scores at equal length: a judge that only likes length finds no difference there."""

import numpy as np
import pytest
from scipy.special import expit

from tacos.methods.evaluating.length_adjusted_scores import (
    adjust_for_length,
    compare_lengths,
)


def judge(
    generator: np.random.Generator, n: int, quality: float, taste: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of a model that is better by `quality` log-odds and writes longer answers."""
    lengths = generator.lognormal(6.2, 0.5, n).astype(np.int64)
    others = generator.lognormal(5.8, 0.5, n).astype(np.int64)
    shares = expit(quality + taste * compare_lengths(lengths, others))
    # Both orders, so a score is one of 0, .5 and 1.
    return generator.binomial(2, shares) / 2, lengths, others


def test_a_taste_for_length_is_taken_out_and_quality_stays() -> None:
    generator = np.random.default_rng(1)
    scores, lengths, others = judge(generator, 4000, 0.0, 2.5)
    assert scores.mean() > 0.58
    alone = adjust_for_length(scores, lengths, others, np.arange(4000))
    assert alone.mean == pytest.approx(0.5, abs=0.02)
    scores, lengths, others = judge(generator, 4000, 0.6, 1.0)
    both = adjust_for_length(scores, lengths, others, np.arange(4000))
    assert both.mean == pytest.approx(expit(0.6), abs=0.02)
    assert both.mean < scores.mean()


@pytest.mark.parametrize("taste", [0.0, 2.5])
def test_the_intervals_hold_the_truth_as_often_as_they_say(taste: float) -> None:
    """Of 300 duels on 250 questions of two turns each, which share their scatter."""
    generator = np.random.default_rng(2)
    questions = np.repeat(np.arange(250), 2)
    n_held = 0
    for _ in range(300):
        scores, lengths, others = judge(generator, 250, 0.2, taste)
        repeated = (np.repeat(column, 2) for column in (scores, lengths, others))
        result = adjust_for_length(*repeated, questions)
        assert result.n_clusters == 250
        assert result.low is not None
        assert result.high is not None
        n_held += result.low <= expit(0.2) <= result.high
    assert 0.92 <= n_held / 300 <= 0.98


def test_answers_that_are_hardly_longer_change_hardly_anything() -> None:
    """In standard deviations of themselves, three characters would be worth 15 points."""
    generator = np.random.default_rng(3)
    scores = generator.binomial(2, 0.5, 200) / 2
    lengths = generator.integers(200, 400, 200)
    longer = lengths + np.where(np.arange(200) % 10 == 7, 0, 3)
    result = adjust_for_length(scores, longer, lengths, np.arange(200))
    assert result.mean == pytest.approx(scores.mean(), abs=0.005)


def test_a_taste_that_the_data_cannot_tell_widens_the_interval() -> None:
    """Every answer is twice as long: quality or length, nobody knows."""
    generator = np.random.default_rng(4)
    scores = generator.binomial(2, 0.6, 400) / 2
    lengths = np.full(400, 100)
    numbers = np.arange(400)
    known = adjust_for_length(scores, lengths, lengths, numbers)
    unknown = adjust_for_length(scores, 2 * lengths, lengths, numbers)
    assert known.low is not None
    assert unknown.low is not None
    assert known.low > 0.5
    assert unknown.low < 0.4


def test_equal_lengths_change_nothing() -> None:
    scores = np.array([1.0, 0.5, 0.5, 0.0, 1.0, 1.0])
    same = np.full(6, 80)
    result = adjust_for_length(scores, same, same, np.arange(6))
    assert result.mean == pytest.approx(scores.mean(), abs=1e-6)
    alone = adjust_for_length(scores[:2], same[:2], same[:2], np.array([3, 3]))
    assert alone.error is None
