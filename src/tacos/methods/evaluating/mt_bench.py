"""MT-Bench (Zheng et al., arXiv 2306.05685, 2023): 80 questions, two turns, grades from 1 to 10.

A score is the mean of 160 grades, or it is no score: FastChat's `show_result.py` takes the mean of
whatever is there and drops grades of -1, and published figures rest on 159 or 80 grades for that
reason. Missing grades are listed here, and nothing is computed without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tacos.methods.evaluating.clustered_means import (
    CONFIDENCE_Z,
    POWER_Z,
    MeanEstimate,
    estimate_difference,
    estimate_mean,
)
from tacos.methods.evaluating.questions import Question

N_TURNS = 2
LOWEST = 1.0
HIGHEST = 10.0
SCALE = (1.0, HIGHEST)

DOUBTFUL_REFERENCES = frozenset(
    str(number)
    for number in (104, 105, 109, 111, 113, 114, 120, 122, 124, 125, 126, 128, 130)
)
"""Questions of which GPT-4's reference is wrong in a turn (FastChat, pull request 3158)."""

REFERENCE_CATEGORIES = ("math", "reasoning", "coding")
"""Categories whose questions have one right answer: their judge sees a reference."""

Item = tuple[str, int]
"""A question's id and one of its turns, from 1."""
Items = Mapping[Item, str | None]
"""The items of a set of questions, each with its category."""
Grades = Mapping[Item, float]

STANDARD_CATEGORIES = (
    "writing",
    "roleplay",
    "reasoning",
    "math",
    "coding",
    "extraction",
    "stem",
    "humanities",
)
"""Ten questions each, numbered from 81 to 160 in this order."""
PAIRED_DEVIATION = 2.63
"""The standard deviation of the difference of two models' grades of a question: measured on the
published grades of the TACOS authors' models.
"""

_NUMBER = r"(10(?:\.0+)?|[1-9](?:\.\d+)?)"
# The last one counts: what stands before it may be about a part of the answer.
_DOUBLE = rf"\[\[\s*{_NUMBER}\s*\]\](?![\s\S]*\[\[\s*\d)"
# Elsewhere, single brackets may hold the number of a step, or of a source.
_SINGLE = rf"[Rr]ating\W{{0,4}}\[{_NUMBER}\](?!\])|(?<!\[)\[{_NUMBER}\]\W*$"
GRADE_PATTERN = rf"{_DOUBLE}|^(?![\s\S]*\[\[\s*\d)[\s\S]*(?:{_SINGLE})"
"""A regular expression that is found in texts with a grade, and in no others."""
_GRADE = re.compile(GRADE_PATTERN)


@dataclass(frozen=True, slots=True)
class MtBenchScore:
    """The means of one model's grades, with intervals clustered by question."""

    mean: MeanEstimate
    turns: dict[int, MeanEstimate]
    """By turn, from 1."""
    categories: dict[str, MeanEstimate]
    without_doubtful: MeanEstimate | None
    """The mean without the questions of `DOUBTFUL_REFERENCES`; None where the set has none."""


def read_grade(text: str) -> float | None:
    """The grade that a judge gave last as `[[7]]`, or else as `Rating: [7]`; None if it gave none
    from 1 to 10.

    >>> read_grade("Rating: [[7]]"), read_grade("Rating: [8]"), read_grade("[[11]]")
    (7.0, 8.0, None)
    """
    match = _GRADE.search(text)
    if match is None:
        return None
    return float(next(number for number in match.groups() if number is not None))


def list_items(questions: Iterable[Question]) -> dict[Item, str | None]:
    """Every turn of every question, in order, with the category."""
    items = {}
    for question in questions:
        for turn in range(1, len(question.turns) + 1):
            items[question.question_id, turn] = question.category
    return items


