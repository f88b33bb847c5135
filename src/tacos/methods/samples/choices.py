"""Multiple choice: a question whose choices stand in columns of their own.

Without them nobody can tell what an answer such as "B" or 2 is worth, and files number choices from
0 as well as from 1. So the row is refused, unless the question holds its choices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tacos.methods.samples.cells import UnusableRow, is_blank, load_json_cell
from tacos.methods.samples.column_names import (
    CHOICES,
    MAYBE_CHOICES,
    Columns,
    find_first_column,
    list_found_columns,
)
from tacos.methods.samples.table_layout import Row, RowLayout

CHOICE = re.compile(r"(?:option|choice|opt|op|ending)[_ ]*([a-h]|\d)", re.IGNORECASE)
"""The name of a column that holds one choice."""
LETTERS = (
    ("A", "B"),
    ("a", "b"),
)
"""Columns that hold a choice each, the first two of them."""
REFERENCE = re.compile(r"\W*([A-Ha-h]|\d)\W*")
"""An answer that is the letter or the number of a choice."""
TEXT_FIELDS = (
    "text",
    "value",
    "content",
    "option",
)
"""Fields of a choice that may hold its text."""


def refuse_hidden_choices(
    row: Row,
    layout: RowLayout,
    question: str,
    answer: str,
) -> None:
    """Raise `UnusableRow` if the question lacks the choices that stand beside it."""
    is_reference = REFERENCE.fullmatch(answer) is not None
    # Beside a conversation, options may be those of a program.
    is_talk = layout.format == "conversation"
    if is_talk and not is_reference:
        return
    columns = tuple(row)
    names = (*CHOICES, *MAYBE_CHOICES) if is_reference else CHOICES
    for column in list_found_columns(names, columns):
        is_used = column in (layout.input, layout.response)
        if not is_used and _lacks_any(question, _list_choices(row[column])):
            way_out = "write them into it"
            if not is_talk:
                way_out += f", or read them as its input, --map input={column}"
            raise UnusableRow(
                f"the question lacks its choices, which are in {column!r}: {way_out}"
            )
    group = _list_choice_columns(columns, is_reference)
    if group and layout.response not in group:
        choices = [row[column] for column in group if not is_blank(row[column])]
        if len(choices) > 1 and _lacks_any(question, choices):
            shown = ", ".join(map(repr, group[:2]))
            raise UnusableRow(
                f"the question lacks its choices, which are in {shown} and so on: "
                "write them into it"
            )


@lru_cache(maxsize=1024)
def _list_choice_columns(columns: Columns, is_reference: bool) -> Columns:
    """The columns that hold a choice each; none if there is one alone."""
    found = tuple(column for column in columns if CHOICE.fullmatch(str(column).strip()))
    if len(found) > 1:
        return found
    for letters in LETTERS:
        # In lower case, a and b may be the numbers of a sum.
        may_be = letters[0].isupper() or is_reference
        if may_be and all(letter in columns for letter in letters):
            return letters
    return ()


def _list_choices(value: Any) -> list[str]:
    """The choices in a cell; none if it holds something else.

    >>> _list_choices({"text": ["red", "blue"], "label": ["A", "B"]})
    ['red', 'blue']
    >>> _list_choices('["red", "blue"]'), _list_choices({"temperature": 1})
    (['red', 'blue'], [])
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = load_json_cell(value, "choices")
        except UnusableRow:
            return []
    if isinstance(value, Mapping):
        is_lettered = all(len(str(key)) == 1 for key in value)
        value = list(value.values()) if is_lettered else value.get("text")
    if not isinstance(value, list | tuple):
        return []
    texts = [_read_choice(item) for item in value]
    is_choice = len(texts) > 1 and all(
        isinstance(text, str | int | float) for text in texts
    )
    return [str(text) for text in texts] if is_choice else []


def _read_choice(item: Any) -> Any:
    """A choice, or the text of an object that is one."""
    if not isinstance(item, Mapping):
        return item
    field = find_first_column(TEXT_FIELDS, tuple(item))
    return item[field] if field else None


def _lacks_any(question: str, choices: list[Any]) -> bool:
    """Whether a choice does not stand in the question, as a word of its own."""
    return any(not _holds(question, str(choice).strip()) for choice in choices)


def _holds(question: str, choice: str) -> bool:
    """Whether a choice stands in a question; a number within another one does not count."""
    if not choice.isalnum() or not choice.isascii():
        return choice in question
    return re.search(rf"(?<!\w){choice}(?!\w)", question) is not None
