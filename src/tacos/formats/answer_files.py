"""Files of answers: what `tacos answer` writes and what the evaluations read.

One JSON object a line, in the order of the questions:

    {"question_id": "81", "category": "writing", "set": "mt_bench", "turns": ["Compose ...", ...],
     "answers": ["Aloha ...", ...], "finish_reasons": ["stop", "length"], "n_tokens": [212, 1024],
     "model": "train-1k", "template_hash": "9c1f...", "generation": {"temperature": 0.7, ...},
     "set_hash": "e3b0..."}

`answers`, `finish_reasons` and `n_tokens` have an entry per turn. An empty answer is an answer, and
a finish reason of `length` says that it was cut: both are counted where they are used, never left
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tacos.errors import InputError
from tacos.formats import reading, writing
from tacos.methods.evaluating.questions import (
    AnsweredQuestion,
    UnusableQuestion,
    check_distinct,
)

FIELDS = (
    "question_id",
    "category",
    "set",
    "turns",
    "answers",
    "finish_reasons",
    "n_tokens",
    "model",
    "template_hash",
    "generation",
    "set_hash",
)
"""Of a line, in order."""
OPTIONAL = ("category", "set", "template_hash", "set_hash")
"""Fields that may be null."""
ADDED_LATER = ("set_hash",)
"""Fields that files of older versions lack."""


def read_answers(path: Path) -> list[AnsweredQuestion]:
    """The answers of a file.

    Raises:
        InputError: The file cannot be read, a line is no answered question, or a question stands in
            it twice.
    """
    answers = []
    for number, row in reading.read_every_row(path):
        try:
            answers.append(_parse_answer(row))
        except UnusableQuestion as error:
            raise InputError(
                f"{path}: row {number} (from 0) is no answered question: {error}; "
                "give a file that `tacos answer` wrote"
            ) from None
    try:
        check_distinct(answers)
    except UnusableQuestion as error:
        raise InputError(f"{path}: question {error}: remove one of the two") from None
    return answers


def write_answers(answers: Iterable[AnsweredQuestion], path: Path) -> Path:
    """Write a file of answers; the suffix decides the format (.jsonl). Raises `OutputError`."""
    return writing.write_rows(map(_build_row, answers), path)


def _build_row(answer: AnsweredQuestion) -> dict[str, Any]:
    """The fields of a line, in order."""
    values = asdict(answer)
    return {name: values[name] for name in FIELDS}


def _parse_answer(row: Mapping[str, Any]) -> AnsweredQuestion:
    """The answered question of a line. Raises `UnusableQuestion`."""
    needed = [name for name in FIELDS if name not in ADDED_LATER]
    missing = [name for name in needed if name not in row]
    if missing:
        raise UnusableQuestion(f"it lacks {', '.join(missing)}")
    turns = _read_list(row, "turns", str)
    answer = AnsweredQuestion(
        question_id=_read_text(row, "question_id") or "",
        turns=turns,
        answers=_read_list(row, "answers", str),
        finish_reasons=_read_list(row, "finish_reasons", str),
        n_tokens=_read_list(row, "n_tokens", int | None),
        model=_read_text(row, "model") or "",
        category=_read_text(row, "category"),
        set=_read_text(row, "set"),
        template_hash=_read_text(row, "template_hash"),
        generation=_read_object(row, "generation"),
        set_hash=_read_text(row, "set_hash"),
    )
    for name in ("answers", "finish_reasons", "n_tokens"):
        n_entries = len(row[name])
        if n_entries != len(turns):
            raise UnusableQuestion(
                f"{name} has {n_entries:,} entries for {len(turns):,} turns"
            )
    return answer


def _read_text(row: Mapping[str, Any], name: str) -> str | None:
    """A text; None where the field may be null."""
    value = row.get(name)
    if value is None and name in OPTIONAL:
        return None
    if not isinstance(value, str) or not value:
        raise UnusableQuestion(f"{name} is no text")
    return value


def _read_list(row: Mapping[str, Any], name: str, kind: Any) -> tuple[Any, ...]:
    """A list of values of one type."""
    value = row[name]
    is_list = isinstance(value, list) and bool(value)
    if not is_list or not all(isinstance(entry, kind) for entry in value):
        raise UnusableQuestion(f"{name} is not a list with an entry per turn")
    return tuple(value)


def _read_object(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A JSON object."""
    value = row[name]
    if not isinstance(value, Mapping):
        raise UnusableQuestion(f"{name} is not an object")
    return value
