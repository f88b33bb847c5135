"""Extracts the rewritable texts of a raw row, and puts others in their place.

The last question and the last answer can be rewritten. Everything else stays as it is: an `input`
column, earlier turns and system texts form the context. `rewrite_row` keeps the layout of the row
and its other fields.

Whether the new row reads as intended is checked by
`tacos.methods.judging.refinement.rebuild_candidates`, which parses it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tacos.config import IngestSettings
from tacos.methods.samples.answers import find_answer, replace_answer
from tacos.methods.samples.cells import (
    UnusableRow,
    cell_to_text,
    load_json_cell,
    render_json,
    says_nothing,
)
from tacos.methods.samples.conversations import (
    choose_instance,
    keep_answered_turns,
    list_instances,
    read_input,
    read_turns,
)
from tacos.methods.samples.mapped_fields import (
    add_mapped_fields,
    return_mapped_fields,
)
from tacos.methods.samples.messages import (
    PlacedTurn,
    is_message,
    is_message_list,
    place_turns,
    split_named_texts,
)
from tacos.methods.samples.roles import Roles
from tacos.methods.samples.row_layout import choose_row_layout
from tacos.methods.samples.table_layout import Row, RowLayout
from tacos.records import Turn


class RewritableParts(NamedTuple):
    """The last question by itself, its context ("" for none), and the last answer."""

    instruction: str
    context: str
    response: str


def extract_parts(
    raw: str,
    settings: IngestSettings,
) -> RewritableParts:
    """The rewritable texts of a row and their context.

    Raises `UnusableRow` if the row has no question or answer of its own.

    >>> raw = '{"instruction": "Add.", "input": "1 and 2", "output": "3"}'
    >>> extract_parts(raw, IngestSettings())
    RewritableParts(instruction='Add.', context='1 and 2', response='3')
    """
    row = add_mapped_fields(json.loads(raw), settings)
    layout = choose_row_layout(row, settings)
    turns = keep_answered_turns(read_turns(row, layout, settings.roles))
    question_number = _find_last_turn(turns, "user")
    earlier = [*turns[:-1]]
    question = earlier.pop(question_number)

    # Parsing joins the input to the question; here they are taken apart again.
    instruction = question.text
    row_input = _read_input(row, layout)
    if row_input:
        instruction = cell_to_text(row[layout.instruction], layout.instruction)
    if says_nothing(instruction):
        raise UnusableRow("its instruction is empty", failure=False)
    contexts = [
        _render_transcript(earlier),
        row_input,
    ]
    context = "\n\n".join(text for text in contexts if text)
    return RewritableParts(
        instruction,
        context,
        response=turns[-1].text,
    )


def rewrite_row(
    raw: str,
    settings: IngestSettings,
    instruction: str,
    response: str,
) -> dict[str, Any]:
    """The row with another last question and answer, in its own layout.

    Raises `UnusableRow` if the row has no place for them.

    >>> raw = '{"id": 7, "data": ["Hi", "Yo"]}'
    >>> rewrite_row(raw, IngestSettings(), "Hello.", "Good day.")
    {'id': 7, 'data': ['Hello.', 'Good day.']}
    """
    # The standard library's json keeps integers of more than 64 bits.
    read: dict[str, Any] = json.loads(raw)
    row = dict(add_mapped_fields(read, settings))
    layout = choose_row_layout(row, settings)
    if layout.format == "columns":
        _replace_columns(
            row,
            layout,
            instruction,
            response,
            settings.roles,
        )
    elif layout.format == "self-instruct":
        row[layout.instruction] = instruction
        row[layout.response] = _replace_output(row[layout.response], response)
    else:
        row[layout.instruction] = _replace_last_texts(
            row[layout.instruction],
            instruction,
            response,
            settings.roles,
        )
    return return_mapped_fields(read, row, settings)


def _render_transcript(turns: Sequence[Turn]) -> str:
    """Turns as text."""
    paragraphs = [f"{turn.role.capitalize()}: {turn.text}" for turn in turns]
    return "\n\n".join(paragraphs)


def _read_input(
    row: Row,
    layout: RowLayout,
) -> str:
    """The text of a row's input; "" if there is none or it only says so."""
    if layout.format == "self-instruct":
        instance = choose_instance(list_instances(row[layout.response]))
        text = cell_to_text(instance.get("input"), "input")
    else:
        text = read_input(row, layout)
    return "" if says_nothing(text) else text.strip()


