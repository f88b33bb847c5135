"""Means with intervals clustered by question."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.methods.evaluating.clustered_means import (
    estimate_difference,
    estimate_mean,
)


def test_items_of_their_own_clusters_have_the_plain_standard_error() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    estimate = estimate_mean(values, np.arange(4))
    assert estimate.error == pytest.approx(values.std(ddof=1) / 2)
    assert estimate.n_clusters == 4


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=30))
def test_doubling_every_item_within_its_cluster_adds_no_certainty(
    values: list[float],
) -> None:
    once = estimate_mean(np.array(values), np.arange(len(values)))
    twice = estimate_mean(np.repeat(values, 2), np.repeat(np.arange(len(values)), 2))
    assert twice.error == pytest.approx(once.error, abs=1e-9)
    assert twice.n == 2 * once.n


def test_the_interval_holds_the_truth_in_95_of_100_draws() -> None:
    draws = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        # Two turns of a question share its difficulty.
        difficulty = np.repeat(draws.normal(size=80), 2)
        values = difficulty + draws.normal(size=160)
        estimate = estimate_mean(values, np.repeat(np.arange(80), 2))
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 0 <= estimate.high
    assert 930 <= hits <= 970


def test_one_cluster_has_no_interval() -> None:
    estimate = estimate_mean(np.array([1.0, 3.0]), np.array([7, 7]))
    assert estimate.mean == 2
    assert estimate.error is None
    assert estimate.smallest_detectable_difference() is None


def test_what_is_missing_is_not_averaged_away() -> None:
    with pytest.raises(ValueError, match="missing"):
        estimate_mean(np.array([1.0, np.nan]), np.array([0, 1]))
    with pytest.raises(ValueError, match="no value"):
        estimate_mean(np.array([]), np.array([]))


def test_a_difference_is_paired_and_refuses_other_items() -> None:
    clusters = {"a": 0, "b": 1, "c": 2}
    base = {"a": 1.0, "b": 5.0, "c": 9.0}
    better = {item: value + 1 for item, value in base.items()}
    estimate = estimate_difference(better, base, clusters)
    assert (estimate.mean, estimate.error) == (1, 0)
    with pytest.raises(ValueError, match="1 items have a value on one side only"):
        estimate_difference(better, {"a": 1.0, "b": 5.0}, clusters)
