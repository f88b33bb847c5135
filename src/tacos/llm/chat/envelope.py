"""The chat-completions envelope: the body that goes out, and what is read from the body that comes
back. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import cache
from typing import Any, NamedTuple

import orjson

from tacos.llm.chat.messages import Asked

LEVELS = ("json_schema", "json_schema without bounds", "json_object", "none")
"""How strictly `response_format` asks, the strictest first; a server that refuses one is asked with
the next.
"""
BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
                    "minLength", "maxLength", "pattern", "format", "multipleOf"})  # fmt: skip

MAX_TOKENS = 1e9
"""More than this in one reply is no count."""
MAX_COMPLAINT = 2000
"""Characters of an error's body that are looked at."""


class Form(NamedTuple):
    """What a server was found to take."""

    level: str = LEVELS[0]
    tokens_field: str = "max_tokens"


class Said(NamedTuple):
    """What a reply says: the text, or why there is none, and what it cost."""

    text: str
    refusal: str
    finish: str
    model: str
    prompt_tokens: int
    answer_tokens: int


class BadEnvelope(ValueError):
    """The body is not what was asked for; the message says what it is instead."""


class Format(NamedTuple):
    """What is asked for: the path, the body of a request, what is read from a reply to it (raises
    `BadEnvelope`), and whether tokens are answered.
    """

    path: str
    fields: Callable[[Asked, Form, Collection[str]], dict[str, Any]]
    read: Callable[[bytes, Asked], Said]
    answers: bool = True


class NoChat(BadEnvelope):
    """Nor is it an error: whoever sent it may be no such server at all."""


def fields(asked: Asked, form: Form, omit: Collection[str] = ()) -> dict[str, Any]:
    """The body of a request, as a dict."""
    body: dict[str, Any] = {"model": asked.model, "messages": asked.messages, **asked.sampling}
    if form.tokens_field != "max_tokens" and "max_tokens" in body:
        body[form.tokens_field] = body.pop("max_tokens")
    wanted = response_format(asked, form.level)
    if wanted:
        body["response_format"] = wanted
    for name in omit:
        body.pop(name, None)
    return body


def response_format(asked: Asked, level: str) -> dict[str, Any] | None:
    """The `response_format` of a level; None for none."""
    if level == "none" or not asked.schema:
        return None
    if level == "json_object":
        return {"type": "json_object"}
    return closed_format(asked.task, orjson.dumps(asked.schema), level == LEVELS[1])


@cache
def closed_format(task: str, schema: bytes, plain: bool) -> dict[str, Any]:
    """A strict `json_schema` format, computed once per schema; fields are answered in the order
    that `schema` has.
    """
    name = "".join(sign if sign.isalnum() else "_" for sign in task) or "answer"
    return {
        "type": "json_schema",
        "json_schema": {
            "name": name,
            "strict": True,
            "schema": closed(orjson.loads(schema), plain),
        },
    }


def closed(schema: Any, plain: bool) -> Any:
    """`schema` with every object closed to other keys, as strict servers demand; `plain` takes the
    bounds out.

    A number from a whole number on is asked for as a whole number (what comes back is checked
    against `schema` itself).

    >>> closed({"type": "object", "properties": {"n": {"type": "number", "minimum": 1}}}, plain=True)
    {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'additionalProperties': False, 'required': ['n']}
    """
    if isinstance(schema, list):
        return [closed(each, plain) for each in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, each in schema.items():
        if key == "properties":
            out[key] = {name: closed(kind, plain) for name, kind in each.items()}
        elif not (plain and key in BOUNDS):
            out[key] = closed(each, plain)
    if schema.get("type") == "number" and isinstance(schema.get("minimum"), int):
        out["type"] = "integer"
    if "properties" in out:
        out |= {"additionalProperties": False, "required": list(out["properties"])}
    return out


def read(body: bytes | str) -> Said:
    """What a reply says. Raises `BadEnvelope`."""
    reply = loads(body)
    if not isinstance(reply, dict):
        raise NoChat("the reply is no JSON object")
    if reply.get("error"):
        raise BadEnvelope(f"the reply is an error: {complaint(reply)}")
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        text = plain_text(message.get("content")) or called_with(message)
        refusal = message.get("refusal") or ""
    except (KeyError, IndexError, TypeError, AttributeError):
        raise NoChat("the reply is no chat completion") from None
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Said(
        text, str(refusal), str(choice.get("finish_reason") or ""), str(reply.get("model") or ""),
        count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")),
    )  # fmt: skip


def loads(body: bytes | str) -> Any:
    r"""A body's JSON; half a character (a lone surrogate, as of an emoji that was cut) becomes a
    question mark.

    Raises `NoChat`.

    >>> loads('["caf\\u00e9 \\ud83d"]')
    ['café ?']
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return orjson.loads(
                json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
            )
        except (ValueError, RecursionError):
            raise NoChat(f"the reply is no JSON: {error}") from None


def called_with(message: dict[str, Any]) -> str:
    """What a tool was called with, where a model calls one instead of answering (none was offered)."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or len(calls) != 1 or not isinstance(calls[0], dict):
        return ""
    function = calls[0].get("function")
    return plain_text(function.get("arguments")) if isinstance(function, dict) else ""


CHAT = Format("/chat/completions", fields, lambda body, asked: read(body))


def plain_text(content: Any) -> str:
    """A message's text; some servers send a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def count(value: Any) -> int:
    """A number of tokens, 0 where the server named none, or one that cannot be."""
    return int(value) if isinstance(value, int | float) and 0 < value < MAX_TOKENS else 0


def complaint(body: bytes | str | dict[str, Any]) -> str:
    """The message in an error's body, on one line; the body itself where there is none."""
    try:
        value = body if isinstance(body, dict) else orjson.loads(body)
    except orjson.JSONDecodeError:
        value = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    for key in ("error", "detail", "message"):
        while isinstance(value, dict) and value.get(key):
            value = value[key]
    if isinstance(value, dict | list):
        value = orjson.dumps(value).decode()
    text = "".join(sign if sign.isprintable() else " " for sign in str(value)[:MAX_COMPLAINT])
    return " ".join(text.split())[:300]
