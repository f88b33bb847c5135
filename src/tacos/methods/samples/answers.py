"""Finds the answer in a cell that may hold several.

Several answers are texts, objects with a text, or lists of messages; or one object with a list of
texts. Where each has a rank, the lowest is taken, else the highest score: a field of the answers,
or a column beside theirs with a list as long. Without either, the first of several texts is taken:
it is the better one in files of preferences, and as good as any other in reading comprehension.
Objects and samples of models have no such order, so the row is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any, NamedTuple

from tacos.methods.samples.answer_references import (
    NOT_AN_ANSWER,
    refuse_reference,
)
from tacos.methods.samples.cells import (
    CALL_PARTS,
    LIST_START,
    TEXT_PARTS,
    UnusableRow,
    is_blank,
    is_missing,
    load_json_cell,
    render_json,
)
from tacos.methods.samples.column_names import (
    CHOSEN_ANSWERS,
    REJECTED,
    SAMPLED_ANSWERS,
    find_first_column,
    list_found_columns,
    normalise_name,
)
from tacos.methods.samples.messages import (
    is_message,
    is_message_list,
    unfold_messages,
)
from tacos.methods.samples.ratings import (
    find_rating,
    is_rating,
    is_unclear,
    list_rating_columns,
    read_worth,
)

Row = Mapping[str, Any]
Steps = tuple[str | int, ...]

ANSWER_TEXTS = (
    "text",
    "answer",
    "response",
    "content",
    "output",
    "completion",
    "generated_text",
    "value",
    "body",
)
"""Fields of an answer that may hold its text."""
LISTS = (
    "answers",
    "targets",
    *SAMPLED_ANSWERS,
)
"""Columns whose text is a list of answers, if it is the JSON of a list."""
PREFERRED = frozenset(
    {
        *CHOSEN_ANSWERS,
        *REJECTED,
    }
)
"""Columns of the answers of a preference."""
NOT_NUMBERS = PREFERRED | {"generation"}
"""Columns whose numbers and flags are no answers but refer to something else."""


UNREAD_MARKS = (
    "label",
    "labels",
    "best",
    "best_answer",
    "best_index",
    "preference",
    "correct_answer",
    "correct_answer_index",
    "correct_index",
)
"""Columns or fields that may say which of several answers is the best, in too many ways."""


class FoundAnswer(NamedTuple):
    """What was taken of a cell, and where it stands: the keys and numbers that lead to it.

    `rated_by` is the field or column of the ranks or scores ("" for none).
    """

    value: Any
    steps: Steps = ()
    n_answers: int = 1
    rated_by: str = ""


class _Candidate(NamedTuple):
    """One of several answers, with the fields that stand beside it."""

    value: Any
    steps: Steps
    fields: Row


def find_answer(
    row: Row,
    column: str,
) -> FoundAnswer:
    """The answer in a column. Raises `UnusableRow` if nothing says which of several it is.

    >>> answers = [{"text": "worse", "score": 1}, {"text": "better", "score": 9}]
    >>> find_answer({"answers": answers}, "answers")
    FoundAnswer(value='better', steps=(1, 'text'), n_answers=2, rated_by='score')
    """
    cell = row[column]
    if normalise_name(column) in PREFERRED:
        refuse_reference(row, column)
    # Nearly all answers are plain texts.
    if type(cell) is str and not LIST_START.match(cell):
        return FoundAnswer(cell)
    if _is_number(cell) and normalise_name(column) in NOT_NUMBERS:
        raise UnusableRow(f"{column} is {type(cell).__name__}, {NOT_AN_ANSWER}")
    if is_message(cell):
        return FoundAnswer(cell)
    if isinstance(cell, Mapping):
        messages = unfold_messages(cell)
        if messages is not cell:
            return FoundAnswer(messages)
    answers = _load_list(row, column) if isinstance(cell, str) else cell
    candidates = _list_candidates(answers)
    if not candidates:
        return FoundAnswer(_render_calls(cell))
    if len(candidates) == 1:
        (only,) = candidates
        return FoundAnswer(only.value, only.steps)
    return _choose_best(row, column, candidates)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not is_missing(value)


def replace_answer(
    row: Row,
    column: str,
    text: str,
) -> Any:
    """The cell with another text in the place of its answer."""
    found = find_answer(row, column)
    if not found.steps:
        return text
    cell = row[column]
    is_json = isinstance(cell, str)
    new = load_json_cell(cell, column) if is_json else deepcopy(cell)
    place = new
    *before, last = found.steps
    for step in before:
        place = place[step]
    place[last] = text
    return render_json(new) if is_json else new


def is_list_in_text(value: Any) -> bool:
    """Whether an answer is the JSON of several texts, or Python's print of them; a file of another
    format may have had a list.

    >>> texts = ('["red", "blue"]', "['red', 'blue']", "[red, blue]")
    >>> [is_list_in_text(text) for text in texts]
    [True, True, False]
    """
    if not isinstance(value, str) or not LIST_START.match(value):
        return False
    try:
        answers = load_json_cell(value, "the answer")
    except UnusableRow:
        return False
    is_list = isinstance(answers, list) and len(answers) > 1
    return is_list and _are_texts(answers)


# The answers of a cell


def _load_list(row: Row, column: str) -> list[Any] | None:
    """The list of answers that a text is the JSON of; None if it is an answer itself."""
    text = row[column]
    if not LIST_START.match(text):
        return None
    if normalise_name(column) not in LISTS and not list_rating_columns(row, column):
        return None
    try:
        answers = load_json_cell(text, column)
    except UnusableRow:
        return None
    # A conversation is read as such.
    if not isinstance(answers, list) or is_message_list(answers):
        return None
    return answers


def _list_candidates(value: Any) -> list[_Candidate]:
    """The answers in a value; none if it is no collection of answers."""
    if isinstance(value, Mapping):
        return _list_answers_of_object(value)
    if not isinstance(value, list | tuple) or not value:
        return []
    if _are_texts(value) or all(map(is_message_list, value)):
        return [
            _Candidate(answer, (number,), {}) for number, answer in enumerate(value)
        ]
    if not all(isinstance(answer, Mapping) for answer in value):
        return []
    if _is_one_answer(value):
        return []
    return [_build_candidate(number, answer) for number, answer in enumerate(value)]


def _build_candidate(number: int, answer: Row) -> _Candidate:
    """An object that is an answer; one that is a message stays a message."""
    if is_message(answer):
        return _Candidate(answer, (number, "content"), answer)
    field = _find_text_field(answer)
    text = answer[field] if field else None
    return _Candidate(text, (number, field), answer)


def _list_answers_of_object(value: Row) -> list[_Candidate]:
    """The answers of an object of lists: {text: [...], score: [...]}."""
    field = _find_text_field(value)
    texts = value[field] if field else None
    if not isinstance(texts, list | tuple):
        return []
    candidates = []
    for number, text in enumerate(texts):
        fields = {}
        for name, items in value.items():
            if isinstance(items, list | tuple) and len(items) == len(texts):
                fields[name] = items[number]
        candidates.append(_Candidate(text, (field, number), fields))
    # Nothing was answered: {text: []}.
    return candidates or [_Candidate(None, (field,), value)]


def _is_one_answer(value: Sequence[Row]) -> bool:
    """Whether objects belong together: messages, parts of a text, calls of functions, or whatever
    has no text.
    """
    if not any(is_message(answer) or _find_text_field(answer) for answer in value):
        return True
    if find_rating(value):
        # Rated messages of one speaker are answers to the same question.
        speakers = {str(answer.get("role") or answer.get("from")) for answer in value}
        return len(speakers) > 1
    types = TEXT_PARTS + CALL_PARTS
    if all("type" in part and str(part["type"]) in types for part in value):
        return True
    return is_message(value[0]) or all("name" in call for call in value)


def _find_text_field(answer: Row) -> str:
    """The field of an answer's text, or ""."""
    fields = [name for name, value in answer.items() if not is_blank(value)]
    return find_first_column(ANSWER_TEXTS, tuple(fields)) or find_first_column(
        ANSWER_TEXTS, tuple(answer)
    )


