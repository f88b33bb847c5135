"""What graded rows are divided by, so that no judge is measured on what it has seen."""

from pathlib import Path

import numpy as np
import pytest

from tacos.models.training import graded_rows


def test_rows_that_share_a_text_are_in_one_group_and_so_is_what_they_connect() -> None:
    groups = graded_rows.group_rows(
        [("A?", "yes"), ("B?", "no"), (" a? ", "maybe"), ("C?", "MAYBE"), ("D?", "")]
    )
    assert groups[0] == groups[2] == groups[3]
    assert len(set(groups)) == 3


def test_an_empty_response_connects_nothing() -> None:
    first, second = graded_rows.group_rows([("A?", ""), ("B?", " ")])
    assert first != second


def test_groups_stay_together_in_every_partition_and_partitions_differ() -> None:
    groups = [f"group {number // 2}" for number in range(200)]
    first, second = (graded_rows.assign_group_folds(groups, k) for k in (0, 1))
    assert (first[::2] == first[1::2]).all()
    assert set(first) == set(range(graded_rows.N_FOLDS))
    assert (first != second).any()


def test_half_of_a_sources_mean_is_taken_from_its_ranks() -> None:
    grades = np.array([10.0, 20.0, 30.0, 40.0])
    sources = ["a", "a", "b", "b"]
    none, half, whole = (
        graded_rows.rank_grades(grades, sources, share=share)
        for share in (0.0, 0.5, 1.0)
    )
    assert (np.diff(none) > 0).all()
    assert half == pytest.approx((none + whole) / 2)
    assert whole[:2].mean() == pytest.approx(0, abs=1e-12)


def test_a_strict_annotator_is_told_from_a_source_of_poor_rows() -> None:
    """Two annotators read both sources; the strict one grades 1 lower, and source b is 3 lower."""
    rng = np.random.default_rng(0)
    sources = rng.choice(["a", "b"], size=4000)
    annotators = rng.choice(["strict", "mild"], size=4000)
    scores = rng.normal(size=4000) - 3.0 * (sources == "b")
    scores -= 1.0 * (annotators == "strict")
    strictness = graded_rows.measure_strictness(scores, sources, annotators)
    mild, strict = (
        strictness[annotators == name].mean() for name in ("mild", "strict")
    )
    assert mild - strict == pytest.approx(1.0, abs=0.1)
    ranks = graded_rows.rank_grades(scores, sources, list(annotators), share=0.0)
    assert ranks[annotators == "mild"].mean() == pytest.approx(
        ranks[annotators == "strict"].mean(), abs=0.05
    )


def test_an_annotator_of_few_rows_counts_as_one_like_the_others() -> None:
    scores = np.array([0.0] * 99 + [3.0])
    annotators = ["many"] * 99 + ["one"]
    strictness = graded_rows.measure_strictness(scores, ["a"] * 100, annotators)
    assert 0 < strictness[-1] < 3.0 / (1 + graded_rows.SHRINKAGE) + 1e-9


@pytest.mark.data
def test_the_graded_rows_of_the_shared_data(shared_data: Path) -> None:
    rows = graded_rows.read_graded_rows(shared_data)
    assert len(rows) == 5161
    assert all(1 <= row.value <= 100 and 1 <= row.correctness <= 100 for row in rows)
