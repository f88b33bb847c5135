"""Who speaks: from the names that data sets give to speakers to user, assistant, system or tool.

Names are compared without case, blanks and marks, so "Assistant:", "<|assistant|>" and "ASSISTANT"
are one. A model's name with a version ("claude-3-opus") is an assistant. The setting `ingest.roles`
names others, and wins over these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from tacos.methods.samples.cells import N_SHOWN, UnusableRow

Role = Literal["system", "user", "assistant", "tool"]
TurnRole = Literal["system", "user", "assistant"]
Roles = Mapping[str, Role]
"""Speaker -> role, as the settings name them."""

NO_ROLES: Roles = {}
NAMES: dict[Role, tuple[str, ...]] = {
    "user": (
        "user",
        "human",
        "prompter",
        "customer",
        "用户",
        "人类",
    ),
    # A call of a tool is something the assistant says.
    "assistant": (
        "assistant",
        "ai_assistant",
        "model",
        "bot",
        "chatbot",
        "agent",
        "ai",
        "llm",
        "function_call",
        "tool_call",
        "助手",
        "机器人",
    ),
    "system": (
        "system",
        "developer",
        "系统",
    ),
    "tool": (
        "tool",
        "function",
        "observation",
        "ipython",
        "environment",
        "function_response",
        "tool_response",
    ),
}
ROLE_OF: Roles = {name: role for role, names in NAMES.items() for name in names}
MODEL = re.compile(
    r"(gpt|chatgpt|claude|gemini|bard|bing|palm|llama|alpaca|vicuna|mistral|mixtral|qwen"
    r"|chatglm|glm|moss|baichuan|yi|phi|gemma|deepseek|command|grok|dolly|koala|falcon)"
    r"([-_.\d].*)?"
)
OUTPUT = re.compile(r".*_(output|result)s?")
"""What a tool returned, whatever it is called, such as "command-output"."""
MARKS = " \t\r\n:<>|[]#*"


@lru_cache(maxsize=4096)
def find_role(speaker: str) -> Role | None:
    """The role that a speaker's usual name means, None for an unknown name.

    >>> find_role("Human:"), find_role("claude-3-opus"), find_role("teacher")
    ('user', 'assistant', None)
    """
    name = normalise_speaker(speaker)
    role = ROLE_OF.get(name)
    if role is None and OUTPUT.fullmatch(name):
        return "tool"
    if role is None and MODEL.fullmatch(name):
        return "assistant"
    return role


def normalise_speaker(speaker: str) -> str:
    """How a speaker's name is compared."""
    name = speaker.strip(MARKS).lower()
    return name.replace(" ", "_").replace("-", "_")


def resolve_role(speaker: str, roles: Roles) -> Role:
    """The role of a speaker. Raises `UnusableRow` for an unknown one."""
    known = _find_role(speaker, roles)
    if known is None:
        shown = speaker[:N_SHOWN]
        raise UnusableRow(
            f"unknown role {shown!r}: say who it is, e.g. "
            f'--set \'ingest.roles={{"{shown}" = "user"}}\''
        )
    return known


def is_role(speaker: str, roles: Roles) -> bool:
    """Whether a text is the name of a known speaker."""
    return _find_role(speaker, roles) is not None


def _find_role(speaker: str, roles: Roles) -> Role | None:
    """The role of a speaker, by the settings or by its usual name."""
    name = normalise_speaker(speaker)
    for given, role in roles.items():
        if normalise_speaker(given) == name:
            return role
    return find_role(speaker)
