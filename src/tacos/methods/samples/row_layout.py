"""Finds out which columns of a raw row hold what, from the row alone.

In order of preference: a conversation in a column with a usual name, a task with `instances`, an
instruction and a response in columns with the names that public data sets use. Columns named in the
settings take precedence over all of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from tacos.config import IngestSettings
from tacos.errors import InputError

Row = Mapping[str, Any]
Columns = tuple[str, ...]

CONVERSATIONS = (
    "conversations",
    "messages",
    "conversation",
)
MAYBE_CONVERSATIONS = (
    "dialogue",
    "dialog",
    "chat",
    "data",
)
"""Names that often mean something else, so columns of questions and answers go before them."""
INSTRUCTIONS = (
    "instruction",
    "prompt",
    "question",
    "query",
    "problem",
    "instructions",
)
CONTEXTS = ("input", "context")
RESPONSES = (
    "output",
    "response",
    "completion",
    "answer",
    "solution",
    "chosen",
    "target",
)
COUPLES = (
    ("user", "assistant"),
    ("human", "assistant"),
    ("human", "bot"),
    ("source", "target"),
)
"""Names that mean question and answer only together."""
SPEAKERS = ("role", "from", "speaker")
SYSTEMS = ("system", "system_prompt")
HISTORIES = ("history",)

CONVERSATION_FORMATS = ("sharegpt", "openai")
N_SHOWN_IN_ROW = 8
"""Columns listed in the reject of a row."""
N_SHOWN_IN_FILE = 20
"""Columns listed in the error of a file."""


class UnusableRow(Exception):
    """Why a row cannot be used; becomes a `Reject`, with the same `reason` and `failure`."""

    def __init__(
        self,
        reason: str,
        failure: bool = True,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure


class RowLayout(NamedTuple):
    """How to read a row, and the columns that matter ("" for none).

    In a conversation, `instruction` is the column of the messages. In the self-instruct format,
    `response` is the column of the instances.
    """

    format: Literal["conversation", "self-instruct", "columns"]
    instruction: str
    input: str = ""
    response: str = ""
    system: str = ""
    history: str = ""


class _LayoutCandidates(NamedTuple):
    """The layouts that the column names allow, in order of preference.

    Whether a column really holds a conversation depends on its value, so `first` and `last` are
    tried on each row.
    """

    first: tuple[RowLayout, ...]
    columns: RowLayout | None
    last: tuple[RowLayout, ...]


def choose_row_layout(
    row: Row,
    settings: IngestSettings,
) -> RowLayout:
    """How to read this row. Raises `UnusableRow` if its columns fit no layout.

    >>> choose_row_layout({"question": "1 + 1?", "answer": "2"}, IngestSettings())[:4]
    ('columns', 'question', '', 'answer')
    """
    candidates = _list_layouts(
        tuple(row),
        settings.format,
        settings.instruction,
        settings.input,
        settings.response,
    )
    # The usual names of conversations win if their values look like conversations ...
    for layout in candidates.first:
        if _looks_like_conversation(row[layout.instruction]):
            return layout
    # ... then come columns of questions and answers, by their names alone ...
    if candidates.columns is not None:
        return candidates.columns
    # ... then names that only sometimes hold a conversation.
    for layout in candidates.last:
        if _looks_like_conversation(row[layout.instruction]):
            return layout
    if candidates.first:
        # Reading it fails with a message that says what is wrong with the conversation.
        return candidates.first[0]
    if not row:
        raise UnusableRow("empty object", failure=False)
    columns = list(row)[:N_SHOWN_IN_ROW]
    shown = ", ".join(map(str, columns))
    raise UnusableRow(f"no instruction and response in the columns {shown}")


def detect_layout(
    rows: Sequence[Row],
    settings: IngestSettings,
    name: str = "data",
) -> RowLayout:
    """The layout of the first row that has one and holds the columns of tags and scores, if named.

    `name` is that of the file. Raises `InputError` that lists the columns if there is no such row.
    """
    required = [column for column in (settings.tags, settings.score) if column]
    for row in rows:
        try:
            layout = choose_row_layout(row, settings)
        except UnusableRow:
            continue
        if all(column in row for column in required):
            return layout
    wrapper = _find_wrapper_field(rows[0]) if len(rows) == 1 else ""
    if wrapper:
        raise InputError(
            f"{name}: the rows are wrapped in an object, in its field {wrapper!r}; "
            "put the list of rows itself into the file"
        )
    columns: dict[str, None] = {}
    for row in rows:
        columns.update((str(column), None) for column in row)
    problem = _explain_no_layout(list(columns), settings)
    raise InputError(f"{name}: {problem}")


def is_message(value: Mapping[str, Any]) -> bool:
    """Whether an object is a message: it names its speaker."""
    return any(key in value for key in SPEAKERS)


# Candidates by column names


@lru_cache(maxsize=1024)
def _list_layouts(
    columns: Columns,
    format: str,
    instruction: str,
    input: str,
    response: str,
) -> _LayoutCandidates:
    """The layouts that the columns allow under the settings; cached, as rows repeat columns."""
    for named in (instruction, input, response):
        if named and named not in columns:
            return _LayoutCandidates((), None, ())
    table = None
    if format not in CONVERSATION_FORMATS:
        table = _choose_table_layout(
            columns,
            format,
            instruction,
            input,
            response,
        )

    first: Columns = ()
    last: Columns = ()
    may_be_conversation = format == "auto" or format in CONVERSATION_FORMATS
    if may_be_conversation and not response:
        if not instruction:
            first = CONVERSATIONS
            last = MAYBE_CONVERSATIONS
        elif format == "auto" and table is not None:
            # Beside a response, a named column is an instruction, even if it starts with a bracket.
            last = (instruction,)
        else:
            first = (instruction,)

    return _LayoutCandidates(
        first=_list_conversation_layouts(first, columns),
        columns=table,
        last=_list_conversation_layouts(last, columns),
    )


def _list_conversation_layouts(
    names: Columns,
    columns: Columns,
) -> tuple[RowLayout, ...]:
    """A layout for each of the names that is a column."""
    system = _find_first_column(SYSTEMS, columns)
    layouts = [
        RowLayout("conversation", name, system=system)
        for name in names
        if name in columns
    ]
    return tuple(layouts)


def _choose_table_layout(
    columns: Columns,
    format: str,
    instruction: str,
    input: str,
    response: str,
) -> RowLayout | None:
    """The layout of rows with question and answer in columns of their own, if the columns fit."""
    system = _find_first_column(SYSTEMS, columns)
    question = instruction or _find_first_column(INSTRUCTIONS, columns)

    may_be_self_instruct = format in ("auto", "self-instruct")
    if may_be_self_instruct and question and not response and "instances" in columns:
        return RowLayout(
            "self-instruct",
            question,
            response="instances",
            system=system,
        )

    # The usual names have failed: couples of names, then `input` as the question.
    if not question and not response:
        question, response = _find_couple(columns)
    if not question and "input" in columns and input != "input":
        question = "input"
    answer = response or _find_first_column(RESPONSES, columns, (question, input))
    if not question or not answer or format == "self-instruct":
        return None
    context = input or _find_first_column(CONTEXTS, columns, (question, answer))
    return RowLayout(
        "columns",
        question,
        input=context,
        response=answer,
        system=system,
        history=_find_first_column(HISTORIES, columns),
    )


def _find_couple(columns: Columns) -> tuple[str, str]:
    """Question and answer columns from `COUPLES`, or ("", "")."""
    for question, answer in COUPLES:
        if question in columns and answer in columns:
            return question, answer
    return "", ""


def _find_first_column(
    names: Iterable[str],
    columns: Columns,
    used: Columns = (),
) -> str:
    """The first of the names that is a column and not used yet, or ""."""
    for name in names:
        if name in columns and name not in used:
            return name
    return ""


# Looking at values


def _looks_like_conversation(value: Any) -> bool:
    """Whether a value looks like a list of turns, or like its JSON."""
    if isinstance(value, str):
        return value.lstrip().startswith(("[{", '["'))
    if not isinstance(value, list | tuple) or not value:
        return False
    first = value[0]
    if isinstance(first, dict):
        return is_message(first)
    return isinstance(first, str)


def _find_wrapper_field(row: Row) -> str:
    """The field of an object that holds a list of rows, or ""."""
    for name, value in row.items():
        if _is_list_of_rows(value):
            return str(name)
    return ""


def _is_list_of_rows(value: Any) -> bool:
    """Whether a value is a list of objects that are not messages."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    return isinstance(first, dict) and not is_message(first)


# Errors


def _explain_no_layout(
    columns: Sequence[str],
    settings: IngestSettings,
) -> str:
    """Which columns there are, and how to tell tacos which to read."""
    shown = ", ".join(columns[:N_SHOWN_IN_FILE])
    if len(columns) > N_SHOWN_IN_FILE:
        shown += ", ..."
    named_columns = (
        settings.instruction,
        settings.input,
        settings.response,
        settings.tags,
        settings.score,
    )
    for named in named_columns:
        if named and named not in columns:
            return f"no row has the column {named!r}; the columns are: {shown}"
    expected = "instruction and response"
    if settings.format != "auto":
        expected = f"rows of format {settings.format}"
    return (
        f"no {expected} found in the columns: {shown}; "
        "name them with --set ingest.instruction=COLUMN --set ingest.response=COLUMN"
    )
