"""Reads one row as a chat for training.

A sample (`tacos.methods.samples.sample_parsing`) is what tags and judges read: what tools return is
text of the system there. A chat keeps what a trainer needs besides: who is a tool, what calls it
answers, which answers are not to be trained on, and instruction and input apart. Both are read by
the same code, so a row has the same turns in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from tacos.config import IngestSettings
from tacos.methods.samples.cells import (
    UnusableRow,
    content_to_text,
    is_empty,
    is_missing,
    join_instruction_and_input,
    render_json,
    says_nothing,
)
from tacos.methods.samples.conversations import (
    keep_answered_turns,
    read_input,
    read_turns,
)
from tacos.methods.samples.message_fields import CONTENTS, SPEAKERS
from tacos.methods.samples.messages import PlacedTurn, list_messages, place_turns
from tacos.methods.samples.roles import Role, Roles, resolve_role
from tacos.methods.samples.row_layout import choose_row_layout, holds_messages
from tacos.methods.samples.table_layout import Row, RowLayout
from tacos.methods.samples.tool_messages import TOOL_MARK, get_tool_calls
from tacos.methods.samples.training_marks import refuse_bad_answer
from tacos.records import Turn

REASONINGS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message, beside its content, with the reasoning before an answer."""
TOOLS = ("tools", "functions")
"""Columns that declare the tools that the assistant may call."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; `arguments` is JSON."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message; only an answer has calls, and only an answer may be left untrained."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    name: str = ""
    call_id: str = ""
    """The call that a tool's message answers."""
    is_trained: bool = True
    has_reasoning: bool = False
    """Whether the row has reasoning for it in a field of its own, which is not read."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A row as messages, the last of which is an answer."""

    id: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    """The declarations of the tools."""
    instruction: str = ""
    input: str = ""
    """The last question in its two parts, as the row has them; `input` may be empty."""
    is_table: bool = False
    """Whether the row holds its question and its answer in columns, and no list of messages."""

    @property
    def n_reasoned(self) -> int:
        """Answers whose reasoning is in a field of its own."""
        return sum(message.has_reasoning for message in self.messages)

    @property
    def n_trained(self) -> int:
        """Answers to train on."""
        answers = [message for message in self.messages if message.role == "assistant"]
        return sum(answer.is_trained for answer in answers)


def read_chat(
    row: Row,
    id: str,
    settings: IngestSettings,
) -> Chat:
    """The chat that a row holds, up to its last answer.

    >>> chat = read_chat({"instruction": "Add.", "input": "1 and 2", "output": "3"}, "x:0",
    ...                  IngestSettings())
    >>> [message.content for message in chat.messages], chat.input
    (['Add.\\n\\n1 and 2', '3'], '1 and 2')

    Raises `UnusableRow` with the reason for which ingesting rejects the row.
    """
    layout = choose_row_layout(row, settings)
    refuse_bad_answer(row, layout, settings)
    turns = read_turns(row, layout, settings.roles)
    answered = keep_answered_turns(turns)
    messages = [ChatMessage(turn.role, turn.text) for turn in turns]
    has_list = False
    for placed in _iterate_message_lists(row, layout, settings.roles):
        has_list = True
        _restore_messages(messages, turns, *placed, settings.roles)
    kept = [
        message
        for message, turn in zip(messages, turns, strict=True)
        if turn.text.strip()
    ][: len(answered)]
    instruction, context = _split_question(row, layout, kept)
    return Chat(
        id,
        tuple(kept),
        _read_tools(row),
        instruction,
        context,
        is_table=not has_list and layout.format != "conversation",
    )


# Messages


def _iterate_message_lists(
    row: Row,
    layout: RowLayout,
    roles: Roles,
) -> Iterator[tuple[list[PlacedTurn], Sequence[Any]]]:
    """The turns and the messages of each column that holds a list of messages."""
    for column in (layout.instruction, layout.response):
        value = row.get(column) if column else None
        if isinstance(value, Mapping) and isinstance(value.get("messages"), list):
            value = value["messages"]
        # In a column of questions or answers, a text is a text, whatever it looks like.
        is_text = isinstance(value, str) and layout.format != "conversation"
        if is_text or layout.format == "tree" or not holds_messages(value):
            continue
        placed = place_turns(value, roles)
        # The answer of a preference stands in the place of the last one.
        while (
            layout.is_preference
            and column != layout.response
            and _ends_with_answer(placed)
        ):
            placed.pop()
        yield placed, list_messages(value, roles)


def _ends_with_answer(placed: Sequence[PlacedTurn]) -> bool:
    """Whether the last turn is an answer."""
    return bool(placed) and placed[-1].turn.role == "assistant"


