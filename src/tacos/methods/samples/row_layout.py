"""Finds out which columns of a raw row hold what, from the row alone.

In order of preference: a conversation in a column with a usual name, a task with `instances`, an
instruction and a response in columns with the names that public data sets use. Columns named in the
settings take precedence over all of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from tacos.config import IngestSettings
from tacos.methods.samples.answer_references import refuse_other_answer
from tacos.methods.samples.cells import UnusableRow, is_blank
from tacos.methods.samples.column_names import (
    CHOSEN,
    CHOSEN_ANSWERS,
    CONVERSATIONS,
    FINAL_ANSWERS,
    MAYBE_CONVERSATIONS,
    REASONINGS,
    REJECTED,
    REPLIES,
    RESPONSES,
    SYSTEMS,
    TRANSCRIPTS,
    TREES,
    WORKED_ANSWERS,
    Columns,
    find_first_column,
    join_names,
    list_found_columns,
    list_preferences,
    normalise_name,
)
from tacos.methods.samples.message_trees import decode_tree, is_message_tree
from tacos.methods.samples.messages import (
    JSON_START,
    ends_with_question,
    is_exchange,
    is_list_of_exchanges,
    is_message_list,
    is_object_of_lists,
    is_pair_of_texts,
    list_messages,
    list_speakers,
)
from tacos.methods.samples.roles import Roles
from tacos.methods.samples.table_layout import Row, RowLayout, choose_table_layout
from tacos.methods.samples.transcripts import split_transcript

MESSAGE_START = re.compile(
    r"""\s*\[\s*\{\s*["'](role|from|speaker|content|value)["']"""
)
"""How the JSON of messages begins, or Python's print of them."""
TALKS = (
    *CONVERSATIONS,
    *MAYBE_CONVERSATIONS,
    "items",
    "turns",
)
"""Columns whose messages an answer of a preference may follow."""
CONVERSATION_FORMATS = ("sharegpt", "openai")
MAX_BARE = 5
"""Words of an answer that is a mere result, such as "7"."""
N_SHOWN_IN_ROW = 8
"""Columns listed in the reject of a row."""


class _LayoutCandidates(NamedTuple):
    """The layouts that the column names allow, in order of preference.

    Whether a column really holds a conversation depends on its value, so all but `columns` are
    tried on each row.
    """

    first: tuple[RowLayout, ...] = ()
    trees: tuple[RowLayout, ...] = ()
    columns: RowLayout | None = None
    last: tuple[RowLayout, ...] = ()
    transcripts: tuple[RowLayout, ...] = ()


def choose_row_layout(
    row: Row,
    settings: IngestSettings,
) -> RowLayout:
    """How to read this row. Raises `UnusableRow` if its columns fit no layout.

    >>> choose_row_layout({"question": "1 + 1?", "answer": "2"}, IngestSettings())[:4]
    ('columns', 'question', '', 'answer')
    """
    if settings.preference == "rejected":
        return _choose_rejected_layout(row, settings)
    chosen = _find_chosen(row, settings)
    if chosen:
        return _choose_preference_layout(row, chosen, "chosen", settings)
    layout = _choose_filled_layout(row, settings)
    if layout is not None:
        if not settings.response:
            refuse_other_answer(row, layout.response)
        return _drop_explanation(row, layout)
    if not row:
        raise UnusableRow("empty object", failure=False)
    for part in ("instruction", "response"):
        field = getattr(settings, part)
        if field and field not in row:
            raise UnusableRow(f"no field {field!r}, from which the {part} is read")
    columns = list(row)[:N_SHOWN_IN_ROW]
    shown = join_names(columns)
    raise UnusableRow(f"no instruction and response in the columns {shown}")


def _choose_filled_layout(row: Row, settings: IngestSettings) -> RowLayout | None:
    """The layout among the columns of the row; among those that hold something, if it reads
    nothing.
    """
    layout = _choose_layout(row, tuple(row), settings)
    if layout is None or _lacks_value(row, layout):
        # In a table made of several, columns that are empty here hold the rows of another one.
        better = _choose_layout(row, _list_filled_columns(row), settings)
        if better is not None and not _is_final_answer(better, layout):
            return better
    return layout


def _drop_explanation(row: Row, layout: RowLayout) -> RowLayout:
    """The layout without what would lead to an answer that says it all by itself."""
    if not layout.reasoning:
        return layout
    is_final = normalise_name(layout.response) in FINAL_ANSWERS
    if is_final and normalise_name(layout.reasoning) in REASONINGS:
        return layout
    answer = row[layout.response]
    is_bare = not isinstance(answer, str) or len(answer.split()) <= MAX_BARE
    steps = row[layout.reasoning]
    # Steps may be objects of any kind.
    is_list = isinstance(steps, list) and all(isinstance(step, str) for step in steps)
    is_bare = is_bare and (is_list or isinstance(steps, str))
    return layout if is_bare else layout._replace(reasoning="")


def _choose_layout(
    row: Row,
    columns: Columns,
    settings: IngestSettings,
) -> RowLayout | None:
    """The layout among these columns of the row, if there is one."""
    candidates = _list_layouts(
        columns,
        settings.format,
        settings.instruction,
        settings.input,
        settings.response,
        settings.system,
    )
    # The usual names of conversations win if their values look like conversations ...
    for layout in candidates.first:
        value = row[layout.instruction]
        if looks_like_conversation(value) or is_list_of_exchanges(value):
            return _add_prompt_of_palm(row, layout)
    for layout in candidates.trees:
        if is_message_tree(get_tree(row, layout)):
            return layout
    # ... then come columns of questions and answers, by their names alone ...
    if candidates.columns is not None:
        return candidates.columns
    # ... then names that only sometimes hold a conversation ...
    for layout in candidates.last:
        if looks_like_conversation(row[layout.instruction]):
            return layout
    # ... and the names of questions and answers, if they hold it all.
    for layout in candidates.transcripts:
        if holds_messages(row[layout.instruction]):
            return layout
    # Reading the usual one fails with a message that says what is wrong with the conversation.
    return candidates.first[0] if candidates.first else None


def _choose_rejected_layout(row: Row, settings: IngestSettings) -> RowLayout:
    """How to read the rejected answer of a preference."""
    columns = tuple(row)
    _, usual = _find_preference(row)
    rejected = settings.response or usual or find_first_column(REJECTED, columns)
    if not rejected or is_blank(row.get(rejected)):
        raise UnusableRow("no rejected answer", failure=False)
    return _choose_preference_layout(row, rejected, "rejected", settings)


def _find_chosen(row: Row, settings: IngestSettings) -> str:
    """The column of the better answer of a preference; "" if the row is none or a setting names the
    answer.
    """
    chosen, rejected = _find_preference(row)
    if not chosen:
        return ""
    # The settings go first.
    if settings.response or settings.instruction == chosen:
        return ""
    # In a table made of several, both are empty in the rows of another one.
    if is_blank(row[chosen]) and is_blank(row[rejected]):
        return ""
    return chosen


def _find_preference(row: Row) -> tuple[str, str]:
    """The columns of the better and the worse answer, ("", "") if the row is no preference."""
    for chosen, rejected in list_preferences(tuple(row)):
        is_usual = normalise_name(chosen) == CHOSEN
        # Votes and flags, such as `accepted`, are no answers.
        is_counted = any(
            isinstance(row[side], int | float | Decimal) and not is_blank(row[side])
            for side in (chosen, rejected)
        )
        if is_usual or not is_counted:
            return chosen, rejected
    return "", ""


def _choose_preference_layout(
    row: Row,
    answer: str,
    side: str,
    settings: IngestSettings,
) -> RowLayout:
    """How to read one answer of a preference: as a whole conversation, after a conversation that
    ends with a question, after a question, or in the place of a conversation's last answer.

    `side` is "chosen" or "rejected".
    """
    columns = _list_filled_columns(row)
    named = (settings.instruction, settings.input, settings.system)
    if any(name and name not in row for name in named):
        raise UnusableRow(f"no question before the {side} answer")
    system = settings.system or find_first_column(SYSTEMS, columns)
    table = choose_table_layout(
        columns,
        "columns",
        settings.instruction,
        settings.input,
        answer,
        settings.system,
    )
    value = row[answer]
    # Whether a text beside a question is an answer or goes with it is told when it is read.
    is_answer = table is not None and isinstance(value, str)
    is_talk = not is_answer and holds_messages(value)
    if is_talk and _holds_question(value, settings.roles):
        return RowLayout("conversation", answer, system=system)
    talks = [
        RowLayout("conversation", name, "", answer, system, is_preference=True)
        for name in list_found_columns(TALKS, columns)
        if holds_messages(row[name])
    ]
    for layout in talks:
        if _ends_with_question(row[layout.instruction], settings.roles):
            return layout
    if table is not None:
        return table._replace(is_preference=True)
    if talks and _has_both_answers(columns):
        return talks[0]
    raise UnusableRow(f"no question before the {side} answer")


def _has_both_answers(columns: Columns) -> bool:
    """Whether both answers of a preference are among the columns; beside one of them, a
    conversation may hold the other one.
    """
    sides = (CHOSEN_ANSWERS, REJECTED)
    return all(find_first_column(names, columns) for names in sides)


def _ends_with_question(value: Any, roles: Roles) -> bool:
    """Whether nobody answers a conversation; what cannot be read is refused when it is."""
    try:
        return ends_with_question(value, roles)
    except UnusableRow:
        return True


def _holds_question(value: Any, roles: Roles) -> bool:
    """Whether messages, or a transcript, hold a question of a user."""
    if isinstance(value, str) and not JSON_START.match(value):
        return True  # a transcript
    return "user" in list_speakers(value, roles).values()


def _add_prompt_of_palm(row: Row, layout: RowLayout) -> RowLayout:
    """PaLM's chats have authors, and the text of the system in `context`."""
    messages = row[layout.instruction]
    context = find_first_column(("context",), tuple(row))
    if layout.system or not isinstance(row.get(context), str):
        return layout
    if is_message_list(messages) and "author" in messages[0]:
        return layout._replace(system=context)
    return layout


def get_tree(row: Row, layout: RowLayout) -> Any:
    """The first message of a tree: in a column, or the row itself."""
    if normalise_name(layout.instruction) in REPLIES:
        return row
    return decode_tree(row[layout.instruction])


def _lacks_value(row: Row, layout: RowLayout) -> bool:
    """Whether the question or the answer of a layout is empty in this row."""
    if is_blank(row[layout.instruction]):
        return True
    return layout.format == "columns" and is_blank(row[layout.response])


def _list_filled_columns(row: Row) -> Columns:
    """The columns that hold something in this row."""
    return tuple(name for name, value in row.items() if not is_blank(value))


def _is_final_answer(layout: RowLayout, usual: RowLayout | None) -> bool:
    """Whether a layout reads a mere final answer where the worked one is missing."""
    if usual is None or layout.format != "columns":
        return False
    is_final = normalise_name(layout.response) in FINAL_ANSWERS
    return is_final and normalise_name(usual.response) in WORKED_ANSWERS


# Candidates by column names


@lru_cache(maxsize=1024)
def _list_layouts(
    columns: Columns,
    format: str,
    instruction: str,
    input: str,
    response: str,
    system: str,
) -> _LayoutCandidates:
    """The layouts that the columns allow under the settings; cached, as rows repeat columns."""
    for named in (instruction, input, response, system):
        if named and named not in columns:
            return _LayoutCandidates()
    table = None
    if format not in CONVERSATION_FORMATS:
        table = choose_table_layout(
            columns,
            format,
            instruction,
            input,
            response,
            system,
        )
    may_be_conversation = format == "auto" or format in CONVERSATION_FORMATS
    if not may_be_conversation:
        return _LayoutCandidates(columns=table)
    if response:
        # Named alone, such as `chosen`, it may hold the question, too.
        whole = () if instruction or table is not None else (response,)
        return _LayoutCandidates(
            columns=table,
            transcripts=_list_conversation_layouts(whole, columns, system),
        )
    if instruction:
        named_layouts = _list_conversation_layouts((instruction,), columns, system)
        # Beside a response, a named column is an instruction, even if it starts with a bracket.
        if format == "auto" and table is not None:
            return _LayoutCandidates(columns=table, last=named_layouts)
        return _LayoutCandidates(first=named_layouts, columns=table)

    trees = list_found_columns((*TREES, *REPLIES), columns)
    return _LayoutCandidates(
        first=_list_usual_layouts(CONVERSATIONS, columns, system),
        trees=tuple(RowLayout("tree", name) for name in trees),
        columns=table,
        last=_list_usual_layouts(MAYBE_CONVERSATIONS, columns, system),
        transcripts=_list_usual_layouts(TRANSCRIPTS, columns, system),
    )


def _list_usual_layouts(
    names: Columns,
    columns: Columns,
    system: str,
) -> tuple[RowLayout, ...]:
    """A conversation for each column that has one of these names."""
    found = list_found_columns(names, columns)
    return _list_conversation_layouts(found, columns, system)


def _list_conversation_layouts(
    found: Columns,
    columns: Columns,
    system: str,
) -> tuple[RowLayout, ...]:
    """A conversation in each of the columns found."""
    system = system or find_first_column(SYSTEMS, columns)
    answers = (CHOSEN, *RESPONSES)
    layouts = []
    for name in found:
        layout = RowLayout(
            "conversation",
            name,
            response=find_first_column(answers, columns, (name,)),
            system=system,
        )
        layouts.append(layout)
    return tuple(layouts)


# Looking at values


def looks_like_conversation(value: Any) -> bool:
    """Whether a value looks like a list of turns, like its JSON, or like a transcript."""
    if isinstance(value, list | tuple) and value:
        first = value[0]
        return (
            isinstance(first, str) or is_pair_of_texts(first) or holds_messages(value)
        )
    if isinstance(value, str) and JSON_START.match(value):
        return True
    return holds_messages(value)


def holds_messages(value: Any) -> bool:
    """Whether a value holds messages that name their speakers, or a transcript."""
    if isinstance(value, str):
        if JSON_START.match(value):
            return (
                value.lstrip().startswith("[")
                and MESSAGE_START.match(value) is not None
            )
        return split_transcript(value) is not None
    if is_object_of_lists(value):
        value = list_messages(value)
    if isinstance(value, Mapping):
        return bool(value) and all(map(is_exchange, value.values()))
    if not isinstance(value, list | tuple) or not value:
        return False
    return is_message_list(value) or is_exchange(value[0])
