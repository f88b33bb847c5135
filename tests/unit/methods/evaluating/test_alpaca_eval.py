"""Scores of annotations, and differences of two models."""

import pytest

from tacos.methods.evaluating.alpaca_eval import compare_annotations, score_annotations
from tacos.methods.evaluating.annotations import Annotation


def annotate(preferences: dict[str, float | None]) -> list[Annotation]:
    """A model's annotations by instruction; all outputs are equally long."""
    return [
        Annotation("model", "baseline", instruction, preference, 100, 100)
        for instruction, preference in preferences.items()
    ]


def test_the_difference_rests_on_preferences_that_both_have() -> None:
    """A missing one is no 0: with it the difference of "c" would be 1."""
    better = annotate({"a": 1.0, "b": 0.8, "c": 1.0, "only here": 1.0})
    worse = annotate({"a": 0.6, "b": 0.2, "c": None, "only there": 0.0})
    difference = compare_annotations(better, worse)
    assert difference.n == 2
    assert difference.mean == pytest.approx(0.5)


def test_nothing_in_common_is_no_difference() -> None:
    with pytest.raises(ValueError):
        compare_annotations(annotate({"a": 1.0}), annotate({"a": None, "b": 1.0}))


def test_a_missing_preference_is_not_scored() -> None:
    with pytest.raises(ValueError, match="missing: 1 preference"):
        score_annotations(annotate({"a": 1.0, "b": None}), None, seed=0)


def test_too_few_instructions_have_no_rate_at_equal_length() -> None:
    score = score_annotations(annotate({"a": 1.0, "b": 0.0, "c": 0.5}), None, seed=0)
    assert score.controlled is None
    assert "3 instructions are too few" in score.reason
    assert score.raw.mean == pytest.approx(0.5)
    assert score.discrete == pytest.approx(0.5)
