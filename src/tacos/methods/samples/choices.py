"""Multiple choice: a question whose choices stand in columns of their own.

Without them nobody can tell what an answer such as "B" or 2 is worth, and files number choices from
0 as well as from 1. So the row is refused, unless the question holds its choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.methods.samples.cells import UnusableRow, is_blank, load_json_cell
from tacos.methods.samples.column_names import CHOICES, list_found_columns
from tacos.methods.samples.table_layout import Row, RowLayout

LETTERS = ("A", "B")
"""Columns that hold a choice each, the first two of them."""


def refuse_hidden_choices(row: Row, layout: RowLayout, question: str) -> None:
    """Raise `UnusableRow` if the question lacks the choices that stand beside it."""
    columns = tuple(row)
    for column in list_found_columns(CHOICES, columns):
        is_used = column in (layout.input, layout.response)
        if not is_used and _lacks_any(question, _list_choices(row[column])):
            raise UnusableRow(
                f"the question lacks its choices, which are in {column!r}: write them into it, "
                f"or read them as its input, --map input={column}"
            )
    if "A" in row and "B" in row and layout.response not in LETTERS:
        choices = [row[letter] for letter in LETTERS]
        if not any(map(is_blank, choices)) and _lacks_any(question, choices):
            raise UnusableRow(
                "the question lacks its choices, which are in 'A', 'B' and so on: "
                "write them into it"
            )


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
    texts = [item.get("text") if isinstance(item, Mapping) else item for item in value]
    is_choice = len(texts) > 1 and all(isinstance(text, str | int) for text in texts)
    return [str(text) for text in texts] if is_choice else []


def _lacks_any(question: str, choices: list[Any]) -> bool:
    """Whether a choice does not stand in the question."""
    return any(str(choice).strip() not in question for choice in choices)
