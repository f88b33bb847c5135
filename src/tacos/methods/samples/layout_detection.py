"""Tells whether a file holds rows that can be read, and why not: the wrong kind of file is one
clear error, not thousands of rejects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.config import IngestSettings
from tacos.errors import InputError
from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.column_names import (
    INSTRUCTIONS,
    clip_name,
    find_first_column,
    join_names,
    list_found_columns,
    normalise_name,
)
from tacos.methods.samples.mapped_fields import (
    add_mapped_fields,
    list_nested_fields,
    list_paths,
)
from tacos.methods.samples.message_fields import CONTENTS, SPEAKERS
from tacos.methods.samples.messages import (
    is_exchange,
    is_list_of_exchanges,
    is_message,
    is_message_list,
)
from tacos.methods.samples.row_layout import choose_row_layout
from tacos.methods.samples.table_layout import Row, RowLayout

N_SHOWN = 20
"""Columns listed in the error of a file."""
N_SHOWN_IDS = 3
RECORDS = "to_json(FILE, orient='records', lines=True)"
MESSAGE_LINKS = (
    "parent_id",
    "message_id",
    "conversation_id",
    "message_tree_id",
)


def detect_layout(
    rows: Sequence[Row],
    settings: IngestSettings,
    name: str = "data",
) -> RowLayout:
    """The layout of the first row that has one and holds the columns of tags and scores, if named.

    `name` is that of the file. Raises `InputError` that says what the file is, or lists its
    columns, if there is no such row.
    """
    # A path that leads into the only object says that this object is a row.
    if len(rows) == 1 and not list_paths(settings):
        problem = _explain_single_object(rows[0], settings)
        if problem:
            raise InputError(f"{name}: {problem}")
    required = [column for column in (settings.tags, settings.score) if column]
    for row in rows:
        # One row that can be read is enough: the others become rejects.
        fields = add_mapped_fields(row, settings)
        try:
            layout = choose_row_layout(fields, settings)
        except UnusableRow:
            continue
        if all(column in fields for column in required):
            return layout
    columns: dict[str, None] = {}
    for row in rows:
        # Of a path that leads nowhere, the fields within objects are of interest, too.
        named = list_nested_fields(row) if list_paths(settings) else map(str, row)
        columns.update(dict.fromkeys(named))
        fields = add_mapped_fields(row, settings)
        columns.update(dict.fromkeys(path for path in fields if path not in row))
    problem = _explain_no_layout(list(columns), settings)
    raise InputError(f"{name}: {problem}")


def _explain_single_object(row: Row, settings: IngestSettings) -> str:
    """Why a file's only object is no row but holds all rows in some form; "" if it is a row."""
    is_table = _holds_columns(row)
    if is_table or (
        {"columns", "data"} <= row.keys() and _is_list_of_lists(row["data"])
    ):
        return (
            "the file is one object that holds the table column by column; "
            f"write a row per line (pandas: {RECORDS})"
        )
    layout = _find_layout(row, settings)
    if layout is not None:
        value = row.get(layout.instruction)
        if layout.format == "conversation" and _is_list_of_tasks(value):
            return (
                "the file is one object that lists questions and answers in its field "
                f"{layout.instruction!r}: put the list itself into the file, or, if it is one "
                "conversation, write {role, content} messages"
            )
        return ""
    wrapper = _find_wrapper_field(row)
    if wrapper:
        return (
            f"the rows are wrapped in an object, in its field {clip_name(wrapper)!r}; "
            "put the list of rows itself into the file"
        )
    # Rows by their ids, as `json.dump` writes a dict of them.
    first = next(iter(row.values()), None)
    is_row = isinstance(first, Mapping) and _find_layout(first, settings) is not None
    if is_row or is_message_list(first):
        ids = [str(key) for key in list(row)[:N_SHOWN_IDS]]
        shown = join_names(ids) + (", ..." if len(row) > N_SHOWN_IDS else "")
        return (
            f"the file is one object with a row under each key ({shown}); "
            "write the rows alone, one per line or as a list"
        )
    return ""


