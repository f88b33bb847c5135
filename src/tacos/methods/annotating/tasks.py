"""The tasks that people work on, and the answers that each of them takes.

    pair          two rows: which is the better example to learn from?
    precision     a tag and an instruction: is the tag right?
    consistency   a tag and several instructions: does it mean the same in all of them?

All people have the same tasks. The first ones are shared: everybody answers them, and agreement
rests on them. Each of the others is for one person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tacos.methods.tags.tag_checks import CONSISTENCY, FIELD, PRECISION

Kind = Literal["pair", "precision", "consistency"]
PAIR: Kind = "pair"
KINDS: tuple[Kind, ...] = (PAIR, "precision", "consistency")
UNCLEAR = "unclear"
"""Nobody can tell: the task is done, and its answer is missing."""
BETTER = "better"
NUMBERS = ("value", "correctness")
"""What a judge that gives two numbers scores apart."""
PAIR_ANSWERS = ("a", "b", "tie")
"""The left row, the right row, or equally good."""
TAG_ANSWERS = ("no", "yes")


@dataclass(frozen=True, slots=True)
class Side:
    """One row of a pair."""

    id: str
    content_hash: str
    instruction: str
    response: str


@dataclass(frozen=True, slots=True)
class Task:
    """One task; which fields it has depends on its kind."""

    id: str
    """By its content: the same task has the same id in every draw."""
    kind: Kind
    shared: bool
    """Whether everybody answers it."""
    questions: tuple[str, ...]
    left: Side | None = None
    right: Side | None = None
    case: int = 0
    """The number of a tag case, as `tacos check-tags` counts."""
    tag: str = ""
    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    planted: bool = False
    odd: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        for name in ("left", "right"):
            side = values[name]
            if side is not None:
                values[name] = {each: getattr(side, each) for each in Side.__slots__}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """From JSON."""
        read = dict(values)
        for name in ("left", "right"):
            if read[name] is not None:
                read[name] = Side(**read[name])
        for name in ("questions", "ids", "texts"):
            read[name] = tuple(read[name])
        return cls(**read)


def list_answers(question: str) -> tuple[str, ...]:
    """The answers that a question takes, without `UNCLEAR`.

    >>> list_answers("better")
    ('a', 'b', 'tie')
    >>> list_answers("right")
    ('no', 'yes')
    """
    return TAG_ANSWERS if question in FIELD.values() else PAIR_ANSWERS


def list_questions(kind: Kind, *, has_two_numbers: bool = False) -> tuple[str, ...]:
    """The questions of a task; value and correctness apart where the judge scores them apart."""
    if kind == PAIR:
        return (BETTER, *NUMBERS) if has_two_numbers else (BETTER,)
    return (FIELD[kind],)


def find_fault(task: Task, answers: Mapping[str, str]) -> str | None:
    """What is wrong with the answers to a task; None if nothing is.

    The first question must be answered; others may be left out.
    """
    for question, answer in answers.items():
        if question not in task.questions:
            return f"the task has no question {question!r}"
        if answer not in (*list_answers(question), UNCLEAR):
            return f"{answer!r} is no answer to the question {question!r}"
    if task.questions[0] not in answers:
        return f"the question {task.questions[0]!r} has no answer"
    return None


def count_kinds(tasks: Sequence[Task]) -> dict[str, int]:
    """Tasks of each kind, in the order of `KINDS`."""
    counts: dict[str, int] = {}
    for kind in KINDS:
        n = sum(task.kind == kind for task in tasks)
        if n:
            counts[kind] = n
    return counts


__all__ = [
    "BETTER",
    "CONSISTENCY",
    "KINDS",
    "NUMBERS",
    "PAIR",
    "PAIR_ANSWERS",
    "PRECISION",
    "TAG_ANSWERS",
    "UNCLEAR",
    "Kind",
    "Side",
    "Task",
    "count_kinds",
    "find_fault",
    "list_answers",
    "list_questions",
]
