"""The values of a raw row -> the turns of a conversation.

Messages are {role, content} or {from, value}, in any of the usual names of roles; a list of texts
takes turns, the user first; `history` is a list of [question, answer]. A tool's output is a system
turn. What it does not know: pictures and sounds (a message with other parts than text makes the row
a reject), and trees of alternative answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import orjson

from tacos.methods.samples.row_layout import SPEAKERS, Row, RowLayout, UnusableRow, is_message
from tacos.records import Turn

Role = Literal["system", "user", "assistant"]

ROLES: dict[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "gpt4", "gpt-4", "model", "bot", "bard", "bing", "ai"),
        "assistant",
    ),
    **dict.fromkeys(("function_call", "function-call", "tool_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
TOOLS = (
    "tool",
    "function",
    "observation",
    "ipython",
    "function_response",
    "function-response",
    "tool_response",
)
TEXT_PARTS = ("text", "input_text", "output_text")
NO_INPUT = frozenset(
    {"noinput", "noinputrequired", "noinputneeded", "na", "notapplicable", "none", "null"}
)
NO_INPUT_ZH = frozenset({"无输入", "没有输入", "无需输入", "不适用"})
"""What people write into an input column to say that there is none (letters alone)."""


def read_turns(row: Row, shape: RowLayout) -> list[Turn]:
    """Every turn of a row, in order. Raises `UnusableRow` for values of another type than the shape
    asks for.
    """
    system = cell_to_text(row[shape.system], shape.system) if shape.system else ""
    turns = [Turn("system", system)] if system.strip() else []
    if shape.format == "conversation":
        return turns + read_conversation(row[shape.instruction])
    if shape.format == "self-instruct":
        return turns + _read_instance_turns(row, shape)
    if shape.history:
        turns += _read_history(row[shape.history])
    return turns + _read_exchange(row, shape)


def _read_exchange(row: Row, shape: RowLayout) -> list[Turn]:
    """Question and answer from columns; either may be messages (TRL's prompt and completion, or
    `chosen`).
    """
    instruction, response = row[shape.instruction], row[shape.response]
    answer = (
        read_conversation(response)
        if is_message_list(response)
        else [Turn("assistant", cell_to_text(response, shape.response))]
    )
    if answer[0].role == "user":
        return answer  # the whole conversation, its question included
    if is_message_list(instruction):
        return read_conversation(instruction) + answer
    context = row[shape.input] if shape.input else ""
    return [
        Turn(
            "user",
            _append_input(cell_to_text(instruction, shape.instruction), context, shape.input),
        ),
        *answer,
    ]


def is_message_list(value: Any) -> bool:
    """Whether a value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and is_message(value[0])
    )


def _read_instance_turns(row: Row, shape: RowLayout) -> list[Turn]:
    """The first instance of a self-instruct task: one row in is one row out."""
    instances = row[shape.response]
    if not isinstance(instances, list) or not all(isinstance(each, dict) for each in instances):
        raise UnusableRow("instances is not a list of objects")
    if not instances:
        raise UnusableRow("no answer", failure=False)
    first = instances[0]
    asked = _append_input(
        cell_to_text(row[shape.instruction], shape.instruction), first.get("input"), "input"
    )
    return [Turn("user", asked), Turn("assistant", cell_to_text(first.get("output"), "output"))]


def _append_input(instruction: str, context: Any, column: str) -> str:
    """Instruction, blank line, input; inputs that only say that there is none are left out.

    >>> _append_input("Name a fruit.", "<noinput>", "input")
    'Name a fruit.'
    """
    text = cell_to_text(context, column)
    if not text.strip() or says_no_input(text):
        return instruction
    return f"{instruction}\n\n{text}" if instruction.strip() else text


def says_no_input(text: str) -> bool:
    """Whether an input only says that there is no input."""
    if len(text) > 40:
        return False
    letters = re.sub(r"&\w+;|[\W_]", "", text).lower()
    return letters in NO_INPUT or letters in NO_INPUT_ZH


def cell_to_text(value: Any, column: str) -> str:
    """The text of a cell or of a message ("" for null); `UnusableRow` for another type."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(_part_to_text(part, column) for part in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnusableRow(f"{column} is {type(value).__name__}, not text")
    return str(value)


def _part_to_text(part: Any, column: str) -> str:
    """The text of one part of a message."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise UnusableRow(f"{column} is a list of {type(part).__name__}, not text")
    kind, text = part.get("type", "text"), part.get("text")
    if kind not in TEXT_PARTS or not isinstance(text, str):
        raise UnusableRow(f"{column} has a part that is no text: {str(kind)[:40]}", failure=False)
    return text


def _read_history(history: Any) -> list[Turn]:
    """Turns of `history`: pairs of question and answer, or messages."""
    past = (
        load_json_cell(history, "history")
        if isinstance(history, str) and history.strip()
        else history
    )
    if not past:
        return []
    if not isinstance(past, list | tuple):
        raise UnusableRow("history is not a list")
    if all(isinstance(pair, dict) for pair in past):
        return read_conversation(past)
    turns: list[Turn] = []
    for pair in past:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise UnusableRow("history is not a list of pairs")
        turns += [
            Turn("user", cell_to_text(pair[0], "history")),
            Turn("assistant", cell_to_text(pair[1], "history")),
        ]
    return turns


def read_conversation(value: Any) -> list[Turn]:
    """Turns of a list of messages, or of texts that take turns, the user first; both also as JSON."""
    messages = load_json_cell(value, "the conversation") if isinstance(value, str) else value
    if not isinstance(messages, list | tuple):
        raise UnusableRow("the conversation is not a list")
    roles: tuple[Role, Role] = ("user", "assistant")
    return [
        Turn(roles[number % 2], message) if isinstance(message, str) else _message_to_turn(message)
        for number, message in enumerate(messages)
    ]


def load_json_cell(text: str, name: str) -> Any:
    """The value of a cell that holds JSON."""
    try:
        return orjson.loads(text)
    except ValueError:
        raise UnusableRow(f"{name} is not JSON") from None


def _message_to_turn(message: Any) -> Turn:
    """One message as a turn."""
    if not isinstance(message, dict):
        raise UnusableRow(f"a message is {type(message).__name__}, not an object")
    name = next((message[key] for key in SPEAKERS if key in message), None)
    content = message.get("content", message.get("value", message.get("text")))
    text = cell_to_text(content, "content") or _render_tool_calls(message)
    key = name.lower() if isinstance(name, str) else ""
    if key in TOOLS:
        return Turn("system", f"Tool: {text}")
    if key not in ROLES:
        raise UnusableRow(f"unknown role {str(name)[:40]!r}")
    return Turn(ROLES[key], text)


def _render_tool_calls(message: dict[str, Any]) -> str:
    """The calls of tools that a message makes, as JSON, or ""."""
    calls = message.get("tool_calls") or message.get("function_call")
    return orjson.dumps(calls, default=str).decode() if calls else ""


def keep_answered_turns(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns up to the last answer, empty ones left out.

    Raises `UnusableRow`, as no failure, without a question or an answer, or where the last ones are
    empty.
    """
    last = max(
        (number for number, turn in enumerate(turns) if turn.role == "assistant"), default=-1
    )
    if last < 0:
        raise UnusableRow("no answer" if turns else "empty conversation", failure=False)
    if not turns[last].text.strip():
        raise UnusableRow("empty response", failure=False)
    asked = [turn for turn in turns[:last] if turn.role == "user"]
    if not asked or not asked[-1].text.strip():
        raise UnusableRow("empty instruction", failure=False)
    return tuple(turn for turn in turns[: last + 1] if turn.text.strip())
