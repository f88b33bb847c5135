"""Reads JSON as models write it: single quotes, trailing commas, Python's constants, comments, and
truncated ends. Pure.

A truncated text keeps what is complete. A string or number that runs into the end of the text is
dropped, since its rest is unknown; a list keeps its complete items; an unfinished object inside a
list is dropped; the outermost object keeps its complete members. A list without a complete item is
dropped, too: no answer is not an empty answer.

It does not know schemas, and it does not guess names: keys must be quoted or plain words.
"""

from __future__ import annotations

import json
import re
from typing import Any

BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
SINGLE = re.compile(r"'(?:[^'\\]|\\.|'(?=\w))*'(?=\s*[:,\]}]|\s*$)", re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
MAX_DEPTH = 40


class TruncatedJsonError(Exception):
    """The text ended inside a value; `kept` is what is complete of it."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept


class InvalidJsonError(Exception):
    """No value stands here."""


def read_json_at(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends; an end of `start` means that no value
    stands there.

    >>> read_json_at("{'a': [1, 2,], 'b': None} and more", 0)
    ({'a': [1, 2], 'b': None}, 25)
    >>> read_json_at('{"tags": [{"tag": "x"}, {"tag": "y', 0)[0]
    {'tags': [{'tag': 'x'}]}
    >>> read_json_at('{"score": 6', 0)
    (None, 0)
    """
    try:
        return _read_value(text, start, 0)
    except TruncatedJsonError as error:
        if error.kept:
            return error.kept, len(text)
        return None, start
    except InvalidJsonError:
        return None, start


# Each reader takes the text and a position, and returns a value and the position after it.


def _read_value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """Any value, after blanks."""
    at = _skip_blanks(text, at)
    if at >= len(text):
        raise TruncatedJsonError
    if depth > MAX_DEPTH:
        raise InvalidJsonError
    first = text[at]
    if first == "{":
        return _read_members(text, at + 1, depth)
    if first == "[":
        return _read_items(text, at + 1, depth)
    if first in "\"'":
        return _read_string(text, at)
    return _read_scalar(text, at)


def _read_members(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    """The rest of an object whose brace is open."""
    members: dict[str, Any] = {}
    is_outermost = depth == 0
    try:
        at = _skip_blanks(text, at)
        while at < len(text) and text[at] != "}":
            key, at = _read_key(text, at)
            at = _expect_sign(text, at, ":")
            members[key], at = _read_value(text, at, depth + 1)
            at = _skip_separator(text, at, "}")
            at = _skip_blanks(text, at)
    except TruncatedJsonError as error:
        if not is_outermost:
            raise TruncatedJsonError from None
        if error.kept:
            members[key] = error.kept
        raise TruncatedJsonError(members) from None
    if at >= len(text):
        raise TruncatedJsonError(members if is_outermost else None)
    return members, at + 1


def _read_items(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    """The rest of a list whose bracket is open."""
    items: list[Any] = []
    try:
        at = _skip_blanks(text, at)
        while at < len(text) and text[at] != "]":
            item, at = _read_value(text, at, depth + 1)
            items.append(item)
            at = _skip_separator(text, at, "]")
            at = _skip_blanks(text, at)
    except TruncatedJsonError:
        raise TruncatedJsonError(items) from None
    if at >= len(text):
        raise TruncatedJsonError(items)
    return items, at + 1


def _read_key(text: str, at: int) -> tuple[str, int]:
    """A key: quoted, or a plain word."""
    if text[at] in "\"'":
        return _read_string(text, at)
    word = WORD.match(text, at)
    if not word:
        raise InvalidJsonError
    return word.group(), word.end()


def _read_string(text: str, at: int) -> tuple[str, int]:
    """A quoted string."""
    is_single = text[at] == "'"
    pattern = SINGLE if is_single else STRING
    match = pattern.match(text, at)
    if not match:
        raise TruncatedJsonError
    inner = match.group()[1:-1]
    if is_single:
        inner = inner.replace("\\'", "'")
    return _unescape_string(inner, single=is_single), match.end()


def _unescape_string(inner: str, single: bool = False) -> str:
    r"""The text that a quoted string stands for; raw line breaks are allowed, half a character
    becomes a question mark.

    >>> _unescape_string(r"caf\u00e9 \ud83d")
    'café ?'
    """
    escaped = inner.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    if single:  # double quotes need no backslash there, but in JSON they do
        escaped = re.sub(r'(?<!\\)"', r"\"", escaped)
    try:
        value = str(json.loads(f'"{escaped}"', strict=False))
    except json.JSONDecodeError:
        return inner
    return value.encode("utf-8", "replace").decode()


def _read_scalar(text: str, at: int) -> tuple[Any, int]:
    """A number or constant. Something must follow it: at the very end it may be truncated."""
    match = NUMBER.match(text, at) or WORD.match(text, at)
    if not match:
        raise InvalidJsonError
    if match.end() == len(text):
        raise TruncatedJsonError
    word = match.group()
    if word in CONSTANTS:
        return CONSTANTS[word], match.end()
    if word[0] == "-" or word[0].isdigit():
        return _parse_number(word), match.end()
    raise InvalidJsonError


def _parse_number(word: str) -> int | float:
    """The number that `word` writes; leading zeros are allowed."""
    is_float = any(sign in word for sign in ".eE")
    return float(word) if is_float else int(word)


def _skip_separator(text: str, at: int, close: str) -> int:
    """Past the comma after an item, or at the closing bracket."""
    at = _skip_blanks(text, at)
    if at >= len(text):
        raise TruncatedJsonError
    if text[at] == ",":
        return at + 1
    if text[at] == close:
        return at
    raise InvalidJsonError


def _expect_sign(text: str, at: int, sign: str) -> int:
    """Past `sign`, which must stand here."""
    at = _skip_blanks(text, at)
    if at >= len(text):
        raise TruncatedJsonError
    if text[at] != sign:
        raise InvalidJsonError
    return at + 1


def _skip_blanks(text: str, at: int) -> int:
    """Past blanks and comments."""
    match = BLANK.match(text, at)
    return match.end() if match else at
