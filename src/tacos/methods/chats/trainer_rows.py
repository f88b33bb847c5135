"""Chats as the rows that trainers read: the fields of each format, and nothing else.

A chat that a format cannot say, or that its trainer would leave out or train otherwise than the
row asks, raises `UnusableRow`: it is left out here, where it is counted and its reason is kept.
Arguments of calls are JSON in a text: as objects, the loaders of `datasets` would give every call
the keys of all the others.

Source: TRL's docs/source/dataset_formats.md, LLaMA-Factory's data/README.md and
src/llamafactory/data/converter.py, Axolotl's src/axolotl/utils/schemas/datasets.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import orjson

from tacos.methods.chats.chat import Chat, ChatMessage
from tacos.methods.samples.cells import UnusableRow, render_json

Layout = Literal["prompt-completion", "messages", "alpaca", "sharegpt", "tagged"]
TrainerRow = dict[str, Any]

SHAREGPT_NAMES = {
    "system": "system",
    "user": "human",
    "assistant": "gpt",
    "tool": "observation",
}
TAGGED_NAMES = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "observation",
}
"""Roles of LLaMA-Factory, as the tags in its `dataset_info.json` name them."""
CALL_NAME = "function_call"
RESULT_SEPARATOR = "\n</tool_response>\n<tool_response>\n"
"""Joins results of calls made at once, as LLaMA-Factory's own reader of messages joins them."""
UNREADABLE_TOOL = "a tool whose declaration LLaMA-Factory cannot read"
UNTRAINED = "an answer of weight 0 before the last one, which this format cannot say"


def choose_trl_layout(chats: Iterable[Chat]) -> Layout:
    """Prompt and completion where every chat trains on its last answer alone, else messages."""
    for chat in chats:
        if chat.n_trained != 1 or not chat.messages[-1].is_trained:
            return "messages"
    return "prompt-completion"


def choose_llama_factory_layout(chats: Iterable[Chat]) -> Layout:
    """Columns where every row came with columns and can be written so, else tagged messages."""
    for chat in chats:
        if not chat.is_table or chat.tools:
            return "tagged"
    return "alpaca"


def build_prompt_completion_row(chat: Chat) -> TrainerRow:
    """TRL: {prompt: messages, completion: [the answer]}; only the answer is trained on."""
    messages = [_build_message(message) for message in chat.messages]
    row = {
        "prompt": messages[:-1],
        "completion": messages[-1:],
    }
    return row | _build_tools_text(chat)


def build_trl_messages_row(chat: Chat) -> TrainerRow:
    """TRL: {messages}, for `assistant_only_loss`."""
    _refuse_untrained(chat)
    messages = [_build_message(message) for message in chat.messages]
    return {"messages": messages} | _build_tools_text(chat)


def build_messages_row(chat: Chat) -> TrainerRow:
    """OpenAI's {messages, tools}; `weight` where some answers are not trained on."""
    n_answers = sum(message.role == "assistant" for message in chat.messages)
    has_weights = chat.n_trained < n_answers
    messages = []
    for message in chat.messages:
        built = _build_message(message)
        if has_weights and message.role == "assistant":
            built["weight"] = int(message.is_trained)
        messages.append(built)
    row: TrainerRow = {"messages": messages}
    if chat.tools:
        row["tools"] = [dict(tool) for tool in chat.tools]
    return row


def build_axolotl_row(chat: Chat, with_training: bool) -> TrainerRow:
    """Axolotl's {messages, tools}; each message says whether it is trained on, if asked."""
    messages = []
    for message in chat.messages:
        built = _build_message(message)
        if with_training:
            built["train"] = message.role == "assistant" and message.is_trained
        messages.append(built)
    row: TrainerRow = {"messages": messages}
    if chat.tools:
        row["tools"] = [_declare_tool(tool) for tool in chat.tools]
    return row


def build_alpaca_row(chat: Chat, with_history: bool) -> TrainerRow:
    """{instruction, input, output}, and {system, history} if asked.

    `history` holds the earlier questions with their answers.
    """
    _refuse_untrained(chat)
    if chat.tools or any(
        message.calls or message.role == "tool" for message in chat.messages
    ):
        raise _refuse("calls of tools, which columns cannot say")
    system, turns = _split_system(chat.messages)
    _check_alternation(turns)
    texts = [message.content for message in turns]
    row: TrainerRow = {
        "instruction": chat.instruction,
        "input": chat.input,
        "output": texts[-1],
    }
    if with_history:
        row["system"] = system
        row["history"] = [
            list(pair) for pair in zip(texts[:-2:2], texts[1:-2:2], strict=True)
        ]
    return row


def needs_history(chat: Chat) -> bool:
    """Whether a chat is more than one question and its answer."""
    return len(chat.messages) > 2 or chat.messages[0].role != "user"


def build_sharegpt_row(chat: Chat) -> TrainerRow:
    """ShareGPT's {conversations: [{from, value}], tools}, calls as `function_call`."""
    _refuse_untrained(chat)
    conversations = []
    for message in chat.messages:
        name, text = _name_message(message, SHAREGPT_NAMES)
        conversations.append({"from": name, "value": text})
    return {"conversations": conversations} | _build_tools_text(chat)


