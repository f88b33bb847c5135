"""Finds the answer in a cell that may hold several.

Several answers are texts, objects with a text, or lists of messages; or one object with a list of
texts. Where each has a rank, the lowest is taken, else the highest score: a field of the answers,
or a column beside theirs with a list as long. Without either, the first of several texts is taken:
it is the better one in files of preferences, and as good as any other in reading comprehension.
Objects and samples of models have no such order, so the row is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

import orjson

from tacos.methods.samples.cells import (
    CALL_PARTS,
    TEXT_PARTS,
    UnusableRow,
    is_blank,
    is_missing,
    load_json_cell,
    read_number,
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

Row = Mapping[str, Any]
Steps = tuple[str | int, ...]

RANKS = (
    "rank",
    "ranking",
)
"""Names of ranks: the lowest is best."""
SCORES = (
    "score",
    "pm_score",
    "overall_score",
    "rating",
    "overall_rating",
    "quality",
    "reward",
    "votes",
    "upvotes",
    "selected",
    "is_selected",
    "accepted",
    "is_accepted",
    "chosen",
    "is_chosen",
    "correct",
    "is_correct",
)
"""Names of scores, and of marks of the best answer: the highest is best."""
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
LIST_START = re.compile(r"\s*\[")
"""How the JSON of a list begins."""
NOT_NUMBERS = (
    *CHOSEN_ANSWERS,
    *REJECTED,
    "generation",
)
"""Columns whose numbers and flags are no answers but refer to something else."""


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
    # Nearly all answers are plain texts.
    if type(cell) is str and not LIST_START.match(cell):
        return FoundAnswer(cell)
    is_number = isinstance(cell, int | float | Decimal) and not is_missing(cell)
    if is_number and normalise_name(column) in NOT_NUMBERS:
        raise UnusableRow(
            f"{column} is {type(cell).__name__}, not an answer: "
            "name the column of the answer, --map response=COLUMN"
        )
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
    """Whether an answer is the JSON of several texts; a file of another format may have had a list.

    >>> is_list_in_text('["red", "blue"]'), is_list_in_text("[red, blue]")
    (True, False)
    """
    if not isinstance(value, str) or not LIST_START.match(value):
        return False
    try:
        answers = orjson.loads(value)
    except ValueError:
        return False
    return len(answers) > 1 and _are_texts(answers)


# The answers of a cell


def _load_list(row: Row, column: str) -> list[Any] | None:
    """The list of answers that a text is the JSON of; None if it is an answer itself."""
    text = row[column]
    if not LIST_START.match(text):
        return None
    if normalise_name(column) not in LISTS and not _list_rating_columns(row, column):
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
    if _find_rating(value):
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
    rated_by = _find_rating(fields)
    ratings: Sequence[Any] = [each.get(rated_by) for each in fields]
    if not rated_by:
        beside = _list_rating_columns(row, column)
        if not beside:
            return _take_first(column, candidates)
        rated_by, ratings = next(iter(beside.items()))
        if len(ratings) != len(candidates) or not any(map(_is_rating, ratings)):
            raise UnusableRow(
                f"{rated_by} does not say which of the answers in {column} is the best: "
                f"name one, e.g. --map response={_spell_path(column, candidates[0])}"
            )
    if all(rating is False for rating in ratings):
        raise UnusableRow(f"no answer is right by {rated_by}", failure=False)
    is_rank = normalise_name(rated_by).removesuffix("s") in RANKS
    worths = [_read_worth(rating, is_rank) for rating in ratings]
    best = candidates[worths.index(max(worths))]
    return FoundAnswer(best.value, best.steps, len(candidates), rated_by)


def _take_first(
    column: str,
    candidates: Sequence[_Candidate],
) -> FoundAnswer:
    """The first of several texts. Raises `UnusableRow` where their order says nothing."""
    first = candidates[0]
    is_sampled = normalise_name(column) in SAMPLED_ANSWERS
    # A step leads to a text of a list; several lead into objects.
    is_object = isinstance(first.steps[-1], str) or not isinstance(first.value, str)
    if is_sampled or is_object:
        raise UnusableRow(
            f"{column} has several answers without scores: "
            f"name one, e.g. --map response={_spell_path(column, first)}"
        )
    return FoundAnswer(first.value, first.steps, len(candidates))


def _find_rating(answers: Sequence[Row]) -> str:
    """The field of the answers' ranks or scores, or ""."""
    fields = dict.fromkeys(name for answer in answers for name in answer)
    columns = tuple(fields)
    for name in (*RANKS, *SCORES):
        field = find_first_column((name,), columns)
        if field and any(_is_rating(answer.get(field)) for answer in answers):
            return field
    return ""


def _list_rating_columns(row: Row, column: str) -> dict[str, Sequence[Any]]:
    """The columns beside the answers that hold a list of ranks or scores."""
    names = [(name, f"{name}s") for name in (*RANKS, *SCORES)]
    found: dict[str, Sequence[Any]] = {}
    for rating in list_found_columns(chain.from_iterable(names), tuple(row)):
        value = row[rating]
        if isinstance(value, str) and LIST_START.match(value):
            try:
                value = orjson.loads(value)
            except ValueError:
                continue
        if rating != column and _may_be_ratings(value):
            found[rating] = value
    return found


def _may_be_ratings(value: Any) -> bool:
    """Whether a value is a list of other things than texts and messages, such as those of a
    preference.
    """
    if not isinstance(value, list | tuple) or not value or is_message_list(value):
        return False
    return any(_is_rating(item) or not isinstance(item, str) for item in value)


def _is_rating(value: Any) -> bool:
    return read_number(value) is not None


def _read_worth(rating: Any, is_rank: bool) -> float:
    """How good an answer is by its rank or score; one without comes last."""
    number = read_number(rating)
    if number is None:
        return -math.inf
    return -number if is_rank else number


def _spell_path(column: str, candidate: _Candidate) -> str:
    """The path to an answer, as `--map` takes it."""
    return ".".join(map(str, (column, *candidate.steps)))
