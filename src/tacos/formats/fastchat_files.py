"""Files of FastChat's `llm_judge`, which many users have: answers, reference answers, judgments.

Answers, and the references that are a model's answers, have a line per question:

    {"question_id": 81, "model_id": "gpt-4", "choices": [{"index": 0, "turns": ["...", "..."]}]}

A line of judgments is described in `tacos.methods.evaluating.judgments`. Answers that
`tacos answer` wrote are read wherever FastChat's are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tacos.errors import InputError
from tacos.formats import reading
from tacos.formats.answer_files import read_answers
from tacos.methods.evaluating.graded_turns import References
from tacos.methods.evaluating.judgments import (
    Judgment,
    UnusableJudgment,
    parse_judgment,
)
from tacos.methods.evaluating.questions import AnsweredQuestion, Question


def read_model_answers(
    path: Path, questions: Sequence[Question]
) -> list[AnsweredQuestion]:
    """The answers of a file, of tacos or of FastChat; the latter has no questions in it.

    Raises:
        InputError: The file cannot be read, or a line is no answered question.
    """
    rows = reading.read_every_row(path)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} holds no answers")
    if "choices" not in first[1]:
        return read_answers(path)
    turns = {question.question_id: question.turns for question in questions}
    answers: dict[str, AnsweredQuestion] = {}
    for number, row in chain([first], rows):
        question_id, model, texts = _parse_choices(row, path, number)
        if question_id in answers:
            raise InputError(
                f"{path}: question {question_id} is answered twice: remove one of the two"
            )
        asked = turns.get(question_id, ("",) * len(texts))
        answers[question_id] = AnsweredQuestion(
            question_id=question_id,
            turns=asked,
            answers=texts,
            # FastChat notes neither.
            finish_reasons=("not noted",) * len(texts),
            n_tokens=(None,) * len(texts),
            model=model,
        )
    return list(answers.values())


def read_references(path: Path) -> References:
    """Reference answers: a model's answers in FastChat's or tacos's form.

    Raises:
        InputError: The file cannot be read, a line is none, or a question has two.
    """
    rows = reading.read_every_row(path)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} holds no reference answers")
    if "choices" not in first[1]:
        given = read_answers(path)
        texts = {answer.question_id: answer.answers for answer in given}
        return References(given[0].model, texts)
    references: dict[str, tuple[str, ...]] = {}
    name = str(first[1].get("model_id") or path.stem)
    for number, row in chain([first], rows):
        question_id, _, turns = _parse_choices(row, path, number)
        if question_id in references:
            raise InputError(
                f"{path}: question {question_id} has two references: remove one of them"
            )
        references[question_id] = turns
    return References(name, references)


def read_judgments(path: Path) -> list[Judgment]:
    """The grades of a file.

    Raises:
        InputError: The file cannot be read, or a line is no grade of an answer.
    """
    judgments = []
    for number, row in reading.read_every_row(path):
        try:
            judgments.append(parse_judgment(row))
        except UnusableJudgment as error:
            raise InputError(
                f"{path}: row {number} (from 0) is no grade: {error}; give a file of single grades "
                "(FastChat's model_judgment/..._single.jsonl, or what tacos mt-bench -o wrote)"
            ) from None
    if not judgments:
        raise InputError(f"{path} holds no grades")
    return judgments


def _parse_choices(
    row: Mapping[str, Any], path: Path, number: int
) -> tuple[str, str, tuple[str, ...]]:
    """Question, model and the answers by turn; of several choices the first, as FastChat does."""
    choices = row.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    turns = first.get("turns") if isinstance(first, Mapping) else None
    is_valid = isinstance(turns, list) and all(isinstance(turn, str) for turn in turns)
    if not is_valid or not turns or row.get("question_id") is None:
        raise InputError(
            f"{path}: row {number} (from 0) is no answer of FastChat's: it needs question_id and "
            'choices, such as [{"index": 0, "turns": ["...", "..."]}]'
        )
    model = str(row.get("model_id") or path.stem)
    return str(row["question_id"]), model, tuple(turns)