def _replace_columns(
    row: dict[str, Any],
    layout: RowLayout,
    instruction: str,
    response: str,
    roles: Roles,
) -> None:
    """Replace question and answer in columns; either may hold messages."""
    answer = find_answer(row, layout.response).value
    question = row[layout.instruction]
    if is_message_list(answer):
        turns = [placed.turn for placed in place_turns(answer, roles)]
        # The column of the answer may hold the whole conversation, including its question.
        is_whole = any(turn.role == "user" for turn in turns)
        new_question = instruction if is_whole else None
        row[layout.response] = _replace_last_texts(
            answer, new_question, response, roles
        )
        if is_whole:
            return
    elif is_message(row[layout.response]):
        (row[layout.response],) = _replace_last_texts([answer], None, response, roles)
    else:
        row[layout.response] = replace_answer(row, layout.response, response)
    if layout.reasoning:
        # The new answer is whole.
        row[layout.reasoning] = ""
    if is_message_list(question):
        row[layout.instruction] = _replace_last_texts(
            question, instruction, None, roles
        )
    else:
        row[layout.instruction] = instruction


def _replace_output(value: Any, response: str) -> Any:
    """The instances of a task (a list, or its JSON) with another output in the one that is read."""
    instances = list_instances(value)
    choose_instance(instances)["output"] = response
    return render_json(instances) if isinstance(value, str) else instances


def _replace_last_texts(
    value: Any,
    instruction: str | None,
    response: str | None,
    roles: Roles,
) -> Any:
    """Messages (a list, or its JSON) with other texts in place of the last question and answer.

    The question is the last one before that answer. None leaves a text as it is.
    """
    is_json = isinstance(value, str)
    if is_json:
        value = load_json_cell(value, "the conversation")
    if not isinstance(value, list):
        raise UnusableRow("its messages are no list", failure=False)
    messages = list(value)
    placed = place_turns(messages, roles)
    turns = [place.turn for place in placed]
    # The answer first: the question is the last one before it, not the last of all.
    if response is not None:
        last_answer = _find_last_turn(turns, "assistant")
        _replace_message_text(messages, placed[last_answer], response)
        turns = turns[:last_answer]
    if instruction is not None:
        last_question = _find_last_turn(turns, "user")
        _replace_message_text(messages, placed[last_question], instruction)
    if is_json:
        return render_json(messages)
    return messages


def _find_last_turn(
    turns: Sequence[Turn],
    role: str,
) -> int:
    """The number of the last turn of a role that is not empty."""
    for number in reversed(range(len(turns))):
        turn = turns[number]
        if turn.role == role and turn.text.strip():
            return number
    raise UnusableRow(f"no {role} turn to rewrite", failure=False)


def _replace_message_text(
    messages: list[Any],
    place: PlacedTurn,
    text: str,
) -> None:
    """Put another text in the place of a turn's, in the form of the old one."""
    message = messages[place.number]
    if isinstance(message, str):
        named = split_named_texts(messages)
        mark = message.removesuffix(named[place.number][1]) if named else ""
        messages[place.number] = mark + text
        return
    if not place.field:
        raise UnusableRow("its answer is a tool call", failure=False)
    if isinstance(message, list):
        # A pair: [question, answer], or [speaker, text].
        pair = [*message]
        pair[int(place.field) if place.field.isdigit() else 1] = text
        messages[place.number] = pair
        return
    new: Any = text
    # A message made of parts stays one.
    if isinstance(message[place.field], list):
        new = [
            {
                "type": "text",
                "text": text,
            }
        ]
    messages[place.number] = {
        **message,
        place.field: new,
    }
