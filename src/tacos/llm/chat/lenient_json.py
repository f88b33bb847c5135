"""JSON as models write it: single quotes, trailing commas, Python's constants, comments, and ends
that were cut off. Pure.

A cut keeps what is complete. A string or number that runs into the end of the text is dropped,
since nobody knows its rest; a list keeps its complete items; an object inside a list that was still
open is dropped; the outermost object keeps its complete members. A list of which the cut left
nothing is dropped too: no answer is not an empty answer.

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
    """What stands here is no value."""


def read_json_at(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start` and where it ends; an end of `start` says that there is
    none.

    >>> read_json_at("{'a': [1, 2,], 'b': None} and more", 0)
    ({'a': [1, 2], 'b': None}, 25)
    >>> read_json_at('{"tags": [{"tag": "x"}, {"tag": "y', 0)[0]
    {'tags': [{'tag': 'x'}]}
    >>> read_json_at('{"score": 6', 0)
    (None, 0)
    """
    try:
        return _read_value(text, start, 0)
    except TruncatedJsonError as cut:
        return (cut.kept, len(text)) if cut.kept else (None, start)
    except InvalidJsonError:
        return None, start


def _read_value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """Any value at `at`, blanks before it skipped."""
    at = _skip_blanks(text, at)
    if at >= len(text):
        raise TruncatedJsonError
    if depth > MAX_DEPTH:
        raise InvalidJsonError
    if text[at] == "{":
        return _read_members(text, at + 1, depth)
    if text[at] == "[":
        return _read_items(text, at + 1, depth)
    if text[at] in "\"'":
        return _read_string(text, at)
    return _read_scalar(text, at)


def _read_members(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    """The rest of an object whose brace is open."""
    found: dict[str, Any] = {}
    try:
        while (at := _skip_blanks(text, at)) < len(text) and text[at] != "}":
            key, at = _read_key(text, at)
            at = _expect_sign(text, at, ":")
            found[key], at = _read_value(text, at, depth + 1)
            at = _skip_separator(text, at, "}")
    except TruncatedJsonError as cut:
        if depth == 0:
            raise TruncatedJsonError(found | ({key: cut.kept} if cut.kept else {})) from None
        raise TruncatedJsonError from None
    if at >= len(text):
        raise TruncatedJsonError(found if depth == 0 else None)
    return found, at + 1


def _read_items(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    """The rest of a list whose bracket is open."""
    found: list[Any] = []
    try:
        while (at := _skip_blanks(text, at)) < len(text) and text[at] != "]":
            item, at = _read_value(text, at, depth + 1)
            found.append(item)
            at = _skip_separator(text, at, "]")
    except TruncatedJsonError:
        raise TruncatedJsonError(found) from None
    if at >= len(text):
        raise TruncatedJsonError(found)
    return found, at + 1


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
    match = (STRING if text[at] == '"' else SINGLE).match(text, at)
    if not match:
        raise TruncatedJsonError
    inner = match.group()[1:-1]
    return (
        _unescape_string(inner)
        if text[at] == '"'
        else _unescape_string(inner.replace("\\'", "'"), single=True)
    ), match.end()


def _unescape_string(inner: str, single: bool = False) -> str:
    r"""The text that a quoted string stands for; raw line breaks are allowed, half a character
    becomes a question mark.

    >>> _unescape_string(r"caf\u00e9 \ud83d")
    'café ?'
    """
    plain = inner.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    if single:
        plain = re.sub(r'(?<!\\)"', r"\"", plain)
    try:
        return str(json.loads(f'"{plain}"', strict=False)).encode("utf-8", "replace").decode()
    except json.JSONDecodeError:
        return inner


def _read_scalar(text: str, at: int) -> tuple[Any, int]:
    """A number or constant, which must be followed by something: at the very end it may be cut
    short.
    """
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
    return float(word) if any(sign in word for sign in ".eE") else int(word)


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
