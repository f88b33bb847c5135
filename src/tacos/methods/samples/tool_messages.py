"""Renders what tools are asked and what they return.

Most data sets have a tool's output as the content of its message, some in a field of its own, such
as `output`. ChatGLM3's have the call in the same message, as `name` and `parameters`, with the
output as `observation`. Tables have a column for calls in every message, most of them empty: null,
`[]`, or their text.
"""

from __future__ import annotations

from typing import Any

from tacos.methods.samples.cells import (
    UnusableRow,
    content_to_text,
    is_blank,
    is_empty,
    render_json,
)
from tacos.methods.samples.message_fields import CALL_TYPES, Message

TOOL_MARK = "Tool: "
"""How the turn of a tool begins, whose role is system."""
OUTPUTS = (
    "observation",
    "output",
    "result",
    "response",
)
"""Fields of a tool's message, beside its content, that may hold what it returned."""
CALL_FIELDS = (
    "name",
    "arguments",
)
"""What an item says that is a call itself."""
CALLS = (
    "tool_calls",
    "function_call",
    "function_calls",
    "tool_call",
)
"""Fields of a message that hold the calls it makes."""


def render_tool_output(message: Message, content: Any) -> str:
    """What a tool returned, after its name and parameters where the message has them.

    >>> render_tool_output({"role": "tool", "name": "f", "result": [1, 2]}, None)
    '[1,2]'
    """
    output = next((message[name] for name in OUTPUTS if _has(message, name)), None)
    call = ""
    if _has(message, "parameters"):
        name = message.get("name") or ""
        parameters = _render_value(message["parameters"])
        call = f"{name} {parameters}".strip()
    texts = [
        call,
        _render_value(content),
        _render_value(output),
    ]
    given = [text for text in texts if text]
    return "\n".join(given)


def get_tool_calls(message: Message) -> Any:
    """The tool calls that a message makes, or their JSON; None if it makes none.

    >>> get_tool_calls({"tool_calls": "[]", "function_call": {"name": "f"}})
    {'name': 'f'}
    """
    if message.get("type") in CALL_TYPES and "name" in message:
        return {name: message[name] for name in CALL_FIELDS if name in message}
    for name in CALLS:
        calls = message.get(name)
        if not is_empty(calls):
            return calls
    return None


def render_tool_calls(message: Message) -> str:
    """The tool calls that a message makes, as JSON, or ""."""
    calls = get_tool_calls(message)
    if calls is None or isinstance(calls, str):
        return calls or ""
    return render_json(calls)


def _has(message: Message, name: str) -> bool:
    """Whether a message says something in a field."""
    return not is_blank(message.get(name))


def _render_value(value: Any) -> str:
    """A text, the texts of parts, or JSON for everything else."""
    if is_blank(value):
        return ""
    if isinstance(value, str):
        return value
    try:
        return content_to_text(value)
    except UnusableRow:
        return render_json(value)
