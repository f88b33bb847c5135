"""The fields of a message by their usual names: who speaks, what is said, and the two sides of an
exchange.

Of two names for the same thing, the one that has a value counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.methods.samples.cells import is_missing
from tacos.methods.samples.column_names import normalise_name
from tacos.methods.samples.roles import TurnRole, find_role

Message = Mapping[str, Any]

SPEAKERS = (
    "role",
    "from",
    "speaker",
    "author",
)
CALL_TYPES = (
    "function_call",
    "tool_call",
)
"""Types of items that are calls themselves."""
CONTENTS = (
    "content",
    "value",
    "text",
    "parts",
    "utterance",
    "markdown",
)
"""Fields of a message that may hold its text."""
SPEAKER_KEYS: dict[TurnRole, tuple[str, ...]] = {
    "user": (
        "human",
        "user",
        "用户",
    ),
    "assistant": (
        "assistant",
        "bot",
        "gpt",
        "ai",
        "chatbot",
        "chatgpt",
        "moss",
        "claude",
        "gemini",
        "助手",
    ),
}
"""Keys of an exchange that are names of speakers."""
SIDES: dict[TurnRole, tuple[str, ...]] = {
    "system": (
        "system",
        "system_prompt",
        "meta_instruction",
    ),
    "user": (
        *SPEAKER_KEYS["user"],
        "instruction",
        "question",
        "prompt",
        "query",
        "input",
        "q",
    ),
    "assistant": (
        *SPEAKER_KEYS["assistant"],
        "output",
        "response",
        "answer",
        "completion",
        "a",
    ),
}
"""Keys of an exchange in a conversation."""


def get_first_field(
    message: Message,
    names: Sequence[str],
) -> tuple[str, Any]:
    """The first of the fields that has a value, and the value; ("", None) if none has one."""
    found: tuple[str, Any] = ("", None)
    for name in names:
        value = message.get(name)
        if value is None:
            continue
        # A text goes before an empty one.
        if value != "" and not is_missing(value):
            return name, value
        if not found[0]:
            found = (name, value)
    if found[0]:
        return found
    # Seldom: names that are capitalised or padded.
    for key, value in message.items():
        name = normalise_name(key)
        if name in names and key != name and not is_missing(value):
            return key, value
    return found


def get_speaker(message: Message) -> tuple[str, Any]:
    """The field and the name of who speaks; ("", None) for an exchange.

    OpenAI's items of calls of functions and their outputs have a type in place of a role.

    >>> get_speaker({"type": "function_call_output", "output": "20 degrees"})
    ('type', 'function_call_output')
    """
    field, speaker = get_first_field(message, SPEAKERS)
    if field:
        return field, speaker
    kind = message.get("type")
    is_item = isinstance(kind, str) and (
        kind in CALL_TYPES or find_role(kind) == "tool"
    )
    return ("type", kind) if is_item else ("", None)


def list_sides(message: Message) -> list[tuple[TurnRole, str, Any]]:
    """Role, key and value of the system text, the question and the answer of an exchange."""
    # An answer that is null has not been given.
    given = {}
    for key, value in message.items():
        if not is_missing(value):
            name = normalise_name(key)
            given[name] = key

    sides: list[tuple[TurnRole, str, Any]] = []
    for role, names in SIDES.items():
        found = next((name for name in names if name in given), None)
        if found is not None:
            key = given[found]
            side = (role, key, message[key])
            sides.append(side)
    return sides


def spell_speaker(speaker: Any) -> str:
    """A speaker's name, which may be in an object."""
    if isinstance(speaker, Mapping):
        _, name = get_first_field(speaker, ("role", "name"))
        return str(name)
    return str(speaker)
