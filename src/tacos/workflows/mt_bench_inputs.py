"""What `tacos mt-bench` reads: answers of models to one set of questions, and references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tacos.errors import ConfigError, InputError
from tacos.formats.fastchat_files import read_model_answers, read_references
from tacos.formats.pinned_files import PinnedFile
from tacos.formats.question_sets import read_questions
from tacos.methods.evaluating import graded_turns
from tacos.methods.evaluating.answer_grades import GRADED_TURNS
from tacos.methods.evaluating.graded_turns import References, UnusableAnswers
from tacos.methods.evaluating.questions import AnsweredQuestion, Question
from tacos.workflows import arguments
from tacos.workflows.evaluated_models import EvaluatedModel, describe_answers
from tacos.workflows.files_read import FilesRead, refuse_repeated

NONE = "none"
OWN = "question"


@dataclass(frozen=True)
class GradingInput:
    """Everything that is graded, read and checked."""

    questions: list[Question]
    references: References
    models: list[EvaluatedModel]
    turns: pl.DataFrame
    """By `GRADED_TURNS`."""
    files: FilesRead

    @property
    def without_reference(self) -> list[str]:
        """Questions with one right answer that are graded without a reference."""
        return graded_turns.list_without_reference(self.questions, self.references)


def read_grading_input(
    answers: Sequence[PinnedFile], questions: PinnedFile, references: Any
) -> GradingInput:
    """Read and check it.

    Raises:
        ConfigError: `references` is no file, "question" or "none".
        InputError: A file cannot be read or is given twice, a question is not answered, or a
            reference is missing.
    """
    refuse_repeated(answers)
    asked = read_questions([questions.path])
    reference_files = _find_references(references)
    known = _choose_references(asked, references, reference_files)
    files = [(file, read_model_answers(file.path, asked)) for file in answers]
    labels = _label_models(files)
    rows: list[dict[str, Any]] = []
    models = []
    for (file, given), label in zip(files, labels, strict=True):
        try:
            graded_turns.check_answers(given, asked)
        except UnusableAnswers as error:
            raise InputError(
                f"{file}: {error}; answer them with the same `tacos answer` command"
            ) from None
        wanted = {question.question_id for question in asked}
        own = [answer for answer in given if answer.question_id in wanted]
        rows += graded_turns.build_graded_turns(label, own, asked, known)
        models.append(describe_answers(label, own))
    turns = pl.DataFrame(rows, schema=GRADED_TURNS, orient="row")
    read = {
        "answers": list(answers),
        "questions": [questions],
        "references": reference_files,
    }
    return GradingInput(asked, known, models, turns, read)


def _find_references(given: Any) -> list[PinnedFile]:
    """The file of reference answers, if one is named."""
    if str(given) in (NONE, OWN):
        return []
    return [arguments.to_file("references", given)]


def _choose_references(
    questions: list[Question], given: Any, files: Sequence[PinnedFile]
) -> References:
    """The references that a user wants."""
    if str(given) == NONE:
        return References(NONE, {})
    if str(given) == OWN:
        own = graded_turns.collect_own_references(questions)
        if not own.answers:
            raise ConfigError(
                "the questions bring no references along: pass a file of reference answers, or "
                "--references none"
            )
        return own
    (file,) = files
    if not file.path.exists():
        raise ConfigError(
            f"--references {file} is no file: pass a file of reference answers (FastChat has "
            "GPT-4's, reference_answer/gpt-4.jsonl), question (those that the questions bring "
            "along) or none"
        )
    known = read_references(file.path)
    try:
        graded_turns.check_references(questions, known)
    except UnusableAnswers as error:
        raise InputError(
            f"{file}: {error}: add it, or choose other references"
        ) from None
    return known


def _label_models(
    files: Sequence[tuple[PinnedFile, list[AnsweredQuestion]]],
) -> list[str]:
    """A name for the model of each file: its own, or the file's where two have the same."""
    names = []
    for file, answers in files:
        models = sorted({answer.model for answer in answers})
        if len(models) > 1:
            raise InputError(
                f"{file} holds answers of {len(models)} models ({', '.join(models[:3])}): "
                "give each model a file of its own"
            )
        names.append(models[0])
    uses = Counter(names)
    return [
        name if uses[name] == 1 else str(file)
        for name, (file, _) in zip(names, files, strict=True)
    ]
