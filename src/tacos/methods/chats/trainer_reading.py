"""Reads a written row as its trainer does: the messages that it makes of it, and which answers it
trains on.

The rules are the trainers' own (LLaMA-Factory's src/llamafactory/data/converter.py, TRL's
trl/trainer/sft_trainer.py, Axolotl's prompt_strategies/chat_template.py, and what OpenAI's cookbook
checks), written anew, so that they do not repeat a mistake of `tacos.methods.chats.trainer_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tacos.methods.chats.trainer_rows import Layout, TrainerRow

Message = dict[str, Any]

OPEN_ROLES = ("user", "observation", "tool")
ANSWER_ROLES = ("assistant", "function_call")
SHAREGPT_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "system": "system",
    "observation": "observation",
    "function_call": "function_call",
}
ALPACA_COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "system": "system",
    "history": "history",
}


class DroppedRow(Exception):
    """Why a trainer leaves a row out."""


@dataclass(frozen=True, slots=True)
class TrainerChat:
    """What a trainer makes of a row."""

    messages: tuple[Message, ...]
    """As chat templates read them."""
    tools: tuple[Mapping[str, Any], ...]
    is_trained: tuple[bool, ...]
    """For each answer, in order."""


def read_trainer_row(
    row: TrainerRow,
    layout: Layout,
    entry: Mapping[str, Any],
) -> TrainerChat:
    """The chat in a row; `entry` is that of `dataset_info.json`, empty for other trainers.

    Raises `DroppedRow`.
    """
    if layout == "prompt-completion":
        return _read_prompt_completion(row)
    if layout == "messages":
        return _read_messages(row)
    if layout == "alpaca":
        return _read_columns(row, entry.get("columns", ALPACA_COLUMNS))
    if layout == "sharegpt":
        turns = [
            (SHAREGPT_ROLES[turn["from"]], turn["value"])
            for turn in row["conversations"]
        ]
    else:
        turns = _read_tagged(row, entry)
    return _read_turns(turns, row.get("tools"))


def _read_prompt_completion(row: TrainerRow) -> TrainerChat:
    """TRL: the completion alone is trained on."""
    completion = row["completion"]
    if not completion:
        raise DroppedRow("the completion is empty")
    n_before = _count_answers(row["prompt"])
    n_after = _count_answers(completion)
    return TrainerChat(
        (*row["prompt"], *completion),
        _decode_tools(row.get("tools")),
        (False,) * n_before + (True,) * n_after,
    )


def _read_messages(row: TrainerRow) -> TrainerChat:
    """TRL, Axolotl and OpenAI: every answer that its row does not exclude is trained on."""
    messages = row["messages"]
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers or messages[-1]["role"] != "assistant":
        raise DroppedRow("the last message is no answer")
    for message in messages:
        if not message["content"] and not message.get("tool_calls"):
            raise DroppedRow("a message without content")
    is_trained = tuple(
        message.get("weight", 1) != 0 and message.get("train", True)
        for message in answers
    )
    if not any(is_trained):
        raise DroppedRow("no answer is trained on")
    return TrainerChat(
        tuple(messages),
        _decode_tools(row.get("tools")),
        is_trained,
    )


def _read_columns(row: TrainerRow, columns: Mapping[str, str]) -> TrainerChat:
    """LLaMA-Factory: a column that is not named is not read."""

    def get(name: str) -> Any:
        column = columns.get(name)
        return row.get(column) if column else None

    turns: list[tuple[str, str]] = []
    if get("system"):
        turns.append(("system", get("system")))
    for question, answer in get("history") or []:
        turns.append(("user", question))
        turns.append(("assistant", answer))
    question = [text for text in (get("prompt"), get("query")) if text]
    turns.append(("user", "\n".join(question)))
    if not isinstance(get("response"), str):
        raise DroppedRow("the response is no text")
    turns.append(("assistant", get("response")))
    return _read_turns(turns, None)


def _read_tagged(row: TrainerRow, entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """LLaMA-Factory: role and text, by the tags of the entry."""
    tags = entry["tags"]
    roles = {
        tags["user_tag"]: "user",
        tags["assistant_tag"]: "assistant",
        tags["observation_tag"]: "observation",
        tags["function_tag"]: "function_call",
        tags["system_tag"]: "system",
    }
    turns = []
    for message in row[entry["columns"]["messages"]]:
        role = message[tags["role_tag"]]
        if role not in roles:
            raise DroppedRow(f"unknown role {role!r}")
        turns.append((roles[role], message[tags["content_tag"]]))
    return turns


def _read_turns(turns: Sequence[tuple[str, str]], tools: Any) -> TrainerChat:
    """Turns as messages, if LLaMA-Factory keeps them: sides take turns, the last is an answer."""
    own = turns[1:] if turns and turns[0][0] == "system" else turns
    for number, (role, _) in enumerate(own):
        if role not in (ANSWER_ROLES if number % 2 else OPEN_ROLES):
            raise DroppedRow("question and answer do not take turns")
    if not own or len(own) % 2:
        raise DroppedRow("the last message is no answer")
    messages = [_build_message(role, text) for role, text in turns]
    return TrainerChat(
        tuple(messages),
        _decode_tools(tools),
        (True,) * (len(own) // 2),
    )


def _build_message(role: str, text: str) -> Message:
    """A message as templates read it."""
    if role == "observation":
        return {"role": "tool", "content": text}
    if role != "function_call":
        return {"role": role, "content": text}
    value = orjson.loads(text)
    calls = value if isinstance(value, list) else [value]
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": call} for call in calls],
    }


def _count_answers(messages: Sequence[Message]) -> int:
    return sum(message["role"] == "assistant" for message in messages)


def _decode_tools(tools: Any) -> tuple[Mapping[str, Any], ...]:
    """The declared tools, which may be JSON in a text."""
    if isinstance(tools, str):
        tools = orjson.loads(tools)
    return tuple(_decode_parameters(tool) for tool in tools or ())


def _decode_parameters(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A declared tool; Axolotl takes parameters as JSON in a text."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return tool
    parameters = function.get("parameters")
    if not isinstance(parameters, str):
        return tool
    return {**tool, "function": {**function, "parameters": orjson.loads(parameters)}}
