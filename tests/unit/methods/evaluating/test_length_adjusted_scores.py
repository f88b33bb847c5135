"""Scores at equal length: a judge that only likes length finds no difference there."""

import numpy as np
import pytest
from scipy.special import expit

from tacos.methods.evaluating.length_adjusted_scores import adjust_for_length


def judge(
    generator: np.random.Generator, n: int, quality: float, taste: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of a model that is better by `quality` log-odds and writes longer answers."""
    lengths = generator.lognormal(6.2, 0.5, n).astype(np.int64)
    others = generator.lognormal(5.8, 0.5, n).astype(np.int64)
    differences = others - lengths
    shares = expit(quality - taste * np.tanh(differences / differences.std(ddof=1)))
    # Both orders, so a score is one of 0, .5 and 1.
    return generator.binomial(2, shares) / 2, lengths, others


def test_a_taste_for_length_is_taken_out_and_quality_stays() -> None:
    generator = np.random.default_rng(1)
    scores, lengths, others = judge(generator, 4000, 0.0, 1.5)
    assert scores.mean() > 0.58
    alone = adjust_for_length(scores, lengths, others, np.arange(4000))
    assert alone.mean == pytest.approx(0.5, abs=0.02)
    scores, lengths, others = judge(generator, 4000, 0.6, 0.8)
    both = adjust_for_length(scores, lengths, others, np.arange(4000))
    assert both.mean == pytest.approx(expit(0.6), abs=0.02)
    assert both.mean < scores.mean()


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 300 duels on 250 questions of two turns each, which share their scatter."""
    generator = np.random.default_rng(2)
    questions = np.repeat(np.arange(250), 2)
    n_held = 0
    for _ in range(300):
        scores, lengths, others = judge(generator, 250, 0.2, 1.2)
        repeated = (np.repeat(column, 2) for column in (scores, lengths, others))
        result = adjust_for_length(*repeated, questions)
        assert result.n_clusters == 250
        assert result.low is not None
        assert result.high is not None
        n_held += result.low <= expit(0.2) <= result.high
    assert 0.92 <= n_held / 300 <= 0.98


def test_equal_lengths_change_nothing() -> None:
    scores = np.array([1.0, 0.5, 0.5, 0.0, 1.0, 1.0])
    same = np.full(6, 80)
    result = adjust_for_length(scores, same, same, np.arange(6))
    assert result.mean == pytest.approx(scores.mean(), abs=1e-6)
    alone = adjust_for_length(scores[:2], same[:2], same[:2], np.array([3, 3]))
    assert alone.error is None
