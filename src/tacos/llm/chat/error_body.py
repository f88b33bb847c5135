"""What the body of an error says, in whatever shape a server puts it. Pure.

Servers nest the message (`{"error": {"message": ...}}`), send it in a list, as a plain text or as
validation errors (`{"detail": [{"loc": ..., "msg": ...}]}`), and gateways quote the server behind
them as a text that is JSON itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from tacos.llm.chat.body_json import ForeignReplyError, parse_json_body

MAX_COMPLAINT = 2000
"""Characters of an error's message that are looked at."""
MAX_SHOWN = 300
MAX_DEPTH = 10
MESSAGES = (
    "error",
    "errors",
    "detail",
    "message",
    "msg",
    "error_message",
    "error_msg",
    "errorMessage",
    "base_resp",
    "status_msg",
)
"""Keys of messages, and of objects that hold one; the order is that in which they are shown."""
CODES = ("code", "type", "status", "error_code", "error_type", "status_code")
PARAMETERS = ("param", "parameter")
TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


class ServerComplaint(NamedTuple):
    """What a server complains about: its words, the fields of the request that it names apart from
    them, and its codes (in lower case).
    """

    text: str
    parameters: frozenset[str]
    codes: frozenset[str]

    @property
    def status(self) -> int:
        """The HTTP status of an error that is among the codes; 0 for none."""
        numbers = [int(code) for code in self.codes if re.fullmatch(r"[45]\d\d", code)]
        return min(numbers, default=0)


def read_error_message(body: Any) -> str:
    """The message in an error's body, on one line; the body itself where it has none.

    >>> read_error_message('[{"error": {"message": "slow down"}}]')
    'slow down'
    >>> read_error_message('{"detail": [{"loc": ["body", "top_k"], "msg": "not permitted"}]}')
    'body.top_k: not permitted'
    """
    text = read_complaint(body).text
    return text[:MAX_SHOWN].rstrip()


def read_complaint(body: Any) -> ServerComplaint:
    """What the body of an error says; `body` may be parsed already."""
    value = _parse_error_body(body)
    text = _find_message(value, depth=0)
    if not text and isinstance(value, dict | list):
        text = orjson.dumps(value).decode()
    codes: set[str] = set()
    parameters: set[str] = set()
    for part in walk_objects(value):
        codes.update(_list_codes(part))
        parameters.update(_list_parameters(part))
    return ServerComplaint(
        _join_printable(text[:MAX_COMPLAINT]), frozenset(parameters), frozenset(codes)
    )


def walk_objects(body: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every object in an error's body, those in quoted JSON too, the outermost first."""
    value = _parse_error_body(body) if depth == 0 else _parse_quoted_json(body)
    if depth > MAX_DEPTH:
        return
    members: list[Any] = []
    if isinstance(value, dict):
        yield value
        # Validation errors repeat the request under "input": it is no complaint.
        members = [member for key, member in value.items() if key != "input"]
    elif isinstance(value, list):
        members = value
    for member in members:
        yield from walk_objects(member, depth + 1)


def _find_message(value: Any, depth: int) -> str:
    """The words in a value, "" for none."""
    value = _parse_quoted_json(value)
    if isinstance(value, str):
        return value
    if depth > MAX_DEPTH:
        return ""
    if isinstance(value, list):
        texts = [_find_message(item, depth + 1) for item in value]
        return "; ".join(text for text in texts if text)
    if isinstance(value, dict):
        return _find_message_of_object(value, depth)
    return ""


def _find_message_of_object(value: dict[str, Any], depth: int) -> str:
    """The words of an object: its messages one after another, each once."""
    texts: list[str] = []
    for key in MESSAGES:
        text = _find_message(value.get(key), depth + 1)
        if text and not any(text in known for known in texts):
            texts.append(text)
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        quoted = _find_message(metadata.get("raw"), depth + 1)
        if quoted:
            texts.append(quoted)
    message = ": ".join(texts)
    place = value.get("loc")
    if message and isinstance(place, list):
        path = ".".join(str(step) for step in place)
        return f"{path}: {message}"
    return message


def _parse_quoted_json(value: Any) -> Any:
    """What a text that is JSON says; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return parse_json_body(value)
    except ForeignReplyError:
        return value


def _list_codes(part: dict[str, Any]) -> Iterator[str]:
    """The codes of an object; a text without blanks under "error" is one."""
    for key in (*CODES, "error"):
        code = part.get(key)
        is_code = isinstance(code, int) or (isinstance(code, str) and " " not in code)
        if is_code:
            yield str(code).lower()


def _list_parameters(part: dict[str, Any]) -> Iterator[str]:
    """The fields of a request that an object names."""
    for key in PARAMETERS:
        name = part.get(key)
        if isinstance(name, str):
            yield name
    place = part.get("loc")
    if isinstance(place, list):
        for step in place:
            if isinstance(step, str) and step != "body":
                yield step


def _parse_error_body(body: Any) -> Any:
    """A body's JSON, or its text without the tags of HTML."""
    if isinstance(body, dict | list):
        return body
    try:
        return parse_json_body(body)
    except ForeignReplyError:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    if text.startswith("data:"):
        return _parse_quoted_json(text.removeprefix("data:").splitlines()[0].strip())
    if text.lstrip().startswith("<"):
        return TAG.sub(" ", text)
    return text


def _join_printable(text: str) -> str:
    """A text on one line, without control characters."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(printable.split())
