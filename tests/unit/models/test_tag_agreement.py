"""Tag F1: what counts as a match."""

import math

import numpy as np
import pytest

from tacos.models import tag_agreement


class Directions:
    """An encoder in which each word is a direction, so that cosines are known."""

    name, fingerprint, dim = "directions", "", 3

    def encode(self, texts):
        known = {
            "a": (1, 0, 0),
            "a1": (0.9, 0.436, 0),
            "a2": (0.85, 0, 0.527),
            "b": (0, 1, 0),
        }
        return np.array([known[text] for text in texts], dtype=np.float32)


def test_exact_ignores_case_and_repetition() -> None:
    counts = tag_agreement.count_exact_matches([["SQL ", "sql", "Joins"]], [["Sql"]])
    assert (counts.hits.tolist(), counts.totals.tolist()) == ([1], [3])


def test_fuzzy_matches_one_to_one_the_closest_first() -> None:
    counts = tag_agreement.count_fuzzy_matches(
        [["a"], ["a", "b"]], [["a1", "a2"], ["a2"]], Directions()
    )
    assert counts.hits.tolist() == [1, 1]


def test_micro_weighs_tags_and_macro_instructions() -> None:
    counts = tag_agreement.count_exact_matches(
        [["a"], ["a", "b", "c"]], [["a"], ["d", "e", "f"]]
    )
    assert counts.micro() == pytest.approx(2 / 8)
    assert counts.macro() == pytest.approx(0.5)


def test_two_empty_taggings_agree_but_prove_nothing() -> None:
    counts = tag_agreement.count_exact_matches([[]], [[]])
    assert counts.macro() == 1
    assert math.isnan(counts.micro())


def test_the_interval_holds_the_figure_and_widens_with_groups() -> None:
    rng = np.random.default_rng(0)
    hits = np.repeat(rng.integers(0, 2, 40), 5).astype(float)
    counts = tag_agreement.MatchCounts(hits, np.full(200, 2.0))
    alone, grouped = (
        counts.interval(),
        counts.interval(np.repeat(np.arange(40), 5).tolist()),
    )
    assert alone[0] < counts.micro() < alone[1]
    assert grouped[1] - grouped[0] > 1.5 * (alone[1] - alone[0])