def build_tagged_row(chat: Chat) -> TrainerRow:
    """LLaMA-Factory's {messages: [{role, content}], tools} with its own roles.

    Its reader leaves out chats whose sides do not take turns, so they are refused here. Results of
    calls that were made at once become one message.
    """
    _refuse_untrained(chat)
    system, turns = _split_system(chat.messages)
    messages = [] if not system else [{"role": "system", "content": system}]
    merged = _merge_results(turns)
    _check_alternation(merged)
    for message in merged:
        role, text = _name_message(message, TAGGED_NAMES)
        messages.append({"role": role, "content": text})
    row: TrainerRow = {"messages": messages}
    if chat.tools:
        row["tools"] = render_json([_complete_tool(tool) for tool in chat.tools])
    return row


def fill_missing_fields(row: TrainerRow, names: Iterable[str]) -> TrainerRow:
    """The row with all these fields, so that a loader finds the same columns in every one.

    A missing field is null: TRL reads an empty text as JSON, and fails.
    """
    missing = [name for name in names if name not in row]
    return {**row, **dict.fromkeys(missing)}


# Parts


def _build_message(message: ChatMessage) -> dict[str, Any]:
    """OpenAI's form of a message."""
    built: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name:
        built["name"] = message.name
    if message.call_id:
        built["tool_call_id"] = message.call_id
    if message.calls:
        built["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    return built


def _build_tools_text(chat: Chat) -> TrainerRow:
    """The declared tools as JSON, where there are any."""
    if not chat.tools:
        return {}
    return {"tools": render_json(chat.tools)}


def _declare_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as Axolotl reads it: an object whose parameters are JSON in a text."""
    function = tool.get("function")
    declared = dict(function if isinstance(function, Mapping) else tool)
    if "parameters" in declared:
        parameters = declared["parameters"]
        declared["parameters"] = render_json(parameters)
    return {"type": "function", "function": declared}


def _complete_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as LLaMA-Factory reads it: its reader stops at one without declared parameters.

    Raises `UnusableRow` for one at which it stops all the same.
    """
    function = tool.get("function")
    is_wrapped = isinstance(function, Mapping)
    declared = dict(function) if isinstance(function, Mapping) else dict(tool)
    parameters = declared.get("parameters") or {}
    if not declared.get("name") or not isinstance(parameters, Mapping):
        raise _refuse(UNREADABLE_TOOL)
    complete = {"type": "object", **parameters}
    complete["properties"] = parameters.get("properties") or {}
    _check_parameters(complete)
    declared["parameters"] = complete
    return {**tool, "function": declared} if is_wrapped else declared


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise `UnusableRow` for parameters at which LLaMA-Factory's reader of tools stops."""
    properties = parameters["properties"]
    is_readable = isinstance(properties, Mapping) and isinstance(
        parameters.get("required", []), list
    )
    if not is_readable:
        raise _refuse(UNREADABLE_TOOL)
    for declared in properties.values():
        if not isinstance(declared, Mapping):
            raise _refuse(UNREADABLE_TOOL)
        choices = declared.get("enum") or []
        items = declared.get("items") or {}
        has_texts = all(isinstance(choice, str) for choice in choices)
        if not has_texts or not isinstance(items, Mapping):
            raise _refuse(UNREADABLE_TOOL)


def _name_message(
    message: ChatMessage,
    names: Mapping[str, str],
) -> tuple[str, str]:
    """Role and text of a message that has no fields for calls."""
    if not message.calls:
        return names[message.role], message.content
    if message.content.strip():
        raise _refuse("a text and a call of a tool in one message")
    calls = [
        {"name": call.name, "arguments": _decode_arguments(call.arguments)}
        for call in message.calls
    ]
    value = calls[0] if len(calls) == 1 else calls
    return CALL_NAME, render_json(value)


def _decode_arguments(text: str) -> Any:
    """The arguments of a call as JSON, or the text itself."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def _split_system(messages: Sequence[ChatMessage]) -> tuple[str, list[ChatMessage]]:
    """The text of the system at the start ("" for none), and the other messages."""
    if messages[0].role == "system":
        return messages[0].content, list(messages[1:])
    return "", list(messages)


def _merge_results(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Messages in which results of several calls are one."""
    merged: list[ChatMessage] = []
    for message in messages:
        follows = bool(merged) and merged[-1].role == message.role == "tool"
        if follows:
            both = f"{merged[-1].content}{RESULT_SEPARATOR}{message.content}"
            merged[-1] = ChatMessage("tool", both)
        else:
            merged.append(message)
    return merged


def _check_alternation(messages: Sequence[ChatMessage]) -> None:
    """Raise `UnusableRow` unless questions (or results) and answers take turns."""
    for number, message in enumerate(messages):
        is_answer = message.role == "assistant"
        if message.role == "system":
            raise _refuse("a system message that is not the first message")
        if is_answer == (number % 2 == 0):
            raise _refuse("question and answer do not take turns")


def _refuse_untrained(chat: Chat) -> None:
    """Raise `UnusableRow` for an answer that a format would train on against its weight."""
    n_answers = sum(message.role == "assistant" for message in chat.messages)
    if chat.n_trained < n_answers:
        raise _refuse(UNTRAINED)


def _refuse(reason: str) -> UnusableRow:
    return UnusableRow(reason, failure=False)
