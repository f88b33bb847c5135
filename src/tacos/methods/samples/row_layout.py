"""Which columns of a raw row hold what, told by the row alone.

A conversation in a column of that name comes first, then a task with `instances`, then an
instruction and a response in columns, by the names that public data sets use. Columns that the
settings name win over all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from tacos.config import IngestSettings
from tacos.errors import InputError

Row = Mapping[str, Any]

CONVERSATIONS = ("conversations", "messages", "conversation")
MAYBE_CONVERSATIONS = ("dialogue", "dialog", "chat", "data")
INSTRUCTIONS = ("instruction", "prompt", "question", "query", "problem", "instructions")
CONTEXTS = ("input", "context")
RESPONSES = ("output", "response", "completion", "answer", "solution", "chosen", "target")
COUPLES = (("user", "assistant"), ("human", "assistant"), ("human", "bot"), ("source", "target"))
"""Names that mean question and answer only together."""
SPEAKERS = ("role", "from", "speaker")
SYSTEMS = ("system", "system_prompt")


class UnusableRow(Exception):
    """Why a row cannot be used, on its way to becoming a `Reject`; `failure` as there."""

    def __init__(self, reason: str, failure: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure


class RowLayout(NamedTuple):
    """How a row is read, and the columns that matter ("" where there is none).

    `instruction` is the column of the conversation where there is one, `response` that of the
    instances.
    """

    format: Literal["conversation", "self-instruct", "columns"]
    instruction: str
    input: str = ""
    response: str = ""
    system: str = ""
    history: str = ""


class LayoutCandidates(NamedTuple):
    """The shapes that column names allow, by rank; whether a column holds a conversation its value
    must tell.
    """

    first: tuple[RowLayout, ...]
    columns: RowLayout | None
    last: tuple[RowLayout, ...]


def choose_row_layout(row: Row, settings: IngestSettings) -> RowLayout:
    """How to read this row; `UnusableRow` when its columns fit nothing.

    >>> choose_row_layout({"question": "1 + 1?", "answer": "2"}, IngestSettings())[:4]
    ('columns', 'question', '', 'answer')
    """
    names = (settings.format, settings.instruction, settings.input, settings.response)
    found = _list_layouts(tuple(row), *names)
    for shape in found.first:
        if _looks_like_conversation(row[shape.instruction]):
            return shape
    if found.columns is not None:
        return found.columns
    for shape in found.last:
        if _looks_like_conversation(row[shape.instruction]):
            return shape
    if found.first:
        return found.first[0]  # whatever is wrong with it is said when it is read
    shown = ", ".join(map(str, list(row)[:8]))
    raise UnusableRow(
        f"no instruction and response in the columns {shown}" if row else "empty object", bool(row)
    )


def _looks_like_conversation(value: Any) -> bool:
    """Whether a value looks like a list of turns, or like its JSON."""
    if isinstance(value, str):
        return value.lstrip().startswith(("[{", '["'))
    if not isinstance(value, list | tuple) or not value:
        return False
    return isinstance(value[0], str) or (isinstance(value[0], dict) and is_message(value[0]))


def is_message(value: Mapping[str, Any]) -> bool:
    """Whether an object is a message: it says whose it is."""
    return any(key in value for key in SPEAKERS)


@lru_cache(maxsize=1024)
def _list_layouts(
    columns: tuple[str, ...], format: str, instruction: str, input: str, response: str
) -> LayoutCandidates:
    """The shapes that the columns allow under the settings."""
    named = [each for each in (instruction, input, response) if each]
    if any(each not in columns for each in named):
        return LayoutCandidates((), None, ())
    talks = not response and format in ("auto", "sharegpt", "openai")
    first = ((instruction,) if instruction else CONVERSATIONS) if talks else ()
    last = MAYBE_CONVERSATIONS if talks and not instruction else ()
    table = (
        None
        if format in ("sharegpt", "openai")
        else _choose_table_layout(columns, format, instruction, input, response)
    )
    if instruction and table is not None and format == "auto":
        first, last = (
            (),
            first,
        )  # a named column beside a response is an instruction, even in brackets
    system = _find_first_column(SYSTEMS, columns)
    return LayoutCandidates(
        _list_conversation_layouts(first, columns, system),
        table,
        _list_conversation_layouts(last, columns, system),
    )


def _list_conversation_layouts(
    names: Iterable[str], columns: tuple[str, ...], system: str
) -> tuple[RowLayout, ...]:
    """A shape for each of the names that is a column."""
    return tuple(
        RowLayout("conversation", name, system=system) for name in names if name in columns
    )


def _choose_table_layout(
    columns: tuple[str, ...], format: str, instruction: str, input: str, response: str
) -> RowLayout | None:
    """The shape of rows that hold question and answer in columns of their own."""
    system = _find_first_column(SYSTEMS, columns)
    asked = instruction or _find_first_column(INSTRUCTIONS, columns)
    if asked and "instances" in columns and not response and format in ("auto", "self-instruct"):
        return RowLayout("self-instruct", asked, response="instances", system=system)
    if not asked and not response:
        asked, response = next((pair for pair in COUPLES if set(pair) <= set(columns)), ("", ""))
    if not asked and "input" in columns and input != "input":
        asked = "input"
    answered = response or _find_first_column(
        [each for each in RESPONSES if each not in (asked, input)], columns
    )
    if not asked or not answered or format == "self-instruct":
        return None
    context = input or _find_first_column(
        [each for each in CONTEXTS if each not in (asked, answered)], columns
    )
    return RowLayout(
        "columns", asked, context, answered, system, _find_first_column(("history",), columns)
    )


def _find_first_column(wanted: Iterable[str], columns: tuple[str, ...]) -> str:
    """The first of the wanted names that is a column, or ""."""
    return next((name for name in wanted if name in columns), "")


def detect_layout(rows: Sequence[Row], settings: IngestSettings, name: str = "data") -> RowLayout:
    """The shape of the first row that has one; `InputError` that lists the columns when none has."""
    for row in rows:
        try:
            shape = choose_row_layout(row, settings)
        except UnusableRow:
            continue
        if all(each in row for each in (settings.tags, settings.score) if each):
            return shape
    if len(rows) == 1 and (field := _find_wrapper_field(rows[0])):
        raise InputError(
            f"{name}: the rows are wrapped in an object, in its field {field!r}: give that list itself"
        )
    columns = list(dict.fromkeys(str(column) for row in rows for column in row))
    raise InputError(f"{name}: {_explain_no_layout(columns, settings)}")


def _find_wrapper_field(row: Row) -> str:
    """The field of an object that holds a list of objects that are no messages, or ""."""
    return next((str(name) for name, value in row.items() if _is_list_of_rows(value)), "")


def _is_list_of_rows(value: Any) -> bool:
    """Whether a value is a list of objects that are no messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and not is_message(value[0])
    )


def _explain_no_layout(columns: Sequence[str], settings: IngestSettings) -> str:
    """Which columns there are, and how to say which of them to read."""
    named = (settings.instruction, settings.input, settings.response, settings.tags, settings.score)
    missing = [each for each in named if each and each not in columns]
    shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
    if missing:
        return f"no row has the column {missing[0]!r}; the columns are: {shown}"
    wanted = (
        "instruction and response"
        if settings.format == "auto"
        else f"rows of format {settings.format}"
    )
    return (
        f"no {wanted} found in the columns: {shown}; "
        "name them with --set ingest.instruction=COLUMN --set ingest.response=COLUMN"
    )