def _restore_messages(
    messages: list[ChatMessage],
    turns: Sequence[Turn],
    placed: Sequence[PlacedTurn],
    values: Sequence[Any],
    roles: Roles,
) -> None:
    """Put into `messages` what turns do not say, for the turns of one column."""
    own = [place.turn for place in placed]
    for start in range(len(turns) - len(own) + 1):
        if list(turns[start : start + len(own)]) != own:
            continue
        for number, place in enumerate(placed, start):
            value = values[place.number]
            if isinstance(value, Mapping):
                messages[number] = _restore_message(place, value, roles)
        return


def _restore_message(
    place: PlacedTurn,
    value: Mapping[str, Any],
    roles: Roles,
) -> ChatMessage:
    """A message with its role, its calls and its weight."""
    turn = place.turn
    message = ChatMessage(
        turn.role,
        turn.text,
        is_trained=place.is_trained,
    )
    speaker = _get_speaker(value)
    if speaker is None:
        return message
    name = value.get("name")
    if turn.role == "system" and resolve_role(speaker, roles) == "tool":
        return replace(
            message,
            role="tool",
            content=turn.text.removeprefix(TOOL_MARK),
            name=name if isinstance(name, str) else "",
            call_id=str(value.get("tool_call_id") or ""),
        )
    if turn.role != "assistant":
        return message
    message = replace(
        message,
        has_reasoning=any(not is_empty(value.get(field)) for field in REASONINGS),
    )
    calls = _read_calls(value)
    if calls:
        content = content_to_text(_get_content(value))
        return replace(message, content=content, calls=calls)
    if speaker.strip().lower() in ("function_call", "tool_call"):
        # The calls are the content: ShareGPT and LLaMA-Factory.
        calls = _parse_calls(turn.text)
        if calls:
            return replace(message, content="", calls=calls)
    return message


def _get_speaker(value: Mapping[str, Any]) -> str | None:
    """The name of a message's speaker, None if it has none."""
    for field in SPEAKERS:
        speaker = value.get(field)
        if isinstance(speaker, Mapping):
            speaker = speaker.get("role")
        if isinstance(speaker, str) and speaker:
            return speaker
    return None


def _get_content(value: Mapping[str, Any]) -> Any:
    """The first content of a message that is not empty."""
    for field in CONTENTS:
        if value.get(field):
            return value[field]
    return None


# Tools


def _read_calls(value: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """The calls in the fields of a message, none if they are not in a known form."""
    calls = get_tool_calls(value)
    if isinstance(calls, str):
        return _parse_calls(calls)
    return _list_calls(calls) if calls else ()


def _parse_calls(text: str) -> tuple[ToolCall, ...]:
    """The calls in a text of JSON, none if it is something else."""
    try:
        return _list_calls(orjson.loads(text))
    except ValueError:
        return ()


def _list_calls(value: Any) -> tuple[ToolCall, ...]:
    """One call or a list of calls; none if one of them has no name."""
    items = value if isinstance(value, list | tuple) else [value]
    calls = []
    for item in items:
        if not isinstance(item, Mapping):
            return ()
        function = item.get("function", item)
        if not isinstance(function, Mapping) or not function.get("name"):
            return ()
        arguments = function.get("arguments", function.get("parameters"))
        if not isinstance(arguments, str):
            arguments = render_json({} if is_missing(arguments) else arguments)
        call = ToolCall(
            str(function["name"]),
            arguments,
            str(item.get("id") or ""),
        )
        calls.append(call)
    return tuple(calls)


def _read_tools(row: Row) -> tuple[Mapping[str, Any], ...]:
    """The tools that a row declares. Raises `UnusableRow` if they are no list of objects."""
    for column in TOOLS:
        value: Any = row.get(column)
        if is_empty(value):
            continue
        if isinstance(value, str):
            try:
                value = orjson.loads(value)
            except ValueError:
                raise UnusableRow(f"{column} is not JSON") from None
        if isinstance(value, Mapping):
            value = [value]
        is_list = isinstance(value, list | tuple)
        if not is_list or not all(isinstance(tool, Mapping) for tool in value):
            raise UnusableRow(f"{column} is not a list of objects")
        return tuple(_read_tool(tool) for tool in value)
    return ()


def _read_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """The declaration of a tool, its parameters as an object where they are JSON in a text."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return tool
    parameters = function.get("parameters")
    if not isinstance(parameters, str):
        return tool
    try:
        decoded = orjson.loads(parameters)
    except ValueError:
        return tool
    return {**tool, "function": {**function, "parameters": decoded}}


# Instruction and input


def _split_question(
    row: Row,
    layout: RowLayout,
    messages: Sequence[ChatMessage],
) -> tuple[str, str]:
    """The last question as instruction and input; ("question", "") where the row has no input."""
    questions = [message.content for message in messages if message.role == "user"]
    question = questions[-1]
    if layout.format != "columns":
        return question, ""
    context = read_input(row, layout)
    value = row[layout.instruction]
    if not context or not isinstance(value, str):
        return question, ""
    joined = join_instruction_and_input(value, context, layout.input)
    # A dialogue in the instruction's column, or an instruction that says that there is none.
    if joined != question or says_nothing(value):
        return question, ""
    return value, context
