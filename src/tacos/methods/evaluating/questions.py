"""Questions that trained models are asked, and what they answered. Pure.

A row of a question set is read in whichever of these forms it has:

| set | fields |
|---|---|
| MT-Bench | `question_id`, `category`, `turns`: a list of one text per turn |
| Vicuna | `question_id`, `category`, `text` |
| Koala | `id`, `prompt` |
| LIMA | `conversations`: a list of one text |
| Self-Instruct | `id`, `instruction`, `instances`: the `input` of the first |
| WizardLM | `idx`, `Skill`, `Instruction` |
| AlpacaEval | `dataset`, `instruction` |
| Alpaca and alike | `instruction`, `input` |

An id that a row lacks is its place: `<set>:<row from 0>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tacos.methods.samples.cells import join_instruction_and_input

IDS = ("question_id", "id", "idx")
CATEGORIES = ("category", "Skill", "dataset")
TEXTS = ("turns", "text", "prompt", "conversations", "instruction", "Instruction")
"""Fields that hold the question; the first one that a row has is read."""
CUT = "length"
"""The finish reason of an answer that the limit of new tokens ended."""


class UnusableQuestion(ValueError):
    """Why a row is no question."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a set; later turns are asked after the model's own answers."""

    question_id: str
    turns: tuple[str, ...]
    category: str | None = None
    set: str | None = None
    reference: tuple[str, ...] = ()
    """The reference answers that the set itself gives, one per turn ("" for a turn without one); ()
    for none.
    """
    set_hash: str | None = None
    """The SHA-256 of the set's file; None where that is not known."""

    @property
    def key(self) -> tuple[str | None, str]:
        """What no two questions share: sets number their questions alike."""
        return self.set, self.question_id


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question with a model's answer to each of its turns."""

    question_id: str
    turns: tuple[str, ...]
    answers: tuple[str, ...]
    finish_reasons: tuple[str, ...]
    """`stop`, `length` for an answer that was cut, or what else a server said."""
    n_tokens: tuple[int | None, ...]
    """New tokens of each answer; None where a server does not say."""
    model: str
    category: str | None = None
    set: str | None = None
    template_hash: str | None = None
    """Of the chat template that the question was asked with; None for a server's own."""
    generation: Mapping[str, Any] = field(default_factory=dict)
    """Temperature, seed and limit of new tokens."""
    set_hash: str | None = None
    """The SHA-256 of the set's file; None where that is not known."""

    @property
    def key(self) -> tuple[str | None, str]:
        """What no two questions share: sets number their questions alike."""
        return self.set, self.question_id

    def list_faults(self) -> list[str]:
        """What is wrong with the answers: empty ones, and those cut at the limit.

        >>> answers = AnsweredQuestion("1", ("a", "b"), (" ", "Yes, bec"), ("stop", "length"),
        ...                            (1, 512), "m")
        >>> answers.list_faults()
        ['turn 1 is empty', 'turn 2 is cut at 512 tokens']
        """
        faults = []
        places = zip(self.answers, self.finish_reasons, self.n_tokens, strict=True)
        for number, (answer, reason, n_tokens) in enumerate(places, 1):
            if not answer.strip():
                faults.append(f"turn {number} is empty")
            elif reason == CUT:
                limit = f"{n_tokens:,} tokens" if n_tokens else "the limit"
                faults.append(f"turn {number} is cut at {limit}")
        return faults


def parse_question(row: Mapping[str, Any], set_name: str, number: int) -> Question:
    """The question in a row of a set; `number` is its place, from 0.

    >>> row = {"idx": 7, "Skill": "Math", "Instruction": "Add 1 and 2."}
    >>> question = parse_question(row, "wizardlm", 0)
    >>> question.question_id, question.category, question.turns
    ('7', 'Math', ('Add 1 and 2.',))

    Raises:
        UnusableQuestion: The row has no field that holds a question, or it holds no text.
    """
    given_id = _read_first(row, IDS)
    category = _read_first(row, CATEGORIES)
    # Without an id, the place in the file is one, as of the samples of a run.
    place = f"{set_name}:{number}"
    question_id = given_id or place
    turns = _read_turns(row)
    return Question(
        question_id,
        turns,
        category,
        set_name,
        _read_reference(row),
    )


def check_distinct(questions: Iterable[Question | AnsweredQuestion]) -> None:
    """Raise `UnusableQuestion` for two questions of one set with the same id."""
    seen = set()
    for question in questions:
        if question.key in seen:
            raise UnusableQuestion(
                f"{question.question_id!r} of {question.set or 'no set'} stands in it twice"
            )
        seen.add(question.key)


def _read_first(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of some fields that a row has, as text; None if it has none."""
    for name in names:
        value = row.get(name)
        # A 0 is an id.
        if value is not None and value != "":
            return str(value)
    return None


def _read_turns(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of all turns."""
    name = next((name for name in TEXTS if row.get(name)), None)
    if name is None:
        raise UnusableQuestion(f"it has none of the fields {', '.join(TEXTS)}")
    value = row[name]
    if name == "turns":
        return _check_texts(value, name)
    if name == "conversations":
        turns = _check_texts(value, name)
        if len(turns) > 1:
            # Answers of others stand in between: the model would not give its own.
            raise UnusableQuestion("conversations holds more than one question")
        return turns
    (text,) = _check_texts([value], name)
    if name == "instruction":
        text = join_instruction_and_input(text, _read_input(row), "input")
    return (text,)


def _read_input(row: Mapping[str, Any]) -> Any:
    """The input of an Alpaca row, or of the first instance of a Self-Instruct row."""
    instances = row.get("instances")
    if not instances:
        return row.get("input") or ""
    first = instances[0] if isinstance(instances, list) else None
    if not isinstance(first, Mapping):
        raise UnusableQuestion("instances is not a list of objects")
    return first.get("input") or ""


def _read_reference(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The set's own reference answers, one per turn."""
    value = row.get("reference")
    if not value:
        return ()
    if not isinstance(value, list) or not _are_texts(value):
        raise UnusableQuestion("reference is not a list of texts")
    return tuple(value)


def _check_texts(value: Any, name: str) -> tuple[str, ...]:
    """The texts of a list. Raises `UnusableQuestion` if it is none, or one of them is empty."""
    if not isinstance(value, list) or not value:
        raise UnusableQuestion(f"{name} is not a list of texts")
    if not _are_texts(value) or not all(map(str.strip, value)):
        raise UnusableQuestion(f"{name} holds something that is no text")
    return tuple(value)


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