def _are_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _render_calls(value: Any) -> Any:
    """Calls of functions as JSON; anything else as it is."""
    is_list = isinstance(value, list | tuple) and bool(value)
    if not is_list or is_message_list(value):
        return value
    if all(isinstance(call, Mapping) and "name" in call for call in value):
        return render_json(value)
    return value


# The best of several


def _choose_best(
    row: Row,
    column: str,
    candidates: Sequence[_Candidate],
) -> FoundAnswer:
    """The answer of the lowest rank or the highest score, or the first of several texts."""
    fields = [candidate.fields for candidate in candidates]
    rated_by = find_rating(fields)
    ratings: Sequence[Any] = [each.get(rated_by) for each in fields]
    if not rated_by:
        beside = list_rating_columns(row, column)
        if not beside:
            return _take_first(row, column, candidates)
        rated_by, ratings = next(iter(beside.items()))
        if len(ratings) != len(candidates) or not any(map(is_rating, ratings)):
            raise UnusableRow(
                f"{rated_by} does not say which of the answers in {column} is the best: "
                f"name one, e.g. --map response={_spell_path(column, candidates[0])}"
            )
    if any(map(is_unclear, ratings)):
        raise UnusableRow(
            f"{rated_by} is not a number for each of the answers in {column}: "
            f"name one, e.g. --map response={_spell_path(column, candidates[0])}"
        )
    if all(rating is False for rating in ratings):
        raise UnusableRow(f"no answer is right by {rated_by}", failure=False)
    worths = [read_worth(rating, rated_by) for rating in ratings]
    best = candidates[worths.index(max(worths))]
    return FoundAnswer(best.value, best.steps, len(candidates), rated_by)


def _take_first(
    row: Row,
    column: str,
    candidates: Sequence[_Candidate],
) -> FoundAnswer:
    """The first of several texts. Raises `UnusableRow` where their order says nothing."""
    first = candidates[0]
    is_sampled = normalise_name(column) in SAMPLED_ANSWERS
    # A step leads to a text of a list; several lead into objects.
    is_object = isinstance(first.steps[-1], str) or not isinstance(first.value, str)
    # A mark that no rule reads may say that another one is right.
    marks = list_found_columns(UNREAD_MARKS, (*row, *first.fields))
    if marks and not is_sampled:
        raise UnusableRow(
            f"{marks[0]} may say which of the answers in {column} is the best: "
            f"name one, e.g. --map response={_spell_path(column, first)}"
        )
    if is_sampled or is_object:
        raise UnusableRow(
            f"{column} has several answers without scores: "
            f"name one, e.g. --map response={_spell_path(column, first)}"
        )
    return FoundAnswer(first.value, first.steps, len(candidates))


def _spell_path(column: str, candidate: _Candidate) -> str:
    """The path to an answer, as `--map` takes it."""
    return ".".join(map(str, (column, *candidate.steps)))
