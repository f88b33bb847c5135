"""MT-Bench: 160 grades or no score."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tacos.methods.evaluating.mt_bench import (
    compare_grades,
    list_missing_grades,
    read_grade,
    summarise_grades,
)

CATEGORIES = {81: "writing", 82: "writing", 104: "reasoning"}


def make_grades(grade: float = 5.0) -> dict[tuple[int, int], float]:
    return {(question, turn): grade for question in CATEGORIES for turn in (1, 2)}


@pytest.mark.parametrize(
    "text, grade",
    [
        ("Good. Rating: [[7]]", 7),
        ("Rating: [[7.5]]", 7.5),
        ("Rating: [8]", 8),
        ("[1] is right. Rating: [[3]]", 3),
        ("[[0]]", None),
        ("[[11]]", None),
        ("Rating: 7/10", None),
        ("", None),
    ],
)
def test_grades_are_read_or_missing(text: str, grade: float | None) -> None:
    assert read_grade(text) == grade


def test_means_by_turn_and_category() -> None:
    grades = make_grades()
    grades[104, 2] = 10
    score = summarise_grades(grades, CATEGORIES)
    assert score.mean.mean == pytest.approx(35 / 6)
    assert score.turns[2].mean == pytest.approx(20 / 3)
    assert score.categories["writing"].mean == 5
    # The reference of question 104 is wrong.
    assert score.without_doubtful.mean == 5
    assert score.mean.n_clusters == 3


@pytest.mark.parametrize("bad", [-1.0, 0.0, 11.0])
def test_a_missing_grade_is_named_and_nothing_is_computed(bad: float) -> None:
    grades = make_grades()
    grades[82, 2] = bad
    assert list_missing_grades(grades, CATEGORIES) == [(82, 2)]
    with pytest.raises(ValueError, match=r"5 of 6 grades; missing: \[\(82, 2\)\]"):
        summarise_grades(grades, CATEGORIES)


def test_grades_of_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="8 grades for 6"):
        summarise_grades(make_grades() | {(999, 1): 5.0, (999, 2): 5.0}, CATEGORIES)


@pytest.fixture
def categories(shared_data: Path) -> dict[int, str]:
    file = shared_data / "evaluation" / "mt_bench" / "mt_bench__question.jsonl.gz"
    lines = gzip.decompress(file.read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["question_id"]: row["category"] for row in rows}


def read_judgements(file: Path) -> dict[tuple[int, int], float]:
    lines = gzip.decompress(file.read_bytes()).splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return {(row["question_id"], row["turn"]): row["score"] for row in rows}


def test_the_means_that_the_authors_released(
    shared_data: Path, categories: dict[int, str]
) -> None:
    """Five files of 160 grades; those with a -1 or a 0 among them, or of 80 rows, give no score."""
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_single"
    means = []
    missing = []
    for file in sorted(folder.iterdir()):
        grades = read_judgements(file)
        gaps = list_missing_grades(grades, categories)
        if gaps:
            missing.append(len(gaps))
            with pytest.raises(ValueError, match="of 160 grades; missing"):
                summarise_grades(grades, categories)
            continue
        means.append(round(summarise_grades(grades, categories).mean.mean, 3))
    assert sorted(means) == [4.175, 4.921, 5.469, 6.083, 6.091]
    assert sorted(missing) == [1, 1, 1, 2, 80]


def test_what_80_questions_can_show(
    shared_data: Path, categories: dict[int, str]
) -> None:
    """The authors' 13B against their 7B model: half a point is just what 80 questions can show."""
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_single"
    files = sorted(folder.glob("*cluster_pair_score*"))
    better = read_judgements(next(f for f in files if "llama2-13b" in f.name))
    worse = read_judgements(next(f for f in files if "Llama-2-7b" in f.name))
    difference = compare_grades(better, worse, categories)
    assert difference.mean == pytest.approx(5.469 - 4.921, abs=0.001)
    assert difference.error is not None
    assert difference.error == pytest.approx(0.2, abs=0.005)
    detectable = difference.smallest_detectable_difference()
    assert detectable is not None
    assert detectable == pytest.approx(0.56, abs=0.01)