def _find_layout(row: Mapping[Any, Any], settings: IngestSettings) -> RowLayout | None:
    """How a row can be read by its columns, if it can."""
    try:
        return choose_row_layout(
            {str(key): value for key, value in row.items()}, settings
        )
    except UnusableRow:
        return None


def _holds_columns(row: Row) -> bool:
    """Whether each field holds a whole column: an object with the same keys, or a list of texts of
    the same length, of at least two rows.
    """
    if len(row) < 2:
        return False
    values = list(row.values())
    first = values[0]
    if isinstance(first, Mapping) and first:
        # pandas numbers the rows.
        if not all(str(key).isdigit() for key in first):
            return False
        keys = list(first)
        return all(_has_keys(value, keys) for value in values)
    if isinstance(first, list) and len(first) > 1:
        if not isinstance(first[0], str):
            return False
        n_rows = len(first)
        return all(_has_length(value, n_rows) for value in values)
    return False


def _has_keys(value: Any, keys: list[Any]) -> bool:
    """Whether a value is an object with these keys, in their order."""
    return isinstance(value, Mapping) and list(value) == keys


def _has_length(value: Any, length: int) -> bool:
    """Whether a value is a list of that length."""
    return isinstance(value, list) and len(value) == length


def _is_list_of_lists(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _is_list_of_tasks(value: Any) -> bool:
    """Whether a value lists exchanges such as {instruction, output}, as files of rows have them.
    Those of speakers, such as {human, assistant}, are a conversation.
    """
    if not is_list_of_exchanges(value) or len(value) < 2:
        return False
    return not is_exchange(value[0]) and not is_message(value[0])


def _find_wrapper_field(row: Row) -> str:
    """The field of an object that holds the longest list of rows, as a path, or ""."""
    questions = list_found_columns(INSTRUCTIONS, tuple(row))
    # An object with a question of its own is a row; what it lists are answers, say.
    if any(isinstance(row[name], str) for name in questions):
        return ""
    lengths = {}
    for name, value in row.items():
        if _is_list_of_rows(value):
            lengths[str(name)] = len(value)
    if lengths:
        return max(lengths, key=lengths.__getitem__)
    # Splits: {"data": {"train": [...]}}.
    for name, value in row.items():
        below = _find_wrapper_field(value) if isinstance(value, Mapping) else ""
        if below:
            return f"{name}.{below}"
    return ""


def _is_list_of_rows(value: Any) -> bool:
    """Whether a value is a list of objects that are not messages."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    return isinstance(first, Mapping) and not is_message(first)


def _explain_no_layout(
    columns: Sequence[str],
    settings: IngestSettings,
) -> str:
    """Which columns there are, and how to tell tacos which to read."""
    shown = join_names(columns[:N_SHOWN])
    if len(columns) > N_SHOWN:
        shown += ", ..."
    named_columns = (
        settings.instruction,
        settings.input,
        settings.response,
        settings.system,
        settings.tags,
        settings.score,
    )
    for named in named_columns:
        if named and named not in columns:
            return f"no row has the column {named!r}; the columns are: {shown}"
    if _are_single_messages(columns):
        return (
            f"each row is a single message (columns: {shown}); "
            "put the messages of a conversation into one row, as a list under 'messages'"
        )
    expected = "instruction and response"
    if settings.format != "auto":
        expected = f"rows of format {settings.format}"
    elif settings.preference == "rejected":
        expected = "rejected answer"
    return (
        f"no {expected} found in the columns: {shown}; "
        "name them with --set ingest.instruction=COLUMN --set ingest.response=COLUMN "
        "(or --map instruction=COLUMN; a path such as data.text leads into nested fields; "
        "a column that holds whole conversations: ingest.instruction alone)"
    )


def _are_single_messages(columns: Sequence[str]) -> bool:
    """Whether the columns are those of messages, one per row."""
    names = {normalise_name(column) for column in columns}
    has_speaker = not names.isdisjoint(SPEAKERS)
    has_text = find_first_column(CONTENTS, tuple(columns)) != ""
    return has_speaker and has_text and not names.isdisjoint(MESSAGE_LINKS + SPEAKERS)
