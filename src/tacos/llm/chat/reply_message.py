"""What the message of a reply says: the answer, a refusal, the reasoning. Pure.

Answers come as a text, as parts, as the arguments of a call of a function that nobody offered, and
by mistake as the reasoning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Keys of a message under which servers put what the model thought."""
REASONING_PARTS = frozenset({"reasoning", "thinking", "redacted_thinking"})
"""Types of a content's parts that are no answer."""


def read_answer_text(message: dict[str, Any]) -> str:
    """The answer: the content, or else the arguments of a call."""
    answer_parts = [
        part
        for part in _list_parts(message.get("content"))
        if _type_of(part) not in REASONING_PARTS
    ]
    text = _join_texts(answer_parts)
    return text or _read_call(message) or _read_call_part(answer_parts)


def read_refusal(message: dict[str, Any]) -> str:
    """Why the model refuses, "" where it does not."""
    refusal = message.get("refusal")
    if refusal:
        return str(refusal)
    parts = _list_parts(message.get("content"))
    texts = [part.get("refusal") for part in parts if isinstance(part, dict)]
    return "".join(str(text) for text in texts if text)


def read_reasoning(message: dict[str, Any]) -> str:
    """What the model thought, where it is kept apart from the content; "" for nothing."""
    for key in REASONING:
        text = _join_texts(_list_parts(message.get(key)))
        if text:
            return text
    parts = _list_parts(message.get("content"))
    return _join_texts(part for part in parts if _type_of(part) in REASONING_PARTS)


def _list_parts(content: Any) -> list[Any]:
    """A content as a list of parts, whatever its shape."""
    if content is None:
        return []
    return content if isinstance(content, list) else [content]


def _type_of(part: Any) -> str:
    return str(part.get("type") or "") if isinstance(part, dict) else ""


def _join_texts(parts: Any) -> str:
    """The texts of parts, one after another."""
    return "".join(_read_part(part) for part in parts)


def _read_part(part: Any) -> str:
    """The text of one part; an object that is no part is an answer that was parsed already."""
    if not isinstance(part, dict):
        return "" if part is None else str(part)
    is_part = "type" in part or "text" in part
    if not is_part:
        return orjson.dumps(part).decode()
    for key in ("text", "content", "thinking", "summary"):
        inner = part.get(key)
        if isinstance(inner, dict):
            inner = inner.get("value") or inner.get("text")
        text = _join_texts(_list_parts(inner))
        if text:
            return text
    return ""


def _read_call(message: dict[str, Any]) -> str:
    """The arguments of a call, which some models make instead of answering (no tool was offered);
    where there are several, of each.
    """
    texts = [
        _read_arguments(function.get("arguments")) for function in _list_calls(message)
    ]
    return "\n".join(texts)


def _list_calls(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The functions that a message calls."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield function
    # The older form of a call.
    function = message.get("function_call")
    if isinstance(function, dict):
        yield function


def _read_arguments(arguments: Any) -> str:
    """A call's arguments: JSON as a text, or the value itself."""
    if isinstance(arguments, str):
        return arguments
    if isinstance(arguments, dict):
        return orjson.dumps(arguments).decode()
    return _join_texts(_list_parts(arguments))


def _read_call_part(parts: list[Any]) -> str:
    """The input of a call that is a part of the content."""
    for part in parts:
        if _type_of(part) == "tool_use" and isinstance(part.get("input"), dict):
            return orjson.dumps(part["input"]).decode()
    return ""