def list_standard_items() -> dict[Item, str | None]:
    """The 160 items of MT-Bench itself.

    >>> items = list_standard_items()
    >>> len(items), items["81", 1], items["160", 2]
    (160, 'writing', 'humanities')
    """
    items: dict[Item, str | None] = {}
    for place in range(80):
        for turn in range(1, N_TURNS + 1):
            items[str(81 + place), turn] = STANDARD_CATEGORIES[place // 10]
    return items


def list_missing_grades(grades: Grades, items: Items) -> list[Item]:
    """The items without a grade from 1 to 10, in order."""
    missing = []
    for item in items:
        grade = grades.get(item)
        if grade is None or not LOWEST <= grade <= HIGHEST:
            missing.append(item)
    return missing


def average_grades(sittings: Sequence[Grades]) -> dict[Item, float]:
    """The mean grade of each item over several judgings, which all have the same items."""
    return {
        item: float(np.mean([grades[item] for grades in sittings]))
        for item in sittings[0]
    }


def summarise_grades(grades: Grades, items: Items) -> MtBenchScore:
    """The means of `grades` by turn and category.

    Raises ValueError if a grade is missing or belongs to none of the items.
    """
    _require_all(grades, items)
    by_turn = {}
    for turn in sorted({turn for _, turn in items}):
        by_turn[turn] = _estimate(grades, [item for item in items if item[1] == turn])
    by_category = {}
    for category in dict.fromkeys(items.values()):
        members = [item for item in items if items[item] == category]
        if category is not None:
            by_category[category] = _estimate(grades, members)
    sound = [item for item in items if not is_doubtful(item, items)]
    has_doubtful = 0 < len(sound) < len(items)
    return MtBenchScore(
        mean=_estimate(grades, list(items)),
        turns=by_turn,
        categories=by_category,
        without_doubtful=_estimate(grades, sound) if has_doubtful else None,
    )


def is_doubtful(item: Item, items: Items) -> bool:
    """Whether GPT-4's reference of an item's question is wrong in a turn.

    Other sets have questions of the same numbers, but hardly in these categories.
    """
    return item[0] in DOUBTFUL_REFERENCES and items[item] in REFERENCE_CATEGORIES


def compare_grades(grades: Grades, others: Grades, items: Items) -> MeanEstimate:
    """The paired difference of two models' grades, clustered by question.

    Raises ValueError as `summarise_grades` does, for either.
    """
    _require_all(grades, items)
    _require_all(others, items)
    numbers = _number_questions(items)
    clusters = {item: numbers[item[0]] for item in items}
    ordered = {item: grades[item] for item in items}
    return estimate_difference(ordered, others, clusters)


def guess_detectable_difference(n_questions: int) -> float:
    """The smallest difference between two models that so many questions can be expected to show.

    In 80 of 100 repetitions, at a level of 5%, by the spread that other models' grades had.

    >>> round(guess_detectable_difference(80), 2)
    0.82
    """
    error = PAIRED_DEVIATION / float(np.sqrt(n_questions))
    return (CONFIDENCE_Z + POWER_Z) * error


def _require_all(grades: Grades, items: Items) -> None:
    """Raises ValueError unless there is one valid grade for each item, and no other."""
    missing = list_missing_grades(grades, items)
    if missing:
        n_there = len(items) - len(missing)
        raise ValueError(f"{n_there} of {len(items)} grades; missing: {missing[:5]}")
    if len(grades) != len(items):
        raise ValueError(f"{len(grades)} grades for {len(items)} items")


def _estimate(grades: Grades, items: list[Item]) -> MeanEstimate:
    """The mean of the grades of some items, clustered by question."""
    values = np.array([grades[item] for item in items])
    numbers = _number_questions(items)
    questions = np.array([numbers[question] for question, _ in items])
    return estimate_mean(values, questions, SCALE)


def _number_questions(items: Iterable[Item]) -> dict[str, int]:
    """A number for each question, in order."""
    questions = dict.fromkeys(question for question, _ in items)
    return {question: number for number, question in enumerate(questions)}
