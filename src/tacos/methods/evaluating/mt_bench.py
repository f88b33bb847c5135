"""MT-Bench (Zheng et al., arXiv 2306.05685, 2023): 80 questions, two turns, grades from 1 to 10.

A score is the mean of 160 grades, or it is no score: FastChat's `show_result.py` takes the mean of
whatever is there and drops grades of -1, and published figures rest on 159 or 80 grades for that
reason. Missing grades are listed here, and nothing is computed without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tacos.methods.evaluating.clustered_means import (
    MeanEstimate,
    estimate_difference,
    estimate_mean,
)

N_TURNS = 2
LOWEST = 1.0
HIGHEST = 10.0

TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
"""The temperature of answers by category (FastChat, `llm_judge/common.py`)."""
DOUBTFUL_REFERENCES = frozenset(
    (104, 105, 109, 111, 113, 114, 120, 122, 124, 125, 126, 128, 130)
)
"""Questions of which GPT-4's reference is wrong in a turn (FastChat, pull request 3158)."""

Grades = Mapping[tuple[int, int], float]
"""The grade of each (question, turn); turns count from 1."""

_DOUBLE = re.compile(r"\[\[(\d+(?:\.\d+)?)\]\]")
_SINGLE = re.compile(r"\[(\d+(?:\.\d+)?)\]")


@dataclass(frozen=True, slots=True)
class MtBenchScore:
    """The means of one model's grades, with intervals clustered by question."""

    mean: MeanEstimate
    turns: dict[int, MeanEstimate]
    categories: dict[str, MeanEstimate]
    without_doubtful: MeanEstimate
    """The mean without the questions of `DOUBTFUL_REFERENCES`."""


def read_grade(text: str) -> float | None:
    """The grade that a judge gave as `[[7]]`, or else as `[7]`; None if there is none from 1 to 10.

    >>> read_grade("Rating: [[7]]"), read_grade("[8]"), read_grade("[[11]]"), read_grade("7 of 10")
    (7.0, 8.0, None, None)
    """
    match = _DOUBLE.search(text) or _SINGLE.search(text)
    if match is None:
        return None
    grade = float(match[1])
    return grade if LOWEST <= grade <= HIGHEST else None


def list_missing_grades(
    grades: Grades, questions: Iterable[int]
) -> list[tuple[int, int]]:
    """The (question, turn) pairs without a grade from 1 to 10, in order."""
    missing = []
    for question in sorted(questions):
        for turn in range(1, N_TURNS + 1):
            grade = grades.get((question, turn))
            if grade is None or not LOWEST <= grade <= HIGHEST:
                missing.append((question, turn))
    return missing


def summarise_grades(grades: Grades, categories: Mapping[int, str]) -> MtBenchScore:
    """The means of `grades` by turn and category; `categories` has one for each question.

    Raises ValueError if a grade is missing or belongs to no question of the set.
    """
    _require_all(grades, categories)
    items = sorted(grades)
    by_turn = {}
    for turn in range(1, N_TURNS + 1):
        by_turn[turn] = _estimate(grades, [item for item in items if item[1] == turn])
    by_category = {}
    for category in sorted(set(categories.values())):
        members = [item for item in items if categories[item[0]] == category]
        by_category[category] = _estimate(grades, members)
    sound = [item for item in items if item[0] not in DOUBTFUL_REFERENCES]
    return MtBenchScore(
        mean=_estimate(grades, items),
        turns=by_turn,
        categories=by_category,
        without_doubtful=_estimate(grades, sound),
    )


def compare_grades(
    grades: Grades,
    others: Grades,
    categories: Mapping[int, str],
) -> MeanEstimate:
    """The paired difference of two models' grades, clustered by question.

    Raises ValueError as `summarise_grades` does, for either.
    """
    _require_all(grades, categories)
    _require_all(others, categories)
    clusters = {item: item[0] for item in grades}
    return estimate_difference(grades, others, clusters)


def _require_all(grades: Grades, categories: Mapping[int, str]) -> None:
    """Raises ValueError unless there is one valid grade for each question and turn."""
    missing = list_missing_grades(grades, categories)
    n_expected = N_TURNS * len(categories)
    if missing:
        n_there = n_expected - len(missing)
        raise ValueError(f"{n_there} of {n_expected} grades; missing: {missing[:5]}")
    if len(grades) != n_expected:
        raise ValueError(f"{len(grades)} grades for {n_expected} questions and turns")


def _estimate(grades: Grades, items: list[tuple[int, int]]) -> MeanEstimate:
    values = np.array([grades[item] for item in items])
    questions = np.array([question for question, _ in items])
    return estimate_mean(values, questions)
