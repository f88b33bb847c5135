"""Agreement statistics against printed examples and scikit-learn."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import cohen_kappa_score

from tacos.methods.measures import rater_agreement

# the worked example of Fleiss' kappa that textbooks print: 10 items, 14 raters, 5 categories
FLEISS_1971 = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def ratings_of(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Ratings, shape (items, raters), that give these counts, shape (items, categories)."""
    return np.stack([np.repeat(np.arange(counts.shape[1]), row) for row in counts])


def two_raters(
    yes_yes: int, yes_no: int, no_yes: int, no_no: int
) -> npt.NDArray[np.int64]:
    return np.array(
        [[1, 1]] * yes_yes + [[1, 0]] * yes_no + [[0, 1]] * no_yes + [[0, 0]] * no_no
    )


def test_fleiss_kappa_of_the_printed_example() -> None:
    assert rater_agreement.fleiss_kappa(ratings_of(FLEISS_1971), 5) == pytest.approx(
        0.210, abs=5e-4
    )


def test_gwets_paradox_kappa_falls_below_0_where_ac1_stays_high() -> None:
    ratings = two_raters(118, 5, 2, 0)
    assert rater_agreement.cohen_kappa(ratings) == pytest.approx(-0.0234, abs=5e-4)
    assert rater_agreement.gwet_ac1(ratings) == pytest.approx(0.9408, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_cohens_kappa_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(3, size=60)
    b = np.where(rng.random(60) < 0.6, a, rng.integers(3, size=60))
    assert rater_agreement.cohen_kappa(np.stack([a, b], axis=1), 3) == pytest.approx(
        cohen_kappa_score(a, b)
    )


def test_complete_agreement_is_1_and_chance_is_about_0() -> None:
    same = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    assert (
        rater_agreement.fleiss_kappa(same)
        == rater_agreement.gwet_ac1(same)
        == rater_agreement.pairwise_agreement(same)
        == 1
    )
    coins = np.random.default_rng(1).integers(2, size=(20_000, 3))
    assert rater_agreement.fleiss_kappa(coins) == pytest.approx(0, abs=0.02)
    assert rater_agreement.gwet_ac1(coins) == pytest.approx(0, abs=0.02)


def test_missing_ratings_are_left_out_and_never_a_category() -> None:
    some = np.array([[1, 1, -1], [0, 1, -1], [-1, 1, -1], [0, 0, 0]])
    assert rater_agreement.tally_ratings(some).tolist() == [[0, 2], [1, 1], [3, 0]]
    assert rater_agreement.cohen_kappa(np.array([[1, 1], [-1, 0], [0, -1]])) is None, (
        "one item: chance agreement is certain"
    )
    assert (
        rater_agreement.cohen_kappa(np.array([[1, 1], [0, 0], [-1, 1], [1, -1]])) == 1
    )


def test_one_answer_only_leaves_kappa_undefined_but_not_ac1() -> None:
    ones = np.ones((9, 3), np.int64)
    assert rater_agreement.fleiss_kappa(ones) is None
    assert rater_agreement.gwet_ac1(ones) == 1


def test_nothing_rated_is_undefined() -> None:
    empty = np.full((3, 3), -1)
    assert (
        rater_agreement.fleiss_kappa(empty)
        is rater_agreement.gwet_ac1(empty)
        is rater_agreement.pairwise_agreement(empty)
        is None
    )
    assert rater_agreement.bootstrap_interval(rater_agreement.gwet_ac1, empty) == (
        None,
        None,
        None,
        3,
    )
    assert rater_agreement.bootstrap_interval(rater_agreement.gwet_ac1, empty[:0]) == (
        None,
        None,
        None,
        0,
    )


def test_wilson_of_printed_values() -> None:
    assert rater_agreement.wilson_interval(0, 10)[:3] == pytest.approx(
        (0, 0, 0.2775), abs=5e-4
    )
    assert rater_agreement.wilson_interval(1922, 2000)[:3] == pytest.approx(
        (0.961, 0.9516, 0.9686), abs=5e-4
    )
    assert rater_agreement.wilson_interval(0, 0) == (None, None, None, 0)


def test_resampling_brackets_the_figure_and_repeats_by_seed() -> None:
    ratings = two_raters(40, 5, 5, 20)
    found = rater_agreement.bootstrap_interval(
        rater_agreement.fleiss_kappa, ratings, seed=3
    )
    assert found == rater_agreement.bootstrap_interval(
        rater_agreement.fleiss_kappa, ratings, seed=3
    )
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_there_is_no_interval_where_draws_are_often_undefined() -> None:
    ratings = two_raters(9, 0, 0, 1)
    assert rater_agreement.bootstrap_interval(rater_agreement.fleiss_kappa, ratings)[
        :3
    ] == (
        1,
        None,
        None,
    )


def test_majority_needs_more_than_half() -> None:
    assert rater_agreement.majority_answer([]) is None
    assert rater_agreement.majority_answer([True, None, True, False]) is True
