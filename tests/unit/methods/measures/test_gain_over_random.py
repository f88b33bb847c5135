"""The gain over random rows: its intervals hold what they promise, and length buys nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.methods.measures.gain_over_random import (
    measure_gain,
    measure_gain_at_equal_length,
    predict_gain,
)
from tacos.methods.selecting.objective import SPREAD, expect_gain

BY_SET = [0.10, 0.06, 0.08, 0.04, 0.07, 0.09, 0.17, 0.11, 0.24]
N_POOL = 2000
N = 200


def draw_world(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores and true quality of a data set whose reliability is drawn as those of `BY_SET`."""
    roots = np.sqrt(BY_SET)
    root = float(np.clip(rng.normal(roots.mean(), roots.std(ddof=1)), -1, 1))
    points = SPREAD * np.exp(0.23 * rng.standard_normal())
    scores = rng.standard_normal(N_POOL)
    rest = np.sqrt(1 - root**2) * rng.standard_normal(N_POOL)
    return scores, points * (root * scores + rest)


def test_the_predicted_interval_holds_what_truly_came_out() -> None:
    rng = np.random.default_rng(5)
    n_held = 0
    for _ in range(200):
        scores, quality = draw_world(rng)
        best = np.argsort(-scores)[:N]
        drawn = rng.choice(N_POOL, N, replace=False)
        truth = quality[best].mean() - quality[drawn].mean()
        gain = predict_gain(scores[best], scores, float(np.mean(BY_SET)), BY_SET)
        assert gain is not None
        n_held += gain.low <= truth <= gain.high
    # 95% of 200 are 190; three standard errors are 9
    assert 181 <= n_held <= 200


def test_the_middle_is_what_the_objective_expects_of_the_best_rows() -> None:
    scores = np.random.default_rng(1).standard_normal(20_000)
    best = np.sort(scores)[-2000:]
    gain = predict_gain(best, scores, 0.25, BY_SET)
    assert gain is not None
    assert gain.value == pytest.approx(expect_gain(0.25, 0.1), rel=0.02)


def test_an_interval_from_labels_narrows_the_gain_of_a_card() -> None:
    scores = np.random.default_rng(1).standard_normal(N_POOL)
    best = np.sort(scores)[-N:]
    by_card = predict_gain(best, scores, 0.1, BY_SET)
    by_labels = predict_gain(best, scores, 0.1, interval=(0.08, 0.12))
    assert by_card is not None
    assert by_labels is not None
    assert by_labels.value == by_card.value
    assert by_labels.high - by_labels.low < by_card.high - by_card.low


@given(
    slope=st.floats(0.01, 100),
    offset=st.floats(-100, 100),
)
def test_the_scale_of_scores_changes_no_prediction(slope: float, offset: float) -> None:
    scores = np.random.default_rng(2).standard_normal(300)
    best = np.sort(scores)[-30:]
    plain = predict_gain(best, scores, 0.1, BY_SET)
    scaled = predict_gain(slope * best + offset, slope * scores + offset, 0.1, BY_SET)
    assert scaled is not None
    assert plain is not None
    assert scaled[:3] == pytest.approx(plain[:3], abs=1e-6)


def test_scores_that_are_all_the_same_promise_nothing() -> None:
    gain = predict_gain([50.0] * 20, [50.0] * 200, 0.1, BY_SET)
    assert gain is not None
    assert gain.value == 0
    assert gain.low < 0 < gain.high


def test_without_data_sets_or_labels_nothing_is_predicted() -> None:
    assert predict_gain([2.0], [1.0, 2.0], 0.5) is None
    assert predict_gain([2.0], [1.0, 2.0], 0.5, by_set=[0.4, 0.6]) is None


def test_random_rows_are_rarely_found_better_than_random() -> None:
    rng = np.random.default_rng(3)
    pool = rng.gamma(2, 10, N_POOL)
    n_above = n_below = 0
    for _ in range(400):
        gain = measure_gain(rng.choice(pool, N, replace=False), pool)
        n_above += gain.is_above
        n_below += gain.is_below
    # 2.5% of 400 are 10 on each side; three standard errors are 9
    assert n_above <= 19
    assert n_below <= 19
    assert n_above + n_below >= 5, "the interval is far too wide"


def test_a_taste_for_length_is_no_gain_at_equal_length() -> None:
    rng = np.random.default_rng(4)
    lengths = rng.lognormal(5, 1, N_POOL)
    grades = 10 * np.log(lengths) + rng.normal(0, 5, N_POOL)
    is_taken = np.zeros(N_POOL, bool)
    is_taken[np.argsort(-lengths * rng.lognormal(0, 0.5, N_POOL))[:N]] = True
    plain = measure_gain(grades[is_taken], grades)
    equal = measure_gain_at_equal_length(grades, lengths, is_taken)
    assert plain.is_above
    # What is left is the length within a twentieth of the rows.
    assert equal.value < plain.value / 6


def test_a_gain_that_length_does_not_explain_stays() -> None:
    rng = np.random.default_rng(6)
    lengths = rng.lognormal(5, 1, N_POOL)
    grades = rng.normal(50, 10, N_POOL)
    is_taken = np.zeros(N_POOL, bool)
    is_taken[np.argsort(-grades)[:N]] = True
    equal = measure_gain_at_equal_length(grades, lengths, is_taken)
    assert equal.is_above
    assert equal.value == pytest.approx(
        measure_gain(grades[is_taken], grades).value, abs=0.5
    )
