"""The chat-completions envelope: the body of a request, and what the body of a reply says. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import cache
from typing import Any, NamedTuple

import orjson

from tacos.llm.chat.messages import RenderedRequest

LEVELS = ("json_schema", "json_schema without bounds", "json_object", "none")
"""How strictly a request asks for JSON, the strictest first. Where a server refuses one, the next
is tried.
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
"""What "json_schema without bounds" leaves out: some servers refuse these keywords."""

MAX_TOKENS = 1e9
"""A larger number of tokens is not believed."""
MAX_COMPLAINT = 2000
"""Characters of an error's body that are looked at."""


class RequestForm(NamedTuple):
    """The form of request that a server accepts."""

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


class ApiFormat(NamedTuple):
    """An API of an endpoint: its path, the body of a request, how to read a reply to it (raises
    `EnvelopeError`), and whether the reply has tokens of its own.
    """

    path: str
    fields: Callable[[RenderedRequest, RequestForm, Collection[str]], dict[str, Any]]
    read: Callable[[bytes, RenderedRequest], ChatReply]
    answers: bool = True


class EnvelopeError(ValueError):
    """The body is not what was asked for; the message says what it is instead."""


class ForeignReplyError(EnvelopeError):
    """The body is not an error either: the sender may not be such a server at all."""


# The body of a request


def build_chat_body(
    asked: RenderedRequest,
    form: RequestForm,
    omit: Collection[str] = (),
) -> dict[str, Any]:
    """The body of a request, as a dict."""
    body: dict[str, Any] = {
        "model": asked.model,
        "messages": asked.messages,
        **asked.sampling,
    }
    if form.tokens_field != "max_tokens" and "max_tokens" in body:
        body[form.tokens_field] = body.pop("max_tokens")
    response_format = _build_response_format(asked, form.level)
    if response_format:
        body["response_format"] = response_format
    for name in omit:
        body.pop(name, None)
    return body


def _build_response_format(
    asked: RenderedRequest,
    level: str,
) -> dict[str, Any] | None:
    """The `response_format` of a level, None where there is none."""
    if level == "none" or not asked.schema:
        return None
    if level == "json_object":
        return {"type": "json_object"}
    without_bounds = level == LEVELS[1]
    return _build_strict_format(asked.task, orjson.dumps(asked.schema), without_bounds)


@cache
def _build_strict_format(
    task: str,
    schema: bytes,
    without_bounds: bool,
) -> dict[str, Any]:
    """A strict `json_schema` format. Models answer the fields in the order of `schema`.

    Computed once per schema.
    """
    name = "".join(sign if sign.isalnum() else "_" for sign in task)
    return {
        "type": "json_schema",
        "json_schema": {
            "name": name or "answer",
            "strict": True,
            "schema": _close_schema(orjson.loads(schema), without_bounds),
        },
    }


def _close_schema(schema: Any, without_bounds: bool) -> Any:
    """`schema` with every object closed to other keys, as strict servers demand.

    A number whose minimum is a whole number is asked for as a whole number (the answer is checked
    against `schema` itself).

    >>> schema = {"type": "object", "properties": {"n": {"type": "number", "minimum": 1}}}
    >>> closed = _close_schema(schema, without_bounds=True)
    >>> closed["properties"], closed["additionalProperties"], closed["required"]
    ({'n': {'type': 'integer'}}, False, ['n'])
    """
    if isinstance(schema, list):
        return [_close_schema(item, without_bounds) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "properties":
            # Names of properties are no keywords, even where they are spelt like a bound.
            closed[keyword] = {
                name: _close_schema(property_schema, without_bounds)
                for name, property_schema in value.items()
            }
        elif not (without_bounds and keyword in BOUNDS):
            closed[keyword] = _close_schema(value, without_bounds)
    if schema.get("type") == "number" and isinstance(schema.get("minimum"), int):
        closed["type"] = "integer"
    if "properties" in closed:
        closed["additionalProperties"] = False
        closed["required"] = list(closed["properties"])
    return closed


# The body of a reply


def read_chat_reply(body: bytes | str) -> ChatReply:
    """What a reply says. Raises `EnvelopeError`."""
    reply = parse_json_body(body)
    if not isinstance(reply, dict):
        raise ForeignReplyError("the reply is not a JSON object")
    if reply.get("error"):
        complaint = read_error_message(reply)
        raise EnvelopeError(f"the reply is an error: {complaint}")
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        text = _join_text_parts(message.get("content"))
        if not text:
            text = _read_tool_call(message)
        refusal = message.get("refusal") or ""
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ForeignReplyError("the reply is not a chat completion") from None
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        usage = {}
    return ChatReply(
        text,
        str(refusal),
        str(choice.get("finish_reason") or ""),
        str(reply.get("model") or ""),
        read_token_count(usage.get("prompt_tokens")),
        read_token_count(usage.get("completion_tokens")),
    )


CHAT = ApiFormat(
    "/chat/completions", build_chat_body, lambda body, asked: read_chat_reply(body)
)


def parse_json_body(body: bytes | str) -> Any:
    r"""A body's JSON; half a character (a lone surrogate, as of a truncated emoji) becomes a
    question mark.

    Raises `ForeignReplyError`.

    >>> parse_json_body('["caf\\u00e9 \\ud83d"]')
    ['café ?']
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = error
    # Python's reader accepts lone surrogates; encoding replaces them.
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise ForeignReplyError(f"the reply is not JSON: {reason}") from None


def _join_text_parts(content: Any) -> str:
    """A message's text; some servers send a list of parts."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return str(content)
    texts = [str(part.get("text") or "") for part in content if isinstance(part, dict)]
    return "".join(texts)


def _read_tool_call(message: dict[str, Any]) -> str:
    """The arguments of a tool call, which some models make instead of answering (no tool was
    offered).
    """
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or len(calls) != 1:
        return ""
    call = calls[0]
    if not isinstance(call, dict):
        return ""
    function = call.get("function")
    if not isinstance(function, dict):
        return ""
    arguments = function.get("arguments")
    return _join_text_parts(arguments)


def read_token_count(value: Any) -> int:
    """A number of tokens, 0 where the server gave none, or an impossible one."""
    if isinstance(value, int | float) and 0 < value < MAX_TOKENS:
        return int(value)
    return 0


def read_error_message(body: bytes | str | dict[str, Any]) -> str:
    """The message in an error's body, on one line; the body itself where it has none."""
    value = _parse_error_body(body)
    # Servers nest them: {"error": {"message": ...}}, {"detail": {"error": ...}}.
    for key in ("error", "detail", "message"):
        while isinstance(value, dict) and value.get(key):
            value = value[key]
    if isinstance(value, dict | list):
        value = orjson.dumps(value).decode()
    text = str(value)
    shortened = text[:MAX_COMPLAINT]
    return _join_printable(shortened)


def _join_printable(text: str) -> str:
    """The beginning of a text, on one line, without control characters."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    words = printable.split()
    return " ".join(words)[:300]


def _parse_error_body(body: bytes | str | dict[str, Any]) -> Any:
    """A body's JSON, or its text."""
    if isinstance(body, dict):
        return body
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace") if isinstance(body, bytes) else body
