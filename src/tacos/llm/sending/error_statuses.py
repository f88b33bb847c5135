"""What an error status means: wait, retry, ask more simply, give this request up, or stop. Pure."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from tacos.llm.chat import envelope

Kind = Literal["wait", "retry", "simpler", "tokens-field", "row", "stop"]
NO_MONEY = re.compile(
    r"insufficient_quota|billing|credit balance|payment", re.IGNORECASE
)
TOO_LARGE = re.compile(r"request too large|reduce the length", re.IGNORECASE)
NO_MODEL = re.compile(
    r"model_not_found|model.{0,80}(does not exist|not found|not exist)|unknown model|no such model",
    re.IGNORECASE,
)
NO_FORMAT = re.compile(
    r"response_format|json_schema|json_object|structured.output|guided|grammar",
    re.IGNORECASE,
)
NO_SUCH_FIELD = re.compile(r"max_completion_tokens")


class ErrorAction(NamedTuple):
    """What to do, and why in one line."""

    kind: Kind
    reason: str


def classify_error_reply(
    status: int, body: bytes, answered_before: bool
) -> ErrorAction:
    """What to do about an answer with this status and body.

    `answered_before` says whether the server has answered anything yet.

    >>> classify_error_reply(401, b'{"error": {"message": "Incorrect API key"}}', False).kind
    'stop'
    >>> classify_error_reply(503, b"busy", True).kind
    'wait'
    """
    text = body.decode("utf-8", "replace")
    reason = f"HTTP {status}: {envelope.read_error_message(body)}"
    if status == 429 and TOO_LARGE.search(text):
        return ErrorAction("row", reason)
    if status == 429:
        has_no_money = NO_MONEY.search(text) is not None
        return ErrorAction("stop" if has_no_money else "wait", reason)
    if status == 503:
        return ErrorAction("wait", reason)
    if status in (408, 409, 425) or status >= 500:
        lacks_format = status == 501 and NO_FORMAT.search(text)
        return ErrorAction("simpler" if lacks_format else "retry", reason)
    if status in (401, 402):
        return ErrorAction("stop", reason)
    if status in (403, 404, 405) and not answered_before and not NO_FORMAT.search(text):
        return ErrorAction("stop", reason)
    return _classify_bad_request(status, text, reason)


def _classify_bad_request(status: int, text: str, reason: str) -> ErrorAction:
    """The meaning of a 3xx or 4xx that may be about this one row."""
    if status < 400:
        return ErrorAction(
            "stop",
            f"{reason} a redirect, which is not followed; use the address it leads to",
        )
    if NO_SUCH_FIELD.search(text):
        return ErrorAction("tokens-field", reason)
    if NO_FORMAT.search(text):
        return ErrorAction("simpler", reason)
    if NO_MODEL.search(text):
        return ErrorAction("stop", reason)
    return ErrorAction("row", reason)
