"""The texts of a raw row that can be rewritten, and a row with others in their place, in its own
shape.

What can be rewritten is the last question and the last answer. All else stays as it is: an `input`
column, earlier turns, system texts; together they are the context. `rewrite_row` gives the row back
with its other fields untouched.

What it does not know: whether the new row reads as meant.
`tacos.methods.judging.refinement.rebuild_candidates` reads it again to see.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from tacos.config import IngestSettings
from tacos.methods.samples.conversations import (
    cell_to_text,
    is_message_list,
    keep_answered_turns,
    load_json_cell,
    read_conversation,
    read_turns,
    says_no_input,
)
from tacos.methods.samples.row_layout import RowLayout, UnusableRow, choose_row_layout
from tacos.records import Turn

CONTENTS = ("content", "value", "text")


class RewritableParts(NamedTuple):
    """The last question by itself, what stands beside it ("" for nothing), and the last answer."""

    instruction: str
    context: str
    response: str


def extract_parts(raw: str, settings: IngestSettings) -> RewritableParts:
    """What of a row can be rewritten. Raises `UnusableRow` where there is no question or answer of its
    own.

    >>> extract_parts('{"instruction": "Add.", "input": "1 and 2", "output": "3"}', IngestSettings())
    RewritableParts(instruction='Add.', context='1 and 2', response='3')
    """
    row = json.loads(raw)
    shape = choose_row_layout(row, settings)
    turns = keep_answered_turns(read_turns(row, shape))
    last = max(number for number, turn in enumerate(turns) if turn.role == "user")
    earlier = _render_transcript([turn for number, turn in enumerate(turns[:-1]) if number != last])
    beside = _read_input(row, shape)
    own = cell_to_text(row[shape.instruction], shape.instruction) if beside else turns[last].text
    if not own.strip():
        raise UnusableRow("its instruction is empty", failure=False)
    return RewritableParts(
        own, "\n\n".join(text for text in (earlier, beside) if text), turns[-1].text
    )


def _render_transcript(turns: Sequence[Turn]) -> str:
    """Turns as text."""
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in turns)


def _read_input(row: dict[str, Any], shape: RowLayout) -> str:
    """The text of a row's input, "" where there is none or it says that there is none."""
    if shape.format == "self-instruct":
        text = cell_to_text(row[shape.response][0].get("input"), "input")
    else:
        text = cell_to_text(row[shape.input], shape.input) if shape.input else ""
    return "" if says_no_input(text) else text.strip()


def rewrite_row(
    raw: str, settings: IngestSettings, instruction: str, response: str
) -> dict[str, Any]:
    """The row with another last question and answer. Raises `UnusableRow` where they have no place in
    it.

    >>> rewrite_row('{"id": 7, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]}',
    ...          IngestSettings(), "Hello.", "Good day.")["conversations"]
    [{'from': 'human', 'value': 'Hello.'}, {'from': 'gpt', 'value': 'Good day.'}]
    """
    row: dict[str, Any] = json.loads(raw)
    shape = choose_row_layout(row, settings)
    if shape.format == "conversation":
        row[shape.instruction] = _replace_last_texts(
            row[shape.instruction], {"user": instruction, "assistant": response}
        )
    elif shape.format == "self-instruct":
        row[shape.instruction] = instruction
        row[shape.response][0]["output"] = response
    else:
        _replace_columns(row, shape, instruction, response)
    return row


def _replace_columns(
    row: dict[str, Any], shape: RowLayout, instruction: str, response: str
) -> None:
    """Question and answer in columns; either may be messages."""
    answer, question = row[shape.response], row[shape.instruction]
    if is_message_list(answer) and read_conversation(answer)[0].role == "user":
        row[shape.response] = _replace_last_texts(
            answer, {"user": instruction, "assistant": response}
        )
        return
    row[shape.response] = (
        _replace_last_texts(answer, {"assistant": response})
        if is_message_list(answer)
        else response
    )
    row[shape.instruction] = (
        _replace_last_texts(question, {"user": instruction})
        if is_message_list(question)
        else instruction
    )


def _replace_last_texts(value: Any, texts: dict[str, str]) -> Any:
    """Messages (a list, or its JSON) with another text in the last answer, and in the last question
    before it.
    """
    messages = list(load_json_cell(value, "the conversation") if isinstance(value, str) else value)
    turns, end = read_conversation(messages), len(messages)
    for role in ("assistant", "user"):
        if role in texts:
            end = _find_last_turn(turns[:end], role)
            messages[end] = _replace_message_text(messages[end], texts[role])
    return orjson.dumps(messages).decode() if isinstance(value, str) else messages


def _find_last_turn(turns: Sequence[Turn], role: str) -> int:
    """The number of the last turn of a role that says something."""
    found = [number for number, turn in enumerate(turns) if turn.role == role and turn.text.strip()]
    if not found:
        raise UnusableRow(f"no {role} turn to rewrite", failure=False)
    return found[-1]


def _replace_message_text(message: Any, text: str) -> Any:
    """A message with another text, in the form of the old one."""
    if isinstance(message, str):
        return text
    key = next((name for name in CONTENTS if message.get(name)), "")
    if not key:
        raise UnusableRow("its answer is a call of a tool", failure=False)
    return {
        **message,
        key: [{"type": "text", "text": text}] if isinstance(message[key], list) else text,
    }
