"""The turns that a judge grades: questions, answers and references side by side. Pure.

References are shown for questions of `REFERENCE_CATEGORIES` alone, as the originals do. The judge
of a later turn sees the turns before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tacos.methods.evaluating.mt_bench import REFERENCE_CATEGORIES
from tacos.methods.evaluating.questions import AnsweredQuestion, Question


class UnusableAnswers(ValueError):
    """Why answers, or references, do not fit the questions."""


@dataclass(frozen=True)
class References:
    """Whose answers the judge may check against, and these by question: a text per turn."""

    name: str
    answers: Mapping[str, tuple[str, ...]]

    def find(self, question: Question) -> tuple[str, ...]:
        """The texts for a question's turns, "" where there is none."""
        if question.category not in REFERENCE_CATEGORIES:
            return ("",) * len(question.turns)
        texts = self.answers.get(question.question_id, ())
        missing = ("",) * (len(question.turns) - len(texts))
        return (*texts[: len(question.turns)], *missing)


def collect_own_references(questions: Sequence[Question]) -> References:
    """The references that the questions bring along."""
    answers = {
        question.question_id: question.reference
        for question in questions
        if any(text.strip() for text in question.reference)
    }
    return References("question", answers)


def list_without_reference(
    questions: Sequence[Question], references: References
) -> list[str]:
    """The ids of questions with one right answer for which there is no reference at all."""
    return [
        question.question_id
        for question in questions
        if question.category in REFERENCE_CATEGORIES
        and not any(references.find(question))
    ]


def check_references(questions: Sequence[Question], references: References) -> None:
    """Raise `UnusableAnswers` if a question that needs a reference lacks that of a turn."""
    missing = [
        question.question_id
        for question in questions
        if question.category in REFERENCE_CATEGORIES
        and not all(text.strip() for text in references.find(question))
    ]
    if missing:
        raise UnusableAnswers(
            f"no reference answer to every turn of {name_ids(missing)}"
        )


def check_answers(
    answers: Sequence[AnsweredQuestion], questions: Sequence[Question]
) -> None:
    """Raise `UnusableAnswers` unless the answers are to these questions, turn by turn.

    Answers without questions beside them (FastChat's) are matched by id and number of turns.
    """
    by_id = {answer.question_id: answer for answer in answers}
    missing = [
        question.question_id
        for question in questions
        if question.question_id not in by_id
    ]
    if missing:
        n_there = len(questions) - len(missing)
        raise UnusableAnswers(
            f"{n_there:,} of {len(questions):,} questions are answered; missing: "
            f"{name_ids(missing)}"
        )
    for question in questions:
        answer = by_id[question.question_id]
        if len(answer.answers) != len(question.turns):
            raise UnusableAnswers(
                f"question {question.question_id} has {len(question.turns)} turns, and "
                f"{len(answer.answers)} are answered"
            )
        if any(answer.turns) and answer.turns != question.turns:
            raise UnusableAnswers(
                f"question {question.question_id} was asked in other words than those of the "
                "question set"
            )


def build_graded_turns(
    label: str,
    answers: Sequence[AnsweredQuestion],
    questions: Sequence[Question],
    references: References,
) -> Iterator[dict[str, Any]]:
    """A row of `GRADED_TURNS` per turn of each question, for the model that is called `label`."""
    by_id = {answer.question_id: answer for answer in answers}
    for question in questions:
        answer = by_id[question.question_id]
        reference = references.find(question)
        for place, text in enumerate(question.turns):
            earlier = [known for known in reference[:place] if known.strip()]
            yield {
                "model": label,
                "question": question.question_id,
                "category": question.category,
                "turn": place + 1,
                "text": text,
                "answer": answer.answers[place],
                "reference": reference[place] if reference[place].strip() else None,
                "earlier_questions": list(question.turns[:place]),
                "earlier_answers": list(answer.answers[:place]),
                # Half of them would be taken for those of other questions.
                "earlier_references": earlier if len(earlier) == place else [],
            }


def name_ids(ids: Sequence[str], n_shown: int = 5) -> str:
    """Some ids in words.

    >>> name_ids(["101", "102", "103"], n_shown=2)
    '101, 102 and 1 more'
    """
    shown = ", ".join(ids[:n_shown])
    n_more = len(ids) - n_shown
    return f"{shown} and {n_more:,} more" if n_more > 0 else shown
