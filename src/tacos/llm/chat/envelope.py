"""The chat-completions envelope: the body that goes out, and what is read from the body that comes
back. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import cache
from typing import Any, NamedTuple

import orjson

from tacos.llm.chat.messages import RenderedRequest

LEVELS = ("json_schema", "json_schema without bounds", "json_object", "none")
"""How strictly `_build_response_format` asks, the strictest first; a server that refuses one is asked with
the next.
"""
BOUNDS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "multipleOf",
    }
)

MAX_TOKENS = 1e9
"""More than this in one reply is no count."""
MAX_COMPLAINT = 2000
"""Characters of an error's body that are looked at."""


class RequestForm(NamedTuple):
    """What a server was found to take."""

    level: str = LEVELS[0]
    tokens_field: str = "max_tokens"


class ChatReply(NamedTuple):
    """What a reply says: the text, or why there is none, and what it cost."""

    text: str
    refusal: str
    finish: str
    model: str
    prompt_tokens: int
    answer_tokens: int


class EnvelopeError(ValueError):
    """The body is not what was asked for; the message says what it is instead."""


class ApiFormat(NamedTuple):
    """What is asked for: the path, the body of a request, what is read from a reply to it (raises
    `EnvelopeError`), and whether tokens are answered.
    """

    path: str
    fields: Callable[[RenderedRequest, RequestForm, Collection[str]], dict[str, Any]]
    read: Callable[[bytes, RenderedRequest], ChatReply]
    answers: bool = True


class ForeignReplyError(EnvelopeError):
    """Nor is it an error: whoever sent it may be no such server at all."""


def build_chat_body(
    asked: RenderedRequest, form: RequestForm, omit: Collection[str] = ()
) -> dict[str, Any]:
    """The body of a request, as a dict."""
    body: dict[str, Any] = {"model": asked.model, "messages": asked.messages, **asked.sampling}
    if form.tokens_field != "max_tokens" and "max_tokens" in body:
        body[form.tokens_field] = body.pop("max_tokens")
    wanted = _build_response_format(asked, form.level)
    if wanted:
        body["response_format"] = wanted
    for name in omit:
        body.pop(name, None)
    return body


def _build_response_format(asked: RenderedRequest, level: str) -> dict[str, Any] | None:
    """The `_build_response_format` of a level; None for none."""
    if level == "none" or not asked.schema:
        return None
    if level == "json_object":
        return {"type": "json_object"}
    return _build_strict_format(asked.task, orjson.dumps(asked.schema), level == LEVELS[1])


@cache
def _build_strict_format(task: str, schema: bytes, plain: bool) -> dict[str, Any]:
    """A strict `json_schema` format, computed once per schema; fields are answered in the order
    that `schema` has.
    """
    name = "".join(sign if sign.isalnum() else "_" for sign in task) or "answer"
    return {
        "type": "json_schema",
        "json_schema": {
            "name": name,
            "strict": True,
            "schema": _close_schema(orjson.loads(schema), plain),
        },
    }


def _close_schema(schema: Any, plain: bool) -> Any:
    """`schema` with every object closed to other keys, as strict servers demand; `plain` takes the
    bounds out.

    A number from a whole number on is asked for as a whole number (what comes back is checked
    against `schema` itself).

    >>> _close_schema({"type": "object", "properties": {"n": {"type": "number", "minimum": 1}}}, plain=True)
    {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'additionalProperties': False, 'required': ['n']}
    """
    if isinstance(schema, list):
        return [_close_schema(each, plain) for each in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, each in schema.items():
        if key == "properties":
            out[key] = {name: _close_schema(kind, plain) for name, kind in each.items()}
        elif not (plain and key in BOUNDS):
            out[key] = _close_schema(each, plain)
    if schema.get("type") == "number" and isinstance(schema.get("minimum"), int):
        out["type"] = "integer"
    if "properties" in out:
        out |= {"additionalProperties": False, "required": list(out["properties"])}
    return out


def read_chat_reply(body: bytes | str) -> ChatReply:
    """What a reply says. Raises `EnvelopeError`."""
    reply = parse_json_body(body)
    if not isinstance(reply, dict):
        raise ForeignReplyError("the reply is no JSON object")
    if reply.get("error"):
        raise EnvelopeError(f"the reply is an error: {read_error_message(reply)}")
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        text = _join_text_parts(message.get("content")) or _read_tool_call(message)
        refusal = message.get("refusal") or ""
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ForeignReplyError("the reply is no chat completion") from None
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return ChatReply(
        text,
        str(refusal),
        str(choice.get("finish_reason") or ""),
        str(reply.get("model") or ""),
        read_token_count(usage.get("prompt_tokens")),
        read_token_count(usage.get("completion_tokens")),
    )


def parse_json_body(body: bytes | str) -> Any:
    r"""A body's JSON; half a character (a lone surrogate, as of an emoji that was cut) becomes a
    question mark.

    Raises `ForeignReplyError`.

    >>> parse_json_body('["caf\\u00e9 \\ud83d"]')
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
            raise ForeignReplyError(f"the reply is no JSON: {error}") from None


def _read_tool_call(message: dict[str, Any]) -> str:
    """What a tool was called with, where a model calls one instead of answering (none was offered)."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or len(calls) != 1 or not isinstance(calls[0], dict):
        return ""
    function = calls[0].get("function")
    return _join_text_parts(function.get("arguments")) if isinstance(function, dict) else ""


CHAT = ApiFormat("/chat/completions", build_chat_body, lambda body, asked: read_chat_reply(body))


def _join_text_parts(content: Any) -> str:
    """A message's text; some servers send a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def read_token_count(value: Any) -> int:
    """A number of tokens, 0 where the server named none, or one that cannot be."""
    return int(value) if isinstance(value, int | float) and 0 < value < MAX_TOKENS else 0


def read_error_message(body: bytes | str | dict[str, Any]) -> str:
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
