"""MT-Bench: 160 grades or no score."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tacos.formats.question_sets import read_questions
from tacos.methods.evaluating.mt_bench import (
    Item,
    average_grades,
    compare_grades,
    guess_detectable_difference,
    list_items,
    list_missing_grades,
    list_standard_items,
    read_grade,
    summarise_grades,
)
from tacos.methods.evaluating.questions import Question

ITEMS = list_items(
    Question(question, ("a", "b"), category)
    for question, category in [
        ("81", "writing"),
        ("82", "writing"),
        ("104", "reasoning"),
    ]
)


def make_grades(grade: float = 5.0) -> dict[Item, float]:
    return dict.fromkeys(ITEMS, grade)


@pytest.mark.parametrize(
    "text, grade",
    [
        ("Good. Rating: [[7]]", 7),
        ("Rating: [[7.5]]", 7.5),
        ("Rating: [8]", 8),
        ("[1] is right. Rating: [[3]]", 3),
        ("Step [1] is right. I give it [8].", 8),
        ("**Rating**: [[ 6 ]]\nThank you.", 6),
        ("[[9]] for the idea, but in all: [[4]]", 4),
        ("[[9]] for the idea, but in all: [[0]]", None),
        ("Step [1] is right, so 7 of 10.", None),
        ("[[rating: 10]]", None),
        ("[[0]]", None),
        ("[[10]]", 10),
        ("[[10.0]]", 10),
        ("[[10.5]]", None),
        ("[[11]]", None),
        ("Rating: 7/10", None),
        ("", None),
    ],
)
def test_grades_are_read_or_missing(text: str, grade: float | None) -> None:
    assert read_grade(text) == grade


def test_means_by_turn_and_category() -> None:
    grades = make_grades()
    grades["104", 2] = 10
    score = summarise_grades(grades, ITEMS)
    assert score.mean.mean == pytest.approx(35 / 6)
    assert score.turns[2].mean == pytest.approx(20 / 3)
    assert score.categories["writing"].mean == 5
    # The reference of question 104 is wrong.
    assert score.without_doubtful is not None
    assert score.without_doubtful.mean == 5
    assert score.mean.n_clusters == 3


@pytest.mark.parametrize("bad", [-1.0, 0.0, 11.0])
def test_a_missing_grade_is_named_and_nothing_is_computed(bad: float) -> None:
    grades = make_grades()
    grades["82", 2] = bad
    assert list_missing_grades(grades, ITEMS) == [("82", 2)]
    with pytest.raises(ValueError, match=r"5 of 6 grades; missing: \[\('82', 2\)\]"):
        summarise_grades(grades, ITEMS)


def test_grades_of_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="8 grades for 6"):
        summarise_grades(make_grades() | {("999", 1): 5.0, ("999", 2): 5.0}, ITEMS)


def read_judgements(file: Path) -> dict[Item, float]:
    lines = gzip.decompress(file.read_bytes()).splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return {(str(row["question_id"]), row["turn"]): row["score"] for row in rows}


def test_the_means_that_the_authors_released(shared_data: Path) -> None:
    """Five files of 160 grades; those with a -1 or a 0 among them, or of 80 rows, give no score."""
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_single"
    means = []
    missing = []
    for file in sorted(folder.iterdir()):
        grades = read_judgements(file)
        gaps = list_missing_grades(grades, list_standard_items())
        if gaps:
            missing.append(len(gaps))
            with pytest.raises(ValueError, match="of 160 grades; missing"):
                summarise_grades(grades, list_standard_items())
            continue
        means.append(
            round(summarise_grades(grades, list_standard_items()).mean.mean, 3)
        )
    assert sorted(means) == [4.175, 4.921, 5.469, 6.083, 6.091]
    assert sorted(missing) == [1, 1, 1, 2, 80]


def test_what_80_questions_can_show(shared_data: Path) -> None:
    """The authors' 13B against their 7B model: half a point is just what 80 questions can show."""
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_single"
    files = sorted(folder.glob("*cluster_pair_score*"))
    better = read_judgements(next(f for f in files if "llama2-13b" in f.name))
    worse = read_judgements(next(f for f in files if "Llama-2-7b" in f.name))
    difference = compare_grades(better, worse, list_standard_items())
    assert difference.mean == pytest.approx(5.469 - 4.921, abs=0.001)
    assert difference.error is not None
    assert difference.error == pytest.approx(0.2, abs=0.005)
    detectable = difference.smallest_detectable_difference()
    assert detectable is not None
    assert detectable == pytest.approx(0.56, abs=0.01)


def test_the_standard_items_are_those_of_the_published_questions(
    shared_data: Path,
) -> None:
    file = shared_data / "evaluation" / "mt_bench" / "mt_bench__question.jsonl.gz"
    items = list_items(read_questions([file]))
    assert items == list_standard_items()


def test_several_judgings_are_averaged_item_by_item() -> None:
    grades = average_grades([make_grades(4.0), make_grades(5.0)])
    assert set(grades.values()) == {4.5}


def test_a_set_without_doubtful_references_has_no_second_mean() -> None:
    items = {item: category for item, category in ITEMS.items() if item[0] != "104"}
    assert summarise_grades(dict.fromkeys(items, 3.0), items).without_doubtful is None


def test_fewer_questions_show_less() -> None:
    assert guess_detectable_difference(20) == pytest.approx(
        2 * guess_detectable_difference(80)
    )
