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
CONSTANTS = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
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
    reader = _Reader(text, start)
    try:
        value = reader.read_value(depth=0)
    except TruncatedJsonError as error:
        if error.kept:
            return error.kept, len(text)
        return None, start
    except InvalidJsonError:
        return None, start
    return value, reader.at


class _Reader:
    """Reads values from `at` on, and moves it past them.

    Raises `TruncatedJsonError` where the text ends, `InvalidJsonError` for what is no value.
    """

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def read_value(self, depth: int) -> Any:
        """Any value."""
        first = self._peek()
        if depth > MAX_DEPTH:
            raise InvalidJsonError
        if first == "{":
            return self._read_members(depth)
        if first == "[":
            return self._read_items(depth)
        if first in "\"'":
            return self._read_string(first)
        return self._read_scalar()

    def _read_members(self, depth: int) -> dict[str, Any]:
        """An object, from its brace on."""
        self.at += 1
        members: dict[str, Any] = {}
        key = ""
        try:
            while self._peek() != "}":
                key = self._read_key()
                self._expect_sign(":")
                members[key] = self.read_value(depth + 1)
                self._skip_separator("}")
        except TruncatedJsonError as error:
            # Only the outermost object is worth keeping: inside a list it would lack members.
            if depth > 0:
                raise TruncatedJsonError from None
            if error.kept:
                members[key] = error.kept
            raise TruncatedJsonError(members) from None
        self.at += 1
        return members

    def _read_items(self, depth: int) -> list[Any]:
        """A list, from its bracket on."""
        self.at += 1
        items: list[Any] = []
        try:
            while self._peek() != "]":
                item = self.read_value(depth + 1)
                items.append(item)
                self._skip_separator("]")
        except TruncatedJsonError:
            raise TruncatedJsonError(items) from None
        self.at += 1
        return items

    def _read_key(self) -> str:
        """A key: quoted, or a plain word."""
        first = self._peek()
        if first in "\"'":
            return self._read_string(first)
        match = WORD.match(self.text, self.at)
        if not match:
            raise InvalidJsonError
        self.at = match.end()
        return match.group()

    def _read_string(self, quote: str) -> str:
        """A quoted string."""
        is_single = quote == "'"
        pattern = SINGLE if is_single else STRING
        match = pattern.match(self.text, self.at)
        if not match:
            raise TruncatedJsonError
        self.at = match.end()
        inner = match.group()[1:-1]
        if is_single:
            inner = inner.replace("\\'", "'")
        return _unescape_string(inner, single=is_single)

    def _read_scalar(self) -> bool | float | None:
        """A number or constant."""
        match = NUMBER.match(self.text, self.at) or WORD.match(self.text, self.at)
        if not match:
            raise InvalidJsonError
        # At the very end it may be truncated: 8 of 80, say.
        if match.end() == len(self.text):
            raise TruncatedJsonError
        self.at = match.end()
        word = match.group()
        if word in CONSTANTS:
            return CONSTANTS[word]
        is_number = word[0] == "-" or word[0].isdigit()
        if not is_number:
            raise InvalidJsonError
        return _parse_number(word)

    def _skip_separator(self, close: str) -> None:
        """Past the comma after an item, or up to the closing bracket."""
        sign = self._peek()
        if sign == ",":
            self.at += 1
        elif sign != close:
            raise InvalidJsonError

    def _expect_sign(self, sign: str) -> None:
        """Past `sign`, which must come next."""
        if self._peek() != sign:
            raise InvalidJsonError
        self.at += 1

    def _peek(self) -> str:
        """The next character after blanks and comments."""
        match = BLANK.match(self.text, self.at)
        if match:
            self.at = match.end()
        if self.at >= len(self.text):
            raise TruncatedJsonError
        return self.text[self.at]


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


def _parse_number(word: str) -> int | float:
    """The number that `word` writes; leading zeros are allowed."""
    is_float = any(sign in word for sign in ".eE")
    return float(word) if is_float else int(word)
