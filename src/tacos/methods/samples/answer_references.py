"""Refuses what names an answer instead of being one, such as the "B" of a preference between
response_a and response_b.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.column_names import (
    CHOSEN_ANSWERS,
    REJECTED,
    SIDE_WORDS,
    SIDES,
    list_found_columns,
    normalise_name,
)
from tacos.methods.samples.roles import MODEL, normalise_speaker

Row = Mapping[str, Any]

NOT_AN_ANSWER = "not an answer: name the column of the answer, --map response=COLUMN"
MAX_NAME = 30
"""Longer texts name no column."""
MAYBE_MODELS = (
    "winner",
    "loser",
)
"""Columns that may name the model that gave the answer."""
BEST = (
    *SIDE_WORDS,
    "best",
    "preference",
)
"""Columns that may name the best of several others."""


def refuse_reference(row: Row, column: str) -> None:
    """Raise `UnusableRow` if a side of a preference is the name of another column, its end, such as
    the A of response_a, or a model.
    """
    name = _read_name(row[column])
    if not name:
        return
    names = {normalise_name(each) for each in row}
    others = [
        _read_name(row[each])
        for each in list_found_columns((*CHOSEN_ANSWERS, *REJECTED), tuple(row))
        if each != column
    ]
    stems = _list_stems(names, name)
    is_end = bool(stems)
    if any(others):
        # Both sides end the names of columns that begin alike.
        is_end = any(stem + other in names for stem in stems for other in others)
    is_maybe_model = normalise_name(column) in MAYBE_MODELS
    is_model = is_maybe_model and MODEL.fullmatch(normalise_speaker(row[column]))
    if name in names or is_end or is_model:
        _refuse(row, column)


def refuse_other_answer(row: Row, response: str) -> None:
    """Raise `UnusableRow` if a column beside the answer names another one as the best."""
    if not response:
        return
    columns = tuple(row)
    names = {normalise_name(each) for each in columns} - {normalise_name(response)}
    for column in list_found_columns(BEST, columns):
        name = _read_name(row[column])
        is_column = name in names and name != normalise_name(column)
        if column != response and is_column:
            _refuse(row, column)


def _refuse(row: Row, column: str) -> None:
    raise UnusableRow(f"{column} is {row[column].strip()!r}, {NOT_AN_ANSWER}")


def _read_name(value: Any) -> str:
    """A short text as a name is compared, "" for anything else."""
    if not isinstance(value, str) or len(value) > MAX_NAME:
        return ""
    return normalise_name(value)


def _list_stems(names: set[str], end: str) -> list[str]:
    """What stands before an end in the names of columns: response_ and response."""
    stems = [name.removesuffix(end) for name in names if name.endswith(end)]
    return [stem for stem in stems if stem.endswith("_") or stem in SIDES]
