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


class Cut(Exception):
    """The text ended inside a value; `kept` is what is complete of it."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept


class Broken(Exception):
    """What stands here is no value."""


def read(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start` and where it ends; an end of `start` says that there is
    none.

    >>> read("{'a': [1, 2,], 'b': None} and more", 0)
    ({'a': [1, 2], 'b': None}, 25)
    >>> read('{"tags": [{"tag": "x"}, {"tag": "y', 0)[0]
    {'tags': [{'tag': 'x'}]}
    >>> read('{"score": 6', 0)
    (None, 0)
    """
    try:
        return value(text, start, 0)
    except Cut as cut:
        return (cut.kept, len(text)) if cut.kept else (None, start)
    except Broken:
        return None, start


def value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """Any value at `at`, blanks before it skipped."""
    at = skip(text, at)
    if at >= len(text):
        raise Cut
    if depth > MAX_DEPTH:
        raise Broken
    if text[at] == "{":
        return members(text, at + 1, depth)
    if text[at] == "[":
        return items(text, at + 1, depth)
    if text[at] in "\"'":
        return string(text, at)
    return scalar(text, at)


def members(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    """The rest of an object whose brace is open."""
    found: dict[str, Any] = {}
    try:
        while (at := skip(text, at)) < len(text) and text[at] != "}":
            key, at = name(text, at)
            at = expect(text, at, ":")
            found[key], at = value(text, at, depth + 1)
            at = separator(text, at, "}")
    except Cut as cut:
        if depth == 0:
            raise Cut(found | ({key: cut.kept} if cut.kept else {})) from None
        raise Cut from None
    if at >= len(text):
        raise Cut(found if depth == 0 else None)
    return found, at + 1


def items(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    """The rest of a list whose bracket is open."""
    found: list[Any] = []
    try:
        while (at := skip(text, at)) < len(text) and text[at] != "]":
            item, at = value(text, at, depth + 1)
            found.append(item)
            at = separator(text, at, "]")
    except Cut:
        raise Cut(found) from None
    if at >= len(text):
        raise Cut(found)
    return found, at + 1


def name(text: str, at: int) -> tuple[str, int]:
    """A key: quoted, or a plain word."""
    if text[at] in "\"'":
        return string(text, at)
    word = WORD.match(text, at)
    if not word:
        raise Broken
    return word.group(), word.end()


def string(text: str, at: int) -> tuple[str, int]:
    """A quoted string."""
    match = (STRING if text[at] == '"' else SINGLE).match(text, at)
    if not match:
        raise Cut
    inner = match.group()[1:-1]
    return (
        unescaped(inner) if text[at] == '"' else unescaped(inner.replace("\\'", "'"), single=True)
    ), match.end()


def unescaped(inner: str, single: bool = False) -> str:
    r"""The text that a quoted string stands for; raw line breaks are allowed, half a character
    becomes a question mark.

    >>> unescaped(r"caf\u00e9 \ud83d")
    'café ?'
    """
    plain = inner.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    if single:
        plain = re.sub(r'(?<!\\)"', r"\"", plain)
    try:
        return str(json.loads(f'"{plain}"', strict=False)).encode("utf-8", "replace").decode()
    except json.JSONDecodeError:
        return inner


def scalar(text: str, at: int) -> tuple[Any, int]:
    """A number or constant, which must be followed by something: at the very end it may be cut
    short.
    """
    match = NUMBER.match(text, at) or WORD.match(text, at)
    if not match:
        raise Broken
    if match.end() == len(text):
        raise Cut
    word = match.group()
    if word in CONSTANTS:
        return CONSTANTS[word], match.end()
    if word[0] == "-" or word[0].isdigit():
        return number(word), match.end()
    raise Broken


def number(word: str) -> int | float:
    """The number that `word` writes; leading zeros are allowed."""
    return float(word) if any(sign in word for sign in ".eE") else int(word)


def separator(text: str, at: int, close: str) -> int:
    """Past the comma after an item, or at the closing bracket."""
    at = skip(text, at)
    if at >= len(text):
        raise Cut
    if text[at] == ",":
        return at + 1
    if text[at] == close:
        return at
    raise Broken


def expect(text: str, at: int, sign: str) -> int:
    """Past `sign`, which must stand here."""
    at = skip(text, at)
    if at >= len(text):
        raise Cut
    if text[at] != sign:
        raise Broken
    return at + 1


def skip(text: str, at: int) -> int:
    """Past blanks and comments."""
    match = BLANK.match(text, at)
    return match.end() if match else at
