"""Question sets: files of questions for trained models.

The file may have any format that tacos reads (.jsonl, .json, .csv, ..., also compressed); the forms
of its rows are those of `tacos.methods.evaluating.questions`. Nothing is left out: a row that is no
question makes the file unusable, because a score over fewer questions would not be comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tacos.errors import InputError
from tacos.formats import reading
from tacos.formats.pinned_files import digest_file
from tacos.methods.evaluating.questions import (
    Question,
    UnusableQuestion,
    check_distinct,
    parse_question,
)

ENDINGS = ("_test_set", "_test", "__question", "_questions", "_question")
"""What the names of published files add to the name of their set."""


def read_questions(paths: Sequence[Path]) -> list[Question]:
    """The questions of some files, in their order; each file is a set of its own.

    Raises:
        InputError: A file cannot be read, a row is no question, or an id stands in a set twice.
    """
    questions = []
    for path in paths:
        questions += _read_set(path)
    try:
        check_distinct(questions)
    except UnusableQuestion as error:
        files = ", ".join(str(path) for path in paths)
        raise InputError(
            f"{files}: question {error}: give every question an id of its own"
        ) from None
    return questions


def name_set(path: Path) -> str:
    """The name of a set, by its file.

    >>> name_set(Path("koala_test_set.jsonl")), name_set(Path("a/mt_bench__question.jsonl.gz"))
    ('koala', 'mt_bench')
    """
    stem = path.name.partition(".")[0]
    for ending in ENDINGS:
        if stem.endswith(ending) and stem != ending:
            return stem.removesuffix(ending)
    return stem


def _read_set(path: Path) -> list[Question]:
    """The questions of one file."""
    name = name_set(path)
    digest = digest_file(path)
    questions = []
    for number, row in reading.read_every_row(path):
        try:
            question = parse_question(row, name, number)
            questions.append(replace(question, set_hash=digest))
        except UnusableQuestion as error:
            raise InputError(
                f"{path}: row {number} (from 0) is no question: {error}"
            ) from None
    return questions
