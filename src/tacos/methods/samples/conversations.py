"""Turns the values of a raw row into the turns of a conversation.

Messages are {role, content} or {from, value}, with any of the usual role names. In a list of texts
user and assistant alternate, the user first. `history` is a list of [question, answer]. The output
of a tool is a system turn.

Not supported: images and sound (a message with parts other than text makes the row a reject), and
trees of alternative answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import orjson

from tacos.methods.samples.row_layout import (
    SPEAKERS,
    Row,
    RowLayout,
    UnusableRow,
    is_message,
)
from tacos.records import Turn

Role = Literal["system", "user", "assistant"]

ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "gpt4": "assistant",
    "gpt-4": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "ai": "assistant",
    # A call of a tool is something the assistant says.
    "function_call": "assistant",
    "function-call": "assistant",
    "tool_call": "assistant",
    "system": "system",
    "developer": "system",
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
ALTERNATING_ROLES: tuple[Role, Role] = ("user", "assistant")
CONTENTS = (
    "content",
    "value",
    "text",
)
"""Fields of a message that may hold its text."""
TEXT_PARTS = (
    "text",
    "input_text",
    "output_text",
)

# What people write into an input column to say that there is no input; only letters are compared.
NO_INPUT = frozenset(
    {
        "noinput",
        "noinputrequired",
        "noinputneeded",
        "na",
        "notapplicable",
        "none",
        "null",
    }
)
NO_INPUT_ZH = frozenset(
    {
        "无输入",
        "没有输入",
        "无需输入",
        "不适用",
    }
)
MAX_NO_INPUT = 40
"""Longer inputs are never mere notes that there is no input."""
NOT_A_LETTER = re.compile(r"&\w+;|[\W_]")
N_SHOWN = 40
"""Characters of an unknown role or part that its reason quotes."""


# Rows


def read_turns(
    row: Row,
    shape: RowLayout,
) -> list[Turn]:
    """Every turn of a row, in order.

    Raises `UnusableRow` for values of another type than the layout expects.
    """
    turns: list[Turn] = []
    if shape.system:
        system = cell_to_text(row[shape.system], shape.system)
        if system.strip():
            turns.append(Turn("system", system))
    if shape.format == "conversation":
        turns += read_conversation(row[shape.instruction])
        return turns
    if shape.format == "self-instruct":
        turns += _read_instance_turns(row, shape)
        return turns
    if shape.history:
        turns += _read_history(row[shape.history])
    turns += _read_exchange(row, shape)
    return turns


def keep_answered_turns(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns up to the last answer, without empty ones.

    Raises `UnusableRow`, not counted as a failure, if there is no question or no answer, or if the
    last one of either is empty.
    """
    last_answer = -1
    for number, turn in enumerate(turns):
        if turn.role == "assistant":
            last_answer = number
    if last_answer < 0:
        reason = "no answer" if turns else "empty conversation"
        raise UnusableRow(reason, failure=False)
    if not turns[last_answer].text.strip():
        raise UnusableRow("empty response", failure=False)

    last_question = ""
    for turn in turns[:last_answer]:
        if turn.role == "user":
            last_question = turn.text
    if not last_question.strip():
        raise UnusableRow("empty instruction", failure=False)
    answered = turns[: last_answer + 1]
    return tuple(turn for turn in answered if turn.text.strip())


def _read_exchange(
    row: Row,
    shape: RowLayout,
) -> list[Turn]:
    """Question and answer from columns.

    Either column may hold messages, as in TRL's `prompt` and `completion`, or `chosen`.
    """
    instruction = row[shape.instruction]
    response = row[shape.response]
    if is_message_list(response):
        answer = read_conversation(response)
    else:
        text = cell_to_text(response, shape.response)
        answer = [Turn("assistant", text)]
    if answer[0].role == "user":
        # The column of the answer holds the whole conversation, including its question.
        return answer
    if is_message_list(instruction):
        return read_conversation(instruction) + answer
    question = cell_to_text(instruction, shape.instruction)
    if shape.input:
        question = _append_input(question, row[shape.input], shape.input)
    return [Turn("user", question), *answer]


def _read_instance_turns(
    row: Row,
    shape: RowLayout,
) -> list[Turn]:
    """The first instance of a self-instruct task: one input row gives one output row."""
    instances = row[shape.response]
    if instances is None:
        raise UnusableRow("no answer", failure=False)
    if not isinstance(instances, list):
        raise UnusableRow("instances is not a list of objects")
    if not all(isinstance(instance, dict) for instance in instances):
        raise UnusableRow("instances is not a list of objects")
    if not instances:
        raise UnusableRow("no answer", failure=False)
    first = instances[0]
    instruction = cell_to_text(row[shape.instruction], shape.instruction)
    question = _append_input(instruction, first.get("input"), "input")
    answer = cell_to_text(first.get("output"), "output")
    return [
        Turn("user", question),
        Turn("assistant", answer),
    ]


