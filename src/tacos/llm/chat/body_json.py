"""Reads the JSON of a body that a server sent, with what servers get wrong in it. Pure."""

from __future__ import annotations

import json
from typing import Any

import orjson

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EnvelopeError(ValueError):
    """The body is not what was asked for; the message says what it is instead."""


class ForeignReplyError(EnvelopeError):
    """The body is not an error either: the sender may not be such a server at all."""


def parse_json_body(body: bytes | str) -> Any:
    r"""A body's JSON.

    Half a character (a lone surrogate, as of a truncated emoji) becomes a question mark; NaN and
    the infinities, which JSON does not know, become null.

    Raises `ForeignReplyError`.

    >>> parse_json_body('["caf\\u00e9 \\ud83d", NaN, -Infinity]')
    ['café ?', None, None]
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = error
    try:
        return _parse_leniently(body)
    except (ValueError, RecursionError):
        raise ForeignReplyError(f"the reply is not JSON: {reason}") from None


def _parse_leniently(body: bytes | str) -> Any:
    """What Python's reader makes of a body. Raises `ValueError`."""
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    value = json.loads(
        raw.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace"),
        parse_constant=_drop_constant,
        # Line breaks and tabs inside texts are taken as they are.
        strict=False,
    )
    # Python's reader accepts lone surrogates; encoding replaces them.
    text = json.dumps(value, ensure_ascii=False)
    return orjson.loads(text.encode("utf-8", "replace"))


def _drop_constant(name: str) -> None:
    """Null, in place of NaN, Infinity or -Infinity."""
