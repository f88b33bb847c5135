"""The chat-completions envelope: the body of a request, and what the body of a reply says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Any, NamedTuple

import orjson

from tacos.llm.chat.body_json import (
    EnvelopeError,
    ForeignReplyError,
    parse_json_body,
)
from tacos.llm.chat.error_body import read_complaint
from tacos.llm.chat.event_stream import read_streamed_body
from tacos.llm.chat.messages import Message, RenderedRequest
from tacos.llm.chat.reply_message import (
    read_answer_text,
    read_reasoning,
    read_refusal,
)
from tacos.llm.chat.request_form import LEVELS, RequestForm
from tacos.llm.chat.token_alternatives import read_first_alternatives
from tacos.records import asks_for_text

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
ERROR_KEYS = ("error", "errors", "detail", "message", "msg", "error_msg", "base_resp")
"""Keys of a body without a choice that is an error, though its status is 200."""
BROKEN_OFF = ("error", "network_error", "insufficient_system_resource")
"""Reasons to finish that say that the server failed while it answered."""


class ChatReply(NamedTuple):
    """What a reply says: the text, or why there is none, and what it cost.

    `reasoning` is what the model thought, where the server keeps that apart; `alternatives` are
    the likeliest first tokens with their log-probabilities, where it was asked for them.
    """

    text: str
    refusal: str
    finish: str
    model: str
    prompt_tokens: int
    answer_tokens: int
    reasoning: str = ""
    alternatives: tuple[tuple[str, float], ...] = ()


class ApiFormat(NamedTuple):
    """An API of an endpoint: its path, the body of a request, how to read a reply to it (raises
    `EnvelopeError`), and whether the reply has tokens of its own.
    """

    path: str
    fields: Callable[[RenderedRequest, RequestForm, Collection[str]], dict[str, Any]]
    read: Callable[[bytes, RenderedRequest], ChatReply]
    answers: bool = True


class NoChoicesError(EnvelopeError):
    """The reply holds no choice at all, as where a filter has taken the answer away."""


class UpstreamError(EnvelopeError):
    """The reply is an error in an envelope of success; `body` is the error itself."""

    def __init__(self, error: Any, prefix: str) -> None:
        complaint = read_complaint(error)
        super().__init__(f"{prefix}: {complaint.text[:300]}")
        self.body = orjson.dumps(error)


# The body of a request


def build_chat_body(
    asked: RenderedRequest,
    form: RequestForm,
    omit: Collection[str] = (),
) -> dict[str, Any]:
    """The body of a request, as a dict."""
    messages = asked.messages
    if form.folds_system:
        messages = fold_system_text(messages)
    body: dict[str, Any] = {
        "model": asked.model,
        "messages": messages,
        **asked.sampling,
    }
    if form.tokens_field != "max_tokens" and "max_tokens" in body:
        body[form.tokens_field] = body.pop("max_tokens")
    response_format = _build_response_format(asked, form.level)
    if response_format:
        body["response_format"] = response_format
    if form.streams:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    for name in (*omit, *form.dropped):
        body.pop(name, None)
    return body


def fold_system_text(messages: list[Message]) -> list[Message]:
    """The messages with the system's text before that of the first user.

    >>> fold_system_text([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])
    [{'role': 'user', 'content': 'a\\n\\nb'}]
    """
    texts = []
    folded: list[Message] = []
    for message in messages:
        if message["role"] == "system":
            texts.append(message["content"])
            continue
        if texts and message["role"] == "user":
            content = "\n\n".join([*texts, message["content"]])
            message = {"role": "user", "content": content}
            texts = []
        folded.append(message)
    return folded


def _build_response_format(
    asked: RenderedRequest,
    level: str,
) -> dict[str, Any] | None:
    """The `response_format` of a level, None where there is none."""
    if level == "none" or not asked.schema or asks_for_text(asked.schema):
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
    reply = _parse_reply(body)
    choice = _pick_choice(reply)
    message = _pick_message(choice)
    finish = str(choice.get("finish_reason") or "")
    _check_upstream(choice, message, finish)
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        usage = {}
    return ChatReply(
        read_answer_text(message),
        read_refusal(message),
        finish,
        str(reply.get("model") or ""),
        read_token_count(usage.get("prompt_tokens")),
        read_token_count(usage.get("completion_tokens")),
        read_reasoning(message),
        read_first_alternatives(choice.get("logprobs")),
    )


CHAT = ApiFormat(
    "/chat/completions", build_chat_body, lambda body, asked: read_chat_reply(body)
)


def parse_reply_object(body: bytes | str) -> dict[str, Any]:
    """The object of a reply that is no error. Raises `EnvelopeError`."""
    try:
        reply = parse_json_body(body)
    except ForeignReplyError as error:
        try:
            reply = read_streamed_body(body)
        except ForeignReplyError:
            raise error from None
    # Some gateways send an error as the only item of a list.
    if isinstance(reply, list) and len(reply) == 1:
        reply = reply[0]
    if not isinstance(reply, dict):
        raise ForeignReplyError("the reply is not a JSON object")
    if reply.get("error"):
        raise UpstreamError(reply, "the reply is an error")
    return reply


def _parse_reply(body: bytes | str) -> dict[str, Any]:
    """The object of a chat completion. Raises `EnvelopeError`."""
    reply = parse_reply_object(body)
    if reply.get("choices"):
        return reply
    # Ollama's own form of a reply has one message and no choices.
    message = reply.get("message")
    if isinstance(message, dict):
        choice = {"message": message, "finish_reason": reply.get("done_reason")}
        return {**reply, "choices": [choice]}
    if any(reply.get(key) for key in ERROR_KEYS):
        raise UpstreamError(reply, "the reply is an error")
    if "choices" in reply:
        raise NoChoicesError("no choices (often a content filter)")
    raise ForeignReplyError("the reply is not a chat completion")


def _pick_choice(reply: dict[str, Any]) -> dict[str, Any]:
    """The first choice. Raises `ForeignReplyError`."""
    choices = reply["choices"]
    choice = choices[0] if isinstance(choices, list) else None
    if not isinstance(choice, dict):
        raise ForeignReplyError("the reply is not a chat completion")
    return choice


def _pick_message(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice's message. Raises `ForeignReplyError`."""
    message = choice.get("message")
    if message is None:
        message = choice.get("delta")
    if isinstance(message, dict):
        return message
    if message is None and isinstance(choice.get("text"), str):
        return {"content": choice["text"]}
    # A filter, or an error, may leave no message at all.
    if message is None and (choice.get("finish_reason") or choice.get("error")):
        return {}
    raise ForeignReplyError("the reply is not a chat completion")


def _check_upstream(
    choice: dict[str, Any],
    message: dict[str, Any],
    finish: str,
) -> None:
    """Raise `UpstreamError` for a choice that holds an error, or was broken off by one."""
    error = choice.get("error") or message.get("error")
    if error:
        raise UpstreamError({"error": error}, "the server behind it failed")
    if finish in BROKEN_OFF:
        words = f"it broke the answer off (finish_reason: {finish})"
        raise UpstreamError({"error": words}, "the server behind it failed")


def read_token_count(value: Any) -> int:
    """A number of tokens, 0 where the server gave none, or an impossible one."""
    if isinstance(value, int | float) and 0 < value < MAX_TOKENS:
        return int(value)
    return 0
