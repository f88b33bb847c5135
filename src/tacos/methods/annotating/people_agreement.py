"""How far people agree with one another, question by question, and what most of them say.

A task counts where two people have answered it; "unclear" and questions left out are missing, never
an answer. Kappa and AC1 correct for agreement by chance (`measures.rater_agreement` says why both
are given). Intervals come from resampling tasks. A figure that is not defined is None: without a
task that two people have answered, and kappa where only one answer was ever given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tacos.methods.annotating.labels import Standing
from tacos.methods.annotating.tasks import Task, list_answers
from tacos.methods.measures import rater_agreement
from tacos.methods.measures.rater_agreement import MISSING, Ints

SizedStatistic = Callable[..., float | None]
"""A figure computed from ratings, shape (tasks, people), and the number of answers."""
N_DRAWS = 200
"""Draws of an interval: enough for two digits, and quick enough to be looked at live."""


class AgreementFigure(NamedTuple):
    """A measure of agreement on one question; `n` is the number of tasks behind it."""

    question: str
    between: str
    measure: str
    n: int
    value: float | None
    low: float | None
    high: float | None


class Majority(NamedTuple):
    """What most people say to one question of a task; None without a majority."""

    answer: str | None
    n_people: int
    """Who answered."""
    n_agree: int
    """Who gave the most frequent answer."""


def measure_agreement(
    tasks: Sequence[Task],
    standing: Standing,
    seed: int = 1,
) -> list[AgreementFigure]:
    """Agreement among all people, and between every two of them, on each question."""
    figures: list[AgreementFigure] = []
    for question in list_asked_questions(tasks):
        of_question = [task for task in tasks if question in task.questions]
        figures += _measure_question(question, of_question, standing, seed)
    return figures


def list_asked_questions(tasks: Sequence[Task]) -> list[str]:
    """The questions of these tasks, each once, in their order."""
    questions: dict[str, None] = {}
    for task in tasks:
        questions.update(dict.fromkeys(task.questions))
    return list(questions)


def find_majorities(
    tasks: Sequence[Task],
    standing: Standing,
    question: str,
) -> dict[str, Majority]:
    """Task -> what most people say to a question; tasks that nobody has answered are left out."""
    majorities = {}
    for task in tasks:
        answers = _list_given_answers(task, standing, question)
        if not answers:
            continue
        most_frequent = max(answers.count(answer) for answer in answers)
        majorities[task.id] = Majority(
            answer=rater_agreement.majority_answer(answers),
            n_people=len(answers),
            n_agree=most_frequent,
        )
    return majorities


def _list_given_answers(
    task: Task,
    standing: Standing,
    question: str,
) -> list[str]:
    """The answers of all people to a question of a task, without missing ones."""
    valid = list_answers(question)
    answers = []
    for person in standing.people:
        label = standing.find(person, task.id)
        answer = None if label is None else label.answers.get(question)
        if answer in valid:
            answers.append(answer)
    return answers


def _measure_question(
    question: str,
    tasks: Sequence[Task],
    standing: Standing,
    seed: int,
) -> Iterator[AgreementFigure]:
    """Agreement on one question."""
    people = standing.people
    if len(people) < 2:
        return
    ratings = build_ratings(tasks, standing, question)  # shape (tasks, people)
    n_categories = len(list_answers(question))
    # Only tasks that two people have answered say anything about agreement.
    n_ratings = (ratings != MISSING).sum(axis=1)
    shared = ratings[n_ratings >= 2]
    among: dict[str, SizedStatistic] = {
        "agreement": rater_agreement.pairwise_agreement,
        "Fleiss kappa": rater_agreement.fleiss_kappa,
        "Gwet AC1": rater_agreement.gwet_ac1,
    }
    yield from _measure_ratings(
        question,
        f"{len(people)} people",
        among,
        shared,
        n_categories,
        seed,
    )
    # Among many people there are many pairs: one measure each.
    between: dict[str, SizedStatistic] = {"Cohen kappa": rater_agreement.cohen_kappa}
    for first, second in combinations(range(len(people)), 2):
        pairs = rater_agreement.pair_ratings(ratings[:, first], ratings[:, second])
        names = f"{people[first]} and {people[second]}"
        yield from _measure_ratings(
            question,
            names,
            between,
            pairs,
            n_categories,
            seed,
        )


def _measure_ratings(
    question: str,
    between: str,
    measures: Mapping[str, SizedStatistic],
    ratings: Ints,
    n_categories: int,
    seed: int,
) -> Iterator[AgreementFigure]:
    """Each measure of ratings, shape (tasks, people), with its interval."""
    for measure, statistic in measures.items():
        interval = rater_agreement.bootstrap_interval(
            partial(statistic, n_categories=n_categories),
            ratings,
            seed,
            N_DRAWS,
        )
        yield AgreementFigure(question, between, measure, *interval.row())


def build_ratings(
    tasks: Sequence[Task],
    standing: Standing,
    question: str,
) -> Ints:
    """Answers as numbers, shape (tasks, people), `MISSING` where there is none."""
    codes = {answer: code for code, answer in enumerate(list_answers(question))}
    people = standing.people
    ratings = np.full((len(tasks), len(people)), MISSING, np.int64)
    for row, task in enumerate(tasks):
        for column, person in enumerate(people):
            label = standing.find(person, task.id)
            if label is None:
                continue
            answer = label.answers.get(question, "")
            ratings[row, column] = codes.get(answer, MISSING)
    return ratings
