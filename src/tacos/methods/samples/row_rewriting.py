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

import orjson

from tacos.config import IngestSettings
from tacos.methods.samples.conversations import (
    CONTENTS,
    cell_to_text,
    is_message_list,
    keep_answered_turns,
    load_json_cell,
    read_conversation,
    read_turns,
    says_no_input,
)
from tacos.methods.samples.row_layout import (
    RowLayout,
    UnusableRow,
    choose_row_layout,
)
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
    row = json.loads(raw)
    layout = choose_row_layout(row, settings)
    turns = keep_answered_turns(read_turns(row, layout))
    question_number = _find_last_turn(turns, "user")
    earlier = [*turns[:-1]]
    question = earlier.pop(question_number)

    # Parsing joins the input to the question; here they are taken apart again.
    instruction = question.text
    row_input = _read_input(row, layout)
    if row_input:
        instruction = cell_to_text(row[layout.instruction], layout.instruction)
    if not instruction.strip():
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
    row: dict[str, Any] = json.loads(raw)
    layout = choose_row_layout(row, settings)
    if layout.format == "columns":
        _replace_columns(
            row,
            layout,
            instruction,
            response,
        )
    elif layout.format == "self-instruct":
        row[layout.instruction] = instruction
        row[layout.response][0]["output"] = response
    else:
        row[layout.instruction] = _replace_last_texts(
            row[layout.instruction],
            instruction,
            response,
        )
    return row


def _render_transcript(turns: Sequence[Turn]) -> str:
    """Turns as text."""
    paragraphs = [f"{turn.role.capitalize()}: {turn.text}" for turn in turns]
    return "\n\n".join(paragraphs)


def _read_input(
    row: dict[str, Any],
    layout: RowLayout,
) -> str:
    """The text of a row's input; "" if there is none or it only says so."""
    if layout.format == "self-instruct":
        first = row[layout.response][0]
        text = cell_to_text(first.get("input"), "input")
    elif layout.input:
        text = cell_to_text(row[layout.input], layout.input)
    else:
        return ""
    if says_no_input(text):
        return ""
    return text.strip()


def _replace_columns(
    row: dict[str, Any],
    layout: RowLayout,
    instruction: str,
    response: str,
) -> None:
    """Replace question and answer in columns; either may hold messages."""
    answer = row[layout.response]
    question = row[layout.instruction]
    if is_message_list(answer):
        first = read_conversation(answer)[0]
        if first.role == "user":
            # The column of the answer holds the whole conversation, including its question.
            row[layout.response] = _replace_last_texts(answer, instruction, response)
            return
        row[layout.response] = _replace_last_texts(answer, None, response)
    else:
        row[layout.response] = response
    if is_message_list(question):
        row[layout.instruction] = _replace_last_texts(question, instruction, None)
    else:
        row[layout.instruction] = instruction


def _replace_last_texts(
    value: Any,
    instruction: str | None,
    response: str | None,
) -> Any:
    """Messages (a list, or its JSON) with other texts in place of the last question and answer.

    The question is the last one before that answer. None leaves a text as it is.
    """
    is_json = isinstance(value, str)
    if is_json:
        value = load_json_cell(value, "the conversation")
    messages = list(value)
    turns = read_conversation(messages)
    # The answer first: the question is the last one before it, not the last of all.
    if response is not None:
        last_answer = _find_last_turn(turns, "assistant")
        messages[last_answer] = _replace_message_text(messages[last_answer], response)
        turns = turns[:last_answer]
    if instruction is not None:
        last_question = _find_last_turn(turns, "user")
        messages[last_question] = _replace_message_text(
            messages[last_question], instruction
        )
    if is_json:
        return orjson.dumps(messages).decode()
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
    message: Any,
    text: str,
) -> Any:
    """A message with another text, in the form of the old one."""
    if isinstance(message, str):
        return text
    for key in CONTENTS:
        old = message.get(key)
        if not old:
            continue
        new: Any = text
        # A message made of parts stays one.
        if isinstance(old, list):
            new = [
                {
                    "type": "text",
                    "text": text,
                }
            ]
        return {
            **message,
            key: new,
        }
    raise UnusableRow("its answer is a tool call", failure=False)
