"""Renders what tools are asked and what they return.

Most data sets have a tool's output as the content of its message. ChatGLM3's have the call in the
same message, as `name` and `parameters`, and the output as `observation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tacos.methods.samples.cells import UnusableRow, content_to_text, is_missing

Message = Mapping[str, Any]

OBSERVATION = "observation"
CALLS = (
    "tool_calls",
    "function_call",
    "function_calls",
)
"""Fields of a message that hold the calls it makes."""


def render_tool_output(message: Message, content: Any) -> str:
    """What a tool returned, after its name and parameters where the message has them."""
    # The usual case: the output is the content.
    observation = message.get(OBSERVATION)
    if is_missing(observation):
        return _render_value(content)
    call = message.get("name") or ""
    parameters = message.get("parameters")
    if not is_missing(parameters):
        call = f"{call} {_render_value(parameters)}".strip()
    texts = [
        call,
        _render_value(content),
        _render_value(observation),
    ]
    given = [text for text in texts if text]
    return "\n".join(given)


def render_tool_calls(message: Message) -> str:
    """The tool calls that a message makes, as JSON, or ""."""
    for name in CALLS:
        calls = message.get(name)
        if isinstance(calls, str):
            return calls
        if calls:
            return orjson.dumps(calls, default=str).decode()
    return ""


def _render_value(value: Any) -> str:
    """A text, the texts of parts, or JSON for everything else."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    try:
        return content_to_text(value)
    except UnusableRow:
        return orjson.dumps(value, default=str).decode()
