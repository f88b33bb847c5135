"""The texts of a raw row that can be rewritten, and a row with others in their place, in its own
shape.

What can be rewritten is the last question and the last answer. All else stays as it is: an `input`
column, earlier turns, system texts; together they are the context. `replaced` gives the row back
with its other fields untouched.

What it does not know: whether the new row reads as meant.
`tacos.methods.judging.refinement.rebuild` reads it again to see.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from tacos.config import Ingest
from tacos.methods.samples.conversations import (
    as_text,
    conversation,
    is_messages,
    loaded,
    says_none,
    turns_of,
    usable,
)
from tacos.methods.samples.row_layout import Shape, Unusable, shape_of
from tacos.records import Turn

CONTENTS = ("content", "value", "text")


class Parts(NamedTuple):
    """The last question by itself, what stands beside it ("" for nothing), and the last answer."""

    instruction: str
    context: str
    response: str


def parts_of(raw: str, settings: Ingest) -> Parts:
    """What of a row can be rewritten. Raises `Unusable` where there is no question or answer of its
    own.

    >>> parts_of('{"instruction": "Add.", "input": "1 and 2", "output": "3"}', Ingest())
    Parts(instruction='Add.', context='1 and 2', response='3')
    """
    row = json.loads(raw)
    shape = shape_of(row, settings)
    turns = usable(turns_of(row, shape))
    last = max(number for number, turn in enumerate(turns) if turn.role == "user")
    earlier = transcript([turn for number, turn in enumerate(turns[:-1]) if number != last])
    beside = input_of(row, shape)
    own = as_text(row[shape.instruction], shape.instruction) if beside else turns[last].text
    if not own.strip():
        raise Unusable("its instruction is empty", failure=False)
    return Parts(own, "\n\n".join(text for text in (earlier, beside) if text), turns[-1].text)


def transcript(turns: Sequence[Turn]) -> str:
    """Turns as text."""
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in turns)


def input_of(row: dict[str, Any], shape: Shape) -> str:
    """The text of a row's input, "" where there is none or it says that there is none."""
    if shape.format == "self-instruct":
        text = as_text(row[shape.response][0].get("input"), "input")
    else:
        text = as_text(row[shape.input], shape.input) if shape.input else ""
    return "" if says_none(text) else text.strip()


def replaced(raw: str, settings: Ingest, instruction: str, response: str) -> dict[str, Any]:
    """The row with another last question and answer. Raises `Unusable` where they have no place in
    it.

    >>> replaced('{"id": 7, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]}',
    ...          Ingest(), "Hello.", "Good day.")["conversations"]
    [{'from': 'human', 'value': 'Hello.'}, {'from': 'gpt', 'value': 'Good day.'}]
    """
    row: dict[str, Any] = json.loads(raw)
    shape = shape_of(row, settings)
    if shape.format == "conversation":
        row[shape.instruction] = with_texts(
            row[shape.instruction], {"user": instruction, "assistant": response}
        )
    elif shape.format == "self-instruct":
        row[shape.instruction] = instruction
        row[shape.response][0]["output"] = response
    else:
        replace_columns(row, shape, instruction, response)
    return row


def replace_columns(row: dict[str, Any], shape: Shape, instruction: str, response: str) -> None:
    """Question and answer in columns; either may be messages."""
    answer, question = row[shape.response], row[shape.instruction]
    if is_messages(answer) and conversation(answer)[0].role == "user":
        row[shape.response] = with_texts(answer, {"user": instruction, "assistant": response})
        return
    row[shape.response] = (
        with_texts(answer, {"assistant": response}) if is_messages(answer) else response
    )
    row[shape.instruction] = (
        with_texts(question, {"user": instruction}) if is_messages(question) else instruction
    )


def with_texts(value: Any, texts: dict[str, str]) -> Any:
    """Messages (a list, or its JSON) with another text in the last answer, and in the last question
    before it.
    """
    messages = list(loaded(value, "the conversation") if isinstance(value, str) else value)
    turns, end = conversation(messages), len(messages)
    for role in ("assistant", "user"):
        if role in texts:
            end = last_of(turns[:end], role)
            messages[end] = with_text(messages[end], texts[role])
    return orjson.dumps(messages).decode() if isinstance(value, str) else messages


def last_of(turns: Sequence[Turn], role: str) -> int:
    """The number of the last turn of a role that says something."""
    found = [number for number, turn in enumerate(turns) if turn.role == role and turn.text.strip()]
    if not found:
        raise Unusable(f"no {role} turn to rewrite", failure=False)
    return found[-1]


def with_text(message: Any, text: str) -> Any:
    """A message with another text, in the form of the old one."""
    if isinstance(message, str):
        return text
    key = next((name for name in CONTENTS if message.get(name)), "")
    if not key:
        raise Unusable("its answer is a call of a tool", failure=False)
    return {
        **message,
        key: [{"type": "text", "text": text}] if isinstance(message[key], list) else text,
    }
