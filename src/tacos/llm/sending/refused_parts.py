"""Which part of a request a server refuses, read from its complaint: the format of the answer, the
system's message, an optional field, or that nothing is streamed. Pure.

Servers word this in many ways; what they have in common is that they name the part. The words are
those of OpenAI, Azure, Anthropic, Google, Mistral, DeepSeek, Groq, OpenRouter, Alibaba, vLLM,
SGLang, llama.cpp, TGI, LM Studio and LiteLLM.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, NamedTuple

from tacos.llm.chat.error_body import ServerComplaint

PartKind = Literal["format", "tokens", "system", "stream", "fields"]

ALTERNATION = re.compile(
    r"must alternate|alternat\w+.{0,40}\b(roles?|user)\b|only.{0,10}user and assistant roles"
    r"|(start|begin|first).{0,40}\b(a|role|from)\b.{0,10}\buser\b",
    re.IGNORECASE,
)
SYSTEM = re.compile(
    r"\b(system|developer)\b.{0,12}\b(role|message|prompt|instruction)s?\b"
    r"|\broles?\b.{0,40}\b(system|developer)\b",
    re.IGNORECASE,
)
REFUSING = re.compile(
    r"\bnot?\b|n't|cannot|unsupported|unexpected|unknown|unrecogni[sz]ed|invalid|deprecated"
    r"|extra|extraneous|only|must|should|forbidden|不支持|必须",
    re.IGNORECASE,
)
"""What a server says of something that it does not take."""
STREAM = re.compile(
    r"only supports? stream|enable the stream|stream(ing)? (mode|is required)|non-?stream"
    r"|requires? stream|stream`?\s*=\s*false|stream\W{1,3}true|非流式",
    re.IGNORECASE,
)
FORMAT = re.compile(
    r"response.?format|json_?schema|json_?object|response_?schema|output_(format|config)"
    r"|structured.?output|guided|grammar|xgrammar|outlines|schema|json mode|constrained"
    r"|initialize samplers|requested parameters",
    re.IGNORECASE,
)
TOKENS_FIELD = re.compile(r"max_completion_tokens")
LISTING = re.compile(
    r"expected (one )?of|(valid|allowed|supported|known) (fields|parameters|options|arguments)"
    r"\b.{0,6}:",
    re.IGNORECASE,
)
"""Where a complaint goes on with the fields that the server does take."""
RANGE = re.compile(
    r"\bbetween\b|\brange\b|\b(less|greater|larger|smaller|lower|higher) than\b"
    r"|\bat (most|least)\b|[<>≤≥]=?\s*-?\d|\bpositive\b|non-?negative|\bexceed"
    r"|\b(max|min)imum\b|\d\s*\.\.\s*\d|too (large|high|low|small)|范围|大于|小于",
    re.IGNORECASE,
)
"""What a server says of a field that it takes, but not with this value."""
EITHER = re.compile(
    r"\bboth\b|only one|either|simultaneous|together|mutually", re.IGNORECASE
)
PLAIN_WORDS = re.compile(r"[a-z]{1,11}")
"""Names of fields that are words of every day (`stop`, `seed`, `user`) count only in quotes."""


class RefusedPart(NamedTuple):
    """A part of a request that the server refuses; `names` are its fields."""

    kind: PartKind
    names: tuple[str, ...] = ()
    is_value: bool = False
    """Whether the server takes these fields, but not with their values."""


def find_refused_part(
    complaint: ServerComplaint,
    fields: Collection[str],
) -> RefusedPart | None:
    """The part that a complaint is about, None where it names none.

    `fields` are the optional fields that the request had.

    >>> complaint = ServerComplaint("'temperature' does not support 0", frozenset(), frozenset())
    >>> find_refused_part(complaint, ["temperature", "top_p"])
    RefusedPart(kind='fields', names=('temperature',), is_value=False)
    """
    text = complaint.text
    if _refuses_system(text):
        return RefusedPart("system")
    if STREAM.search(text):
        return RefusedPart("stream")
    optional = [name for name in fields if name != "max_tokens"]
    parameters = {_normalise_name(name) for name in complaint.parameters}
    # Only what stands before the list of fields that are taken is a complaint.
    refusal = text[: _find_listing(text)]
    is_value = RANGE.search(refusal) is not None and EITHER.search(refusal) is None
    named = [name for name in optional if _normalise_name(name) in parameters]
    if named:
        return RefusedPart("fields", tuple(named), is_value)
    if TOKENS_FIELD.search(refusal) or _is_mentioned("max_tokens", refusal):
        return RefusedPart("tokens")
    named = [name for name in optional if _is_mentioned(name, refusal)]
    if named and (is_value or REFUSING.search(refusal)):
        return RefusedPart("fields", _choose_fields(named, refusal), is_value)
    if FORMAT.search(text) or "response_format" in complaint.parameters:
        return RefusedPart("format")
    return None


def _find_listing(text: str) -> int:
    """Where a list of the fields that the server takes begins; the text's length without one."""
    match = LISTING.search(text)
    return match.start() if match else len(text)


def _refuses_system(text: str) -> bool:
    """Whether a server takes no message of the system, or only turns of user and assistant."""
    if ALTERNATION.search(text):
        return True
    return SYSTEM.search(text) is not None and REFUSING.search(text) is not None


def _normalise_name(name: str) -> str:
    """A field's name without the differences between servers: `topP` is `top_p`."""
    last = re.split(r"[.\[\]/]", name.strip("'\"`"))[-1]
    return re.sub(r"[_-]", "", last).lower()


def _is_mentioned(name: str, text: str) -> bool:
    """Whether a text names a field."""
    spelling = re.escape(name).replace("_", "[_-]?")
    if PLAIN_WORDS.fullmatch(name) and name != "temperature":
        spelling = rf"['\"`\[(]{spelling}['\"`\])]|parameter:? {spelling}"
    return re.search(rf"(?<!\w)({spelling})(?!\w)", text, re.IGNORECASE) is not None


def _choose_fields(names: list[str], text: str) -> tuple[str, ...]:
    """Which of the named fields to leave out: all, unless the server takes either of them."""
    if len(names) > 1 and EITHER.search(text):
        others = [name for name in names if name != "temperature"]
        return tuple(others[:1])
    return tuple(names)