def _read_history(history: Any) -> list[Turn]:
    """The turns of `history`: pairs of question and answer, or messages."""
    if isinstance(history, str) and history.strip():
        history = load_json_cell(history, "history")
    if not history:
        return []
    if not isinstance(history, list | tuple):
        raise UnusableRow("history is not a list")
    if all(isinstance(message, dict) for message in history):
        return read_conversation(history)
    turns: list[Turn] = []
    for pair in history:
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2
        if not is_pair:
            raise UnusableRow("history is not a list of pairs")
        question = cell_to_text(pair[0], "history")
        answer = cell_to_text(pair[1], "history")
        turns += [
            Turn("user", question),
            Turn("assistant", answer),
        ]
    return turns


# Conversations


def read_conversation(value: Any) -> list[Turn]:
    """The turns of a list of messages or of alternating texts (the user first), or of its JSON.

    A cell without a value is an empty conversation.
    """
    if isinstance(value, str):
        value = load_json_cell(value.strip() or "null", "the conversation")
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise UnusableRow("the conversation is not a list")
    turns: list[Turn] = []
    for number, message in enumerate(value):
        if isinstance(message, str):
            role = ALTERNATING_ROLES[number % 2]
            turns.append(Turn(role, message))
        else:
            turns.append(_message_to_turn(message))
    return turns


def is_message_list(value: Any) -> bool:
    """Whether a value is a list of messages."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    return isinstance(first, dict) and is_message(first)


def _message_to_turn(message: Any) -> Turn:
    """One message as a turn."""
    if not isinstance(message, dict):
        type_name = type(message).__name__
        raise UnusableRow(f"a message is {type_name}, not an object")
    speaker = _get_first_field(message, SPEAKERS)
    content = _get_first_field(message, CONTENTS)
    text = cell_to_text(content, "content")
    if not text:
        text = _render_tool_calls(message)
    name = ""
    if isinstance(speaker, str):
        name = speaker.lower()
    if name in TOOLS:
        return Turn("system", f"Tool: {text}")
    if name not in ROLES:
        shown = str(speaker)[:N_SHOWN]
        raise UnusableRow(f"unknown role {shown!r}")
    return Turn(ROLES[name], text)


def _get_first_field(
    message: dict[str, Any],
    names: Sequence[str],
) -> Any:
    """The value of the first of the fields that a message has, or None."""
    for name in names:
        if name in message:
            return message[name]
    return None


def _render_tool_calls(message: dict[str, Any]) -> str:
    """The tool calls that a message makes, as JSON, or ""."""
    calls = message.get("tool_calls") or message.get("function_call")
    if not calls:
        return ""
    return orjson.dumps(calls, default=str).decode()


# Cells


def cell_to_text(
    value: Any,
    column: str,
) -> str:
    """The text of a cell or of a message, "" for null. Raises `UnusableRow` for other types."""
    # Nearly all cells of nearly all rows are strings, so the cheapest test comes first.
    if type(value) is str:
        return value
    if value is None:
        return ""
    # A message may be a list of parts, of which only texts can be used.
    if isinstance(value, list):
        parts = [_part_to_text(part, column) for part in value]
        return "\n".join(parts)
    # A bool is an int to isinstance(), but no text.
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        type_name = type(value).__name__
        raise UnusableRow(f"{column} is {type_name}, not text")
    return str(value)


def _part_to_text(
    part: Any,
    column: str,
) -> str:
    """The text of one part of a message."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        type_name = type(part).__name__
        raise UnusableRow(f"{column} is a list of {type_name}, not text")
    kind = part.get("type", "text")
    text = part.get("text")
    if kind in TEXT_PARTS and isinstance(text, str):
        return text
    shown = str(kind)[:N_SHOWN]
    raise UnusableRow(f"{column} has a part that is not text: {shown}", failure=False)


def load_json_cell(
    text: str,
    name: str,
) -> Any:
    """The value of a cell that holds JSON. Raises `UnusableRow` if it does not."""
    try:
        return orjson.loads(text)
    except ValueError:
        raise UnusableRow(f"{name} is not JSON") from None


def _append_input(
    instruction: str,
    context: Any,
    column: str,
) -> str:
    """Instruction, blank line, input; inputs that only say that there is none are left out.

    >>> _append_input("Name a fruit.", "<noinput>", "input")
    'Name a fruit.'
    """
    text = cell_to_text(context, column)
    if not text.strip() or says_no_input(text):
        return instruction
    if not instruction.strip():
        return text
    return f"{instruction}\n\n{text}"


def says_no_input(text: str) -> bool:
    """Whether an input only says that there is no input."""
    if len(text) > MAX_NO_INPUT:
        return False
    letters = NOT_A_LETTER.sub("", text).lower()
    return letters in NO_INPUT or letters in NO_INPUT_ZH
